"""Files that are whole or not there, on local disks and under URLs: atomic writes, and the tars that hold samples."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import sys
import tarfile
import time
from collections.abc import Container, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from io import BytesIO
from pathlib import Path
from typing import IO, Any

from p3d_gen.core.errors import DataError, P3DError, RunError
from p3d_gen.run.remote import is_remote, remote_errors, uploaded_file

Members = dict[str, bytes]
_LOCK_PATIENCE_S = 3.0
_SHOWN_CHARS = 200
_TAR_ENDING = 2 * tarfile.BLOCKSIZE
_MEMBER = re.compile(r"[A-Za-z0-9_-]+\.[a-z0-9_.]+")


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


def lock_file(file: IO[Any], *, shared: bool = False, wait: bool = True) -> None:
    """Lock an open file for as long as it is open, alone or `shared` with other readers.

    BlockingIOError if another process holds it, unless this one shall `wait`. Windows has no such locks: nothing is
    locked there.
    """
    if sys.platform == "win32":
        return
    import fcntl

    fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))


def _lock(partial: Path, path: Path) -> IO[bytes]:
    """Open and lock the file that is to become `path`, making sure that its name still means it: its last writer may
    have renamed it.

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
    with _disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = _lock(partial, path)
    with file:
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


def atomic_file(path: Path) -> AbstractContextManager[IO[bytes]]:
    """A binary file that takes the name `path` only when the block ends without an exception, after an fsync.

    The file beside it, `.<name>.partial`, is locked while it is written; a killed writer's is overwritten. For a remote
    path see `remote.uploaded_file`.
    """
    return uploaded_file(path) if is_remote(path) else _renamed_file(path)


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
    with atomic_file(path) as file:
        with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            for key, members in samples:
                for member, content in members.items():
                    info = tarfile.TarInfo(f"{key}.{member}")
                    info.size, info.mode = len(content), 0o444
                    with _disk_errors(path):
                        tar.addfile(info, BytesIO(content))
                count += 1
        file.seek(0)
        return count, _sha256(file)


@contextmanager
def reading_samples(where: Path, key: str = "") -> Iterator[None]:
    """RunError where the samples that the block looks at are damaged, or made to do harm: of such bytes and labels
    decoders raise what they like. where: the shard or run that holds them; key: of the sample, where it is known."""
    try:
        yield
    except P3DError:
        raise
    except Exception as error:
        told = " ".join(f"{type(error).__name__}: {error}".split())[:_SHOWN_CHARS]
        what = f"the sample {key}" if key else "a sample"
        raise RunError(
            f"{where} holds {what} that cannot be used ({told}): `p3dgen verify` names what is damaged; delete that, "
            "and the run makes it again"
        ) from error


def is_member(info: tarfile.TarInfo) -> bool:
    """Whether an entry of a tar is a plain file called <key>.<member>: no path or link, and no sparse file, which
    can be larger than the tar."""
    return bool(_MEMBER.fullmatch(info.name)) and info.isreg() and not info.issparse()


def check_tar_ending(path: Path) -> None:
    """tarfile.ReadError where the zeros that end a whole tar are missing: one that was cut between two members is
    otherwise read without a word."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _TAR_ENDING))
        if size % tarfile.RECORDSIZE or file.read() != bytes(_TAR_ENDING):
            raise tarfile.ReadError("its end is missing")


def _entries(tar: tarfile.TarFile) -> Iterator[tuple[str, dict[str, tarfile.TarInfo]]]:
    key, entries = "", dict[str, tarfile.TarInfo]()
    for info in tar:
        if not is_member(info):
            raise tarfile.ReadError(f"it holds {info.name[:_SHOWN_CHARS]!r}, which is no file of a sample")
        this_key, _, member = info.name.partition(".")
        if this_key != key and entries:
            yield key, entries
            entries = {}
        key, entries[member] = this_key, info
    if entries:
        yield key, entries


@contextmanager
def open_samples(path: Path) -> Iterator[tuple[tarfile.TarFile, Iterator[tuple[str, dict[str, tarfile.TarInfo]]]]]:
    """An open tar, and its samples in order as (key, {member: its entry}). RunError where the file is damaged."""
    try:
        with remote_errors(path), path.open("rb") as file, tarfile.open(fileobj=file, mode="r:") as tar:
            check_tar_ending(path)
            yield tar, _entries(tar)
    except (OSError, tarfile.TarError) as error:
        raise RunError(f"{path} cannot be read: {error}; delete it, and the run makes it again") from error


def read_member(tar: tarfile.TarFile, info: tarfile.TarInfo) -> bytes:
    """The content of a plain file in a tar."""
    content = tar.extractfile(info)
    assert content is not None
    return content.read()


def read_shard(
    path: Path, only: str | None = None, keys: Container[str] | None = None
) -> Iterator[tuple[str, Members]]:
    """The samples of a tar in order, as (key, {member: bytes}); with `only` that member alone, with `keys` these
    samples alone, all else unread.

    RunError names a file that is damaged.
    """
    with open_samples(path) as (tar, samples):
        for key, entries in samples:
            if keys is None or key in keys:
                wanted = {name: info for name, info in entries.items() if only in (None, name)}
                if wanted:
                    yield key, {name: read_member(tar, info) for name, info in wanted.items()}


def read_labels(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The samples of a tar in order, as (key, labels), without reading the pictures. RunError where it is damaged."""
    for key, members in read_shard(path, only="json"):
        try:
            labels = json.loads(members["json"])
            if not isinstance(labels, dict):
                raise ValueError("they are no JSON object")
        except (ValueError, RecursionError) as error:
            raise RunError(f"{path} holds no labels of {key}: {error}; delete it, and the run makes it again") from None
        yield key, labels


def _sha256(file: IO[bytes]) -> str:
    return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]  # a buffered file, local or not


def file_sha256(path: Path) -> str:
    """The sha256 of a file's content."""
    with remote_errors(path), path.open("rb") as file:
        return _sha256(file)


def read_json(path: Path) -> Any:
    """The value in a JSON file; FileNotFoundError where there is none, ValueError where it is no JSON."""
    with remote_errors(path):
        content = path.read_bytes()
    return json.loads(content)


def read_record(path: Path, remedy: str) -> Any:
    """Return the value of a JSON file that one of the commands wrote. DataError with the remedy if it is damaged."""
    try:
        return read_json(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}; {remedy}") from error
