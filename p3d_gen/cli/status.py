"""The command `p3dgen status`, which looks at a run from another terminal."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from p3d_gen.cli.common import run_folder_argument
from p3d_gen.core.commandline import plain_console, print_wide

if TYPE_CHECKING:
    from p3d_gen.report.status import News, RunStatus, StageStatus, Watch

_SHOWN_REASONS = 3


def duration(seconds: float) -> str:
    """Return a time that is left as '2 h 05 min', '12 min' or '40 s'."""
    minutes = round(seconds / 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    return f"{minutes} min" if seconds >= 90 else f"{seconds:.0f} s"


def _rate(stage: StageStatus) -> str:
    return "" if stage.rate is None else f"{stage.rate:.2g}"


def _writing(stage: StageStatus) -> str:
    return ", ".join(f"{w.shard} ({w.samples} samples, {w.size_bytes / 1e6:.1f} MB)" for w in stage.writing)


def _news_line(news: News) -> str:
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(news.time))
    return f"{when}  {news.stage} {news.shard}: {news.samples} samples in {news.seconds:.0f} s" + (
        f", {news.failed} failed" if news.failed else ""
    )


def _line(stage: StageStatus) -> str:
    """Return a stage as one plain line."""
    failed = sum(stage.failures.values())
    parts = [
        f"{stage.state}, {stage.shards_done} of {stage.shards} shards",
        f"{stage.samples} of {stage.planned} samples, {failed} failed",
        "" if stage.rate is None else f"{_rate(stage)} samples/s",
        "" if stage.seconds_left is None else f"{duration(stage.seconds_left)} left",
        f"writing {_writing(stage)}" if stage.writing else "",
    ]
    return f"{stage.stage}: " + ", ".join(part for part in parts if part)


def _reasons(status: RunStatus) -> list[str]:
    """Return the most frequent reasons of failures."""
    reasons = [(n, stage.stage, reason) for stage in status.stages for reason, n in stage.failures.items()]
    ranked = sorted(reasons, key=lambda each: -each[0])[:_SHOWN_REASONS]
    return [f"failed in {stage}, {n} times: {reason}" for n, stage, reason in ranked]


def _remarks(status: RunStatus) -> list[str]:
    """Return the lines below the stages."""
    begun = status.models_prepared or status.stages[0].shards_done
    waiting = [] if begun else ["models: not prepared yet"]
    return [*waiting, *_reasons(status), *map(_news_line, status.news)]


def _lines(status: RunStatus) -> list[str]:
    return [*map(_line, status.stages), *_remarks(status)]


def table(status: RunStatus) -> Group:
    """Return the state of a run as a table for a terminal."""
    stages = Table(title=status.run, title_justify="left")
    for name in ("stage", "state"):
        stages.add_column(name)
    for name in ("shards", "samples", "failed", "samples/s", "left"):
        stages.add_column(name, justify="right", no_wrap=True)
    stages.add_column("being written")
    colours = {"done": "green", "running": "cyan", "stopped": "yellow", "waiting": "dim"}
    for stage in status.stages:
        failed = sum(stage.failures.values())
        stages.add_row(
            stage.stage,
            Text(stage.state, style=colours[stage.state]),
            f"{stage.shards_done}/{stage.shards}",
            f"{stage.samples}/{stage.planned}",
            Text(str(failed), style="red" if failed else ""),
            _rate(stage),
            "" if stage.seconds_left is None else duration(stage.seconds_left),
            _writing(stage),
        )
    return Group(stages, *map(Text, _remarks(status)))


def _watch_plainly(watch: Watch, every: float) -> None:
    """Print the lines that have changed, with the time, until the run is finished."""
    shown: set[str] = set()
    while True:
        status = watch.look()
        lines = _lines(status)
        for line in lines:
            if line not in shown:
                click.echo(f"{time.strftime('%H:%M:%S')} {line}")
        shown = set(lines)
        sys.stdout.flush()
        if status.done:
            return
        time.sleep(every)


def _watch_live(watch: Watch, every: float) -> None:
    """Keep a table up to date until the run is finished."""
    with Live(table(watch.look()), console=plain_console(), auto_refresh=False) as live:
        while not (status := watch.look()).done:
            live.update(table(status), refresh=True)
            time.sleep(every)
        live.update(table(status), refresh=True)


@click.command()
@run_folder_argument
@click.option("--watch", "watching", is_flag=True, help="Update the status until the run is finished; Ctrl-C ends it.")
@click.option(
    "--every",
    type=click.FloatRange(min=0.1),
    default=2.0,
    show_default=True,
    help="Seconds between two updates, with --watch.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the status as JSON.")
def status(run_folder: Path, watching: bool, every: float, as_json: bool) -> None:
    """Show the progress of a run: shards, samples, failures, rate, time left, and the shards being written.

    It only reads, so it can look at a run that is being made in another terminal. In a pipe it prints plain lines.

    \b
    Example:
      p3dgen status runs/quickstart --watch
    """
    from p3d_gen.report.status import Watch

    if watching and as_json:
        raise click.UsageError("--watch and --json cannot be combined: call --json repeatedly instead")
    watch = Watch(run_folder)
    if as_json:
        click.echo(json.dumps(asdict(watch.look()), indent=2))
    elif not watching and sys.stdout.isatty():
        print_wide(table(watch.look()))
    elif not watching:
        click.echo("\n".join(_lines(watch.look())))
    else:
        (_watch_live if sys.stdout.isatty() else _watch_plainly)(watch, every)
