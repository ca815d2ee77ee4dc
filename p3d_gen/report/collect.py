"""The content of a run so far: the ledgers of its finished shards, and the labels of their samples."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from p3d_gen.core.errors import RunError
from p3d_gen.run.ledgers import Ledger, read_ledger
from p3d_gen.run.shards import read_labels, read_shard
from p3d_gen.run.store import RunFolder
from p3d_gen.stylize.stylization import Stylization

# The labels that the sections read; those of stylized samples may be missing.
LABELS = (
    "key",
    "azimuth_rad",
    "elevation_rad",
    "theta_rad",
    "distance",
    "bbox_xyxy",
    "visible_share",
    "mask_iou",
    "cad_id",
    "texture_id",
    "hdri_id",
    "background_id",
    "colour",
)
STYLIZED_LABELS = ("survival", "edge_precision", "edge_recall", "silhouette")

# Category -> the labels of its samples, a row each, with their `shard`.
SampleRows = dict[str, list[dict[str, Any]]]
# Command -> shard -> its ledger, of finished shards, in the order of the run.
Ledgers = dict[str, dict[str, Ledger]]


def read_ledgers(run: RunFolder, stylization: Stylization) -> Ledgers:
    """Return the ledgers of a stylization's finished shards by the command that makes them: render, stylize, pack."""
    stages = {"render": "render", "stylize": stylization.stage, "pack": stylization.packed}
    return {
        command: {shard: ledger for shard in run.all_shards() if (ledger := read_ledger(run, stage, shard))}
        for command, stage in stages.items()
    }


def furthest(ledgers: Ledgers, shard: str) -> str:
    """Return the last command that has finished a shard, "" if none has."""
    return next((command for command in reversed(ledgers) if shard in ledgers[command]), "")


def _stylized_labels(run: RunFolder, stylization: Stylization, shard: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the samples of a stylized shard, with the labels of their renders."""
    renders = dict(read_labels(run.tar("render", shard)))
    for key, members in read_shard(run.tar(stylization.stage, shard), only="stylize.json"):
        yield key, renders[key] | json.loads(members["stylize.json"])


def _shard_labels(
    run: RunFolder, stylization: Stylization, shard: str, command: str
) -> Iterator[tuple[str, dict[str, Any]]]:
    if command == "stylize":
        yield from _stylized_labels(run, stylization, shard)
    elif command:
        yield from read_labels(run.tar(stylization.packed if command == "pack" else "render", shard))


def read_samples(run: RunFolder, stylization: Stylization, ledgers: Ledgers) -> SampleRows:
    """Return the labels of all samples, as the last stage that finished their shard left them.

    Categories without samples are left out. Raise RunError if there is no sample at all.
    """
    labels: SampleRows = {}
    for shard in run.all_shards():
        category, _ = run.members_of(shard)
        command = furthest(ledgers, shard)
        if command and not ledgers[command][shard].count:
            continue
        for _, each in _shard_labels(run, stylization, shard, command):
            kept = {name: each[name] for name in (*LABELS, *STYLIZED_LABELS) if name in each}
            labels.setdefault(category, []).append({**kept, "shard": shard})
    if not labels:
        raise RunError(f"{run.root} holds no finished sample to report on: run `p3dgen render` first")
    return labels
