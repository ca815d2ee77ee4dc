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
from pathlib import Path

from p3d_gen.core.errors import RunError
from p3d_gen.run.cad_model import CadModel, check_materials, load_cad, materials_file
from p3d_gen.run.files import atomic_file, sealed_json
from p3d_gen.run.prepared import models_file, prepared_sha256, read_models, without
from p3d_gen.run.record import difference, is_begun, new_record, read_record
from p3d_gen.run.remote import local_copy, place
from p3d_gen.run.sources import contents, find_sources, record_base_dir
from p3d_gen.spec.inventory import KINDS, Inventory
from p3d_gen.spec.manifest import Manifest, load_manifest, manifest_hash
from p3d_gen.spec.taken import take_inventory

_SHOWN_ID = 80
_ODD_ID = re.compile(r"(^|/)\.\.?(/|$)|^/|//|/$|[\\\0]")


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
        return models_file(self.root)


def create_run(root: Path, manifest_path: Path) -> RunFolder:
    """Open the run folder of a manifest, and make it if it does not exist; several processes may do so at once.

    RunError if the folder belongs to another manifest, to other sources, or holds something else.
    """
    return create_run_of(root, load_manifest(manifest_path), str(manifest_path))


def create_run_of(root: Path, manifest: Manifest, origin: str = "this one") -> RunFolder:
    """Open the run folder of a manifest, as `create_run` does. origin: the manifest's name in messages."""
    return begin_run(root, manifest, manifest.base_dir, origin)


def begin_run(root: Path, manifest: Manifest, base_dir: Path, origin: str = "this one") -> RunFolder:
    """Open a run folder, and make it for this manifest if it does not exist.

    base_dir: the folder at which the manifest's relative paths start. origin: the manifest's name in messages. RunError
    if the folder holds something else, or was made from another manifest or other sources.
    """
    if not is_begun(root):
        inventory = take_inventory(manifest, base_dir)
        content = new_record(root, manifest, base_dir, inventory.listing(), contents(inventory))
        with atomic_file(root / "run.json", optional=True) as file:
            if not is_begun(root):  # by another process in the meantime
                file.write(sealed_json(content))
    stored, given = (each.model_dump(mode="json") for each in (read_record(root).manifest, manifest))
    if stored != given:
        change = difference(stored, given)
        raise RunError(f"{root} was made from another manifest than {origin} ({change}): choose another --out")
    return open_run(root, base_dir=base_dir)


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
    )
