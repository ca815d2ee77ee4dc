"""The structure of PLY files: what is there is compared with what the header promises.

Read here are the colours of vertices, and the faces that other readers refuse: mixed ones and triangle strips.
"""

from __future__ import annotations

from collections.abc import Callable
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
_COLOURS = (("red", "green", "blue"), ("diffuse_red", "diffuse_green", "diffuse_blue"), ("r", "g", "b"))
_STRIP_END = -1
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


Row = list[NDArray[Any]]


@dataclass(frozen=True, kw_only=True)
class _Table:
    """The rows of an element: a structured array if all have the same length, else a list of the values of each."""

    element: _Element
    even: NDArray[Any] | None = None
    rows: Callable[[], list[Row]] = list

    def columns(self, names: tuple[str, ...]) -> NDArray[Any]:
        """Return columns of numbers, side by side (N, k)."""
        if self.even is not None:
            return np.column_stack([self.even[name] for name in names])
        own = [column.name for column in self.element.properties]
        places = [own.index(name) for name in names]
        return np.array([[row[place][0] for place in places] for row in self.rows()])

    def lists(self) -> list[NDArray[Any]]:
        """Return the list in each row that holds numbers of vertices."""
        names = [column.name for column in self.element.properties]
        place = 0 if len(names) == 1 else next(names.index(name) for name in _CORNERS if name in names)
        if self.even is not None:
            return list(self.even[names[place]])
        return [row[place] for row in self.rows()]

    def colours(self) -> NDArray[np.float32] | None:
        """Return sRGB colours (N, 3) in [0, 1], None if the rows have none."""
        dtypes = {column.name: column.dtype for column in self.element.properties if column.length is None}
        names = next((names for names in _COLOURS if set(names) <= set(dtypes)), None)
        if names is None:
            return None
        dtype = dtypes[names[0]]
        largest = np.iinfo(dtype).max if dtype.kind in "iu" else 1.0
        return np.clip(self.columns(names) / largest, 0.0, 1.0).astype(np.float32)

    def normals(self) -> NDArray[np.float32] | None:
        """Return normals (N, 3), None if the rows have none or one of them is not finite."""
        names = ("nx", "ny", "nz")
        if not {column.name for column in self.element.properties if column.length is None}.issuperset(names):
            return None
        normals = self.columns(names).astype(np.float32)
        return normals if np.isfinite(normals).all() else None


def _text_row(row: bytes, element: _Element) -> Row:
    words, values = row.split(), []
    start = 0
    for column in element.properties:
        count = 1 if column.length is None else int(float(words[start]))
        start += column.length is not None
        values.append(np.array([float(word) for word in words[start : start + count]]).astype(column.dtype))
        start += count
    return values


def _text_tables(ply: _Ply) -> dict[str, _Table]:
    """Return the elements of a file of the format ASCII. ValueError if rows or numbers are missing.

    A normal may be "nan".
    """
    rows, start = ply.body.splitlines(), 0
    tables = {}
    for element in ply.elements:
        own = rows[start : start + element.count]
        if len(own) < element.count:
            raise element.incomplete(len(own))
        for number, row in enumerate(own, start=ply.lines + start + 1):
            _check_row(number, row, element)
        start += element.count

        def parsed(own: list[bytes] = own, element: _Element = element) -> list[Row]:
            return [_text_row(row, element) for row in own]

        if own:
            tables[element.name] = _Table(element=element, rows=parsed)
    return tables


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


def _binary_tables(ply: _Ply) -> dict[str, _Table]:
    """Return the elements of a binary file. ValueError if it is shorter than it promises."""
    body = _Body(ply.body)
    tables = {}
    for element in (element for element in ply.elements if element.count and element.properties):
        even = _even_rows(body, element)
        rows = [] if even is not None else [body.row(element, number) for number in range(element.count)]
        tables[element.name] = _Table(element=element, even=even, rows=lambda rows=rows: rows)  # type: ignore[misc]
    is_mixed = "face" in tables and tables["face"].even is None
    if body.start < len(body.content) and (is_mixed or "tristrips" in tables):
        raise ValueError(f"it has {len(body.content) - body.start} bytes more than it promises: export it again")
    return tables


def _of_strip(strip: NDArray[Any]) -> list[NDArray[Any]]:
    """Return the triangles of strips, which -1 ends; every second one is turned, so that all are wound alike."""
    faces = []
    for part in np.split(strip, np.flatnonzero(strip == _STRIP_END)):
        corners = part[part != _STRIP_END]
        for start in range(len(corners) - 2):
            a, b, c = corners[start : start + 3]
            faces.append(np.array([a, b, c] if start % 2 == 0 else [b, a, c], np.int64))
    return faces


@dataclass(frozen=True, kw_only=True)
class PlyContent:
    """What is read of a PLY file. vertices (V, 3), faces: the corners (N,) of each; None for what other readers take.

    colours: of the vertices (V, 3), sRGB in [0, 1]; None if it has none. normals: of the vertices (V, 3); None if it
    has none.
    """

    vertices: Array | None
    faces: list[NDArray[Any]] | None
    colours: NDArray[np.float32] | None
    normals: NDArray[np.float32] | None


def read_ply(path: Path) -> PlyContent:
    """Check that a PLY file has the rows that its header promises, and read what other readers do not.

    Vertices and faces are read if the file has triangle strips, or is binary with faces of several numbers of corners.
    ValueError says why the file cannot be used.
    """
    ply = _parsed(path.read_bytes())
    is_text = "ascii" in ply.encoding
    tables = _text_tables(ply) if is_text else _binary_tables(ply)
    vertices, faces = tables.get("vertex"), None
    if vertices is None:
        return PlyContent(vertices=None, faces=None, colours=None, normals=None)
    if "tristrips" in tables and "face" not in tables:
        faces = [face for strip in tables["tristrips"].lists() for face in _of_strip(strip)]
    elif not is_text and "face" in tables and tables["face"].even is None:
        faces = tables["face"].lists()
    points = vertices.columns(("x", "y", "z")).astype(np.float64) if faces is not None else None
    return PlyContent(vertices=points, faces=faces, colours=vertices.colours(), normals=vertices.normals())
