"""The folder of an adaptation, while it runs and afterwards, read in order to show it."""

from __future__ import annotations

import json
import math
import re
import tomllib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from p3d_gen.core.errors import DataError
from p3d_gen.core.types import Array
from pose_models.training.history import HISTORY_FILE

CONFIG_FILE, TARGET_FILE, MODEL_FILE, SOURCE_FILE = "adapt.toml", "target.jsonl", "model.json", "source.json"
RUN_FILES = (HISTORY_FILE, CONFIG_FILE, TARGET_FILE, MODEL_FILE, SOURCE_FILE)
PLACES = ("epoch", "step")
_BIN = re.compile(r"confidence_histogram_(\d+)")
QUIET_S = 120.0
_PATIENCE = 3.0

Entry = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class AdaptationRun:
    """A run folder as it was read.

    place: what its history counts, "epoch" or "step"; history: its lines; settings: the configuration as dotted keys;
    source: folder of the source model, "" where not known; images: target images by (category, subset); finished:
    whether the model is written; news_s: when something was last written, seconds since 1970.
    """

    folder: Path
    place: str
    history: tuple[Entry, ...]
    settings: dict[str, Any]
    source: str
    images: dict[tuple[str, str], int]
    finished: bool
    news_s: float

    @property
    def span(self) -> tuple[float, float]:
        """Return the first and the last epoch, from 0 for the source model, or step; (0, -1) if there is no history
        yet."""
        places = [float(entry[self.place]) for entry in self.history]
        return (min(places), max(places)) if places else (0.0, -1.0)

    @property
    def rounds(self) -> int:
        """Return the number of rounds of steps."""
        return int(self.settings.get("rounds", 1))

    @property
    def planned(self) -> int | None:
        """Return the number of epochs, or of steps over all rounds, that the configuration asks for; None if it does
        not say."""
        if self.place == "epoch":
            return self.settings.get("epochs")
        steps = self.settings.get("steps")
        return None if steps is None else int(steps) * self.rounds


def run_folders(folder: Path) -> list[Path]:
    """Find the runs of an adaptation: the folder itself, or its sub-folders if each is one. ValueError for none."""
    if any((folder / name).is_file() for name in (HISTORY_FILE, CONFIG_FILE)):
        return [folder]
    folders = sorted({path.parent for name in (HISTORY_FILE, CONFIG_FILE) for path in folder.glob(f"*/{name}")})
    if not folders:
        raise DataError(
            f"{folder} holds neither {HISTORY_FILE} nor {CONFIG_FILE}: give the --out of a `pose-models adapt` command "
            "that has begun"
        )
    return folders


def read_history(path: Path) -> tuple[Entry, ...]:
    """Read the entries of a history.jsonl in their order; none if there is no file yet.

    A last line that is still being written is left for later. ValueError naming any other line that is not a JSON
    object.
    """
    if not path.is_file():
        return ()
    lines = path.read_text(errors="replace").splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines.pop()
    entries = []
    for number, line in enumerate(lines, start=1):
        try:
            entry = json.loads(line)
        except ValueError as error:
            raise DataError(f"{path} line {number} is not JSON: {error}; delete the line") from error
        if not isinstance(entry, dict):
            raise DataError(f"{path} line {number} is {line.strip()[:40]!r}, not a JSON object; delete the line")
        entries.append(entry)
    return tuple(entries)


def _flat(settings: dict[str, Any], before: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        flat |= _flat(value, f"{before}{name}.") if isinstance(value, dict) else {f"{before}{name}": value}
    return flat


def _settings(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        return _flat(tomllib.loads(path.read_text()))
    except tomllib.TOMLDecodeError as error:
        raise DataError(f"{path} is not TOML: {error}") from error


def _images(path: Path) -> dict[tuple[str, str], int]:
    entries = read_history(path)
    return dict(Counter((str(entry.get("category", "")), str(entry.get("subset", ""))) for entry in entries))


def source_folder(folder: Path) -> str:
    """Read the source model's folder from a run's source.json; "" if there is none.

    ValueError if the file is damaged.
    """
    path = folder / SOURCE_FILE
    if not path.is_file():
        return ""
    try:
        return str(json.loads(path.read_text())["model"])
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path} does not name the source model: {error!r}") from error


def read_run(folder: Path) -> AdaptationRun:
    """Read the present content of a run folder. ValueError naming the file that cannot be read."""
    history = read_history(folder / HISTORY_FILE)
    place = next((name for name in PLACES if any(name in entry for entry in history)), PLACES[0])
    if any(_number(entry.get(place)) is None for entry in history):
        raise DataError(f"{folder / HISTORY_FILE} has a line without its {place}: is it of a `pose-models adapt`?")
    files = [path for path in (folder / name for name in RUN_FILES) if path.is_file()]
    return AdaptationRun(
        folder=folder,
        place=place,
        history=history,
        settings=_settings(folder / CONFIG_FILE),
        source=source_folder(folder),
        images=_images(folder / TARGET_FILE),
        finished=(folder / MODEL_FILE).is_file(),
        news_s=max((path.stat().st_mtime for path in files), default=0.0),
    )


def state(run: AdaptationRun, now_s: float) -> str:
    """Return "finished", "running", or the minutes without news.

    Silence is reported after two minutes, or thrice the longest epoch.
    """
    longest = max((_number(entry.get("seconds")) or 0.0 for entry in run.history), default=0.0)
    silent = now_s - run.news_s
    if run.finished:
        return "finished"
    return "running" if silent < max(QUIET_S, _PATIENCE * longest) else f"no news for {silent / 60:.0f} minutes"


def _number(value: object) -> float | None:
    """Return a finite number, else None."""
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def curve(run: AdaptationRun, key: str) -> tuple[Array, Array]:
    """Return the epochs or steps (N,), ascending, and the finite values (N,) of a key there; the last if a place comes
    twice."""
    pairs = ((_number(entry.get(run.place)), _number(entry.get(key))) for entry in run.history)
    points = sorted({place: value for place, value in pairs if place is not None and value is not None}.items())
    return np.array([place for place, _ in points]), np.array([value for _, value in points])


def keys(run: AdaptationRun) -> list[str]:
    """Return the names of all numbers of the history in the order they first come, except epoch, step, round and
    histograms."""
    names = dict.fromkeys(name for entry in run.history for name, value in entry.items() if _number(value) is not None)
    return [name for name in names if name not in (*PLACES, "round") and not _BIN.fullmatch(name)]


def confidence_counts(entry: Entry) -> Array | None:
    """Return the counts (N,) of an entry's histogram of confidences over 0..1; None if it has none."""
    bins: Sequence[str] = sorted(name for name in entry if _BIN.fullmatch(name))
    return np.array([float(entry[name]) for name in bins]) if bins else None
