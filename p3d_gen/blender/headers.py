"""The start of CAD files, read before Blender does: axes and units of FBX and DAE, and glTF that it cannot read."""

from __future__ import annotations

import math
import re
import struct
from pathlib import Path

from p3d_gen.core.gltf import gltf_json

_FBX_UP = re.compile(rb"S\x06\0\0\0UpAxisS\x03\0\0\0intS\x07\0\0\0IntegerS\0\0\0\0I(.{4})", re.DOTALL)
_FBX_UNIT = re.compile(rb"UnitScaleFactorS\x06\0\0\0doubleS\x06\0\0\0NumberS\0\0\0\0D(.{8})", re.DOTALL)
_FBX_TEXT_UNIT = re.compile(rb'"UnitScaleFactor",[^,\n]*,[^,\n]*,[^,\n]*,\s*([-+.\deE]+)')
_DAE_UNIT = re.compile(rb"<unit\b[^>]*\bmeter\s*=")
_CM = 0.01
_FBX_TEXT_UP = re.compile(rb'"UpAxis",[^,\n]*,[^,\n]*,[^,\n]*,\s*(\d)')
_DAE_UP = re.compile(rb"<up_axis>\s*([XYZ])_UP\s*</up_axis>")
_DAE_DEFAULT = b"Y"  # what the standard of COLLADA says
# Extensions that Blender's importer does not know, and the command that rewrites a file without them.
_CONVERSIONS = {
    "EXT_meshopt_compression": "gltf-transform copy {name} plain-{name}",
    "KHR_meshopt_compression": "gltf-transform copy {name} plain-{name}",
    "KHR_texture_basisu": "gltf-transform ktxdecompress {name} plain-{name}",
}


def is_y_up(path: Path) -> bool:
    """Return True if an FBX or DAE file says that y is up, and for one that says nothing."""
    content = path.read_bytes()
    if path.suffix.lower() == ".dae":
        stated = _DAE_UP.search(content)
        return (stated[1] if stated else _DAE_DEFAULT) == b"Y"
    if binary := _FBX_UP.search(content):
        return int.from_bytes(binary[1], "little") == 1
    text = _FBX_TEXT_UP.search(content)
    return text is None or text[1] == b"1"


def fbx_unit_m(path: Path) -> float | None:
    """Return the metres that 1 in an FBX file means, None if it does not say that."""
    content = path.read_bytes()
    if binary := _FBX_UNIT.search(content):
        scale: float = struct.unpack("<d", binary[1])[0]
    else:
        text = _FBX_TEXT_UNIT.search(content)
        scale = float(text[1]) if text else 0.0
    return scale * _CM if 0.0 < scale < math.inf else None


def has_unit(path: Path) -> bool:
    """Return True if a DAE file says how long 1 in it is."""
    return _DAE_UNIT.search(path.read_bytes()) is not None


def check_extensions(path: Path) -> None:
    """Raise ValueError if a glTF file is compressed in a way that Blender cannot read, with a way to convert it."""
    try:
        data = gltf_json(path)
        used = {*data.get("extensionsRequired", ())}
    except (ValueError, TypeError, OSError):
        return  # the importer says what is wrong with it
    for name, command in _CONVERSIONS.items():
        if name in used:
            raise ValueError(
                f"it needs the glTF extension {name}, which Blender cannot read: write it without, by "
                f"`{command.format(name=path.name)}` of https://gltf-transform.dev, or by the program that made it"
            )
