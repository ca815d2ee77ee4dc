"""The report of a run: one HTML page without external resources, from what the run folder holds and nothing else."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from p3d_gen.errors import RunError
from p3d_gen.files import read_labels, write_bytes
from p3d_gen.manifest import Manifest
from p3d_gen.report.page import Section, Table, page
from p3d_gen.report.samples import (
    LABELS,
    STYLIZED_LABELS,
    Labels,
    angles_section,
    assets_section,
    directions_section,
    masks_section,
    picture_section,
    survival_section,
)
from p3d_gen.store import Ledger, Run, read_ledger
from p3d_gen.stylize.stylization import Stylization, open_stylization

_COMMANDS = ("render", "stylize", "pack")
_SHOWN_REASONS = 20

Ledgers = dict[str, dict[str, list[Ledger]]]


def _ledgers(run: Run, what: Stylization) -> Ledgers:
    """Stage, the packed one last -> category -> the ledgers of its finished shards."""
    found: Ledgers = {
        stage: {
            category: [ledger for shard in run.shards(category) if (ledger := read_ledger(run, stage, shard))]
            for category in map(str, run.manifest.categories)
        }
        for stage in ("render", what.stage, what.packed)
    }
    if not any(ledger.count for stage in found.values() for ledgers in stage.values() for ledger in ledgers):
        raise RunError(f"{run.root} holds no finished sample to report on: run `p3dgen render` first")
    return found


def _labels(run: Run, stage: str, ledgers: dict[str, list[Ledger]], names: Sequence[str]) -> Labels:
    """Category -> those labels of each sample, for categories that have samples."""
    labels = {
        category: [
            {name: each[name] for name in names}
            for ledger in found
            for _, each in read_labels(run.tar(stage, ledger.shard))
        ]
        for category, found in ledgers.items()
    }
    return {category: found for category, found in labels.items() if found}


def _flat(value: Any, path: str = "") -> dict[str, Any]:
    """A manifest's nested tables as dotted keys."""
    if not isinstance(value, dict) or not value:
        return {path: value}
    return {
        name: leaf
        for key, item in value.items()
        for name, leaf in _flat(item, f"{path}.{key}" if path else str(key)).items()
    }


def _stylization_table(run: Run, what: Stylization) -> tuple[Table, ...]:
    """What a named stylization does otherwise than the manifest's own; nothing for that itself."""
    if not what.name:
        return ()
    own, values = (_flat(each.model_dump(mode="json")) for each in (run.manifest.stylize, what.settings))
    keys = [key for key in {**own, **values} if own.get(key) != values.get(key)]
    rows = tuple((f"stylize.{key}", *(_shown(each.get(key)) for each in (own, values))) for key in keys)
    return (Table(caption=f"Stylization {what.name}", header=("key", "manifest", what.name), rows=rows),)


def _shown(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _manifest_section(run: Run, what: Stylization) -> Section:
    manifest = run.manifest
    defaults = _flat(
        Manifest(categories=manifest.categories, samples_per_category=1).model_dump(
            mode="json", exclude={"categories", "samples_per_category"}
        )
    )
    values = _flat(manifest.model_dump(mode="json"))
    rows = tuple((key, _shown(value)) for key, value in values.items())
    changed = tuple(row for row in rows if row[0] not in defaults or defaults[row[0]] != values[row[0]])
    header = ("key", "value")
    return Section(
        title="Manifest",
        text="What the run was asked for.",
        tables=(
            *_stylization_table(run, what),
            Table(caption="Keys that are not at their default", header=header, rows=changed),
            Table(caption="All keys", header=header, rows=rows, folded=True),
        ),
    )


def _failures_table(ledgers: Ledgers) -> tuple[Table, ...]:
    """The reasons for which samples failed, the most frequent first; nothing where none did."""
    keys: dict[tuple[str, str], list[str]] = {}
    for command, categories in zip(_COMMANDS, ledgers.values(), strict=True):
        for failure in (failure for found in categories.values() for each in found for failure in each.failures):
            keys.setdefault((failure.reason, command), []).append(failure.key)
    if not keys:
        return ()
    ranked = sorted(keys.items(), key=lambda item: -len(item[1]))[:_SHOWN_REASONS]
    title = "Reasons of failures" + (f", the {len(ranked)} most frequent" if len(ranked) < len(keys) else "")
    return (
        Table(
            caption=title,
            header=("reason", "command", "samples", "first sample"),
            rows=tuple((reason, command, len(failed), failed[0]) for (reason, command), failed in ranked),
            numbers=range(2, 3),
        ),
    )


def _notes_table(ledgers: Ledgers) -> tuple[Table, ...]:
    """What else happened, such as pictures that were made again, and how often; nothing where nothing did."""
    counts: Counter[tuple[str, str]] = Counter()
    for command, categories in zip(_COMMANDS, ledgers.values(), strict=True):
        for ledger in (ledger for found in categories.values() for ledger in found):
            counts.update({(what, command): count for what, count in ledger.notes.items()})
    if not counts:
        return ()
    rows = tuple((what, command, count) for (what, command), count in counts.most_common())
    return (Table(caption="What was made again", header=("why", "command", "times"), rows=rows, numbers=range(2, 3)),)


def _counts_section(run: Run, ledgers: Ledgers) -> Section:
    rows = [
        (
            category,
            run.manifest.samples_per_category,
            *(sum(ledger.count for ledger in found[category]) for found in ledgers.values()),
            *(sum(len(ledger.failures) for ledger in found[category]) for found in ledgers.values()),
        )
        for category in run.manifest.categories
    ]
    totals = (sum(column) for column in list(zip(*rows, strict=True))[1:])
    counts = Table(
        caption="Samples of finished shards",
        header=("category", "planned", *_COMMANDS, *(f"{command} failed" for command in _COMMANDS)),
        rows=(*rows, ("all", *totals)),
        numbers=range(1, 8),
    )
    return Section(
        title="Samples",
        text="How many samples each stage has made. A failed sample is missing from its shard and from later stages.",
        tables=(counts, *_failures_table(ledgers), *_notes_table(ledgers)),
    )


def write_report(run: Run, name: str = "") -> Path:
    """Write RUN/report.html, or report-NAME.html of a named stylization; returns its path.

    Packed samples are reported, or rendered ones while there are none. RunError where the run holds no finished sample.
    """
    what = open_stylization(run, name)
    ledgers = _ledgers(run, what)
    packed = any(ledger.count for found in ledgers[what.packed].values() for ledger in found)
    stage = what.packed if packed else "render"
    labels = _labels(run, stage, ledgers[stage], LABELS + (STYLIZED_LABELS if packed else ()))
    count = sum(len(samples) for samples in labels.values())
    lead = (
        f"{count} {'packed' if packed else 'rendered'} samples: {', '.join(labels)}. Manifest {run.manifest_hash[:12]}."
        + (f" Stylization {name}." if name else "")
    )
    sections = (
        _counts_section(run, ledgers),
        directions_section(run, labels),
        angles_section(labels),
        picture_section(labels),
        assets_section(run, labels, what.settings.colours if packed else run.manifest.stylize.colours),
        masks_section(labels),
        *((survival_section(labels),) if packed else ()),
        _manifest_section(run, what),
    )
    path = what.file(run, "report", ".html")
    write_bytes(path, page(f"Report of {run.root.resolve().name}", lead, sections).encode())
    return path
