"""Pose inference by render-and-compare, batched over poses by the similarity volume.

Interpolation commutes with the dot product, so for one image the products of all feature cells with all vertex
features are computed once, S = F C^T, and the score of a pose is three look-ups in S for each cell it covers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from pose_models import geometry
from pose_models.backbone import STRIDE
from pose_models.losses import reconstruction
from pose_models.nmm import NeuralMeshModel
from pose_models.rasterise import rasterise

PoseRule = Callable[[Tensor], tuple[Tensor, Tensor]]
"""From rotations (P, 3, 3) to cam_T_obj (P, 4, 4) and K (P, 3, 3) in canvas pixels."""


@dataclass(frozen=True, kw_only=True)
class SolveConfig:
    """The pose grid and its refinement.

    Grid: `azimuths` steps around, with elevations and in-plane angles in degrees (NeMo: 12, 4 and 3).
    The best `starts` at least `spacing_deg` apart are refined: a step either way about each axis is tried, the best
    kept, and the step halved where none is better, from `step_deg` down to `final_step_deg`.
    """

    azimuths: int = 12
    elevations_deg: tuple[float, ...] = (-30.0, 0.0, 30.0, 60.0)
    thetas_deg: tuple[float, ...] = (-30.0, 0.0, 30.0)
    starts: int = 3
    spacing_deg: float = 30.0
    step_deg: float = 8.0
    final_step_deg: float = 0.5
    max_rounds: int = 40


@dataclass(frozen=True, kw_only=True)
class Solution:
    """R_cam_obj (3, 3): the best rotation; loss: its reconstruction loss, as in NeMo."""

    R_cam_obj: Tensor
    loss: float


def known_camera(translation_cam: Tensor, K: Tensor) -> PoseRule:
    """The rule for annotated images: translation (3,) and K (3, 3) are given, only the rotation is searched."""

    def rule(R: Tensor) -> tuple[Tensor, Tensor]:
        return geometry.pose(R, translation_cam.expand(len(R), 3)), K.expand(len(R), 3, 3)

    return rule


def box_camera(box_xyxy: Tensor, outlines: Tensor, distance: float) -> PoseRule:
    """The rule where only the object's box (4,), in canvas pixels, is known. For every rotation the object stands on
    the optical axis at `distance`, and the principal point and the two focal lengths are those that give the mean of
    the CADs' projected boxes, from `outlines` (C, N, 3), the image's box. The two focal lengths differ as far as the
    object's proportions differ from the CADs' mean."""
    corners = box_xyxy.view(2, 2)
    middle, size = corners.mean(0), corners[1] - corners[0]

    def rule(R: Tensor) -> tuple[Tensor, Tensor]:
        points = outlines.flatten(0, 1) @ R.mT
        points = (points[..., :2] / (points[..., 2:] + distance)).unflatten(1, outlines.shape[:2])
        low, high = points.amin(2).mean(1), points.amax(2).mean(1)
        K = torch.zeros_like(R)
        focal = size / (high - low)
        K[:, 0, 0], K[:, 1, 1], K[:, 2, 2] = focal[:, 0], focal[:, 1], 1.0
        K[:, :2, 2] = middle - focal * (low + high) / 2
        return geometry.pose(R, R.new_tensor([0.0, 0.0, distance]).expand(len(R), 3)), K

    return rule


class PoseScorer:
    """Reconstruction losses of many poses of one feature map against one model."""

    def __init__(self, model: NeuralMeshModel, features: Tensor) -> None:
        """Compute the similarity volume of a feature map (D, h, w)."""
        self._mesh = model.mesh
        self._hw = (features.shape[1], features.shape[2])
        cells = features.flatten(1).T
        self._similarity = cells @ model.vertex_features.T
        self._clutter = cells @ model.clutter_mean()

    def losses(self, cam_T_obj: Tensor, K: Tensor) -> Tensor:
        """Losses (P,) of poses (P, 4, 4) under K (P, 3, 3) in canvas pixels."""
        points = geometry.transform(cam_T_obj, self._mesh.vertices)
        to_cells = K.new_tensor([[1 / STRIDE], [1 / STRIDE], [1.0]])
        hits = rasterise(points, self._mesh.faces, K * to_cells, self._hw, cull=True)
        corners = self._mesh.faces[hits.face]
        looked_up = self._similarity[hits.pixel[:, None], corners]
        clutter = self._clutter.expand(len(K), -1)
        # A cell without mesh shows clutter: there the maximum must not take the mesh's empty 0.
        on_mesh = torch.full_like(clutter, -torch.inf).index_put(
            (hits.pose, hits.pixel), (looked_up * hits.barycentrics).sum(-1)
        )
        return reconstruction(on_mesh, clutter)


def solve(model: NeuralMeshModel, features: Tensor, rule: PoseRule, config: SolveConfig) -> Solution:
    """The pose with the lowest loss for one feature map (D, h, w): best of the grid's starts after refinement."""
    scorer = PoseScorer(model, features)

    def losses(R: Tensor) -> Tensor:
        return scorer.losses(*rule(R))

    views = geometry.viewpoint_grid(config.azimuths, config.elevations_deg, config.thetas_deg).to(features.device)
    grid = geometry.rotation_cam_obj(views)
    grid_losses = losses(grid)
    chosen = _spread(grid, grid_losses, config.starts, math.radians(config.spacing_deg))
    R, best = _refine(grid[chosen], grid_losses[chosen], losses, config)
    first = int(best.argmin())
    return Solution(R_cam_obj=R[first], loss=float(best[first]))


def _spread(R: Tensor, losses: Tensor, count: int, spacing_rad: float) -> Tensor:
    """Indices of the `count` lowest losses whose rotations (P, 3, 3) lie pairwise at least `spacing_rad` apart."""
    chosen: list[int] = []
    free = torch.ones_like(losses, dtype=torch.bool)
    while len(chosen) < count and bool(free.any()):
        best = int(losses.masked_fill(~free, torch.inf).argmin())
        chosen.append(best)
        free &= geometry.rotation_error_rad(R, R[best]) >= spacing_rad - 1e-4
    return torch.tensor(chosen, device=losses.device)


def _refine(
    R: Tensor, losses: Tensor, loss_of: Callable[[Tensor], Tensor], config: SolveConfig
) -> tuple[Tensor, Tensor]:
    """Coordinate search of each start (S, 3, 3), all starts in one batch: turns either way about the camera's
    three axes and about the object's z."""
    step = torch.full_like(losses, math.radians(config.step_deg))
    for _ in range(config.max_rounds):
        active = (step >= math.radians(config.final_step_deg)).nonzero(as_tuple=True)[0]
        if len(active) == 0:
            break
        here = R[active]
        axes = torch.cat([torch.eye(3).to(here).expand(len(here), 3, 3), here[:, None, :, 2]], dim=1)
        axes = torch.cat([axes, -axes], dim=1)
        tries = geometry.rotation_about(axes, step[active, None].expand(axes.shape[:2])) @ here[:, None]
        tried, which = loss_of(tries.flatten(0, 1)).view(len(here), -1).min(dim=1)
        better = tried < losses[active]
        moved = tries[torch.arange(len(here), device=here.device), which]
        R[active] = torch.where(better[:, None, None], moved, here)
        losses[active] = torch.where(better, tried, losses[active])
        step[active] = torch.where(better, step[active], step[active] / 2)
    return R, losses
