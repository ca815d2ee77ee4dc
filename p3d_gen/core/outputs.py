"""The files that a command is about to write: never one that it reads, and none that somebody else made."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from p3d_gen.core.errors import RunError


def _identity(path: Path) -> tuple[int, int] | None:
    """Return what tells a file from others by whatever name, None if there is none."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


def overwritten_input(outputs: Iterable[Path], inputs: Iterable[Path]) -> tuple[Path, Path] | None:
    """Return the first output that is one of the inputs, under this name or another, and that input; else None."""
    read = {_identity(path): path for path in inputs}
    read.pop(None, None)
    return next(((path, read[identity]) for path in outputs if (identity := _identity(path)) in read), None)


def check_outputs(outputs: Iterable[Path], inputs: Iterable[Path], *, is_own: bool) -> None:
    """Raise RunError if an output is one of the inputs, or stands and is of somebody else.

    is_own: outputs that stand were made by the same command, so it may write them again.
    """
    outputs = list(outputs)
    if lost := overwritten_input(outputs, inputs):
        raise RunError(f"{lost[0]} would overwrite {lost[1]}, which this command reads: choose another --out")
    if not is_own and (others := [path for path in outputs if os.path.lexists(path)]):
        raise RunError(f"{others[0]} exists and was not made by this command: choose another --out, or move the file")
