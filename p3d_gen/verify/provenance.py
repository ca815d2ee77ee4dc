"""The origin of every sample: assets and checkpoints with their licences, seeds, versions and commands.

Labels hold what was drawn, ledgers hold the software and command that made a shard, and sources state licences. This
module brings them together. None of it decides a sample's bytes.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from p3d_gen.core.errors import RunError
from p3d_gen.dataset.licences import AssetUse, asset_uses, occluder_use
from p3d_gen.run.files import sealed_json, write_bytes
from p3d_gen.run.ledgers import Ledger, upstream_ledger
from p3d_gen.run.shards import read_labels
from p3d_gen.run.store import RunFolder
from p3d_gen.spec.licences import is_allowed
from p3d_gen.spec.sampling import render_seed
from p3d_gen.stylize.stylization import Stylization
from p3d_gen.verify.replay import find_sample

_SHOWN_ASSETS = 5


def check_allowed(uses: Iterable[AssetUse], allowed: Iterable[str]) -> None:
    """Raise RunError naming the assets whose licence is not allowed, or not known."""
    refused = [use for use in uses if not is_allowed(use.licence.id, allowed)]
    if not refused:
        return
    counts = Counter((use.kind, use.licence.id) for use in refused)
    told = [
        f"  {kind}: {count} with the licence {name}: "
        + ", ".join([m.id for m in refused if (m.kind, m.licence.id) == (kind, name)][:_SHOWN_ASSETS])
        + (", ..." if count > _SHOWN_ASSETS else "")
        for (kind, name), count in sorted(counts.items())
    ]
    raise RunError(
        f"these are not under {', '.join(sorted(allowed))}; allow their licences, take other sources, or state unknown "
        "ones in a licences.toml:\n" + "\n".join(told)
    )


def _used(run: RunFolder, uses: Sequence[AssetUse], labels: dict[str, Any]) -> list[AssetUse]:
    """Return the assets that a sample is made of."""
    ids = {("cad", f"{labels['category']}/{labels['cad_id']}"), ("viewpoints", run.manifest.viewpoint.source)}
    ids |= {(kind, labels[f"{kind}_id"]) for kind in ("texture", "hdri", "background")}
    ids |= occluder_use(labels["occluder"])
    return [each for each in uses if each.kind == "checkpoint" or (each.kind, each.id) in ids]


def _made_by(ledgers: Mapping[str, Ledger]) -> dict[str, dict[str, Any]]:
    return {stage: {"command": each.command, "versions": each.made_with} for stage, each in ledgers.items()}


def _made_of(use: AssetUse, ledgers: Iterable[Ledger]) -> dict[str, Any]:
    """Return an asset as JSON, with the content that a shard was made from as far as its ledgers record it."""
    category, _, name = use.id.partition("/") if use.kind == "cad" else ("", "", use.id)
    kind = f"cad/{category}" if category else use.kind
    recorded = [ledger.sources[kind][name] for ledger in ledgers if name in ledger.sources.get(kind, ())]
    return use.entry() | ({"sha256": recorded[0]} if recorded else {})


def _entry(
    run: RunFolder, used: Sequence[AssetUse], labels: dict[str, Any], ledgers: Iterable[Ledger]
) -> dict[str, Any]:
    seed = render_seed(run.manifest, labels["category"], labels["index"])
    seeds = {"manifest": run.manifest.seed, "render": seed, "stylize": labels["stylize_seed"]}
    return {
        "key": labels["key"],
        "made_of": [_made_of(each, ledgers) for each in used],
        "licences": sorted({each.licence.id for each in used}),
        "prompt": labels["prompt"],
        "negative_prompt": labels["negative_prompt"],
        "stylizer": {name: value for name, value in labels.items() if name.startswith("stylizer")},
        "seeds": seeds,
    }


def packed_labels(run: RunFolder, stage: str, shard: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the samples of a packed shard in order, as (key, labels). RunError if it is missing or differs from its
    ledger."""
    if upstream_ledger(run, stage, shard).count:
        yield from read_labels(run.tar(stage, shard))


def _shard_provenance(
    run: RunFolder, stylization: Stylization, uses: Sequence[AssetUse], shard: str
) -> Iterator[dict[str, Any]]:
    stages = ("render", stylization.stage, stylization.packed)
    ledgers = {stage: upstream_ledger(run, stage, shard) for stage in stages}
    for _, labels in packed_labels(run, stylization.packed, shard):
        entry = _entry(run, _used(run, uses, labels), labels, ledgers.values())
        yield entry | {"shard": shard, "made_by": _made_by(ledgers)}


def provenance_entries(run: RunFolder, stylization: Stylization, key: str = "") -> Iterator[dict[str, Any]]:
    """Yield the origin of every packed sample, or of the one with that key.

    An entry holds the files with their sha256 and licences, the request to the stylizer and its name, all seeds, and
    the commands and versions by which each stage made the sample. RunError if there is no such sample, or a shard is
    missing or differs from its ledger.
    """
    uses = asset_uses(run, stylization)
    shards = [find_sample(run, key)[0]] if key else run.all_shards()
    entries = (entry for shard in shards for entry in _shard_provenance(run, stylization, uses, shard))
    chosen = (entry for entry in entries if key in ("", entry["key"]))
    if not key:
        return chosen
    try:
        return iter([next(chosen)])
    except StopIteration:
        raise RunError(
            f"{run.tar(stylization.packed, shards[0])} holds no {key}; its ledger says what failed"
        ) from None


def write_provenance(run: RunFolder, stylization: Stylization, out: Path | None = None) -> Path:
    """Write RUN/provenance.jsonl, or provenance-NAME.jsonl, or `out`, a line per packed sample; return its path."""
    path = out or stylization.file(run, "provenance", ".jsonl")
    write_bytes(path, "".join(json.dumps(entry) + "\n" for entry in provenance_entries(run, stylization)).encode())
    return path


def used_assets(run: RunFolder, stylization: Stylization) -> list[tuple[AssetUse, int]]:
    """Return all assets that the packed samples of a run are made of, each with the number of these samples.

    RunError if a shard is missing or differs from its ledger.
    """
    uses, counts = asset_uses(run, stylization), Counter[AssetUse]()
    for shard in run.all_shards():
        for _, labels in packed_labels(run, stylization.packed, shard):
            counts.update(_used(run, uses, labels))
    return [(each, counts[each]) for each in uses if counts[each]]


def write_licences(
    run: RunFolder, stylization: Stylization, used: Sequence[tuple[AssetUse, int]], out: Path | None = None
) -> Path:
    """Write RUN/licences.json, or licences-NAME.json, or `out`, with the assets of `used_assets`; return its path."""
    path = out or stylization.file(run, "licences", ".json")
    by_licence: dict[str, int] = Counter(each.licence.id for each, _ in used)
    entries = [each.entry() | {"samples": samples} for each, samples in used]
    write_bytes(path, sealed_json({"assets_by_licence": dict(sorted(by_licence.items())), "assets": entries}))
    return path
