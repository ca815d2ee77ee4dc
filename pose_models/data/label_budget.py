"""Few labels: which of a dataset's photographs are taken as labelled, in sets that lie in one another."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from zlib import crc32

import numpy as np

from p3d_gen.core.errors import ConfigError
from pose_models.data.sample import PoseSample

_LABELLED = 5


@dataclass(frozen=True, kw_only=True)
class LabelBudget:
    """The number of labelled images of a category: `count`, or, if that is None, `percent` of all."""

    count: int | None = None
    percent: float = 100.0

    def of(self, total: int) -> int:
        """Return the number of labelled images among `total`; a share gives at least one.

        ValueError if there are not so many.
        """
        if self.count is None:
            return max(1, round(total * self.percent / 100))
        if self.count > total:
            raise ConfigError(f"{self.count} labelled images are asked for, but there are {total}: ask for fewer")
        return self.count


def parse_labels(text: str) -> LabelBudget:
    """Parse "N" or "P%". ValueError if it is neither, N < 1, or P is not above 0 and at most 100."""
    if re.fullmatch(r"\d+", text) and int(text) > 0:
        return LabelBudget(count=int(text))
    if (share := re.fullmatch(r"(\d+(?:\.\d+)?)%", text)) and 0 < float(share[1]) <= 100:
        return LabelBudget(percent=float(share[1]))
    raise ConfigError(f"{text!r} is not a number of labels: give N, such as 20, or a share P%, such as 10%")


def labelled_subset(total: int, labels: LabelBudget, seed: int, category: str) -> list[int]:
    """Choose the labelled ones among a category's `total` images; returns their numbers, rising.

    They are the first of one permutation for each seed and category: for one seed a smaller set lies in every larger
    one. ValueError if there are not so many.
    """
    order = np.random.default_rng([seed, _LABELLED, crc32(category.encode())]).permutation(total)
    return sorted(order[: labels.of(total)].tolist())


def labelled_samples(
    read: Callable[[str], Iterator[PoseSample]], name: str, labels: LabelBudget, seed: int, category: str
) -> Iterator[PoseSample]:
    """Yield the labelled ones of a category's images, in the order in which `read` gives them.

    `read` is called twice, once to count. ValueError with the `name` of the images if there are not so many.
    """
    total = sum(1 for _ in read(category))
    try:
        chosen = frozenset(labelled_subset(total, labels, seed, category))
    except ConfigError as error:
        raise ConfigError(f"{category} in {name}: {error}") from error
    return (sample for number, sample in enumerate(read(category)) if number in chosen)
