"""Looks that OFF, PLY and STL files hold and that are not read: they are named, so that none is lost in silence."""

from __future__ import annotations

import mmap
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from p3d_gen.run.mesh_text import STL_FACET, STL_HEAD, off_rows

_END_BYTES = 4096  # of a file, which hold its first vertices and its last face
_TEXTURE = re.compile(rb"^comment\s+TextureFile\s+(.+?)\s*$", re.MULTILINE)
_FACE_COLOURS = re.compile(
    rb"^element face\b[^\n]*\n(?:property[^\n]*\n)*?property \w+ (?:red|diffuse_red|r)\b", re.MULTILINE
)


def _of_off(content: mmap.mmap) -> Iterator[str]:
    first = content[:_END_BYTES] if len(content) <= _END_BYTES else content[:_END_BYTES].rpartition(b"\n")[0]
    rows, kind = off_rows(first), first.partition(b"OFF")[0]
    numbers = 3 + (3 if b"N" in kind else 0) + (2 if b"ST" in kind else 0)
    if len(rows) > 1 and len(rows[1][1]) > numbers:
        yield "the colours of its vertices are not kept: convert it to PLY"
    face = content[-_END_BYTES:].rstrip().rpartition(b"\n")[2].partition(b"#")[0].split()
    if len(face) > int(face[0]) + 1:
        yield "the colours of its faces are not kept: convert it to PLY with colours of vertices"


def _of_ply(content: mmap.mmap) -> Iterator[str]:
    head = content[: content.find(b"end_header")].replace(b"\r", b"")
    for name in _TEXTURE.findall(head):
        yield f"its picture {name.decode(errors='replace')!r} is not kept: convert it to OBJ or GLB"
    if _FACE_COLOURS.search(head):
        yield "the colours of its faces are not kept: give them to its vertices"


def _of_stl(content: mmap.mmap) -> Iterator[str]:
    facets = content[STL_HEAD:]
    if len(facets) != STL_FACET * int.from_bytes(content[STL_HEAD - 4 : STL_HEAD], "little"):
        return  # a text, which has no colours
    if b"COLOR=" in content[:STL_HEAD] or np.frombuffer(facets, np.uint8).reshape(-1, STL_FACET)[:, -2:].any():
        yield "its colours are not kept: convert it to PLY with colours of vertices"


_KINDS = {".off": _of_off, ".ply": _of_ply, ".stl": _of_stl}


def unread_looks(path: Path) -> tuple[str, ...]:
    """Return a line about each look that a valid OFF, PLY or STL file holds and that is not read."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return tuple(_KINDS[path.suffix.lower()](content))
