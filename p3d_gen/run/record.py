"""RUN/run.json: what a run is made from, and where that was."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from p3d_gen.core.errors import RunError
from p3d_gen.run.files import read_sealed, sealed_json, write_bytes
from p3d_gen.run.remote import is_remote, remote_errors
from p3d_gen.run.versions import versions
from p3d_gen.spec.manifest import Manifest, parse_manifest

SCHEMA_VERSION = 4
INPUTS_VERSION = 2  # of the hash of a shard's inputs, see `inputs.stage_inputs`
LABELS_VERSION = 2  # of the keys of labels: version 0.1.0 had 1, and a run that it began goes on with these
OTHER_OR_UPDATE = "choose another --out, or give `p3dgen run` --update if no render depends on the change"
_SHOWN_LIST = 8
_SHOWN_DIFFERENCES = 6
_BY_KIND = ("sha256", "repaired_from")


def _differences(old: Any, new: Any, path: str = "") -> Iterator[str]:
    """Yield every place where two JSON values differ."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            if old.get(key) != new.get(key):
                yield from _differences(old.get(key), new.get(key), f"{path}.{key}" if path else key)
    elif isinstance(old, list) and isinstance(new, list) and len(old) + len(new) > _SHOWN_LIST:
        gone, come = ([item for item in a if item not in b] for a, b in ((old, new), (new, old)))
        yield f"{path}: {len(gone)} gone {gone[:1]}, {len(come)} new {come[:1]}"
    else:
        yield f"{path}: {old!r} -> {new!r}"


def difference(old: Any, new: Any) -> str:
    """Return the places where two JSON values differ, as 'key: old -> new, ...'; the first ones if there are many."""
    places = list(_differences(old, new))
    more = len(places) - _SHOWN_DIFFERENCES
    return ", ".join(places[:_SHOWN_DIFFERENCES]) + (f" and {more} more" if more > 0 else "")


def is_begun(root: Path) -> bool:
    """Tell if a folder is already a run's; RunError if it holds something else."""
    with remote_errors(root):
        names = {path.name for path in root.iterdir()} if root.exists() else set()
    if "run.json" not in names and any(not name.startswith(".run.json.") for name in names):
        # which another process may be writing just now
        raise RunError(f"{root} is not empty and not a run folder, it holds no run.json: choose another --out")
    return "run.json" in names


def stored_base_dir(root: Path, base_dir: Path) -> dict[str, str]:
    """Return a base folder as the files of a run record it: by itself, and by its way from the run folder.

    So it is found again if both are moved together.
    """
    if is_remote(root):
        return {"base_dir": str(base_dir)}
    way = os.path.relpath(base_dir, root.resolve()) if root.absolute().drive == base_dir.absolute().drive else ""
    return {"base_dir": str(base_dir), "base_dir_from_run": way}


def base_dirs(root: Path, record: Mapping[str, Any]) -> tuple[Path, ...]:
    """Return the places of a recorded base folder: the same way from the run folder as before, then the old path."""
    way = str(record.get("base_dir_from_run", ""))
    beside = [(root.resolve() / way).resolve()] if way and not is_remote(root) else []
    return tuple(dict.fromkeys([*beside, Path(record["base_dir"])]))


@dataclass(frozen=True, kw_only=True)
class Origin:
    """What a run records of its sources and its software.

    listing: see `Inventory.listing`. contents: kind -> id -> sha256 of the sources' files. first_contents: the same
    before any of them was repaired, see `repairs`. licences: kind -> id -> licence and the file that states it.
    versions: of the software that began the run. inputs_version: 1 if an earlier version of p3dgen began it.
    labels_version: of the keys of its labels.
    """

    listing: dict[str, list[str]] = field(default_factory=dict)
    contents: dict[str, dict[str, str]] = field(default_factory=dict)
    first_contents: dict[str, dict[str, str]] = field(default_factory=dict)
    licences: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    inputs_version: int = INPUTS_VERSION
    labels_version: int = LABELS_VERSION


def new_record(root: Path, manifest: Manifest, base_dir: Path, origin: Origin) -> dict[str, Any]:
    """Return the content of a new run's run.json."""
    return {
        "schema_version": SCHEMA_VERSION,
        "inputs_version": INPUTS_VERSION,
        "labels_version": LABELS_VERSION,
        **stored_base_dir(root, base_dir),
        "manifest": manifest.model_dump(mode="json"),
        **source_entries(origin),
        "versions": versions(),
    }


def source_entries(origin: Origin) -> dict[str, Any]:
    """Return the part of run.json that is about sources."""
    former = {
        kind: {name: sha256 for name, sha256 in first.items() if origin.contents[kind][name] != sha256}
        for kind, first in origin.first_contents.items()
    }
    return {
        "sources": origin.listing,
        "sha256": origin.contents,
        "repaired_from": {kind: names for kind, names in former.items() if names},
        "licences": origin.licences,
    }


@dataclass(frozen=True, kw_only=True)
class Record:
    """The content of run.json. base_dirs: see `base_dirs`."""

    manifest: Manifest
    base_dirs: tuple[Path, ...]
    origin: Origin


def _origin(data: Mapping[str, Any]) -> Origin:
    """Return the origin in the content of run.json. Version 0.1.0 recorded the listing alone."""
    contents, former = ({kind: dict(names) for kind, names in data.get(key, {}).items()} for key in _BY_KIND)
    return Origin(
        listing=data["sources"],
        contents=contents,
        first_contents={kind: names | former.get(kind, {}) for kind, names in contents.items()},
        licences={kind: dict(names) for kind, names in data.get("licences", {}).items()},
        versions=dict(data["versions"]),
        inputs_version=int(data.get("inputs_version", 1)),
        labels_version=int(data.get("labels_version", 1)),
    )


def read_record(root: Path) -> Record:
    """Read run.json. RunError if there is none, if it is damaged, or of another schema."""
    path = root / "run.json"
    try:
        data = read_sealed(path)
        schema, values = data["schema_version"], data["manifest"]
        bases, origin = base_dirs(root, data), _origin(data)
    except FileNotFoundError:
        raise RunError(f"{root} is not a run folder: it holds no run.json; make one with `p3dgen render`") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(f"{path} is damaged: {error}") from None
    if schema != SCHEMA_VERSION:
        raise RunError(f"{path} has schema version {schema}, this p3dgen reads {SCHEMA_VERSION}: choose another --out")
    if origin.labels_version > LABELS_VERSION:
        raise RunError(f"{path} has labels of version {origin.labels_version}, which a newer p3dgen made: use that one")
    return Record(manifest=parse_manifest(values, str(path)), base_dirs=bases, origin=origin)


def change_record(root: Path, changes: Mapping[str, Any]) -> None:
    """Change entries of run.json."""
    path = root / "run.json"
    write_bytes(path, sealed_json(read_sealed(path) | changes))
