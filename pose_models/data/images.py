"""The images of an evaluation or an adaptation: a part of a dataset, as it is or made worse on purpose."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from zlib import crc32

import numpy as np

from pose_models.data.corrupt import CORRUPTIONS, corrupted
from pose_models.data.crop import crop_annotated, crop_rule
from pose_models.data.datasets import open_dataset
from pose_models.data.occlude import DrawnOccluders, FolderOccluders, occluded
from pose_models.data.sample import Sample

ALL = "all"


@dataclass(frozen=True, kw_only=True)
class Images:
    """Images of a dataset: the first `limit` of each category, changed as the fields ask for.

    corrupt: ImageNet-C corruptions at `severity`, or "all"; occlude: levels of `data.occlude`, with the cut-out
    pictures of the folder `occluders`, or drawn shapes; each image comes once under each of them. seed: of both.
    crop: a table of `data.crop`.
    """

    address: str
    split: str = "val"
    categories: tuple[str, ...] | None = None
    limit: int | None = None
    corrupt: tuple[str, ...] = ()
    severity: int = 3
    occlude: tuple[str, ...] = ()
    occluders: Path | None = None
    seed: int = 0
    crop: str | None = None

    def name(self) -> str:
        """What a table's title says."""
        parts = [f"{self.address} {self.split}"]
        parts += [f"corrupted, severity {self.severity}"] if self.corrupt else []
        return ", ".join(parts + (["occluded"] if self.occlude else []))

    def plain(self) -> Iterator[Sample]:
        """The images as they are."""
        dataset = open_dataset(self.address, split=self.split, categories=self.categories)
        for category in dataset.categories:
            samples = islice(dataset.read(category), self.limit)
            yield from samples if self.crop is None else map(_cropper(self.crop, category), samples)

    def read(self) -> Iterator[Sample]:
        """The images, each under every corruption and occlusion that is asked for; always the same."""
        names = CORRUPTIONS if ALL in self.corrupt else self.corrupt
        occluders = FolderOccluders(self.occluders) if self.occluders else DrawnOccluders()
        for sample in self.plain():
            if not names and not self.occlude:
                yield sample
            for name in names:
                yield corrupted(sample, name, self.severity, self.seed)
            for level in self.occlude:
                rng = np.random.default_rng([self.seed, crc32(level.encode()), crc32(sample.key.encode())])
                yield occluded(sample, level, occluders, rng)


def _cropper(table: str, category: str) -> Callable[[Sample], Sample]:
    rule = crop_rule(table, category)
    return lambda sample: crop_annotated(sample, rule.out_hw, rule.distance)
