"""Sources that were repaired after samples had failed for them.

A repaired picture is accepted if a recorded failure names it and no finished sample was made from its former content.
So no run mixes two contents of a source. In the inputs of shards it counts by its first content: what was finished
stays valid, and shards with failed samples are made again by `--retry-failed`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from p3d_gen.core.errors import RunError
from p3d_gen.run.ledgers import Ledger, read_ledger
from p3d_gen.run.record import Origin, change_record, read_record, source_entries
from p3d_gen.run.sources import new_origin
from p3d_gen.run.store import RunFolder
from p3d_gen.spec.deciding import without_size

_PICTURES = ("texture", "hdri", "background")


def _ledgers(run: RunFolder) -> Iterator[Ledger]:
    """Yield the ledgers of the stages that read sources."""
    packed = sorted(path.name for path in run.root.glob("shards*") if path.is_dir())
    for stage in ("render", *packed):
        for shard in run.all_shards():
            if ledger := read_ledger(run, stage, shard):
                yield ledger


def _names(origin: Origin) -> dict[str, list[str]]:
    return {kind: [without_size(identity) for identity in listed] for kind, listed in origin.listing.items()}


def _check(run: RunFolder, kind: str, name: str, file: str, ledgers: list[Ledger]) -> None:
    """Raise RunError if a source is not to be repaired: if samples are made from it, or none failed for it."""
    told = f"{file} ({kind}) has another content than when {run.root} was begun"
    remedy = "put the former one back, or choose another --out"
    if kind not in _PICTURES:
        raise RunError(f"{told}, and only pictures can be repaired, because models are prepared once: {remedy}")
    made = next((ledger for ledger in ledgers if name in ledger.sources.get(kind, ())), None)
    if made is not None:
        raise RunError(f"{told}, and samples in {run.tar(made.stage, made.shard)} were made from that: {remedy}")
    base = Path(file).name
    if not any(base in failure.reason for ledger in ledgers for failure in ledger.failures):
        raise RunError(f"{told}, and no sample failed for it: {remedy}")


def take_repairs(run: RunFolder) -> list[str]:
    """Let a run go on with its repaired sources, and return their files below their sources.

    RunError if one of them may not be taken. Nothing is taken if sources came or went, or if an earlier version of
    p3dgen began the run: that recorded too little.
    """
    record = read_record(run.root)
    if record.origin.inputs_version == 1:
        return []
    origin = new_origin(record.manifest, run.base_dir)
    if _names(origin) != _names(record.origin):
        return []
    known = record.origin.contents
    changed = [
        (kind, name) for kind, names in origin.contents.items() for name in names if names[name] != known[kind][name]
    ]
    if not changed:
        return []
    ledgers, files = list(_ledgers(run)), []
    for kind, name in changed:
        files.append(origin.licences[kind][name][2])
        _check(run, kind, name, files[-1], ledgers)
    taken = replace(origin, first_contents=record.origin.first_contents)
    change_record(run.root, source_entries(taken))
    return files
