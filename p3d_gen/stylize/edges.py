"""Canny edge maps at the working size of a ControlNet, by OpenCV or by controlnet_aux: both give the same map."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from p3d_gen.core.composite import composite
from p3d_gen.stylize.annotators import annotate

# The released recipe detects edges on the render in front of Blender's grey world, which is 64 in sRGB.
WORLD_GREY = 64


def on_grey(rgb: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Put colours (H, W, 3) of a coverage (H, W) in front of Blender's grey world: (H, W, 3)."""
    return composite(rgb, alpha, np.full_like(rgb, WORLD_GREY))


def control_hw(image_hw: tuple[int, int], resolution: int) -> tuple[int, int]:
    """Return the working size of an image: the shorter side is `resolution`, both sides are multiples of 64."""
    k = resolution / min(image_hw)
    height, width = (round(side * k / 64) * 64 for side in image_hw)
    return height, width


def resized(picture: NDArray[np.uint8], resolution: int) -> NDArray[np.uint8]:
    """Resize a picture (H, W) or (H, W, 3) to `control_hw` of its size, by the rule of the ControlNet annotators."""
    height, width = control_hw((picture.shape[0], picture.shape[1]), resolution)
    method = cv2.INTER_LANCZOS4 if resolution > min(picture.shape[:2]) else cv2.INTER_AREA
    return np.asarray(cv2.resize(picture, (width, height), interpolation=method), dtype=np.uint8)


def canny(
    rgb: NDArray[np.uint8], thresholds: tuple[int, int], resolution: int, backend: str = "opencv"
) -> NDArray[np.uint8]:
    """Return the edge map (h, w) of a picture (H, W, 3), 255 on edges, at `control_hw` of its size.

    backend: `opencv`, or `controlnet_aux` for the detector of that package.
    """
    low, high = thresholds
    if backend == "opencv":
        return np.asarray(cv2.Canny(resized(rgb, resolution), low, high), dtype=np.uint8)
    edges = annotate("canny", rgb, resolution, low_threshold=low, high_threshold=high)
    return np.ascontiguousarray(edges[..., 0])
