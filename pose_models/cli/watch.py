"""`pose-models watch`."""

from __future__ import annotations

from pathlib import Path

import click

from pose_models.cli.options import FOLDER


@click.command()
@click.argument("folder", type=FOLDER)
@click.option("--once", is_flag=True, help="Write the page as things are now, and end.")
@click.option(
    "--every", type=click.FloatRange(0, min_open=True), default=5.0, show_default=True, help="Seconds between looks."
)
def watch(folder: Path, once: bool, every: float) -> None:
    """A live page of an adaptation: FOLDER/live.html, to be opened in a browser, which it needs alone.

    Curves of accepted vertices, coverage, confidence and loss, accuracy where labels are watched, and which vertices
    of the neural meshes are robust, before and after; that picture also as vertices.png in the run's folder. The page
    is written whenever the run has gone on, and loads itself anew, until the run is finished or Ctrl-C.

    FOLDER: the --out of `pose-models adapt`, with one model or a model for each category.

    \b
    Examples:
      pose-models watch runs/uda-car
      pose-models watch runs/uda-car --once
    """
    import time

    from pose_models.report.adaptation import watch as watch_runs
    from pose_models.report.adaptation import write_page

    if once:
        click.echo(write_page(folder, time.time(), reload=False).path)
        return
    try:
        for number, written in enumerate(watch_runs(folder, every)):
            if number == 0:
                click.echo(f"{written.path}: open it in a browser; Ctrl-C ends")
            click.echo("\n".join(written.notes))
    except KeyboardInterrupt:
        write_page(folder, time.time(), reload=False)
        click.echo(f"{folder}: no longer watched; the run goes on")
