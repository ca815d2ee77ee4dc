"""Risk and coverage: how wrong the predictions are when only the most confident are kept."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from p3d_gen.core.types import Array

COVERAGES = (0.5, 0.8, 0.9, 1.0)
_CURVE_POINTS = 100


@dataclass(frozen=True, kw_only=True)
class RiskCoverage:
    """The risk-coverage curve of one threshold.

    coverage, risk (N,): of the k most confident images, k = 1..N, the share k / N and the share of errors of
        `threshold_rad` or more. Images of equal confidence count as in random order.
    aurc: the area under the curve, the mean of the risks (Geifman and El-Yaniv); best_aurc: the least that these errors
        allow, with every right image before every wrong one.
    """

    threshold_rad: float
    coverage: Array
    risk: Array
    aurc: float
    best_aurc: float

    def accuracy_at(self, coverage: float) -> float:
        """Return the share of right images among the ceil(coverage N) most confident. ValueError outside (0, 1]."""
        if not 0 < coverage <= 1:
            raise ValueError(f"coverage {coverage}: give a share above 0, up to 1")
        # 0.1 * 30 is a little more than 3
        kept = math.ceil(coverage * len(self.risk) - 1e-9)
        return 1.0 - float(self.risk[kept - 1])

    def as_dict(self) -> dict[str, Any]:
        """Return areas, the accuracy at some coverages, and at most 100 points of the curve, for JSON."""
        count = len(self.risk)
        shown = np.unique(np.ceil(np.arange(1, _CURVE_POINTS + 1) * count / _CURVE_POINTS).astype(int)) - 1
        return {
            "threshold_deg": math.degrees(self.threshold_rad),
            "aurc": self.aurc,
            "best_aurc": self.best_aurc,
            "accuracy_at_coverage": {f"{share:g}": self.accuracy_at(share) for share in COVERAGES},
            "curve": {"coverage": self.coverage[shown].tolist(), "risk": self.risk[shown].tolist()},
        }


def _risks(wrong: Array, confidence: Array) -> Array:
    """Return the share of wrong images among the k most confident (N,), k = 1..N, in expectation over the order of
    equals."""
    levels, which = np.unique(-confidence, return_inverse=True)
    sizes = np.bincount(which, minlength=len(levels))
    shares = np.bincount(which, weights=wrong, minlength=len(levels)) / sizes
    return np.asarray(np.cumsum(np.repeat(shares, sizes)) / np.arange(1, len(wrong) + 1))


def risk_coverage(errors_rad: Tensor, confidence: Tensor, threshold_rad: float = math.pi / 6) -> RiskCoverage:
    """Compute the curve of errors (N,) in radians, NaN counting as pi, by confidence (N,), higher is surer.

    ValueError if there is no image, or a confidence is not finite.
    """
    if errors_rad.numel() == 0:
        raise ValueError("no image to evaluate")
    sureness = confidence.double().cpu().numpy()
    if not np.isfinite(sureness).all():
        raise ValueError(f"confidence of image {int(np.flatnonzero(~np.isfinite(sureness))[0])} is not finite")
    errors = errors_rad.double().nan_to_num(nan=math.pi).cpu().numpy()
    wrong = (errors >= threshold_rad).astype(np.float64)
    risk = _risks(wrong, sureness)
    return RiskCoverage(
        threshold_rad=threshold_rad,
        coverage=np.arange(1, len(risk) + 1) / len(risk),
        risk=risk,
        aurc=float(risk.mean()),
        best_aurc=float(_risks(wrong, -wrong).mean()),
    )
