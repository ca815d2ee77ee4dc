"""The papers' pose metrics: errors with and without symmetry, means over categories, intervals, chance, confusions,
and how far the confidence can be trusted."""

from pose_models.metrics.accuracy import (
    PoseMetrics,
    haar_share_below,
    most_frequent_rotation,
    pose_metrics,
    random_rotation_metrics,
)
from pose_models.metrics.bootstrap import Intervals, Spread, grouped_intervals, intervals, over_seeds
from pose_models.metrics.confusion import CONFUSIONS, confusions
from pose_models.metrics.groups import Grouped, grouped_metrics
from pose_models.metrics.selective import RiskCoverage, risk_coverage
from pose_models.metrics.summary import prediction_errors, summary
from pose_models.metrics.symmetry import canonical_rotations, symmetric_error_rad, symmetry_error_rad

__all__ = [
    "CONFUSIONS",
    "Grouped",
    "Intervals",
    "PoseMetrics",
    "RiskCoverage",
    "Spread",
    "canonical_rotations",
    "confusions",
    "grouped_intervals",
    "grouped_metrics",
    "haar_share_below",
    "intervals",
    "most_frequent_rotation",
    "over_seeds",
    "pose_metrics",
    "prediction_errors",
    "random_rotation_metrics",
    "risk_coverage",
    "summary",
    "symmetric_error_rad",
    "symmetry_error_rad",
]
