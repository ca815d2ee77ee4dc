"""Shards: tars of samples, written the same for the same samples, and the one reader of them, for disks and URLs.

The entries of a shard are plain files called <key>.<member>; those of a sample follow one another.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tarfile
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import IO, Any, cast

from p3d_gen.core.errors import DataError, P3DError, RunError
from p3d_gen.run.files import atomic_file
from p3d_gen.run.remote import is_http, is_remote, place, remote_errors

Members = dict[str, bytes]
_SHOWN_CHARS = 200
_ENDING = 2 * tarfile.BLOCKSIZE
_NAME = re.compile(r"[A-Za-z0-9_-]+\.[a-z0-9_.]+")


def _write_tar(file: IO[bytes], samples: Iterable[tuple[str, Members]]) -> int:
    """Write the tar of a shard to an open file; return the number of samples."""
    count = 0
    with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for key, members in samples:
            for member, content in members.items():
                info = tarfile.TarInfo(f"{key}.{member}")
                info.size, info.mode = len(content), 0o444
                tar.addfile(info, BytesIO(content))
            count += 1
    return count


def write_shard(path: Path, samples: Iterable[tuple[str, Members]]) -> tuple[int, str]:
    """Write samples, (key, {member: bytes}), to a tar, byte-identical for identical samples.

    Returns the number of samples and the sha256 of the tar.
    """
    with atomic_file(path) as file:
        count = _write_tar(file, samples)
        file.seek(0)
        return count, hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]  # a buffered file


class _Digest:
    """A file that keeps the sha256 of the bytes that are written to it, and nothing else."""

    def __init__(self) -> None:
        self.sha256, self._size = hashlib.sha256(), 0

    def write(self, content: bytes) -> int:
        self.sha256.update(content)
        self._size += len(content)
        return len(content)

    def tell(self) -> int:
        return self._size


def shard_sha256(samples: Iterable[tuple[str, Members]]) -> str:
    """Return the sha256 of the tar that `write_shard` would write; nothing is written."""
    digest = _Digest()
    _write_tar(cast(IO[bytes], digest), samples)
    return digest.sha256.hexdigest()


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A member of a sample, as it lies in a tar.

    offset, size: its first byte and its length. read: returns its bytes, until the next entry is asked for.
    """

    key: str
    member: str
    offset: int
    size: int
    read: Callable[[], bytes]


def _check_ending(size: int, ending: bytes) -> None:
    """Raise tarfile.ReadError if the zeros that end a whole tar are missing.

    Without this check, a tar that was cut between two members is read as if it were whole.
    """
    if size % tarfile.RECORDSIZE or ending != bytes(_ENDING):
        raise tarfile.ReadError("its end is missing")


class _Stream:
    """A file that is read once, from its first byte to its last, and remembers how it ended."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self.size, self.ending = file, 0, b""

    def read(self, size: int = -1) -> bytes:
        content = self._file.read(size)
        self.size, self.ending = self.size + len(content), (self.ending + content)[-_ENDING:]
        return content


@contextmanager
def _opened(path: Path, lenient: bool) -> Iterator[tarfile.TarFile]:
    """Open a tar. That of a web server is read from its start to its end, since the server may know no other way."""
    if is_http(path):
        with cast(Any, path).fs.open(str(path), block_size=0) as source:
            stream = _Stream(source)
            with tarfile.open(fileobj=cast(IO[bytes], stream), mode="r|") as tar:
                yield tar
            while stream.read(tarfile.RECORDSIZE):
                pass
            if not lenient:
                _check_ending(stream.size, stream.ending)
        return
    with path.open("rb") as file:
        if not lenient:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _ENDING))
            _check_ending(size, file.read())
            file.seek(0)
        with tarfile.open(fileobj=file, mode="r:") as tar:
            yield tar


@contextmanager
def tar_errors(path: Path) -> Iterator[None]:
    """Raise DataError if the tar that the block reads is not there or damaged."""
    try:
        with remote_errors(path):
            yield
    except FileNotFoundError:
        raise DataError(f"{path} does not exist: see to its name, or make it again") from None
    except (OSError, EOFError, tarfile.TarError) as error:
        raise DataError(f"{path} cannot be read: {error}; delete it, and the run makes it again") from error


def _is_member(info: tarfile.TarInfo) -> bool:
    """Tell if an entry is a plain file called <key>.<member>: not a path, a link, or a sparse file, which can be larger
    than the tar."""
    return bool(_NAME.fullmatch(info.name)) and info.isreg() and not info.issparse()


def _entry(path: Path, tar: tarfile.TarFile, info: tarfile.TarInfo) -> Entry:
    def read() -> bytes:
        with tar_errors(path):
            content = tar.extractfile(info)
            assert content is not None
            return content.read()

    key, _, member = info.name.partition(".")
    return Entry(key=key, member=member, offset=info.offset_data, size=info.size, read=read)


def read_entries(path: Path, on_foreign: Callable[[str], None] | None = None) -> Iterator[Entry]:
    """Yield the entries of a tar in order, at a path or URL; bytes that nobody asks for are skipped.

    DataError if the tar is damaged, has no end, or holds anything other than members of samples. With `on_foreign` a
    missing end is not an error, and `on_foreign` is called with the name of each thing that is not a member.
    """
    with tar_errors(path), _opened(path, on_foreign is not None) as tar:
        for info in tar:
            if _is_member(info):
                yield _entry(path, tar, info)
            elif on_foreign is not None:
                on_foreign(info.name)
            else:
                raise tarfile.ReadError(f"it holds {info.name[:_SHOWN_CHARS]!r}, which is not a file of a sample")


def _by_key(entries: Iterable[Entry]) -> Iterator[tuple[str, Iterator[Entry]]]:
    return groupby(entries, key=attrgetter("key"))


def read_shard(
    path: Path, only: str | None = None, keys: Container[str] | None = None
) -> Iterator[tuple[str, Members]]:
    """Yield the samples of a tar in order, as (key, {member: bytes}).

    only: that member alone; keys: these samples alone; nothing else is read. DataError names a file that is damaged.
    """
    for key, entries in _by_key(read_entries(path)):
        if keys is None or key in keys:
            members = {entry.member: entry.read() for entry in entries if only in (None, entry.member)}
            if members:
                yield key, members


def parse_labels(path: Path, key: str, content: bytes) -> dict[str, Any]:
    """Return the labels in the JSON member of a sample in the shard `path`. DataError if they are damaged."""
    try:
        labels = json.loads(content)
        if not isinstance(labels, dict):
            raise ValueError("they are not a JSON object")
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} holds no labels of {key}: {error}; delete it, and the run makes it again") from None
    return labels


def read_labels(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the samples of a tar in order, as (key, labels). DataError if it is damaged. Pictures are not read."""
    for key, members in read_shard(path, only="json"):
        yield key, parse_labels(path, key, members["json"])


@dataclass(frozen=True, kw_only=True)
class StoredSample:
    """A sample in a shard, which is read when it is asked for.

    shard: the tar's path or URL. places: member -> its first byte in the tar and its length. held: the members that are
    in memory already.
    """

    key: str
    shard: str
    places: dict[str, tuple[int, int]]
    held: Members = field(default_factory=dict)

    def read(self, *members: str) -> Members:
        """Return these members, or all of them. DataError if the shard is no longer what it was."""
        names = [name for name in members or self.places if name not in self.held]
        path = place(self.shard)
        with remote_errors(path):
            contents = _parts(path, [self.places[name] for name in names])
        read = dict(zip(names, contents, strict=True))
        for name, content in read.items():
            if len(content) != self.places[name][1]:
                raise DataError(f"{path}: {name} of {self.key} is cut off; the shard was changed while it was in use")
        return {name: self.held[name] if name in self.held else read[name] for name in members or self.places}


def _parts(path: Path, places: Sequence[tuple[int, int]]) -> list[bytes]:
    """Read parts of a file, (first byte, length)."""
    if is_remote(path) and places:
        fs, ends = cast(Any, path).fs, [offset + size for offset, size in places]
        starts = [offset for offset, _ in places]
        return list(fs.cat_ranges([cast(Any, path).path] * len(places), starts, ends, on_error="raise"))
    contents = []
    if places:
        with path.open("rb", buffering=0) as file:
            for offset, size in places:
                file.seek(offset)
                contents.append(file.read(size))
    return contents


def list_samples(
    path: Path, hold: Container[str] = (), on_foreign: Callable[[str], None] | None = None
) -> Iterator[StoredSample]:
    """Yield the samples of a tar in order, reading only where their members lie.

    hold: the members to be kept in memory. on_foreign, and errors: see `read_entries`. A key comes twice if its entries
    do not follow one another.
    """
    for key, entries in _by_key(read_entries(path, on_foreign)):
        places, held = {}, Members()
        for entry in entries:
            places[entry.member] = entry.offset, entry.size
            if entry.member in hold:
                held[entry.member] = entry.read()
        yield StoredSample(key=key, shard=str(path), places=places, held=held)


@contextmanager
def reading_samples(where: Path, key: str = "") -> Iterator[None]:
    """Raise RunError if the samples that the block looks at are damaged, or made to do harm: decoders raise any error
    then.

    where: the shard or run that holds them. key: that of the sample, if it is known.
    """
    try:
        yield
    except P3DError:
        raise
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:_SHOWN_CHARS]
        sample = f"the sample {key}" if key else "a sample"
        raise RunError(
            f"{where} holds {sample} that cannot be used ({reason}): `p3dgen verify` names what is damaged; delete "
            "that, and the run makes it again"
        ) from error
