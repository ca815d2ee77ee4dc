"""The features that poses of neural meshes show in the feature maps of images."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pose_models import geometry
from pose_models.data.sample import Batch
from pose_models.mesh import visible
from pose_models.nmm import NeuralMesh, sample_features


def by_category(batch: Batch) -> dict[str, Tensor]:
    """Return the indices (N,) int64 of the images of each category in a batch."""
    return {
        name: torch.tensor([i for i, category in enumerate(batch.category) if category == name]).to(batch.K.device)
        for name in dict.fromkeys(batch.category)
    }


@dataclass(frozen=True, kw_only=True)
class Seen:
    """Features that P poses of one mesh with R vertices show, each in an image of a batch.

    rows (P,): the image of each pose; pixels (P, R, 2): canvas pixels that the vertices project to; features (P, R, D):
    unit features there, f_(i->r); visible (P, R) bool.
    """

    rows: Tensor
    mesh: NeuralMesh
    pixels: Tensor
    features: Tensor
    visible: Tensor

    def cosine(self) -> Tensor:
        """Return f_(i->r) . C_r (P, R), with the vertex features as they are now."""
        return (self.features * self.mesh.vertex_features).sum(-1)

    def fit(self) -> Tensor:
        """Return the mean cosine (P,) over the visible vertices of each pose; 0 if there are none."""
        return self.cosine().where(self.visible, 0.0).sum(1) / self.visible.sum(1).clamp(min=1)


def look(neural: NeuralMesh, features: Tensor, batch: Batch, rows: Tensor, cam_T_obj: Tensor, K: Tensor) -> Seen:
    """Look up the features that poses (P, 4, 4) under K (P, 3, 3) show in feature maps (B, D, h, w).

    rows (P,): the image of the batch that each pose belongs to. A vertex is visible if it faces the camera, lies on the
    canvas, and is not behind a known occluder.
    """
    pixels = geometry.project(geometry.transform(cam_T_obj, neural.mesh.vertices), K)
    height, width = batch.image.shape[-2:]
    seen = visible(neural.mesh, geometry.camera_centre(cam_T_obj))
    seen &= ((pixels >= 0) & (pixels < pixels.new_tensor([width, height]))).all(-1)
    column, line = pixels.nan_to_num().long().unbind(-1)
    hidden = batch.occluder[rows[:, None], line.clamp(0, height - 1), column.clamp(0, width - 1)]
    at_vertices = sample_features(features[rows], pixels.nan_to_num())
    return Seen(rows=rows, mesh=neural, pixels=pixels, features=at_vertices, visible=seen & ~hidden)
