"""Files that are whole or not there, on local disks and under URLs: atomic writes, locks, checksums and JSON."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO, Any

from p3d_gen.core.errors import DataError, RunError
from p3d_gen.run.remote import is_remote, remote_errors, uploaded_file

_LOCK_PATIENCE_S = 3.0


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Raise RunError if the disk refuses the bytes that the block writes to `path`."""
    try:
        yield
    except OSError as error:
        remedy = "free some space" if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else "correct that"
        raise RunError(
            f"{path} cannot be written: {error.strerror}; {remedy} and run the same command again: "
            "finished shards are kept"
        ) from error


def lock_file(file: IO[Any], *, shared: bool = False, wait: bool = True) -> None:
    """Lock an open file for as long as it is open, alone or `shared` with other readers.

    BlockingIOError if another process holds it and `wait` is False. Windows has no such locks: nothing is locked there.
    """
    if sys.platform == "win32":
        return
    import fcntl

    fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))


def _lock(partial: Path, path: Path) -> IO[bytes]:
    """Open and lock the file that is to become `path`. Its last writer may have renamed it, so its name is checked
    again.

    The worker of a killed run lives on for a moment, so the lock is waited for a little.
    """
    give_up = time.monotonic() + _LOCK_PATIENCE_S
    while True:
        file = os.fdopen(os.open(partial, os.O_RDWR | os.O_CREAT, 0o644), "r+b")
        try:
            lock_file(file, wait=False)
            if partial.exists() and os.path.samestat(os.fstat(file.fileno()), partial.stat()):
                return file
        except BlockingIOError:
            if time.monotonic() > give_up:
                file.close()
                raise RunError(f"{path} is being written by another process; wait for it or stop it") from None
            time.sleep(0.05)
        file.close()


@contextmanager
def _renamed_file(path: Path) -> Iterator[IO[bytes]]:
    partial = path.with_name(f".{path.name}.partial")
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = _lock(partial, path)
    with file:
        try:
            file.truncate(0)
            yield file
            with disk_errors(path):
                file.flush()
                os.fsync(file.fileno())
                partial.replace(path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise


def atomic_file(path: Path) -> AbstractContextManager[IO[bytes]]:
    """Open a binary file that takes the name `path` only if the block ends without an exception, after an fsync.

    The file next to it, `.<name>.partial`, is locked while it is written; that of a killed writer is overwritten. For a
    remote path see `remote.uploaded_file`.
    """
    return uploaded_file(path) if is_remote(path) else _renamed_file(path)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a whole file atomically."""
    with atomic_file(path) as file, disk_errors(path):
        file.write(content)


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file atomically, indented."""
    write_bytes(path, (json.dumps(value, indent=2) + "\n").encode())


def compact_json(value: Any) -> bytes:
    """Return the bytes of a sample's JSON member. NaN and infinity are refused, because other readers refuse them."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file's content."""
    with remote_errors(path), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_json(path: Path) -> Any:
    """Return the value in a JSON file. FileNotFoundError if there is none, ValueError if it is not JSON."""
    with remote_errors(path):
        content = path.read_bytes()
    return json.loads(content)


def read_record(path: Path, remedy: str) -> Any:
    """Return the value of a JSON file that one of the commands wrote. DataError with the remedy if it is damaged."""
    try:
        return read_json(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}; {remedy}") from error
