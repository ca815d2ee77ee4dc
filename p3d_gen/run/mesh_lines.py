"""A quick look at meshes in text files, all lines at once: most files are plain, and need no look at each line."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_NEWLINE = ord("\n")
_IS_BLANK = np.zeros(256, bool)
_IS_BLANK[[9, 11, 12, 13, 32, _NEWLINE]] = True
# The corners of faces, if all are alike; the numbers are the places of vertex, texture coordinates and normal.
# What a line has taken is never given back: the way back would be remembered for each of millions of lines.
_CORNERS = {
    re.compile(rb"(?:f(?:[ \t]+\d+)++[ \t\r]*+\n)*+"): (b"v",),
    re.compile(rb"(?:f(?:[ \t]+\d+/\d+)++[ \t\r]*+\n)*+"): (b"v", b"vt"),
    re.compile(rb"(?:f(?:[ \t]+\d+//\d+)++[ \t\r]*+\n)*+"): (b"v", b"vn"),
    re.compile(rb"(?:f(?:[ \t]+\d+/\d+/\d+)++[ \t\r]*+\n)*+"): (b"v", b"vt", b"vn"),
}


@dataclass(frozen=True, kw_only=True)
class _Lines:
    """The lines of a text that ends with a newline: its bytes, where each line starts, and how many words it has."""

    content: NDArray[np.uint8]
    start: NDArray[np.int64]
    words: NDArray[np.int64]

    def text(self, chosen: NDArray[np.bool_]) -> bytes:
        """Return the text of some lines."""
        lengths = np.diff(self.start, append=len(self.content))
        return self.content[np.repeat(chosen, lengths)].tobytes()

    def begin_with(self, keyword: bytes) -> NDArray[np.bool_]:
        """Return a mask of the lines whose first word this is."""
        padded = np.concatenate([self.content, np.full(len(keyword) + 1, _NEWLINE, np.uint8)])
        found = np.ones(len(self.start), bool)
        for place, letter in enumerate(keyword):
            found &= padded[self.start + place] == letter
        return np.asarray(found & _IS_BLANK[padded[self.start + len(keyword)]])


def _lines(content: bytes) -> _Lines | None:
    """Return the lines of a text; None if it is not plain: joined lines, indented ones, or other ends of lines."""
    if b"\\" in content or content.count(b"\r") != content.count(b"\r\n"):
        return None
    data = np.frombuffer(content if content.endswith(b"\n") else content + b"\n", np.uint8)
    ends = np.flatnonzero(data == _NEWLINE)
    start = np.concatenate([[0], ends[:-1] + 1])
    blank = _IS_BLANK[data]
    begins = ~blank
    begins[1:] &= blank[:-1]
    places = np.flatnonzero(begins)
    words = np.diff(np.searchsorted(places, start), append=len(places))
    if (blank[start] & (words > 0)).any():
        return None
    return _Lines(content=data, start=start, words=words)


def _numbers(text: bytes, count: int, kind: type[Any]) -> NDArray[Any] | None:
    """Return the numbers of a text of `count` words, None if one of them is none.

    The reader takes "1-2" for two numbers, and stops at what is none: then it does not come to the one that is added.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            numbers = np.fromstring(text + b" 7", kind, sep=" ")
        except ValueError:
            return None
    return numbers[:-1] if len(numbers) == count + 1 else None


def _are_finite(lines: _Lines, keyword: bytes, least: int) -> bool:
    """Return True if all words of the lines with a keyword are finite numbers, and there are enough in each."""
    chosen = lines.begin_with(keyword)
    count = lines.words[chosen] - 1
    text = lines.text(chosen).replace(b"\n" + keyword, b"\n")[len(keyword) :]
    numbers = _numbers(text, int(count.sum()), np.float64)
    return numbers is not None and bool((count >= least).all() and np.isfinite(numbers).all())


def is_plain_obj(content: bytes) -> bool:
    """Return True for an OBJ in which surely all vertices, texture coordinates and faces are sound."""
    lines = _lines(content)
    if lines is None or not _are_finite(lines, b"v", 3) or not _are_finite(lines, b"vt", 1):
        return False
    chosen = lines.begin_with(b"f")
    faces = lines.text(chosen)
    kinds = next((kinds for pattern, kinds in _CORNERS.items() if pattern.fullmatch(faces)), None)
    if kinds is None:
        return False
    corners = lines.words[chosen] - 1
    index = _numbers(faces.replace(b"f", b" ").replace(b"/", b" "), len(kinds) * int(corners.sum()), np.int64)
    if index is None or (index < 1).any():
        return False
    for place, kind in enumerate(kinds):
        above = np.repeat(np.cumsum(lines.begin_with(kind))[chosen], corners)
        if ((index[place :: len(kinds)] > above) & ((above > 0) | (kind == b"v"))).any():
            return False
    return True


def is_plain_off(content: bytes) -> bool:
    """Return True for an OFF file in which surely all promised vertices and faces are there and sound."""
    lines = None if b"#" in content else _lines(content)
    if lines is None:
        return False
    number = np.flatnonzero(lines.words)
    words = lines.words[number]
    if len(number) < 2 or words[0] != 1 or words[1] != 3 or not lines.begin_with(b"OFF")[number[0]]:
        return False
    end = lines.start[number[2]] if len(number) > 2 else len(lines.content)
    head = _numbers(lines.content[lines.start[number[1]] : end].tobytes(), 3, np.int64)
    if head is None or head.min() < 0 or len(number) < 2 + head[0] + head[1]:
        return False
    rows, in_row = number[2:], words[2:]
    ends = np.concatenate([lines.start[rows], [len(lines.content)]])
    middle, last = ends[head[0]], ends[head[0] + head[1]]
    points = _numbers(lines.content[ends[0] : middle].tobytes(), int(in_row[: head[0]].sum()), np.float64)
    corners = in_row[head[0] : head[0] + head[1]]
    index = _numbers(lines.content[middle:last].tobytes(), int(corners.sum()), np.int64)
    if points is None or index is None or not np.isfinite(points).all() or (in_row[: head[0]] < 3).any():
        return False
    return bool((corners > index[np.cumsum(corners) - corners]).all())
