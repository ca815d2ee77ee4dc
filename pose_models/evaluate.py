"""Evaluation of one model: every image solved, and the papers' numbers beside chance."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pose_models.data.augment import collate, place
from pose_models.data.sample import Batch, Sample
from pose_models.geometry import rotation_error_rad
from pose_models.metrics import PoseMetrics, confusions, pose_metrics, random_rotation_metrics
from pose_models.nmm import NeuralMeshModel
from pose_models.solve import PoseRule, SolveConfig, box_camera, known_camera, solve

_BATCH = 8


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """keys (N); R_predicted, R_true (N, 3, 3); losses (N): the solver's; the rows of the table; shares by confusion."""

    keys: list[str]
    R_predicted: Tensor
    R_true: Tensor
    losses: Tensor
    rows: dict[str, PoseMetrics]
    confusion: dict[str, float]

    @property
    def errors_rad(self) -> Tensor:
        """Rotation errors (N,) in radians."""
        return rotation_error_rad(self.R_predicted, self.R_true)

    def as_dict(self) -> dict[str, Any]:
        """The table, the confusions, and each image's error in degrees, for JSON."""
        return {
            "rows": {name: row.as_dict() for name, row in self.rows.items()},
            "confusion": self.confusion,
            "error_deg": {k: math.degrees(e) for k, e in zip(self.keys, self.errors_rad.tolist(), strict=True)},
        }


def _placed(samples: Iterable[Sample], model: NeuralMeshModel) -> Iterator[Batch]:
    """Batches of samples, each with its box centred on the model's canvas."""
    waiting: list[Sample] = []
    for sample in samples:
        waiting.append(place(sample, model.spec.canvas_hw, model.spec.box_fill))
        if len(waiting) == _BATCH:
            yield collate(waiting)
            waiting = []
    if waiting:
        yield collate(waiting)


def pose_rule(model: NeuralMeshModel, cam_T_obj: Tensor, K: Tensor, box_xyxy: Tensor) -> PoseRule:
    """Annotated translation and camera where they are known, else position and scale from the box."""
    if bool(torch.isfinite(K).all()):
        return known_camera(cam_T_obj[:3, 3], K)
    return box_camera(box_xyxy, model.outlines, model.spec.distance)


def evaluate(
    model: NeuralMeshModel, samples: Iterable[Sample], config: SolveConfig, on_image: Callable[[], None]
) -> Evaluation:
    """Solve every sample and compare with its rotation. ValueError where there is no sample."""
    device = model.vertex_features.device
    keys: list[str] = []
    predicted, truth, losses = [], [], []
    for batch in _placed(samples, model):
        with torch.no_grad():
            features = model.net(batch.image.to(device))
        poses, Ks, boxes = (v.to(device) for v in (batch.cam_T_obj, batch.K, batch.box_xyxy))
        for i, key in enumerate(batch.key):
            solution = solve(model, features[i], pose_rule(model, poses[i], Ks[i], boxes[i]), config)
            keys.append(key)
            predicted.append(solution.R_cam_obj.cpu().double())
            truth.append(batch.cam_T_obj[i, :3, :3].double())
            losses.append(solution.loss)
            on_image()
    if not keys:
        raise ValueError("no image to evaluate")
    R_predicted, R_true = torch.stack(predicted), torch.stack(truth)
    mode = torch.tensor(model.spec.mode_rotation, dtype=torch.float64).view(3, 3)
    rows = {
        "model": pose_metrics(rotation_error_rad(R_predicted, R_true)),
        "chance: random rotation": random_rotation_metrics(len(keys)),
        "chance: most frequent pose": pose_metrics(rotation_error_rad(mode, R_true)),
    }
    return Evaluation(
        keys=keys,
        R_predicted=R_predicted,
        R_true=R_true,
        losses=torch.tensor(losses),
        rows=rows,
        confusion=confusions(R_predicted, R_true),
    )
