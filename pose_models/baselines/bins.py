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
    """Return bins (..., 3), int64 in 0..bins-1, of viewpoints (..., 3) = azimuth, elevation, theta, of any turn."""
    turns = viewpoints_rad / (2 * math.pi) * bins
    half = torch.ceil(turns[..., 1:] + bins / 2) - 1
    return torch.cat([torch.floor(turns[..., :1]), half], dim=-1).long().remainder(bins)


def viewpoints_of(indices: Tensor, bins: int, decode: Decode) -> Tensor:
    """Return viewpoints (..., 3) in radians of bins (..., 3): azimuth in [0, 2 pi), elevation, theta in [-pi, pi).

    decode "centre" gives the centre of each bin. "edge" follows the released code of StarMap and NeMo: azimuth at the
    centre, elevation and theta at the lower edge, half a bin too low (with 41 bins by 4.39 degrees, with 21 by 8.57).
    """
    within = torch.tensor(_CENTRE[decode], dtype=torch.float64, device=indices.device)
    start = torch.tensor([0.0, -math.pi, -math.pi], dtype=torch.float64, device=indices.device)
    return (indices + within) * (2 * math.pi / bins) + start


def mirrored_bins(scores: Tensor) -> Tensor:
    """Return scores (..., 3, bins) of the mirrored picture: azimuth and theta in reverse, elevation as it is."""
    azimuth, elevation, theta = scores.unbind(-2)
    return torch.stack([azimuth.flip(-1), elevation, theta.flip(-1)], dim=-2)
