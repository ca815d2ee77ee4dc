"""Estimators: from a batch of images on a canvas to a pose for each, whatever stands behind it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

import torch
from torch import Tensor

from pose_models.data.sample import Batch
from pose_models.look import by_category
from pose_models.nmm import MODEL_FILE, NeuralMeshModel, load_model
from pose_models.solve import (
    ConfidenceForm,
    SolveConfig,
    batch_camera,
    candidates,
    infer_category,
    solve_views,
    views_of,
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
        model, how = self.model, self._config
        views = views_of(model, batch, mirror=how.mirror)
        if how.infer:
            best, found, _ = infer_category(candidates(model, views), how.solve, how.distance, how.confidence)
            names = [model.spec.categories[i] for i in best.tolist()]
            return Estimates(
                cam_T_obj=found.cam_T_obj, K=found.K, loss=found.loss, confidence=found.confidence, category=names
            )
        clutter, rows = model.clutter_mean(), by_category(batch)
        solved = [
            solve_views(
                model.neural_mesh(name), clutter, [v.take(part) for v in views], how.solve, how.distance, how.confidence
            )
            for name, part in rows.items()
        ]
        order = torch.cat(list(rows.values())).argsort()

        def joined(field: str) -> Tensor:
            return torch.cat([getattr(part, field) for part in solved])[order]

        return Estimates(
            cam_T_obj=joined("cam_T_obj"),
            K=joined("K"),
            loss=joined("loss"),
            confidence=joined("confidence"),
            category=batch.category,
        )

    def camera(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The annotated translation and camera where they are known, else those that the box gives."""
        batch = batch.to(self.model.clutter.device)
        found = []
        for i, category in enumerate(batch.category):
            one = batch.take(torch.tensor([i]))
            rule = batch_camera(self.model.neural_mesh(category), one, self._config.distance)
            found.append(rule(one.cam_T_obj[:, None, :3, :3]))
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
