"""cars3d: real photographs of cars, cropped to their box, with their rotation."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np

from p3d_gen.core.errors import DataError
from p3d_gen.core.pictures import read_picture
from pose_models.data.sample import PoseSample

Cars3dSplit = Literal["train", "val"]
SPLITS: dict[Cars3dSplit, tuple[int, int]] = {"train": (1, 3000), "val": (3001, 4000)}


def cars3d_samples(folder: Path, split: Cars3dSplit, limit: int | None = None) -> Iterator[PoseSample]:
    """Yield the first `limit` samples of the fixed split: file numbers 1 to 3000 are `train`, 3001 to 4000 are `val`.

    Only rotations are known: translation and K are NaN, the box is the whole image, there is no mask. ValueError naming
    the file where annotations or an image cannot be read.
    """
    path = folder / "annotations.json"
    first, last = SPLITS[split]
    try:
        annotations = json.loads(path.read_text())
        rotations = {name: annotation["R_cam_obj_opencv"] for name, annotation in annotations.items()}
        names = sorted(name for name in rotations if first <= int(Path(name).stem) <= last)
    except (OSError, json.JSONDecodeError) as error:
        raise DataError(f"cannot read {path}: {error}; give the folder of `pose-models convert cars3d`") from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path} is not a file of `pose-models convert cars3d`: {error!r}; make it again") from error
    for name in names[:limit]:
        image = read_picture(folder / "images" / name, upright=False)
        pose = np.full((4, 4), np.nan)
        pose[:3, :3] = rotations[name]
        pose[3] = [0.0, 0.0, 0.0, 1.0]
        yield PoseSample(
            key=f"cars3d-{Path(name).stem}",
            category="car",
            image=image,
            mask=None,
            cam_T_obj=pose,
            K=np.full((3, 3), np.nan),
            box_xyxy=(0.0, 0.0, float(image.shape[1]), float(image.shape[0])),
        )
