"""What several commands share: their options, their progress bar, and how they say what went wrong."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from p3d_gen.errors import P3DError


class Group(click.Group):
    """A group of commands whose P3DErrors are messages, not tracebacks."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except P3DError as error:
            raise click.ClickException(str(error)) from error


run_folder_argument = click.argument(
    "run_folder", metavar="RUN", type=click.Path(exists=True, file_okay=False, path_type=Path)
)
name_option = click.option("--name", default="", help="Of the stylization; without it, the manifest's own.")


def stage_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options of every stage: how fast, and how many failures are allowed."""
    for option in (
        click.option("--workers", type=click.IntRange(min=1), help="Processes; one per processor where not given."),
        click.option(
            "--allow-failures",
            type=click.IntRange(min=0),
            default=0,
            show_default=True,
            help="Exit with status 0 although this many samples failed.",
        ),
        click.option("--retry-failed", is_flag=True, help="Make shards with failed samples again."),
    ):
        command = option(command)
    return command


def blender_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options of commands that start Blender, handed on as one argument `how`."""

    @functools.wraps(command)
    def with_how(device: str, sample_timeout: float, recycle_after: int, memory_mb: int, **others: Any) -> None:
        from p3d_gen.render import Supervision

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
    )
