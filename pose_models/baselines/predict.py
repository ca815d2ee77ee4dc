"""What Res-General says about images."""

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
from pose_models.estimator import Estimates, Estimator
from pose_models.geometry import box_intrinsics, pose, rotation_cam_obj

Flip = Literal["none", "probabilities", "scores"]
CUBE = torch.from_numpy(box_corners(np.full(3, 3**-0.5)))  # (8, 3), diagonal 1
_DISTANCE = 3.0


def log_probabilities(
    model: ResGeneral, images: Tensor, categories: Sequence[str], *, flip: Flip = "probabilities"
) -> Tensor:
    """ln p (B, 3, bins) of azimuth, elevation and theta for images (B, 3, H, W) in 0..1 of known categories.

    flip: what is averaged with that of the mirrored image, its bins mirrored back: nothing, the probabilities, or the
    scores before the softmax, as NeMo's code does. ValueError where the model does not know a category.
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
    """Rotations R_cam_obj (B, 3, 3), float64, and confidences (B,) of images (B, 3, H, W) in 0..1.

    Each angle is its most probable bin, decoded as `bins.viewpoints_of` says. The confidence is the product of the
    three probabilities. ValueError where the model does not know a category.
    """
    with torch.no_grad():
        best, found = log_probabilities(model, images, categories, flip=flip).max(-1)
    viewpoints = viewpoints_of(found, model.spec.bins, decode)
    return rotation_cam_obj(viewpoints), best.double().sum(-1).exp()


class BaselineEstimator(Estimator):
    """Res-General as something to evaluate: of a batch's labels it uses the category alone.

    It tells no position, and knows no CAD models: poses come with the annotated translation and camera where they are
    known, else those by which a cube fills the image's box, and `boxes` are that cube.
    """

    def __init__(self, model: ResGeneral, *, decode: Decode = "centre", flip: Flip = "probabilities") -> None:
        """Estimate with `model` on its device; decode and flip as in `predict`."""
        self.model, self._decode, self._flip = model, decode, flip
        self.canvas_hw, self.box_fill = model.spec.canvas_hw, model.spec.box_fill
        modes = torch.tensor(model.spec.mode_rotations, dtype=torch.float64).view(-1, 3, 3)
        self.mode_rotations = dict(zip(model.spec.categories, modes, strict=True))
        self.boxes = {name: torch.stack([CUBE[0], CUBE[-1]]) for name in model.spec.categories}

    def estimate(self, batch: Batch) -> Estimates:
        """The poses of the images of a batch; `loss` is -ln confidence. ValueError for an unknown category."""
        images = batch.image.to(self.model.mean.device).contiguous(memory_format=torch.channels_last)
        R, confidence = predict(self.model, images, batch.category, decode=self._decode, flip=self._flip)
        cam_T_obj, K = _with_camera(R, batch.to(images.device))
        return Estimates(
            cam_T_obj=cam_T_obj, K=K, loss=-confidence.log(), confidence=confidence, category=batch.category
        )

    def camera(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The annotated translation and camera where they are known, else those that the box gives."""
        return _with_camera(batch.cam_T_obj[:, :3, :3].double(), batch)


def _with_camera(R: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """cam_T_obj (B, 4, 4) and K (B, 3, 3) that go with rotations (B, 3, 3), float64."""
    translation, K = batch.cam_T_obj[:, :3, 3].to(R), batch.K.to(R)
    known = (torch.isfinite(K).flatten(1).all(1) & torch.isfinite(translation).all(1))[:, None]
    fitted = box_intrinsics(R, CUBE[None].to(R), _DISTANCE, batch.box_xyxy.to(R))
    translation = torch.where(known, translation, translation.new_tensor([0.0, 0.0, _DISTANCE]))
    return pose(R, translation), torch.where(known[..., None], K, fitted)
