"""The samples of finished runs: the place of each in its run's shards, and the assets that it shows."""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from p3d_gen.core.errors import RunError
from p3d_gen.dataset.depth import with_depth16
from p3d_gen.dataset.schema import label_faults
from p3d_gen.dataset.splits import Kind, asset_ids
from p3d_gen.run.files import compact_json
from p3d_gen.run.ledgers import upstream_ledger
from p3d_gen.run.record import difference
from p3d_gen.run.remote import place
from p3d_gen.run.shards import Members, StoredSample, list_samples, parse_labels
from p3d_gen.run.store import RunFolder, open_run
from p3d_gen.stylize.stylization import open_stylization

_SHOWN = 3
_NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")
_NAMED = re.compile(r"([A-Za-z0-9_-]+)=(.+)")


@dataclass(frozen=True, kw_only=True)
class SourceRun:
    """A finished run. name: its name in the dataset. prefix: the beginning of its keys there. stage: the folder of its
    packed shards."""

    name: str
    prefix: str
    run: RunFolder
    stage: str

    def shards(self) -> dict[str, str]:
        """Return the sha256 of its packed shards by name. RunError if one is missing or differs from its ledger."""
        return {shard: upstream_ledger(self.run, self.stage, shard).sha256 for shard in self.run.all_shards()}

    def has_samples(self, shard: str) -> bool:
        """Tell if one of its packed shards holds any sample."""
        return upstream_ledger(self.run, self.stage, shard).count > 0


@dataclass(frozen=True, kw_only=True)
class DatasetSample:
    """A sample of a run, as the dataset is to hold it.

    key: its key in the dataset, which begins with `prefix`. ids: of its assets by kind. occluder: the kind of thing
    before it, "" without one. stored: the sample in the run's shard.
    """

    key: str
    prefix: str
    category: str
    cad_id: str
    ids: dict[Kind, str]
    occluder: str
    stored: StoredSample

    @property
    def tar_size(self) -> int:
        """Number of bytes of a tar that it takes as it is."""
        longer = {"json": len(self.prefix)}
        sizes = (size + longer.get(name, 0) for name, (_, size) in self.stored.places.items())
        return sum(tarfile.BLOCKSIZE * (1 + -(-size // tarfile.BLOCKSIZE)) for size in sizes)

    def read(self, depth16: bool) -> Members:
        """Return its members; its labels say its key in the dataset. depth16: the depth in 16 bits."""
        members = self.stored.read()
        if self.prefix:
            members["json"] = compact_json(json.loads(members["json"]) | {"key": self.key})
        return with_depth16(members) if depth16 else members


def open_sources(given: Sequence[str], stylization: str = "") -> list[SourceRun]:
    """Open the runs of folders, each given as NAME=FOLDER, or as FOLDER, whose name it takes.

    One run keeps its keys; if there are several, each key begins with its run's name. RunError if names clash or cannot
    begin a key.
    """
    named = []
    for each in given:
        name, folder = match.groups() if (match := _NAMED.fullmatch(each)) else ("", each)
        root = place(folder)
        named.append((name or root.resolve().name, root))
    names = [name for name, _ in named]
    for name, folder in named:
        if not _NAME.fullmatch(name):
            raise RunError(
                f"{folder}: {name!r} cannot begin a key (letters, digits, _ and -): give it as NAME={folder}"
            )
        if names.count(name) > 1:
            raise RunError(f"two runs are called {name!r}: give one as OTHER_NAME={folder}")
    sources = []
    for name, folder in named:
        run = open_run(folder, needs=None)
        stage = open_stylization(run, stylization).packed
        sources.append(SourceRun(name=name, prefix=f"{name}-" if len(named) > 1 else "", run=run, stage=stage))
    _check_definitions(sources)
    return sources


def _check_definitions(sources: Sequence[SourceRun]) -> None:
    """Raise RunError if two runs mean different things by one category: its symmetry, or the names of its keypoints."""
    first: dict[str, SourceRun] = {}
    for source in sources:
        for category in source.run.manifest.categories:
            other = first.setdefault(category, source)
            one, two = (each.run.inventory.definition(category) for each in (other, source))
            if (one.symmetry.canonical(), one.keypoints) != (two.symmetry.canonical(), two.keypoints):
                raise RunError(
                    f"{other.run.root} and {source.run.root} define {category} differently "
                    f"({difference(one.to_json(), two.to_json())}): give it the same symmetry and keypoints in both, "
                    "or make a dataset of each run"
                )


def shape(value: Any) -> Any:
    """Return the types of a JSON value: readers infer a schema from them."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return type(value).__name__


def sample_shape(members: Sequence[str], labels: Any) -> dict[str, Any]:
    """Return the things that must be the same in all samples of a dataset: members, and the keys and types of the
    labels."""
    return {"members": sorted(members), "labels": shape(labels)}


def scan_shard(path: Path) -> Iterator[tuple[StoredSample, dict[str, Any]]]:
    """Yield the samples of a tar in order with their labels; pictures are not read. DataError if it is damaged."""
    for sample in list_samples(path, hold=("json",)):
        yield replace(sample, held={}), parse_labels(path, sample.key, sample.held.get("json", b"{}"))


def samples_of(sources: Sequence[SourceRun]) -> list[DatasetSample]:
    """Return all samples of the runs. RunError if the members or labels of one differ from those of the first."""
    entries: list[DatasetSample] = []
    expected: dict[str, Any] = {}
    for source in sources:
        for shard in source.run.all_shards():
            tar = source.run.tar(source.stage, shard)
            for stored, labels in scan_shard(tar) if source.has_samples(shard) else ():
                if faults := label_faults(labels):
                    told = "; ".join(faults[:_SHOWN])
                    raise RunError(f"{tar}: {stored.key} is not of this schema ({told}): pack it again")
                form = sample_shape(list(stored.places), labels)
                if form != (expected := expected or form):
                    raise RunError(
                        f"{tar}: {stored.key} is not made like {entries[0].key} of {entries[0].stored.shard} "
                        f"({difference(expected, form)}): samples of one dataset have the same members and labels; "
                        "make all runs with the same output.members and stylizer"
                    )
                entries.append(
                    DatasetSample(
                        key=source.prefix + stored.key,
                        prefix=source.prefix,
                        category=labels["category"],
                        cad_id=labels["cad_id"],
                        ids=asset_ids(labels),
                        occluder=labels["occluder"],
                        stored=stored,
                    )
                )
    return entries
