"""sRGB and linear light."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from p3d_gen.core.types import Array

_LEVELS = np.arange(256) / 255
_LIGHT: Array = np.where(_LEVELS <= 0.04045, _LEVELS / 12.92, ((_LEVELS + 0.055) / 1.055) ** 2.4)


def srgb_light(pixels: NDArray[np.uint8]) -> Array:
    """Return 8-bit sRGB as linear light in [0, 1]: the inverse of `srgb_bytes`."""
    return _LIGHT[pixels]


def srgb_bytes(linear: NDArray[Any]) -> NDArray[np.uint8]:
    """Return linear light, clipped to [0, 1], as 8-bit sRGB."""
    clipped = np.clip(linear, 0.0, 1.0)
    encoded = np.where(clipped <= 0.0031308, 12.92 * clipped, 1.055 * clipped ** (1 / 2.4) - 0.055)
    return np.asarray(np.rint(encoded * 255), dtype=np.uint8)
