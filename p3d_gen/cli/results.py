"""The commands that look at a finished run: `p3dgen sheet`, `report` and `verify`."""

from __future__ import annotations

from pathlib import Path

import click

from p3d_gen.cli.common import name_option, progress_bar, run_folder_argument


@click.command()
@run_folder_argument
@name_option
@click.option("--per-category", type=click.IntRange(min=1), default=4, show_default=True, help="Rows per category.")
def sheet(run_folder: Path, name: str, per_category: int) -> None:
    """Write RUN/contact_sheet.jpg: render, control, stylised picture, and composite with its labels drawn.

    \b
    Example:
      p3dgen sheet runs/quickstart --per-category 8
    """
    from p3d_gen.sheet import write_contact_sheet
    from p3d_gen.store import open_run

    click.echo(write_contact_sheet(open_run(run_folder), per_category, name))


@click.command()
@run_folder_argument
@name_option
def report(run_folder: Path, name: str) -> None:
    """Write RUN/report.html: counts, failures, coverage of viewpoints, use of assets, poses against masks.

    \b
    Example:
      p3dgen report runs/quickstart
    """
    from p3d_gen.report import write_report
    from p3d_gen.store import open_run

    click.echo(write_report(open_run(run_folder), name))


@click.command()
@run_folder_argument
@name_option
def verify(run_folder: Path, name: str) -> None:
    """Check a finished run: shards against their checksums, every stored pose against mask, depth and coordinates.

    \b
    Example:
      p3dgen verify runs/quickstart
    """
    import numpy as np

    from p3d_gen.labels import MIN_MASK_IOU
    from p3d_gen.store import open_run
    from p3d_gen.stylize.stylization import open_stylization
    from p3d_gen.verify import agreements

    run = open_run(run_folder)
    packed = open_stylization(run, name).packed
    with progress_bar() as progress:
        total = len(run.manifest.categories) * run.manifest.samples_per_category
        found = list(progress.track(agreements(run, packed), total, description="verify"))
    if not found:
        raise click.ClickException(f"{run_folder} holds no sample")
    iou, box_px, depth, nocs_px = np.array([(a.iou, a.box_px, a.depth, a.nocs_px) for a in found]).T
    first, median = np.percentile(iou, [1, 50])
    click.echo(
        f"{len(found)} samples: mask IoU worst {iou.min():.4f}, 1st percentile {first:.4f}, median {median:.4f}; "
        f"box edges off by at most {box_px.max():.2f} px, in the median {np.median(box_px):.2f} px"
    )
    if not np.isnan(depth).any():
        click.echo(f"depth off the mesh along the rays by at most {depth.max():.1e} box diagonals (99th percentile)")
    if not np.isnan(nocs_px).any():
        click.echo(f"object coordinates project to at most {nocs_px.max():.3f} px from their pixels (99th percentile)")
    if iou.min() < MIN_MASK_IOU:
        worst = found[int(iou.argmin())]
        raise click.ClickException(f"the pose of {worst.key} does not explain its mask: IoU {worst.iou:.4f}")
