"""The commands that show a finished run: `p3dgen sheet` and `report`."""

from __future__ import annotations

from pathlib import Path

import click

from p3d_gen.cli.common import name_option, out_option, run_folder_argument


@click.command()
@run_folder_argument
@name_option
@click.option("--per-category", type=click.IntRange(min=1), default=4, show_default=True, help="Rows per category.")
@out_option
def sheet(run_folder: Path, name: str, per_category: int, out: Path | None) -> None:
    """Write RUN/contact_sheet.jpg: render, control, stylized picture, and composite with its labels drawn.

    \b
    Example:
      p3dgen sheet runs/quickstart --per-category 8
    """
    from p3d_gen.report.sheet import write_contact_sheet
    from p3d_gen.run.store import open_run

    click.echo(write_contact_sheet(open_run(run_folder, needs=None), per_category, name, out))


@click.command()
@run_folder_argument
@name_option
@click.option(
    "--samples",
    type=click.IntRange(min=0),
    default=120,
    show_default=True,
    help="Number of samples in the gallery: half of them the worst, the others chosen by chance.",
)
@click.option("--follow", is_flag=True, help="Update the report as shards are finished, until the run is complete.")
@out_option
def report(run_folder: Path, name: str, samples: int, follow: bool, out: Path | None) -> None:
    """Write RUN/report.html: gallery, counts, failures, viewpoints, colours, use of assets, masks, times.

    It shows the finished shards, so it can be written while the run is being made.

    \b
    Example:
      p3dgen report runs/quickstart
    """
    from p3d_gen.report import write_report
    from p3d_gen.report.follow import follow_run
    from p3d_gen.run.shards import reading_samples
    from p3d_gen.run.store import open_run

    with reading_samples(run_folder):
        if follow:
            for path in follow_run(run_folder, name, samples, out):
                click.echo(path)
        else:
            click.echo(write_report(open_run(run_folder, needs=None), name, samples, out))
