"""Pure compositing: the part of a picture that is a background, and a foreground over it."""

from __future__ import annotations

import cv2
import numpy as np

from p3d_gen.core.colour import srgb_bytes, srgb_light
from p3d_gen.core.types import Picture


def resized_part(
    pixels: Picture,
    corner: tuple[int, int],
    part_hw: tuple[int, int],
    image_hw: tuple[int, ...],
    enlarging: int = cv2.INTER_LINEAR,
) -> Picture:
    """Return the part (h, w, 3) of a picture, with its first pixel at `corner` (row, column), resized to `image_hw`.

    Shrinking averages areas. enlarging: OpenCV's interpolation for a part that is smaller than `image_hw`.
    """
    (top, left), (height, width) = corner, part_hw
    part = pixels[top : top + height, left : left + width]
    method = cv2.INTER_AREA if height > image_hw[0] or width > image_hw[1] else enlarging
    return np.asarray(cv2.resize(part, image_hw[::-1], interpolation=method), dtype=np.uint8)


def _in_srgb(c: Picture, foreground: Picture, background: Picture) -> Picture:
    """Return c foreground + (255 - c) background over 255, rounded, without a division."""
    share = c.astype(np.uint16)
    weighted = share * foreground + (255 - share) * background + 128  # 255 * 255 + 128 at most, which 16 bits hold
    return np.asarray((weighted + (weighted >> 8)) >> 8, dtype=np.uint8)


def _in_linear_light(c: Picture, foreground: Picture, background: Picture) -> Picture:
    share = c / 255
    return srgb_bytes(share * srgb_light(foreground) + (1 - share) * srgb_light(background))


def composite(foreground: Picture, coverage: Picture, background: Picture, *, linear: bool = False) -> Picture:
    """Put a foreground over a background, both (H, W, 3) sRGB, by a coverage (H, W) in 0..255.

    Pixels of coverage 0 are the background's to the bit, those of coverage 255 the foreground's. In between a pixel is
    c foreground + (1 - c) background, rounded: of sRGB values, or of light if `linear`.
    """
    result = np.asarray(cv2.copyTo(foreground, coverage, background.copy()))
    c, *colours = coverage.reshape(-1, 1), foreground.reshape(-1, 3), background.reshape(-1, 3)
    partly = np.flatnonzero((c > 0) & (c < 255))  # few pixels: only these are computed
    blend = _in_linear_light if linear else _in_srgb
    result.reshape(-1, 3)[partly] = blend(c[partly], *(colour[partly] for colour in colours))
    return result
