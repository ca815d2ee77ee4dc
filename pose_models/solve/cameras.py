"""The place of an object with a hypothesised rotation, and the camera that sees it: annotated, or taken from its
box."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pose_models import geometry
from pose_models.nmm import NeuralMesh


@dataclass(frozen=True, kw_only=True)
class CameraRule:
    """From rotations to poses and cameras, for each of B images; made by `known_camera`, `box_camera`, `camera_rule`.

    known (B,) bool: which images have translation_cam (B, 3) and K (B, 3, 3); the others have box_xyxy (B, 4), in
    canvas pixels, to be matched by outlines (C, N, 3) at `distance`. boxes: whether there are such others.
    """

    known: Tensor
    translation_cam: Tensor
    K: Tensor
    box_xyxy: Tensor
    outlines: Tensor
    distance: float
    boxes: bool

    def take(self, images: Tensor) -> CameraRule:
        """Return the rule for some of the images (N,), in the given order."""
        return CameraRule(
            known=self.known[images],
            translation_cam=self.translation_cam[images],
            K=self.K[images],
            box_xyxy=self.box_xyxy[images],
            outlines=self.outlines,
            distance=self.distance,
            boxes=self.boxes,
        )

    def __call__(self, R: Tensor) -> tuple[Tensor, Tensor]:
        """Return cam_T_obj (B, P, 4, 4) and K (B, P, 3, 3) of rotations (B, P, 3, 3), or (1, P, 3, 3), the same for
        all."""
        shape = len(self.known), R.shape[1], 3
        R_all = R.expand(*shape, 3)
        translation, K = self.translation_cam[:, None].expand(shape), self.K[:, None].expand(*shape, 3)
        if self.boxes:
            known = self.known[:, None, None]
            axis = R.new_tensor([0.0, 0.0, self.distance])
            translation = torch.where(known, translation, axis)
            K = torch.where(known[..., None], K, self._fitted(R, _extremes(R, self.outlines, self.distance)))
        return geometry.pose(R_all, translation), K

    def K_slopes(self, R: Tensor) -> Tensor:
        """Return the derivatives of K, (B, 3, 3, 3), with turns of R (B, 3, 3) about the camera's x, y and z.

        [:, i] is dK / dturn_i, for a turn R -> exp(turn) R. 0 for annotated cameras.
        """
        if not self.boxes:
            return R.new_zeros(len(R), 3, 3, 3)
        ends = _extremes(R, self.outlines, self.distance)
        corners = self.box_xyxy.unflatten(-1, (2, 2))
        (low, d_low), (high, d_high) = (_mean_corner_slopes(R, self.outlines, index, self.distance) for index in ends)
        focal = ((corners[:, 1] - corners[:, 0]) / (high - low))[:, None]
        d_focal = -focal * (d_high - d_low) / (high - low)[:, None]
        d_offset = -(d_focal * (low + high)[:, None] + focal * (d_low + d_high)) / 2
        slopes = torch.diag_embed(torch.nn.functional.pad(d_focal, (0, 1)))
        slopes = slopes + torch.nn.functional.pad(d_offset[..., None], (2, 0, 0, 1))
        return slopes.where(~self.known[:, None, None, None], 0.0)

    def _fitted(self, R: Tensor, ends: tuple[Tensor, Tensor]) -> Tensor:
        corners = self.box_xyxy[:, None].unflatten(-1, (2, 2))
        middle, size = corners.mean(2), corners[:, :, 1] - corners[:, :, 0]
        low, high = (_mean_corner(R, self.outlines, index, self.distance) for index in ends)
        focal = size / (high - low)
        offset = middle - focal * (low + high) / 2
        diagonal = torch.nn.functional.pad(focal, (0, 1), value=1.0)
        return torch.diag_embed(diagonal) + torch.nn.functional.pad(offset[..., None], (2, 0, 0, 1))


def _extremes(R: Tensor, outlines: Tensor, distance: float) -> tuple[Tensor, Tensor]:
    """Find the points of outlines (C, N, 3) that project leftmost and topmost, and rightmost and lowest: two (..., C,
    2)."""
    with torch.no_grad():
        # Points along the last axis: the search for the extremes reads memory in order.
        points = R @ outlines.flatten(0, 1).mT
        seen = (points[..., :2, :] / (points[..., 2:, :] + distance)).unflatten(-1, outlines.shape[:2])
        return seen.argmin(-1).mT, seen.argmax(-1).mT


def _mean_corner(R: Tensor, outlines: Tensor, index: Tensor, distance: float) -> Tensor:
    """Return a corner (..., 2) of the mean over CADs of their boxes, at focal length 1, for rotations (..., 3, 3) of
    objects on the optical axis.

    It is the mean x of the points index[..., 0] and the mean y of index[..., 1]. Differentiable in R, only through
    these points.
    """
    ends = []
    for axis in range(2):
        points = _points(R, outlines, index[..., axis])
        ends.append((points[..., axis] / (points[..., 2] + distance)).mean(-1))
    return torch.stack(ends, dim=-1)


def _mean_corner_slopes(R: Tensor, outlines: Tensor, index: Tensor, distance: float) -> tuple[Tensor, Tensor]:
    """Return `_mean_corner` (N, 2), and its derivatives (N, 3, 2) with turns about the camera's x, y and z."""
    ends, slopes = [], []
    for axis in range(2):
        points = _points(R, outlines, index[..., axis])
        depth = points[..., 2] + distance
        end = points[..., axis] / depth
        moves = torch.linalg.cross(torch.eye(3).to(R)[None, :, None], points[:, None])
        ends.append(end.mean(-1))
        slopes.append(((moves[..., axis] - end[:, None] * moves[..., 2]) / depth[:, None]).mean(-1))
    return torch.stack(ends, dim=-1), torch.stack(slopes, dim=-1)


def _points(R: Tensor, outlines: Tensor, index: Tensor) -> Tensor:
    """Return one point of each CAD's outline, in cam axes less the translation: (..., C, 3) of index (..., C)."""
    return outlines[torch.arange(len(outlines), device=outlines.device), index] @ R.mT


def known_camera(translation_cam: Tensor, K: Tensor) -> CameraRule:
    """Make the rule for annotated images: translations (B, 3) and K (B, 3, 3), canvas pixels, hold for every
    rotation."""
    count = len(K)
    return CameraRule(
        known=torch.ones(count, dtype=torch.bool, device=K.device),
        translation_cam=translation_cam,
        K=K,
        box_xyxy=K.new_zeros(count, 4),
        outlines=K.new_zeros(1, 1, 3),
        distance=1.0,
        boxes=False,
    )


def box_camera(box_xyxy: Tensor, outlines: Tensor, distance: float) -> CameraRule:
    """Make the rule for images of which only the objects' boxes (B, 4), in canvas pixels, are known.

    For every rotation the object stands on the optical axis at `distance`, and the principal point and the two focal
    lengths are those that give the mean of the CADs' projected boxes, from `outlines` (C, N, 3), the image's box. The
    two focal lengths differ as far as the object's proportions differ from the CADs' mean.
    """
    count = len(box_xyxy)
    return CameraRule(
        known=torch.zeros(count, dtype=torch.bool, device=box_xyxy.device),
        translation_cam=box_xyxy.new_zeros(count, 3),
        K=torch.eye(3).to(box_xyxy).repeat(count, 1, 1),
        box_xyxy=box_xyxy,
        outlines=outlines,
        distance=distance,
        boxes=True,
    )


def camera_rule(
    mesh: NeuralMesh, cam_T_obj: Tensor, K: Tensor, box_xyxy: Tensor, distance: float | None = None
) -> CameraRule:
    """Make the rule for the images of a batch.

    An image with a finite annotated translation, in cam_T_obj (B, 4, 4), and a finite K (B, 3, 3) keeps them; else the
    camera comes from its box (B, 4), at `distance`, None for the mesh's mean training distance.
    """
    known = torch.isfinite(K).all(-1).all(-1) & torch.isfinite(cam_T_obj[:, :3, 3]).all(-1)
    return CameraRule(
        known=known,
        translation_cam=cam_T_obj[:, :3, 3].where(known[:, None], 0.0),
        K=K.where(known[:, None, None], torch.eye(3).to(K)),
        box_xyxy=box_xyxy,
        outlines=mesh.outlines,
        distance=mesh.spec.distance if distance is None else distance,
        boxes=not bool(known.all()),
    )
