"""Poses of pictures as a user has them: of any size, with the object's box or without, and no camera."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from p3d_gen.core.types import Array, Picture
from pose_models.data.augment import collate, place
from pose_models.data.sample import PoseSample
from pose_models.estimator import EstimateConfig
from pose_models.geometry import viewpoint_of
from pose_models.nmm import NeuralMeshModel
from pose_models.rasterise import face_map, rasterise
from pose_models.report.draw import draw_pose, enlarged, polyline
from pose_models.solve import Candidate, candidates, infer_category, views_of

_SMALLEST_OVERLAY = 480
_CAD_COLOUR = (255, 90, 200)


@dataclass(frozen=True, kw_only=True, eq=False)
class Hypothesis:
    """A pose cam_T_obj (4, 4) under K (3, 3) in the picture's own pixels, its reconstruction loss and confidence."""

    cam_T_obj: Array
    K: Array
    loss: float
    confidence: float

    def as_dict(self) -> dict[str, Any]:
        """For JSON: the pose in all its forms, the viewpoint's angles in degrees."""
        azimuth, elevation, theta = viewpoint_of(torch.from_numpy(self.cam_T_obj[:3, :3])).rad2deg().tolist()
        return {
            "azimuth_deg": azimuth,
            "elevation_deg": elevation,
            "theta_deg": theta,
            "loss": self.loss,
            "confidence": self.confidence,
            "R_cam_obj": self.cam_T_obj[:3, :3].tolist(),
            "cam_T_obj": self.cam_T_obj.tolist(),
            "K": self.K.tolist(),
        }


@dataclass(frozen=True, kw_only=True, eq=False)
class Answer:
    """What was found in a picture. box_xyxy: the object's box that was used; hypotheses: by rising loss, the first is
    the answer; category_losses: of every category that was tried; mesh_box (2, 3): corners of the mesh in obj axes."""

    category: str
    box_xyxy: tuple[float, ...]
    hypotheses: tuple[Hypothesis, ...]
    category_losses: dict[str, float]
    mesh_box: Array

    def as_dict(self) -> dict[str, Any]:
        """For JSON: the best hypothesis' fields, and all hypotheses."""
        return {
            "category": self.category,
            "box_xyxy": list(self.box_xyxy),
            **self.hypotheses[0].as_dict(),
            "category_losses": self.category_losses,
            "hypotheses": [hypothesis.as_dict() for hypothesis in self.hypotheses],
        }


def read_picture(path: Path) -> Picture:
    """The pixels (H, W, 3) RGB of an image file. ValueError naming it where it cannot be read."""
    pixels = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if pixels is None:
        raise ValueError(f"cannot read image {path}: no such file, or no picture")
    return np.ascontiguousarray(pixels[..., ::-1], dtype=np.uint8)


def checked_box(picture: Picture, box_xyxy: tuple[float, ...] | None) -> tuple[float, float, float, float]:
    """The box, or that of the whole picture. ValueError where it is empty or does not meet the picture."""
    height, width = picture.shape[:2]
    left, top, right, bottom = box_xyxy or (0.0, 0.0, float(width), float(height))
    if not (left < right and top < bottom and left < width and top < height and right > 0 and bottom > 0):
        raise ValueError(
            f"the box {left:g} {top:g} {right:g} {bottom:g} must be X1 < X2, Y1 < Y2 in pixels and meet the picture, "
            f"which has {width} x {height}"
        )
    return left, top, right, bottom


@torch.no_grad()
def predict(
    models: Sequence[NeuralMeshModel],
    pictures: Sequence[Picture],
    boxes_xyxy: Sequence[tuple[float, ...] | None],
    category: str | None,
    how: EstimateConfig,
) -> list[Answer]:
    """The pose of the object in each picture (H, W, 3) RGB; position and scale are taken from its box, None for the
    whole picture. Without a category it is that, of all models, whose mesh explains the features best.

    ValueError for a box outside its picture, and for a category that no model knows.
    """
    known = sorted({name for model in models for name in model.spec.categories})
    if category is not None and category not in known:
        raise ValueError(f"the model knows {', '.join(known)}, not {category!r}")
    boxes = [checked_box(picture, box) for picture, box in zip(pictures, boxes_xyxy, strict=True)]
    among: list[Candidate] = []
    canvases: list[list[Array]] = []
    for model in models:
        if category is None or category in model.spec.categories:
            found, canvas = _candidates(model, pictures, boxes, category, mirror=how.mirror)
            among += found
            canvases += [canvas] * len(found)
    best, solutions, losses = infer_category(among, how.solve, how.distance, how.confidence)
    answers = []
    for i, box in enumerate(boxes):
        chosen = int(best[i])
        spec = among[chosen].mesh.spec
        back = np.linalg.inv(canvases[chosen][i])
        poses, Ks = (x[i].double().cpu().numpy() for x in (solutions.hypotheses_cam_T_obj, solutions.hypotheses_K))
        scores = solutions.hypotheses_loss[i].tolist(), solutions.hypotheses_confidence[i].tolist()
        answers.append(
            Answer(
                category=among[chosen].category,
                box_xyxy=box,
                hypotheses=tuple(
                    Hypothesis(cam_T_obj=pose, K=back @ K, loss=loss, confidence=sure)
                    for pose, K, loss, sure in zip(poses, Ks, *scores, strict=True)
                ),
                category_losses={c.category: float(loss) for c, loss in zip(among, losses[i], strict=True)},
                mesh_box=np.array([spec.box_lower, spec.box_upper]),
            )
        )
    return answers


def _candidates(
    model: NeuralMeshModel,
    pictures: Sequence[Picture],
    boxes: Sequence[tuple[float, float, float, float]],
    category: str | None,
    *,
    mirror: bool,
) -> tuple[list[Candidate], list[Array]]:
    """The categories of one model for the pictures, and the maps (3, 3) from each picture's pixels to the canvas'."""
    samples = [
        PoseSample(
            key=str(i),
            category="",
            image=picture,
            mask=None,
            cam_T_obj=np.eye(4),
            K=np.eye(3),
            box_xyxy=box,
        )
        for i, (picture, box) in enumerate(zip(pictures, boxes, strict=True))
    ]
    # Placement maps K as it maps pixels: of the identity it leaves the map.
    placed = [place(sample, model.spec.canvas_hw, model.spec.box_fill) for sample in samples]
    batch = collate(placed).to(model.clutter.device)
    batch = replace(batch, cam_T_obj=torch.full_like(batch.cam_T_obj, torch.nan), K=torch.full_like(batch.K, torch.nan))
    found = candidates(model, views_of(model, batch, mirror=mirror))
    return [c for c in found if category in (None, c.category)], [sample.K for sample in placed]


def overlay(picture: Picture, answer: Answer, cad: tuple[Array, NDArray[np.int64]] | None = None) -> Picture:
    """The picture with the best pose drawn on it: the mesh's box, its front face yellow, the axes, and the outline of
    a CAD (vertices, faces) where there is one. Small pictures are enlarged."""
    best = answer.hypotheses[0]
    scale = max(1.0, _SMALLEST_OVERLAY / max(picture.shape[:2]))
    drawn, K = enlarged(picture, best.K, scale) if scale > 1 else (picture.copy(), best.K)
    if cad is not None:
        for outline in _outlines(cad, best.cam_T_obj, K, drawn.shape[:2]):
            polyline(drawn, outline, _CAD_COLOUR)
    with_box = draw_pose(drawn, K, best.cam_T_obj, answer.mesh_box)
    return drawn if with_box is None else with_box


def _outlines(cad: tuple[Array, NDArray[np.int64]], cam_T_obj: Array, K: Array, hw: tuple[int, ...]) -> list[Array]:
    """The closed outlines (N, 2), continuous pixel coordinates, of a CAD's silhouette."""
    vertices, faces = cad
    points = torch.from_numpy(vertices @ cam_T_obj[:3, :3].T + cam_T_obj[:3, 3])[None]
    size = hw[0], hw[1]
    hits = rasterise(points, torch.from_numpy(faces), torch.from_numpy(K)[None], size, cull=False)
    mask = (face_map(hits, 1, size)[0] >= 0).numpy().astype(np.uint8)
    found = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)[0]
    return [np.vstack([line[:, 0], line[:1, 0]]) + 0.5 for line in found]
