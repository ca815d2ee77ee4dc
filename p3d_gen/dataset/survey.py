"""The real contents of a dataset's shards, compared with its description: above all, no leak between splits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from p3d_gen.core.errors import P3DError
from p3d_gen.dataset.folder import DatasetFolder
from p3d_gen.dataset.schema import label_faults
from p3d_gen.dataset.source_runs import sample_shape, scan_shard
from p3d_gen.dataset.splits import KINDS, Kind, asset_ids, split_of
from p3d_gen.run.files import file_sha256
from p3d_gen.run.record import difference

_SHOWN = 3


@dataclass(kw_only=True)
class SplitContents:
    """The contents of a split. shards: as its index lists them. assets: number of samples that show each, by kind."""

    shards: list[dict[str, Any]] = field(default_factory=list)
    samples: Counter[str] = field(default_factory=Counter)
    assets: dict[Kind, Counter[str]] = field(default_factory=lambda: {kind: Counter() for kind in KINDS})


@dataclass(kw_only=True)
class Survey:
    """The contents of a dataset.

    findings: its faults, each with file, key and remedy. shape: of its samples, {} while that is not known.
    """

    splits: dict[str, SplitContents]
    findings: list[str] = field(default_factory=list)
    shape: dict[str, Any] = field(default_factory=dict)

    def shared(self, kind: Kind) -> dict[str, list[str]]:
        """Return the assets of a kind that several splits show, with these splits."""
        splits_of: dict[str, list[str]] = {}
        for name, split in self.splits.items():
            for asset in split.assets[kind]:
                splits_of.setdefault(asset, []).append(name)
        return {asset: names for asset, names in splits_of.items() if asset and len(names) > 1}


def _take(
    survey: Survey, dataset: DatasetFolder, split: str, shard: str, key: str, members: list[str], labels: Any
) -> None:
    """Take a sample into the survey. ValueError names its fault."""
    if faults := label_faults(labels):
        raise ValueError(f"its labels are not those of the schema: {'; '.join(faults[:_SHOWN])}")
    its_shape = sample_shape(members, labels)
    survey.shape = survey.shape or its_shape
    if its_shape != survey.shape:
        raise ValueError(f"its members or labels are not those of the others: {difference(survey.shape, its_shape)}")
    if labels["key"] != key or not shard.startswith(f"{labels['category']}-"):
        raise ValueError(f"its labels are those of {labels['key']}, a {labels['category']}")
    ids = asset_ids(labels)
    survey.splits[split].samples[labels["category"]] += 1
    for kind, asset in ids.items():
        survey.splits[split].assets[kind][asset] += 1
    if (belongs := split_of(dataset.recipe, ids)) != split:
        raise ValueError(f"it belongs to {belongs or 'no split'}, not to {split}")


def _look_through(survey: Survey, dataset: DatasetFolder, split: str, path: Path, keys: set[str]) -> None:
    """Take a shard's samples into the survey. keys: those seen before."""
    count = 0
    try:
        for sample, labels in scan_shard(path):
            key, count = sample.key, count + 1
            if key in keys:
                survey.findings.append(f"{path}: {key} is there twice")
            keys.add(key)
            try:
                _take(survey, dataset, split, path.name, key, list(sample.places), labels)
            except ValueError as error:
                survey.findings.append(f"{path}: {key}: {error}")
    except P3DError as error:
        survey.findings.append(str(error))
    survey.splits[split].shards.append(
        {"url": path.name, "nsamples": count, "filesize": path.stat().st_size, "sha256": file_sha256(path)}
    )


def _leaks(survey: Survey, kind: Kind) -> Iterator[str]:
    """Describe each asset that is in several splits."""
    for asset, names in survey.shared(kind).items():
        counts = ", ".join(f"{name} ({survey.splits[name].assets[kind][asset]} samples)" for name in names)
        yield f"leak: the {kind} {asset!r} is in {counts}"


def survey(dataset: DatasetFolder, shape: dict[str, Any] | None = None) -> Survey:
    """Look through all shards: labels against the schema and each other, keys, and assets against the splits.

    shape: that of its samples, if it is known; see `Survey`.
    """
    contents = Survey(splits={name: SplitContents() for name in dataset.recipe.shares}, shape=shape or {})
    keys: set[str] = set()
    for name in contents.splits:
        for path in dataset.shards(name):
            _look_through(contents, dataset, name, path, keys)
    for kind in dataset.recipe.split_by:
        contents.findings += _leaks(contents, kind)
    return contents
