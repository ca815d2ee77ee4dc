"""Shards against the checksums that were recorded when they were made: by a run's ledgers, or a dataset's indices."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from p3d_gen.core.errors import DataError
from p3d_gen.run.files import file_sha256, read_sealed
from p3d_gen.run.shards import tar_errors

_INDEX = "index.json"


def _record(path: Path) -> Any:
    """Return the content of a ledger or index; None if there is none. DataError if it is damaged."""
    try:
        return read_sealed(path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}; make it again by the command that made its shard") from error


def recorded_sha256(shard: Path) -> tuple[str, Path] | None:
    """Return the sha256 that was recorded of a shard, and the file that says so; None if none was.

    DataError if that file is damaged.
    """
    path = shard.with_suffix(".json")
    if isinstance(ledger := _record(path), dict) and isinstance(ledger.get("sha256"), str):
        return ledger["sha256"], path
    path = shard.with_name(_INDEX)
    if isinstance(index := _record(path), dict) and isinstance(index.get("shardlist"), list):
        for entry in index["shardlist"]:
            if isinstance(entry, dict) and entry.get("url") == shard.name and isinstance(entry.get("sha256"), str):
                return entry["sha256"], path
    return None


def checked_sha256(shard: Path) -> str:
    """Return the sha256 of a shard on a disk. DataError if another one was recorded, or it cannot be read."""
    with tar_errors(shard):
        sha256 = file_sha256(shard)
    recorded = recorded_sha256(shard)
    if recorded is not None and recorded[0] != sha256:
        raise DataError(
            f"{shard} is not what {recorded[1]} says: it was damaged or changed; make it again by `p3dgen run --check` "
            "or `p3dgen dataset make`"
        )
    return sha256
