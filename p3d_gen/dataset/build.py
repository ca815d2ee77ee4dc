"""Making a dataset of finished runs. Interrupted work resumes with the same call and ends in the same bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from p3d_gen.core.errors import RunError
from p3d_gen.dataset.assignment import Assignment, assign_samples
from p3d_gen.dataset.card import dataset_card
from p3d_gen.dataset.folder import (
    CARD,
    DATASET,
    FORMAT_VERSION,
    INDEX,
    RECIPE,
    DatasetFolder,
    is_dataset,
    open_dataset,
    read_part,
    write_new,
)
from p3d_gen.dataset.source_runs import DatasetSample, SourceRun, samples_of
from p3d_gen.dataset.splits import KINDS, Recipe
from p3d_gen.dataset.survey import Survey, survey
from p3d_gen.run.files import file_sha256, read_json, write_bytes, write_json
from p3d_gen.run.shards import Members, write_shard
from p3d_gen.run.store import difference

_SHOWN = 10


def _licences(source: SourceRun) -> list[dict[str, str]]:
    """Return the licences of the assets that the run's samples show, as `p3dgen licences` wrote them; none if it did
    not run."""
    path = source.run.root / f"licences{source.stage.removeprefix('shards')}.json"
    try:
        return [{key: each[key] for key in ("kind", "id", "licence")} for each in read_json(path)["assets"]]
    except FileNotFoundError:
        return []
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path} is damaged: {error!r}; make it again by `p3dgen licences {source.run.root}`") from None


def _made_from(sources: Sequence[SourceRun], recipe: Recipe) -> dict[str, Any]:
    """Return the content of recipe.json. RunError if a run is not finished."""
    runs = []
    for source in sources:
        about = read_json(source.run.root / "run.json")
        runs.append(
            {
                "name": source.name,
                "stage": source.stage,
                "manifest": about["manifest"],
                "manifest_sha256": source.run.manifest_hash,
                "assets": about["sources"],
                "versions": about["versions"],
                "licences": _licences(source),
                "shards": source.shards(),
            }
        )
    return {"format_version": FORMAT_VERSION, "recipe": recipe.model_dump(mode="json"), "sources": runs}


def _begin(root: Path, made_from: dict[str, Any]) -> DatasetFolder:
    """Begin the dataset, or resume it if the folder is this one. RunError if the folder is another dataset's."""
    if not is_dataset(root):
        if root.exists() and any(root.iterdir()):
            raise RunError(f"{root} is not empty and not a dataset: choose another --out")
        write_json(root / RECIPE, made_from)
    elif (begun := read_part(root / RECIPE)) != made_from:
        raise RunError(f"{root} is made from something else ({difference(begun, made_from)}): choose another --out")
    return open_dataset(root)


def _models(entries: Sequence[DatasetSample], sources: Sequence[SourceRun]) -> dict[str, Path]:
    """Return the files that the dataset keeps in cad/, by their names there.

    They are the models that samples show, and the categories' cuboids if samples hold theirs. RunError if two runs mean
    different files by the same name.
    """
    by_prefix = {source.prefix: source for source in sources}
    wanted: dict[str, set[Path]] = {}
    for entry in entries:
        run = by_prefix[entry.prefix].run
        cad = run.cad_file(entry.category, entry.cad_id)
        wanted.setdefault(f"{entry.category}/{cad.name}", set()).add(cad)
        if "cuboid.npz" in entry.stored.places:
            name = f"{entry.category}.cuboid.npz"
            wanted.setdefault(name, set()).add(run.root / "cad" / name)
    for files in wanted.values():
        if len({file_sha256(file) for file in files}) > 1:
            raise RunError(
                f"{' and '.join(map(str, sorted(files)))} differ: samples of one dataset share their models; "
                "make a dataset of each run"
            )
    return {name: min(files) for name, files in sorted(wanted.items())}


def _read(
    entries: Sequence[DatasetSample], recipe: Recipe, on_sample: Callable[[], None]
) -> Iterator[tuple[str, Members]]:
    for entry in entries:
        yield entry.key, entry.read(recipe.depth16)
        on_sample()


def _write_shards(root: Path, assignment: Assignment, recipe: Recipe, on_sample: Callable[[], None]) -> None:
    """Write the shards that are not there yet; those that are there are whole."""
    for name, entries in assignment.shards.items():
        path = root / f"{name}.tar"
        if not path.exists():
            write_shard(path, _read(entries, recipe, on_sample))
        else:
            for _ in entries:
                on_sample()


def _by_licence(dataset: DatasetFolder) -> dict[str, int]:
    """Count the assets under each licence; {} if that is not known of all runs."""
    stated = {
        (source["name"], each["kind"], each["id"]): each["licence"]
        for source in dataset.sources
        for each in source["licences"]
    }
    known = all(source["licences"] for source in dataset.sources)
    return dict(sorted(Counter(stated.values()).items())) if known else {}


def _summary(dataset: DatasetFolder, assignment: Assignment, contents: Survey) -> dict[str, Any]:
    """Return the content of dataset.json."""
    return {
        "format_version": FORMAT_VERSION,
        "name": dataset.root.resolve().name,
        "recipe": dataset.recipe.model_dump(mode="json"),
        "splits": {
            name: {
                "samples": split.samples.total(),
                "shards": len(split.shards),
                "bytes": sum(shard["filesize"] for shard in split.shards),
                "categories": dict(sorted(split.samples.items())),
                "assets": {kind: len([asset for asset in split.assets[kind] if asset]) for kind in KINDS},
            }
            for name, split in contents.splits.items()
        },
        "left_out": assignment.left_out,
        "assets_in_several_splits": {kind: len(contents.shared(kind)) for kind in KINDS},
        **contents.shape,
        "licences": _by_licence(dataset),
        "sources": [
            {key: source[key] for key in ("name", "stage", "manifest_sha256", "versions")} for source in dataset.sources
        ],
    }


def make_dataset(
    root: Path, sources: Sequence[SourceRun], recipe: Recipe, on_sample: Callable[[int], None] = lambda total: None
) -> dict[str, Any]:
    """Make the dataset of some finished runs in a folder; return the content of its dataset.json. The runs are only
    read.

    root: a folder that is new, or the same dataset begun. on_sample: called after each sample with the total number.
    RunError if a run is not finished, samples do not go together, or a split gets none.
    """
    made_from = _made_from(sources, recipe)
    entries = samples_of(sources)
    if recipe.depth16 and entries and "depth.npz" not in entries[0].stored.places:
        shard = entries[0].stored.shard
        raise RunError(f"{shard} holds no depth.npz: leave depth as it is, or name depth in output.members")
    assignment = assign_samples(entries, recipe)
    kept = [entry for shard in assignment.shards.values() for entry in shard]
    models = _models(kept, sources)
    dataset = _begin(root, made_from)
    for name, file in models.items():
        write_new(root / "cad" / name, file.read_bytes())
    _write_shards(root, assignment, recipe, lambda: on_sample(len(kept)))
    contents = survey(dataset)
    if contents.findings:
        raise RunError(f"{root} is not what it should be: " + "\n".join(contents.findings[:_SHOWN]))
    summary = _summary(dataset, assignment, contents)
    for name, split in contents.splits.items():
        index = {"__kind__": "wids-shard-index-v1", "wids_version": 1, "name": f"{summary['name']}-{name}"}
        write_json(root / name / INDEX, index | {"shardlist": split.shards})
    write_bytes(root / CARD, dataset_card(summary).encode())
    write_json(root / DATASET, summary)
    return summary
