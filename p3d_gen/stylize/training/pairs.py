"""Pairs of renders of the same samples, as training batches: edges, picture, object, prompt."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from p3d_gen.core.codecs import decode_image
from p3d_gen.core.errors import RunError
from p3d_gen.core.types import Picture
from p3d_gen.run.shards import read_shard
from p3d_gen.stylize.edges import on_grey
from p3d_gen.stylize.training.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One sample that was rendered twice. prior, target: RGBA renders (H, W, 4) as PNG."""

    key: str
    category: str
    colour: str
    prior: bytes
    target: bytes


@dataclass(frozen=True, kw_only=True)
class Example:
    """A training view of a pair.

    edges: (S, S). picture: (S, S, 3). alpha: the object (S, S) in 0..255. prompt: text, "" for none.
    """

    edges: Picture
    picture: Picture
    alpha: Picture
    prompt: str


def read_pairs(prior: Sequence[Path], target: Sequence[Path]) -> list[Pair]:
    """Read the pairs of two runs' render shards, given in the same order. Renders stay encoded, to save memory.

    Raise RunError if the two do not show the same sample in the same pose.
    """
    pairs = []
    for prior_tar, target_tar in zip(prior, target, strict=True):
        others = dict(read_shard(target_tar))
        for key, members in read_shard(prior_tar):
            other = others.get(key)
            if other is None:
                continue  # a sample that failed in one of the runs
            labels, seen = json.loads(other["json"]), json.loads(members["json"])
            if not np.allclose(labels["cam_T_obj"], seen["cam_T_obj"]) or labels["cad_id"] != seen["cad_id"]:
                raise RunError(
                    f"{prior_tar} and {target_tar} show {key} in two poses: their manifests may differ in texture, "
                    "light, render and output only"
                )
            pairs.append(
                Pair(
                    key=key,
                    category=labels["category"],
                    colour=labels["colour"],
                    prior=members["render.png"],
                    target=other["render.png"],
                )
            )
    if not pairs:
        raise RunError(f"{len(prior)} shards hold no sample that was rendered in both ways")
    return pairs


def _window(rng: np.random.Generator, alpha: Picture, fill: tuple[float, float]) -> tuple[slice, slice]:
    """Return a square part of a picture around the object; its longer side fills a share of it, drawn from `fill`."""
    spans = [np.flatnonzero(alpha.any(axis=axis)) for axis in (1, 0)]
    bounds = [(span[0], span[-1] + 1) for span in spans]
    longer = max(end - start for start, end in bounds)
    side = min(round(longer / rng.uniform(*fill)), *alpha.shape)
    window = []
    for (start, end), length in zip(bounds, alpha.shape, strict=True):
        first = rng.integers(min(start, end - side), max(start, end - side) + 1)  # the object stays in sight
        first = int(np.clip(first, 0, length - side))
        window.append(slice(first, first + side))
    return window[0], window[1]


def _scaled(picture: Picture, size: int) -> Picture:
    method = cv2.INTER_AREA if size < picture.shape[0] else cv2.INTER_LANCZOS4
    return np.asarray(cv2.resize(picture, (size, size), interpolation=method), dtype=np.uint8)


def example(pair: Pair, recipe: Recipe, size: int, rng: np.random.Generator) -> Example:
    """Draw a random view of a pair: window, mirroring, thresholds and template. Edges are detected at `size`."""
    renders = [decode_image(pair.prior), decode_image(pair.target)]
    window = _window(rng, renders[1][..., 3], recipe.fill)
    step = int(rng.choice((-1, 1)))
    views = [np.ascontiguousarray(render[window][:, ::step]) for render in renders]
    prior, picture = (on_grey(view[..., :3], view[..., 3]) for view in views)
    prior, picture, alpha = (_scaled(part, size) for part in (prior, picture, views[1][..., 3]))
    low, high = (int(rng.integers(a, b + 1)) for a, b in (recipe.canny_low, recipe.canny_high))
    template = recipe.templates[int(rng.integers(len(recipe.templates)))]
    prompted = rng.random() >= recipe.unprompted
    return Example(
        edges=np.asarray(cv2.Canny(prior, low, high), dtype=np.uint8),
        picture=picture,
        alpha=alpha,
        prompt=template.format(colour=pair.colour, category=pair.category) if prompted else "",
    )
