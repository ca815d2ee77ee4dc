"""Estimators: from a batch of images on a canvas to a pose for each, whatever stands behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, Protocol

import torch
from torch import Tensor

from pose_models import geometry
from pose_models.data.sample import Batch
from pose_models.nmm import MODEL_FILE, NeuralMesh, NeuralMeshModel, load_model
from pose_models.solve import (
    CameraRule,
    ConfidenceForm,
    Scorer,
    Solutions,
    SolveConfig,
    camera_rule,
    confidence,
    solve,
)


@dataclass(frozen=True, kw_only=True)
class Estimates:
    """The poses of B images: cam_T_obj (B, 4, 4) and K (B, 3, 3) in canvas pixels, loss and confidence (B,), and the
    category that each image was taken for."""

    cam_T_obj: Tensor
    K: Tensor
    loss: Tensor
    confidence: Tensor
    category: list[str]


@dataclass(frozen=True, kw_only=True)
class EstimateConfig:
    """How a model is used. solve: of neural mesh models; mirror: the mirrored image is used as well; infer: the
    category is that whose mesh explains the features best; distance: where it is not annotated, box diagonals, None for
    the model's mean training distance; confidence: of neural mesh models, the form of `solve.confidence`; decode: of
    Res-General's bins, "centre" or, as released, "edge"."""

    solve: SolveConfig = field(default_factory=SolveConfig)
    mirror: bool = False
    infer: bool = False
    distance: float | None = None
    confidence: ConfidenceForm = "mean"
    decode: Literal["centre", "edge"] = "centre"


class Estimator(Protocol):
    """What can be evaluated. canvas_hw, box_fill: how its images are placed; mode_rotations: the most frequent training
    rotation (3, 3) of each category; boxes (2, 3): lower and upper corner of each category's box in obj axes."""

    canvas_hw: tuple[int, ...]
    box_fill: float
    mode_rotations: dict[str, Tensor]
    boxes: dict[str, Tensor]

    @property
    def categories(self) -> tuple[str, ...]:
        """The categories that it knows."""
        return tuple(self.boxes)

    def estimate(self, batch: Batch) -> Estimates:
        """The poses of the images of a batch."""

    def camera(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """cam_T_obj (B, 4, 4) and K (B, 3, 3) that go with the true rotations of a batch."""


def mirrored_batch(batch: Batch) -> Batch:
    """The horizontally mirrored batch, for objects symmetric in their x: as `data.augment.mirrored`."""
    width = batch.image.shape[-1]
    cam_T_obj, K = geometry.hflip(batch.cam_T_obj, batch.K, width)
    left, top, right, bottom = batch.box_xyxy.unbind(1)
    return replace(
        batch,
        image=batch.image.flip(-1),
        mask=batch.mask.flip(-1),
        occluder=batch.occluder.flip(-1),
        cam_T_obj=cam_T_obj,
        K=K,
        box_xyxy=torch.stack([width - right, top, width - left, bottom], dim=1),
    )


def chosen_rows(batch: Batch, rows: Sequence[int]) -> Batch:
    """Some images of a batch."""
    index = torch.tensor(rows)
    names = ("image", "mask", "occluder", "cam_T_obj", "K", "box_xyxy")
    lists = {name: [getattr(batch, name)[i] for i in rows] for name in ("category", "key", "subset")}
    return Batch(**{name: getattr(batch, name)[index.to(batch.K.device)] for name in names}, **lists)


def agreed_hypotheses(
    scorers: Sequence[Scorer], solutions: Sequence[Solutions], width: int
) -> tuple[Tensor, Tensor, Tensor]:
    """All hypotheses for an image and for its mirror image, in the image itself: poses (B, Q, 4, 4), cameras
    (B, Q, 3, 3), and the mean (B, Q) of each one's losses over the two."""
    own, other = solutions
    back = geometry.hflip(other.hypotheses_cam_T_obj, other.hypotheses_K, width)
    poses = torch.cat([own.hypotheses_cam_T_obj, back[0]], dim=1)
    K = torch.cat([own.hypotheses_K, back[1]], dim=1)
    images = torch.arange(len(poses), device=poses.device).repeat_interleave(poses.shape[1])
    there = (poses, K), geometry.hflip(poses, K, width)
    losses = [
        scorer.losses(images, pose.flatten(0, 1), camera.flatten(0, 1)).view(poses.shape[:2])
        for scorer, (pose, camera) in zip(scorers, there, strict=True)
    ]
    return poses, K, torch.stack(losses).mean(0)


def _agreed(
    scorers: Sequence[Scorer], solutions: Sequence[Solutions], width: int, form: ConfidenceForm
) -> tuple[Tensor, ...]:
    """Of `agreed_hypotheses` those with the lowest loss: poses (B, 4, 4), cameras (B, 3, 3), that loss and the
    confidence (B,), for the image itself."""
    poses, K, losses = agreed_hypotheses(scorers, solutions, width)
    loss, best = losses.min(dim=1)
    rows = torch.arange(len(poses), device=poses.device)
    poses, K = poses[rows, best], K[rows, best]
    return poses, K, loss, confidence(*scorers[0].object_similarity(rows, poses, K), len(rows), form)


class MeshEstimator(Estimator):
    """Render-and-compare with one neural mesh model, for all of its categories.

    With `mirror` the mirrored image is solved as well, and of all hypotheses the one counts that has the lowest mean
    loss over both.
    """

    def __init__(self, model: NeuralMeshModel, config: EstimateConfig) -> None:
        """Estimate with `model` on its device."""
        self.model, self._config = model, config
        self.canvas_hw, self.box_fill = model.spec.canvas_hw, model.spec.box_fill
        self.mode_rotations = {
            mesh.category: torch.tensor(mesh.mode_rotation, dtype=torch.float64).view(3, 3)
            for mesh in model.spec.meshes
        }
        self.boxes = {mesh.category: torch.tensor([mesh.box_lower, mesh.box_upper]) for mesh in model.spec.meshes}

    @torch.no_grad()
    def estimate(self, batch: Batch) -> Estimates:
        """The poses of the images of a batch; ValueError for a category that the model does not know."""
        batch = batch.to(self.model.clutter.device)
        views = [batch, mirrored_batch(batch)] if self._config.mirror else [batch]
        features = [self.model.net(view.image.contiguous(memory_format=torch.channels_last)) for view in views]
        names = self.model.spec.categories if self._config.infer else tuple(dict.fromkeys(batch.category))
        found: dict[int, tuple[float, str, Estimates, int]] = {}
        for name in names:
            rows = [i for i, category in enumerate(batch.category) if self._config.infer or category == name]
            index = torch.tensor(rows, device=batch.K.device)
            part = self._solve(name, [chosen_rows(view, rows) for view in views], [f[index] for f in features])
            for place, row in enumerate(rows):
                loss = float(part.loss[place])
                if row not in found or loss < found[row][0]:
                    found[row] = loss, name, part, place
        best = [found[row] for row in range(len(batch.key))]
        return Estimates(
            cam_T_obj=torch.stack([part.cam_T_obj[place] for _, _, part, place in best]),
            K=torch.stack([part.K[place] for _, _, part, place in best]),
            loss=torch.stack([part.loss[place] for _, _, part, place in best]),
            confidence=torch.stack([part.confidence[place] for _, _, part, place in best]),
            category=[name for _, name, _, _ in best],
        )

    def _solve(self, category: str, views: Sequence[Batch], features: Sequence[Tensor]) -> Estimates:
        mesh, clutter = self.model.neural_mesh(category), self.model.clutter_mean()
        solutions = [
            solve(mesh, clutter, f, self._rule(mesh, view), self._config.solve, self._config.confidence)
            for f, view in zip(features, views, strict=True)
        ]
        first = solutions[0]
        found = first.cam_T_obj, first.K, first.loss, first.confidence
        if len(views) == 2:
            scorers = [Scorer(mesh, clutter, f) for f in features]
            found = _agreed(scorers, solutions, views[0].image.shape[-1], self._config.confidence)
        cam_T_obj, K, loss, sure = found
        return Estimates(cam_T_obj=cam_T_obj, K=K, loss=loss, confidence=sure, category=[category] * len(loss))

    def _rule(self, mesh: NeuralMesh, batch: Batch) -> CameraRule:
        return camera_rule(mesh, batch.cam_T_obj, batch.K, batch.box_xyxy, self._config.distance)

    def camera(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The annotated translation and camera where they are known, else those that the box gives."""
        batch = batch.to(self.model.clutter.device)
        found = []
        for i, category in enumerate(batch.category):
            one = chosen_rows(batch, [i])
            found.append(self._rule(self.model.neural_mesh(category), one)(one.cam_T_obj[:, None, :3, :3]))
        return torch.cat([pose[:, 0] for pose, _ in found]), torch.cat([K[:, 0] for _, K in found])


def model_folders(folder: Path) -> list[Path]:
    """The models of a run folder: itself, or its sub-folders where each holds one. ValueError where there is none."""
    if (folder / MODEL_FILE).is_file():
        return [folder]
    found = sorted(path.parent for path in folder.glob(f"*/{MODEL_FILE}"))
    if not found:
        raise ValueError(f"{folder} holds no {MODEL_FILE}: not the --out of a finished `pose-models train`")
    return found


def load_estimators(folder: Path, device: torch.device, config: EstimateConfig) -> list[Estimator]:
    """An estimator for each model in a run folder; errors as `model_folders` and the model's own loader."""
    return [_load(path, device, config) for path in model_folders(folder)]


def _load(folder: Path, device: torch.device, config: EstimateConfig) -> Estimator:
    from pose_models.baselines.predict import BaselineEstimator
    from pose_models.baselines.res_general import KIND, load_baseline, model_kind

    if model_kind(folder) == KIND:
        flip: Literal["probabilities", "none"] = "probabilities" if config.mirror else "none"
        return BaselineEstimator(load_baseline(folder, device), decode=config.decode, flip=flip)
    return MeshEstimator(load_model(folder, device), config)
