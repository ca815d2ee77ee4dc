"""Files that are whole or not there, on local disks and under URLs: atomic writes, checksums and JSON."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Any

from p3d_gen.core.errors import DataError
from p3d_gen.run.disk import renamed_file
from p3d_gen.run.remote import is_remote, remote_errors, uploaded_file

_SEAL, _END, _DIGITS = "checksum", b"\n}\n", 64


def atomic_file(path: Path, *, wait: bool = True, optional: bool = False) -> AbstractContextManager[IO[bytes]]:
    """Open a binary file that takes the name `path` only if the block ends without an exception, after an fsync.

    The file next to it, `.<name>.partial`, is locked while it is written; that of a killed writer is removed. The new
    name lasts through a power cut. RunError if the disk refuses any of the bytes. For a remote path see
    `remote.uploaded_file`.

    wait: wait a while for another writer; BusyError after it, or at once. optional: if the block writes nothing, `path`
    stays as it is.
    """
    if is_remote(path):
        return uploaded_file(path, optional)
    return renamed_file(path, patience_s=None if wait else 0.0, optional=optional)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a whole file atomically."""
    with atomic_file(path) as file:
        file.write(content)


def json_bytes(value: Any) -> bytes:
    """Return the bytes of a JSON file, indented."""
    return (json.dumps(value, indent=2) + "\n").encode()


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file atomically, indented."""
    write_bytes(path, json_bytes(value))


def sealed_json(value: Mapping[str, Any]) -> bytes:
    """Return the bytes of a JSON file, indented, whose last entry, its seal, is the sha256 of all before it."""
    return _with_seal(json_bytes(value).removesuffix(_END))


def _with_seal(head: bytes) -> bytes:
    return head + f',\n  "{_SEAL}": "{hashlib.sha256(head).hexdigest()}"'.encode() + _END


def unsealed(content: bytes) -> Any:
    """Return the value in a JSON file without its seal. ValueError if it is not JSON, or not what was sealed.

    What has no seal is taken as it is: version 0.1.0 sealed nothing.
    """
    value = json.loads(content)
    if isinstance(value, dict) and value:
        name, last = next(reversed(value.items()))
        if name == _SEAL or (isinstance(last, str) and len(last) == _DIGITS):  # so a damaged name counts as a seal too
            if _with_seal(content[: -len(_with_seal(b""))]) != content:
                raise ValueError("its content is not what was written: it was damaged or edited")
            del value[name]
    return value


def read_sealed(path: Path) -> Any:
    """Return the value in a JSON file without its seal. FileNotFoundError if there is none, else errors of
    `unsealed`."""
    with remote_errors(path):
        content = path.read_bytes()
    return unsealed(content)


def compact_json(value: Any) -> bytes:
    """Return the bytes of a sample's JSON member. NaN and infinity are refused, because other readers refuse them."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file's content."""
    with remote_errors(path), path.open("rb") if is_remote(path) else path.open("rb", buffering=0) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_json(path: Path) -> Any:
    """Return the value in a JSON file. FileNotFoundError if there is none, ValueError if it is not JSON."""
    with remote_errors(path):
        content = path.read_bytes()
    return json.loads(content)


def read_record(path: Path, remedy: str) -> Any:
    """Return the value of a JSON file that one of the commands wrote. DataError with the remedy if it is damaged."""
    try:
        return read_sealed(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}; {remedy}") from error
