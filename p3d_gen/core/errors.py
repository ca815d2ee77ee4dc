"""Errors that the user can fix. The commands print them without a traceback and exit with status 1."""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable
from pathlib import Path

from p3d_gen.core.masking import masked

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FORBIDDEN = {errno.EROFS, errno.EACCES, errno.EPERM}


class P3DError(Exception):
    """Base of all errors whose message names the file, the value and the remedy; it hides passwords of addresses."""

    def __init__(self, *args: object) -> None:
        """Keep the message, with passwords, keys and tokens hidden."""
        super().__init__(*(masked(each) if isinstance(each, str) else each for each in args))


class ManifestError(P3DError):
    """A manifest that cannot be used."""


class AssetError(P3DError):
    """A CAD model, texture, environment map or background that is missing or cannot be read."""


class RunError(P3DError):
    """A run folder that cannot be used: another manifest's, incomplete, damaged, locked, or on a full disk."""


class BusyError(RunError):
    """A file that another process is writing."""


class ConfigError(P3DError, ValueError):
    """An option, a configuration value or a name that is not known or does not fit."""


class DataError(P3DError, ValueError):
    """A picture, a dataset, a shard, a table of labels or a model folder that cannot be used."""


class DependencyError(P3DError):
    """An optional package, system library or set of weights that is not there."""


def unwritable(path: str | Path, error: OSError, folder: str = "") -> RunError:
    """Return the error of a file that the disk does not take. folder: where its bytes go first, if elsewhere."""
    remedy = f"free some space{' there' if folder else ''}" if error.errno in DISK_FULL else "correct that"
    if error.errno in _FORBIDDEN:
        remedy = "make that place writable, or name another one by --out,"
    return RunError(
        f"{path} cannot be written{f' by way of {folder}' if folder else ''}: {error.strerror}; {remedy} and run the "
        "same command again: what is finished is kept"
    )


def did_you_mean(name: str, valid: Iterable[str]) -> str:
    """Return '; did you mean X?' with the nearest valid name, or the list of valid names if none is near."""
    options = sorted(valid)
    near = difflib.get_close_matches(name, options, n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else f"; valid names: {', '.join(options)}"
