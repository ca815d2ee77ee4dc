"""The rotation error of objects that look the same after a turn about their z axis."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pose_models.geometry import rot_z, rotation_error_rad


def _axis_angle_rad(R_a: Tensor, R_b: Tensor) -> Tensor:
    """Return angles (...) between the z axes of two rotations, to full precision also near 0 and pi."""
    a, b = R_a[..., 2], R_b[..., 2]
    return 2 * torch.atan2(torch.linalg.vector_norm(a - b, dim=-1), torch.linalg.vector_norm(a + b, dim=-1))


def symmetric_error_rad(R_predicted: Tensor, R_true: Tensor, orders: Tensor) -> Tensor:
    """Return geodesic angles (N,) in [0, pi] between rotations (N, 3, 3), the least over the object's turns about z.

    orders (N,) int: n turns by 2 pi / n leave the object as it is; 1 means no symmetry, 0 stands for any angle. For any
    angle the least is the angle b between the two z axes: Rp^T R = Rz(f) Ry(b) Rz(g), so the trace of Rp^T R Rz(t) is
    (1 + cos b) cos(f + g + t) + cos b, greatest at 1 + 2 cos b. NaN if a rotation is NaN.
    """
    if bool((orders < 0).any()):
        raise ValueError(f"symmetry orders {orders.tolist()}: give 1 for none, n for n turns, 0 for any angle")
    errors = torch.empty(orders.shape, dtype=R_true.dtype, device=R_true.device)
    for order in orders.unique().tolist():
        chosen = orders == order
        predicted, truth = R_predicted[chosen], R_true[chosen]
        if order == 0:
            errors[chosen] = _axis_angle_rad(predicted, truth)
        else:
            turns = rot_z(2 * math.pi * torch.arange(order, dtype=truth.dtype, device=truth.device) / order)
            errors[chosen] = rotation_error_rad(predicted[:, None], truth[:, None] @ turns).amin(dim=1)
    return errors
