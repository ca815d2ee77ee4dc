"""checksums.json: size and sha256 of each file that a training, an adaptation or an evaluation keeps in its folder.

A file is entered after it was written, and checked before it is used. Folders of version 0.1.0 have no such ledger:
their files are used unchecked. A ledger that was removed is missed, because configurations name it in a comment.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from p3d_gen.core.errors import DataError
from p3d_gen.run.files import read_sealed, sealed_json, write_bytes
from pose_models.tensor_file import metadata, tensor_fault

LEDGER_FILE = "checksums.json"
MARK = f"# The checksums of the files in this folder are in {LEDGER_FILE}.\n"
CHECKPOINT_FILE, MODEL_FILE = "checkpoint.safetensors", "model.json"
SURROUNDINGS = "surroundings"  # an entry in the metadata of checkpoints
SCHEMA = 1
CONFIG_FILES = ("config.toml", "adapt.toml")
REMEDY = "put back a copy of it, or repeat the command that made it with --overwrite"
_CHUNK = 1 << 20

Entry = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A damaged or missing file, what is wrong with it, and what helps."""

    path: Path
    fault: str
    remedy: str = REMEDY

    def __str__(self) -> str:
        """Return one line."""
        return f"{self.path} {self.fault}; {self.remedy}"


def read_ledger(folder: Path) -> dict[str, Entry] | None:
    """Return what is recorded of each file of a folder, by name; None if the folder has no ledger.

    DataError if the ledger is damaged.
    """
    path = folder / LEDGER_FILE
    try:
        content = read_sealed(path)
        files: dict[str, Entry] = content["files"]
        if content["schema"] != SCHEMA:
            raise ValueError(f"it has schema {content['schema']}, not {SCHEMA}")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        fault = Fault(path=path, fault=f"is damaged: {error}", remedy="put back a copy of it, or remove it")
        raise DataError(f"{fault} to use the files of this folder unchecked") from error
    return files


def _write(folder: Path, files: dict[str, Entry]) -> None:
    write_bytes(folder / LEDGER_FILE, sealed_json({"schema": SCHEMA, "files": files}))


def _measured(path: Path, size: int | None = None) -> tuple[int, str]:
    """Return size and sha256 of a file, or of its first `size` bytes if it has more."""
    digest, left = hashlib.sha256(), size
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK if left is None else min(_CHUNK, left)):
            digest.update(chunk)
            left = None if left is None else left - len(chunk)
        return file.tell(), digest.hexdigest()


def _entry(path: Path, grows: bool) -> Entry:
    if grows:
        with path.open("rb") as file:
            os.fsync(file.fileno())
    size, sha256 = _measured(path)
    return {"size": size, "sha256": sha256} | ({"grows": True} if grows else {})


def record(
    folder: Path,
    names: Iterable[str],
    *,
    growing: Iterable[str] = (),
    present: Iterable[str] = (),
    gone: Collection[str] = (),
) -> None:
    """Enter files that were written, and drop those that are `gone` in the same step.

    growing: files to which lines are still added; what they hold now is kept safe. present: files that hold their own
    checksum. Names are relative to the folder; files that are not there are passed over.
    """
    files = {name: entry for name, entry in (read_ledger(folder) or {}).items() if name not in gone}
    files |= {name: _entry(folder / name, False) for name in names if (folder / name).is_file()}
    files |= {name: _entry(folder / name, True) for name in growing if (folder / name).is_file()}
    _write(folder, files | {name: {} for name in present})


def forget(folder: Path, *names: str) -> None:
    """Drop the entries of files that are about to be replaced."""
    files = read_ledger(folder) or {}
    if files.keys() & set(names):
        _write(folder, {name: entry for name, entry in files.items() if name not in names})


def _fault(path: Path, entry: Entry) -> str:
    """Return what is wrong with a recorded file, "" if nothing is."""
    try:
        if not path.is_file():
            return "is missing"
        if not entry:
            return ""
        size, grows = path.stat().st_size, entry.get("grows", False)
        if size < entry["size"] or (size > entry["size"] and not grows):
            return f"is damaged: it has {size} bytes, but {entry['size']} were written"
        if _measured(path, entry["size"])[1] != entry["sha256"]:
            return "is damaged: its sha256 is not that of what was written"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return ""


def faults(folder: Path, names: Collection[str] | None = None) -> list[Fault]:
    """Compare recorded files with the ledger of their folder, all or these; none if there is no ledger.

    DataError if the ledger is damaged.
    """
    entries = read_ledger(folder) or {}
    chosen = {name: entry for name, entry in entries.items() if names is None or name in names}
    compared = ((folder / name, _fault(folder / name, entry)) for name, entry in chosen.items())
    listed = [Fault(path=path, fault=fault) for path, fault in compared if fault]
    if listed and _is_foreign(folder, entries):
        return [Fault(path=folder / LEDGER_FILE, fault="is of another folder: files here are not those that it lists")]
    return listed


def _is_foreign(folder: Path, entries: dict[str, Entry]) -> bool:
    """Return if a ledger is that of another folder: half of the files or more, or the configuration that the checkpoint
    was made with, have another content than it lists."""
    told = {name: entry for name, entry in entries.items() if entry and (folder / name).is_file()}
    others = [name for name, entry in told.items() if _fault(folder / name, entry)]
    made_with = checkpoint_surroundings(folder)
    confirmed = [name for name in others if name in made_with and not _fault(folder / name, made_with[name])]
    return bool(confirmed) or (len(others) > 1 and 2 * len(others) >= len(told))


def checkpoint_surroundings(folder: Path) -> dict[str, Entry]:
    """Return the surroundings that the checkpoint of a folder holds; none if there is no sound one."""
    path = folder / CHECKPOINT_FILE
    if not path.is_file() or tensor_fault(path):
        return {}
    entries: dict[str, Entry] = json.loads(metadata(path).get(SURROUNDINGS, "{}"))
    return entries


def surroundings(folder: Path, growing: Iterable[str]) -> str:
    """Return what a checkpoint needs around it, as JSON: its configuration, and what growing files hold already."""
    files = {name: _entry(folder / name, False) for name in CONFIG_FILES if (folder / name).is_file()}
    return json.dumps(files | {name: _entry(folder / name, True) for name in growing if (folder / name).is_file()})


def surrounding_faults(folder: Path) -> list[Fault]:
    """Compare the files around the checkpoint of a folder with those that it was made with."""
    entries, known = checkpoint_surroundings(folder), read_ledger(folder) or {}
    for name in CONFIG_FILES:
        if (
            name in entries
            and known.get(name, entries[name]) != entries[name]
            and not _fault(folder / name, known[name])
        ):
            fault = f"belongs to another folder: it was made with another {name}"
            return [Fault(path=folder / CHECKPOINT_FILE, fault=fault)]
    compared = ((folder / name, _fault(folder / name, entry)) for name, entry in entries.items())
    return [Fault(path=path, fault=fault) for path, fault in compared if fault]


def check_files(folder: Path, *names: str) -> None:
    """Raise DataError if one of these files, or of all if none is named, is not what was recorded."""
    if found := faults(folder, names or None):
        raise DataError(str(found[0]))


def is_finished(folder: Path) -> bool:
    """Return if a folder holds a whole model. DataError if its ledger is damaged.

    A process that was stopped after it wrote the model, and before it entered it, has not finished.
    """
    if not (folder / MODEL_FILE).is_file():
        return False
    files = read_ledger(folder)
    return files is None or MODEL_FILE in files
