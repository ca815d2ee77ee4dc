"""Checksums of files that seldom change, such as the sources of a run: computed once, and remembered in
`~/.cache/p3dgen/checksums` for later commands.

A file is taken to be the same as long as its size, its times of change and its inode are. A file that was changed just
now is not remembered, because it could change again within the same tick of the clock.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from p3d_gen.core.cache import cache_folder
from p3d_gen.core.errors import AssetError, RunError
from p3d_gen.run.files import file_sha256, write_bytes

_READERS = 4
_TICK_NS = 2_000_000_000

State = tuple[int, int, int, int]
_remembered: dict[str, tuple[State, str]] = {}
_recalled: set[Path] = set()


def _unreadable(path: str, error: OSError) -> AssetError:
    return AssetError(f"{path} cannot be read: {error.strerror}; put it back, or make it readable")


def _state(path: str) -> State:
    """Return a file's size, the times when its content and its status changed, and its inode."""
    try:
        about = os.stat(path)  # noqa: PTH116  half the time of Path.stat, for many files
    except OSError as error:
        raise _unreadable(path, error) from None
    return about.st_size, about.st_mtime_ns, about.st_ctime_ns, about.st_ino


def _store(paths: Iterable[str]) -> Path:
    """Return the file that remembers these paths: that of the folder which holds them all."""
    folder = os.path.commonpath([os.path.dirname(path) for path in paths])  # noqa: PTH120
    return cache_folder() / "checksums" / f"{hashlib.sha256(folder.encode()).hexdigest()[:32]}.json"


def _read(store: Path) -> dict[str, tuple[State, str]]:
    """Return what a file remembers: nothing if it is damaged or not there."""
    try:
        return {
            path: ((int(size), int(changed), int(status), int(inode)), str(sha256))
            for path, (size, changed, status, inode, sha256) in json.loads(store.read_bytes()).items()
        }
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _recall(store: Path) -> None:
    if store not in _recalled:
        _recalled.add(store)
        for path, known in _read(store).items():
            _remembered.setdefault(path, known)


def _remember(store: Path, paths: Iterable[str]) -> None:
    """Add what is known of the paths to a file. If it cannot be written, that costs later commands time only."""
    kept = {path: known for path, known in _read(store).items() if os.path.exists(path)}  # noqa: PTH110
    kept |= {path: _remembered[path] for path in paths if path in _remembered}
    with contextlib.suppress(OSError, RunError):
        write_bytes(store, json.dumps({path: [*state, sha256] for path, (state, sha256) in kept.items()}).encode())


def _compute(path: str) -> str:
    before = _state(path)
    try:
        sha256 = file_sha256(Path(path))
    except OSError as error:
        raise _unreadable(path, error) from None
    _remembered.pop(path, None)
    if _state(path) == before and before[2] + _TICK_NS < time.time_ns():
        _remembered[path] = before, sha256
    return sha256


def checksums(paths: Iterable[Path]) -> dict[Path, str]:
    """Return the sha256 of each local file; only those are read of which none is remembered.

    AssetError if one cannot be read.
    """
    names = {path: str(path.absolute()) for path in paths}
    if not names:
        return {}
    store = _store(names.values())
    _recall(store)
    known = {
        name: sha256
        for name in names.values()
        if name in _remembered
        for state, sha256 in (_remembered[name],)
        if state == _state(name)
    }
    unknown = sorted({name for name in names.values() if name not in known})
    if unknown:
        with ThreadPoolExecutor(_READERS) as pool:
            known |= zip(unknown, pool.map(_compute, unknown), strict=True)
        if any(name in _remembered for name in unknown):
            _remember(store, names.values())
    return {path: known[name] for path, name in names.items()}


def changed_files(recorded: Mapping[Path, str]) -> list[Path]:
    """Return those of the local files, path -> sha256, that have another content now.

    A file is read again before it is named, whatever is remembered of it. AssetError if one cannot be read.
    """
    suspects = [path for path, sha256 in checksums(recorded).items() if sha256 != recorded[path]]
    return [path for path in suspects if _compute(str(path.absolute())) != recorded[path]]
