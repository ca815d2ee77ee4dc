"""Poses of pictures as a user has them: of any size, with the object's box or without, and no camera."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from p3d_gen.core.errors import ConfigError, DataError, did_you_mean
from p3d_gen.core.geometry import meets_picture
from p3d_gen.core.pictures import read_picture, rgb_pixels
from p3d_gen.core.types import Array, Picture
from pose_models.baselines.res_general import ResGeneral
from pose_models.data.augment import collate, place
from pose_models.data.sample import Batch, PoseSample
from pose_models.estimator import EstimateConfig
from pose_models.loading import TrainedModel, estimator_of
from pose_models.nmm import NeuralMesh, NeuralMeshModel
from pose_models.pose import Box, Hypothesis, Pose
from pose_models.solve import Candidate, candidates, distinct, infer_category, views_of

_SAME_MODE_DEG = 2.0


def as_picture(image: str | Path | Image.Image | Picture) -> Picture:
    """Return the pixels (H, W, 3) RGB of a file, a PIL picture or a uint8 array; DataError for anything else."""
    if isinstance(image, str | Path):
        return read_picture(Path(image), upright=True)
    if isinstance(image, Image.Image):
        return rgb_pixels(image, upright=True)
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
        raise DataError(f"the picture is an array {image.shape} of {image.dtype}: give (H, W, 3) RGB of uint8")
    return image


def checked_box(picture: Picture, box_xyxy: Sequence[float] | None) -> Box:
    """Return the box, or that of the whole picture; ConfigError if it is empty or does not meet the picture."""
    height, width = picture.shape[:2]
    left, top, right, bottom = box_xyxy or (0.0, 0.0, float(width), float(height))
    if not meets_picture((left, top, right, bottom), (height, width)):
        raise ConfigError(
            f"the box {left:g} {top:g} {right:g} {bottom:g} must be X1 < X2, Y1 < Y2 in pixels and meet the picture, "
            f"which has {width} x {height}"
        )
    return left, top, right, bottom


@torch.no_grad()
def predict(
    models: Sequence[TrainedModel],
    pictures: Sequence[Picture],
    boxes_xyxy: Sequence[Sequence[float] | None],
    category: str | None,
    config: EstimateConfig,
) -> list[Pose]:
    """Return the pose of the object in each picture (H, W, 3) RGB.

    Position and scale are taken from the object's box, None for the whole picture. Without a category it is that, of
    all mesh models, whose mesh explains the features best. ConfigError for a box outside its picture, for a category
    that no model knows, and if it is not given but only Res-General could name it.
    """
    known = sorted({name for model in models for name in model.spec.categories})
    if category is not None and category not in known:
        raise ConfigError(f"the model knows {', '.join(known)}, not {category!r}{did_you_mean(category, known)}")
    boxes = [checked_box(picture, box) for picture, box in zip(pictures, boxes_xyxy, strict=True)]
    able = [model for model in models if category is None or category in model.spec.categories]
    meshes = [model for model in able if isinstance(model, NeuralMeshModel)]
    if meshes:
        return _solved(meshes, pictures, boxes, category, config)
    if category is None and len(known) > 1:
        raise ConfigError(f"Res-General does not tell categories apart: name the category, one of {', '.join(known)}")
    baselines = [model for model in able if isinstance(model, ResGeneral)]
    return _classified(baselines[0], pictures, boxes, category or known[0], config)


def _classified(
    model: ResGeneral, pictures: Sequence[Picture], boxes: Sequence[Box], category: str, config: EstimateConfig
) -> list[Pose]:
    """Return the poses that Res-General sees, each under the camera by which a cube fills the box."""
    estimator = estimator_of(model, config)
    batch, canvases = _placed(model, pictures, boxes, category)
    estimates = estimator.estimate(batch)
    poses, Ks = (x.double().cpu().numpy() for x in (estimates.cam_T_obj, estimates.K))
    scores = estimates.loss.tolist(), estimates.confidence.tolist()
    return [
        Pose(
            image=picture,
            category=category,
            box=box,
            hypotheses=(Hypothesis(cam_T_obj=pose, K=np.linalg.inv(canvas) @ K, loss=loss, confidence=confidence),),
            category_losses={category: loss},
            mesh_box=estimator.boxes[category].double().cpu().numpy(),
        )
        for picture, box, canvas, pose, K, loss, confidence in zip(
            pictures, boxes, canvases, poses, Ks, *scores, strict=True
        )
    ]


def _solved(
    models: Sequence[NeuralMeshModel],
    pictures: Sequence[Picture],
    boxes: Sequence[Box],
    category: str | None,
    config: EstimateConfig,
) -> list[Pose]:
    """Return the poses by render-and-compare, of the category that explains the features best."""
    among: list[Candidate] = []
    canvases: list[list[Array]] = []
    for model in models:
        batch, canvas = _placed(model, pictures, boxes, "")
        views = views_of(model, batch.to(model.clutter.device), mirror=config.mirror)
        own = [each for each in candidates(model, views) if category in (None, each.category)]
        among += own
        canvases += [canvas] * len(own)
    best, solutions, losses = infer_category(among, config.solve, config.distance, config.confidence)
    answers = []
    for i, (picture, box) in enumerate(zip(pictures, boxes, strict=True)):
        chosen = int(best[i])
        spec = among[chosen].mesh.spec
        back = np.linalg.inv(canvases[chosen][i])
        poses, Ks = (x[i].double().cpu().numpy() for x in (solutions.hypotheses_cam_T_obj, solutions.hypotheses_K))
        scores = solutions.hypotheses_loss[i].tolist(), solutions.hypotheses_confidence[i].tolist()
        shown = _modes(solutions.hypotheses_cam_T_obj[i], among[chosen].mesh)
        answers.append(
            Pose(
                image=picture,
                category=among[chosen].category,
                box=box,
                hypotheses=tuple(
                    Hypothesis(cam_T_obj=pose, K=back @ K, loss=loss, confidence=sure)
                    for j, (pose, K, loss, sure) in enumerate(zip(poses, Ks, *scores, strict=True))
                    if j in shown
                ),
                category_losses={c.category: float(loss) for c, loss in zip(among, losses[i], strict=True)},
                mesh_box=np.array([spec.box_lower, spec.box_upper]),
            )
        )
    return answers


def _modes(cam_T_obj: Tensor, mesh: NeuralMesh) -> list[int]:
    """Return the indices of hypotheses (H, 4, 4) that show something else than a better one does."""
    if mesh.symmetry.is_none:
        return list(range(len(cam_T_obj)))
    return distinct(cam_T_obj[:, :3, :3].double(), mesh.symmetry, math.radians(_SAME_MODE_DEG))


def _placed(
    model: TrainedModel, pictures: Sequence[Picture], boxes: Sequence[Box], category: str
) -> tuple[Batch, list[Array]]:
    """Return the pictures on the model's canvas, without pose and camera, and the maps (3, 3) of their pixels to it."""
    samples = [
        PoseSample(
            key=str(i), category=category, image=picture, mask=None, cam_T_obj=np.eye(4), K=np.eye(3), box_xyxy=box
        )
        for i, (picture, box) in enumerate(zip(pictures, boxes, strict=True))
    ]
    # Placement maps K as it maps pixels: of the identity it leaves the map.
    placed = [place(sample, model.spec.canvas_hw, model.spec.box_fill) for sample in samples]
    batch = collate(placed)
    nothing = {name: torch.full_like(getattr(batch, name), torch.nan) for name in ("cam_T_obj", "K")}
    return replace(batch, **nothing), [sample.K for sample in placed]
