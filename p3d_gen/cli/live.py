"""How far a stage is: a table that lives on a terminal, plain lines where stderr goes elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, Task, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from p3d_gen.core.commandline import is_quiet

if TYPE_CHECKING:
    from p3d_gen.run.store import Ledger

_LINE_EVERY_S = 15.0
_RATE_OVER_S = 120.0
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
    """What is known of a stage at work: tell it of samples, ledgers and news, and it shows them."""

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
        self._told = time.monotonic()

    def line(self) -> str:
        """The row in words."""
        task = self._task
        left = "" if task.finished or task.time_remaining is None else f", {task.time_remaining / 60:.0f} min left"
        rate = "" if task.speed is None else f", {task.speed:.2f} samples/s"
        return (
            f"{task.description}: {task.fields['shards']}/{task.fields['of']} shards, "
            f"{task.completed:.0f}/{task.total:.0f} samples, {task.fields['failed']} failed{rate}{left}"
        )

    def _tell(self) -> None:
        if self.progress.disable and not is_quiet() and time.monotonic() - self._told > _LINE_EVERY_S:
            self._told = time.monotonic()
            click.echo(self.line(), err=True)

    def on_sample(self) -> None:
        """A sample is made, or has failed."""
        self.progress.advance(self._task.id)
        self._tell()

    def on_ledger(self, ledger: Ledger) -> None:
        """A shard is finished."""
        fields = self._task.fields
        failed = fields["failed"] + len(ledger.failures)
        self.progress.update(self._task.id, shards=fields["shards"] + 1, failed=failed)
        self._tell()

    def on_news(self, news: str) -> None:
        """Something that a user should know at once."""
        if self.progress.disable:
            click.echo(news, err=True)
        else:
            self._console.print(news, markup=False, highlight=False)


@contextmanager
def stage_view(name: str, shards: int, samples: int) -> Iterator[StageView]:
    """Show a stage while the block runs. On a terminal its last row stays; elsewhere a line comes every 15 seconds."""
    view = StageView(name, shards, samples)
    with view.progress:
        yield view
