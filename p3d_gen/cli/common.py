"""Options that several commands share."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict

import click

if TYPE_CHECKING:
    from p3d_gen.run.pipeline import RayCluster


class RunFolderType(click.ParamType[Path]):
    """A run folder at a local path or under a URL such as s3://bucket/run."""

    name = "folder"

    def __init__(self, exists: bool) -> None:
        """exists: True if a local folder must be there."""
        self._exists = exists

    def convert(self, value: str | Path, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Return the folder; a UPath for a URL."""
        if isinstance(value, str) and "://" in value:
            from p3d_gen.run.remote import place

            return place(value)
        kind = click.Path(exists=self._exists, file_okay=False, path_type=Path)
        return Path(kind.convert(str(value), param, ctx))


run_folder_argument = click.argument("run_folder", metavar="RUN", type=RunFolderType(exists=True))
out_option = click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="File to write, instead of one in RUN; for a run that cannot be written to.",
)
base_dir_option = click.option(
    "--base-dir",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder at which the manifest's relative paths start, if it was moved; RUN remembers it.",
)
name_option = click.option("--name", default="", help="Name of the stylization; the manifest's own by default.")


class StageOptions(TypedDict):
    """The arguments of `api.Run` that every stage has."""

    workers: int | None
    shards: str
    engine: Literal["local"] | RayCluster
    allow_failures: int
    retry_failed: bool
    strict_versions: bool


class BlenderOptions(TypedDict):
    """The arguments of `api.Run` for the processes of Blender."""

    device: str
    sample_timeout_s: float
    recycle_after: int
    memory_mb: int
    prepare_timeout_s: float


_STAGE_OPTIONS = (
    click.option(
        "--workers",
        type=click.IntRange(min=1),
        help="Number of processes; one per processor by default. With Ray, number of shards made at the same time; "
        "as many as there is room for by default.",
    ),
    click.option("--shards", default="", help="Make only the shards with these numbers, counted from 0: 0-99,120."),
    click.option(
        "--engine",
        type=click.Choice(["local", "ray"]),
        default="local",
        show_default=True,
        help="Make shards in processes of this machine, or on a Ray cluster.",
    ),
    click.option(
        "--address",
        help="Address of the Ray cluster, such as auto or HOST:6379; RAY_ADDRESS by default, and without that a "
        "cluster of this machine.",
    ),
    click.option(
        "--num-cpus", type=click.FloatRange(min=0), help="Processors that Ray reserves for a shard; 1 by default."
    ),
    click.option(
        "--num-gpus",
        type=click.FloatRange(min=0),
        help="GPUs that Ray reserves for a shard to render or stylize; by default 1 for a diffusion pipeline that is "
        "not on the CPU, else 0.",
    ),
    click.option(
        "--allow-failures",
        type=click.IntRange(min=0),
        metavar="N",
        default=0,
        show_default=True,
        help="Tolerate up to N failed samples.",
    ),
    click.option(
        "--retry-failed",
        is_flag=True,
        help="Make shards with failed samples again, also from pictures that were repaired since.",
    ),
    click.option(
        "--strict-versions",
        is_flag=True,
        help="Refuse to go on with a run under other versions of Blender or a library than it was made with.",
    ),
)


def stage_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of every stage, which reach the command as one argument `stage`."""

    @functools.wraps(command)
    def with_stage(
        engine: str, address: str | None, num_cpus: float | None, num_gpus: float | None, **others: Any
    ) -> None:
        given = {"--address": address, "--num-cpus": num_cpus, "--num-gpus": num_gpus}
        for option, value in given.items():
            if engine != "ray" and value is not None:
                raise click.UsageError(f"{option} is for --engine ray")
        from p3d_gen.run.pipeline import RayCluster

        stage = StageOptions(
            engine=RayCluster(address=address, cpus=num_cpus, gpus=num_gpus) if engine == "ray" else "local",
            workers=others.pop("workers"),
            shards=others.pop("shards"),
            allow_failures=others.pop("allow_failures"),
            retry_failed=others.pop("retry_failed"),
            strict_versions=others.pop("strict_versions"),
        )
        command(stage=stage, **others)

    decorated: Callable[..., None] = with_stage
    for option in reversed(_STAGE_OPTIONS):
        decorated = option(decorated)
    return decorated


prepare_timeout_option = click.option(
    "--prepare-timeout",
    "prepare_timeout_s",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    default=300.0,
    show_default=True,
    help="Time after which the preparation of a CAD model is stopped; the model cannot be used then.",
)
_RENDER_DEVICES = click.Choice(["auto", "cpu", "optix", "cuda", "hip", "oneapi", "metal"], case_sensitive=False)
_BLENDER_OPTIONS = (
    click.option(
        "--render-device",
        type=_RENDER_DEVICES,
        default="auto",
        show_default=True,
        help="Device on which Cycles renders; auto takes all GPUs of the first kind there is, or the CPU.",
    ),
    click.option("--device", type=_RENDER_DEVICES, hidden=True),  # its name in version 0.1
    click.option(
        "--sample-timeout",
        "sample_timeout_s",
        type=click.FloatRange(min=0, min_open=True),
        metavar="SECONDS",
        default=600.0,
        show_default=True,
        help="Time after which a render is stopped; it is tried twice. The start of Blender does not count.",
    ),
    prepare_timeout_option,
    click.option(
        "--recycle-after",
        type=click.IntRange(min=1),
        metavar="N",
        default=1000,
        show_default=True,
        help="Replace a Blender process after N renders.",
    ),
    click.option(
        "--memory-mb",
        type=click.IntRange(min=256),
        metavar="MB",
        default=4096,
        show_default=True,
        help="End a Blender process whose resident memory is above this size; what it was making fails.",
    ),
)


def stage_blender_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of commands that render, which reach the command as one argument `blender`."""

    @functools.wraps(command)
    def with_blender(
        render_device: str,
        device: str | None,
        sample_timeout_s: float,
        recycle_after: int,
        memory_mb: int,
        prepare_timeout_s: float,
        **others: Any,
    ) -> None:
        blender = BlenderOptions(
            device=device or render_device,
            sample_timeout_s=sample_timeout_s,
            recycle_after=recycle_after,
            memory_mb=memory_mb,
            prepare_timeout_s=prepare_timeout_s,
        )
        command(blender=blender, **others)

    decorated: Callable[..., None] = with_blender
    for option in reversed(_BLENDER_OPTIONS):
        decorated = option(decorated)
    return decorated


def blender_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the same options; they reach the command as one argument `supervision`."""

    @stage_blender_options
    @functools.wraps(command)
    def with_supervision(blender: BlenderOptions, **others: Any) -> None:
        from p3d_gen.render.stage import Supervision

        supervision = Supervision(
            timeout_s=blender["sample_timeout_s"],
            recycle_after=blender["recycle_after"],
            memory_mb=blender["memory_mb"],
            device=blender["device"].upper(),
            prepare_timeout_s=blender["prepare_timeout_s"],
        )
        command(supervision=supervision, **others)

    return with_supervision


def _licence_ids(_: click.Context, __: click.Parameter, text: str | None) -> tuple[str, ...]:
    from p3d_gen.spec.spdx import spdx

    try:
        return tuple(spdx(name.strip()) for name in text.split(",")) if text else ()
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


licence_option = click.option(
    "--allow-licenses",
    metavar="ID,...",
    callback=_licence_ids,
    help="Refuse assets and checkpoints under other licences than these SPDX ids, or under unknown ones.",
)
