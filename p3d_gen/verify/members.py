"""Checks of a sample's members. They are looked at before they are decoded, so that none can fill the memory."""

from __future__ import annotations

import json
import math
import zipfile
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

array_format: Any = np.lib.format  # which has no types

Decoded = dict[str, NDArray[Any]]

_MODES = {1: "L", 3: "RGB", 4: "RGBA"}
# member -> how many channels its picture may have
_PICTURES = {
    "jpg": (3,),
    "png": (3,),
    "mask.png": (1,),
    "amodal.png": (1,),
    "occluders.png": (1,),
    "parts.png": (1,),
    "render.png": (4,),
    "edges.png": (1, 3),
    "stylized.png": (3,),
    "stylized.jpg": (3,),
}
_MASKS = ("mask.png", "amodal.png", "occluders.png")
# member -> its array, the type, and the lengths of the axes that follow the picture's two
_MAPS: dict[str, tuple[str, str, tuple[int, ...]]] = {
    "depth.npz": ("depth", "float32", ()),
    "normals.npz": ("normals", "int16", (3,)),
    "nocs.npz": ("nocs", "uint16", (3,)),
}
JSON_MEMBERS = ("json", "stylize.json")
KNOWN_MEMBERS = (*_PICTURES, *_MAPS, "cuboid.npz", *JSON_MEMBERS)
_LARGEST_JSON = 2**20
_MOST_CUBOID_VERTICES = 100_000


def _picture(member: str, content: bytes, hw: tuple[int, int]) -> NDArray[np.uint8]:
    with Image.open(BytesIO(content), formats=["JPEG" if member.endswith("jpg") else "PNG"]) as picture:
        if picture.size != hw[::-1]:
            raise ValueError(f"it is {picture.height} x {picture.width} pixels, {hw[0]} x {hw[1]} are expected")
        if picture.mode not in [_MODES[channels] for channels in _PICTURES[member]]:
            raise ValueError(f"its mode is {picture.mode}")
        pixels = np.array(picture)
    if member in _MASKS and not np.isin(pixels, (0, 255)).all():
        raise ValueError("it has values other than 0 and 255")
    return pixels


def _arrays(content: bytes, expected: dict[str, tuple[str, tuple[int, ...]]]) -> Decoded:
    """Return the arrays of an npz. expected: name -> type and shape, of which a length of -1 may be anything."""
    arrays = {}
    with zipfile.ZipFile(BytesIO(content)) as archive:
        if sorted(archive.namelist()) != sorted(f"{name}.npy" for name in expected):
            raise ValueError(f"it holds {archive.namelist()[:8]}, {sorted(expected)} are expected")
        for name, (kind, shape) in expected.items():
            with archive.open(f"{name}.npy") as file:
                array_format.read_magic(file)
                there, _, dtype = array_format.read_array_header_1_0(file)
            fits = len(there) == len(shape) and all(b in (-1, a) for a, b in zip(there, shape, strict=True))
            if dtype != np.dtype(kind) or not fits or (math.prod(there) > _MOST_CUBOID_VERTICES and -1 in shape):
                raise ValueError(f"{name} is {dtype} {there}, {kind} {shape} is expected")
            with archive.open(f"{name}.npy") as file:
                arrays[name] = array_format.read_array(file, allow_pickle=False)
    return arrays


def _map(member: str, content: bytes, hw: tuple[int, int]) -> NDArray[Any]:
    name, kind, more = _MAPS[member]
    values = _arrays(content, {name: (kind, (*hw, *more))})[name]
    if member == "depth.npz" and not (np.isfinite(values) & (values >= 0)).all():
        raise ValueError("it holds values below 0, infinite ones or NaN")
    return values


def _no_constant(word: str) -> None:
    raise ValueError(f"it holds {word}, which is not JSON")


def read_json(content: bytes) -> dict[str, Any]:
    """Return the object of a JSON member; ValueError if it is not one."""
    if len(content) > _LARGEST_JSON:
        raise ValueError(f"it has {len(content)} bytes, more than labels have")
    value = json.loads(content, parse_constant=_no_constant)
    if not isinstance(value, dict) or not value:
        raise ValueError("it is not a JSON object with labels")
    return value


def decode(member: str, content: bytes, hw: tuple[int, int]) -> NDArray[Any]:
    """Return the array of a member other than JSON and cuboids, for a picture of that height and width.

    ValueError names the fault; damaged bytes raise any error of their decoder.
    """
    return _picture(member, content, hw) if member in _PICTURES else _map(member, content, hw)


def decode_cuboid(content: bytes) -> Decoded:
    """Return the arrays `pixels` (R, 2) and `visible` (R,) of a cuboid member."""
    return _arrays(content, {"pixels": ("float32", (-1, 2)), "visible": ("bool", (-1,))})
