"""The commands that make a run: `p3dgen render`, `stylize`, `pack`, and `run` for all three."""

from __future__ import annotations

import functools
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from p3d_gen.cli.common import blender_options, name_option, progress_bar, run_folder_argument, stage_options

if TYPE_CHECKING:
    from p3d_gen.engines import Stage
    from p3d_gen.pack import Filter
    from p3d_gen.render import Supervision
    from p3d_gen.store import Failure, Run
    from p3d_gen.stylize.stylization import Stylization

_SHOWN_FAILURES = 10

_out = click.option("--out", type=click.Path(path_type=Path), required=True, help="The run folder; made if need be.")
_manifest = click.argument("manifest", type=click.Path(exists=True, dir_okay=False, path_type=Path))


def _run_stage(run: Run, name: str, stage: Stage, workers: int | None, spread: bool = False) -> list[Failure]:
    from p3d_gen.engines import available_cores, run_shards

    shards, made = run.all_shards(), 0
    failures: list[Failure] = []
    notes: Counter[str] = Counter()
    seconds = model_seconds = 0.0
    total = len(run.manifest.categories) * run.manifest.samples_per_category
    with progress_bar() as progress:
        task = progress.add_task(name, total=total)
        on_sample = functools.partial(progress.advance, task)
        for ledger in run_shards(stage, str(run.root), shards, workers or len(available_cores()), on_sample, spread):
            failures += ledger.failures
            made += ledger.count
            notes.update(ledger.notes)
            seconds, model_seconds = seconds + ledger.seconds, model_seconds + ledger.model_seconds
    more = "".join(f"; {what}: {count}" for what, count in sorted(notes.items()))
    if model_seconds:
        more += f"; model busy {model_seconds / seconds:.0%}"
    click.echo(f"{name}: {made} samples in {len(shards)} shards, {len(failures)} failed{more}")
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


def _create(manifest: Path, out: Path) -> Run:
    """The run of a manifest, whose every stage is checked as far as that can be done before there is a run."""
    from p3d_gen.manifest import load_manifest
    from p3d_gen.store import create_run
    from p3d_gen.stylize.stylization import check_settings

    loaded = load_manifest(manifest)
    check_settings(loaded, loaded.stylize, manifest.parent.resolve())
    return create_run(out, manifest)


def render_run(run: Run, workers: int | None, how: Supervision) -> list[Failure]:
    """Prepare a run's models and render its samples, with a bar; returns what failed."""
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


def _stylize(run: Run, what: Stylization, workers: int | None, device: str) -> list[Failure]:
    from p3d_gen.stylize.stage import count_gpus, stylize_shard

    stage = functools.partial(stylize_shard, name=what.name, device=device)
    if what.settings.stylizer == "none":
        return _run_stage(run, what.stage, stage, workers)
    gpus = 0 if device == "cpu" else count_gpus()
    return _run_stage(run, what.stage, stage, workers or gpus or 1, spread=True)  # a pipeline takes gigabytes


def _pack(run: Run, what: Stylization, workers: int | None, by: Filter | None = None) -> list[Failure]:
    from p3d_gen.pack import pack_shard
    from p3d_gen.sheet import write_contact_sheet

    failures = _run_stage(run, "pack", functools.partial(pack_shard, name=what.name, by=by), workers)
    click.echo(f"shards: {run.root / what.packed}")
    click.echo(f"contact sheet: {write_contact_sheet(run, name=what.name)}")
    return failures


@click.command()
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
    from p3d_gen.store import forget_failures

    opened = _create(manifest, out)
    if retry_failed:
        forget_failures(opened, ["render"])
    _conclude(render_run(opened, workers, how), allow_failures)


@click.command()
@run_folder_argument
@name_option
@click.option(
    "--settings",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="TOML with the keys of a manifest's section stylize, for a stylization with a name.",
)
@click.option(
    "--min-survival",
    type=click.FloatRange(0, 1),
    help="Least label survival of a picture, in place of stylize.min_survival.",
)
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="What the pipeline computes on; auto takes all GPUs, a process each, else the CPU.",
)
@stage_options
def stylize(
    run_folder: Path,
    name: str,
    settings: Path | None,
    min_survival: float | None,
    device: str,
    workers: int | None,
    allow_failures: int,
    retry_failed: bool,
) -> None:
    """Turn renders into realistic pictures: Canny edges and a colour prompt guide a ControlNet pipeline.

    With --name, in another way than the manifest says: RUN/stylize-NAME stands beside RUN/stylize.

    \b
    Example:
      p3dgen stylize runs/quickstart
      p3dgen stylize runs/quickstart --name fewstep --settings fewstep.toml
    """
    from p3d_gen.store import forget_failures, open_run
    from p3d_gen.stylize.settings import load_settings
    from p3d_gen.stylize.stylization import create_stylization

    run = open_run(run_folder)
    given = (load_settings(settings), settings.parent.resolve()) if settings else None
    what = create_stylization(run, name, given, min_survival)
    if retry_failed:
        forget_failures(run, [what.stage])
    _conclude(_stylize(run, what, workers, device), allow_failures)


@click.command()
@run_folder_argument
@name_option
@click.option(
    "--residuals",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    multiple=True,
    help="Pose residuals that `pose-models folds` wrote; may be repeated.",
)
@click.option(
    "--max-residual",
    type=click.FloatRange(0, 180),
    default=180.0,
    show_default=True,
    help="Leave out samples with a larger residual, in degrees.",
)
@stage_options
def pack(
    run_folder: Path,
    name: str,
    residuals: tuple[Path, ...],
    max_residual: float,
    workers: int | None,
    allow_failures: int,
    retry_failed: bool,
) -> None:
    """Composite the stylised pictures on random backgrounds into WebDataset shards.

    \b
    Example:
      p3dgen pack runs/quickstart
      p3dgen pack runs/quickstart --residuals car.json --max-residual 30 --allow-failures 50
    """
    from p3d_gen.pack import Filter
    from p3d_gen.store import forget_failures, open_run
    from p3d_gen.stylize.stylization import open_stylization

    run = open_run(run_folder)
    what = open_stylization(run, name)
    if retry_failed:
        forget_failures(run, [what.packed])
    by = Filter(files=residuals, max_deg=max_residual) if residuals else None
    _conclude(_pack(run, what, workers, by), allow_failures)


@click.command()
@_manifest
@_out
@stage_options
@blender_options
def run(
    manifest: Path, out: Path, workers: int | None, allow_failures: int, retry_failed: bool, how: Supervision
) -> None:
    """Render, stylize and pack. Killed at any time, the same command goes on where it was.

    With --device cpu the stylizer computes on the CPU as well, else on GPUs where there are any.

    \b
    Example:
      p3dgen run manifests/quickstart.toml --out runs/quickstart
    """
    from p3d_gen.store import forget_failures
    from p3d_gen.stylize.stylization import create_stylization

    opened = _create(manifest, out)
    what = create_stylization(opened)
    if retry_failed:
        forget_failures(opened)
    device = "cpu" if how.device == "CPU" else "auto"
    failures = render_run(opened, workers, how) + _stylize(opened, what, workers, device) + _pack(opened, what, workers)
    _conclude(failures, allow_failures)
