"""The stage itself: a rendered shard -> a sidecar shard with the same keys: edges, stylised picture, what made it."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from p3d_gen.composite import composite
from p3d_gen.engines import make_shard, tick
from p3d_gen.files import Members, compact_json, read_shard
from p3d_gen.images import decode_image, encode_png
from p3d_gen.manifest import Stylize
from p3d_gen.store import Failure, Ledger, Run
from p3d_gen.stylize.edges import WORLD_GREY, canny

if TYPE_CHECKING:
    from p3d_gen.stylize.diffusion import ControlNetStylizer

Picture = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class _Item:
    """What the stylizer needs of one sample. rgb: straight colours of the render, edges: its Canny map."""

    key: str
    labels: dict[str, Any]
    rgb: Picture
    edges: Picture


Stylizer = Callable[[Sequence[_Item]], list[Picture]]


def _item(key: str, members: Members, settings: Stylize) -> _Item:
    rgba = decode_image(members["render.png"])
    rgb, alpha = np.ascontiguousarray(rgba[..., :3]), rgba[..., 3]
    on_grey = composite(rgb, alpha, np.full_like(rgb, WORLD_GREY))
    edges = canny(on_grey, settings.canny_thresholds, settings.resolution, settings.canny)
    return _Item(key=key, labels=json.loads(members["json"]), rgb=rgb, edges=edges)


@functools.lru_cache(maxsize=1)
def _pipeline(settings: Stylize, base_dir: Path) -> ControlNetStylizer:
    """The loaded pipeline, kept for the next shard of this process."""
    from p3d_gen.stylize.diffusion import ControlNetStylizer

    return ControlNetStylizer(settings, base_dir)


def _load_stylizer(run: Run) -> Stylizer:
    settings = run.manifest.stylize
    if settings.stylizer == "none":
        return lambda items: [item.rgb for item in items]
    model = _pipeline(settings, run.base_dir)
    return lambda items: model(
        [item.edges for item in items],
        [item.labels["prompt"] for item in items],
        [item.labels["stylize_seed"] for item in items],
        run.manifest.camera.image_hw,
    )


def _provenance(settings: Stylize) -> dict[str, Any]:
    """What made the picture, beside the prompt and seed that the render's labels hold."""
    diffused = settings.stylizer != "none"
    return {
        "stylizer": settings.stylizer,
        "stylizer_base": settings.base if diffused else "",
        "stylizer_controlnet": settings.controlnet if diffused else "",
        "negative_prompt": settings.negative_prompt if diffused else "",
    }


def _samples(run: Run, shard: str, failures: list[Failure]) -> Iterator[tuple[str, Members]]:
    """Samples in batches that are fixed partitions of the shard: the bytes depend on nothing else."""
    settings = run.manifest.stylize
    stylizer = _load_stylizer(run)
    provenance = compact_json(_provenance(settings))
    items = (_item(key, members, settings) for key, members in read_shard(run.tar("render", shard)))
    while batch := list(islice(items, settings.batch)):
        for item, picture in zip(batch, stylizer(batch), strict=True):
            if np.ptp(picture) == 0:
                failures.append(Failure(key=item.key, reason="the stylised picture is one flat colour"))
            else:
                yield (
                    item.key,
                    {
                        "edges.png": encode_png(item.edges),
                        "stylized.png": encode_png(picture),
                        "stylize.json": provenance,
                    },
                )
            tick()


def stylize_shard(run_dir: str, shard: str) -> Ledger:
    """Stylise one shard, or return its ledger where it is finished already."""
    return make_shard(run_dir, "stylize", shard, ("render",), _samples)
