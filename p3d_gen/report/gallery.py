"""The gallery of a report: its choice of samples, their thumbnails, and their labels as lines over them."""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from p3d_gen.core.codecs import decode_image, decode_npz, encode_jpeg
from p3d_gen.core.types import Array
from p3d_gen.report.collect import Ledgers, SampleRows
from p3d_gen.report.sheet import axis_lines, box_lines
from p3d_gen.run.shards import Members, read_shard
from p3d_gen.run.store import RunFolder
from p3d_gen.spec.sampling import render_key
from p3d_gen.stylize.edges import on_grey
from p3d_gen.stylize.stylization import Stylization

_SIDE_PX, _QUALITY = 288, 82
_CONTOUR_PX = 0.4
# The members that pictures and lines are made from, except the composite; depth is not kept in memory.
_NEEDED = {"json", "stylize.json", "render.png", "mask.png", "edges.png", "stylized.png", "cuboid.npz"}
_UNSCORED = 2.0  # sorts samples without a survival, which is at most 1, after all others


@dataclass(frozen=True, kw_only=True)
class Overlay:
    """SVG paths in the picture's pixels.

    axes: x, y, z. front: front face of the 3D box. box: its other edges. outline: outline of the mask, through the
    centres of its outermost pixels. cuboid: visible vertices. Both are "" if the run does not hold them.
    """

    axes: tuple[str, str, str]
    box: str
    front: str
    outline: str
    cuboid: str


@dataclass(frozen=True, kw_only=True)
class Card:
    """One sample. pictures: (name, data URI) of each stage that has made it.

    Before a sample is stylized, its survival is None and its prompt "".
    """

    key: str
    category: str
    cad: str
    colour: str
    prompt: str
    survival: float | None
    mask_iou: float
    image_hw: tuple[int, int]
    pictures: tuple[tuple[str, str], ...]
    overlay: Overlay


@dataclass(frozen=True, kw_only=True)
class Gallery:
    """The cards, the worst label survival first, and a text that says how they were chosen."""

    cards: tuple[Card, ...]
    text: str

    @property
    def cads(self) -> dict[str, list[str]]:
        """Return the CAD models on the cards, by category."""
        cads: dict[str, set[str]] = {}
        for card in self.cards:
            cads.setdefault(card.category, set()).add(card.cad)
        return {category: sorted(cads[category]) for category in sorted(cads)}

    @property
    def colours(self) -> list[str]:
        """Return the colours on the cards."""
        return sorted({card.colour for card in self.cards})

    @property
    def has_outlines(self) -> bool:
        """True if a card has the outline of a mask."""
        return any(card.overlay.outline for card in self.cards)

    @property
    def has_cuboids(self) -> bool:
        """True if a card has the vertices of a cuboid."""
        return any(card.overlay.cuboid for card in self.cards)


def by_chance(key: str) -> str:
    """Return a sort key that puts samples in a random but fixed order.

    The order stays the same when samples are added, so samples that were chosen stay chosen, in every stylization.
    """
    return hashlib.sha256(key.encode()).hexdigest()


def choose(labels: SampleRows, count: int) -> dict[str, dict[str, Any]]:
    """Return at most `count` samples by key: half of them with the lowest label survival, the others by chance."""
    samples = [each for category in labels.values() for each in category]
    scored = sorted((each for each in samples if "survival" in each), key=lambda each: (each["survival"], each["key"]))
    worst = {each["key"]: each for each in scored[: (count + 1) // 2]}
    others = sorted((each for each in samples if each["key"] not in worst), key=lambda each: by_chance(each["key"]))
    return worst | {each["key"]: each for each in others[: count - len(worst)]}


def members_of_samples(
    run: RunFolder, stylization: Stylization, ledgers: Ledgers, chosen: dict[str, dict[str, Any]]
) -> dict[str, Members]:
    """Return the members that pictures and lines are made from, by key, from all stages that have made the sample.

    Members of later stages replace those of earlier ones.
    """
    needed = _NEEDED | {run.manifest.output.image_format}
    stages = {"render": "render", "stylize": stylization.stage, "pack": stylization.packed}
    wanted = set(chosen) | {render_key(key) for key in chosen}
    stored: dict[str, Members] = {key: {} for key in wanted}
    for shard in sorted({each["shard"] for each in chosen.values()}):
        for command in (command for command in ledgers if shard in ledgers[command]):
            for key, members in read_shard(run.tar(stages[command], shard), keys=wanted):
                stored[key] |= {name: content for name, content in members.items() if name in needed}
    return {key: stored[render_key(key)] | stored[key] for key in chosen}


def _path(lines: Array) -> str:
    """Return lines (N, 2, 2) as the data of an SVG path."""
    return "".join(f"M{a:.1f} {b:.1f}L{c:.1f} {d:.1f}" for (a, b), (c, d) in lines.tolist())


def _outline(members: Members) -> str:
    if "mask.png" not in members:
        return ""
    mask = decode_image(members["mask.png"])
    contours, _ = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    rings = [cv2.approxPolyDP(contour, _CONTOUR_PX, True)[:, 0] + 0.5 for contour in contours]
    return "".join("M" + "L".join(f"{x:g} {y:g}" for x, y in ring.tolist()) + "Z" for ring in rings)


def _cuboid(members: Members) -> str:
    if "cuboid.npz" not in members:
        return ""
    arrays = decode_npz(members["cuboid.npz"])
    return "".join(f"M{x:.1f} {y:.1f}h0" for x, y in arrays["pixels"][arrays["visible"]].tolist())


def overlay(labels: dict[str, Any], members: Members) -> Overlay:
    """Return the lines of a sample's labels."""
    edges, is_front = box_lines(labels)
    x, y, z = (_path(axis[None]) for axis in axis_lines(labels))
    return Overlay(
        axes=(x, y, z),
        box=_path(edges[~is_front]),
        front=_path(edges[is_front]),
        outline=_outline(members),
        cuboid=_cuboid(members),
    )


def _thumbnail(picture: NDArray[np.uint8]) -> str:
    """Return a picture as a data URI, made smaller if it is large."""
    scale = min(1.0, _SIDE_PX / max(picture.shape[:2]))
    size = (round(picture.shape[1] * scale), round(picture.shape[0] * scale))
    if scale < 1:
        picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    return "data:image/jpeg;base64," + b64encode(encode_jpeg(picture, _QUALITY)).decode()


def _pictures(members: Members, image_format: str) -> tuple[tuple[str, str], ...]:
    names = {"edges": "edges.png", "stylized": "stylized.png", "composite": image_format}
    pictures = {name: decode_image(members[member]) for name, member in names.items() if member in members}
    if "render.png" in members:
        rgba = decode_image(members["render.png"])
        pictures = {"render": on_grey(rgba[..., :3], rgba[..., 3]), **pictures}
    return tuple((name, _thumbnail(picture)) for name, picture in pictures.items())


def _card(members: Members, image_format: str) -> Card:
    labels = json.loads(members["json"]) | json.loads(members.get("stylize.json", b"{}"))
    height, width = labels["image_hw"]
    return Card(
        key=labels["key"],
        category=labels["category"],
        cad=labels["cad_id"],
        colour=labels["colour"],
        prompt=labels.get("prompt", ""),
        survival=labels.get("survival"),
        mask_iou=labels["mask_iou"],
        image_hw=(height, width),
        pictures=_pictures(members, image_format),
        overlay=overlay(labels, members),
    )


def sample_gallery(
    run: RunFolder, stylization: Stylization, ledgers: Ledgers, labels: SampleRows, count: int
) -> Gallery:
    """Return the gallery of at most `count` samples."""
    chosen = choose(labels, count)
    members = members_of_samples(run, stylization, ledgers, chosen)
    cards = [_card(each, run.manifest.output.image_format) for each in members.values()]
    total = sum(map(len, labels.values()))
    scored = any(card.survival is not None for card in cards)
    part = f"{len(cards)} of {total} samples, " + (
        "half of them with the lowest label survival, the others chosen by chance." if scored else "chosen by chance."
    )
    return Gallery(
        cards=tuple(sorted(cards, key=lambda c: (_UNSCORED if c.survival is None else c.survival, c.key))),
        text=("All samples." if len(cards) == total else part) + (" The worst label survival comes first." * scored),
    )
