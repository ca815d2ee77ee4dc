"""Viewpoints as classes: azimuth, elevation and in-plane angle, each in bins of a full circle.

With n bins of width w = 2 pi / n, azimuth bin k holds [k w, (k + 1) w); elevation and theta bin k hold
(k w - pi, (k + 1) w - pi], so that with odd n the middle bin is centred on 0. The same bins serve Viewpoints and
Keypoints, StarMap, and NeMo's Res50-General, where n is 21 or 41.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

Decode = Literal["centre", "edge"]
_CENTRE = {"centre": (0.5, 0.5, 0.5), "edge": (0.5, 0.0, 0.0)}


def bins_of(viewpoints_rad: Tensor, bins: int) -> Tensor:
    """Bins (..., 3), int64 in 0..bins-1, of viewpoints (..., 3) = azimuth, elevation, theta, any turns of them."""
    turns = viewpoints_rad / (2 * math.pi) * bins
    half = torch.ceil(turns[..., 1:] + bins / 2) - 1
    return torch.cat([torch.floor(turns[..., :1]), half], dim=-1).long().remainder(bins)


def viewpoints_of(found: Tensor, bins: int, decode: Decode) -> Tensor:
    """Viewpoints (..., 3) in radians of bins (..., 3): azimuth in [0, 2 pi), elevation and theta in [-pi, pi).

    "centre" gives the centre of each bin. "edge" is what the released code of StarMap and NeMo does: azimuth at the
    centre, elevation and theta at the lower edge, half a bin too low (with 41 bins by 4.39 degrees, with 21 by 8.57).
    """
    within = torch.tensor(_CENTRE[decode], dtype=torch.float64, device=found.device)
    start = torch.tensor([0.0, -math.pi, -math.pi], dtype=torch.float64, device=found.device)
    return (found + within) * (2 * math.pi / bins) + start


def mirrored_bins(scores: Tensor) -> Tensor:
    """Scores (..., 3, bins) of the mirrored picture: those of azimuth and theta in reverse, elevation's as they are."""
    azimuth, elevation, theta = scores.unbind(-2)
    return torch.stack([azimuth.flip(-1), elevation, theta.flip(-1)], dim=-2)
