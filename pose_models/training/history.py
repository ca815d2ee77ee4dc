"""history.jsonl, the history of a run in rounds: one flat JSON object for each step; a resumed run continues it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from p3d_gen.core.errors import DataError
from p3d_gen.run.disk import appended_file
from p3d_gen.run.files import write_bytes

HISTORY_FILE = "history.jsonl"


def history_lines(folder: Path) -> list[str]:
    """Return the whole lines of a run's history. DataError if it cannot be read."""
    path = folder / HISTORY_FILE
    try:
        lines = path.read_text().splitlines(keepends=True)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}; put it back, or give --overwrite to start again") from error
    # A killed writer may leave half a line, which is always the last one.
    return [line for line in lines if line.endswith("\n")]


class History:
    """The history of a run folder. Entries have `round` and `step`, steps counted over all rounds."""

    def __init__(self, folder: Path) -> None:
        """Name the file; nothing is read or written before the first entry."""
        self._folder, self._path = folder, folder / HISTORY_FILE
        self._begun = False

    def write(self, entry: Mapping[str, float | int | str]) -> None:
        """Add an entry. Before the first one, the entries of an interrupted run from there on are dropped."""
        if not self._begun:
            self._begun = True
            write_bytes(self._path, "".join(self._before((entry["round"], entry["step"]))).encode())
        with appended_file(self._path) as file:
            file.write((json.dumps(entry) + "\n").encode())

    def _before(self, place: tuple[Any, ...]) -> list[str]:
        if not self._path.is_file():
            return []
        try:
            return [line for line in history_lines(self._folder) if self._place(line) < place]
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{self._path} is damaged: {error}; put it back, or give --overwrite to start again"
            ) from error

    def _place(self, line: str) -> tuple[Any, ...]:
        entry = json.loads(line)
        return entry["round"], entry["step"]
