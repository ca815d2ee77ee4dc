"""Pure compositing: a foreground over a background."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def composite(
    foreground: NDArray[np.uint8], coverage: NDArray[np.uint8], background: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """foreground (+) background, all (H, W, 3) sRGB, by a coverage (H, W) in 0..255.

    Where coverage is 0 the result is the background to the bit, where it is 255 the foreground; between, it is
    c foreground + (1 - c) background in sRGB values, rounded.
    """
    c = coverage.astype(np.uint16)[..., None]
    weighted = c * foreground + (255 - c) * background + 128  # 255 * 255 + 128 at most, which 16 bits hold
    return np.asarray((weighted + (weighted >> 8)) >> 8, dtype=np.uint8)  # over 255, rounded, without a division
