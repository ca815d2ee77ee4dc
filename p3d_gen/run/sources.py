"""The sources of a run: found where they lie now, and compared with what run.json records of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from p3d_gen.core.errors import AssetError, ManifestError, P3DError, RunError
from p3d_gen.run.checksums import changed_files, checksums
from p3d_gen.run.record import OTHER_OR_UPDATE, Origin, Record, change_record, difference, stored_base_dir
from p3d_gen.spec.inventory import Inventory
from p3d_gen.spec.manifest import Manifest
from p3d_gen.spec.recorded import recorded_inventory
from p3d_gen.spec.stated import source_licences, viewpoint_file
from p3d_gen.spec.taken import take_inventory


def _contents(files_of: Mapping[str, Mapping[str, Path]]) -> dict[str, dict[str, str]]:
    """Return kind -> id -> sha256 of files, kind -> id -> path."""
    contents = {}
    for kind, files in files_of.items():
        sha256 = checksums(files.values())
        contents[kind] = {name: sha256[path] for name, path in files.items()}
    return contents


def new_origin(manifest: Manifest, base_dir: Path) -> Origin:
    """Return what a run records of its manifest's sources as they are."""
    inventory = take_inventory(manifest, base_dir)
    path = viewpoint_file(manifest, base_dir)
    viewpoints = {"viewpoint": {manifest.viewpoint.source: path}} if path else {}
    contents = _contents({**inventory.files(), **viewpoints})
    licences = source_licences(manifest, base_dir, inventory)
    return Origin(listing=inventory.listing(), contents=contents, first_contents=contents, licences=licences)


def _changed(inventory: Inventory, recorded: dict[str, dict[str, str]]) -> dict[str, dict[str, Path]]:
    """Return the sources that have another content than the run recorded, kind -> id -> path."""
    changed: dict[str, dict[str, Path]] = {}
    for kind, files in inventory.files().items():
        known = recorded.get(kind, {})
        edited = set(changed_files({path: known[name] for name, path in files.items() if name in known}))
        if edited:
            changed[kind] = {name: path for name, path in files.items() if path in edited}
    return changed


def inventory_at(record: Record, base_dir: Path | None) -> Inventory:
    """Return the inventory of a run, with the files as far as they are at this base folder with the recorded content.

    None looks for no file.
    """
    inventory = recorded_inventory(record.manifest, base_dir, record.origin.listing)
    for kind, files in _changed(inventory, record.origin.contents).items():
        reason = f"{kind}: {next(iter(files.values()))} has another content than it had"
        inventory = inventory.without(kind, files.keys(), reason)
    return inventory


def _refuse(root: Path, record: Record, base_dir: Path) -> None:
    """Raise the reason why the sources at a base folder are not those of a run."""
    try:
        inventory = take_inventory(record.manifest, base_dir)
    except (ManifestError, AssetError) as error:
        moved = "if the manifest and its sources were moved, name their folder by --base-dir"
        raise type(error)(f"{error}; {moved}" if base_dir in record.base_dirs else str(error)) from None
    if inventory.listing() != record.origin.listing:
        change = difference(record.origin.listing, inventory.listing())
        raise RunError(f"the sources of {root} are not those it was made from ({change}): {OTHER_OR_UPDATE}")
    changed = [path for files in _changed(inventory, record.origin.contents).values() for path in files.values()]
    more = f" and {len(changed) - 1} more have" if len(changed) > 1 else " has"
    raise RunError(
        f"the sources of {root} have changed since it was begun: {changed[0]}{more} another content; put the former "
        f"one back, add --retry-failed if it was repaired, or {OTHER_OR_UPDATE}"
    )


def _take_sources(root: Path, record: Record, places: Sequence[Path], needs: Collection[str]) -> tuple[Path, Inventory]:
    """Return the base folder that holds most of the sources of a run, and the inventory there.

    An error says what is wrong if none holds all that is needed.
    """
    views: list[tuple[Path, Inventory]] = []
    for base_dir in places:
        inventory = inventory_at(record, base_dir)
        if not inventory.lacking:
            return base_dir, inventory
        views.append((base_dir, inventory))
    base_dir, inventory = min(views, key=lambda view: (len(view[1].lacking.keys() & set(needs)), len(view[1].lacking)))
    if inventory.lacking.keys() & set(needs):
        _refuse(root, record, base_dir)
    return base_dir, inventory


def find_sources(
    root: Path, record: Record, needs: Collection[str] | None, base_dir: Path | None
) -> tuple[Path, Inventory]:
    """Return the base folder of a run's sources and the inventory there. needs, base_dir: see `store.open_run`."""
    try:
        if needs is None:
            return record.base_dirs[0], inventory_at(record, None)
        return _take_sources(root, record, record.base_dirs if base_dir is None else (base_dir,), needs)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, P3DError):
            raise
        raise RunError(f"{root / 'run.json'} is damaged: its sources cannot be read: {error}") from None


def record_base_dir(root: Path, record: Record, base_dir: Path, inventory: Inventory) -> None:
    """Record where the sources of a run lie now, unless what is recorded leads to as many. An error if it is wrong."""
    if base_dir in record.base_dirs:
        return
    recorded = [inventory_at(record, place) for place in record.base_dirs]
    if len(inventory.lacking) < min(len(each.lacking) for each in recorded):
        change_record(root, stored_base_dir(root, base_dir))
    elif inventory.lacking:
        _refuse(root, record, base_dir)
