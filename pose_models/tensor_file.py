"""Safetensors files that hold their own checksum, and the check of any such file without torch.

The checksum is one more entry in the metadata of the format, so that every reader of safetensors reads these files.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from p3d_gen.run.files import atomic_file

_ABOUT, _SHA256 = "__metadata__", "sha256"
_LENGTH, _LARGEST, _CHUNK = 8, 100_000_000, 1 << 20


def _digest(header: dict[str, Any]) -> Any:
    return hashlib.sha256(json.dumps(header, sort_keys=True).encode())


def write_tensors(path: Path, content: bytes) -> None:
    """Write the bytes of a safetensors file atomically, with their checksum in its metadata."""
    end = _LENGTH + int.from_bytes(content[:_LENGTH], "little")
    header, body = json.loads(content[_LENGTH:end]), memoryview(content)[end:]
    digest = _digest(header)
    digest.update(body)
    header.setdefault(_ABOUT, {})[_SHA256] = digest.hexdigest()
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _LENGTH)
    with atomic_file(path) as file:
        file.write(len(text).to_bytes(_LENGTH, "little") + text)
        file.write(body)


def _sizes(header: dict[str, Any]) -> int:
    """Return the number of bytes after the header. ValueError if the tensors leave gaps, or lie over one another."""
    end = 0
    for first, last in sorted(tuple(entry["data_offsets"]) for entry in header.values()):
        if first != end or last < first:
            raise ValueError("its tensors do not follow one another")
        end = last
    return end


def tensor_fault(path: Path) -> str:
    """Return what is wrong with a safetensors file, "" if nothing is: its structure, and its checksum if it has one."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(_LENGTH), "little")
            if length > _LARGEST:
                raise ValueError("it does not begin as safetensors files do")
            header = json.loads(file.read(length))
            about = header.pop(_ABOUT, {})
            size = _sizes(header)
            recorded = about.pop(_SHA256, None)
            digest = _digest(header | ({_ABOUT: about} if about else {}))
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
            if file.tell() != _LENGTH + length + size:
                raise ValueError(f"it has {file.tell()} bytes instead of {_LENGTH + length + size}")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return f"is damaged: {error}"
    return "" if recorded in (None, digest.hexdigest()) else "is damaged: its checksum does not fit"


def metadata(path: Path) -> dict[str, str]:
    """Return the metadata of a safetensors file whose structure is sound."""
    with path.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(_LENGTH), "little")))
    about: dict[str, str] = header.get(_ABOUT, {})
    return about


def has_checksum(path: Path) -> bool:
    """Return if a safetensors file whose structure is sound holds its own checksum."""
    return _SHA256 in metadata(path)
