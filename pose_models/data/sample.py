"""The types every data source yields."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from p3d_gen.core.errors import DataError
from p3d_gen.core.symmetry import Symmetry
from p3d_gen.core.types import Array
from pose_models import geometry

Image = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class PoseSample:
    """One labelled image.

    image (H, W, 3) uint8 RGB; mask (H, W) uint8, 255 on the object, None if the source has none; occluder (H, W) uint8,
    255 where something else stands in front of the object, None if nothing does or it is not known. cam_T_obj (4, 4)
    and K (3, 3) as in `p3d_gen.core.geometry`, square pixels; where a source knows only the rotation, the translation
    and K are NaN. box_xyxy: the object's box in pixels, continuous coordinates. subset: the part of a benchmark that it
    belongs to ("weather", "L1", ...), "" if there are no parts. symmetry: of this very object, None if the labels do
    not tell it: then that of its category counts.
    """

    key: str
    category: str
    image: Image
    mask: Image | None
    cam_T_obj: Array
    K: Array
    box_xyxy: tuple[float, float, float, float]
    subset: str = ""
    occluder: Image | None = None
    symmetry: Symmetry | None = None


def check_labelled(sample: PoseSample, use: str) -> PoseSample:
    """Return a sample whose rotation is known. DataError if it is not; `use` is what needs it."""
    if not np.isfinite(sample.cam_T_obj[:3, :3]).all():
        raise DataError(f"image {sample.key} of {sample.category!r} has no pose: {use} needs labelled images")
    return sample


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Samples on one canvas.

    image (B, 3, H, W) float in 0..1; mask (B, H, W) float in 0..1, NaN if unknown; occluder (B, H, W) bool;
    cam_T_obj (B, 4, 4) and K (B, 3, 3) float, NaN as in `PoseSample`; box_xyxy (B, 4) in canvas pixels.
    """

    image: Tensor
    mask: Tensor
    occluder: Tensor
    cam_T_obj: Tensor
    K: Tensor
    box_xyxy: Tensor
    category: list[str]
    key: list[str]
    subset: list[str]

    def to(self, device: torch.device) -> Batch:
        """Move the tensors to a device."""
        values: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        return Batch(**{k: v.to(device, non_blocking=True) if isinstance(v, Tensor) else v for k, v in values.items()})

    def take(self, images: Tensor) -> Batch:
        """Return some of the images (N,) int64, in the given order."""
        values: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        rows = images.tolist()
        return Batch(**{k: v[images] if isinstance(v, Tensor) else [v[i] for i in rows] for k, v in values.items()})

    def mirrored(self) -> Batch:
        """Mirror the batch horizontally, for objects that are symmetric in their x: as `data.augment.mirrored`."""
        width = self.image.shape[-1]
        cam_T_obj, K = geometry.hflip(self.cam_T_obj, self.K, width)
        left, top, right, bottom = self.box_xyxy.unbind(1)
        return replace(
            self,
            image=self.image.flip(-1),
            mask=self.mask.flip(-1),
            occluder=self.occluder.flip(-1),
            cam_T_obj=cam_T_obj,
            K=K,
            box_xyxy=torch.stack([width - right, top, width - left, bottom], dim=1),
        )
