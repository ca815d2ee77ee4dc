"""The files that a CAD model refers to: they are looked at before Blender opens them.

Blender waits for ever at a pipe, and reads a device until the memory is full.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from p3d_gen.core.gltf import gltf_json

_LIBRARIES = re.compile(rb"^\s*mtllib\s+(.+)", re.MULTILINE)
_PICTURES = re.compile(rb"^\s*(?:map_|bump|disp|decal|norm|refl)\w*\s+(.+)", re.MULTILINE | re.IGNORECASE)
_DAE_PICTURES = re.compile(rb"<init_from>(?:\s*<ref>)?\s*([^<>]+?)\s*<")
# Binary files write the length of a text before it, others the text in quotation marks.
_FBX_PICTURES = re.compile(rb'(?:RelativeFilename|File[nN]ame)(?:S....|: ")([^\0-\x1f"]{1,4096})', re.DOTALL)


def is_plain(path: Path) -> bool:
    """Return False if something else than a file stands at a path; True if nothing does."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except (OSError, ValueError):
        return True


def is_below(path: Path, folder: Path) -> bool:
    """Return True if a path leads into a folder: by its name, so that links in the folder count, or in fact."""
    named = Path(os.path.normpath(path.absolute())).is_relative_to(os.path.normpath(folder.absolute()))
    return named or path.resolve().is_relative_to(folder.resolve())


def _named(path: Path, keywords: re.Pattern[bytes]) -> Iterator[str]:
    """Yield all that the lines with these keywords may name: names may hold spaces, and options stand before them."""
    for line in keywords.findall(path.read_bytes()) if path.exists() and is_plain(path) else ():
        words = line.decode(errors="replace").split()
        yield from (" ".join(words[n:]).strip("\"'") for n in range(len(words)))


def _of_obj(path: Path) -> Iterator[Path]:
    for name in _named(path, _LIBRARIES):
        library = path.parent / name
        yield library
        for picture in _named(library, _PICTURES):
            yield from (path.parent / picture, path.parent / picture.replace("\\", "/").split("/")[-1])


def _of_gltf(path: Path) -> Iterator[Path]:
    try:
        data = gltf_json(path)
        addresses = [item["uri"] for key in ("buffers", "images") for item in data.get(key, ()) if "uri" in item]
        names = [unquote(address) for address in addresses if not address.startswith("data:")]
    except (ValueError, TypeError, AttributeError, KeyError, OSError):
        return  # the importer says what is wrong with it
    yield from (path.parent / name for name in names)


def _of_scene(path: Path) -> Iterator[Path]:
    """Yield what a DAE or FBX file names as its pictures, beside it and where it says."""
    content = path.read_bytes()
    for name in _DAE_PICTURES.findall(content) if path.suffix.lower() == ".dae" else _FBX_PICTURES.findall(content):
        text = unquote(name.decode(errors="replace")).replace("\\", "/").removeprefix("file://")
        yield from (path.parent / text, path.parent / text.split("/")[-1])


_READERS = {".obj": _of_obj, ".gltf": _of_gltf, ".glb": _of_gltf, ".dae": _of_scene, ".fbx": _of_scene}


def check_references(path: Path) -> None:
    """Raise ValueError if a model, or what an OBJ, glTF, DAE or FBX file names, is a pipe or a device."""
    read = _READERS.get(path.suffix.lower())
    if not is_plain(path):
        raise ValueError("it is not a file, but a pipe, a device or a folder")
    for file in read(path) if read else ():
        if not is_plain(file) and not file.is_dir():
            raise ValueError(f"it refers to {str(file)!r}, which is a pipe or a device: put a file there, or nothing")
