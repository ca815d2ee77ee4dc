"""Poses of images that a network saw once, or as they are and mirrored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pose_models import geometry
from pose_models.data.sample import Batch
from pose_models.data.symmetric import check_mirror
from pose_models.nmm import NeuralMesh, NeuralMeshModel
from pose_models.solve.cameras import CameraRule, camera_rule
from pose_models.solve.config import Focals, SolveConfig
from pose_models.solve.scoring import Scorer
from pose_models.solve.solver import ConfidenceForm, Solutions, confidence, solve


@dataclass(frozen=True, kw_only=True)
class View:
    """B images on a canvas, and a network's feature maps (B, D, h, w) of them."""

    batch: Batch
    features: Tensor

    def take(self, images: Tensor) -> View:
        """Return some of the images (N,) int64, in the given order."""
        return View(batch=self.batch.take(images), features=self.features[images])


def batch_camera(mesh: NeuralMesh, batch: Batch, distance: float | None, focals: Focals = "two") -> CameraRule:
    """Return the `camera_rule` for a mesh in the images of a batch."""
    return camera_rule(mesh, batch.cam_T_obj, batch.K, batch.box_xyxy, distance, focals)


@torch.no_grad()
def views_of(model: NeuralMeshModel, batch: Batch, *, mirror: bool) -> list[View]:
    """Run a model's network on a batch on its device, and with `mirror` on the mirrored batch too.

    ConfigError if left and right of a category's shapes differ, and the mirrored batch is asked for.
    """
    check_mirror(mirror, model.spec.unmirrored)
    batches = [batch, batch.mirrored()] if mirror else [batch]
    return [View(batch=b, features=model.net(b.image.contiguous(memory_format=torch.channels_last))) for b in batches]


@torch.no_grad()
def solve_views(
    mesh: NeuralMesh,
    clutter: Tensor,
    views: Sequence[View],
    config: SolveConfig,
    distance: float | None = None,
    confidence_form: ConfidenceForm = "mean",
) -> Solutions:
    """Find the poses of B images, as `solve`.

    If there is a second view, of the images mirrored, the solutions are those of both views, in the images themselves,
    by the mean of their losses over the two.
    """
    rules = [batch_camera(mesh, view.batch, distance, config.focals) for view in views]
    solved: list[Solutions] = [
        solve(mesh, clutter, view.features, rule, config, confidence_form)
        for view, rule in zip(views, rules, strict=True)
    ]
    if len(views) == 1:
        return solved[0]
    return _of_both_views(mesh, clutter, views, solved, rules[0], config, confidence_form)


def _of_both_views(
    mesh: NeuralMesh,
    clutter: Tensor,
    views: Sequence[View],
    solved: Sequence[Solutions],
    rule: CameraRule,
    config: SolveConfig,
    confidence_form: ConfidenceForm,
) -> Solutions:
    """Rank the solutions of images and of their mirror images by the mean of their losses in both."""
    own, other = solved
    width = views[0].batch.image.shape[-1]
    back = geometry.hflip(other.hypotheses_cam_T_obj, other.hypotheses_K, width)
    poses = torch.cat([own.hypotheses_cam_T_obj, back[0]], dim=1)
    K = torch.cat([own.hypotheses_K, back[1]], dim=1)
    there = geometry.hflip(poses, K, width)
    images = torch.arange(len(poses), device=poses.device).repeat_interleave(poses.shape[1])
    scorers = [Scorer(mesh, clutter, view.features) for view in views]
    losses = torch.stack(
        [
            scorer.losses(images, pose.flatten(0, 1), camera.flatten(0, 1)).view(poses.shape[:2])
            for scorer, (pose, camera) in zip(scorers, ((poses, K), there), strict=True)
        ]
    ).mean(0)
    if "distance" in config.free:
        log_scale = torch.log(poses[..., 2, 3] / rule.distance)
        losses = losses + rule.surprise(log_scale, config.distance_sigma) / scorers[0].cells
    seen = scorers[0].object_similarity(images, poses.flatten(0, 1), K.flatten(0, 1))
    sure = confidence(*seen, len(images), confidence_form).view(losses.shape)
    order = losses.argsort(dim=1, stable=True)
    rows = torch.arange(len(order), device=order.device)[:, None]
    return Solutions(
        hypotheses_cam_T_obj=poses[rows, order],
        hypotheses_K=K[rows, order],
        hypotheses_loss=losses[rows, order],
        hypotheses_confidence=sure[rows, order],
    )
