"""The commands that make a run: `p3dgen render`, `stylize`, `pack`, and `run` for all three."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from p3d_gen.cli.common import (
    Effort,
    RunFolderType,
    blender_options,
    licence_option,
    name_option,
    progress_bar,
    run_folder_argument,
    stage_options,
)
from p3d_gen.cli.live import stage_view

if TYPE_CHECKING:
    from p3d_gen.cli.live import StageView
    from p3d_gen.pack.stage import ResidualFilter
    from p3d_gen.render.stage import Supervision
    from p3d_gen.run.stage import Stage
    from p3d_gen.run.store import Failure, Ledger, RunFolder
    from p3d_gen.stylize.stylization import Stylization

_SHOWN_FAILURES = 10

_out = click.option("--out", type=RunFolderType(exists=False), required=True, help="The run folder; made if need be.")
_manifest = click.argument("manifest", type=click.Path(exists=True, dir_okay=False, path_type=Path))


@dataclass(frozen=True, kw_only=True)
class _Way:
    """How a stage is best made. local: processes on this machine; spread: whether they share all cores for their
    threads. gpus: what a shard takes of Ray. composites: how many samples come of one."""

    local: int
    spread: bool = False
    gpus: float = 0.0
    composites: int = 1


def _ledgers(
    stage: Stage, run: RunFolder, shards: Sequence[str], effort: Effort, way: _Way, view: StageView
) -> Iterator[Ledger]:
    """The ledgers of the shards as they are made, wherever that is."""
    from p3d_gen.run.local import run_shards

    run_dir = str(run.root.absolute())
    if not effort.ray:
        yield from run_shards(stage, run_dir, shards, effort.workers or way.local, view.on_sample, way.spread)
        return
    from p3d_gen.run.ray import Needs, run_shards_on_ray

    needs = Needs(cpus=1.0 if effort.cpus is None else effort.cpus, gpus=way.gpus)
    for ledger in run_shards_on_ray(
        stage, run_dir, shards, address=effort.address, needs=needs, at_once=effort.workers, on_news=view.on_news
    ):
        for _ in range(ledger.count + len(ledger.failures)):
            view.on_sample()
        yield ledger


def _run_stage(run: RunFolder, name: str, stage: Stage, effort: Effort, way: _Way) -> list[Failure]:
    from p3d_gen.run.selection import chosen_shards

    shards, made = chosen_shards(run, effort.shards), 0
    failures: list[Failure] = []
    notes: Counter[str] = Counter()
    seconds = model_seconds = 0.0
    samples = way.composites * sum(len(run.members_of(shard)[1]) for shard in shards)
    with stage_view(name, len(shards), samples) as view:
        for ledger in _ledgers(stage, run, shards, effort, way, view):
            view.on_ledger(ledger)
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


def _begin(run: RunFolder, stages: Iterable[str], effort: Effort) -> None:
    """Check which shards are wanted, and forget their failures where they are to be made again."""
    from p3d_gen.run.selection import chosen_shards
    from p3d_gen.run.store import forget_failures

    shards = chosen_shards(run, effort.shards)
    if effort.retry_failed:
        forget_failures(run, stages, shards)


def _conclude(failures: list[Failure], allowed: int) -> None:
    """More failed samples than allowed are an error."""
    if len(failures) > allowed:
        raise click.ClickException(
            f"{len(failures)} samples failed, {allowed} are allowed (--allow-failures); "
            "the others are kept. Mend the cause and add --retry-failed to make them again"
        )


def _create(manifest: Path, out: Path) -> RunFolder:
    """The run of a manifest, whose every stage is checked as far as that can be done before there is a run."""
    from p3d_gen.run.store import create_run
    from p3d_gen.spec.manifest import load_manifest
    from p3d_gen.stylize.stylization import check_settings

    loaded = load_manifest(manifest)
    check_settings(loaded, loaded.stylize, manifest.parent.resolve())
    return create_run(out, manifest)


def _check_licences(run: RunFolder, what: Stylization, allowed: tuple[str, ...]) -> None:
    """Before anything is paid for: may all that samples could be made of be used?"""
    from p3d_gen.verify.provenance import check_allowed, materials

    if allowed:
        check_allowed(materials(run, what), allowed)


def render_run(run: RunFolder, effort: Effort, how: Supervision) -> list[Failure]:
    """Prepare a run's models and render its samples, with a table; returns what failed."""
    from p3d_gen.render.prepare import prepare_models
    from p3d_gen.render.stage import count_gpus, render_shard
    from p3d_gen.run.local import available_cores

    cores = len(available_cores())
    with progress_bar() as progress:
        task = progress.add_task("models", total=sum(len(cads) for cads in run.inventory.cads.values()))
        on_model = functools.partial(progress.advance, task)
        notes = prepare_models(run, cores if effort.ray else effort.workers or cores, on_model)
    for note in notes:
        click.echo(f"models: {note}", err=True)
    here = 0 if effort.ray or effort.workers else count_gpus(how)
    way = _Way(local=here or cores, gpus=effort.gpus or 0)
    return _run_stage(run, "render", functools.partial(render_shard, how=how), effort, way)


def _stylize(run: RunFolder, what: Stylization, effort: Effort, device: str) -> list[Failure]:
    from p3d_gen.run.local import available_cores
    from p3d_gen.stylize.stage import count_gpus, stylize_shard
    from p3d_gen.stylize.weights import are_light

    stage = functools.partial(stylize_shard, name=what.name, device=device)
    if what.settings.stylizer == "none":
        way = _Way(local=len(available_cores()))
    else:
        here = 0 if device == "cpu" or effort.ray else count_gpus()
        on_cpu = len(available_cores()) if are_light(what.settings, what.base_dir) else 1  # else it takes gigabytes
        there = effort.gpus if effort.gpus is not None else float(device != "cpu")
        way = _Way(local=here or on_cpu, spread=True, gpus=there)
    return _run_stage(run, what.stage, stage, effort, way)


def _pack(
    run: RunFolder, what: Stylization, effort: Effort, residual_filter: ResidualFilter | None = None
) -> list[Failure]:
    from p3d_gen.pack.stage import pack_shard
    from p3d_gen.report.sheet import write_contact_sheet
    from p3d_gen.run.local import available_cores

    stage = functools.partial(pack_shard, name=what.name, residual_filter=residual_filter)
    way = _Way(local=len(available_cores()), composites=run.manifest.background.per_render)
    failures = _run_stage(run, "pack", stage, effort, way)
    click.echo(f"shards: {run.root / what.packed}")
    if not effort.shards:  # others are making the shards that it shows
        click.echo(f"contact sheet: {write_contact_sheet(run, name=what.name)}")
    return failures


@click.command()
@_manifest
@_out
@stage_options
@blender_options
def render(manifest: Path, out: Path, effort: Effort, how: Supervision) -> None:
    """Render a manifest's samples with Blender: pictures, and the labels that it names.

    \b
    Example:
      p3dgen render manifests/quickstart.toml --out runs/quickstart
    """
    opened = _create(manifest, out)
    _begin(opened, ["render"], effort)
    _conclude(render_run(opened, effort, how), effort.allow_failures)


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
    effort: Effort,
) -> None:
    """Turn renders into realistic pictures: Canny edges and a colour prompt guide a ControlNet pipeline.

    With --name, in another way than the manifest says: RUN/stylize-NAME stands beside RUN/stylize.

    \b
    Example:
      p3dgen stylize runs/quickstart
      p3dgen stylize runs/quickstart --name fewstep --settings fewstep.toml
    """
    from p3d_gen.run.store import open_run
    from p3d_gen.spec.stylize import load_settings
    from p3d_gen.stylize.stylization import create_stylization

    run = open_run(run_folder)
    given = (load_settings(settings), settings.parent.resolve()) if settings else None
    what = create_stylization(run, name, given, min_survival)
    _begin(run, [what.stage], effort)
    _conclude(_stylize(run, what, effort, device), effort.allow_failures)


@click.command()
@run_folder_argument
@name_option
@click.option(
    "--residuals",
    type=click.Path(exists=True, dir_okay=False, resolve_path=True, path_type=Path),
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
@licence_option
@stage_options
def pack(
    run_folder: Path,
    name: str,
    residuals: tuple[Path, ...],
    max_residual: float,
    allow_licenses: tuple[str, ...],
    effort: Effort,
) -> None:
    """Composite the stylised pictures on random backgrounds into WebDataset shards.

    \b
    Example:
      p3dgen pack runs/quickstart
      p3dgen pack runs/quickstart --residuals car.json --max-residual 30 --allow-failures 50
    """
    from p3d_gen.pack.stage import ResidualFilter
    from p3d_gen.run.store import open_run
    from p3d_gen.stylize.stylization import open_stylization

    run = open_run(run_folder)
    what = open_stylization(run, name)
    _check_licences(run, what, allow_licenses)
    _begin(run, [what.packed], effort)
    residual_filter = ResidualFilter(files=residuals, max_deg=max_residual) if residuals else None
    _conclude(_pack(run, what, effort, residual_filter), effort.allow_failures)


@click.command()
@_manifest
@_out
@licence_option
@stage_options
@blender_options
def run(manifest: Path, out: Path, allow_licenses: tuple[str, ...], effort: Effort, how: Supervision) -> None:
    """Render, stylize and pack. Killed at any time, the same command goes on where it was.

    With --device cpu the stylizer computes on the CPU as well, else on GPUs where there are any.

    \b
    Example:
      p3dgen run manifests/quickstart.toml --out runs/quickstart
    """
    from p3d_gen.run.store import STAGES
    from p3d_gen.stylize.stylization import create_stylization

    opened = _create(manifest, out)
    what = create_stylization(opened)
    _check_licences(opened, what, allow_licenses)
    _begin(opened, STAGES, effort)
    device = "cpu" if how.device == "CPU" else "auto"
    failures = render_run(opened, effort, how) + _stylize(opened, what, effort, device) + _pack(opened, what, effort)
    _conclude(failures, effort.allow_failures)
