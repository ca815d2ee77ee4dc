"""Which category an image shows, where no label says it: the one whose mesh explains the features best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pose_models.nmm import NeuralMesh, NeuralMeshModel
from pose_models.solve.cameras import CameraRule, camera_rule
from pose_models.solve.config import SolveConfig
from pose_models.solve.solver import ConfidenceForm, Solutions, solve


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A category that B images may show: the arguments of `solve` for it. Features (B, D, h, w) may be those of one
    backbone, the same for all candidates, or each candidate's own model's."""

    category: str
    mesh: NeuralMesh
    clutter: Tensor
    features: Tensor
    camera: CameraRule


def candidates(
    model: NeuralMeshModel,
    features: Tensor,
    cam_T_obj: Tensor,
    K: Tensor,
    box_xyxy: Tensor,
    distance: float | None = None,
) -> list[Candidate]:
    """All categories of a model, for its features of B images, with cameras by `camera_rule`."""
    meshes = {category: model.neural_mesh(category) for category in model.spec.categories}
    return [
        Candidate(
            category=category,
            mesh=mesh,
            clutter=model.clutter_mean(),
            features=features,
            camera=camera_rule(mesh, cam_T_obj, K, box_xyxy, distance),
        )
        for category, mesh in meshes.items()
    ]


def infer_category(
    among: Sequence[Candidate], config: SolveConfig, confidence_form: ConfidenceForm = "mean"
) -> tuple[Tensor, Solutions, Tensor]:
    """For B images the index (B,) int64 of the candidate with the lowest reconstruction loss, its solutions, and the
    losses (B, C) of all candidates."""
    solved = [solve(c.mesh, c.clutter, c.features, c.camera, config, confidence_form) for c in among]
    losses = torch.stack([s.loss for s in solved], dim=1)
    best = losses.argmin(dim=1)
    rows = torch.arange(len(best), device=best.device)
    count = min(s.hypotheses_loss.shape[1] for s in solved)

    def chosen(field: str) -> Tensor:
        return torch.stack([vars(s)[field][:, :count] for s in solved])[best, rows]

    return best, Solutions(**{field: chosen(field) for field in vars(solved[0])}), losses
