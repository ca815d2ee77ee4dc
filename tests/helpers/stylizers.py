"""Stylizers of tiny pipelines, and what is asked of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from p3d_gen.spec.stylize import Control, Stylize
from p3d_gen.stylize.diffusion import DiffusionStylizer, PictureRequest

HW, WORKING_HW = (64, 96), (64, 128)
PROMPTS = ("red car", "blue chair", "green bottle")


def settings(weights: tuple[Path, Path], **changes: Any) -> Stylize:
    """Two steps at 64 pixels with a base and its ControlNet."""
    base, controlnet = map(str, weights)
    fixed = {"stylizer": "controlnet", "base": base, "control": [Control(weights=controlnet)]}
    return Stylize(**(fixed | {"resolution": 64, "steps": 2} | changes))


def stylizer(weights: tuple[Path, Path], **changes: Any) -> DiffusionStylizer:
    """A stylizer of these settings on the CPU."""
    return DiffusionStylizer(settings(weights, **changes), weights[0].parent, "cpu")


def ask(seed: int, pictures: int | None = None, prompt: str = "", controls: int = 1) -> PictureRequest:
    """A request with random edges, a random render and noise, all of one seed unless told otherwise."""
    rng = np.random.default_rng([seed if pictures is None else pictures, 1])
    edges = [np.where(rng.random((*WORKING_HW, 1)) < 0.1, 255, 0).astype(np.uint8) for _ in range(controls)]
    return PictureRequest(
        controls=tuple(np.repeat(edge, 3, axis=2) for edge in edges),
        init=rng.integers(0, 256, (*WORKING_HW, 3), dtype=np.uint8),
        prompt=prompt or PROMPTS[seed % 3],
        negative_prompt="lowres",
        seed=seed,
    )


def pictures(model: DiffusionStylizer, *requests: PictureRequest) -> NDArray[np.int64]:
    """Pictures (N, H, W, 3) without a fault."""
    made = model(requests, HW)
    assert [one.fault for one in made] == [""] * len(requests)
    assert {(one.picture.shape, one.picture.dtype) for one in made} == {((*HW, 3), np.dtype(np.uint8))}
    return np.stack([one.picture for one in made]).astype(int)
