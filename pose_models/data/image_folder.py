"""Pictures without any label, one folder for each category: FOLDER/CATEGORY/*.jpg."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from p3d_gen.core.errors import DataError
from p3d_gen.core.folders import visible
from p3d_gen.core.pictures import read_picture
from pose_models.data.augment import IMAGE_SUFFIXES
from pose_models.data.sample import PoseSample


def image_folder(folder: Path) -> tuple[tuple[str, ...], Callable[[str], Iterator[PoseSample]]]:
    """Open a folder: its categories, and the reader of a category's samples in the order of their names.

    An object's box is its whole picture: cut photographs before; pose and K are NaN. The key is the file's name without
    its suffix. Names that begin with a dot are passed over. DataError naming folder or file if there is no picture, or
    one cannot be read.
    """
    folders = sorted(folder.iterdir()) if folder.is_dir() else []
    pictures_of = {path.name: _pictures(path) for path in folders if path.is_dir() and not path.name.startswith(".")}
    if not any(pictures_of.values()):
        raise DataError(
            f"{folder} holds no CATEGORY/picture ({', '.join(IMAGE_SUFFIXES)}): put pictures into such folders"
        )
    return tuple(name for name, pictures in pictures_of.items() if pictures), lambda name: map(
        _sample, pictures_of[name]
    )


def _pictures(folder: Path) -> list[Path]:
    return visible(folder.iterdir(), folder, IMAGE_SUFFIXES)


def _sample(path: Path) -> PoseSample:
    image = read_picture(path, upright=True)
    pose = np.full((4, 4), np.nan)
    pose[3] = 0.0, 0.0, 0.0, 1.0
    return PoseSample(
        key=path.stem,
        category=path.parent.name,
        image=image,
        mask=None,
        cam_T_obj=pose,
        K=np.full((3, 3), np.nan),
        box_xyxy=(0.0, 0.0, float(image.shape[1]), float(image.shape[0])),
    )
