"""Markdown from the templates next to this file."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined


def markdown(template: str, values: dict[str, Any]) -> str:
    """Return the text of a template. Values are taken as they are: names that were checked, and texts of this
    package."""
    environment = Environment(
        loader=PackageLoader("p3d_gen.dataset", "."),
        autoescape=False,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(template).render(values)
