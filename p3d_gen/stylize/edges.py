"""Canny edge maps at the size a ControlNet works at, by OpenCV or by controlnet_aux: the same map either way."""

from __future__ import annotations

import functools
import warnings
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from p3d_gen.errors import DependencyError

# The released recipe sees edges on the render before Blender's grey world, which is 64 in sRGB.
WORLD_GREY = 64


def control_hw(image_hw: tuple[int, int], resolution: int) -> tuple[int, int]:
    """The working size of an image: the shorter side becomes `resolution`, both sides multiples of 64."""
    k = resolution / min(image_hw)
    height, width = (round(side * k / 64) * 64 for side in image_hw)
    return height, width


def _resized(rgb: NDArray[np.uint8], resolution: int) -> NDArray[np.uint8]:
    height, width = control_hw((rgb.shape[0], rgb.shape[1]), resolution)
    method = cv2.INTER_LANCZOS4 if resolution > min(rgb.shape[:2]) else cv2.INTER_AREA
    return np.asarray(cv2.resize(rgb, (width, height), interpolation=method), dtype=np.uint8)


@functools.cache
def _annotator() -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about annotators of that package which are not used here
            from controlnet_aux import CannyDetector
    except ImportError as error:
        raise DependencyError(
            f"stylize.canny = 'controlnet_aux' needs that package ({error}): pip install 'p3dgen[stylize]', "
            "or say 'opencv', which gives the same edges"
        ) from None
    return CannyDetector()


def canny(
    rgb: NDArray[np.uint8], thresholds: tuple[int, int], resolution: int, backend: str = "opencv"
) -> NDArray[np.uint8]:
    """The edge map (h, w) of a picture (H, W, 3), 255 on edges, at `control_hw` of its size.

    backend: `opencv`, or `controlnet_aux` for that package's own detector.
    """
    if backend == "opencv":
        return np.asarray(cv2.Canny(_resized(rgb, resolution), *thresholds), dtype=np.uint8)
    edges = _annotator()(
        rgb,
        low_threshold=thresholds[0],
        high_threshold=thresholds[1],
        detect_resolution=resolution,
        image_resolution=resolution,
        output_type="np",
    )
    return np.ascontiguousarray(edges[..., 0], dtype=np.uint8)
