"""Encoding and decoding of a sample's members. Encoders give the same bytes for the same pixels, always."""

from __future__ import annotations

import zipfile
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_PNG_LEVEL = 4


def encode_png(pixels: NDArray[np.uint8]) -> bytes:
    """Pixels (H, W), (H, W, 3) or (H, W, 4) as PNG without time stamps."""
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=_PNG_LEVEL)
    return buffer.getvalue()


def encode_jpeg(pixels: NDArray[np.uint8], quality: int) -> bytes:
    """Pixels (H, W, 3) as JPEG without chroma subsampling."""
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality, subsampling=0)
    return buffer.getvalue()


def mask_bytes(mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """A mask as 8-bit pixels, 0 or 255."""
    return mask.astype(np.uint8) * np.uint8(255)


def decode_image(content: bytes) -> NDArray[np.uint8]:
    """The pixels of a PNG or JPEG as they are stored."""
    with Image.open(BytesIO(content)) as picture:
        return np.array(picture)


def encode_npz(**arrays: NDArray[Any]) -> bytes:
    """Arrays as a compressed npz whose bytes do not depend on the clock."""
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            content = BytesIO()
            np.save(content, array, allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), content.getvalue(), zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def decode_npz(content: bytes) -> dict[str, NDArray[Any]]:
    """The arrays of an npz."""
    with np.load(BytesIO(content)) as arrays:
        return dict(arrays)
