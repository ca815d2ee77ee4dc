"""Checks of meshes in text files, for the damage that their readers pass over in silence."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import takewhile
from pathlib import Path

from p3d_gen.run.mesh_lines import is_plain_obj, is_plain_off

CUT_SHORT = "it was cut short, so copy or export it again"
STL_HEAD, STL_FACET = 84, 50
_SHOWN_CHARS = 60
_OBJ_LISTS = (b"v", b"vt", b"vn")


def _shown(words: Sequence[bytes]) -> str:
    text = b" ".join(words).decode(errors="replace")
    return repr(text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}...")


def _is_number(word: bytes, finite: bool) -> bool:
    """Tell if a word is a number as C writes it: Python alone also takes 1_000."""
    try:
        value = float(word)
    except ValueError:
        return False
    return b"_" not in word and (math.isfinite(value) or not finite)


def check_numbers(
    number: int, words: Sequence[bytes], numbers: Sequence[bytes], least: int = 3, finite: bool = True
) -> None:
    """Raise ValueError if a line has fewer than `least` numbers, or one that is not finite.

    number: of the line, from 1. words: the whole line. numbers: those of its words that should be numbers. finite:
    false to accept "nan" and "inf".
    """
    if len(numbers) < least:
        raise ValueError(f"line {number}: {_shown(words)} has {len(numbers)} numbers, {least} are needed: correct it")
    for word in numbers:
        if not _is_number(word, finite):
            fault = "finite number" if finite else "number"
            raise ValueError(f"line {number}: {_shown([word])} in {_shown(words)} is not a {fault}: correct it")


def _whole_number(number: int, words: Sequence[bytes], word: bytes) -> int:
    try:
        return int(word)
    except ValueError:
        raise ValueError(
            f"line {number}: {_shown([word])} in {_shown(words)} is not a whole number: correct it"
        ) from None


def _lines(content: bytes, continued: bool = False) -> Iterator[tuple[int, list[bytes]]]:
    """Yield number and words of each line that has any, without comments.

    continued: true if a backslash at the end of a line joins the next one to it.
    """
    words: list[bytes] = []
    first, comment = 0, False
    for number, line in enumerate(content.splitlines(), start=1):
        text = line.rstrip()
        first = first or number
        comment |= b"#" in text
        more = continued and text.endswith(b"\\")
        words += (text[:-1] if more else text).split()
        if more:
            continue
        if comment:  # within a word it may be Windows' way to write what is not a number: 1.#QNAN
            words = list(takewhile(lambda word: not word.startswith(b"#"), words))
        if words:
            yield first, words
        words, first, comment = [], 0, False
    if words:
        yield first, words


def _check_corner(number: int, words: Sequence[bytes], corner: bytes, counts: dict[bytes, int]) -> None:
    """Raise ValueError if the corner of a face of an OBJ uses what does not stand above it: its reader drops the face.

    Texture coordinates and normals are ignored by the reader if the file has none at all.
    """
    for kind, word in zip(_OBJ_LISTS, corner.split(b"/"), strict=False):
        if kind != b"v" and (not word or not counts[kind]):
            continue
        index = _whole_number(number, words, word)
        if not 1 <= abs(index) <= counts[kind]:
            raise ValueError(
                f"line {number}: {_shown(words)} uses number {index} of the lines that begin with {kind.decode()!r}, "
                f"and {counts[kind]} stand above it: correct it"
            )


def check_obj(path: Path) -> None:
    """Raise ValueError if a vertex, a texture coordinate or a face of an OBJ file is damaged; it names the line."""
    content = path.read_bytes()
    if not is_plain_obj(content):
        check_obj_lines(content)


def check_obj_lines(content: bytes) -> None:
    """Look at each line of an OBJ file; see `check_obj`."""
    counts = dict.fromkeys(_OBJ_LISTS, 0)
    for number, words in _lines(content, continued=True):
        kind = words[0]
        if kind == b"v":
            check_numbers(number, words, words[1:4])
        elif kind == b"vt":
            check_numbers(number, words, words[1:3], least=1)
        elif kind == b"f":
            for corner in words[1:]:
                _check_corner(number, words, corner, counts)
        if kind in counts:
            counts[kind] += 1


def check_stl(path: Path) -> None:
    """Raise ValueError if an STL file ends before its last facet, or has a vertex that is not three finite numbers."""
    content = path.read_bytes()
    facets, has = int.from_bytes(content[STL_HEAD - 4 : STL_HEAD], "little"), len(content) - STL_HEAD
    if has == facets * STL_FACET:
        return
    if not content.lstrip().lower().startswith(b"solid"):
        if has < facets * STL_FACET:
            raise ValueError(f"it promises {facets} facets and has {max(has, 0) // STL_FACET}: {CUT_SHORT}")
        return
    inside, number = False, 0
    for number, words in _lines(content):
        kind = words[0].lower()
        if kind == b"vertex":
            check_numbers(number, words, words[1:4])
        inside = kind != b"endsolid" and (inside or kind == b"solid")
    if inside:
        raise ValueError(f"it ends in line {number}, within a solid: {CUT_SHORT}")


def off_rows(content: bytes) -> list[tuple[int, list[bytes]]]:
    """Return number and words of the lines of an OFF file that follow its keyword, which may share its line."""
    lines = list(_lines(content))
    for position, (number, words) in enumerate(lines):
        _, keyword, rest = b" ".join(words).partition(b"OFF")
        if keyword:
            return ([(number, rest.split())] if rest.strip() else []) + lines[position + 1 :]
    raise ValueError("it has no line OFF: it is another format, or it is empty")


def check_off(path: Path) -> None:
    """Raise ValueError if an OFF file ends before the vertices and faces that it promises, or a line of it is
    damaged."""
    content = path.read_bytes()
    if not is_plain_off(content):
        check_off_lines(content)


def check_off_lines(content: bytes) -> None:
    """Look at each line of an OFF file; see `check_off`."""
    head, *rows = off_rows(content) or [(0, [])]
    if len(head[1]) < 2:
        raise ValueError(f"it does not say how many vertices and faces there are: {CUT_SHORT}")
    vertices, faces = (_whole_number(*head, word) for word in head[1][:2])
    if len(rows) < vertices + faces:
        raise ValueError(
            f"it promises {vertices} vertices and {faces} faces, which are {vertices + faces} lines, and has "
            f"{len(rows)}: {CUT_SHORT}"
        )
    for number, words in rows[:vertices]:
        check_numbers(number, words, words[:3])
    for number, words in rows[vertices : vertices + faces]:
        if len(words) <= _whole_number(number, words, words[0]):
            raise ValueError(f"line {number}: the face {_shown(words)} lacks corners: {CUT_SHORT}")
