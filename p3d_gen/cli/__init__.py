"""The command p3dgen. A stage is imported inside its command, so that --help answers at once."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table

from p3d_gen import __version__
from p3d_gen.cli.assets import assets
from p3d_gen.cli.bench import bench
from p3d_gen.cli.common import Group, blender_options, progress_bar, stage_options

if TYPE_CHECKING:
    from p3d_gen.engines import Stage
    from p3d_gen.render import Supervision
    from p3d_gen.store import Failure, Run

_SHOWN_FAILURES = 10


@click.group(cls=Group)
@click.version_option(__version__, prog_name="p3dgen")
def main() -> None:
    """Synthetic datasets for category-level 3D pose: render, stylize, pack."""


main.add_command(assets)
main.add_command(bench)

_out = click.option("--out", type=click.Path(path_type=Path), required=True, help="The run folder; made if need be.")
_manifest = click.argument("manifest", type=click.Path(exists=True, dir_okay=False, path_type=Path))
_run_folder = click.argument("run_folder", metavar="RUN", type=click.Path(exists=True, file_okay=False, path_type=Path))


def _run_stage(run: Run, name: str, stage: Stage, workers: int | None) -> list[Failure]:
    from p3d_gen.engines import available_cores, run_shards

    shards, made = run.all_shards(), 0
    failures: list[Failure] = []
    total = len(run.manifest.categories) * run.manifest.samples_per_category
    with progress_bar() as progress:
        task = progress.add_task(name, total=total)
        on_sample = functools.partial(progress.advance, task)
        for ledger in run_shards(stage, str(run.root), shards, workers or len(available_cores()), on_sample):
            failures += ledger.failures
            made += ledger.count
    click.echo(f"{name}: {made} samples in {len(shards)} shards, {len(failures)} failed")
    for failure in failures[:_SHOWN_FAILURES]:
        click.echo(f"  {failure.key}: {failure.reason}", err=True)
    if len(failures) > _SHOWN_FAILURES:
        click.echo(f"  and {len(failures) - _SHOWN_FAILURES} more, in the shards' ledgers", err=True)
    return failures


def _conclude(failures: list[Failure], allowed: int) -> None:
    """More failed samples than allowed are an error."""
    if len(failures) > allowed:
        raise click.ClickException(
            f"{len(failures)} samples failed, {allowed} are allowed (--allow-failures); "
            "the others are kept. Mend the cause and add --retry-failed to make them again"
        )


def _open(run_folder: Path, retry_failed: bool, manifest: Path | None = None) -> Run:
    """The run of a folder, made from `manifest` where that is given."""
    from p3d_gen.store import create_run, forget_failures, open_run

    run = create_run(run_folder, manifest) if manifest else open_run(run_folder)
    if retry_failed:
        forget_failures(run)
    return run


def _render(run: Run, workers: int | None, how: Supervision) -> list[Failure]:
    from p3d_gen.cads import prepare_models
    from p3d_gen.engines import available_cores
    from p3d_gen.render import count_gpus, render_shard

    with progress_bar() as progress:
        task = progress.add_task("models", total=sum(len(cads) for cads in run.inventory.cads.values()))
        on_model = functools.partial(progress.advance, task)
        notes = prepare_models(run, workers or len(available_cores()), on_model)
    for note in notes:
        click.echo(f"models: {note}", err=True)
    return _run_stage(run, "render", functools.partial(render_shard, how=how), workers or count_gpus(how) or None)


def _stylize(run: Run, workers: int | None) -> list[Failure]:
    from p3d_gen.stylize.stage import stylize_shard

    diffused = run.manifest.stylize.stylizer != "none"
    return _run_stage(run, "stylize", stylize_shard, workers or (1 if diffused else None))  # a pipeline takes gigabytes


def _pack(run: Run, workers: int | None) -> list[Failure]:
    from p3d_gen.pack import pack_shard
    from p3d_gen.sheet import write_contact_sheet

    failures = _run_stage(run, "pack", pack_shard, workers)
    click.echo(f"shards: {run.root / 'shards'}")
    click.echo(f"contact sheet: {write_contact_sheet(run)}")
    return failures


@main.command()
@_manifest
@_out
@stage_options
@blender_options
def render(
    manifest: Path, out: Path, workers: int | None, allow_failures: int, retry_failed: bool, how: Supervision
) -> None:
    """Render a manifest's samples with Blender: pictures, and the labels that it names.

    \b
    Example:
      p3dgen render manifests/quickstart.toml --out runs/quickstart
    """
    _conclude(_render(_open(out, retry_failed, manifest), workers, how), allow_failures)


@main.command()
@_run_folder
@stage_options
def stylize(run_folder: Path, workers: int | None, allow_failures: int, retry_failed: bool) -> None:
    """Turn renders into realistic pictures: Canny edges and a colour prompt guide a ControlNet pipeline.

    \b
    Example:
      p3dgen stylize runs/quickstart
    """
    _conclude(_stylize(_open(run_folder, retry_failed), workers), allow_failures)


@main.command()
@_run_folder
@stage_options
def pack(run_folder: Path, workers: int | None, allow_failures: int, retry_failed: bool) -> None:
    """Composite the stylised pictures on random backgrounds into WebDataset shards.

    \b
    Example:
      p3dgen pack runs/quickstart
    """
    _conclude(_pack(_open(run_folder, retry_failed), workers), allow_failures)


@main.command()
@_manifest
@_out
@stage_options
@blender_options
def run(
    manifest: Path, out: Path, workers: int | None, allow_failures: int, retry_failed: bool, how: Supervision
) -> None:
    """Render, stylize and pack. Killed at any time, the same command goes on where it was.

    \b
    Example:
      p3dgen run manifests/quickstart.toml --out runs/quickstart
    """
    opened = _open(out, retry_failed, manifest)
    _conclude(_render(opened, workers, how) + _stylize(opened, workers) + _pack(opened, workers), allow_failures)


@main.command()
@_run_folder
@click.option("--per-category", type=click.IntRange(min=1), default=4, show_default=True, help="Rows per category.")
def sheet(run_folder: Path, per_category: int) -> None:
    """Write RUN/contact_sheet.jpg: render, edges, stylised picture, and composite with its labels drawn.

    \b
    Example:
      p3dgen sheet runs/quickstart --per-category 8
    """
    from p3d_gen.sheet import write_contact_sheet
    from p3d_gen.store import open_run

    click.echo(write_contact_sheet(open_run(run_folder), per_category))


@main.command()
@_run_folder
def report(run_folder: Path) -> None:
    """Write RUN/report.html: counts, failures, coverage of viewpoints, use of assets, poses against masks.

    \b
    Example:
      p3dgen report runs/quickstart
    """
    from p3d_gen.report import write_report
    from p3d_gen.store import open_run

    click.echo(write_report(open_run(run_folder)))


@main.command()
@_run_folder
def verify(run_folder: Path) -> None:
    """Check a finished run: shards against their checksums, every stored pose against mask, depth and coordinates.

    \b
    Example:
      p3dgen verify runs/quickstart
    """
    import numpy as np

    from p3d_gen.labels import MIN_MASK_IOU
    from p3d_gen.store import open_run
    from p3d_gen.verify import agreements

    run = open_run(run_folder)
    with progress_bar() as progress:
        total = len(run.manifest.categories) * run.manifest.samples_per_category
        found = list(progress.track(agreements(run), total, description="verify"))
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


@main.command()
@click.option("--apt", is_flag=True, help="Only print the Debian packages that are missing, for apt-get install.")
def doctor(apt: bool) -> None:
    """Say what is installed, what is missing, and how to get it. Exit status 1 if anything is missing.

    \b
    Example:
      p3dgen doctor
    """
    from p3d_gen.doctor import examine, missing_system_packages

    if apt:
        click.echo(" ".join(missing_system_packages()))
        return
    findings = examine()
    table = Table("what", "found", "for", "how to get it")
    for finding in findings:
        table.add_row(finding.name, finding.found, finding.purpose, finding.remedy)
    Console().print(table)
    if any(finding.remedy for finding in findings):
        raise click.exceptions.Exit(1)
