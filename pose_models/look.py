"""What poses of neural meshes show in the feature maps of images."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pose_models import geometry
from pose_models.data.sample import Batch
from pose_models.mesh import visible
from pose_models.nmm import NeuralMesh, sample_features


def by_category(batch: Batch) -> dict[str, Tensor]:
    """The images (N,) int64 of each category in a batch."""
    return {
        name: torch.tensor([i for i, category in enumerate(batch.category) if category == name]).to(batch.K.device)
        for name in dict.fromkeys(batch.category)
    }


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What P poses of one mesh with R vertices show, each in an image `rows` (P,) of a batch: canvas pixels (P, R, 2)
    that the vertices project to, unit features (P, R, D) there, f_(i->r), and which vertices (P, R) are visible."""

    rows: Tensor
    mesh: NeuralMesh
    pixels: Tensor
    features: Tensor
    visible: Tensor

    def cosine(self) -> Tensor:
        """f_(i->r) . C_r (P, R), with the vertex features as they are now."""
        return (self.features * self.mesh.vertex_features).sum(-1)

    def fit(self) -> Tensor:
        """The mean cosine (P,) over what each pose shows; 0 where it shows nothing."""
        return self.cosine().where(self.visible, 0.0).sum(1) / self.visible.sum(1).clamp(min=1)


def look(neural: NeuralMesh, features: Tensor, batch: Batch, rows: Tensor, cam_T_obj: Tensor, K: Tensor) -> Seen:
    """What poses (P, 4, 4) under K (P, 3, 3), each of an image `rows` (P,) of the batch, show in its feature maps
    (B, D, h, w). Vertices are visible that face the camera, lie on the canvas, and are not behind a known occluder."""
    pixels = geometry.project(geometry.transform(cam_T_obj, neural.mesh.vertices), K)
    height, width = batch.image.shape[-2:]
    seen = visible(neural.mesh, geometry.camera_centre(cam_T_obj))
    seen &= ((pixels >= 0) & (pixels < pixels.new_tensor([width, height]))).all(-1)
    column, line = pixels.nan_to_num().long().unbind(-1)
    hidden = batch.occluder[rows[:, None], line.clamp(0, height - 1), column.clamp(0, width - 1)]
    at_vertices = sample_features(features[rows], pixels.nan_to_num())
    return Seen(rows=rows, mesh=neural, pixels=pixels, features=at_vertices, visible=seen & ~hidden)
