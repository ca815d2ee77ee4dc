"""The check of folders that pose-models wrote: trainings, adaptations, baselines, evaluations, predictions, protocols.

Files that are kept are compared with the checksums beside them. Pages, pictures, tables and curves are made again from
these, and never believed: they are not looked at.
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from p3d_gen.core.errors import DataError
from p3d_gen.run.files import read_json, unsealed
from pose_models.ledger import (
    CHECKPOINT_FILE,
    CONFIG_FILES,
    LEDGER_FILE,
    MARK,
    MODEL_FILE,
    REMEDY,
    Fault,
    faults,
    is_finished,
    read_ledger,
    surrounding_faults,
)
from pose_models.tensor_file import has_checksum, tensor_fault

WEIGHTS_FILE = "model.safetensors"
_SUMMARY_FILE = "summary.json"
_SEALED = ("folds.json", "residuals.json", "step.json")  # of folds and of protocols
# Without a ledger each of these alone tells that pose-models wrote a folder.
_KEPT = (
    *CONFIG_FILES,
    MODEL_FILE,
    WEIGHTS_FILE,
    CHECKPOINT_FILE,
    "source_similarity.safetensors",
    "vertices.safetensors",
    "source.json",
    "target.jsonl",
    "labelled.jsonl",
    "pseudo_labels.jsonl",
    "history.jsonl",
    "train.jsonl",
    "predictions.jsonl",
)
_NEEDED = {MODEL_FILE: (WEIGHTS_FILE, "config.toml"), WEIGHTS_FILE: ("config.toml",), "source.json": ("adapt.toml",)}


@dataclass(frozen=True, kw_only=True)
class Soundness:
    """The result of a check: the number of files that were compared or read, the faults, and notes on what could not be
    checked, or is not finished."""

    folder: Path
    files: int = 0
    faults: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        """True if there is no fault."""
        return not self.faults

    def as_dict(self) -> dict[str, Any]:
        """Return everything, for JSON."""
        each = [{"file": str(one.path), "fault": one.fault, "remedy": one.remedy} for one in self.faults]
        return {
            "folder": str(self.folder),
            "sound": self.sound,
            "files": self.files,
            "faults": each,
            "notes": self.notes,
        }


def check(folder: str | Path) -> Soundness:
    """Compare every file that pose-models keeps in a folder, and in the folders below, with its checksum.

    DataError if there is nothing that it keeps.
    """
    folder = Path(folder)
    results = [_checked(Path(place), names) for place, below, names in os.walk(folder) if not below.sort()]
    result = Soundness(
        folder=folder,
        files=sum(each.files for each in results),
        faults=_once([fault for each in results for fault in each.faults]),
        notes=[note for each in results for note in each.notes],
    )
    if not result.files and not result.faults:
        raise DataError(f"{folder} holds nothing that pose-models keeps: give the --out of one of its commands")
    return result


def _checked(place: Path, names: list[str]) -> Soundness:
    """Check the files of one folder."""
    kept = [name for name in _KEPT if name in names]
    own: list[Fault] = []
    try:
        entries = read_ledger(place)
    except DataError:
        entries, kept = {}, [LEDGER_FILE, *kept]
        own.append(Fault(path=place / LEDGER_FILE, fault="is damaged", remedy=REMEDY))
    else:
        own += faults(place)
    if entries is None:
        own += _missed(place, kept)
    if not any(fault.path.name == LEDGER_FILE for fault in own):
        own += surrounding_faults(place)
    unknown = [name for name in kept if name not in (entries or ()) or name == CHECKPOINT_FILE]
    read = [(name, _structure(place / name)) for name in unknown if name != LEDGER_FILE]
    own += [Fault(path=place / name, fault=fault) for name, fault in read if fault]
    answers = [name for name in sorted(names) if name.endswith(".json") and name not in (*kept, LEDGER_FILE)]
    sealed_faults = [(place / name, _answer_fault(place / name)) for name in answers]
    own += [Fault(path=path, fault=fault, remedy="run the command again") for path, fault in sealed_faults if fault]
    own += _lacking(place, names, entries)
    count = len(set(kept) | set(entries or ())) + sum(fault is not None for _, fault in sealed_faults)
    return Soundness(folder=place, files=count, faults=_once(own), notes=_notes(place, names, entries, bool(own)))


def _once(listed: list[Fault]) -> list[Fault]:
    """Return the first fault of each file."""
    return list({fault.path: fault for fault in reversed(listed)}.values())[::-1]


def _missed(place: Path, kept: list[str]) -> list[Fault]:
    """Return the fault of a ledger that a configuration or a summary names, but is not there."""
    try:
        named = any((place / name).read_bytes().startswith(MARK.encode()) for name in CONFIG_FILES if name in kept)
        named = named or ("predictions.jsonl" in kept and "checksums" in read_json(place / _SUMMARY_FILE))
    except (OSError, ValueError, TypeError):
        return []
    return [Fault(path=place / LEDGER_FILE, fault="is missing")] if named else []


def _lacking(place: Path, names: list[str], entries: dict[str, Any] | None) -> list[Fault]:
    """Return the faults of files that others need, in a folder without a ledger."""
    if entries is not None:
        return []
    needed = {name for name, others in _NEEDED.items() if name in names for name in others}
    if WEIGHTS_FILE in names and CHECKPOINT_FILE not in names:
        needed.add(MODEL_FILE)
    return [Fault(path=place / name, fault="is missing") for name in sorted(needed - set(names))]


def _notes(place: Path, names: list[str], entries: dict[str, Any] | None, faulty: bool) -> list[str]:
    kept = [name for name in _KEPT if name in names]
    if entries is None and kept and not faulty:
        return [f"{place} was made before checksums were kept: only the structure of its files was read"]
    if faulty or not any(name in names for name in CONFIG_FILES):
        return []
    notes = []
    if not is_finished(place):
        notes.append(f"{place} is not finished: repeat its command to resume")
    if CHECKPOINT_FILE in kept and not has_checksum(place / CHECKPOINT_FILE):
        notes.append(f"{place / CHECKPOINT_FILE} was made before checksums were kept: only its structure was read")
    return notes


def _json(path: Path) -> None:
    if not isinstance(read_json(path), dict):
        raise ValueError("it is not a JSON object")


def _lines(path: Path) -> None:
    for number, line in enumerate(path.read_text().splitlines(keepends=True), start=1):
        if not line.endswith("\n") or not isinstance(json.loads(line), dict):
            raise ValueError(f"line {number} is not whole")


def _toml(path: Path) -> None:
    tomllib.loads(path.read_text())


_READERS: dict[str, Callable[[Path], None]] = {".json": _json, ".jsonl": _lines, ".toml": _toml}


def _structure(path: Path) -> str:
    """Return what is wrong with the structure of a file, "" if nothing is."""
    if path.suffix == ".safetensors":
        return tensor_fault(path)
    try:
        _READERS[path.suffix](path)
    except (OSError, ValueError) as error:
        return f"is damaged: {error}"
    return ""


def _seal_fault(content: bytes) -> str:
    try:
        unsealed(content)
    except ValueError as error:
        return f"is damaged: {error}"
    return ""


def _answer_fault(path: Path) -> str | None:
    """Return what is wrong with the JSON of a prediction, "" if nothing is, None if it is something else."""
    try:
        content = path.read_bytes()
        json.loads(content)
    except (OSError, ValueError) as error:
        return f"is damaged: {error}" if path.name in _SEALED or path.with_suffix(".png").is_file() else None
    if path.name in _SEALED:
        return _seal_fault(content)
    if b'"hypotheses"' not in content or b'"image"' not in content:
        return None
    try:
        image = str(unsealed(content).get("image"))
    except (ValueError, AttributeError) as error:
        return f"is damaged: {error}"
    return "" if Path(image).stem == path.stem else f"is the answer for {image}"
