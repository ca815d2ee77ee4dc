"""The shards of a run and their ledgers: made once, sealed, and recognised again."""

from __future__ import annotations

import json
import os
import stat
import tarfile
import time
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict, dataclass, field
from functools import cache
from itertools import chain, islice, product
from pathlib import Path
from typing import IO, Any

from pydantic import TypeAdapter, ValidationError

from p3d_gen.core.digest import digest
from p3d_gen.core.errors import RunError, unwritable
from p3d_gen.run.files import atomic_file, file_sha256, sealed_json, unsealed
from p3d_gen.run.record import SCHEMA_VERSION
from p3d_gen.run.remote import is_remote, remote_errors
from p3d_gen.run.shards import Members, shard_sha256, write_shard
from p3d_gen.run.store import RunFolder
from p3d_gen.run.versions import command, versions


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A sample that could not be made, and the reason."""

    key: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """The record of a finished shard.

    count: samples in the tar. sha256: of the tar. inputs: hash of all that decides its bytes. seconds: wall time.
    model_seconds: the part of it in which a model was at work. notes: other events, such as retries, and their number.
    made_with: the versions of the software that made it. command: its command line. Only the last five may differ if
    the same shard is made twice. size: bytes of the tar; version 0.1.0 did not record it, which 0 stands for. sources:
    kind -> id -> sha256 of the files that its samples are made of, as they were then; earlier versions recorded none.
    """

    stage: str
    shard: str
    count: int
    sha256: str
    inputs: str
    failures: tuple[Failure, ...]
    size: int = 0
    sources: dict[str, dict[str, str]] = field(default_factory=dict)
    seconds: float
    model_seconds: float = 0.0
    notes: dict[str, int] = field(default_factory=dict)
    made_with: dict[str, str] = field(default_factory=dict)
    command: str = ""


@dataclass(kw_only=True)
class Remarks:
    """A stage's remarks while it makes a shard, for the ledger's fields of these names."""

    model_seconds: float = 0.0
    notes: Counter[str] = field(default_factory=Counter)


_ledger = cache(lambda: TypeAdapter(Ledger))


def is_packed(stage: str) -> bool:
    """Tell if a stage is one whose shards others read: shards, or shards-NAME."""
    return stage.partition("-")[0] == "shards"


def _no_ledger(path: Path, reason: str) -> RunError:
    return RunError(f"{path} is not a ledger ({reason}): delete it, and the run makes the shard again")


def read_ledger(run: RunFolder, stage: str, shard: str) -> Ledger | None:
    """Return the ledger of a shard; None while the shard or its ledger is not there."""
    tar = run.tar(stage, shard)
    path = tar.with_suffix(".json")
    try:
        with remote_errors(path):
            content = path.read_bytes()
            ledger = _ledger().validate_json(content, strict=True)
            unsealed(content)
    except FileNotFoundError:
        return None
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise _no_ledger(path, faults) from None
    except ValueError as error:
        raise _no_ledger(path, str(error)) from None
    if (ledger.stage, ledger.shard) != (stage, shard):
        raise _no_ledger(path, f"it is that of {ledger.stage}/{ledger.shard}")
    if is_packed(stage) and not ledger.count:
        return ledger
    with remote_errors(tar):
        return ledger if tar.exists() else None


def is_whole(run: RunFolder, stage: str, shard: str, ledger: Ledger, check: bool = False) -> bool:
    """Tell if a shard is the one that its ledger says.

    Type and size tell that, and the checksum if the file was written after its ledger, or with `check`. A shard that
    was only copied after its ledger is read once: the ledger is then marked as the newer one.
    """
    tar = run.tar(stage, shard)
    path = tar.with_suffix(".json")
    try:
        with remote_errors(tar):
            there = tar.stat()
            newer = not is_remote(tar) and there.st_mtime_ns > path.stat().st_mtime_ns
    except FileNotFoundError:
        return is_packed(stage) and not ledger.count
    if stat.S_ISDIR(there.st_mode) or not _may_be(there.st_size, ledger):
        return False
    if (check or newer) and file_sha256(tar) != ledger.sha256:
        return False
    if newer:
        with suppress(OSError):  # of a read-only run, which is then read each time
            os.utime(path)
    return True


def _may_be(size: int, ledger: Ledger) -> bool:
    """Tell if a tar of a ledger may have this size; some web servers do not tell it."""
    return not size or size == ledger.size or (not ledger.size and size % tarfile.RECORDSIZE == 0)


def stage_inputs(run: RunFolder, stage: str, *upstream: Ledger, made_from: Any = None) -> str:
    """Return the hash of all that decides the bytes of a shard: schema, stage, its upstream shards, and `made_from`.

    made_from: JSON; None stands for the stage's part of the manifest and its sources, see `RunFolder.decisive`.
    RunError while it is open which models will be left out: a sample's model is drawn from those that stay.
    """
    if run.manifest.cad.quarantine and not run.prepared:
        raise RunError(
            f"{run.models_file} is not there, so it is not known which models are left out (cad.quarantine): "
            "run `p3dgen render` first"
        )
    return digest(
        {
            "schema": SCHEMA_VERSION,
            "stage": stage.partition("-")[0],
            "upstream": [ledger.sha256 for ledger in upstream],
            "made_from": made_from or run.decisive(stage.partition("-")[0]),
        }
    )


def stage_command(stage: str) -> str:
    """Return the command that makes the shards of a stage."""
    kind, _, name = stage.partition("-")
    return f"p3dgen {'pack' if kind == 'shards' else kind}" + (f" --name {name}" if name else "")


def upstream_ledger(run: RunFolder, stage: str, shard: str) -> Ledger:
    """Return the ledger of a finished upstream shard; RunError names the command that makes it."""
    command = stage_command(stage)
    ledger = read_ledger(run, stage, shard)
    if ledger is None:
        raise RunError(f"{run.tar(stage, shard)} is not there: run `{command}` first")
    if is_packed(stage) and not ledger.count:
        return ledger
    if file_sha256(run.tar(stage, shard)) != ledger.sha256:
        raise RunError(f"{run.tar(stage, shard)} is not what its ledger says: delete it and run `{command}` again")
    return ledger


def remove(path: Path) -> None:
    """Delete a file if it is there. RunError if the disk refuses it."""
    try:
        with remote_errors(path):
            path.unlink(missing_ok=True)
    except OSError as error:
        raise unwritable(path, error) from error


def claimed(run: RunFolder, stage: str, shard: str) -> AbstractContextManager[IO[bytes]]:
    """Open the file of a shard's ledger, which this process alone may make for the time of the block.

    BusyError if another process is making the shard. The ledger stays as it is if nothing is written to the file. Under
    a URL there are no claims: all processes write the same bytes, and the last one wins.
    """
    return atomic_file(run.tar(stage, shard).with_suffix(".json"), wait=False, optional=True)


# The labels that name the sources of a sample, by stage.
_LABELS = {"render": ("cad", "texture", "hdri"), "shards": ("background",)}


def _ids(members: Members) -> dict[str, str]:
    """Return kind -> id of the sources that the labels of a sample name; nothing if it has no labels."""
    try:
        labels = json.loads(members.get("json", b"{}"))
        ids = {kind: labels.get(f"{kind}_id") for kind in chain.from_iterable(_LABELS.values())}
        return {f"cad/{labels['category']}" if kind == "cad" else kind: name for kind, name in ids.items() if name}
    except (ValueError, RecursionError, AttributeError, KeyError):
        return {}


def _noting(samples: Iterable[tuple[str, Members]], used: dict[str, set[str]]) -> Iterator[tuple[str, Members]]:
    """Yield the samples, and note the ids of their sources by kind."""
    for key, members in samples:
        for kind, name in _ids(members).items():
            used[kind].add(name)
        yield key, members


def _sources(run: RunFolder, stage: str, used: Mapping[str, Collection[str]]) -> dict[str, dict[str, str]]:
    """Return kind -> id -> sha256 of those of the sources that a stage itself reads."""
    kinds = _LABELS.get(stage.partition("-")[0], ())
    known = {
        kind: {name: sha256 for name in sorted(names) if (sha256 := run.origin.contents.get(kind, {}).get(name))}
        for kind, names in sorted(used.items())
        if kind.partition("/")[0] in kinds
    }
    return {kind: names for kind, names in known.items() if names}


def seal(
    run: RunFolder,
    stage: str,
    shard: str,
    inputs: str,
    samples: Iterable[tuple[str, Members]],
    failures: list[Failure],
    remarks: Remarks | None = None,
    record: IO[bytes] | None = None,
) -> Ledger:
    """Write a shard and then its ledger. `failures` and `remarks` are read after the last sample, so that samples may
    fill them. record: the open file of the ledger, if the shard is claimed already; see `claimed`."""
    if record is None:
        with claimed(run, stage, shard) as record:
            return seal(run, stage, shard, inputs, samples, failures, remarks, record)
    remarks = remarks or Remarks()
    start = time.perf_counter()
    used: dict[str, set[str]] = defaultdict(set)
    tar, samples = run.tar(stage, shard), _noting(samples, used)
    first = list(islice(samples, 1))
    if first or not is_packed(stage):
        count, sha256 = write_shard(tar, chain(first, samples))
        size = tar.stat().st_size
    else:
        count, sha256, size = 0, shard_sha256(()), 0
        remove(tar)
    ledger = Ledger(
        stage=stage,
        shard=shard,
        count=count,
        sha256=sha256,
        inputs=inputs,
        failures=tuple(failures),
        size=size,
        sources=_sources(run, stage, used),
        seconds=round(time.perf_counter() - start, 3),
        model_seconds=round(remarks.model_seconds, 3),
        notes=dict(remarks.notes),
        made_with=versions(),
        command=command(),
    )
    record.write(sealed_json(asdict(ledger)))
    return ledger


def forget_failures(run: RunFolder, stages: Iterable[str], shards: Iterable[str]) -> None:
    """Unmark those of these shards that have failed samples in these stages, so that the next run makes them again."""
    for stage, shard in product(stages, shards):
        ledger = read_ledger(run, stage, shard)
        if ledger and ledger.failures:
            remove(run.tar(stage, shard).with_suffix(".json"))
