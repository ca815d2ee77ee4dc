"""Everything that an evaluation says about a list of predictions, in one value that goes to JSON and to tables."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from p3d_gen.core.categories import BUILTIN
from p3d_gen.core.errors import DataError
from p3d_gen.core.symmetry import Symmetry
from p3d_gen.core.types import Array
from pose_models.geometry import rotation_error_rad
from pose_models.metrics.accuracy import PoseMetrics, pose_metrics, random_rotation_metrics
from pose_models.metrics.bootstrap import LEVEL, RESAMPLES, Intervals, grouped_intervals
from pose_models.metrics.confusion import confusions
from pose_models.metrics.facing import facings
from pose_models.metrics.groups import Grouped, grouped_metrics, members
from pose_models.metrics.selective import RiskCoverage, risk_coverage
from pose_models.metrics.symmetry import symmetric_error_rad
from pose_models.prediction import Prediction

MODEL, SYMMETRY_AWARE = "model", "model, symmetry-aware"
RANDOM, MOST_FREQUENT = "chance: random rotation", "chance: most frequent pose"
BUILTIN_SYMMETRIES = {name: definition.symmetry for name, definition in BUILTIN.items()}
Rows = dict[str, Grouped[PoseMetrics]]
Ends = dict[str, Grouped[Intervals]]


@dataclass(frozen=True, kw_only=True)
class Summary:
    """names, errors_rad (N): each image, "SUBSET/KEY" where it has a subset, and its error, pi where no pose was found.
    unsolved: how many those are.

    per_category, per_facing, per_subset: rows of metrics (the model, with symmetry where a category has one, chance) by
        category, by the side that is seen (`facings`) and by part of the benchmark; no row of per_subset where the
        images name no parts.
    intervals, facing_intervals, subset_intervals: of the same rows but the exact chance, over `resamples` bootstrap
        samples from `seed`.
    confusion: shares by kind of error, of all images and per category.
    risk: the risk-coverage curves for errors of pi/6 and pi/18.
    category_counts: {true: {predicted: images}}. acc_pi_6_and_category: share of images right in both.
    symmetries: of each category, as used by the symmetry-aware row for images that do not tell that of their object.
    """

    names: list[str]
    errors_rad: list[float]
    unsolved: int
    per_category: Rows
    per_facing: Rows
    per_subset: Rows
    intervals: Ends
    facing_intervals: Ends
    subset_intervals: Ends
    resamples: int
    seed: int
    confusion: dict[str, float]
    confusion_per_category: dict[str, dict[str, float]]
    risk: dict[str, RiskCoverage]
    category_counts: dict[str, dict[str, int]]
    acc_pi_6_and_category: float
    symmetries: dict[str, Symmetry]

    @property
    def rows(self) -> dict[str, PoseMetrics]:
        """Return the metrics of all images, by row."""
        return {name: row.pooled for name, row in self.per_category.items()}

    def as_dict(self) -> dict[str, Any]:
        """Return everything for JSON; angles that have no unit in their name are in degrees, shares in 0..1."""
        right = sum(counts.get(name, 0) for name, counts in self.category_counts.items())
        return {
            "images": len(self.names),
            "unsolved": self.unsolved,
            "rows": {name: row.as_dict() for name, row in self.rows.items()},
            "bootstrap": {"level": LEVEL, "resamples": self.resamples, "seed": self.seed},
            "intervals": {name: ends.map(Intervals.as_dict) for name, ends in self.intervals.items()},
            "per_category": {name: row.map(PoseMetrics.as_dict) for name, row in self.per_category.items()},
            "per_facing": {name: row.map(PoseMetrics.as_dict) for name, row in self.per_facing.items()},
            "facing_intervals": {name: ends.map(Intervals.as_dict) for name, ends in self.facing_intervals.items()},
            "per_subset": {name: row.map(PoseMetrics.as_dict) for name, row in self.per_subset.items()},
            "subset_intervals": {name: ends.map(Intervals.as_dict) for name, ends in self.subset_intervals.items()},
            "confusion": self.confusion,
            "confusion_per_category": self.confusion_per_category,
            "risk_coverage": {name: curve.as_dict() for name, curve in self.risk.items()},
            "category": {
                "accuracy": right / len(self.names),
                "acc_pi_6_and_category": self.acc_pi_6_and_category,
                "counts": self.category_counts,
            },
            "symmetry_order": {name: symmetry.z_order for name, symmetry in self.symmetries.items()},
            "symmetries": {name: symmetry.texts() for name, symmetry in self.symmetries.items()},
            "error_deg": {k: math.degrees(e) for k, e in zip(self.names, self.errors_rad, strict=True)},
        }


def _rotations(predictions: Sequence[Prediction]) -> tuple[Tensor, Tensor]:
    predicted, truth = ([getattr(p, name) for p in predictions] for name in ("R_predicted", "R_true"))
    return torch.from_numpy(np.stack(predicted)), torch.from_numpy(np.stack(truth))


def prediction_errors(predictions: Sequence[Prediction], symmetries: Mapping[str, Symmetry] | None = None) -> Tensor:
    """Compute rotation errors (N,) in radians, float64, NaN if no pose was found.

    With `symmetries` ({category: symmetry}, none if a category is missing) it is the least over the turns that leave
    the object as it is: by its own symmetry where the prediction has one.

    ValueError if there is no prediction.
    """
    if not predictions:
        raise ValueError("no image to evaluate")
    predicted, truth = _rotations(predictions)
    if symmetries is None:
        return rotation_error_rad(predicted, truth)
    return symmetric_error_rad(predicted, truth, _symmetries(predictions, symmetries))


def _symmetries(predictions: Sequence[Prediction], symmetries: Mapping[str, Symmetry]) -> list[Symmetry]:
    return [symmetries.get(p.category, Symmetry.NONE) if p.symmetry is None else p.symmetry for p in predictions]


def _names(predictions: Sequence[Prediction]) -> list[str]:
    names = [f"{p.subset}/{p.key}" if p.subset else p.key for p in predictions]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise DataError(f"{twice[0]} was predicted more than once; give one prediction for each image")
    return names


def _random_row(groups: Sequence[str]) -> Grouped[PoseMetrics]:
    whole = random_rotation_metrics(len(groups))
    parts = {name: random_rotation_metrics(len(held)) for name, held in members(groups).items()}
    return Grouped(groups=parts, pooled=whole, weighted=whole, unweighted=whole)


def _mode_errors(predictions: Sequence[Prediction], mode_rotations: Mapping[str, Array]) -> Tensor:
    missing = sorted({p.category for p in predictions} - set(mode_rotations))
    if missing:
        raise ValueError(f"no most frequent training rotation of {missing[0]!r}; give one for every category, or none")
    modes = torch.from_numpy(np.stack([mode_rotations[p.category] for p in predictions]).astype(np.float64))
    return rotation_error_rad(modes, _rotations(predictions)[1])


def _other_errors(
    predictions: Sequence[Prediction], symmetries: Mapping[str, Symmetry], mode_rotations: Mapping[str, Array] | None
) -> dict[str, Tensor]:
    """Return the errors of the rows below the model's: with symmetry if an object has one, and of the modes."""
    by_row = {}
    if not all(symmetry.is_none for symmetry in _symmetries(predictions, symmetries)):
        by_row[SYMMETRY_AWARE] = prediction_errors(predictions, symmetries)
    if mode_rotations is not None:
        by_row[MOST_FREQUENT] = _mode_errors(predictions, mode_rotations)
    return by_row


def _rows(errors: Mapping[str, Tensor], groups: Sequence[str]) -> Rows:
    rows = {name: grouped_metrics(row, groups) for name, row in errors.items()}
    chance = {name: rows.pop(name) for name in (MOST_FREQUENT,) if name in rows}
    return rows | {RANDOM: _random_row(groups)} | chance


def _intervals(errors: Mapping[str, Tensor], groups: Sequence[str], seed: int, resamples: int) -> Ends:
    return {name: grouped_intervals(row, groups, seed, resamples=resamples) for name, row in errors.items()}


def _category_counts(predictions: Sequence[Prediction]) -> dict[str, dict[str, int]]:
    counts: dict[str, dict[str, int]] = {name: {} for name in sorted({p.category for p in predictions})}
    for p in predictions:
        counts[p.category][p.category_predicted] = counts[p.category].get(p.category_predicted, 0) + 1
    return counts


def _confusions(predictions: Sequence[Prediction]) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    predicted, truth = _rotations(predictions)
    parts = members([p.category for p in predictions])
    return confusions(predicted, truth), {name: confusions(predicted[i], truth[i]) for name, i in parts.items()}


def summary(
    predictions: Sequence[Prediction],
    *,
    mode_rotations: Mapping[str, Array] | None = None,
    symmetries: Mapping[str, Symmetry] | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Summary:
    """Compute all figures of a list of predictions.

    mode_rotations: each category's most frequent rotation (3, 3) in training, for the row of that chance.
    symmetries: as of `prediction_errors`, None for those of the built-in categories. seed, resamples: of the bootstrap.
    ValueError if there is no prediction, an image twice, or a category without its most frequent rotation.
    """
    errors = prediction_errors(predictions)
    names = _names(predictions)
    categories, subsets = [p.category for p in predictions], [p.subset for p in predictions]
    seen = facings(_rotations(predictions)[1])
    known = BUILTIN_SYMMETRIES if symmetries is None else symmetries
    used = {name: known.get(name, Symmetry.NONE) for name in sorted(set(categories))}
    by_row = {MODEL: errors, **_other_errors(predictions, used, mode_rotations)}
    confusion, confusion_per_category = _confusions(predictions)
    confidence = torch.tensor([p.confidence for p in predictions], dtype=torch.float64)
    parts = any(subsets)
    right = torch.tensor([p.category == p.category_predicted for p in predictions])
    return Summary(
        names=names,
        errors_rad=errors.nan_to_num(nan=math.pi).tolist(),
        unsolved=sum(not p.solved for p in predictions),
        per_category=_rows(by_row, categories),
        per_facing=_rows(by_row, seen),
        per_subset=_rows(by_row, subsets) if parts else {},
        intervals=_intervals(by_row, categories, seed, resamples),
        facing_intervals=_intervals(by_row, seen, seed, resamples),
        subset_intervals=_intervals(by_row, subsets, seed, resamples) if parts else {},
        resamples=resamples,
        seed=seed,
        confusion=confusion,
        confusion_per_category=confusion_per_category,
        risk={f"pi/{part}": risk_coverage(errors, confidence, math.pi / part) for part in (6, 18)},
        category_counts=_category_counts(predictions),
        acc_pi_6_and_category=pose_metrics(errors.where(right, math.pi)).acc_pi_6,
        symmetries=used,
    )
