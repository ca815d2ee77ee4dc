"""Pose inference by render-and-compare, batched over images and hypotheses."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor

from p3d_gen.core.symmetry import Symmetry
from pose_models import geometry
from pose_models.metrics.symmetry import symmetry_error_rad
from pose_models.nmm import NeuralMesh
from pose_models.solve.cameras import CameraRule
from pose_models.solve.config import SolveConfig
from pose_models.solve.refine import Hypotheses, by_coordinates, by_gradient, hypotheses
from pose_models.solve.released import by_adam, grid_losses
from pose_models.solve.scoring import Scorer

_REFINE = {"gradient": by_gradient, "coordinate": by_coordinates, "released": by_adam}
_ANY_POSE = (12, (-75.0, -45.0, -15.0, 15.0, 45.0, 75.0), tuple(30.0 * i for i in range(12)))
_SAME_RAD = 1e-3
ConfidenceForm = Literal["mean", "positive"]


@dataclass(frozen=True, kw_only=True)
class Solutions:
    """All H refined starts of each of B images, by rising loss, and the first, the best, of each.

    hypotheses_cam_T_obj (B, H, 4, 4), hypotheses_K (B, H, 3, 3) in canvas pixels, hypotheses_loss (B, H) as in NeMo,
    hypotheses_confidence (B, H) by `confidence`.
    """

    hypotheses_cam_T_obj: Tensor
    hypotheses_K: Tensor
    hypotheses_loss: Tensor
    hypotheses_confidence: Tensor

    @property
    def cam_T_obj(self) -> Tensor:
        """Return the best poses (B, 4, 4)."""
        return self.hypotheses_cam_T_obj[:, 0]

    @property
    def R_cam_obj(self) -> Tensor:
        """Return the best rotations (B, 3, 3)."""
        return self.hypotheses_cam_T_obj[:, 0, :3, :3]

    @property
    def K(self) -> Tensor:
        """Return the best cameras (B, 3, 3)."""
        return self.hypotheses_K[:, 0]

    @property
    def loss(self) -> Tensor:
        """Return the lowest losses (B,)."""
        return self.hypotheses_loss[:, 0]

    @property
    def confidence(self) -> Tensor:
        """Return the confidences (B,) of the best poses."""
        return self.hypotheses_confidence[:, 0]


@torch.no_grad()
def solve(
    mesh: NeuralMesh,
    clutter: Tensor,
    features: Tensor,
    camera: CameraRule,
    config: SolveConfig,
    confidence_form: ConfidenceForm = "mean",
) -> Solutions:
    """Find the poses with the lowest losses for feature maps (B, D, h, w): the grid's best starts after refinement.

    clutter (D,): the rival of every vertex, `NeuralMeshModel.clutter_mean`. camera: for B images, see `camera_rule`.
    """
    if config.refine == "released":
        camera = replace(camera, refit=False)
    if len(camera.known) != len(features):
        raise ValueError(f"{len(features)} feature maps, but cameras for {len(camera.known)} images")
    scorer = Scorer(mesh, clutter, features)
    start, per_image = _starts(scorer, camera, config, mesh)
    refined = _REFINE[config.refine](scorer, camera, start, config)
    cam_T_obj, K = refined.cameras(camera)
    similarity, pose = scorer.object_similarity(refined.images, cam_T_obj, K)
    sure = confidence(similarity, pose, len(K), confidence_form)
    order = refined.loss.view(len(features), per_image).argsort(dim=1)
    rows = order + torch.arange(len(order), device=order.device)[:, None] * per_image
    return Solutions(
        hypotheses_cam_T_obj=cam_T_obj[rows],
        hypotheses_K=K[rows],
        hypotheses_loss=refined.loss[rows],
        hypotheses_confidence=sure[rows],
    )


def confidence(similarity: Tensor, pose: Tensor, poses: int, form: ConfidenceForm = "mean") -> Tensor:
    """Return S_conf of CC3D (poses,): the mean of similarity (H,) = f . C_r over the cells that each pose (H,) int64
    covers; 0 if it covers none.

    Form "positive", as released, takes only those above 0.
    """
    if form == "positive":
        pose, similarity = pose[similarity > 0], similarity[similarity > 0]
    count = torch.bincount(pose, minlength=poses)
    return similarity.new_zeros(poses).index_add(0, pose, similarity) / count.clamp(min=1)


def _starts(scorer: Scorer, camera: CameraRule, config: SolveConfig, mesh: NeuralMesh) -> tuple[Hypotheses, int]:
    """Choose the grid's best poses, image by image; returns them and their number per image.

    That is `config.starts`, or fewer if the grid has no more that lie so far apart.
    """
    symmetry = mesh.symmetry if config.symmetry else Symmetry.NONE
    views = starting_views(config, symmetry, any_pose=mesh.any_pose)
    grid = geometry.rotation_cam_obj(views.to(scorer.similarity))
    losses, log_scale = _grid(scorer, camera, config, grid)
    chosen = spread(grid, losses, config.starts, math.radians(config.spacing_deg), symmetry)
    images = torch.arange(len(losses), device=grid.device).repeat_interleave(chosen.shape[1])
    loss, scale = (x.gather(1, chosen).flatten() for x in (losses, log_scale))
    return hypotheses(images, grid[chosen].flatten(0, 1), loss, scale), chosen.shape[1]


def _grid(scorer: Scorer, camera: CameraRule, config: SolveConfig, grid: Tensor) -> tuple[Tensor, Tensor]:
    """Return the losses (B, P) of rotations (P, 3, 3) and their log_scale (B, P), that of the lowest loss if free."""
    if "distance" not in config.free or not camera.boxes:
        losses = _grid_losses(scorer, config, *camera(grid[None]))
        return losses, torch.zeros_like(losses)
    tried = []
    for scale in config.grid_scales:
        log_scale = torch.full((len(camera.known), len(grid)), math.log(scale)).to(grid)
        log_scale = camera.kept_before(log_scale.where(~camera.lens_known[:, None], 0.0))
        surprise = camera.surprise(log_scale, config.distance_sigma) / scorer.cells
        tried.append((_grid_losses(scorer, config, *camera(grid[None], log_scale)) + surprise, log_scale))
    losses, log_scales = (torch.stack(each) for each in zip(*tried, strict=True))
    losses, best = losses.min(dim=0)
    return losses, log_scales.gather(0, best[None])[0]


def _grid_losses(scorer: Scorer, config: SolveConfig, cam_T_obj: Tensor, K: Tensor) -> Tensor:
    """Return the losses (B, P) of poses (B, P, 4, 4) under K (B, P, 3, 3), as `config.grid_score` says."""
    if config.grid_score == "vertices":
        return scorer.vertex_losses(cam_T_obj, K)
    if config.grid_score == "maps":
        return grid_losses(scorer, cam_T_obj, K)
    B, P = K.shape[:2]
    images = torch.arange(B, device=K.device).repeat_interleave(P)
    return scorer.losses(images, cam_T_obj.flatten(0, 1), K.flatten(0, 1)).view(B, P)


def starting_views(config: SolveConfig, symmetry: Symmetry, *, any_pose: bool) -> Tensor:
    """Return the grid's viewpoints (P, 3) in radians: azimuth, elevation and in-plane angle.

    Of viewpoints from which a shape of this symmetry looks the same there is only the first. any_pose: a grid over all
    rotations, for objects that do not stand, instead of that of `config`.
    """
    grid = _ANY_POSE if any_pose else (config.azimuths, config.elevations_deg, config.thetas_deg)
    return _different_views(*grid, symmetry)


@lru_cache(maxsize=64)
def _different_views(
    azimuths: int, elevations_deg: tuple[float, ...], thetas_deg: tuple[float, ...], symmetry: Symmetry
) -> Tensor:
    views = geometry.viewpoint_grid(azimuths, elevations_deg, thetas_deg)
    return (
        views if symmetry.is_none else views[distinct(geometry.rotation_cam_obj(views.double()), symmetry, _SAME_RAD)]
    )


def distinct(R: Tensor, symmetry: Symmetry, apart_rad: float) -> list[int]:
    """Return the indices of rotations R (N, 3, 3) that lie at least `apart_rad` from all those kept before them."""
    near = (symmetry_error_rad(R[:, None], R[None], symmetry) < apart_rad).tolist()
    kept: list[int] = []
    for i, row in enumerate(near):
        if not any(row[j] for j in kept):
            kept.append(i)
    return kept


def spread(R: Tensor, losses: Tensor, count: int, spacing_rad: float, symmetry: Symmetry = Symmetry.NONE) -> Tensor:
    """Suppress non-maxima greedily on SO(3), or what is left of it if a symmetry makes some rotations look alike.

    Returns for each image the indices (B, S) of its `count` lowest losses (B, P) whose rotations R (P, 3, 3) lie
    pairwise at least `spacing_rad` apart; S < count if some image has no more.
    """
    near = symmetry_error_rad(R[:, None], R[None], symmetry) < spacing_rad - 1e-4
    left = losses.clone()
    chosen: list[Tensor] = []
    while len(chosen) < count:
        best, index = left.min(dim=1)
        if bool(best.isinf().any()):
            break
        chosen.append(index)
        left = left.masked_fill(near[index], torch.inf)
    return torch.stack(chosen, dim=1)
