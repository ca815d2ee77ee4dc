"""Files that are whole or not there: atomic writes, and the tars that hold samples."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import tarfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import IO, Any

from p3d_gen.errors import RunError

Members = dict[str, bytes]
_LOCK_PATIENCE_S = 3.0
_TAR_ENDING = 2 * tarfile.BLOCKSIZE


@contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        remedy = "free some space" if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else "mend that"
        raise RunError(
            f"{path} cannot be written: {error.strerror}; {remedy} and run the same command again: "
            "finished shards are kept"
        ) from error


def _lock(file: IO[bytes], partial: Path, path: Path) -> None:
    """Take the write lock, and make sure that the name still means this file: its last writer may have renamed it.

    The worker of a killed run lives on for a moment, so the lock is waited for a little.
    """
    give_up = time.monotonic() + _LOCK_PATIENCE_S
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if partial.exists() and os.path.samestat(os.fstat(file.fileno()), partial.stat()):
                return
        except BlockingIOError:
            if time.monotonic() < give_up:
                time.sleep(0.05)
                continue
        raise RunError(f"{path} is being written by another process; wait for it or stop it")


@contextmanager
def atomic_file(path: Path) -> Iterator[IO[bytes]]:
    """A binary file that takes the name `path` only when the block ends without an exception, after an fsync.

    The file beside it, `.<name>.partial`, is locked while it is written; a killed writer's is overwritten.
    """
    partial = path.with_name(f".{path.name}.partial")
    with _disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = os.fdopen(os.open(partial, os.O_RDWR | os.O_CREAT, 0o644), "r+b")
    with file:
        _lock(file, partial, path)
        try:
            file.truncate(0)
            yield file
            with _disk_errors(path):
                file.flush()
                os.fsync(file.fileno())
                partial.replace(path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise


def write_bytes(path: Path, content: bytes) -> None:
    """Write a whole file atomically."""
    with atomic_file(path) as file, _disk_errors(path):
        file.write(content)


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file atomically, indented."""
    write_bytes(path, (json.dumps(value, indent=2) + "\n").encode())


def compact_json(value: Any) -> bytes:
    """The bytes of a sample's JSON member; NaN and infinity are refused, because other readers do."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()


def write_shard(path: Path, samples: Iterable[tuple[str, Members]]) -> tuple[int, str]:
    """Write samples, (key, {member: bytes}), to a tar, byte-identical for identical samples.

    Returns the number of samples and the sha256 of the tar.
    """
    count = 0
    with atomic_file(path) as file, tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for key, members in samples:
            for member, content in members.items():
                info = tarfile.TarInfo(f"{key}.{member}")
                info.size, info.mode = len(content), 0o444
                with _disk_errors(path):
                    tar.addfile(info, BytesIO(content))
            count += 1
    return count, file_sha256(path)


def check_tar_ending(path: Path) -> None:
    """tarfile.ReadError where the zeros that end a whole tar are missing: one that was cut between two members is
    otherwise read without a word."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _TAR_ENDING))
        if size % tarfile.RECORDSIZE or file.read() != bytes(_TAR_ENDING):
            raise tarfile.ReadError("its end is missing")


def read_shard(path: Path, only: str | None = None) -> Iterator[tuple[str, Members]]:
    """The samples of a tar in order, as (key, {member: bytes}); with `only` that member alone, the others unread.

    RunError names a file that is damaged.
    """
    key, members = "", Members()
    try:
        check_tar_ending(path)
        with tarfile.open(path, "r:") as tar:
            for info in tar:
                this_key, _, member = info.name.partition(".")
                if this_key != key and members:
                    yield key, members
                    members = {}
                key = this_key
                if only is not None and member != only:
                    continue
                content = tar.extractfile(info)
                if content is None:
                    raise RunError(f"{path} holds {info.name!r}, which is no file")
                members[member] = content.read()
    except (OSError, tarfile.TarError) as error:
        raise RunError(f"{path} cannot be read: {error}; delete it, and the run makes it again") from error
    if members:
        yield key, members


def read_labels(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The samples of a tar in order, as (key, labels), without reading the pictures. RunError where it is damaged."""
    for key, members in read_shard(path, only="json"):
        try:
            yield key, json.loads(members["json"])
        except ValueError as error:
            raise RunError(f"{path} holds no labels of {key}: {error}; delete it, and the run makes it again") from None


def file_sha256(path: Path) -> str:
    """The sha256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
