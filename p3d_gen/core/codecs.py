"""Encoding and decoding of a sample's members. Encoders give the same bytes for the same pixels, always."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

# Higher levels take twice the time and save a tenth of the bytes.
_PNG_LEVEL = 2
_NPZ_LEVEL = 1
# The number of pixels of the largest picture that a manifest may ask for.
_MOST_PIXELS = 8192 * 8192
_MOST_NPZ_BYTES = 8 * _MOST_PIXELS


def encode_png(pixels: NDArray[np.uint8]) -> bytes:
    """Encode pixels (H, W), (H, W, 3) or (H, W, 4) as PNG without time stamps."""
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=_PNG_LEVEL)
    return buffer.getvalue()


def encode_jpeg(pixels: NDArray[np.uint8], quality: int) -> bytes:
    """Encode pixels (H, W, 3) as JPEG without chroma subsampling."""
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality, subsampling=0)
    return buffer.getvalue()


def mask_bytes(mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return a mask as 8-bit pixels, 0 or 255."""
    return mask.astype(np.uint8) * np.uint8(255)


@contextmanager
def _opened(content: bytes) -> Iterator[Image.Image]:
    """Open a PNG or JPEG. Raise ValueError if it is neither, damaged, or larger than any run makes.

    Damage may only show when the picture is used. The size is limited because a small file can fill the memory.
    """
    try:
        with Image.open(BytesIO(content), formats=["PNG", "JPEG"]) as picture:
            if picture.width * picture.height > _MOST_PIXELS:
                raise ValueError(f"{picture.width} x {picture.height} pixels are more than any run makes")
            yield picture
    except (OSError, SyntaxError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ValueError(f"not a valid PNG or JPEG (truncated or corrupt): {error}") from error


def decode_image(content: bytes) -> NDArray[np.uint8]:
    """Return the stored pixels of a PNG or JPEG. Raise ValueError if it is neither, damaged or too large for a run."""
    with _opened(content) as picture:
        return np.array(picture)


def decode_alpha(content: bytes) -> NDArray[np.uint8]:
    """Return the alpha (H, W) of an RGBA PNG. Raise ValueError as `decode_image` does, and if there is no alpha."""
    with _opened(content) as picture:
        return np.array(picture.getchannel("A"))


def encode_npz(**arrays: NDArray[Any]) -> bytes:
    """Encode arrays as a compressed npz whose bytes do not depend on the clock."""
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=_NPZ_LEVEL) as archive:
        for name, array in arrays.items():
            content = BytesIO()
            np.save(content, array, allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), content.getvalue(), zipfile.ZIP_DEFLATED, _NPZ_LEVEL)
    return buffer.getvalue()


def decode_npz(content: bytes) -> dict[str, NDArray[Any]]:
    """Return the arrays of an npz. Raise ValueError if it is not an npz, damaged, or too large for a run."""
    try:
        with zipfile.ZipFile(BytesIO(content)) as archive:
            size = sum(info.file_size for info in archive.infolist())
        if size > _MOST_NPZ_BYTES:
            raise ValueError(f"the .npz file unpacks to {size} bytes, more than any run makes")
        with np.load(BytesIO(content), allow_pickle=False) as arrays:
            return dict(arrays)
    except (OSError, EOFError, MemoryError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"not a valid .npz file (truncated or corrupt): {error}") from error


def encode_normals(normals: NDArray[np.float32], mask: NDArray[np.bool_]) -> bytes:
    """Encode unit vectors (H, W, 3) as npz `normals`, int16: 32767 stands for 1; 0 outside the mask."""
    length = np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-6)
    return encode_npz(normals=np.where(mask[..., None], np.rint(normals / length * 32767), 0).astype(np.int16))


def decode_normals(content: bytes) -> NDArray[np.float32]:
    """Return the unit vectors (H, W, 3) of `encode_normals`; 0 outside the object."""
    return np.asarray(decode_npz(content)["normals"] / np.float32(32767), dtype=np.float32)


def encode_nocs(nocs: NDArray[np.float32], mask: NDArray[np.bool_]) -> bytes:
    """Encode object coordinates (H, W, 3) in [0, 1] as npz `nocs`, uint16: 65535 stands for 1; 0 outside the mask."""
    clipped = np.clip(nocs, 0.0, 1.0)
    return encode_npz(nocs=np.where(mask[..., None], np.rint(clipped * 65535), 0).astype(np.uint16))


def decode_nocs(content: bytes) -> NDArray[np.float32]:
    """Return the object coordinates (H, W, 3) of `encode_nocs`; 0 outside the object."""
    return np.asarray(decode_npz(content)["nocs"] / np.float32(65535), dtype=np.float32)
