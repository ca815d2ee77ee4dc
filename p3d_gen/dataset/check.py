"""The check of a finished dataset: shards, indices, models and description against each other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from p3d_gen.core.errors import RunError
from p3d_gen.dataset.folder import DATASET, INDEX, DatasetFolder, is_listed, kept_models, listed_shards, read_part
from p3d_gen.dataset.summary import dataset_summary, split_index
from p3d_gen.dataset.survey import Survey, survey
from p3d_gen.run.files import file_sha256
from p3d_gen.run.record import difference

_AGAIN = "make the dataset again"


def _description(dataset: DatasetFolder) -> dict[str, Any]:
    """Return the content of dataset.json. RunError if the dataset is not finished, or the file is damaged."""
    if not dataset.finished:
        raise RunError(
            f"{dataset.root} is not finished, it holds no {DATASET}: run the `p3dgen dataset make` that began it again"
        )
    content = read_part(dataset.root / DATASET)
    if (
        not isinstance(content, dict)
        or not isinstance(content.get("name"), str)
        or type(content.get("left_out")) is not int
        or not isinstance(content.get("files", {}), dict)
    ):
        raise RunError(f"{dataset.root / DATASET} is damaged: {_AGAIN}")
    return content


def _kept_files(dataset: DatasetFolder, description: dict[str, Any]) -> Iterator[str]:
    """Describe the files that are not those which dataset.json lists. Version 0.1.0 listed none."""
    if "files" not in description:
        return
    listed = description["files"]
    for name, sha256 in listed.items():
        path = dataset.root / name
        if path.name == INDEX:  # see `_index_fault`
            continue
        if not path.is_file():
            yield f"{path} is not there: {_AGAIN}"
        elif file_sha256(path) != sha256:
            yield f"{path} is not what {DATASET} says: {_AGAIN}"
    for name, path in kept_models(dataset).items():
        if f"cad/{name}" not in listed:
            yield f"{path} does not belong to this dataset: take it out of the folder"


def _index_fault(dataset: DatasetFolder, description: dict[str, Any], split: str) -> str:
    """Describe what is wrong with the index of a split as a file, "" if nothing is."""
    path = dataset.root / split / INDEX
    if not path.is_file():
        return f"{path} is not there: {_AGAIN}"
    sha256 = description.get("files", {}).get(f"{split}/{INDEX}")
    return f"{path} is not what {DATASET} says: {_AGAIN}" if sha256 not in (None, file_sha256(path)) else ""


def _shards(dataset: DatasetFolder, description: dict[str, Any], contents: Survey) -> Iterator[str]:
    """Describe the shards that are not those of their index."""
    for name, split in contents.splits.items():
        if fault := _index_fault(dataset, description, name):
            yield fault
            continue
        listed = listed_shards(dataset, name)
        there = {shard["url"]: shard for shard in split.shards}
        for url in sorted(listed.keys() | there.keys()):
            if listed.get(url) != there.get(url):
                change = difference(listed.get(url), there.get(url)) if url in there else "it is not there"
                yield f"{dataset.root / name / url} is not what {INDEX} says ({change}): {_AGAIN}"


def check_dataset(dataset: DatasetFolder) -> Survey:
    """Look through all shards and models, and compare them with their indices and descriptions. RunError if the dataset
    is not finished."""
    description = _description(dataset)
    contents = survey(dataset, dataset.shape())
    faults = [*_shards(dataset, description, contents), *_kept_files(dataset, description)]
    contents.findings += faults
    if contents.findings:
        return contents
    name = description["name"]
    summary = dataset_summary(dataset, contents, name=name, left_out=description["left_out"])
    stated = {key: value for key, value in description.items() if key != "files"}
    described = [(dataset.root / DATASET, stated, summary)]
    described += [
        (dataset.root / split / INDEX, read_part(dataset.root / split / INDEX), split_index(name, split, content))
        for split, content in contents.splits.items()
    ]
    for path, there, expected in described:
        if there != expected:
            contents.findings.append(f"{path} is not what the shards say ({difference(expected, there)}): {_AGAIN}")
    return contents


def check_models(dataset: DatasetFolder) -> None:
    """Raise RunError if a file that dataset.json lists, such as a CAD model, is another one now."""
    for fault in _kept_files(dataset, _description(dataset)):
        raise RunError(fault)


def checked_shards(dataset: DatasetFolder, split: str) -> list[Path]:
    """Return the shards of a finished dataset's split in order. RunError if one is not what the index says, or the
    index lists others."""
    if fault := _index_fault(dataset, _description(dataset), split):
        raise RunError(fault)
    listed = listed_shards(dataset, split)
    paths = dataset.shards(split)
    names = {path.name for path in paths}
    for path in [*paths, *(dataset.root / split / url for url in sorted(listed.keys() - names))]:
        if not is_listed(path, listed.get(path.name)):
            raise RunError(f"{path} is not what {INDEX} says: {_AGAIN} by the `p3dgen dataset make` that made it")
    return paths
