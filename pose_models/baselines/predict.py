"""Viewpoints of images by Res-General."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from p3d_gen.core.geometry import box_corners
from pose_models.baselines.bins import Decode, mirrored_bins, viewpoints_of
from pose_models.baselines.res_general import ResGeneral
from pose_models.data.sample import Batch
from pose_models.data.symmetric import check_mirror
from pose_models.estimator import Estimates, Estimator
from pose_models.geometry import box_intrinsics, pose, rotation_cam_obj

Flip = Literal["none", "probabilities", "scores"]
CUBE = torch.from_numpy(box_corners(np.full(3, 3**-0.5)))  # (8, 3), diagonal 1
_DISTANCE = 3.0


def log_probabilities(
    model: ResGeneral, images: Tensor, categories: Sequence[str], *, flip: Flip = "probabilities"
) -> Tensor:
    """Return ln p (B, 3, bins) of azimuth, elevation and theta for images (B, 3, H, W) in 0..1 of known categories.

    flip: quantity that is averaged with that of the mirrored image, its bins mirrored back: nothing, the probabilities,
    or the scores before the softmax, as NeMo's code does. DataError if the model does not know a category.
    """
    scores = model.chosen(model(images).float(), categories)
    if flip == "none":
        return scores.log_softmax(-1)
    other = mirrored_bins(model.chosen(model(images.flip(-1)).float(), categories))
    if flip == "scores":
        return ((scores + other) / 2).log_softmax(-1)
    return torch.stack([scores, other]).softmax(-1).mean(0).log()


def predict(
    model: ResGeneral,
    images: Tensor,
    categories: Sequence[str],
    *,
    decode: Decode = "centre",
    flip: Flip = "probabilities",
) -> tuple[Tensor, Tensor]:
    """Return rotations R_cam_obj (B, 3, 3), float64, and confidences (B,) of images (B, 3, H, W) in 0..1.

    Each angle is its most probable bin, decoded by `bins.viewpoints_of`. The confidence is the product of the three
    probabilities. DataError if the model does not know a category.
    """
    with torch.no_grad():
        best, indices = log_probabilities(model, images, categories, flip=flip).max(-1)
    viewpoints = viewpoints_of(indices, model.spec.bins, decode)
    return rotation_cam_obj(viewpoints), best.double().sum(-1).exp()


class BaselineEstimator(Estimator):
    """Poses of images by Res-General, which uses only the category of a batch's labels.

    It does not estimate the position, and knows no CAD models. Poses have the annotated translation and camera if they
    are known, else those by which a cube at `distance` fills the image's box; `boxes` are that cube.
    """

    def __init__(
        self,
        model: ResGeneral,
        *,
        decode: Decode = "centre",
        flip: Flip = "probabilities",
        distance: float | None = None,
    ) -> None:
        """Estimate with `model` on its device; decode and flip as in `predict`. ConfigError as `check_mirror`."""
        check_mirror(flip != "none", model.spec.unmirrored)
        self.model, self._decode, self._flip, self._distance = model, decode, flip, distance or _DISTANCE
        self.canvas_hw, self.box_fill = model.spec.canvas_hw, model.spec.box_fill
        self.symmetries = {name: model.spec.symmetry(name) for name in model.spec.categories}
        modes = torch.tensor(model.spec.mode_rotations, dtype=torch.float64).view(-1, 3, 3)
        self.mode_rotations = dict(zip(model.spec.categories, modes, strict=True))
        self.boxes = {name: torch.stack([CUBE[0], CUBE[-1]]) for name in model.spec.categories}

    def estimate(self, batch: Batch) -> Estimates:
        """Return the poses of the images of a batch; `loss` is -ln confidence. DataError for an unknown category."""
        images = batch.image.to(self.model.mean.device).contiguous(memory_format=torch.channels_last)
        R, confidence = predict(self.model, images, batch.category, decode=self._decode, flip=self._flip)
        cam_T_obj, K = _with_camera(R, batch.to(images.device), self._distance)
        return Estimates(
            cam_T_obj=cam_T_obj, K=K, loss=-confidence.log(), confidence=confidence, category=batch.category
        )

    def camera(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the annotated translation and camera where they are known, else those that the box gives."""
        return _with_camera(batch.cam_T_obj[:, :3, :3].double(), batch, self._distance)


def _with_camera(R: Tensor, batch: Batch, distance: float) -> tuple[Tensor, Tensor]:
    """Return cam_T_obj (B, 4, 4) and K (B, 3, 3) for rotations (B, 3, 3), float64."""
    translation, K = batch.cam_T_obj[:, :3, 3].to(R), batch.K.to(R)
    known = (torch.isfinite(K).flatten(1).all(1) & torch.isfinite(translation).all(1))[:, None]
    fitted = box_intrinsics(R, CUBE[None].to(R), distance, batch.box_xyxy.to(R))
    translation = torch.where(known, translation, translation.new_tensor([0.0, 0.0, distance]))
    return pose(R, translation), torch.where(known[..., None], K, fitted)
