"""Selective vertex adaptation: what poses show of single vertices, which of it is trusted, how the bank follows."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pose_models import geometry
from pose_models.adapt.config import UdaConfig
from pose_models.data.sample import Batch
from pose_models.mesh import visible
from pose_models.nmm import NeuralMesh, sample_features, updated_vertex_features


def by_category(batch: Batch) -> dict[str, Tensor]:
    """The images (N,) int64 of each category in a batch."""
    return {
        name: torch.tensor([i for i, category in enumerate(batch.category) if category == name]).to(batch.K.device)
        for name in dict.fromkeys(batch.category)
    }


@dataclass(frozen=True, kw_only=True)
class Look:
    """What P poses show of a mesh with R vertices: unit features (P, R, D) where the vertices project to, f_(i->r);
    cosine (P, R): f_(i->r) . C_r; visible (P, R): which of them count."""

    features: Tensor
    cosine: Tensor
    visible: Tensor

    def fit(self) -> Tensor:
        """The mean cosine (P,) over what each pose shows; 0 where it shows nothing."""
        return self.cosine.where(self.visible, 0.0).sum(1) / self.visible.sum(1).clamp(min=1)


def look(neural: NeuralMesh, features: Tensor, batch: Batch, images: Tensor, cam_T_obj: Tensor, K: Tensor) -> Look:
    """What poses (P, 4, 4) under K (P, 3, 3), each of an image (P,) of the batch, show in its feature maps
    (B, D, h, w). Vertices count that face the camera, lie on the canvas, and are not behind a known occluder."""
    height, width = batch.image.shape[-2:]
    pixels = geometry.project(geometry.transform(cam_T_obj, neural.mesh.vertices), K)
    seen = visible(neural.mesh, geometry.camera_centre(cam_T_obj))
    seen &= ((pixels >= 0) & (pixels < pixels.new_tensor([width, height]))).all(-1)
    column, line = pixels.nan_to_num().long().unbind(-1)
    hidden = batch.occluder[images[:, None], line.clamp(0, height - 1), column.clamp(0, width - 1)]
    found = sample_features(features[images], pixels.nan_to_num())
    return Look(features=found, cosine=(found * neural.vertex_features).sum(-1), visible=seen & ~hidden)


def accepted(look: Look, delta: Tensor, config: UdaConfig) -> Tensor:
    """Which features (P, R) are taken for their vertex, 3DUDA's equation 3: those more similar than delta (R,), each
    vertex by itself, even where the pose is wrong; a NaN delta takes nothing.

    Of a pose nothing is taken where fewer than `minimum_similar` of its visible vertices are similar; without
    `selective`, where not all of them are.
    """
    similar = look.visible & (look.cosine > delta)
    count, shown = similar.sum(1), look.visible.sum(1)
    passed = count >= config.minimum_similar * shown if config.selective else count == shown
    return similar & passed[:, None]


class Pending(nn.Module):
    """Features of one category's vertices that were accepted but have not moved the bank yet.

    total (R, D): their sums; count, shown (R,): how many of each vertex were accepted, and were visible; images: that
    gave some. Buffers, so that a checkpoint keeps them.
    """

    total: Tensor
    count: Tensor
    shown: Tensor
    images: Tensor

    def __init__(self, neural: NeuralMesh) -> None:
        """Nothing yet for the vertices of a mesh."""
        super().__init__()
        bank = neural.vertex_features
        self.register_buffer("total", torch.zeros_like(bank))
        self.register_buffer("count", bank.new_zeros(len(bank)))
        self.register_buffer("shown", bank.new_zeros(len(bank)))
        self.register_buffer("images", torch.zeros((), dtype=torch.int64, device=bank.device))

    def add(self, look: Look, taken: Tensor, images: int) -> None:
        """Keep the features taken (P, R), which `images` images gave."""
        self.total += torch.einsum("pr,prd->rd", taken.float(), look.features.float())
        self.count += taken.sum(0)
        self.shown += look.visible.sum(0)
        self.images += images

    def coverage(self) -> float:
        """The share of the vertices that were visible that have an accepted feature; 0 where none was visible."""
        return float((self.count > 0).sum() / (self.shown > 0).sum().clamp(min=1))

    def ready(self, config: UdaConfig) -> bool:
        """Whether there are enough images and enough vertices for a step."""
        return int(self.images) >= config.bank_images and self.coverage() >= config.coverage

    def move(self, neural: NeuralMesh, momentum: float) -> None:
        """3DUDA's equation 4: C_r <- normalize(alpha C_r + (1 - alpha) mean of the accepted features of r), vertices
        without one as they are. Empties what is pending."""
        neural.vertex_features = updated_vertex_features(
            neural.vertex_features, self.total, self.count, int(self.images), momentum=momentum
        )
        for buffer in self.buffers():
            buffer.zero_()
