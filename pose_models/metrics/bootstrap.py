"""The uncertainty of figures: percentile bootstrap over the images of one run, and the spread over several seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from torch import Tensor

from p3d_gen.core.types import Array
from pose_models.metrics.groups import Grouped, members

RESAMPLES = 1000
LEVEL = 0.95
_STREAM = 1
_CHUNK_NUMBERS = 4_000_000


@dataclass(frozen=True, kw_only=True)
class Intervals:
    """Lower and upper end of each figure of `PoseMetrics`: shares in 0..1, and degrees."""

    acc_pi_6: tuple[float, float]
    acc_pi_18: tuple[float, float]
    median_deg: tuple[float, float]

    def as_dict(self) -> dict[str, list[float]]:
        """Return the fields by name, [lower, upper], for JSON."""
        return {name: list(ends) for name, ends in asdict(self).items()}


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Mean and sample standard deviation (n - 1) of one figure over `n` runs."""

    mean: float
    std: float
    n: int

    def as_dict(self) -> dict[str, float]:
        """Return the fields by name."""
        return asdict(self)


def _figures(errors_rad: Array) -> Array:
    """Return Acc pi/6, Acc pi/18 and the median in degrees (3, B) of errors (B, N)."""
    shares = [(errors_rad < math.pi / part).mean(axis=1) for part in (6, 18)]
    return np.stack([*shares, np.degrees(np.median(errors_rad, axis=1))])


def _replicates(errors_rad: Array, seed: int, group: int, resamples: int) -> Array:
    """Compute the figures (3, resamples) of images drawn with replacement, each group with its own draws."""
    rng = np.random.default_rng([seed, _STREAM, group])
    count = len(errors_rad)
    chunk = max(1, _CHUNK_NUMBERS // count)
    sizes = [min(chunk, resamples - start) for start in range(0, resamples, chunk)]
    return np.concatenate([_figures(errors_rad[rng.integers(0, count, (size, count))]) for size in sizes], axis=1)


def _percentiles(replicates: Array, level: float) -> Intervals:
    tail = 50 * (1 - level)
    low, high = np.percentile(replicates, [tail, 100 - tail], axis=1).tolist()
    a, b, c = zip(low, high, strict=True)
    return Intervals(acc_pi_6=a, acc_pi_18=b, median_deg=c)


def _checked(errors_rad: Tensor, resamples: int, level: float) -> Array:
    if errors_rad.numel() == 0:
        raise ValueError("no image to evaluate")
    if resamples < 1 or not 0 < level < 1:
        raise ValueError(f"resamples {resamples} and level {level}: give at least 1, and a level between 0 and 1")
    return np.asarray(errors_rad.double().nan_to_num(nan=math.pi).cpu().numpy(), dtype=np.float64)


def intervals(errors_rad: Tensor, seed: int, *, resamples: int = RESAMPLES, level: float = LEVEL) -> Intervals:
    """Compute percentile bootstrap intervals over images of errors (N,) in radians; a NaN counts as pi.

    ValueError if there is no image, no resample, or a level outside (0, 1).
    """
    return _percentiles(_replicates(_checked(errors_rad, resamples, level), seed, 0, resamples), level)


def grouped_intervals(
    errors_rad: Tensor, groups: Sequence[str], seed: int, *, resamples: int = RESAMPLES, level: float = LEVEL
) -> Grouped[Intervals]:
    """Compute the intervals of `grouped_metrics`.

    Within each group its images are drawn again, for `pooled` all images; the two means over groups draw within every
    group, so the groups keep their sizes. Errors as `intervals`.
    """
    errors = _checked(errors_rad, resamples, level)
    indices = members(groups)
    drawn = np.stack([_replicates(errors[held], seed, i, resamples) for i, held in enumerate(indices.values())])
    sizes = [len(held) for held in indices.values()]
    return Grouped(
        groups={name: _percentiles(group, level) for name, group in zip(indices, drawn, strict=True)},
        pooled=intervals(errors_rad, seed, resamples=resamples, level=level),
        weighted=_percentiles(np.average(drawn, axis=0, weights=sizes), level),
        unweighted=_percentiles(drawn.mean(axis=0), level),
    )


def over_seeds(runs: Sequence[Mapping[str, float]]) -> dict[str, Spread]:
    """Compute mean and sample standard deviation of every figure over runs that differ only in their seed.

    Each run is {figure: value}, such as `PoseMetrics.as_dict()`.

    ValueError for fewer than two runs, or if they name different figures.
    """
    if len(runs) < 2:
        raise ValueError(f"{len(runs)} run: a spread over seeds needs at least two")
    names = list(runs[0])
    other = next((run for run in runs if set(run) != set(names)), None)
    if other is not None:
        raise ValueError(f"the runs hold different figures: {sorted(names)} and {sorted(other)}")
    values = np.array([[run[name] for name in names] for run in runs], dtype=np.float64)
    means, stds = values.mean(axis=0).tolist(), values.std(axis=0, ddof=1).tolist()
    return {name: Spread(mean=m, std=s, n=len(runs)) for name, m, s in zip(names, means, stds, strict=True)}
