"""One self-contained HTML page of sections, each a title, a text, figures and tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup


@dataclass(frozen=True, kw_only=True)
class Figure:
    """Charts under one title, each (what it shows, the SVG)."""

    title: str
    charts: tuple[tuple[str, Markup], ...]


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows of cells; the first cell names its row. numbers: columns of figures. folded: shown on demand only."""

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    numbers: range = range(0)
    folded: bool = False


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of the page."""

    title: str
    text: str
    figures: tuple[Figure, ...] = ()
    tables: tuple[Table, ...] = ()


def page(title: str, lead: str, sections: Sequence[Section]) -> str:
    """The HTML. All text is escaped; only charts are taken as they are."""
    environment = Environment(loader=PackageLoader("p3d_gen.report", "."), autoescape=True, undefined=StrictUndefined)
    return environment.get_template("report.html.j2").render(title=title, lead=lead, sections=sections)
