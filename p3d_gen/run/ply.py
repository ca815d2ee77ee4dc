"""The structure of PLY files: what is there is compared with what the header promises, and mixed faces are read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from p3d_gen.core.types import Array
from p3d_gen.run.mesh_text import CUT_SHORT, check_numbers

_TYPES = {
    "char": "i1",
    "uchar": "u1",
    "short": "i2",
    "ushort": "u2",
    "int": "i4",
    "uint": "u4",
    "int8": "i1",
    "uint8": "u1",
    "int16": "i2",
    "uint16": "u2",
    "int32": "i4",
    "uint32": "u4",
    "int64": "i8",
    "uint64": "u8",
    "float": "f4",
    "float16": "f2",
    "float32": "f4",
    "float64": "f8",
    "double": "f8",
}
_CORNERS = ("vertex_index", "vertex_indices")
_END = b"end_header"


@dataclass(frozen=True, kw_only=True)
class _Property:
    """A property of an element: a number of type `dtype`, or a list of such whose length has the type `length`."""

    name: str
    dtype: np.dtype[Any]
    length: np.dtype[Any] | None = None


@dataclass(frozen=True, kw_only=True)
class _Element:
    """A table of a file: `count` rows, whose columns are `properties`."""

    name: str
    count: int
    properties: list[_Property]

    def incomplete(self, count: int) -> ValueError:
        """Return the error of a file that ends after `count` rows of this element."""
        return ValueError(f"it promises {self.count} rows of {self.name!r} and has {count}: {CUT_SHORT}")


@dataclass(frozen=True, kw_only=True)
class _Ply:
    """A file whose header is parsed. lines: the number of lines of its header."""

    encoding: str
    elements: list[_Element]
    body: bytes
    lines: int


def _parsed(content: bytes) -> _Ply:
    """Return a file with its header parsed. ValueError names the line that cannot be used."""
    head, end, rest = content.partition(_END)
    if not end or b"\n" not in rest:
        raise ValueError(f"its header has no end: {CUT_SHORT}")
    encoding, order, elements = "", "<", list[_Element]()
    lines = head.decode("utf-8", errors="replace").splitlines()
    for number, line in enumerate(lines, start=1):
        try:
            match line.split():
                case ["format", encoding, *_]:
                    order = ">" if "big" in encoding else "<"
                case ["element", name, count]:
                    elements.append(_Element(name=name, count=int(count), properties=[]))
                case ["property", "list", length, dtype, name]:
                    item, size = (np.dtype(order + _TYPES[each]) for each in (dtype, length))
                    elements[-1].properties.append(_Property(name=name, dtype=item, length=size))
                case ["property", dtype, name]:
                    elements[-1].properties.append(_Property(name=name, dtype=np.dtype(order + _TYPES[dtype])))
                case ["element" | "property", *_]:
                    raise ValueError
        except (ValueError, KeyError, IndexError):
            raise ValueError(f"line {number}: {line!r} is not a line of a PLY header: export the file again") from None
    return _Ply(encoding=encoding, elements=elements, body=rest.partition(b"\n")[2], lines=len(lines) + 1)


def _check_row(number: int, row: bytes, element: _Element) -> None:
    words = row.split()
    end, points = 0, []
    for column in element.properties:
        if column.name in ("x", "y", "z"):
            points += words[end : end + 1]
        if column.length is not None:
            check_numbers(number, words, words[end : end + 1], least=1)
            end += max(int(float(words[end])), 0)
        end += 1
    if end > len(words):
        raise ValueError(f"line {number}: it has {len(words)} numbers, {end} are promised: {CUT_SHORT}")
    check_numbers(number, words, points, least=0)
    check_numbers(number, words, words[:end], least=0, finite=False)


def _check_text(ply: _Ply) -> None:
    """Raise ValueError if a file of the format ASCII lacks rows or numbers; a normal may be "nan"."""
    rows, start = ply.body.splitlines(), 0
    for element in ply.elements:
        own = rows[start : start + element.count]
        if len(own) < element.count:
            raise element.incomplete(len(own))
        for number, row in enumerate(own, start=ply.lines + start + 1):
            _check_row(number, row, element)
        start += element.count


@dataclass
class _Body:
    """The rest of a binary file, read from `start` on."""

    content: bytes
    start: int = 0

    def take(self, dtype: np.dtype[Any], count: int, element: _Element, row: int) -> NDArray[Any]:
        """Return the next `count` values. ValueError, with the number of this row, if the file ends before them."""
        size = count * dtype.itemsize
        if count < 0 or len(self.content) - self.start < size:
            raise element.incomplete(row)
        values = np.frombuffer(self.content, dtype, count, self.start)
        self.start += size
        return values

    def row(self, element: _Element, row: int) -> list[NDArray[Any]]:
        """Return the values of each property of the next row."""
        return [
            self.take(
                column.dtype,
                1 if column.length is None else int(self.take(column.length, 1, element, row)[0]),
                element,
                row,
            )
            for column in element.properties
        ]


def _even_rows(body: _Body, element: _Element) -> NDArray[Any] | None:
    """Return the rows of an element, if each list has the same length in all of them; else None, and none are taken."""
    start = body.start
    first = body.row(element, 0)
    body.start = start
    fields: list[tuple[str, np.dtype[Any], tuple[int, ...]]] = []
    for column, values in zip(element.properties, first, strict=True):
        if column.length is not None:
            fields.append((f"length of {column.name}", column.length, ()))
        fields.append((column.name, column.dtype, (len(values),) if column.length is not None else ()))
    dtype = np.dtype(fields)
    if len(body.content) - start < element.count * dtype.itemsize:
        return None
    rows = body.take(dtype, element.count, element, 0)
    for column, values in zip(element.properties, first, strict=True):
        if column.length is not None and (rows[f"length of {column.name}"] != len(values)).any():
            body.start = start
            return None
    return rows


def _corners(element: _Element) -> int:
    """Return the position of the property of a face that lists its corners."""
    names = [column.name for column in element.properties]
    return 0 if len(names) == 1 else next(names.index(name) for name in _CORNERS if name in names)


def read_mixed_ply(path: Path) -> tuple[Array, list[NDArray[Any]]] | None:
    """Check that a PLY file has the rows that its header promises, and read it if it is binary with mixed faces.

    Return its vertices (V, 3) and the corners (N,) of each face; None if all faces have the same number of corners, or
    if it is text: other readers take those. ValueError says why the file cannot be used.
    """
    ply = _parsed(path.read_bytes())
    if "ascii" in ply.encoding:
        _check_text(ply)
        return None
    body, vertices, faces = _Body(ply.body), None, None
    for element in (element for element in ply.elements if element.count and element.properties):
        rows = _even_rows(body, element)
        if rows is not None and element.name == "vertex":
            vertices = np.column_stack([rows[axis] for axis in "xyz"]).astype(np.float64)
        elif rows is None:
            own = [body.row(element, number) for number in range(element.count)]
            if element.name == "face":
                faces = [row[_corners(element)] for row in own]
    if vertices is None or faces is None:
        return None
    if body.start < len(body.content):
        raise ValueError(f"it has {len(body.content) - body.start} bytes more than it promises: export it again")
    return vertices, faces
