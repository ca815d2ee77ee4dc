"""The types every data source yields."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from p3d_gen.types import Array

Image = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One labelled image.

    image (H, W, 3) uint8 RGB; mask (H, W) uint8, 255 on the object, None where the source has none.
    cam_T_obj (4, 4) and K (3, 3) as in `p3d_gen.geometry`, square pixels; where a source knows only the rotation,
    the translation and K are NaN. box_xyxy: the object's box in pixels, continuous coordinates. subset: the part of a
    benchmark that it belongs to ("weather", "L1", ...), "" where there are no parts.
    """

    key: str
    category: str
    image: Image
    mask: Image | None
    cam_T_obj: Array
    K: Array
    box_xyxy: tuple[float, float, float, float]
    subset: str = ""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Samples on one canvas: image (B, 3, H, W) float in 0..1; mask (B, H, W) float in 0..1, NaN where unknown;
    cam_T_obj (B, 4, 4) and K (B, 3, 3) float, NaN as in `Sample`; box_xyxy (B, 4) in canvas pixels."""

    image: Tensor
    mask: Tensor
    cam_T_obj: Tensor
    K: Tensor
    box_xyxy: Tensor
    category: list[str]
    key: list[str]
