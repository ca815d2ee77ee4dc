"""Folders under a URL, such as s3://bucket/run: fsspec's drivers, used as a Path is through universal-pathlib."""

from __future__ import annotations

import hashlib
import io
import math
import os
import re
import secrets
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any, cast

from p3d_gen.core.cache import cache_folder
from p3d_gen.core.errors import DependencyError, P3DError, RunError, did_you_mean
from p3d_gen.run.disk import DiskFile, disk_errors, renamed_file

# protocol -> the extra of this package that brings its driver
_EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs", "http": "http", "https": "http"}
_WEB = ("http", "https")
_PARTIAL_CONTENT = 206  # the status of an answer to a request for a range
# An upload to these takes its name when it is complete; listings are not to be remembered, other processes write too.
_OBJECT_STORES = {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oci", "oss"}
# user:password@bucket; an Amazon Resource Name may hold colons, too
_PASSWORD = re.compile(r"(?!arn:)[^/@]*:[^@]*@")


def _options(protocol: str) -> dict[str, Any]:
    if protocol in _WEB:
        from aiohttp import ClientTimeout

        # A large shard may take longer than the five minutes of the default, which count from the request.
        return {"client_kwargs": {"timeout": ClientTimeout(total=None, sock_connect=30, sock_read=60)}}
    return {"use_listings_cache": False} if protocol in _OBJECT_STORES else {}


def place(address: str | Path) -> Path:
    """Return the folder at a local path, or at a URL: then a UPath, which is used as a Path is; see `is_remote`.

    DependencyError if the driver of its protocol is not installed, RunError if there is no such protocol, or if the
    address of an object store holds a password.
    """
    if not isinstance(address, str):
        return address
    protocol, separator, rest = address.partition("://")
    if not separator:
        return Path(address)
    if protocol in ("file", "local"):
        return Path(rest)
    if protocol in _OBJECT_STORES and _PASSWORD.match(rest):
        raise RunError(
            f"{address}: this address holds a password, which {protocol} does not take there: give it as its driver "
            "asks for it, such as by AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and write protocol://bucket/folder"
        )
    from upath import UPath

    try:
        path = UPath(address, **_options(protocol))
        assert path.fs is not None  # which loads the driver
    except ImportError as error:
        remedy = f"pip install 'p3dgen[{_EXTRAS[protocol]}]'" if protocol in _EXTRAS else "install it by pip"
        raise DependencyError(f"{address} needs a driver that is not there ({error}): {remedy}") from None
    except ValueError as error:
        known = did_you_mean(protocol, [*_OBJECT_STORES, *_WEB, "memory", "file", "sftp"])
        raise RunError(f"{address} is not a folder ({error}){known}") from None
    return cast(Path, path)


def is_remote(path: Path) -> bool:
    """Tell if a path is that of a URL, so that only this package can open it by name."""
    return not isinstance(path, Path)


def is_http(path: Path) -> bool:
    """Tell if a path is an address of a web server."""
    return is_remote(path) and cast(Any, path).protocol in _WEB


def answers_ranges(path: Path) -> bool:
    """Tell if parts of a file can be read alone: some web servers send whole files only. FileNotFoundError if it is not
    there."""
    if not is_http(path):
        return True
    with (
        remote_errors(path),
        cast(Any, path).fs.open(str(path), block_size=0, headers={"Range": "bytes=0-0"}) as file,
    ):
        return bool(file.r.status == _PARTIAL_CONTENT)


def in_this_process_only(address: str) -> bool:
    """Tell if no other process sees the files that are written there."""
    return address.startswith("memory:")


@contextmanager
def remote_errors(path: Path) -> Iterator[None]:
    """Raise RunError if a driver cannot reach its store. Local errors pass through, and so do faults of a file itself:
    it is not there, or not a tar."""
    try:
        yield
    except (FileNotFoundError, tarfile.TarError, P3DError):
        raise
    except Exception as error:  # drivers raise errors of their own kinds: botocore's are no OSErrors
        if not is_remote(path):
            raise
        raise RunError(
            f"{path} cannot be reached: {error}; see to the address, the network and the credentials, and run the same "
            "command again: finished shards are kept"
        ) from error


def _upload(local: str, path: Any) -> None:
    if path.protocol in (*_OBJECT_STORES, "memory"):
        path.fs.put_file(local, path.path)
        return
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    path.parent.mkdir(parents=True, exist_ok=True)  # and there are no locks: each writer has a file of its own
    try:
        path.fs.put_file(local, partial.path)
        path.fs.mv(partial.path, path.path)
    except BaseException:
        with suppress(Exception):  # what is wrong with the upload is said already
            path.fs.rm_file(partial.path)
        raise


@contextmanager
def uploaded_file(path: Path, optional: bool = False) -> Iterator[IO[bytes]]:
    """Open a binary file, local and without a name, that becomes the remote `path` if the block ends without an
    exception.

    The remote file is whole or not there: object stores show an upload when it is complete, and elsewhere a file takes
    its name after the upload. Of two writers the last one wins. optional: nothing is uploaded if nothing is written.
    """
    folder = tempfile.gettempdir()
    with ExitStack() as stack:
        with disk_errors(path, folder):
            raw = stack.enter_context(tempfile.TemporaryFile(buffering=0))
            raw = stack.enter_context(DiskFile(os.dup(raw.fileno()), path, folder))
        file = io.BufferedRandom(raw)
        try:
            yield file
            file.flush()
        except BaseException:
            raw.close()  # else the buffer would try once more to write what the disk has refused
            raise
        if optional and not os.fstat(raw.fileno()).st_size:
            return
        try:
            with remote_errors(path):
                _upload(f"/dev/fd/{file.fileno()}", path)
        except FileNotFoundError as error:
            raise RunError(f"{path} cannot be written: {error}; make the bucket first") from error


def _fetch(path: Path, target: Path) -> None:
    with renamed_file(target, patience_s=math.inf, optional=True) as file:
        if target.exists():  # another process has fetched it in the meantime
            return
        with path.open("rb") as source:
            shutil.copyfileobj(source, file)
        if not file.tell():
            raise RunError(f"{path} is empty: delete it, and the run makes it again")


def local_copy(path: Path, *beside: Path) -> Path:
    """Return a local file with the content of `path`: itself, or a copy of a remote one.

    A copy is fetched once for each version of the files, into `~/.cache/p3dgen`. beside: files of the same folder that
    are copied next to it, if they are there.
    """
    if not is_remote(path):
        return path
    with remote_errors(path):
        others = [other for other in beside if other.exists()]
        versions = [cast(Any, each).fs.ukey(cast(Any, each).path) for each in (path, *others)]
        name = hashlib.sha256(" ".join(map(str, (path, *versions))).encode()).hexdigest()[:32]
        copy = cache_folder() / name / path.name
        if not copy.exists():
            for other in others:
                _fetch(other, copy.with_name(other.name))
            _fetch(path, copy)
    return copy
