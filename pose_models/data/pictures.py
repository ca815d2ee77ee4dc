"""Pictures of benchmarks, read as their annotators' tools read them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from p3d_gen.core.errors import DataError
from pose_models.data.sample import Image


def read_picture(path: Path) -> Image:
    """Read the pixels (H, W, 3), RGB, as they are stored.

    A turn in the EXIF data is ignored, because labels count stored pixels. ValueError naming the file if it is missing
    or not a picture.
    """
    image = cv2.imread(str(path), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if image is None:
        state = (
            "is not a readable picture: download it again"
            if path.exists()
            else "is missing: download it, or correct the list"
        )
        raise DataError(f"{path} {state}")
    return np.ascontiguousarray(image[..., ::-1])


def read_mask(path: Path, image_hw: tuple[int, int]) -> Image:
    """Read a mask (H, W): 255 where the stored grey value is 128 or more.

    ValueError if it is missing, not a picture, or of another size than the image.
    """
    mask = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION)
    if mask is None:
        raise DataError(f"{path} is not a readable mask: give a grey PNG, white on the object")
    if mask.shape != image_hw:
        raise DataError(f"{path} has {mask.shape} pixels, its image {image_hw}: mask and image must fit")
    return np.where(mask >= 128, np.uint8(255), np.uint8(0))
