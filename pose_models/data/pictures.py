"""Masks of benchmarks; their pictures are read by `p3d_gen.core.pictures`."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from p3d_gen.core.errors import DataError
from p3d_gen.core.pictures import read_picture
from pose_models.data.sample import Image


def read_mask(path: Path, image_hw: tuple[int, int]) -> Image:
    """Read a mask (H, W), as it is stored: 255 where the grey value is 128 or more.

    DataError if it is missing, not a picture, or of another size than the image.
    """
    try:
        mask = cv2.cvtColor(read_picture(path, upright=False), cv2.COLOR_RGB2GRAY)
    except DataError as error:
        raise DataError(f"{error}; a mask is a grey PNG, white on the object") from error
    if mask.shape != image_hw:
        raise DataError(f"{path} has {mask.shape} pixels, its image {image_hw}: mask and image must fit")
    return np.where(mask >= 128, np.uint8(255), np.uint8(0))
