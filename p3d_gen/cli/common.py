"""What several commands share: their options, their progress bar, and how they say what went wrong."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from p3d_gen.core.commandline import is_quiet


class RunFolderType(click.ParamType[Path]):
    """A run folder at a local path or under a URL such as s3://bucket/run."""

    name = "folder"

    def __init__(self, exists: bool) -> None:
        """exists: whether a local one must be there."""
        self._exists = exists

    def convert(self, value: str | Path, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """The folder; a UPath of a URL."""
        if isinstance(value, str) and "://" in value:
            from p3d_gen.run.remote import place

            return place(value)
        kind = click.Path(exists=self._exists, file_okay=False, path_type=Path)
        return Path(kind.convert(str(value), param, ctx))


run_folder_argument = click.argument("run_folder", metavar="RUN", type=RunFolderType(exists=True))
name_option = click.option("--name", default="", help="Of the stylization; without it, the manifest's own.")


@dataclass(frozen=True, kw_only=True)
class Effort:
    """Which shards a command makes, with what, and how many samples may fail.

    workers: how many at once, None for as many as there is room for. shards: as in "0-99,120", "" for all. ray: whether
    on a Ray cluster, which is at `address`; cpus, gpus: what a shard takes there, None for what the stage needs.
    """

    workers: int | None = None
    shards: str = ""
    ray: bool = False
    address: str | None = None
    cpus: float | None = None
    gpus: float | None = None
    allow_failures: int = 0
    retry_failed: bool = False


_STAGE_OPTIONS = (
    click.option(
        "--workers",
        type=click.IntRange(min=1),
        help="Processes; one per processor where not given. With Ray, shards at once; as many as there is room for.",
    ),
    click.option("--shards", default="", help="Make only these: their numbers from 0 on, as in 0-99,120."),
    click.option(
        "--engine",
        type=click.Choice(["local", "ray"]),
        default="local",
        show_default=True,
        help="Processes of this machine, or a Ray cluster.",
    ),
    click.option(
        "--address",
        help="Of the Ray cluster, such as auto or HOST:6379, else RAY_ADDRESS; without both, one on this machine.",
    ),
    click.option("--num-cpus", type=click.FloatRange(min=0), help="Processors that Ray gives a shard; 1 by default."),
    click.option(
        "--num-gpus",
        type=click.FloatRange(min=0),
        help="GPUs that Ray gives a shard to render or stylise; by default 1 for a diffusion pipeline not on the CPU.",
    ),
    click.option(
        "--allow-failures",
        type=click.IntRange(min=0),
        default=0,
        show_default=True,
        help="Exit with status 0 although this many samples failed.",
    ),
    click.option("--retry-failed", is_flag=True, help="Make shards with failed samples again."),
)


def stage_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options of every stage, handed on as one argument `effort`."""

    @functools.wraps(command)
    def with_effort(
        engine: str, address: str | None, num_cpus: float | None, num_gpus: float | None, **others: Any
    ) -> None:
        given = {"--address": address, "--num-cpus": num_cpus, "--num-gpus": num_gpus}
        for option, value in given.items():
            if engine != "ray" and value is not None:
                raise click.UsageError(f"{option} is for --engine ray")
        names = ("workers", "shards", "allow_failures", "retry_failed")
        rest = {name: others.pop(name) for name in names}
        effort = Effort(ray=engine == "ray", address=address, cpus=num_cpus, gpus=num_gpus, **rest)
        command(effort=effort, **others)

    decorated: Callable[..., None] = with_effort
    for option in _STAGE_OPTIONS:
        decorated = option(decorated)
    return decorated


def blender_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options of commands that start Blender, handed on as one argument `how`."""

    @functools.wraps(command)
    def with_how(device: str, sample_timeout: float, recycle_after: int, memory_mb: int, **others: Any) -> None:
        from p3d_gen.render.stage import Supervision

        how = Supervision(
            timeout_s=sample_timeout, recycle_after=recycle_after, memory_mb=memory_mb, device=device.upper()
        )
        command(how=how, **others)

    for option in (
        click.option(
            "--device",
            type=click.Choice(["auto", "cpu", "optix", "cuda", "hip", "oneapi", "metal"], case_sensitive=False),
            default="auto",
            show_default=True,
            help="What Cycles renders on; auto takes all GPUs of the first kind there is, else the CPU.",
        ),
        click.option(
            "--sample-timeout",
            type=click.FloatRange(min=0, min_open=True),
            default=600.0,
            show_default=True,
            help="Seconds after which a render is given up; it is tried twice.",
        ),
        click.option(
            "--recycle-after",
            type=click.IntRange(min=1),
            default=1000,
            show_default=True,
            help="Renders after which a Blender process is replaced by a fresh one.",
        ),
        click.option(
            "--memory-mb",
            type=click.IntRange(min=256),
            default=4096,
            show_default=True,
            help="Resident memory above which a Blender process is replaced.",
        ),
    ):
        with_how = option(with_how)
    return with_how


def progress_bar() -> Progress:
    """A bar on stderr with its name, count and times."""
    return Progress(
        TextColumn("{task.description:>8}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=is_quiet(),
    )


def _licence_ids(_: click.Context, __: click.Parameter, text: str | None) -> tuple[str, ...]:
    from p3d_gen.spec.licences import spdx

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
