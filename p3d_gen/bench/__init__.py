"""Benchmarks: speed is measured here, as ratios within one run, and never in a test."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from p3d_gen.core.commandline import print_wide


def show(title: str, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print a table, with three significant digits for floats."""
    table = Table(*header, title=title, title_justify="left")
    for row in rows:
        table.add_row(*(f"{cell:.3g}" if isinstance(cell, float) else str(cell) for cell in row))
    print_wide(table)


def conclude(figures: Mapping[str, Any]) -> None:
    """Print all figures as one line of JSON, the last line of a benchmark."""
    print(json.dumps(figures, allow_nan=False), flush=True)
