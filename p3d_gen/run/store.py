"""The run folder: its identity, its shards and their ledgers. A final name never holds half a file.

RUN/run.json                   manifest, sources, checksums of their files, and versions that the run was made from
RUN/cad/<category>/<id>.npz    normalised CAD models, see `p3d_gen.run.cad_model.CadModel`
RUN/cad/<category>/<id>.blend  their own materials, if they have any
RUN/cad/models.json            what they are, and which models are left out; written last: the mark of preparation
RUN/<stage>/<shard>.tar        samples; <shard> is <category>-NNNNN in every stage
RUN/<stage>/<shard>.json       its ledger, written last: the mark that the shard is finished

The stages are render, stylize and shards, and stylize-NAME and shards-NAME of a stylization with a name. A packed shard
without samples has a ledger alone: readers of tars stop at an empty one.
"""

from __future__ import annotations

import os
import re
import stat
import tarfile
import time
from collections import Counter
from collections.abc import Collection, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from importlib.metadata import version
from itertools import chain, islice, product
from pathlib import Path
from typing import IO, Any

from pydantic import TypeAdapter, ValidationError

from p3d_gen.core.digest import digest
from p3d_gen.core.errors import AssetError, ManifestError, P3DError, RunError, unwritable
from p3d_gen.run.cad_model import CadModel, check_materials, load_cad, materials_file
from p3d_gen.run.checksums import changed_files, checksums
from p3d_gen.run.files import atomic_file, file_sha256, json_bytes, read_json, write_json
from p3d_gen.run.remote import is_remote, local_copy, place, remote_errors
from p3d_gen.run.shards import Members, shard_sha256, write_shard
from p3d_gen.run.versions import command, versions
from p3d_gen.spec.inventory import KINDS, Inventory, recorded_inventory, take_inventory
from p3d_gen.spec.manifest import Manifest, load_manifest, manifest_hash, parse_manifest

SCHEMA_VERSION = 4
_SHOWN_LIST = 8
_SHOWN_ID = 80
_ODD_ID = re.compile(r"(^|/)\.\.?(/|$)|^/|//|/$|[\\\0]")
_SHOWN_DIFFERENCES = 6


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
    the same shard is made twice. size: bytes of the tar; version 0.1.0 did not record it, which 0 stands for.
    """

    stage: str
    shard: str
    count: int
    sha256: str
    inputs: str
    failures: tuple[Failure, ...]
    size: int = field(default=0, kw_only=True)
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


@dataclass(frozen=True, kw_only=True)
class RunFolder:
    """An open run folder.

    root: a Path, or a UPath, see `remote.place`. base_dir: the folder at which the manifest's relative paths start.
    prepared: True once its CAD models are prepared. prepared_sha256: of their files, by their paths below RUN/cad; runs
    of version 0.1.0 have none. inventory: the sources that its samples are drawn from; its `lacking` names those whose
    files are not there. If unusable models are to be left out, it is certain only once the models are prepared.
    """

    root: Path
    manifest: Manifest
    base_dir: Path
    manifest_hash: str
    inventory: Inventory
    prepared: bool

    prepared_sha256: dict[str, str] = field(default_factory=dict)

    def shards(self, category: str) -> list[str]:
        """Return the names of a category's shards."""
        size = self.manifest.shard_size
        return [f"{category}-{n:05d}" for n in range(-(-self.manifest.samples_per_category // size))]

    def all_shards(self) -> list[str]:
        """Return the names of all shards, category by category."""
        return [shard for category in self.manifest.categories for shard in self.shards(category)]

    def members_of(self, shard: str) -> tuple[str, range]:
        """Return the category and the sample indices of a shard."""
        category, number = shard.rsplit("-", 1)
        first = int(number) * self.manifest.shard_size
        return category, range(first, min(first + self.manifest.shard_size, self.manifest.samples_per_category))

    def tar(self, stage: str, shard: str) -> Path:
        """Return the path of a shard."""
        return self.root / stage / f"{shard}.tar"

    def cad_file(self, category: str, cad_id: str) -> Path:
        """Return the path of a normalised CAD model. RunError if an id, which may come from labels, leads out of the
        folder."""
        if not cad_id or _ODD_ID.search(cad_id):
            raise RunError(
                f"{self.root}: {cad_id[:_SHOWN_ID]!r} is not the id of a CAD model: its labels lead out of the run; "
                "do not use what it holds"
            )
        return self.root / "cad" / category / f"{cad_id}.npz"

    def load_model(self, category: str, cad_id: str) -> CadModel:
        """Return a prepared CAD model. RunError if its file is damaged, or is not the one that the run prepared."""
        path = self.cad_file(category, cad_id)
        return load_cad(path, self.prepared_sha256.get(f"{category}/{path.name}", ""))

    def local_model(self, category: str, cad_id: str) -> Path:
        """Return a local npz of a prepared CAD model, for Blender, with its materials beside it, if it has any.

        RunError if these are not the ones that the run prepared. `load_model` checks the npz itself.
        """
        path = self.cad_file(category, cad_id)
        copy = local_copy(path, materials_file(path))
        if sha256 := self.prepared_sha256.get(f"{category}/{materials_file(path).name}"):
            check_materials(materials_file(copy), sha256)
        return copy

    @property
    def models_file(self) -> Path:
        """The path of the list of its prepared CAD models."""
        return _models_file(self.root)


def _models_file(root: Path) -> Path:
    return root / "cad" / "models.json"


def read_models(run_folder: Path) -> dict[str, Any] | None:
    """Return the facts of a run's CAD models; None until they are prepared.

    They are {category: {id: facts}, ..., "quarantined": {"category/id": reason}}.
    """
    path = _models_file(run_folder)
    try:
        models = read_json(path)
        if not all(isinstance(reason, str) for reason in models["quarantined"].values()):
            raise TypeError("a reason is not a text")
        if not all(isinstance(sha256, str) for sha256 in _prepared_sha256(models).values()):
            raise TypeError("a checksum is not a text")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(
            f"{path} is not a list of models: {error!r}; delete it, and the run prepares them again"
        ) from None
    return dict(models)


def _prepared_sha256(models: dict[str, Any]) -> dict[str, str]:
    """Return path below RUN/cad -> sha256 of the prepared models' files, as far as it is recorded."""
    return {
        f"{category}/{name}{suffix}": fact[key]
        for category, facts in models.items()
        if category != "quarantined"
        for name, fact in facts.items()
        for key, suffix in (("sha256", ".npz"), ("materials_sha256", ".blend"))
        if key in fact
    }


def _without(inventory: Inventory, quarantined: Container[str]) -> Inventory:
    cads = {
        category: tuple(cad for cad in assets if f"{category}/{cad.id}" not in quarantined)
        for category, assets in inventory.cads.items()
    }
    return replace(inventory, cads=cads)


_ledger = cache(lambda: TypeAdapter(Ledger))


def is_packed(stage: str) -> bool:
    """Tell if a stage is one whose shards others read: shards, or shards-NAME."""
    return stage.partition("-")[0] == "shards"


def read_ledger(run: RunFolder, stage: str, shard: str) -> Ledger | None:
    """Return the ledger of a shard; None while the shard or its ledger is not there."""
    tar = run.tar(stage, shard)
    path = tar.with_suffix(".json")
    try:
        with remote_errors(path):
            ledger = _ledger().validate_json(path.read_bytes(), strict=True)
    except FileNotFoundError:
        return None
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise RunError(f"{path} is not a ledger ({faults}): delete it, and the run makes the shard again") from None
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

    made_from: JSON; None stands for the manifest and its sources. RunError while it is open which models will be left
    out: a sample's model is drawn from those that stay.
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
            "made_from": made_from or {"manifest": run.manifest_hash, "inventory": run.inventory.listing()},
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


def _differences(old: Any, new: Any, path: str = "") -> Iterator[str]:
    """Yield every place where two JSON values differ."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            if old.get(key) != new.get(key):
                yield from _differences(old.get(key), new.get(key), f"{path}.{key}" if path else key)
    elif isinstance(old, list) and isinstance(new, list) and len(old) + len(new) > _SHOWN_LIST:
        gone, come = ([item for item in a if item not in b] for a, b in ((old, new), (new, old)))
        yield f"{path}: {len(gone)} gone {gone[:1]}, {len(come)} new {come[:1]}"
    else:
        yield f"{path}: {old!r} -> {new!r}"


def difference(old: Any, new: Any) -> str:
    """Return the places where two JSON values differ, as 'key: old -> new, ...'; the first ones if there are many."""
    places = list(_differences(old, new))
    more = len(places) - _SHOWN_DIFFERENCES
    return ", ".join(places[:_SHOWN_DIFFERENCES]) + (f" and {more} more" if more > 0 else "")


def _is_begun(root: Path) -> bool:
    """Tell if a folder is already a run's; RunError if it holds something else."""
    with remote_errors(root):
        names = {path.name for path in root.iterdir()} if root.exists() else set()
    if "run.json" not in names and any(not name.startswith(".run.json.") for name in names):
        # which another process may be writing just now
        raise RunError(f"{root} is not empty and not a run folder: choose another --out")
    return "run.json" in names


def create_run(root: Path, manifest_path: Path) -> RunFolder:
    """Open the run folder of a manifest, and make it if it does not exist; several processes may do so at once.

    RunError if the folder belongs to another manifest, to other sources, or holds something else.
    """
    return create_run_of(root, load_manifest(manifest_path), str(manifest_path))


def create_run_of(root: Path, manifest: Manifest, origin: str = "this one") -> RunFolder:
    """Open the run folder of a manifest, as `create_run` does. origin: the manifest's name in messages."""
    return begin_run(root, manifest, manifest.base_dir, origin)


def _contents(inventory: Inventory) -> dict[str, dict[str, str]]:
    """Return kind -> id -> sha256 of the files of all sources."""
    contents = {}
    for kind, files in inventory.files().items():
        sha256 = checksums(files.values())
        contents[kind] = {name: sha256[path] for name, path in files.items()}
    return contents


def _changed(inventory: Inventory, recorded: dict[str, dict[str, str]]) -> dict[str, dict[str, Path]]:
    """Return the sources that have another content than the run recorded, kind -> id -> path."""
    changed: dict[str, dict[str, Path]] = {}
    for kind, files in inventory.files().items():
        known = recorded.get(kind, {})
        edited = set(changed_files({path: known[name] for name, path in files.items() if name in known}))
        if edited:
            changed[kind] = {name: path for name, path in files.items() if path in edited}
    return changed


def stored_base_dir(root: Path, base_dir: Path) -> dict[str, str]:
    """Return a base folder as the files of a run record it: by itself, and by its way from the run folder.

    So it is found again if both are moved together.
    """
    if is_remote(root):
        return {"base_dir": str(base_dir)}
    way = os.path.relpath(base_dir, root.resolve()) if root.absolute().drive == base_dir.absolute().drive else ""
    return {"base_dir": str(base_dir), "base_dir_from_run": way}


def base_dirs(root: Path, record: Mapping[str, Any]) -> tuple[Path, ...]:
    """Return the places of a recorded base folder: the same way from the run folder as before, then the old path."""
    way = str(record.get("base_dir_from_run", ""))
    beside = [(root.resolve() / way).resolve()] if way and not is_remote(root) else []
    return tuple(dict.fromkeys([*beside, Path(record["base_dir"])]))


@dataclass(frozen=True, kw_only=True)
class _Record:
    """The content of run.json.

    base_dirs: see `base_dirs`. sources: a listing, see `Inventory.listing`. contents: kind -> id -> sha256 of their
    files.
    """

    manifest: Manifest
    base_dirs: tuple[Path, ...]
    sources: dict[str, Any]
    contents: dict[str, dict[str, str]]

    def inventory(self, base_dir: Path | None) -> Inventory:
        """Return the inventory, with the files as far as they are at this base folder with the recorded content.

        None looks for no file.
        """
        inventory = recorded_inventory(self.manifest, base_dir, self.sources)
        for kind, files in _changed(inventory, self.contents).items():
            reason = f"{kind}: {next(iter(files.values()))} has another content than it had"
            inventory = inventory.without(kind, files.keys(), reason)
        return inventory


def _read_record(root: Path) -> _Record:
    path = root / "run.json"
    try:
        data = read_json(path)
        schema, values = data["schema_version"], data["manifest"]
        bases, sources = base_dirs(root, data), data["sources"]
        contents = {kind: dict(sha256) for kind, sha256 in data.get("sha256", {}).items()}  # version 0.1.0 has none
    except FileNotFoundError:
        raise RunError(f"{root} is not a run folder: it holds no run.json; make one with `p3dgen render`") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(f"{path} is damaged: {error}") from None
    if schema != SCHEMA_VERSION:
        raise RunError(f"{path} has schema version {schema}, this p3dgen reads {SCHEMA_VERSION}: choose another --out")
    return _Record(manifest=parse_manifest(values, str(path)), base_dirs=bases, sources=sources, contents=contents)


def begin_run(root: Path, manifest: Manifest, base_dir: Path, origin: str = "this one") -> RunFolder:
    """Open a run folder, and make it for this manifest if it does not exist.

    base_dir: the folder at which the manifest's relative paths start. origin: the manifest's name in messages. RunError
    if the folder holds something else, or was made from another manifest or other sources.
    """
    if not _is_begun(root):
        inventory = take_inventory(manifest, base_dir)
        content = {
            "schema_version": SCHEMA_VERSION,
            **stored_base_dir(root, base_dir),
            "manifest": manifest.model_dump(mode="json"),
            "sources": inventory.listing(),
            "sha256": _contents(inventory),
            "versions": {"p3dgen": version("p3dgen")},
        }
        with atomic_file(root / "run.json", optional=True) as file:
            if not _is_begun(root):  # by another process in the meantime
                file.write(json_bytes(content))
    stored, given = (each.model_dump(mode="json") for each in (_read_record(root).manifest, manifest))
    if stored != given:
        change = difference(stored, given)
        raise RunError(f"{root} was made from another manifest than {origin} ({change}): choose another --out")
    return open_run(root, base_dir=base_dir)


def _refuse(root: Path, record: _Record, base_dir: Path) -> None:
    """Raise the reason why the sources at a base folder are not those of a run."""
    try:
        inventory = take_inventory(record.manifest, base_dir)
    except (ManifestError, AssetError) as error:
        moved = "if the manifest and its sources were moved, name their folder by --base-dir"
        raise type(error)(f"{error}; {moved}" if base_dir in record.base_dirs else str(error)) from None
    if inventory.listing() != record.sources:
        change = difference(record.sources, inventory.listing())
        raise RunError(f"the sources of {root} are not those it was made from ({change}): choose another --out")
    changed = [path for files in _changed(inventory, record.contents).values() for path in files.values()]
    more = f" and {len(changed) - 1} more have" if len(changed) > 1 else " has"
    raise RunError(
        f"the sources of {root} have changed since it was begun: {changed[0]}{more} another content; put the "
        "former one back, or choose another --out"
    )


def _take_sources(
    root: Path, record: _Record, places: Sequence[Path], needs: Collection[str]
) -> tuple[Path, Inventory]:
    """Return the base folder that holds most of the sources of a run, and the inventory there.

    An error says what is wrong if none holds all that is needed.
    """
    views: list[tuple[Path, Inventory]] = []
    for base_dir in places:
        inventory = record.inventory(base_dir)
        if not inventory.lacking:
            return base_dir, inventory
        views.append((base_dir, inventory))
    base_dir, inventory = min(views, key=lambda view: (len(view[1].lacking.keys() & set(needs)), len(view[1].lacking)))
    if inventory.lacking.keys() & set(needs):
        _refuse(root, record, base_dir)
    return base_dir, inventory


def _find_sources(
    root: Path, record: _Record, needs: Collection[str] | None, base_dir: Path | None
) -> tuple[Path, Inventory]:
    try:
        if needs is None:
            return record.base_dirs[0], record.inventory(None)
        return _take_sources(root, record, record.base_dirs if base_dir is None else (base_dir,), needs)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, P3DError):
            raise
        raise RunError(f"{root / 'run.json'} is damaged: its sources cannot be read: {error}") from None


def _record_base_dir(root: Path, record: _Record, base_dir: Path, inventory: Inventory) -> None:
    """Record where the sources of a run lie now, unless what is recorded leads to as many. An error if it is wrong."""
    if base_dir in record.base_dirs:
        return
    recorded = [record.inventory(place) for place in record.base_dirs]
    if len(inventory.lacking) < min(len(each.lacking) for each in recorded):
        write_json(root / "run.json", read_json(root / "run.json") | stored_base_dir(root, base_dir))
    elif inventory.lacking:
        _refuse(root, record, base_dir)


def open_run(
    folder: str | Path, needs: Collection[str] | None = KINDS, base_dir: str | Path | None = None
) -> RunFolder:
    """Open an existing run folder, at a path or under a URL; its inventory lacks the models that could not be prepared.

    needs: the kinds of sources whose files are to be read, which must be there as they were when the run was made; ()
    to read files only as far as they are there, None to look for none. base_dir: the folder at which the manifest's
    relative paths start, if it was moved; the run remembers it. RunError if the folder is not a run or is damaged, or
    if the sources that it needs have changed; ManifestError or AssetError if they are not there.
    """
    root = place(folder)
    record = _read_record(root)
    manifest = record.manifest
    given = None if base_dir is None else Path(base_dir).resolve()
    found_dir, inventory = _find_sources(root, record, needs, given)
    if given is not None:
        _record_base_dir(root, record, given, inventory)
    models = read_models(root)
    return RunFolder(
        root=root,
        manifest=manifest,
        base_dir=found_dir,
        manifest_hash=manifest_hash(manifest),
        inventory=_without(inventory, models["quarantined"]) if models else inventory,
        prepared=models is not None,
        prepared_sha256=_prepared_sha256(models or {}),
    )


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
    tar, samples = run.tar(stage, shard), iter(samples)
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
        seconds=round(time.perf_counter() - start, 3),
        model_seconds=round(remarks.model_seconds, 3),
        notes=dict(remarks.notes),
        made_with=versions(),
        command=command(),
    )
    record.write(json_bytes(asdict(ledger)))
    return ledger


def forget_failures(run: RunFolder, stages: Iterable[str], shards: Iterable[str]) -> None:
    """Unmark those of these shards that have failed samples in these stages, so that the next run makes them again."""
    for stage, shard in product(stages, shards):
        ledger = read_ledger(run, stage, shard)
        if ledger and ledger.failures:
            remove(run.tar(stage, shard).with_suffix(".json"))
