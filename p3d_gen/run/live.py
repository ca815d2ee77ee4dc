"""The progress of a run on stderr: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from p3d_gen.core.commandline import is_quiet
from p3d_gen.core.masking import masked

if TYPE_CHECKING:
    from p3d_gen.run.ledgers import Ledger
    from p3d_gen.run.pipeline import StageResult

_LINE_EVERY_S = 15.0
_RATE_OVER_S = 120.0
_SHOWN_FAILURES = 10
_HEADS = ("stage", "", "shards", "samples", "failed", "samples/s", "time", "left")


class _Rate(TextColumn):
    def render(self, task: Task) -> Text:
        return Text("-" if task.speed is None else f"{task.speed:.2f}")


class _StageTable(Progress):
    """A row with a bar for the stage, under the names of its columns."""

    def make_tasks_table(self, tasks: Iterable[Task]) -> Table:
        table = Table(box=None, pad_edge=False, header_style="dim")
        for head in _HEADS:
            table.add_column(head, justify="left" if head in ("stage", "") else "right", no_wrap=True)
        for task in tasks:
            table.add_row(*(column(task) for column in self.columns if not isinstance(column, str)))
        return table


class StageView:
    """The `pipeline.StageProgress` that shows a stage at work."""

    def __init__(self, name: str, shards: int, samples: int) -> None:
        """Show nothing yet."""
        self._console = Console(stderr=True)
        self.progress = _StageTable(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[shards]}/{task.fields[of]}"),
            TextColumn("{task.completed:.0f}/{task.total:.0f}"),
            TextColumn("{task.fields[failed]}"),
            _Rate(""),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self._console,
            speed_estimate_period=_RATE_OVER_S,
            disable=is_quiet() or not self._console.is_interactive,
        )
        row = self.progress.add_task(name, total=samples, shards=0, of=shards, failed=0)
        self._task = self.progress.tasks[row]
        self._last_line_s = time.monotonic()

    def line(self) -> str:
        """Return the row in words."""
        task = self._task
        left = "" if task.finished or task.time_remaining is None else f", {task.time_remaining / 60:.0f} min left"
        rate = "" if task.speed is None else f", {task.speed:.2f} samples/s"
        return (
            f"{task.description}: {task.fields['shards']}/{task.fields['of']} shards, "
            f"{task.completed:.0f}/{task.total:.0f} samples, {task.fields['failed']} failed{rate}{left}"
        )

    def _write_line(self) -> None:
        if self.progress.disable and not is_quiet() and time.monotonic() - self._last_line_s > _LINE_EVERY_S:
            self._last_line_s = time.monotonic()
            self.on_news(self.line())

    def on_sample(self) -> None:
        """Count a sample that is made, or has failed."""
        self.progress.advance(self._task.id)
        self._write_line()

    def on_ledger(self, ledger: Ledger) -> None:
        """Count a finished shard."""
        fields = self._task.fields
        failed = fields["failed"] + len(ledger.failures)
        self.progress.update(self._task.id, shards=fields["shards"] + 1, failed=failed)
        self._write_line()

    def on_news(self, news: str) -> None:
        """Write a line at once."""
        self._console.print(news, markup=False, highlight=False, soft_wrap=True)


def progress_bar() -> Progress:
    """Return a bar on stderr with its name, count and times."""
    return Progress(
        TextColumn("{task.description:>8}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=is_quiet(),
    )


@contextmanager
def advancing(name: str, total: int) -> Iterator[Callable[[float], None]]:
    """Show work on some pieces while the block runs, which calls the function with shares of pieces as they are done.

    On a terminal a bar moves; elsewhere a line is written every 15 seconds.
    """
    with progress_bar() as progress:
        row = progress.add_task(name, total=total)
        task = progress.tasks[row]
        last_s = time.monotonic()

        def advance(share: float) -> None:
            nonlocal last_s
            progress.advance(task.id, share)
            is_due = time.monotonic() - last_s > _LINE_EVERY_S
            if is_due and not (task.finished or is_quiet() or progress.console.is_interactive):
                last_s = time.monotonic()
                progress.console.print(f"{name}: {task.completed:.4g}/{total}", markup=False, highlight=False)

        yield advance


class LiveProgress:
    """The `pipeline.Progress` that shows a run at work.

    On a terminal a finished stage's row stays; elsewhere a line is written every 15 seconds.
    """

    def __init__(self, write: Callable[[str], None] | None = None) -> None:
        """write: writes the result of a stage; None stands for a line on stderr."""
        self._write = write or self.note

    def models(self, count: int) -> AbstractContextManager[Callable[[float], None]]:
        """Show the preparation of CAD models while the block runs."""
        return advancing("models", count)

    @contextmanager
    def stage(self, name: str, shards: int, samples: int) -> Iterator[StageView]:
        """Show a stage while the block runs."""
        view = StageView(name, shards, samples)
        with view.progress:
            yield view

    def note(self, text: str) -> None:
        """Write a line."""
        Console(stderr=True).print(masked(text), markup=False, highlight=False, soft_wrap=True)

    def done(self, result: StageResult) -> None:
        """Write the result of a stage, its first failures, and the files that a user may look for."""
        self._write(masked(str(result)))
        for failure in result.failures[:_SHOWN_FAILURES]:
            self.note(f"  {failure.key}: {failure.reason}")
        if len(result.failures) > _SHOWN_FAILURES:
            self.note(f"  and {len(result.failures) - _SHOWN_FAILURES} more, in the ledgers of {result.folder}")
        for name, path in result.files.items():
            self._write(masked(f"{name}: {path}"))
