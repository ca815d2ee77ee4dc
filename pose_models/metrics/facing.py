"""The side of an object that an image shows: models mistake fronts for rears more often than one side for another."""

from __future__ import annotations

import math

from torch import Tensor

from pose_models.geometry import viewpoint_of

FACINGS = ("front", "front quarter", "side", "rear quarter", "rear")


def facings(R_true: Tensor) -> list[str]:
    """Return which of FACINGS each image shows, by the azimuth of its true rotation (N, 3, 3) in cam axes.

    The bounds lie at 22.5, 67.5, 112.5 and 157.5 degrees from the front; left and right count alike.
    """
    azimuth = viewpoint_of(R_true.double())[:, 0]
    from_front = (azimuth + math.pi).remainder(2 * math.pi).sub(math.pi).abs()
    return [FACINGS[number] for number in (from_front / (math.pi / 4)).round().long().tolist()]
