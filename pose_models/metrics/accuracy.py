"""Accuracy under an angle and the median error, and what chance gives."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from pose_models.geometry import rotation_error_rad


@dataclass(frozen=True, kw_only=True)
class PoseMetrics:
    """Share of images (0..1) with a rotation error strictly below pi/6 and pi/18, the median error in degrees,
    and the number of images."""

    acc_pi_6: float
    acc_pi_18: float
    median_deg: float
    n: int

    def as_dict(self) -> dict[str, float]:
        """Return the fields by name."""
        return asdict(self)


def pose_metrics(errors_rad: Tensor) -> PoseMetrics:
    """Compute the metrics of rotation errors (N,) in radians; a NaN counts as pi. ValueError if there are none."""
    if errors_rad.numel() == 0:
        raise ValueError("no image to evaluate")
    errors = errors_rad.double().nan_to_num(nan=math.pi)
    return PoseMetrics(
        acc_pi_6=float((errors < math.pi / 6).double().mean()),
        acc_pi_18=float((errors < math.pi / 18).double().mean()),
        median_deg=math.degrees(float(errors.quantile(0.5))),
        n=errors.numel(),
    )


def haar_share_below(angle_rad: float) -> float:
    """Return P(error < angle) of a uniformly random rotation against any other: (t - sin t) / pi."""
    return (angle_rad - math.sin(angle_rad)) / math.pi


def random_rotation_metrics(n: int) -> PoseMetrics:
    """Return the exact chance row: a uniformly random rotation for each of `n` images, whatever their labels."""
    low, high = 0.0, math.pi
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if haar_share_below(middle) < 0.5 else (low, middle)
    return PoseMetrics(
        acc_pi_6=haar_share_below(math.pi / 6),
        acc_pi_18=haar_share_below(math.pi / 18),
        median_deg=math.degrees(low),
        n=n,
    )


def most_frequent_rotation(R_cam_obj: Tensor) -> Tensor:
    """Return the rotation (3, 3), among (N, 3, 3), that has most of the others within pi/6; the first of equals."""
    counts = torch.stack([(rotation_error_rad(R_cam_obj, R) < math.pi / 6).sum() for R in R_cam_obj])
    return R_cam_obj[int(counts.argmax())]
