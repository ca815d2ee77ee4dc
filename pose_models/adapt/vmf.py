"""Von Mises-Fisher distributions of unit features around vertices, all in logs: their densities overflow float32."""

from __future__ import annotations

import math

from scipy.special import ive
from torch import Tensor


def log_bessel_i(order: float, x: float) -> float:
    """Return ln I_order(x), order >= 0, x > 0.

    If the scaled Bessel function is 0 in floating point, or cannot be computed, Debye's expansion is used, uniform in x
    for large orders (to ~1e-9 from order 60 on).
    """
    scaled = float(ive(order, x))
    if scaled > 0 and math.isfinite(scaled):
        return math.log(scaled) + x
    z = x / order
    root = math.hypot(1.0, z)
    t = 1 / root
    eta = root + math.log(z) - math.log1p(root)
    series = 1 + (3 * t - 5 * t**3) / (24 * order) + (81 * t**2 - 462 * t**4 + 385 * t**6) / (1152 * order**2)
    series += (30375 * t**3 - 369603 * t**5 + 765765 * t**7 - 425425 * t**9) / (414720 * order**3)
    return order * eta - 0.5 * math.log(2 * math.pi * order * root) + math.log(series)


def log_normaliser(kappa: float, channels: int) -> float:
    """Return ln Z[kappa] of the density Z exp(kappa f . C) on the unit sphere of d = `channels` dimensions, kappa > 0,
    d >= 2:

    Z = kappa^(d/2 - 1) / ((2 pi)^(d/2) I_(d/2 - 1)(kappa)).
    """
    order = channels / 2 - 1
    return order * math.log(kappa) - channels / 2 * math.log(2 * math.pi) - log_bessel_i(order, kappa)


def log_likelihood(cosine: Tensor, kappa: float, channels: int) -> Tensor:
    """Return ln p(f | C) = ln Z + kappa f . C of unit features at cosines f . C (...), as in 3DUDA's equation 3.

    It rises with the cosine, so with one kappa for all vertices a threshold on it is one on the cosine.
    """
    return log_normaliser(kappa, channels) + kappa * cosine
