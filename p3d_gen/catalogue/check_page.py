"""The pictures of `p3dgen assets check`: a page of all models, OUT/index.html, and sheets of them, OUT/models-1.png."""

from __future__ import annotations

import io
import textwrap
from base64 import b64encode
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image, ImageDraw

from p3d_gen.catalogue.check import Checked, Report
from p3d_gen.catalogue.views import LOOKS, SIDE_PX
from p3d_gen.core.codecs import encode_jpeg
from p3d_gen.core.lettering import drawable, font
from p3d_gen.core.outputs import check_outputs
from p3d_gen.core.types import Picture
from p3d_gen.run.files import write_bytes

Colour = tuple[int, int, int]
_ROWS = 24  # models on a sheet
_TEXT_PX, _HEAD_PX, _GAP_PX = 400, 46, 2
_WIDTH_PX = _TEXT_PX + len(LOOKS) * SIDE_PX
_QUALITY = 88
_GROUND, _INK, _QUIET, _WARNING, _RULE = (255, 255, 255), (29, 31, 34), (91, 96, 103), (179, 38, 30), (214, 216, 219)
_MARK = 'name="generator" content="p3dgen assets check"'
_EXTENT = "x {:.2f}  y {:.2f}  z {:.2f}"
_LETTERS, _LINE_PX = 56, 17
_WIDE_LETTERS = 240  # of a line across the whole sheet


def axes_text(report: Report) -> str:
    """Return a model's axes and who states them."""
    return f"up {report.up}, front {report.front} of the file ({report.axes_from})"


def size_text(report: Report) -> str:
    """Return the sides of a model's box, in box diagonals, and its diagonal in the file and in metres."""
    x, y, z = report.extent_xyz
    metres = "no unit" if report.diagonal_m is None else f"{report.diagonal_m:.4g} m, {report.unit_from}"
    return f"{_EXTENT.format(x, y, z)} of its diagonal, {report.diagonal:.4g} in the file ({metres})"


def _lines(report: Report) -> Iterator[tuple[str, Colour]]:
    yield from ((line, _QUIET) for text in (axes_text(report), size_text(report)) for line in _wrapped(text))
    materials = f"{len(report.parts)} material{'' if len(report.parts) == 1 else 's'}"
    yield drawable(f"{report.faces} faces, {materials}, license {report.licence}"), _QUIET
    yield from ((line, _WARNING) for text in report.warnings for line in _wrapped(text))


def _wrapped(text: str, letters: int = _LETTERS) -> list[str]:
    return textwrap.wrap(drawable(text), letters)


def _panel(report: Report, lines: Sequence[tuple[str, Colour]], width: int, height: int = 0) -> Picture:
    """Return the texts about a model (H, width, 3), as high as they are and at least `height`."""
    panel = Image.new("RGB", (width, max(height, 48 + len(lines) * _LINE_PX)), _GROUND)
    draw = ImageDraw.Draw(panel)
    draw.text((12, 8), drawable(f"{report.category}/{report.id}")[:44], fill=_INK, font=font(16))
    for number, (line, colour) in enumerate(lines):
        draw.text((12, 36 + number * _LINE_PX), line, fill=colour, font=font(13))
    return np.asarray(panel)


def _row(report: Report, views: Picture | None) -> Picture:
    """Return the row of a model: the texts about it and its views, or the reason why it cannot be used."""
    if views is None:
        lines = _wrapped(f"{report.address} cannot be used: {report.error}", _WIDE_LETTERS)
        return _panel(report, [(line, _WARNING) for line in lines], _WIDTH_PX)
    panel = _panel(report, list(_lines(report)), _TEXT_PX, SIDE_PX)
    below = np.full((len(panel) - SIDE_PX, _WIDTH_PX - _TEXT_PX, 3), _GROUND, np.uint8)
    return np.hstack([panel, np.vstack([views, below])])


def _head(title: str) -> Picture:
    head = Image.new("RGB", (_WIDTH_PX, _HEAD_PX), _GROUND)
    draw = ImageDraw.Draw(head)
    draw.text((12, 10), drawable(title), fill=_INK, font=font(19))
    note = "orange: the edge and the arrow of the front (object axis -y); dashed: the base of the box"
    draw.text((_WIDTH_PX - 12, 15), note, fill=_QUIET, font=font(13), anchor="ra")
    return np.asarray(head)


def _sheet(title: str, checked: Sequence[Checked]) -> Picture:
    """Return a picture with a row for each model."""
    rule = np.full((_GAP_PX, _WIDTH_PX, 3), _RULE, np.uint8)
    rows = [_row(each.report, each.views) for each in checked]
    return np.vstack([_head(title), *(part for row in rows for part in (rule, row))])


def _png(picture: Picture) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def _page(title: str, checked: Sequence[Checked]) -> str:
    environment = Environment(
        loader=PackageLoader("p3d_gen.catalogue", "."), autoescape=True, undefined=StrictUndefined
    )
    pictures = ["" if each.views is None else b64encode(encode_jpeg(each.views, _QUALITY)).decode() for each in checked]
    return environment.get_template("check.html.j2").render(
        title=title,
        mark=_MARK,
        looks=", ".join(look.title for look in LOOKS),
        models=[(each.report, picture) for each, picture in zip(checked, pictures, strict=True)],
        axes_text=axes_text,
        size_text=size_text,
    )


def check_folder(out: Path, sources: Sequence[Path]) -> None:
    """Raise RunError if the pages cannot be written to a folder: it holds those of somebody else, or what is read."""
    page = out / "index.html"
    is_own = not page.exists() or _MARK in page.read_text(errors="replace")[:600]
    check_outputs([page], sources, is_own=is_own)


def write_picture(path: Path, checked: Checked) -> None:
    """Write the picture of one model. ValueError if it was not drawn."""
    if checked.views is None:
        raise ValueError(f"{checked.report.id} was not drawn")
    write_bytes(path, _png(_sheet(checked.report.address, [checked])))


def write_pages(out: Path, title: str, checked: Sequence[Checked]) -> list[Path]:
    """Write the page and the sheets of drawn and unusable models, and return their paths.

    RunError if the disk refuses them.
    """
    page = out / "index.html"
    write_bytes(page, _page(title, checked).encode())
    sheets = []
    for number, first in enumerate(range(0, len(checked), _ROWS), 1):
        sheets.append(out / f"models-{number}.png")
        write_bytes(sheets[-1], _png(_sheet(title, checked[first : first + _ROWS])))
    return [page, *sheets]
