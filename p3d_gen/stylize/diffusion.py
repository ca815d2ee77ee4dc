"""A diffusers ControlNet pipeline, from hub ids or local folders, as a function from edges and prompts to pictures."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from p3d_gen.errors import DependencyError
from p3d_gen.manifest import Stylize, resolve_folder

_HUB_ID = re.compile(r"[\w-][\w.-]*/[\w.-]+")


def weights_source(source: str, base_dir: Path, key: str) -> str:
    """A hub id as it is, or the existing folder that a path means: one that starts with '.', '/', '~' or '${'."""
    if _HUB_ID.fullmatch(source):
        return source
    return str(resolve_folder(source, base_dir, key))


def _root(error: BaseException) -> str:
    """The first line of the error that started the chain: the last one tells of a file, the first of the network."""
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"


def _load_part(key: str, source: str, load: Any) -> Any:
    try:
        return load()
    except (OSError, ValueError, ImportError) as error:
        raise DependencyError(
            f"{key} = {source!r}: the weights cannot be loaded ({_root(error)}). Fetch them where there is a network, "
            f"`hf download {source} --local-dir FOLDER`, and name the folder in the manifest; or set "
            "stylize.stylizer = 'none', which passes renders through"
        ) from error


class ControlNetStylizer:
    """A loaded pipeline. Loading takes seconds and gigabytes; a shard is stylised with one of these."""

    def __init__(self, settings: Stylize, base_dir: Path) -> None:
        """Load the pipeline of a manifest. DependencyError says which weights or packages are missing."""
        try:
            import torch
            from diffusers import AutoPipelineForText2Image, ControlNetModel, DDIMScheduler
        except ImportError as error:
            raise DependencyError(
                f"stylize.stylizer = 'controlnet' needs diffusers and torch ({error}): pip install 'p3dgen[stylize]'"
            ) from None
        torch.set_num_threads(1)  # the thread count changes float sums, and a run must not depend on it
        self._torch = torch
        self._settings = settings
        device = "cuda" if torch.cuda.is_available() else "cpu"
        dtype = torch.float16 if device == "cuda" else torch.float32
        controlnet_from = weights_source(settings.controlnet, base_dir, "stylize.controlnet")
        base_from = weights_source(settings.base, base_dir, "stylize.base")
        controlnet = _load_part(
            "stylize.controlnet", controlnet_from, lambda: ControlNetModel.from_pretrained(controlnet_from, dtype=dtype)
        )
        pipeline = _load_part(
            "stylize.base",
            base_from,
            lambda: AutoPipelineForText2Image.from_pretrained(
                base_from, controlnet=controlnet, dtype=dtype, safety_checker=None, requires_safety_checker=False
            ),
        )
        pipeline.scheduler = DDIMScheduler.from_config(pipeline.scheduler.config)
        pipeline.set_progress_bar_config(disable=True)
        self._pipeline = pipeline.to(device)

    def __call__(
        self,
        edges: Sequence[NDArray[np.uint8]],
        prompts: Sequence[str],
        seeds: Sequence[int],
        image_hw: tuple[int, int],
    ) -> list[NDArray[np.uint8]]:
        """Pictures (H, W, 3) of `image_hw` from edge maps (h, w), one prompt and one noise seed for each."""
        settings, generator = self._settings, self._torch.Generator
        pictures = self._pipeline(
            prompt=list(prompts),
            negative_prompt=[settings.negative_prompt] * len(prompts),
            image=[Image.fromarray(np.dstack([edge] * 3)) for edge in edges],
            num_inference_steps=settings.steps,
            guidance_scale=settings.guidance_scale,
            controlnet_conditioning_scale=settings.control_scale,
            generator=[generator("cpu").manual_seed(seed) for seed in seeds],
            eta=0.0,
            output_type="np",
        ).images
        return [_to_size(picture, image_hw) for picture in pictures]


def _to_size(picture: NDArray[np.float32], image_hw: tuple[int, int]) -> NDArray[np.uint8]:
    """A float picture in [0, 1] as bytes of the wanted size."""
    height, width = image_hw
    method = cv2.INTER_AREA if height < picture.shape[0] else cv2.INTER_LINEAR
    resized = cv2.resize(np.nan_to_num(picture), (width, height), interpolation=method)
    return np.asarray(np.rint(np.clip(resized, 0.0, 1.0) * 255), dtype=np.uint8)
