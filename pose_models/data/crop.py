"""The crop of NeMo and its successors: every object at one known distance, its annotated centre in the middle.

The object's annotated distance d and projected centre are used at test time too: all published numbers of this family
rest on it. The picture is scaled by s = d / target to (int(W s), int(H s)) pixels and cut around
(int(px s), int(py s)), with zeros where the picture ends.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import cv2
import numpy as np

from p3d_gen.core.errors import ConfigError, DataError, did_you_mean
from p3d_gen.core.geometry import Crop, distance_crop
from p3d_gen.core.types import Array
from pose_models.data.sample import Image, PoseSample


@dataclass(frozen=True, kw_only=True)
class CropRule:
    """The canvas (height, width) in pixels of a category, and the distance that its objects are brought to."""

    out_hw: tuple[int, int]
    distance: float


def _rules(distance: float, sizes: Mapping[str, tuple[int, int]]) -> dict[str, CropRule]:
    return {category: CropRule(out_hw=hw, distance=distance) for category, hw in sizes.items()}


_NEMO_HW = {
    "aeroplane": (320, 672),
    "bicycle": (608, 608),
    "boat": (384, 672),
    "bottle": (480, 800),
    "bus": (320, 736),
    "car": (256, 672),
    "chair": (608, 384),
    "diningtable": (384, 800),
    "motorbike": (512, 512),
    "sofa": (352, 736),
    "train": (256, 608),
    "tvmonitor": (480, 448),
}
_NEMO_2021_HW = {
    "aeroplane": (320, 1024),
    "bicycle": (608, 608),
    "boat": (480, 1120),
    "bottle": (512, 736),
    "bus": (320, 800),
    "car": (256, 672),
    "chair": (544, 384),
    "diningtable": (320, 800),
    "motorbike": (512, 512),
    "sofa": (352, 736),
    "train": (256, 608),
    "tvmonitor": (480, 480),
}
_P3D_HW = (352, 520)

# `nemo`: NeMo's maintained code; `nemo-2021`: the code released with its paper; `p3d-diffusion`: that of CC3D.
CROPS: dict[str, dict[str, CropRule]] = {
    "nemo": _rules(5.0, _NEMO_HW),
    "nemo-2021": _rules(5.0, _NEMO_2021_HW),
    "p3d-diffusion": _rules(6.0, dict.fromkeys(_NEMO_HW, _P3D_HW))
    | _rules(10.0, dict.fromkeys(("chair", "bottle"), _P3D_HW))
    | _rules(8.0, dict.fromkeys(("sofa", "tvmonitor"), _P3D_HW)),
}
OBJECTNET3D_CROP = CropRule(out_hw=(640, 800), distance=5.0)


def crop_rule(table: str, category: str) -> CropRule:
    """Return the rule of a category in one of the `CROPS`, or `objectnet3d`, which has one for all. ValueError else."""
    if table == "objectnet3d":
        return OBJECTNET3D_CROP
    if table not in CROPS:
        raise ConfigError(f"unknown crop table {table!r}{did_you_mean(table, [*CROPS, 'objectnet3d'])}")
    if category not in CROPS[table]:
        raise ConfigError(f"crop table {table!r} has no {category!r}{did_you_mean(category, CROPS[table])}")
    return CROPS[table][category]


def crop_annotated(sample: PoseSample, out_hw: tuple[int, int], target_distance: float) -> PoseSample:
    """Scale and cut a sample so that its object appears at `target_distance`, in the middle of `out_hw`.

    The pose is unchanged and K follows the pixels. The published code takes the object to be at the target distance and
    in the very middle, with the original focal length: its labels are a pixel and some perspective off.
    ValueError if the distance or camera of the sample is unknown.
    """
    t_cam = sample.cam_T_obj[:3, 3]
    if not np.isfinite([*t_cam, *sample.K.ravel()]).all() or t_cam[2] <= 0:
        raise DataError(f"sample {sample.key} has no known distance and camera: this crop needs both; cut by its box")
    centre = sample.K @ t_cam / t_cam[2]
    hw = (sample.image.shape[0], sample.image.shape[1])
    crop = distance_crop(hw, (float(centre[0]), float(centre[1])), float(t_cam[2]), target_distance, out_hw)
    if min(crop.resized_hw) < 1:
        raise DataError(f"sample {sample.key}: at distance {target_distance} its {hw} image shrinks to nothing")
    to_crop = _pixel_map(crop, hw)
    left, top, right, bottom = sample.box_xyxy
    corners = np.array([[left, top, 1.0], [right, bottom, 1.0]]) @ to_crop.T
    return replace(
        sample,
        image=_cut(sample.image, crop),
        mask=None if sample.mask is None else _cut(sample.mask, crop),
        occluder=None if sample.occluder is None else _cut(sample.occluder, crop),
        K=to_crop @ sample.K,
        box_xyxy=(float(corners[0, 0]), float(corners[0, 1]), float(corners[1, 0]), float(corners[1, 1])),
    )


def _pixel_map(crop: Crop, image_hw: tuple[int, int]) -> Array:
    """Return the affine map (3, 3) of continuous pixel coordinates, which the rounded size makes slightly uneven."""
    y, x = crop.resized_hw[0] / image_hw[0], crop.resized_hw[1] / image_hw[1]
    return np.array([[x, 0.0, -crop.left], [0.0, y, -crop.top], [0.0, 0.0, 1.0]])


def _cut(image: Image, crop: Crop) -> Image:
    resized = cv2.resize(image, crop.resized_hw[::-1], interpolation=cv2.INTER_LINEAR)
    out = np.zeros((*crop.out_hw, *image.shape[2:]), np.uint8)
    rows, columns = (
        slice(max(0, start), max(0, min(size, start + length)))
        for start, length, size in zip((crop.top, crop.left), crop.out_hw, crop.resized_hw, strict=True)
    )
    part = resized[rows, columns]
    top, left = rows.start - crop.top, columns.start - crop.left
    out[top : top + part.shape[0], left : left + part.shape[1]] = part
    return out
