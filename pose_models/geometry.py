"""The torch twin of `p3d_gen.core.geometry`: the same frames and conventions, batched and on any device.

Frames are those of `p3d_gen.core.geometry`: obj (z up, front at -y), cam (OpenCV: x right, y down, z forward).
Leading dimensions `...` broadcast.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F


def rot_z(angle_rad: Tensor) -> Tensor:
    """Return rotations (..., 3, 3) by `angle_rad` (...) about z, counter-clockwise seen from +z."""
    c, s = torch.cos(angle_rad), torch.sin(angle_rad)
    o, i = torch.zeros_like(c), torch.ones_like(c)
    return torch.stack([c, -s, o, s, c, o, o, o, i], dim=-1).unflatten(-1, (3, 3))


def _rot_x(angle_rad: Tensor) -> Tensor:
    c, s = torch.cos(angle_rad), torch.sin(angle_rad)
    o, i = torch.zeros_like(c), torch.ones_like(c)
    return torch.stack([i, o, o, o, c, -s, o, s, c], dim=-1).unflatten(-1, (3, 3))


def rotation_cam_obj(viewpoints_rad: Tensor) -> Tensor:
    """Return OpenCV rotations (..., 3, 3) of viewpoints (..., 3) = azimuth, elevation, theta.

    diag(1, -1, -1) Rz(theta) Rx(e - pi/2) Rz(-a), the PASCAL3D+ convention.
    """
    azimuth, elevation, theta = viewpoints_rad.unbind(-1)
    R_gl = rot_z(theta) @ _rot_x(elevation - math.pi / 2) @ rot_z(-azimuth)
    return R_gl * R_gl.new_tensor([[1.0], [-1.0], [-1.0]])


def viewpoint_of(R_cam_obj: Tensor) -> Tensor:
    """Return viewpoints (..., 3) = azimuth in [0, 2 pi), elevation, theta of OpenCV rotations (..., 3, 3).

    At the poles, where azimuth and theta are one angle, the split between them is arbitrary.
    """
    R = R_cam_obj * R_cam_obj.new_tensor([[1.0], [-1.0], [-1.0]])
    elevation = torch.asin(R[..., 2, 2].clamp(-1.0, 1.0))
    azimuth = torch.atan2(R[..., 2, 0], -R[..., 2, 1]).remainder(2 * math.pi)
    theta = torch.atan2(-R[..., 0, 2], R[..., 1, 2])
    return torch.stack([azimuth, elevation, theta], dim=-1)


def rotation_about(axes: Tensor, angle_rad: Tensor) -> Tensor:
    """Return rotations (..., 3, 3) by `angle_rad` (...) about unit axes (..., 3), by Rodrigues' formula."""
    x, y, z = axes.unbind(-1)
    o = torch.zeros_like(x)
    cross = torch.stack([o, -z, y, z, o, -x, -y, x, o], dim=-1).unflatten(-1, (3, 3))
    angle = angle_rad[..., None, None]
    return torch.eye(3).to(axes) + torch.sin(angle) * cross + (1 - torch.cos(angle)) * (cross @ cross)


def pose(R_cam_obj: Tensor, t_cam: Tensor) -> Tensor:
    """Return poses cam_T_obj (..., 4, 4) from rotations (..., 3, 3) and translations (..., 3)."""
    out = torch.zeros(*R_cam_obj.shape[:-2], 4, 4, dtype=R_cam_obj.dtype, device=R_cam_obj.device)
    out[..., :3, :3], out[..., :3, 3], out[..., 3, 3] = R_cam_obj, t_cam, 1.0
    return out


def transform(cam_T_obj: Tensor, points: Tensor) -> Tensor:
    """Return points (..., N, 3) mapped by rigid transforms (..., 4, 4)."""
    return points @ cam_T_obj[..., :3, :3].mT + cam_T_obj[..., None, :3, 3]


def camera_centre(cam_T_obj: Tensor) -> Tensor:
    """Return camera centres (..., 3) in obj axes: -R^T t."""
    return -(cam_T_obj[..., :3, :3].mT @ cam_T_obj[..., :3, 3:]).squeeze(-1)


def project(points_cam: Tensor, K: Tensor) -> Tensor:
    """Project points (..., N, 3) in cam axes by K (..., 3, 3) to pixels (..., N, 2), x then y; NaN if z <= 0."""
    z = points_cam[..., 2:]
    z = torch.where(z > 0, z, torch.full_like(z, math.nan))
    return (points_cam @ K.mT)[..., :2] / z


def hflip(cam_T_obj: Tensor, K: Tensor, width: float) -> tuple[Tensor, Tensor]:
    """Return poses (..., 4, 4) and cameras (..., 3, 3) after mirroring an image of that width.

    The object must be symmetric in its x; the same as `p3d_gen.core.geometry.hflip`.
    """
    flip = cam_T_obj.new_tensor([-1.0, 1.0, 1.0, 1.0])
    mirrored = K.clone()
    mirrored[..., 0, 2] = width - K[..., 0, 2]
    # By element: the translation of a pose without a rotation (NaN) stays known.
    return flip[:, None] * cam_T_obj * flip, mirrored


def box_intrinsics(R_cam_obj: Tensor, outlines: Tensor, distance: float, box_xyxy: Tensor) -> Tensor:
    """Return K (..., 3, 3) for rotations (..., 3, 3) of an object on the optical axis at `distance`.

    Its principal point and its two focal lengths make the mean of the CAD models' projected boxes, from their
    `outlines` (C, N, 3), equal to the box (..., 4). The focal lengths differ as far as the object's proportions differ
    from the mean's.
    """
    points = outlines.flatten(0, 1) @ R_cam_obj.mT
    points = (points[..., :2] / (points[..., 2:] + distance)).unflatten(-2, outlines.shape[:2])
    low, high = points.amin(-2).mean(-2), points.amax(-2).mean(-2)
    corners = box_xyxy.unflatten(-1, (2, 2))
    focal = (corners[..., 1, :] - corners[..., 0, :]) / (high - low)
    K = torch.diag_embed(F.pad(focal, (0, 1), value=1.0))
    K[..., :2, 2] = corners.mean(-2) - focal * (low + high) / 2
    return K


def rotation_error_rad(R_a: Tensor, R_b: Tensor) -> Tensor:
    """Return geodesic angles (...) in [0, pi] between rotations: 2 asin(|R_a - R_b|_F / (2 sqrt 2))."""
    chord = torch.linalg.matrix_norm(R_a - R_b) / (2 * math.sqrt(2))
    return 2 * torch.asin(chord.clamp(max=1.0))


def random_rotations(count: int, generator: torch.Generator) -> Tensor:
    """Draw rotations (count, 3, 3), float64, uniform on SO(3) (Haar), from normalised Gaussian quaternions."""
    q = torch.randn(count, 4, generator=generator, dtype=torch.float64)
    w, x, y, z = F.normalize(q, dim=1).unbind(1)
    rows = [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)]
    rows += [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)]
    rows += [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)]
    return torch.stack(rows, dim=1).unflatten(1, (3, 3))


def viewpoint_grid(azimuths: int, elevations_deg: Sequence[float], thetas_deg: Sequence[float]) -> Tensor:
    """Return all combinations (P, 3) in radians of azimuths, elevations and in-plane angles, azimuth slowest.

    azimuths: number of equal steps around the circle, without its end. NeMo: 12, (-30, 0, 30, 60), (-30, 0, 30) gives
    144.
    """
    steps = [360.0 * i / azimuths for i in range(azimuths)]
    return torch.tensor(list(itertools.product(steps, elevations_deg, thetas_deg))).deg2rad()
