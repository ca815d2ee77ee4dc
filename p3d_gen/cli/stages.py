"""The commands that make a run: `p3dgen render`, `stylize`, `pack`, and `run` for all three."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from p3d_gen.cli.common import (
    BlenderOptions,
    RunFolderType,
    StageOptions,
    base_dir_option,
    licence_option,
    name_option,
    run_folder_argument,
    stage_blender_options,
    stage_options,
)
from p3d_gen.core.masking import masked
from p3d_gen.run.live import LiveProgress

if TYPE_CHECKING:
    from p3d_gen.api import StageResult

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_out = click.option(
    "--out", type=RunFolderType(exists=False), required=True, help="Run folder; made if it does not exist."
)
_manifest = click.argument("manifest", type=_FILE)
_update = click.option(
    "--update",
    is_flag=True,
    help="Go on with a changed manifest or changed sources; refused if a render depends on the change.",
)


def _conclude(results: Sequence[StageResult]) -> None:
    """Say so if everything was finished already."""
    last = results[-1]
    if not any(result.new_shards or result.files for result in results):
        failed = sum(len(result.failures) for result in results)
        counts = f"{last.samples} samples in {last.shards} shards, {failed} failed"
        click.echo(masked(f"nothing to do: {last.folder} is finished ({counts})"))


@click.command()
@_manifest
@_out
@_update
@stage_options
@stage_blender_options
def render(manifest: Path, out: Path, update: bool, stage: StageOptions, blender: BlenderOptions) -> None:
    """Render a manifest's samples with Blender: pictures and labels.

    \b
    Example:
      p3dgen render manifests/quickstart.toml --out runs/quickstart
    """
    from p3d_gen.api import create_run

    _conclude([create_run(out, manifest, update).render(**blender, **stage, progress=LiveProgress(click.echo))])


@click.command()
@run_folder_argument
@name_option
@click.option(
    "--settings",
    type=_FILE,
    help="TOML file of a named stylization, with the keys of a manifest's section stylize.",
)
@click.option(
    "--min-survival",
    type=click.FloatRange(0, 1),
    help="Least label survival of a picture; replaces stylize.min_survival.",
)
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="Device of the diffusion pipeline; auto takes all GPUs, one process each, or the CPU if there is none.",
)
@base_dir_option
@stage_options
def stylize(
    run_folder: Path,
    name: str,
    settings: Path | None,
    min_survival: float | None,
    device: str,
    base_dir: Path | None,
    stage: StageOptions,
) -> None:
    """Turn renders into realistic pictures: Canny edges and a colour prompt guide a ControlNet pipeline.

    With --name, the pictures of another stylization than the manifest's are written to RUN/stylize-NAME.

    \b
    Example:
      p3dgen stylize runs/quickstart
      p3dgen stylize runs/quickstart --name fewstep --settings fewstep.toml
    """
    from p3d_gen.api import open_run

    result = open_run(run_folder, base_dir).stylize(
        name=name,
        settings=settings,
        min_survival=min_survival,
        device=device,
        **stage,
        progress=LiveProgress(click.echo),
    )
    _conclude([result])


@click.command()
@run_folder_argument
@name_option
@click.option(
    "--residuals",
    type=click.Path(exists=True, dir_okay=False, resolve_path=True, path_type=Path),
    multiple=True,
    help="File of pose residuals that `pose-models folds` wrote; may be repeated.",
)
@click.option(
    "--max-residual",
    type=click.FloatRange(0, 180),
    default=180.0,
    show_default=True,
    help="Leave out samples with a larger pose residual, in degrees.",
)
@licence_option
@base_dir_option
@stage_options
def pack(
    run_folder: Path,
    name: str,
    residuals: tuple[Path, ...],
    max_residual: float,
    allow_licenses: tuple[str, ...],
    base_dir: Path | None,
    stage: StageOptions,
) -> None:
    """Composite the stylized pictures on random backgrounds into WebDataset shards.

    \b
    Example:
      p3dgen pack runs/quickstart
      p3dgen pack runs/quickstart --residuals car.json --max-residual 30 --allow-failures 50
    """
    from p3d_gen.api import open_run

    result = open_run(run_folder, base_dir).pack(
        name=name,
        residuals=residuals,
        max_residual_deg=max_residual,
        allow_licenses=allow_licenses,
        **stage,
        progress=LiveProgress(click.echo),
    )
    _conclude([result])


@click.command()
@_manifest
@_out
@licence_option
@_update
@click.option("--check", is_flag=True, help="Compare the checksums of finished shards, and make damaged ones again.")
@stage_options
@stage_blender_options
def run(
    manifest: Path,
    out: Path,
    allow_licenses: tuple[str, ...],
    update: bool,
    check: bool,
    stage: StageOptions,
    blender: BlenderOptions,
) -> None:
    """Render, stylize and pack. Interrupted runs resume when you repeat the command.

    With --render-device cpu the stylizer computes on the CPU as well, else on GPUs if there are any.

    \b
    Example:
      p3dgen run manifests/quickstart.toml --out runs/quickstart
    """
    from p3d_gen.api import create_run

    opened = create_run(out, manifest, update)
    progress = LiveProgress(click.echo)
    _conclude(opened.generate(allow_licenses=allow_licenses, check=check, **blender, **stage, progress=progress))
