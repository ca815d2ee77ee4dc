"""`pose-models watch`."""

from __future__ import annotations

from pathlib import Path

import click

from pose_models.cli.options import FOLDER, POSITIVE, option


@click.command()
@click.argument("folder", type=FOLDER)
@option("--once", is_flag=True, help="Write the page once, and stop.")
@option("--every", type=POSITIVE, default=5.0, show_default=True, help="Number of seconds between updates.")
def watch(folder: Path, once: bool, every: float) -> None:
    """Write a live page of an adaptation, FOLDER/live.html, for a browser.

    FOLDER is the --out of `pose-models adapt`, with one model or one for each category. The page shows curves of
    accepted vertices, coverage, confidence and loss, the accuracy if --watch records it, and the robust vertices of the
    neural meshes before and after. These are also written to vertices.png in the folder of the run. The page is
    updated until the run is finished or you press Ctrl-C.

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
                click.echo(f"{written.path}: open it in a browser; Ctrl-C stops updating it")
            click.echo("\n".join(written.notes))
    except KeyboardInterrupt:
        write_page(folder, time.time(), reload=False)
        click.echo(f"{folder}: no longer watched; the run itself continues")
