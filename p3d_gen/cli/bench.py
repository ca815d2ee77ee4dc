"""`p3dgen bench`: benchmarks. Each prints tables and, as its last line, one line of JSON with all its figures."""

from __future__ import annotations

import click

_PARTS = ("stage", "workers", "settings", "hidden", "memory", "cold")


@click.group()
def bench() -> None:
    """Measure speed, in ratios within one run."""


@bench.command()
@click.option("--part", "parts", type=click.Choice(_PARTS), multiple=True, help="Only this part; may be repeated.")
def render(parts: tuple[str, ...]) -> None:
    """The render stage against the bare ray tracer, workers, settings, memory, and a cold start.

    \b
    Example:
      p3dgen bench render --part stage --part workers
    """
    from p3d_gen.bench import conclude
    from p3d_gen.bench.render import PARTS

    figures: dict[str, object] = {}
    for part in parts or _PARTS:
        figures |= PARTS[part]()
    conclude(figures)
