"""Metrics by category or by part of a benchmark, and the ways in which the papers' codes average them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

import numpy as np
from torch import Tensor

from pose_models.metrics.accuracy import PoseMetrics, pose_metrics

T = TypeVar("T")
Mean = Literal["pooled", "weighted", "unweighted"]
_FIGURES = ("acc_pi_6", "acc_pi_18", "median_deg")


@dataclass(frozen=True, kw_only=True)
class Grouped(Generic[T]):
    """Results of type T (metrics, or their intervals) by group, and three means over the groups.

    pooled: all images as one group. Its accuracies are the image-weighted means, its median is that of all images,
        as in NeMo's later code.
    weighted: the groups' figures weighted by their images. The accuracies are those of `pooled`; the median is the
        weighted mean of the groups' medians, as in NeMo's first code.
    unweighted: the plain mean of the groups' figures.
    """

    groups: dict[str, T]
    pooled: T
    weighted: T
    unweighted: T

    def mean(self, which: Mean) -> T:
        """Return the mean of that name."""
        means: dict[Mean, T] = {"pooled": self.pooled, "weighted": self.weighted, "unweighted": self.unweighted}
        return means[which]

    def map(self, change: Callable[[T], Any]) -> dict[str, Any]:
        """Change every result by `change`; returns the same by name, for JSON."""
        means: tuple[Mean, ...] = ("pooled", "weighted", "unweighted")
        return {
            "groups": {name: change(result) for name, result in self.groups.items()},
            "means": {which: change(self.mean(which)) for which in means},
        }


def members(groups: Sequence[str]) -> dict[str, list[int]]:
    """Return the indices of the images of each group, the groups in alphabetical order."""
    indices: dict[str, list[int]] = {name: [] for name in sorted(set(groups))}
    for i, name in enumerate(groups):
        indices[name].append(i)
    return indices


def _mean(groups: Mapping[str, PoseMetrics], weights: Sequence[float]) -> PoseMetrics:
    values = np.array([[getattr(group, name) for name in _FIGURES] for group in groups.values()])
    figures = np.average(values, axis=0, weights=weights)
    named = dict(zip(_FIGURES, figures.tolist(), strict=True))
    return PoseMetrics(**named, n=sum(group.n for group in groups.values()))


def grouped_metrics(errors_rad: Tensor, groups: Sequence[str]) -> Grouped[PoseMetrics]:
    """Compute the metrics of errors (N,) in radians by the group (N) of each image; a NaN counts as pi.

    ValueError if there is no image, or not one group for each.
    """
    if len(groups) != len(errors_rad):
        raise ValueError(f"{len(errors_rad)} errors but {len(groups)} groups: give one group for each image")
    pooled = pose_metrics(errors_rad)
    by_group = {name: pose_metrics(errors_rad[indices]) for name, indices in members(groups).items()}
    return Grouped(
        groups=by_group,
        pooled=pooled,
        weighted=_mean(by_group, [group.n for group in by_group.values()]),
        unweighted=_mean(by_group, [1.0] * len(by_group)),
    )
