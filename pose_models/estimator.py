"""The protocol of an estimator, which finds the pose of each image of a batch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol

from torch import Tensor

from p3d_gen.core.symmetry import Symmetry
from pose_models.data.sample import Batch
from pose_models.solve import ConfidenceForm, SolveConfig


@dataclass(frozen=True, kw_only=True)
class Estimates:
    """The poses of B images: cam_T_obj (B, 4, 4) and K (B, 3, 3) in canvas pixels, loss and confidence (B,), and the
    category of each image, given or inferred."""

    cam_T_obj: Tensor
    K: Tensor
    loss: Tensor
    confidence: Tensor
    category: list[str]


@dataclass(frozen=True, kw_only=True)
class EstimateConfig:
    """The settings of an estimator.

    mirror: use the mirrored image as well. distance: from camera to object in box diagonals, for images without an
    annotated one; None for the mean of the training images. Of neural mesh models: solve, the search; infer, take the
    category whose mesh explains the features best; confidence, its form, see `solve.confidence`. Of Res-General:
    decode, the angle that a bin stands for, "centre" or, as in the released code, "edge".
    """

    solve: SolveConfig = field(default_factory=SolveConfig)
    mirror: bool = False
    infer: bool = False
    distance: float | None = None
    confidence: ConfidenceForm = "mean"
    decode: Literal["centre", "edge"] = "centre"


class Estimator(Protocol):
    """A model that finds poses and can be evaluated.

    canvas_hw, box_fill: size of its images, and the share of it that an object's box fills. symmetries: of
    each category's shapes. mode_rotations: most frequent training rotation (3, 3) of each category. boxes: lower and
    upper corner (2, 3) of each category's box in obj axes.
    """

    canvas_hw: tuple[int, ...]
    box_fill: float
    symmetries: dict[str, Symmetry]
    mode_rotations: dict[str, Tensor]
    boxes: dict[str, Tensor]

    @property
    def categories(self) -> tuple[str, ...]:
        """Categories that it knows."""
        return tuple(self.boxes)

    def estimate(self, batch: Batch) -> Estimates:
        """Return the poses of the images of a batch."""

    def camera(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return cam_T_obj (B, 4, 4) and K (B, 3, 3) for the true rotations of a batch."""
