"""Stage 3: a render and its stylized picture become a composite in a complete WebDataset shard."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from p3d_gen.core.codecs import decode_alpha, decode_image, encode_jpeg, encode_png
from p3d_gen.core.composite import composite
from p3d_gen.core.errors import AssetError, RunError
from p3d_gen.core.silhouette import camera_of
from p3d_gen.core.types import Backdrop, Picture
from p3d_gen.pack.backgrounds import background, surroundings
from p3d_gen.pack.matching import blur_to_match, blurred, match_colour
from p3d_gen.pack.shadow import cad_ground, hidden_light, shaded
from p3d_gen.run.files import compact_json, file_sha256
from p3d_gen.run.ledgers import Failure, Ledger
from p3d_gen.run.shards import Members, read_shard, reading_samples
from p3d_gen.run.stage import make_shard, tick
from p3d_gen.run.store import RunFolder, shared_run
from p3d_gen.spec.manifest import Output
from p3d_gen.spec.sampling import backdrop, packed_key
from p3d_gen.spec.scene_sections import Background
from p3d_gen.stylize.judge import read_residuals
from p3d_gen.stylize.stylization import Stylization, open_stylization

MATCH_LABELS = ("match_colour", "blur_px", "shadow")  # of the changes that match object and background, in their order
NEEDS = ("background",)  # the kinds of sources whose files this stage reads
_FILES = {
    "mask": "mask.png",
    "amodal": "amodal.png",
    "occluders": "occluders.png",
    "depth": "depth.npz",
    "normals": "normals.npz",
    "nocs": "nocs.npz",
    "parts": "parts.png",
    "cuboid": "cuboid.npz",
    "render": "render.png",
    "edges": "edges.png",
}


def _encode(pixels: Picture, output: Output) -> bytes:
    return encode_png(pixels) if output.image_format == "png" else encode_jpeg(pixels, output.jpeg_quality)


def _coverage(members: Members, edge: str) -> Picture:
    """Return the coverage (H, W) by the foreground, occluders included: `soft` by alpha, `hard` by the masks."""
    if edge == "soft":
        return decode_alpha(members["render.png"])
    masks = [decode_image(members[name]) for name in ("mask.png", "occluders.png") if name in members]
    return np.asarray(np.max(masks, axis=0), dtype=np.uint8)


@dataclass(frozen=True, kw_only=True)
class _Foreground:
    """The part that all composites of one render share.

    labels: labels of both earlier stages. stylized: stylized picture (H, W, 3). coverage: coverage (H, W) by the
    foreground. hidden: share (H, W) of light that the object takes from the ground, None without a shadow.
    members: members that are passed on.
    """

    labels: dict[str, Any]
    stylized: Picture
    coverage: Picture
    hidden: NDArray[np.float32] | None
    members: Members


def _hidden(run: RunFolder, labels: dict[str, Any]) -> NDArray[np.float32] | None:
    wanted = run.manifest.background
    if not wanted.shadow:
        return None
    model = run.load_model(labels["category"], labels["cad_id"])
    ground = cad_ground(model, tuple(labels["stretch_xyz"]), wanted.shadow_softness)
    return hidden_light(ground, np.array(labels["cam_T_obj"]), camera_of(labels))


def _foreground(run: RunFolder, members: Members) -> _Foreground:
    output = run.manifest.output
    labels, stylized = json.loads(members["json"]), decode_image(members["stylized.png"])
    passed_on: Members = {}
    for member in output.members:
        if member == "stylized":
            passed_on[f"stylized.{output.image_format}"] = _encode(stylized, output)
        elif member in _FILES:
            passed_on[_FILES[member]] = members[_FILES[member]]
    return _Foreground(
        labels=labels | json.loads(members["stylize.json"]),
        stylized=stylized,
        coverage=_coverage(members, run.manifest.background.edge),
        hidden=_hidden(run, labels),
        members=passed_on,
    )


def _scene(run: RunFolder, labels: dict[str, Any], before: Backdrop) -> Picture:
    """Return the background (H, W, 3) of a composite."""
    path, camera = run.inventory.background_files[before.background_id], camera_of(labels)
    if before.environment:
        return surroundings(path, before.environment, np.array(labels["cam_T_obj"]), camera)
    return background(path, camera.image_hw, before.window)


def _image(wanted: Background, foreground: _Foreground, scene: Picture) -> tuple[Picture, dict[str, Any]]:
    """Return a composite, and labels of the changes that match object and background."""
    picture, coverage = foreground.stylized, foreground.coverage
    done: dict[str, Any] = {}
    if wanted.match_colour:
        done["match_colour"] = wanted.match_colour
        picture = match_colour(picture, coverage, scene, wanted.match_colour)
    if wanted.match_blur:
        done["blur_px"] = blur_to_match(picture, coverage, scene, wanted.match_blur)
        picture, coverage = blurred(picture, coverage, done["blur_px"])
    if foreground.hidden is not None:
        done["shadow"] = wanted.shadow
        scene = shaded(scene, foreground.hidden, wanted.shadow)
    return composite(picture, coverage, scene, linear=True), done


def _packed(run: RunFolder, foreground: _Foreground, number: int, more: dict[str, Any]) -> Members:
    """Return the fixed members of composite `number` of a render. more: further labels."""
    output, before = run.manifest.output, _backdrop(run, foreground.labels, number)
    image, done = _image(run.manifest.background, foreground, _scene(run, foreground.labels, before))
    return {
        output.image_format: _encode(image, output),
        **_around(run, foreground, number, before, more, done),
    }


def _backdrop(run: RunFolder, labels: dict[str, Any], number: int) -> Backdrop:
    return backdrop(run.manifest, run.inventory, labels["category"], labels["index"], number)


def _around(
    run: RunFolder,
    foreground: _Foreground,
    number: int,
    before: Backdrop,
    more: dict[str, Any],
    done: dict[str, Any],
) -> Members:
    """Return the members of a composite except its picture. done: the labels of the changes that match it."""
    own = {"key": packed_key(run.manifest, foreground.labels["key"], number), "background_id": before.background_id}
    which = {"composite": number} if run.manifest.background.per_render > 1 else {}
    return {**foreground.members, "json": compact_json(foreground.labels | own | more | which | done)}


def pack_sample(run: RunFolder, members: Members, number: int = 0, more: dict[str, Any] | None = None) -> Members:
    """Return the members of composite `number` of a render, from the members of both earlier stages.

    more: further labels, such as a filter's. Raise AssetError if the background cannot be read.
    """
    return _packed(run, _foreground(run, members), number, more or {})


def has_background(run: RunFolder, labels: dict[str, Any], number: int) -> bool:
    """Return True if the background of composite `number` of a render with these labels is there."""
    return _backdrop(run, labels, number).background_id in run.inventory.background_files


def pack_around(run: RunFolder, members: Members, number: int, more: dict[str, Any], stored: dict[str, Any]) -> Members:
    """Return the members that `pack_sample` returns, except the picture: that needs the background.

    stored: the labels of the packed sample, from which those that follow from the background are taken over.
    """
    foreground = _foreground(run, members)
    done = {name: stored[name] for name in MATCH_LABELS if name in stored}
    return _around(run, foreground, number, _backdrop(run, foreground.labels, number), more, done)


def joined(run: RunFolder, stylization: Stylization, shard: str) -> Iterator[tuple[str, Members]]:
    """Yield the samples of a stylization's shard with their renders' members. Raise RunError if one is missing."""
    renders = read_shard(run.tar("render", shard))
    for key, stylized in read_shard(run.tar(stylization.stage, shard)):
        render = next((members for render_key, members in renders if render_key == key), None)
        if render is None:
            raise RunError(f"{run.tar('render', shard)} holds no {key}, or not in order; delete it and make it again")
        yield key, render | stylized


@dataclass(frozen=True, kw_only=True)
class ResidualFilter:
    """Pose residuals, as `pose-models folds` writes them, and the largest one that is kept, in degrees."""

    files: tuple[Path, ...]
    max_deg: float

    def residuals(self) -> dict[str, float]:
        """Return the residuals of all files by sample key."""
        return {key: residual for path in self.files for key, residual in read_residuals(path).items()}

    def check(self, categories: Iterable[str]) -> None:
        """Raise RunError if the files judge no sample of one of the categories, before a shard is made again."""
        judged = {key.partition("-")[0] for key in self.residuals()}
        if missing := sorted(set(categories) - judged):
            raise RunError(
                f"{', '.join(map(str, self.files))}: there is no pose residual of {', '.join(missing)}; run "
                "`pose-models folds` for each category and give all files, or choose shards by --shards"
            )

    def identity(self) -> dict[str, Any]:
        """Return the data that decides which samples stay, for the hash of the shards' inputs."""
        return {"residuals": [file_sha256(path) for path in self.files], "max_residual_deg": self.max_deg}


class _LeftOutError(Exception):
    """The reason why a sample is not packed."""


def _judged(residual_filter: ResidualFilter, residuals: dict[str, float], key: str) -> dict[str, Any]:
    """Return the label of a packed sample's pose residual. Raise _LeftOutError if the residual is too large."""
    if key not in residuals:
        files = ", ".join(map(str, residual_filter.files))
        raise RunError(f"{files}: there is no pose residual of {key}; run `pose-models folds` on all shards")
    if residuals[key] > residual_filter.max_deg:
        raise _LeftOutError(f"pose residual of {residuals[key]:.0f} degrees, above {residual_filter.max_deg:g}")
    return {"pose_residual_deg": residuals[key]}


def _samples(
    stylization: Stylization,
    residual_filter: ResidualFilter | None,
    run: RunFolder,
    shard: str,
    failures: list[Failure],
) -> Iterator[tuple[str, Members]]:
    residuals = residual_filter.residuals() if residual_filter else {}
    tar = run.tar(stylization.stage, shard)
    for render, members in joined(run, stylization, shard):
        with reading_samples(tar, render):
            foreground = _foreground(run, members)
        for number in range(run.manifest.background.per_render):
            key = packed_key(run.manifest, render, number)
            try:
                more = _judged(residual_filter, residuals, key) if residual_filter else {}
                with reading_samples(tar, render):
                    packed = _packed(run, foreground, number, more)
            except (AssetError, _LeftOutError) as error:
                failures.append(Failure(key=key, reason=str(error)))
            else:
                yield key, packed
            tick()


def made_from(run: RunFolder, residual_filter: ResidualFilter | None) -> Any:
    """Return what decides the bytes of packed shards, for `ledgers.stage_inputs`; None for the manifest alone."""
    if residual_filter is None:
        return None
    drawn = run.decisive("shards")
    return {**(drawn if isinstance(drawn, dict) else {"drawn": drawn}), **residual_filter.identity()}


def pack_shard(run_dir: str, shard: str, name: str = "", residual_filter: ResidualFilter | None = None) -> Ledger:
    """Pack one shard of a stylization and return its ledger. A shard that is already finished is not made again.

    name: name of the stylization, "" for the manifest's own. residual_filter: leaves out the samples whose pose
    residual is too large.
    """
    run = shared_run(run_dir, NEEDS)
    stylization = open_stylization(run, name)
    make = functools.partial(_samples, stylization, residual_filter)
    inputs = made_from(run, residual_filter)
    return make_shard(run, stylization.packed, shard, ("render", stylization.stage), make, made_from=inputs)
