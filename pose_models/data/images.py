"""The images of an evaluation or an adaptation: a part of a dataset, as it is or made worse on purpose."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from zlib import crc32

import numpy as np

from p3d_gen.core.errors import ConfigError
from pose_models.data.corrupt import CORRUPTIONS, corrupted
from pose_models.data.crop import crop_annotated, crop_rule
from pose_models.data.datasets import named, open_dataset
from pose_models.data.occlude import DrawnOccluders, FolderOccluders, occluded
from pose_models.data.sample import PoseSample

ALL = "all"


@dataclass(frozen=True, kw_only=True)
class Images:
    """Images of a dataset: the first `limit` of each category, changed as the fields ask for.

    part: (i, n), only those whose key's sha256 leaves the remainder i when divided by n. The n parts are about equal
    and share no image, whatever the order. corrupt: ImageNet-C corruptions at `severity`, or "all"; occlude: levels of
    `data.occlude`, with the cut-out pictures of the folder `occluders`, or drawn shapes; each image comes once under
    each of them, or, where `stacked`, once under each corruption on top of each level. seed: of both. crop: a table of
    `data.crop`.
    """

    address: str
    split: str = "val"
    categories: tuple[str, ...] | None = None
    part: tuple[int, int] | None = None
    limit: int | None = None
    corrupt: tuple[str, ...] = ()
    severity: int = 3
    occlude: tuple[str, ...] = ()
    occluders: Path | None = None
    stacked: bool = False
    seed: int = 0
    crop: str | None = None

    def __post_init__(self) -> None:
        """Refuse a part that does not exist, and stacked images of one kind."""
        if self.part is not None and not 0 <= self.part[0] < self.part[1]:
            raise ConfigError(f"part {self.part[0]}/{self.part[1]}: parts are counted from 0, as in 0/2 and 1/2")
        if self.stacked and not (self.corrupt and self.occlude):
            raise ConfigError("stacked images are occluded and corrupted: give both an occlusion and a corruption")

    def name(self) -> str:
        """Return the name of the images for a table's title."""
        parts = [named(self.address, self.split)]
        parts += [f"part {self.part[0]}/{self.part[1]}"] if self.part else []
        parts += [f"corrupted, severity {self.severity}"] if self.corrupt else []
        return ", ".join(parts + (["occluded"] if self.occlude else []))

    def plain(self) -> Iterator[PoseSample]:
        """Yield the images as they are."""
        dataset = open_dataset(self.address, split=self.split, categories=self.categories)
        for category in dataset.categories:
            samples = islice(filter(self._held, dataset.read(category)), self.limit)
            yield from samples if self.crop is None else map(_cropper(self.crop, category), samples)

    def read(self) -> Iterator[PoseSample]:
        """Yield the images, each under every corruption and occlusion that is asked for; always the same."""
        names = CORRUPTIONS if ALL in self.corrupt else self.corrupt
        occluders = FolderOccluders(self.occluders) if self.occluders else DrawnOccluders()
        for sample in self.plain():
            if not names and not self.occlude:
                yield sample
            hidden = []
            for level in self.occlude:
                rng = np.random.default_rng([self.seed, crc32(level.encode()), crc32(sample.key.encode())])
                hidden.append(occluded(sample, level, occluders, rng))
            for name in names:
                if not self.stacked:
                    yield corrupted(sample, name, self.severity, self.seed)
                    continue
                for one in hidden:
                    worse = corrupted(one, name, self.severity, self.seed)
                    yield replace(worse, subset=f"{one.subset}+{name}")
            if not self.stacked:
                yield from hidden

    def _held(self, sample: PoseSample) -> bool:
        """Return whether the sample belongs to the part."""
        if self.part is None:
            return True
        index, count = self.part
        return int.from_bytes(hashlib.sha256(sample.key.encode()).digest()[:8], "big") % count == index


def _cropper(table: str, category: str) -> Callable[[PoseSample], PoseSample]:
    rule = crop_rule(table, category)
    return lambda sample: crop_annotated(sample, rule.out_hw, rule.distance)
