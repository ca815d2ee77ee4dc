"""The rotation error of objects that look the same after turns about their axes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from p3d_gen.core.symmetry import Symmetry
from pose_models.geometry import rotation_about, rotation_error_rad


def _angle_rad(a: Tensor, b: Tensor) -> Tensor:
    """Return angles (...) between unit vectors (..., 3), to full precision also near 0 and pi."""
    return 2 * torch.atan2(torch.linalg.vector_norm(a - b, dim=-1), torch.linalg.vector_norm(a + b, dim=-1))


def symmetry_error_rad(R_predicted: Tensor, R_true: Tensor, symmetry: Symmetry) -> Tensor:
    """Return geodesic angles (...) in [0, pi] between rotations (..., 3, 3), the least over a symmetry.

    Turns by any angle about an axis u: the least is the angle b between the two axes R u. With u = z, Rp^T R is
    Rz(f) Ry(b) Rz(g), so the trace of Rp^T R Rz(t) is (1 + cos b) cos(f + g + t) + cos b, greatest at 1 + 2 cos b. A
    half turn that reverses u adds the angle between Rp (-u) and R u. The error of a sphere is 0. NaN if a rotation is.
    """
    if symmetry.is_none:
        return rotation_error_rad(R_predicted, R_true)
    group = torch.tensor(symmetry.group).to(R_true)
    if symmetry.is_sphere:
        return 0 * rotation_error_rad(R_predicted, R_true)
    if symmetry.continuous_axis is not None:
        axis = torch.tensor(symmetry.continuous_axis, dtype=R_true.dtype, device=R_true.device)
        turned = (group.mT @ axis).mT
        return _angle_rad((R_predicted @ turned).mT, (R_true @ axis)[..., None, :]).amin(dim=-1)
    # The trace of Rp^T R g tells the nearest turn; the error itself is exact near 0 and pi, too.
    nearest = torch.einsum("...ij,gji->...g", R_predicted.mT @ R_true, group).argmax(dim=-1)
    return rotation_error_rad(R_predicted, R_true @ group[nearest])


def canonical_rotations(R: Tensor, symmetry: Symmetry, reference: Tensor) -> Tensor:
    """Return, of the rotations that show the same as each of R (..., 3, 3), the one nearest to a reference (3, 3).

    All that show the same give the same rotation: a target that a classifier can learn. For turns Rz(t) about an axis
    the nearest has t = atan2(tr(A K), tr A - u A u) with A = R0^T R, R0 the reference, and K the cross product with
    the axis u.
    """
    if symmetry.is_none:
        return R
    front = reference.to(R)
    if symmetry.is_sphere:
        return front.expand_as(R)
    group = torch.tensor(symmetry.group).to(R)
    turned = R[..., None, :, :] @ group
    if symmetry.continuous_axis is not None:
        u = torch.tensor(symmetry.continuous_axis, dtype=R.dtype, device=R.device)
        x, y, z = u
        o = torch.zeros_like(x)
        cross = torch.stack([o, -z, y, z, o, -x, -y, x, o]).view(3, 3)
        relative = group @ (front.mT @ R)[..., None, :, :]
        along = torch.einsum("i,...ij,j->...", u, relative, u)
        angle = torch.atan2(
            torch.einsum("...ij,ji->...", relative, cross), relative.diagonal(dim1=-2, dim2=-1).sum(-1) - along
        )
        turned = R[..., None, :, :] @ rotation_about(u.expand(*angle.shape, 3), angle) @ group
    best = torch.einsum("ij,...gij->...g", front, turned).argmax(dim=-1)
    return turned.take_along_dim(best[..., None, None, None], dim=-3).squeeze(-3)


def symmetric_error_rad(R_predicted: Tensor, R_true: Tensor, symmetries: Sequence[Symmetry]) -> Tensor:
    """Return geodesic angles (N,) in [0, pi] between rotations (N, 3, 3), the least over each object's own symmetry.

    symmetries: one for each rotation. NaN if a rotation is NaN.
    """
    if len(symmetries) != len(R_true):
        raise ValueError(f"{len(symmetries)} symmetries of {len(R_true)} rotations: give one for each")
    errors = torch.empty(len(symmetries), dtype=R_true.dtype, device=R_true.device)
    rows: dict[Symmetry, list[int]] = {}
    for row, symmetry in enumerate(symmetries):
        rows.setdefault(symmetry, []).append(row)
    for symmetry, chosen in rows.items():
        errors[chosen] = symmetry_error_rad(R_predicted[chosen], R_true[chosen], symmetry)
    return errors
