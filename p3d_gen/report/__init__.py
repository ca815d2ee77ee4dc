"""The report of a run: one HTML page without external resources, from what the run folder holds and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from p3d_gen.errors import RunError
from p3d_gen.files import read_labels, write_bytes
from p3d_gen.manifest import Manifest
from p3d_gen.report.page import Section, Table, page
from p3d_gen.report.samples import (
    LABELS,
    Labels,
    angles_section,
    assets_section,
    directions_section,
    masks_section,
    picture_section,
)
from p3d_gen.store import STAGES, Ledger, Run, read_ledger

_COMMANDS = {"render": "render", "stylize": "stylize", "shards": "pack"}
_SHOWN_REASONS = 20

Ledgers = dict[str, dict[str, list[Ledger]]]


def _ledgers(run: Run) -> Ledgers:
    """Stage -> category -> the ledgers of its finished shards."""
    found: Ledgers = {
        stage: {
            category: [ledger for shard in run.shards(category) if (ledger := read_ledger(run, stage, shard))]
            for category in map(str, run.manifest.categories)
        }
        for stage in STAGES
    }
    if not any(ledger.count for stage in found.values() for ledgers in stage.values() for ledger in ledgers):
        raise RunError(f"{run.root} holds no finished sample to report on: run `p3dgen render` first")
    return found


def _reported_stage(ledgers: Ledgers) -> str:
    """Packed samples are reported, or rendered ones while there are none."""
    packed = any(ledger.count for found in ledgers["shards"].values() for ledger in found)
    return "shards" if packed else "render"


def _labels(run: Run, stage: str, ledgers: dict[str, list[Ledger]]) -> Labels:
    """Category -> what the report needs of each sample's labels, for categories that have samples."""
    labels = {
        category: [
            {name: each[name] for name in LABELS}
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


def _manifest_section(run: Run) -> Section:
    manifest = run.manifest
    defaults = _flat(
        Manifest(categories=manifest.categories, samples_per_category=1).model_dump(
            mode="json", exclude={"categories", "samples_per_category"}
        )
    )
    values = _flat(manifest.model_dump(mode="json"))
    rows = tuple((key, json.dumps(value, ensure_ascii=False)) for key, value in values.items())
    changed = tuple(row for row in rows if row[0] not in defaults or defaults[row[0]] != values[row[0]])
    header = ("key", "value")
    return Section(
        title="Manifest",
        text="What the run was asked for.",
        tables=(
            Table(caption="Keys that are not at their default", header=header, rows=changed),
            Table(caption="All keys", header=header, rows=rows, folded=True),
        ),
    )


def _failures_table(ledgers: Ledgers) -> tuple[Table, ...]:
    """The reasons for which samples failed, the most frequent first; nothing where none did."""
    keys: dict[tuple[str, str], list[str]] = {}
    for stage in STAGES:
        for failure in (failure for found in ledgers[stage].values() for each in found for failure in each.failures):
            keys.setdefault((failure.reason, _COMMANDS[stage]), []).append(failure.key)
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


def _counts_section(run: Run, ledgers: Ledgers) -> Section:
    rows = [
        (
            category,
            run.manifest.samples_per_category,
            *(sum(ledger.count for ledger in ledgers[stage][category]) for stage in STAGES),
            *(sum(len(ledger.failures) for ledger in ledgers[stage][category]) for stage in STAGES),
        )
        for category in run.manifest.categories
    ]
    totals = (sum(column) for column in list(zip(*rows, strict=True))[1:])
    commands = [_COMMANDS[stage] for stage in STAGES]
    counts = Table(
        caption="Samples of finished shards",
        header=("category", "planned", *commands, *(f"{command} failed" for command in commands)),
        rows=(*rows, ("all", *totals)),
        numbers=range(1, 8),
    )
    return Section(
        title="Samples",
        text="How many samples each stage has made. A failed sample is missing from its shard and from later stages.",
        tables=(counts, *_failures_table(ledgers)),
    )


def write_report(run: Run) -> Path:
    """Write RUN/report.html; returns its path. RunError where the run holds no finished sample."""
    ledgers = _ledgers(run)
    stage = _reported_stage(ledgers)
    labels = _labels(run, stage, ledgers[stage])
    count = sum(len(samples) for samples in labels.values())
    lead = (
        f"{count} {'packed' if stage == 'shards' else 'rendered'} samples: {', '.join(labels)}. "
        f"Manifest {run.manifest_hash[:12]}."
    )
    sections = (
        _counts_section(run, ledgers),
        directions_section(run, labels),
        angles_section(labels),
        picture_section(labels),
        assets_section(run, labels),
        masks_section(labels),
        _manifest_section(run),
    )
    path = run.root / "report.html"
    write_bytes(path, page(f"Report of {run.root.resolve().name}", lead, sections).encode())
    return path
