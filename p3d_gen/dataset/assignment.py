"""The shard of each sample of a dataset: a function of the samples and the recipe alone."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from p3d_gen.core.errors import RunError
from p3d_gen.dataset.source_runs import DatasetSample
from p3d_gen.dataset.splits import Recipe, place_in_order, split_of

_ENDING = 2 * tarfile.BLOCKSIZE


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """The samples of each shard, by its name SPLIT/CATEGORY-NNNNN, and the number of those that belong to no split."""

    shards: dict[str, list[DatasetSample]]
    left_out: int


def _cut(samples: Sequence[DatasetSample], recipe: Recipe) -> Iterator[list[DatasetSample]]:
    """Yield the samples in order, in shards that are as large as they may be."""
    shard: list[DatasetSample] = []
    size = _ENDING
    for sample in samples:
        larger = -(-(size + sample.tar_size) // tarfile.RECORDSIZE) * tarfile.RECORDSIZE
        full = len(shard) == recipe.shard_samples or (recipe.shard_bytes is not None and larger > recipe.shard_bytes)
        if shard and full:
            yield shard
            shard, size = [], _ENDING
        shard.append(sample)
        size += sample.tar_size
    if shard:
        yield shard


def assign_samples(entries: Sequence[DatasetSample], recipe: Recipe) -> Assignment:
    """Split, shuffle and cut. RunError if a split gets no sample, or a sample has no asset to be split by."""
    by_split: dict[str, dict[str, list[DatasetSample]]] = {split: {} for split in recipe.shares}
    left_out = 0
    for entry in entries:
        try:
            split = split_of(recipe, entry.ids)
        except ValueError as error:
            raise RunError(f"{entry.stored.shard}: {entry.key} cannot be split: {error}; choose another kind") from None
        if split is None:
            left_out += 1
        else:
            by_split[split].setdefault(entry.category, []).append(entry)
    shards = {}
    for split, categories in by_split.items():
        if not categories:
            raise RunError(
                f"the split {split!r} gets none of {len(entries)} samples ({_assets(entries, recipe)}): choose fewer "
                "splits, other shares, fewer kinds or another seed"
            )
        for category, samples in sorted(categories.items()):
            samples.sort(key=lambda entry: place_in_order(recipe, entry.key))
            for number, shard in enumerate(_cut(samples, recipe)):
                shards[f"{split}/{category}-{number:05d}"] = shard
    return Assignment(shards=shards, left_out=left_out)


def _assets(entries: Sequence[DatasetSample], recipe: Recipe) -> str:
    return ", ".join(f"{len({entry.ids[kind] for entry in entries})} {kind}s" for kind in recipe.split_by)
