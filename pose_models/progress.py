"""Progress bars, shown on stderr to those who ask for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from pose_models.training.loop import Step


def progress_bar(shown: bool = True) -> Progress:
    """Return bars with their count, the time left, and a note set by the task; bars that are not `shown` do nothing."""
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    note = TextColumn("{task.fields[note]}")
    return Progress(*columns, note, console=Console(stderr=True), disable=not shown)


@contextmanager
def training_progress(steps: int, shown: bool = True) -> Iterator[Callable[[Step], None]]:
    """Show a bar for a training of `steps` steps; yield the function to call after each of them."""
    with progress_bar(shown) as progress:
        task = progress.add_task("train", total=steps, note="")
        yield lambda step: progress.update(task, completed=step.step, note=f"loss {step.loss:.3f}")
