"""Matching of an object's picture to its background, in colour and in sharpness.

Pictures are (H, W, 3) sRGB, a coverage (H, W) is in 0..255. The masks of the object do not change.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from p3d_gen.core.colour import srgb_bytes, srgb_light
from p3d_gen.core.composite import composite
from p3d_gen.core.types import Array, Picture

_MOST_CONTRAST = 2.0  # the minimum is its inverse: in front of a plain sky an object keeps its edges
_GREY = 128
_PROBE_PX = 1.0
_EDGES = 0.02  # the share of pixels, those with the steepest slope, that measure the sharpness of a picture
_LEAST_SLOPE = 8.0  # levels per pixel: clouds are smooth by themselves, not because of a lens
MOST_BLUR_PX = 4.0


def _lab(colours: Picture) -> NDArray[np.float32]:
    """Return colours (N, 3) in CIE Lab."""
    return np.asarray(cv2.cvtColor(colours[None].astype(np.float32) / 255, cv2.COLOR_RGB2LAB)[0])


def match_colour(foreground: Picture, coverage: Picture, background: Picture, strength: float) -> Picture:
    """Move mean and spread of each Lab channel of a foreground by the share `strength` to those of the background.

    Reinhard et al., "Color transfer between images", 2001. The contrast is halved or doubled at most.
    """
    inside = coverage > 0
    if not inside.any():
        return foreground
    own, there = _lab(foreground[inside]), _lab(background.reshape(-1, 3))
    weight = coverage[inside].astype(np.float64)
    mean = np.average(own, axis=0, weights=weight)
    std = np.sqrt(np.average((own - mean) ** 2, axis=0, weights=weight))
    contrast = np.clip(there.std(axis=0) / np.maximum(std, 1e-6), 1 / _MOST_CONTRAST, _MOST_CONTRAST)
    moved = mean + strength * (there.mean(axis=0) - mean) + (own - mean) * (1 + strength * (contrast - 1))
    matched = foreground.copy()
    rgb = cv2.cvtColor(moved[None].astype(np.float32), cv2.COLOR_LAB2RGB)[0]
    matched[inside] = np.rint(np.clip(rgb, 0, 1) * 255)
    return matched


def _slope(grey: NDArray[np.float32]) -> Array:
    """Return the slope (H, W) of a picture, in levels per pixel."""
    along = (cv2.Sobel(grey, cv2.CV_32F, *axis, scale=1 / 8) for axis in ((1, 0), (0, 1)))
    return np.asarray(np.hypot(*along), dtype=np.float64)


def blur_px(picture: Picture) -> float:
    """Estimate the blur of a picture: the standard deviation in pixels of the Gaussian that turns steps into its edges.

    It is found by blurring the picture once more: Zhuo and Sim, "Defocus map estimation from a single image", 2011. The
    width of the filters is included. The result is MOST_BLUR_PX at most, and 0 for a picture without edges.
    """
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    before = _slope(grey)
    after = _slope(cv2.GaussianBlur(grey, (0, 0), _PROBE_PX))
    edges = before >= max(float(np.quantile(before, 1 - _EDGES)), _LEAST_SLOPE)
    if not edges.any():
        return 0.0
    ratio = float(np.median(before[edges] / np.maximum(after[edges], 1e-6)))
    return min(float(_PROBE_PX / np.sqrt(max(ratio**2 - 1, 1e-6))), MOST_BLUR_PX)


def blur_to_match(foreground: Picture, coverage: Picture, background: Picture, strength: float) -> float:
    """Return the standard deviation in pixels of the blur that makes a foreground as soft as its background.

    It is multiplied by `strength`; it is 0 if the foreground needs no blur.
    """
    rows, columns = (np.flatnonzero(coverage.any(axis=axis)) for axis in (1, 0))
    if not rows.size:
        return 0.0
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    own = blur_px(composite(foreground[box], coverage[box], np.full_like(foreground[box], _GREY)))
    missing = blur_px(background) ** 2 - own**2
    return strength * float(np.sqrt(max(missing, 0.0)))


def blurred(foreground: Picture, coverage: Picture, sigma_px: float) -> tuple[Picture, Picture]:
    """Blur a foreground and its coverage with a Gaussian in linear light; sigma 0 leaves them as they are."""
    if sigma_px == 0:
        return foreground, coverage
    share = (coverage / 255).astype(np.float32)
    premultiplied = srgb_light(foreground).astype(np.float32) * share[..., None]
    spread, soft = (
        cv2.GaussianBlur(layer, (0, 0), sigma_px, borderType=cv2.BORDER_REPLICATE) for layer in (premultiplied, share)
    )
    colours = spread / np.maximum(soft, 1e-6)[..., None]
    return srgb_bytes(colours), np.rint(soft * 255).astype(np.uint8)
