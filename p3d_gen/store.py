"""The run folder: its identity, its shards and their ledgers. A final name never holds half a file.

RUN/run.json                   manifest, sources and versions that the run was made from
RUN/cad/<category>/<id>.npz    normalised CAD models: vertices, faces, uv
RUN/<stage>/<shard>.tar        samples; <shard> is <category>-NNNNN in every stage
RUN/<stage>/<shard>.json       its ledger, written last: the mark that the shard is finished
"""

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
from dataclasses import asdict, dataclass
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from typing import IO, Any

from p3d_gen.assets.sources import Inventory, take_inventory
from p3d_gen.errors import RunError
from p3d_gen.manifest import Manifest, digest, load_manifest, manifest_hash, parse_manifest

SCHEMA_VERSION = 1
STAGES = ("render", "stylize", "shards")
Members = dict[str, bytes]


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A sample that could not be made, and why."""

    key: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """What is known of a finished shard.

    count: samples in the tar. sha256: of the tar. inputs: hash of all that decides its bytes. seconds: wall time; the
    only field that differs between two makings of the same shard.
    """

    stage: str
    shard: str
    count: int
    sha256: str
    inputs: str
    failures: tuple[Failure, ...]
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Run:
    """An open run folder. base_dir: where the manifest's relative paths start."""

    root: Path
    manifest: Manifest
    base_dir: Path
    manifest_hash: str
    inventory: Inventory

    def shards(self, category: str) -> list[str]:
        """The names of a category's shards."""
        size = self.manifest.shard_size
        return [f"{category}-{n:05d}" for n in range(-(-self.manifest.samples_per_category // size))]

    def all_shards(self) -> list[str]:
        """The names of all shards, category by category."""
        return [shard for category in self.manifest.categories for shard in self.shards(category)]

    def members_of(self, shard: str) -> tuple[str, range]:
        """The category and the sample indices of a shard."""
        category, number = shard.rsplit("-", 1)
        first = int(number) * self.manifest.shard_size
        return category, range(first, min(first + self.manifest.shard_size, self.manifest.samples_per_category))

    def tar(self, stage: str, shard: str) -> Path:
        """The path of a shard."""
        return self.root / stage / f"{shard}.tar"

    def cad_file(self, category: str, cad_id: str) -> Path:
        """The path of a normalised CAD model."""
        return self.root / "cad" / category / f"{cad_id}.npz"


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
    """Take the write lock, and make sure that the name still means this file: its last writer may have renamed it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        ours = partial.exists() and os.path.samestat(os.fstat(file.fileno()), partial.stat())
    except BlockingIOError:
        ours = False
    if not ours:
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
    with path.open("rb") as file:
        return count, hashlib.file_digest(file, "sha256").hexdigest()


def read_shard(path: Path) -> Iterator[tuple[str, Members]]:
    """The samples of a tar in order, as (key, {member: bytes}). RunError names a file that is damaged."""
    key, members = "", Members()
    try:
        with tarfile.open(path) as tar:
            for info in tar:
                this_key, _, member = info.name.partition(".")
                if this_key != key and members:
                    yield key, members
                    members = {}
                key = this_key
                content = tar.extractfile(info)
                if content is None:
                    raise RunError(f"{path} holds {info.name!r}, which is no file")
                members[member] = content.read()
    except (OSError, tarfile.TarError) as error:
        raise RunError(f"{path} cannot be read: {error}; delete it, and the run makes it again") from error
    if members:
        yield key, members


def read_ledger(run: Run, stage: str, shard: str) -> Ledger | None:
    """The ledger of a shard; None while the shard or its ledger is not there."""
    tar = run.tar(stage, shard)
    path = tar.with_suffix(".json")
    if not (path.exists() and tar.exists()):
        return None
    try:
        data = json.loads(path.read_text())
        failures = tuple(Failure(**failure) for failure in data.pop("failures"))
        return Ledger(**data, failures=failures)
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path} is not a ledger: {error}; delete it, and the run makes the shard again") from None


def stage_inputs(run: Run, stage: str, upstream: Ledger | None) -> str:
    """The hash of all that decides the bytes of a shard: schema, stage, manifest, sources, and the upstream shard."""
    return digest(
        {
            "schema": SCHEMA_VERSION,
            "stage": stage,
            "manifest": run.manifest_hash,
            "inventory": run.inventory.listing(),
            "upstream": upstream.sha256 if upstream else "",
        }
    )


def finished_upstream(run: Run, stage: str, shard: str, command: str) -> Ledger:
    """The ledger of a finished upstream shard; RunError names the command that makes it."""
    ledger = read_ledger(run, stage, shard)
    if ledger is None:
        raise RunError(f"{run.tar(stage, shard)} is not there: run `{command}` first")
    with run.tar(stage, shard).open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != ledger.sha256:
            raise RunError(f"{run.tar(stage, shard)} is not what its ledger says: delete it and run `{command}` again")
    return ledger


def _difference(old: Any, new: Any, path: str = "") -> str:
    """The first place where two JSON values differ, as 'key: old -> new'."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            if old.get(key) != new.get(key):
                return _difference(old.get(key), new.get(key), f"{path}.{key}" if path else key)
    return f"{path}: {old!r} -> {new!r}"


def create_run(root: Path, manifest_path: Path) -> Run:
    """Open the run folder of a manifest, and make it where it does not exist.

    RunError where the folder belongs to another manifest, to other sources, or holds something else.
    """
    manifest = load_manifest(manifest_path)
    base_dir = manifest_path.parent.resolve()
    inventory = take_inventory(manifest, base_dir)
    if not (root / "run.json").exists():
        if root.exists() and any(root.iterdir()):
            raise RunError(f"{root} is not empty and no run folder: choose another --out")
        write_json(
            root / "run.json",
            {
                "schema_version": SCHEMA_VERSION,
                "base_dir": str(base_dir),
                "manifest": manifest.model_dump(mode="json"),
                "sources": inventory.listing(),
                "versions": {"p3dgen": version("p3dgen")},
            },
        )
    run = open_run(root)
    if run.manifest != manifest:
        change = _difference(run.manifest.model_dump(mode="json"), manifest.model_dump(mode="json"))
        raise RunError(f"{root} was made from another manifest than {manifest_path} ({change}): choose another --out")
    return run


def open_run(root: Path) -> Run:
    """Open an existing run folder. RunError where it is none, damaged, or its sources have changed since."""
    path = root / "run.json"
    try:
        data = json.loads(path.read_text())
        schema, base_dir, sources = data["schema_version"], Path(data["base_dir"]), data["sources"]
        manifest = parse_manifest(data["manifest"], str(path))
    except FileNotFoundError:
        raise RunError(f"{root} is no run folder: it holds no run.json; make one with `p3dgen render`") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path} is damaged: {error}") from None
    if schema != SCHEMA_VERSION:
        raise RunError(f"{path} has schema version {schema}, this p3dgen reads {SCHEMA_VERSION}: choose another --out")
    inventory = take_inventory(manifest, base_dir)
    if inventory.listing() != sources:
        change = _difference(sources, inventory.listing())
        raise RunError(f"the sources of {root} are not those it was made from ({change}): choose another --out")
    return Run(
        root=root, manifest=manifest, base_dir=base_dir, manifest_hash=manifest_hash(manifest), inventory=inventory
    )


def seal(
    run: Run,
    stage: str,
    shard: str,
    inputs: str,
    samples: Iterable[tuple[str, Members]],
    failures: list[Failure],
) -> Ledger:
    """Write a shard and then its ledger. `failures` is read when the samples have run out, so they may fill it."""
    start = time.perf_counter()
    count, sha256 = write_shard(run.tar(stage, shard), samples)
    ledger = Ledger(
        stage=stage,
        shard=shard,
        count=count,
        sha256=sha256,
        inputs=inputs,
        failures=tuple(failures),
        seconds=round(time.perf_counter() - start, 3),
    )
    write_json(run.tar(stage, shard).with_suffix(".json"), asdict(ledger))
    return ledger


def finished(run: Run, stage: str, shard: str, inputs: str) -> Ledger | None:
    """The ledger of a shard that was made from the same inputs; None where it has to be made (again)."""
    ledger = read_ledger(run, stage, shard)
    return ledger if ledger and ledger.inputs == inputs else None


def forget_failures(run: Run) -> None:
    """Unmark the shards with failed samples, so that the next run makes them again."""
    for stage in STAGES:
        for shard in run.all_shards():
            ledger = read_ledger(run, stage, shard)
            if ledger and ledger.failures:
                run.tar(stage, shard).with_suffix(".json").unlink()
