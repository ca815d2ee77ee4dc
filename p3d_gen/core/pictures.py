"""The reader of pictures that users give: photographs, backgrounds, textures, masks and cut-outs.

The members of shards are decoded by `p3d_gen.core.codecs`. Here the files are of other people, so the rules are:

- Only regular files are opened, never a pipe or a device.
- Colours become 8-bit RGB. 16-bit pictures keep the upper byte. White is 1.0 in pictures of floats.
- A picture that is cut short, damaged, or larger than `MOST_PIXELS` is refused by its name.
- `upright` says if a turn in the EXIF data counts: yes for photographs, no where labels count the stored pixels.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image

from p3d_gen.core.errors import DataError
from p3d_gen.core.types import Picture

MOST_PIXELS = 2**28  # the largest sensors of telephones have 200 million
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "PPM", "JPEG2000", "AVIF")
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_INVERSE = {6: 8, 8: 6}


def _regular_file(path: Path) -> BinaryIO:
    """Open a file for reading. ValueError if it is a pipe, a device or a folder, which may block or never end."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ValueError("it is not a regular file")
    return os.fdopen(descriptor, "rb")


def _recognised(file: BinaryIO) -> Image.Image:
    """Open a picture of one of the formats. ValueError if it is of none, or too large.

    `Image.open` refuses and warns by its own limit, which is a variable of the whole process.
    """
    start = file.read(16)
    if any(name not in Image.OPEN for name in _FORMATS):
        Image.init()
    for name in _FORMATS:
        factory, accepts = Image.OPEN.get(name, (None, None))
        if factory and accepts and accepts(start) is True:
            file.seek(0)
            picture = factory(file, "")
            if picture.width * picture.height > MOST_PIXELS:
                raise ValueError(f"{picture.width} x {picture.height} pixels are more than {MOST_PIXELS}, the limit")
            return picture
    raise ValueError(f"it is none of {', '.join(_FORMATS)}")


@contextmanager
def _naming(name: Path | str) -> Iterator[None]:
    """Raise DataError that names the picture if the block cannot read it."""
    try:
        yield
    except FileNotFoundError:
        raise DataError(f"{name}: no such file; put the picture there, or correct the name") from None
    except Exception as error:  # decoders raise whatever a broken file leads to
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise DataError(f"{name} is not a readable picture: {reason}; replace it or remove it") from error


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    with _naming(path), _regular_file(path) as file, _recognised(file) as picture:
        yield picture


def _orientation(picture: Image.Image) -> int:
    """Return the turn that the EXIF data ask for; 1, for none, if they cannot be read."""
    try:
        return int(picture.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # damaged EXIF data are no reason to refuse the picture
        return 1


def _turned(picture: Image.Image, upright: bool) -> Image.Image:
    """Return the picture as it is shown if `upright`, else as it is stored."""
    orientation, is_turned = _orientation(picture), picture.format == "TIFF"  # Pillow turns TIFF when it loads it
    picture.load()
    if upright == is_turned or orientation not in _TURNS:
        return picture
    return picture.transpose(_TURNS[orientation if upright else _INVERSE.get(orientation, orientation)])


def _levels(picture: Image.Image) -> Image.Image:
    """Return a picture of more than 8 bits in 8 bits, others as they are. ValueError if its white is not known."""
    if picture.mode.startswith("I;16") or (picture.mode == "I" and picture.format in ("PNG", "PPM")):
        return Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
    if picture.mode == "I":
        raise ValueError("its pixels are whole numbers of 32 bits, whose white is not known; save it with 8 bits")
    if picture.mode == "F":
        values = np.asarray(picture)
        if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1):
            raise ValueError("its pixels are floats that are not all between 0 and 1; save it with 8 bits")
        return Image.fromarray(np.rint(values * 255).astype(np.uint8))
    return picture


def _pixels(picture: Image.Image, mode: str, upright: bool) -> Picture:
    turned = _turned(picture, upright)
    turned.format = picture.format
    return np.array(_levels(turned).convert(mode))


def rgb_pixels(picture: Image.Image, *, upright: bool) -> Picture:
    """Return the pixels (H, W, 3) RGB of an opened picture. DataError as `read_picture`."""
    with _naming(getattr(picture, "filename", "") or "the given picture"):
        return _pixels(picture, "RGB", upright)


def decode_picture(content: bytes, name: str, *, upright: bool) -> Picture:
    """Return the pixels (H, W, 3) RGB of a file's content. DataError with `name` as `read_picture`."""
    with _naming(name), BytesIO(content) as file, _recognised(file) as picture:
        return _pixels(picture, "RGB", upright)


def read_picture(path: Path, *, upright: bool) -> Picture:
    """Return the pixels (H, W, 3) RGB of a file.

    upright: turn it as its EXIF data say; if False, the pixels are those that are stored. DataError naming the file if
    it is missing, not a picture, cut short, too large, or of numbers whose white is not known.
    """
    with _opened(path) as picture:
        return _pixels(picture, "RGB", upright)


def read_cutout(path: Path) -> Picture:
    """Return the pixels (H, W, 4) RGBA of a file, upright. DataError as `read_picture`, and if it has no alpha."""
    with _opened(path) as picture:
        if not picture.has_transparency_data:
            raise ValueError("it has no transparency")
        return _pixels(picture, "RGBA", upright=True)


def check_picture(path: Path) -> None:
    """Raise DataError as `read_picture` if a file cannot be decoded to its end; its levels may be any."""
    with _opened(path) as picture:
        picture.load()
