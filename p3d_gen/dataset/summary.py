"""The files that describe a dataset: dataset.json and the index of each split, from the contents of its shards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from p3d_gen.dataset.folder import FORMAT_VERSION, INDEX, RECIPE, DatasetFolder
from p3d_gen.dataset.splits import KINDS
from p3d_gen.dataset.survey import SplitContents, Survey
from p3d_gen.run.files import file_sha256


def _by_licence(dataset: DatasetFolder) -> dict[str, int]:
    """Count the assets under each licence; {} if that is not known of all runs."""
    stated = {
        (source["name"], each["kind"], each["id"]): each["licence"]
        for source in dataset.sources
        for each in source["licences"]
    }
    known = all(source["licences"] for source in dataset.sources)
    return dict(sorted(Counter(stated.values()).items())) if known else {}


def _definitions(dataset: DatasetFolder) -> dict[str, Any]:
    return {name: dataset.definitions[name].to_json() for name in sorted(dataset.definitions)}


def dataset_summary(dataset: DatasetFolder, contents: Survey, *, name: str, left_out: int) -> dict[str, Any]:
    """Return the content of dataset.json, except `files`.

    left_out: number of samples whose assets belong to different splits.
    """
    return {
        "format_version": FORMAT_VERSION,
        "name": name,
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
        "left_out": left_out,
        "assets_in_several_splits": {kind: len(contents.shared(kind)) for kind in KINDS},
        **({"categories": _definitions(dataset)} if dataset.definitions else {}),
        **contents.shape,
        "licences": _by_licence(dataset),
        "sources": [
            {key: source[key] for key in ("name", "stage", "manifest_sha256", "versions")} for source in dataset.sources
        ],
    }


def split_index(name: str, split: str, content: SplitContents) -> dict[str, Any]:
    """Return the content of a split's index.json, as wids reads it. name: of the dataset."""
    about = {"__kind__": "wids-shard-index-v1", "wids_version": 1, "name": f"{name}-{split}"}
    return about | {"shardlist": content.shards}


def kept_files(dataset: DatasetFolder, models: Iterable[str]) -> dict[str, str]:
    """Return the sha256 of recipe.json, the indices, and the models in cad/, given by name, by path in the dataset."""
    indices = (f"{split}/{INDEX}" for split in dataset.recipe.shares)
    names = (RECIPE, *indices, *(f"cad/{model}" for model in models))
    return {name: file_sha256(dataset.root / name) for name in names}
