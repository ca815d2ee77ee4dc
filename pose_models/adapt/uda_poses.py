"""Hypotheses for the poses of target images: several for each, far apart from one another."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from p3d_gen.core.symmetry import Symmetry
from pose_models.adapt.config import UdaConfig
from pose_models.backbone import STRIDE
from pose_models.data.sample import Batch
from pose_models.geometry import transform
from pose_models.look import by_category
from pose_models.metrics.symmetry import symmetry_error_rad
from pose_models.nmm import NeuralMesh, NeuralMeshModel
from pose_models.rasterise import rasterise
from pose_models.solve import SolveConfig, View, solve_views, views_of
from pose_models.solve.scoring import in_cells

Candidates = tuple[Tensor, Tensor, Tensor]
"""Poses (B, H, 4, 4), cameras (B, H, 3, 3) in canvas pixels and losses (B, H), rising; a loss of infinity where an
image has fewer hypotheses."""


@torch.no_grad()
def search(model: NeuralMeshModel, batch: Batch, features: Tensor, config: UdaConfig) -> Candidates:
    """Search the hypotheses with the lowest losses for a batch's feature maps (B, D, h, w).

    They are refined starts; those that came within `spacing_deg` of a better one are dropped, and those that show the
    same by the category's symmetry. With `pose.mirror` those for the mirrored image too.
    """
    views = [View(batch=batch, features=features)]
    if config.pose.mirror:
        views += views_of(model, batch.mirrored(), mirror=False)
    settings = SolveConfig(starts=config.hypotheses, spacing_deg=config.spacing_deg)
    settings = settings.by_camera(config.pose.focals, free_distance=config.pose.free_distance)
    count, hypotheses = len(features), config.hypotheses
    poses, K = features.new_zeros(count, hypotheses, 4, 4), features.new_zeros(count, hypotheses, 3, 3)
    losses = features.new_zeros(count, hypotheses)
    for name, rows in by_category(batch).items():
        parts = [view.take(rows) for view in views]
        mesh = model.neural_mesh(name)
        solved = solve_views(mesh, model.clutter_mean(), parts, settings, config.pose.distance)
        refined = solved.hypotheses_cam_T_obj, solved.hypotheses_K, solved.hypotheses_loss
        poses[rows], K[rows], losses[rows] = apart(
            *refined, hypotheses, math.radians(config.spacing_deg), mesh.symmetry
        )
    return poses, K, losses


def apart(
    poses: Tensor, K: Tensor, losses: Tensor, count: int, spacing_rad: float, symmetry: Symmetry = Symmetry.NONE
) -> Candidates:
    """Choose among hypotheses (B, Q, ...) the `count` with the lowest losses that lie at least `spacing_rad` apart.

    If there are fewer, the rest has a loss of infinity.
    """
    missing = max(0, count - losses.shape[1])
    losses = torch.nn.functional.pad(losses, (0, missing), value=torch.inf)
    poses, K = (torch.cat([x, x[:, :1].expand(-1, missing, -1, -1)], dim=1) for x in (poses, K))
    rows = torch.arange(len(losses), device=losses.device)[:, None]
    order = losses.argsort(dim=1, stable=True)
    poses, K, losses = poses[rows, order], K[rows, order], losses[rows, order]
    R = poses[..., :3, :3]
    near = symmetry_error_rad(R[:, :, None], R[:, None], symmetry) < spacing_rad
    kept = losses.isfinite()
    for q in range(1, losses.shape[1]):
        kept[:, q] &= ~(near[:, q, :q] & kept[:, :q]).any(1) & (kept[:, :q].sum(1) < count)
    order = (~kept).to(torch.int8).argsort(dim=1, stable=True)[:, :count]
    return poses[rows, order], K[rows, order], losses.masked_fill(~kept, torch.inf)[rows, order]


def uncovered(mesh: NeuralMesh, poses: Tensor, K: Tensor, losses: Tensor, map_hw: tuple[int, int]) -> Tensor:
    """Return cells (B, h, w) bool of the feature map that lie outside the silhouettes of all hypotheses of each
    image."""
    image, which = losses.isfinite().nonzero(as_tuple=True)
    points = transform(poses[image, which], mesh.mesh.vertices)
    hits = rasterise(points, mesh.mesh.faces, in_cells(K[image, which]), map_hw, cull=True)
    free = torch.ones(len(losses), map_hw[0] * map_hw[1], dtype=torch.bool, device=losses.device)
    free[image[hits.pose], hits.pixel] = False
    return free.unflatten(1, map_hw)


def on_canvas(cells: Tensor) -> Tensor:
    """Enlarge cells (B, h, w) to canvas pixels (B, H, W)."""
    return cells.repeat_interleave(STRIDE, 1).repeat_interleave(STRIDE, 2)
