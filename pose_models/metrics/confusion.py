"""The names of the confusions behind the errors."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pose_models.geometry import rotation_cam_obj, rotation_error_rad, viewpoint_of

CONFUSION_RADIUS_RAD = math.pi / 6
CONFUSIONS = ("none", "front/back flip", "side mirror", "quarter turn", "other")


def confusions(R_predicted: Tensor, R_true: Tensor) -> dict[str, float]:
    """Return the shares of images by kind of error, of predicted and true rotations (N, 3, 3) in cam axes.

    none: error < pi/6. Otherwise the prediction lies within pi/6 of the truth with its azimuth turned by 180 degrees
    (front/back flip), with its azimuth negated (side mirror: left taken for right in the same facing), or with its
    azimuth turned by 90 degrees either way (quarter turn); the nearest of these names it; else other, which a NaN
    prediction also is.
    """
    truth = viewpoint_of(R_true.double())
    turn = truth.new_tensor([[1.0, 0.0, 0.0]])
    views = [truth + math.pi * turn, truth * truth.new_tensor([[-1.0, 1.0, 1.0]])]
    views += [truth + math.pi / 2 * turn, truth - math.pi / 2 * turn]
    predicted = R_predicted.double()
    distances = torch.stack([rotation_error_rad(rotation_cam_obj(view), predicted) for view in views])
    nearest, which = distances.min(dim=0)
    kind = torch.where(which == 3, 3, which + 1)
    kind = torch.where(nearest < CONFUSION_RADIUS_RAD, kind, len(CONFUSIONS) - 1)
    kind[rotation_error_rad(predicted, R_true.double()) < math.pi / 6] = 0
    return {name: float((kind == i).double().mean()) for i, name in enumerate(CONFUSIONS)}
