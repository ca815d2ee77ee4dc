"""cars3d: real photographs of cars, cropped to their box, with their rotation."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from pose_models.data.sample import PoseSample

Cars3dSplit = Literal["train", "val"]
SPLITS: dict[Cars3dSplit, tuple[int, int]] = {"train": (1, 3000), "val": (3001, 4000)}


def cars3d_samples(folder: Path, split: Cars3dSplit, limit: int | None = None) -> Iterator[PoseSample]:
    """The first `limit` samples of the fixed split: file numbers 1 to 3000 are `train`, 3001 to 4000 are `val`.

    Only rotations are known: translation and K are NaN, the box is the whole image, there is no mask.
    ValueError naming the file where annotations or an image cannot be read.
    """
    path = folder / "annotations.json"
    try:
        annotations = json.loads(path.read_text())
    except (OSError, json.JSONDecodeError) as error:
        raise ValueError(f"cannot read {path}: {error}; --cars3d takes the folder with annotations.json") from error
    first, last = SPLITS[split]
    names = sorted(name for name in annotations if first <= int(Path(name).stem) <= last)
    for name in names[:limit]:
        image = cv2.imread(str(folder / "images" / name))
        if image is None:
            raise ValueError(f"cannot read image {folder / 'images' / name}")
        pose = np.full((4, 4), np.nan)
        pose[:3, :3] = annotations[name]["R_cam_obj_opencv"]
        pose[3] = [0.0, 0.0, 0.0, 1.0]
        yield PoseSample(
            key=f"cars3d-{Path(name).stem}",
            category="car",
            image=np.ascontiguousarray(image[..., ::-1]),
            mask=None,
            cam_T_obj=pose,
            K=np.full((3, 3), np.nan),
            box_xyxy=(0.0, 0.0, float(image.shape[1]), float(image.shape[0])),
        )
