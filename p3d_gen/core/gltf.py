"""The JSON part of glTF and GLB files, which is read without anything else of them."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

_HEADER = struct.Struct("<4sIIII")
_MAGIC = b"glTF"
_MOST_BYTES = 2**28  # of JSON text


def gltf_json(path: Path) -> dict[str, Any]:
    """Return the JSON of a .gltf or .glb file. ValueError if it is not one, or damaged."""
    with path.open("rb") as file:
        start = file.read(_HEADER.size)
        if start.startswith(_MAGIC):
            if len(start) < _HEADER.size:
                raise ValueError("it is cut short")
            content = file.read(min(_HEADER.unpack(start)[3], _MOST_BYTES))
        else:
            content = start + file.read(_MOST_BYTES)
    try:
        data = json.loads(content)
    except RecursionError:
        raise ValueError("its JSON is nested too deeply") from None
    if not isinstance(data, dict):
        raise ValueError("its JSON is not an object")
    return data
