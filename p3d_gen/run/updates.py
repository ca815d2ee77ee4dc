"""A run that goes on with a changed manifest or changed sources: allowed if no render depends on the change."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from p3d_gen.core.errors import RunError
from p3d_gen.run.prepared import read_models, without
from p3d_gen.run.record import Origin, change_record, difference, read_record, source_entries, stored_base_dir
from p3d_gen.run.sources import new_origin
from p3d_gen.run.store import RunFolder, open_run
from p3d_gen.spec.manifest import Manifest, manifest_hash
from p3d_gen.spec.recorded import recorded_inventory


def _goes_on(new: Origin, old: Origin) -> Origin:
    """Return the new origin of a run; sources that stay count by their first content, as they did."""
    first = {
        kind: {
            name: old.first_contents[kind][name] if old.contents.get(kind, {}).get(name) == sha256 else sha256
            for name, sha256 in names.items()
        }
        for kind, names in new.contents.items()
    }
    return replace(
        new,
        first_contents=first,
        versions=old.versions,
        inputs_version=old.inputs_version,
        labels_version=old.labels_version,
    )


def _with(run: RunFolder, manifest: Manifest, origin: Origin) -> RunFolder:
    models = read_models(run.root)
    inventory = recorded_inventory(manifest, None, origin.listing)
    return replace(
        run,
        manifest=manifest,
        manifest_hash=manifest_hash(manifest),
        inventory=without(inventory, models["quarantined"]) if models else inventory,
        origin=origin,
    )


def update_run(root: Path, manifest: Manifest, base_dir: Path) -> str:
    """Let a run go on with this manifest and its sources as they are; return the change in words, "" for none.

    Its renders stay. Shards of later stages that depend on the change are made again when their turn comes. RunError if
    a render depends on it.
    """
    record = read_record(root)
    origin = _goes_on(new_origin(manifest, base_dir), record.origin)
    stored, given = (each.model_dump(mode="json") for each in (record.manifest, manifest))
    old = {"manifest": stored, "sources": record.origin.listing, "sha256": record.origin.contents}
    new = {"manifest": given, "sources": origin.listing, "sha256": origin.contents}
    if old == new:
        return ""
    change = difference(old, new)
    if record.origin.inputs_version == 1:
        raise RunError(
            f"{root} was begun by an earlier version of p3dgen, for which renders depend on everything ({change}): "
            "choose another --out"
        )
    run = open_run(root, needs=None)
    if _with(run, manifest, origin).decisive("render") != run.decisive("render"):
        raise RunError(f"the renders of {root} depend on what has changed ({change}): choose another --out")
    changed = {**stored_base_dir(root, base_dir), "manifest": given, **source_entries(origin)}
    change_record(root, changed)
    return change
