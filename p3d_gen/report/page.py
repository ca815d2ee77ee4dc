"""One self-contained HTML page: a gallery, and sections, each a title, a text, figures and tables."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from p3d_gen.report.gallery import Gallery


@dataclass(frozen=True, kw_only=True)
class Figure:
    """Charts under one title, each (caption, SVG)."""

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
class PageSection:
    """A part of the page."""

    title: str
    text: str
    figures: tuple[Figure, ...] = ()
    tables: tuple[Table, ...] = ()


def run_page(title: str, lead: str, gallery: Gallery, sections: Sequence[PageSection]) -> str:
    """Return the HTML of a run's report.

    All text is escaped, except charts. The page allows the browser no request, and no script except its own.
    """
    environment = Environment(loader=PackageLoader("p3d_gen.report", "."), autoescape=True, undefined=StrictUndefined)
    script = resources.files("p3d_gen.report").joinpath("gallery.js").read_text()
    digest = b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template("run.html.j2").render(
        title=title, lead=lead, gallery=gallery, sections=sections, script=Markup(script), script_sha256=digest
    )
