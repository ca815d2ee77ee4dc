"""Inference of the category that an image shows: the one whose mesh explains the features best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pose_models.nmm import NeuralMesh, NeuralMeshModel
from pose_models.solve.config import SolveConfig
from pose_models.solve.solver import ConfidenceForm, Solutions
from pose_models.solve.views import View, solve_views


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A category that B images may show: the arguments of `solve_views` for it. Views may be those of one backbone, the
    same for all candidates, or each candidate's own model's."""

    category: str
    mesh: NeuralMesh
    clutter: Tensor
    views: Sequence[View]


def candidates(model: NeuralMeshModel, views: Sequence[View]) -> list[Candidate]:
    """Return all categories of a model, for what its network sees in B images."""
    clutter = model.clutter_mean()
    return [
        Candidate(category=name, mesh=model.neural_mesh(name), clutter=clutter, views=views)
        for name in model.spec.categories
    ]


def infer_category(
    among: Sequence[Candidate],
    config: SolveConfig,
    distance: float | None = None,
    confidence_form: ConfidenceForm = "mean",
) -> tuple[Tensor, Solutions, Tensor]:
    """Infer the category of B images.

    Returns the index (B,) int64 of the candidate with the lowest reconstruction loss, its solutions, and the losses (B,
    C) of all candidates.
    """
    solved = [solve_views(c.mesh, c.clutter, c.views, config, distance, confidence_form) for c in among]
    losses = torch.stack([s.loss for s in solved], dim=1)
    best = losses.argmin(dim=1)
    rows = torch.arange(len(best), device=best.device)
    count = min(s.hypotheses_loss.shape[1] for s in solved)

    def chosen(field: str) -> Tensor:
        return torch.stack([vars(s)[field][:, :count] for s in solved])[best, rows]

    return best, Solutions(**{field: chosen(field) for field in vars(solved[0])}), losses
