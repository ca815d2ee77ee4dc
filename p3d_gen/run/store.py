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

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from p3d_gen.core.digest import digest
from p3d_gen.core.errors import RunError
from p3d_gen.run.cad_model import CadModel, check_materials, load_cad, materials_file
from p3d_gen.run.files import atomic_file, file_sha256, sealed_json
from p3d_gen.run.prepared import models_file, prepared_sha256, read_models, without
from p3d_gen.run.record import OTHER_OR_UPDATE, Origin, difference, is_begun, new_record, read_record
from p3d_gen.run.remote import local_copy, place
from p3d_gen.run.sources import find_sources, new_origin, record_base_dir
from p3d_gen.spec.deciding import decisive
from p3d_gen.spec.inventory import KINDS, Inventory
from p3d_gen.spec.manifest import Manifest, load_manifest, manifest_hash

_SHOWN_ID = 80
_ODD_ID = re.compile(r"(^|/)\.\.?(/|$)|^/|//|/$|[\\\0]")


@dataclass(frozen=True, kw_only=True)
class RunFolder:
    """An open run folder.

    root: a Path, or a UPath, see `remote.place`. base_dir: the folder at which the manifest's relative paths start.
    prepared: True once its CAD models are prepared. prepared_sha256: of their files, by their paths below RUN/cad; runs
    of version 0.1.0 have none. inventory: the sources that its samples are drawn from; its `lacking` names those whose
    files are not there. If unusable models are to be left out, it is certain only once the models are prepared.
    origin: what the run records of its sources and software.
    """

    root: Path
    manifest: Manifest
    base_dir: Path
    manifest_hash: str
    inventory: Inventory
    prepared: bool

    prepared_sha256: dict[str, str] = field(default_factory=dict)
    origin: Origin = field(default_factory=Origin)

    def listing(self) -> dict[str, list[str]]:
        """Return the identities of the sources, see `Inventory.listing`; of viewpoints that are not there as well."""
        recorded = {"viewpoint": self.origin.listing["viewpoint"]} if "viewpoint" in self.inventory.lacking else {}
        return self.inventory.listing() | recorded

    @cached_property
    def _decisive(self) -> dict[str, Any]:
        return {}

    def decisive(self, stage: str) -> Any:
        """Return the part of manifest and sources that decides a stage's shards, or its hash; see `spec.deciding`.

        stage: render, stylize or shards. Earlier versions let the whole manifest and all sources decide; runs that they
        began go on like that.
        """
        if stage not in self._decisive:
            self._decisive[stage] = (
                {"manifest": self.manifest_hash, "inventory": self.listing()}
                if self.origin.inputs_version == 1
                else digest(self._deciding(stage))
            )
        return self._decisive[stage]

    def _deciding(self, stage: str) -> dict[str, Any]:
        models = {name: sha256 for name, sha256 in self.prepared_sha256.items() if name.endswith(".npz")}
        return decisive(stage, self.manifest, self.listing(), self.origin.first_contents) | (
            {"models": models} if stage == "render" else {}
        )

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
    def labels_version(self) -> int:
        """The version of the keys of its labels."""
        return self.origin.labels_version

    @property
    def objects_may_leave(self) -> bool:
        """True if objects may leave the frame without being asked to: a run that version 0.1.0 began goes on so."""
        return self.labels_version == 1

    @property
    def models_file(self) -> Path:
        """The path of the list of its prepared CAD models."""
        return models_file(self.root)


def create_run(root: Path, manifest_path: Path) -> RunFolder:
    """Open the run folder of a manifest, and make it if it does not exist; several processes may do so at once.

    RunError if the folder belongs to another manifest, to other sources, or holds something else.
    """
    manifest = load_manifest(manifest_path)
    return begin_run(root, manifest, manifest.base_dir, str(manifest_path))


def begin_run(
    root: Path, manifest: Manifest, base_dir: Path, origin: str = "this one", needs: Collection[str] = KINDS
) -> RunFolder:
    """Open a run folder, and make it for this manifest if it does not exist.

    base_dir: the folder at which the manifest's relative paths start. origin: the manifest's name in messages. needs:
    see `open_run`. RunError if the folder holds something else, or was made from another manifest or other sources.
    """
    if not is_begun(root):
        content = new_record(root, manifest, base_dir, new_origin(manifest, base_dir))
        with atomic_file(root / "run.json", optional=True) as file:
            if not is_begun(root):  # by another process in the meantime
                file.write(sealed_json(content))
    stored, given = (each.model_dump(mode="json") for each in (read_record(root).manifest, manifest))
    if stored != given:
        change = difference(stored, given)
        raise RunError(
            f"{root} was made from another manifest than {origin}, its run.json says ({change}): {OTHER_OR_UPDATE}"
        )
    return open_run(root, needs=needs, base_dir=base_dir)


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
    record = read_record(root)
    manifest = record.manifest
    given = None if base_dir is None else Path(base_dir).resolve()
    found_dir, inventory = find_sources(root, record, needs, given)
    if given is not None:
        record_base_dir(root, record, given, inventory)
    models = read_models(root)
    return RunFolder(
        root=root,
        manifest=manifest,
        base_dir=found_dir,
        manifest_hash=manifest_hash(manifest),
        inventory=without(inventory, models["quarantined"]) if models else inventory,
        prepared=models is not None,
        prepared_sha256=prepared_sha256(models or {}),
        origin=record.origin,
    )


def _identity(path: Path) -> str:
    """Return the sha256 of a file that tells what a run is, "" if it is not there."""
    try:
        return file_sha256(path)
    except FileNotFoundError:
        return ""


def shared_run(folder: str, needs: Collection[str] = KINDS) -> RunFolder:
    """Open a run as `open_run` does, for one of its shards: a process compares the sources once for all of them.

    They are compared again if the run itself has changed, or after `forget_runs`.
    """
    root = place(folder)
    return _shared_run(folder, tuple(needs), _identity(root / "run.json"), _identity(models_file(root)))


@lru_cache(maxsize=4)
def _shared_run(folder: str, needs: tuple[str, ...], *_: str) -> RunFolder:
    return open_run(folder, needs)


def forget_runs() -> None:
    """Let the next `shared_run` compare the sources again."""
    _shared_run.cache_clear()
