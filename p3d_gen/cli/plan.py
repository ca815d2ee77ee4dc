"""The command `p3dgen plan`: an estimate of the time and disk of a job before it is begun."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.table import Table

from p3d_gen.cli.common import blender_options
from p3d_gen.core.commandline import print_wide
from p3d_gen.run.live import progress_bar

if TYPE_CHECKING:
    from p3d_gen.render.stage import Supervision
    from p3d_gen.report.estimate import JobEstimate, Step

_HEADS = ("step", "number", "start-up", "each", "size of each", "1 worker", "{n} workers", "on disk")


def _time(seconds: float) -> str:
    """Return a time as '3.2 h', '12 min' or '40 s'."""
    if seconds >= 3600:
        return f"{seconds / 3600:.3g} h"
    return f"{seconds / 60:.2g} min" if seconds >= 90 else f"{seconds:.2g} s"


def _size(count: float) -> str:
    """Return a size as '1.2 GB', '300 MB' or '40 kB'."""
    for factor, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB")):
        if count >= factor:
            return f"{count / factor:.3g} {unit}"
    return f"{count / 1e3:.3g} kB"


def _row(step: Step, workers: int) -> tuple[str, ...]:
    return (
        step.name,
        str(step.items),
        _time(step.startup_s),
        _time(step.item_s),
        _size(step.item_bytes),
        _time(step.seconds(1)),
        _time(step.seconds(workers)),
        _size(step.bytes),
    )


def _show(estimate: JobEstimate) -> None:
    n = estimate.workers
    table = Table(*(head.format(n=n) for head in _HEADS))
    for step in estimate.steps:
        table.add_row(*_row(step, n))
    table.add_row(
        "all", "", "", "", "", _time(3600 * estimate.hours(1)), _time(3600 * estimate.hours(n)), _size(estimate.bytes)
    )
    print_wide(table)
    for workers, who in ((1, "1 worker"), (n, f"{n} workers")) if n > 1 else ((1, "1 worker"),):
        slowest = estimate.bottleneck(workers)
        share = slowest.seconds(workers) / (3600 * estimate.hours(workers))
        click.echo(f"{who}: {_time(3600 * estimate.hours(workers))}; the bottleneck is {slowest.name} ({share:.0%})")
    click.echo(f"disk: {_size(estimate.bytes)}")
    click.echo(
        f"estimated from {estimate.calibrated} samples made here. Assumed: a worker starts up once and makes its "
        "shards one after the other; the stages follow each other; every worker has its own core or GPU like this one."
    )


@click.command()
@click.argument("manifest", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--samples",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="Number of samples to make for the estimate; rounded up to the same number for each category.",
)
@click.option("--workers", type=click.IntRange(min=1), help="Workers of the job; one per processor by default.")
@click.option("--json", "as_json", is_flag=True, help="Print the estimate as JSON.")
@blender_options
def plan(manifest: Path, samples: int, workers: int | None, as_json: bool, supervision: Supervision) -> None:
    """Estimate the job of a manifest: hours for one and for several workers, disk, and the bottleneck.

    A few samples of each category are made through all stages in a temporary folder, which is removed. The exit status
    is 1 if one of them cannot be made.

    \b
    Example:
      p3dgen plan manifests/pascal3d12.toml --workers 64
    """
    from p3d_gen.report.estimate import estimate_job
    from p3d_gen.run.local import available_cores
    from p3d_gen.spec.manifest import load_manifest
    from p3d_gen.stylize.stylization import check_settings

    loaded, base_dir = load_manifest(manifest), manifest.parent.resolve()
    check_settings(loaded, loaded.stylize, base_dir)
    with progress_bar() as progress:
        task = progress.add_task("plan", total=None)
        estimate = estimate_job(
            loaded,
            base_dir,
            samples=samples,
            workers=workers or len(available_cores()),
            supervision=supervision,
            device="cpu" if supervision.device == "CPU" else "auto",
            on_sample=lambda total: progress.update(task, advance=1, total=total),
        )
    if as_json:
        click.echo(json.dumps(estimate.as_json(), indent=2))
    else:
        _show(estimate)
    for note in estimate.notes:
        click.echo(f"models: {note}", err=True)
    for failure in estimate.failures:
        click.echo(f"  {failure.key}: {failure.reason}", err=True)
    if estimate.failures:
        raise click.ClickException(
            f"{len(estimate.failures)} samples of the calibration could not be made (reasons above)"
        )
