"""Making a dataset of finished runs. Interrupted work resumes with the same call and ends in the same bytes."""

from __future__ import annotations

import logging
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
    is_listed,
    kept_models,
    listed_shards,
    open_dataset,
    read_part,
    write_new,
)
from p3d_gen.dataset.licences import stated_licences
from p3d_gen.dataset.source_runs import DatasetSample, SourceRun, samples_of
from p3d_gen.dataset.splits import RESERVED, Recipe
from p3d_gen.dataset.summary import dataset_summary, kept_files, split_index
from p3d_gen.dataset.survey import survey
from p3d_gen.run.cuboids import check_cuboid, cuboid_file
from p3d_gen.run.files import file_sha256, read_sealed, sealed_json, write_bytes, write_json
from p3d_gen.run.record import difference
from p3d_gen.run.remote import is_remote
from p3d_gen.run.shards import Members, shard_sha256, write_shard
from p3d_gen.run.store import RunFolder

_log = logging.getLogger(__name__)
_SHOWN = 10


def _made_from(
    sources: Sequence[SourceRun],
    shards: Sequence[dict[str, str]],
    entries: Sequence[DatasetSample],
    recipe: Recipe,
) -> dict[str, Any]:
    """Return the content of recipe.json. shards: sha256 by name, of each source."""
    runs = []
    for source, its_shards in zip(sources, shards, strict=True):
        about = read_sealed(source.run.root / "run.json")
        runs.append(
            {
                "name": source.name,
                "stage": source.stage,
                "manifest": about["manifest"],
                "manifest_sha256": source.run.manifest_hash,
                "assets": about["sources"],
                "versions": about["versions"],
                "licences": stated_licences(source, [each for each in entries if each.prefix == source.prefix]),
                "shards": its_shards,
            }
        )
    return {"format_version": FORMAT_VERSION, "recipe": recipe.model_dump(mode="json"), "sources": runs}


def _without_licences(made_from: Any) -> Any:
    """Return the content of a recipe.json without licences, which decide no sample and may be stated later."""
    if not isinstance(made_from, dict) or not isinstance(made_from.get("sources"), list):
        return made_from
    sources = [
        {key: value for key, value in source.items() if key != "licences"} if isinstance(source, dict) else source
        for source in made_from["sources"]
    ]
    return made_from | {"sources": sources}


def _begin(root: Path, made_from: dict[str, Any], recipe: Recipe) -> DatasetFolder:
    """Begin the dataset, or resume it if the folder is this one.

    RunError if the folder is another dataset's, or a split of a new one has a name with another meaning."""
    if not is_dataset(root):
        if taken := RESERVED.keys() & recipe.shares:
            raise RunError(f"no split can be called {min(taken)!r}, {RESERVED[min(taken)]}: give it another name")
        if root.exists() and any(root.iterdir()):
            raise RunError(f"{root} is not empty and not a dataset, it holds no {RECIPE}: choose another --out")
    elif _without_licences(begun := read_part(root / RECIPE)) != _without_licences(made_from):
        change = difference(begun, made_from)
        raise RunError(f"{root} is made from something else, its {RECIPE} says ({change}): choose another --out")
    write_json(root / RECIPE, made_from)
    return open_dataset(root)


def _model_sha256(run: RunFolder, file: Path) -> str:
    """Return the sha256 of a file in a run's cad/. RunError if it is not there, or a link leads out of the run: what a
    run from somebody else points to is not handed on."""
    if not is_remote(file) and not file.resolve().is_relative_to(run.root.resolve()):
        raise RunError(f"{file} is a link to {file.resolve()}, outside the run: put the model itself there")
    if not file.is_file():
        raise RunError(f"{file} is not there: run `p3dgen render` again")
    sha256 = file_sha256(file)
    if run.prepared_sha256.get(f"{file.parent.name}/{file.name}", sha256) != sha256:
        raise RunError(f"{file} is not what the run prepared, its content has changed: run `p3dgen render` again")
    return sha256


def _models(entries: Sequence[DatasetSample], sources: Sequence[SourceRun]) -> dict[str, Path]:
    """Return the files that the dataset keeps in cad/, by their names there.

    They are the models that samples show, and the categories' cuboids if samples hold theirs. RunError if two runs mean
    different files by the same name, or a file does not lie in its run.
    """
    by_prefix = {source.prefix: source for source in sources}
    wanted: dict[str, dict[Path, RunFolder]] = {}
    for entry in entries:
        run = by_prefix[entry.prefix].run
        wanted.setdefault(f"{entry.category}/{entry.cad_id}.npz", {})[run.cad_file(entry.category, entry.cad_id)] = run
        if "cuboid.npz" in entry.stored.places:
            name = f"{entry.category}.cuboid.npz"
            wanted.setdefault(name, {})[cuboid_file(run, entry.category)] = run
    for files in wanted.values():
        if len({_model_sha256(run, file) for file, run in files.items()}) > 1:
            raise RunError(
                f"{' and '.join(map(str, sorted(files)))} differ: samples of one dataset share their models; "
                "make a dataset of each run"
            )
    for name, files in wanted.items():
        for file, run in files.items():
            if file == cuboid_file(run, name.partition(".")[0]):
                check_cuboid(run, name.partition(".")[0], elsewhere=True)
    return {name: min(files) for name, files in sorted(wanted.items())}


def _read(
    entries: Sequence[DatasetSample], recipe: Recipe, on_sample: Callable[[], None]
) -> Iterator[tuple[str, Members]]:
    for entry in entries:
        yield entry.key, entry.read(recipe.depth16)
        on_sample()


def _write_shards(dataset: DatasetFolder, assignment: Assignment, on_sample: Callable[[], None]) -> None:
    """Write the shards that are not there, and those that are not what the index says, or without an index the plan.

    RunError if the folder of a split holds another shard.
    """
    recipe = dataset.recipe
    listed = {split: listed_shards(dataset, split) for split in recipe.shares}
    for split in recipe.shares:
        for path in dataset.shards(split):
            if f"{split}/{path.stem}" not in assignment.shards:
                raise RunError(f"{path} does not belong to this dataset: take it out of the folder")
    for name, entries in assignment.shards.items():
        path = dataset.root / f"{name}.tar"
        entry = listed[name.partition("/")[0]].get(path.name)
        if is_listed(path, entry):
            for _ in entries:
                on_sample()
        elif entry is not None or not _is_planned(path, entries, recipe):
            if path.exists():
                _log.warning("%s is not what it should be, and is made again", path)
            write_shard(path, _read(entries, recipe, on_sample))
        else:
            for _ in entries:
                on_sample()


def _is_planned(path: Path, entries: Sequence[DatasetSample], recipe: Recipe) -> bool:
    """Tell if a shard is there and holds these samples, byte by byte."""
    if not path.is_file():
        return False
    return file_sha256(path) == shard_sha256(_read(entries, recipe, lambda: None))


def make_dataset(
    root: Path, sources: Sequence[SourceRun], recipe: Recipe, on_sample: Callable[[int], None] = lambda total: None
) -> dict[str, Any]:
    """Make the dataset of some finished runs in a folder; return the content of its dataset.json. The runs are only
    read.

    root: a folder that is new, or the same dataset begun. on_sample: called after each sample with the total number.
    What stands in the folder is compared with its index, or made again to be compared; it is replaced if it differs.
    RunError if a run is not finished, samples do not go together, or a split gets none.
    """
    shards = [source.shards() for source in sources]
    entries = samples_of(sources)
    made_from = _made_from(sources, shards, entries, recipe)
    if recipe.depth16 and entries and "depth.npz" not in entries[0].stored.places:
        shard = entries[0].stored.shard
        raise RunError(f"{shard} holds no depth.npz: leave depth as it is, or name depth in output.members")
    assignment = assign_samples(entries, recipe)
    kept = [entry for shard in assignment.shards.values() for entry in shard]
    models = _models(kept, sources)
    dataset = _begin(root, made_from, recipe)
    for name, path in kept_models(dataset).items():
        if name not in models:
            raise RunError(f"{path} does not belong to this dataset: take it out of the folder")
    for name, file in models.items():
        write_new(root / "cad" / name, file.read_bytes())
    _write_shards(dataset, assignment, lambda: on_sample(len(kept)))
    contents = survey(dataset)
    if contents.findings:
        raise RunError(f"{root} is not what it should be: " + "\n".join(contents.findings[:_SHOWN]))
    name = root.resolve().name
    for split, content in contents.splits.items():
        write_json(root / split / INDEX, split_index(name, split, content))
    summary = dataset_summary(dataset, contents, name=name, left_out=assignment.left_out) | {
        "files": kept_files(dataset, models)
    }
    write_bytes(root / CARD, dataset_card(summary).encode())
    write_bytes(root / DATASET, sealed_json(summary))
    return summary
