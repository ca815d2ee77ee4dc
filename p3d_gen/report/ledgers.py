"""The sections of a report that are made from ledgers: numbers of samples, failures, times, and command lines."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np

from p3d_gen.report.collect import Ledgers
from p3d_gen.report.page import PageSection, Table
from p3d_gen.run.ledgers import Failure, Ledger
from p3d_gen.run.store import RunFolder

_SHOWN_REASONS = 20


def _failures_table(ledgers: Ledgers) -> tuple[Table, ...]:
    """Return the reasons of failed samples, the most frequent first; nothing if no sample failed.

    Reasons that differ only in their numbers count as one.
    """
    failed: dict[tuple[str, str], list[Failure]] = {}
    for command, shards in ledgers.items():
        for failure in (failure for ledger in shards.values() for failure in ledger.failures):
            failed.setdefault((command, re.sub(r"\d+", "0", failure.reason)), []).append(failure)
    if not failed:
        return ()
    ranked = sorted(failed.items(), key=lambda item: -len(item[1]))[:_SHOWN_REASONS]
    title = "Reasons of failures" + (f", the {len(ranked)} most frequent" if len(ranked) < len(failed) else "")
    rows = tuple((each[0].reason, command, len(each), each[0].key) for (command, _), each in ranked)
    header = ("reason", "command", "samples", "first sample")
    return (Table(caption=title, header=header, rows=rows, numbers=range(2, 3)),)


def _notes_table(ledgers: Ledgers) -> tuple[Table, ...]:
    """Return other events, such as pictures that were made again, with their numbers; nothing if there are none."""
    counts: Counter[tuple[str, str]] = Counter()
    for command, shards in ledgers.items():
        for ledger in shards.values():
            counts.update({(note, command): count for note, count in ledger.notes.items()})
    if not counts:
        return ()
    rows = tuple((note, command, count) for (note, command), count in counts.most_common())
    return (Table(caption="What was made again", header=("why", "command", "times"), rows=rows, numbers=range(2, 3)),)


def _of_category(run: RunFolder, shards: dict[str, Ledger], category: str) -> list[Ledger]:
    return [ledger for shard, ledger in shards.items() if run.members_of(shard)[0] == category]


def counts_section(run: RunFolder, ledgers: Ledgers) -> PageSection:
    """Return the number of samples that each stage has made, and the reasons why others failed."""
    rows = []
    for category in run.manifest.categories:
        own = [_of_category(run, shards, category) for shards in ledgers.values()]
        made = (sum(ledger.count for ledger in each) for each in own)
        failed = (sum(len(ledger.failures) for ledger in each) for each in own)
        rows.append((str(category), run.manifest.samples_per_category, *made, *failed))
    totals = (sum(column) for column in list(zip(*rows, strict=True))[1:])
    counts = Table(
        caption="Samples of finished shards",
        header=("category", "planned", *ledgers, *(f"{command} failed" for command in ledgers)),
        rows=(*rows, ("all", *totals)),
        numbers=range(1, 8),
    )
    composites = run.manifest.background.per_render
    return PageSection(
        title="Samples",
        text="How many samples each stage has made. A failed sample is missing from its shard and from later stages."
        + (f" {composites} composites of each render are packed." if composites > 1 else ""),
        tables=(counts, *_failures_table(ledgers), *_notes_table(ledgers)),
    )


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:.2f} h" if seconds >= 3600 else f"{seconds / 60:.1f} min"


def _timings_row(run: RunFolder, command: str, finished: list[Ledger]) -> tuple[str, ...]:
    seconds, model = (sum(values) for values in zip(*((e.seconds, e.model_seconds) for e in finished), strict=True))
    each = [ledger.seconds / max(ledger.count + len(ledger.failures), 1) for ledger in finished]
    slowest = finished[int(np.argmax(each))].shard
    done = f"{len(finished)} of {len(run.all_shards())}"
    busy = f"{model / seconds:.0%}" if model else "–"
    return (command, done, _hours(seconds), f"{np.median(each):.2f} s", f"{max(each):.2f} s", slowest, busy)


def timings_section(run: RunFolder, ledgers: Ledgers) -> PageSection:
    """Return the time that each stage took."""
    rows = tuple(_timings_row(run, command, list(shards.values())) for command, shards in ledgers.items() if shards)
    header = ("command", "finished shards", "time in all", "per sample, median", "slowest", "in shard", "model busy")
    return PageSection(
        title="Timings",
        text="Time in all is the sum over shards; with several workers less time passes. Per sample: the time of a "
        "shard divided by its samples, as the median over the shards and for the slowest one. Model busy: the share "
        "of the time in which a diffusion pipeline computed.",
        tables=(Table(caption="Time of finished shards", header=header, rows=rows, numbers=range(1, 5)),),
    )


def making_section(ledgers: Ledgers) -> PageSection:
    """Return the command lines that made the shards, and the software."""
    finished = [(command, ledger) for command, shards in ledgers.items() for ledger in shards.values()]
    commands = Counter((ledger.command or "not recorded", command) for command, ledger in finished)
    made_with = Counter(
        (f"{name} {version}", c) for c, ledger in finished for name, version in ledger.made_with.items()
    )
    tables = (
        Table(
            caption="Command lines",
            header=("command line", "stage", "shards"),
            rows=tuple((line, command, count) for (line, command), count in commands.items()),
            numbers=range(2, 3),
        ),
        Table(
            caption="Versions",
            header=("software", "stage", "shards"),
            rows=tuple((name, command, count) for (name, command), count in made_with.items()),
            numbers=range(2, 3),
            folded=True,
        ),
    )
    return PageSection(title="How it was made", text="The commands that made the finished shards.", tables=tables)
