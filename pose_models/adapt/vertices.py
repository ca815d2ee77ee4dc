"""Selective vertex adaptation: what poses show of single vertices, which of it is trusted, how the bank follows."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pose_models.adapt.config import UdaConfig
from pose_models.look import Seen
from pose_models.nmm import NeuralMesh, updated_vertex_features


def accepted(seen: Seen, delta: Tensor, config: UdaConfig) -> Tensor:
    """Choose the features (P, R) that are taken for their vertex, 3DUDA's equation 3.

    Those more similar than delta (R,) are taken, each vertex by itself, even if the pose is wrong; a NaN delta takes
    nothing.

    Of a pose nothing is taken where fewer than `minimum_similar` of its visible vertices are similar; without
    `selective`, where not all of them are.
    """
    similar = seen.visible & (seen.cosine() > delta)
    count, shown = similar.sum(1), seen.visible.sum(1)
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
        """Start with nothing for the vertices of a mesh."""
        super().__init__()
        bank = neural.vertex_features
        self.register_buffer("total", torch.zeros_like(bank))
        self.register_buffer("count", bank.new_zeros(len(bank)))
        self.register_buffer("shown", bank.new_zeros(len(bank)))
        self.register_buffer("images", torch.zeros((), dtype=torch.int64, device=bank.device))

    def add(self, seen: Seen, taken: Tensor, images: int) -> None:
        """Keep the features taken (P, R), which `images` images gave."""
        self.total += torch.einsum("pr,prd->rd", taken.float(), seen.features.float())
        self.count += taken.sum(0)
        self.shown += seen.visible.sum(0)
        self.images += images

    def coverage(self) -> float:
        """Return the share of the visible vertices that have an accepted feature; 0 if none was visible."""
        return float((self.count > 0).sum() / (self.shown > 0).sum().clamp(min=1))

    def ready(self, config: UdaConfig) -> bool:
        """Return whether there are enough images, or enough vertices, for a step.

        Either will do: vertices that look like themselves in no image of another domain must not hold back the others
        for ever.
        """
        return int(self.images) >= config.bank_images or self.coverage() >= config.coverage

    def move(self, neural: NeuralMesh, momentum: float) -> None:
        """Apply 3DUDA's equation 4: C_r <- normalize(alpha C_r + (1 - alpha) mean of the accepted features of r).

        Vertices without one stay as they are. Empties what is pending.
        """
        neural.vertex_features = updated_vertex_features(
            neural.vertex_features, self.total, self.count, int(self.images), momentum=momentum
        )
        for buffer in self.buffers():
            buffer.zero_()
