"""The protocol of an estimator: from a batch of images on a canvas to a pose for each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol

from torch import Tensor

from pose_models.data.sample import Batch
from pose_models.solve import (
    ConfidenceForm,
    SolveConfig,
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
