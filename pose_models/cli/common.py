"""What several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

if TYPE_CHECKING:
    import torch
    from rich.console import Console
    from rich.progress import Progress

    from pose_models.config import Precision

FOLDER = click.Path(path_type=Path, file_okay=False)
FILE = click.Path(path_type=Path, dir_okay=False)


def progress_bar(console: Console) -> Progress:
    """A bar with its count, the time that is left, and a note that the task sets."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    return Progress(*columns, TextColumn("{task.fields[note]}"), console=console)


def run_device(name: str) -> torch.device:
    """The device that `auto`, `cpu` or `cuda` means here; ClickException where there is none."""
    import torch

    if name == "cuda" and not torch.cuda.is_available():
        raise click.ClickException("--device cuda: torch sees no CUDA device here; use --device cpu")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def run_precision(name: str, device: torch.device) -> Precision:
    """`name`, or for `auto` bf16 where the device has matrix units for it, else fp32."""
    import torch

    if name != "auto":
        return cast("Precision", name)
    fast = device.type == "cuda" or torch.cpu._is_amx_tile_supported()
    return "bf16" if fast else "fp32"
