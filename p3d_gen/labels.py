"""Label truth: what a stored pose says must be seen, against what was rendered."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from p3d_gen.geometry import project, transform
from p3d_gen.types import Array, Camera

MIN_MASK_IOU = 0.98
_EDGE_TOLERANCE = 1e-9
_CANDIDATES_AT_ONCE = 4_000_000


def camera_of(labels: dict[str, Any]) -> Camera:
    """The camera that a sample's labels hold."""
    (x, y), (height, width) = labels["principal_px"], labels["image_hw"]
    return Camera(focal_px=labels["focal_px"], principal_px=(x, y), image_hw=(height, width))


def _candidates(corners: Array, image_hw: tuple[int, int]) -> tuple[NDArray[np.int64], NDArray[np.int64], Array]:
    """Every pixel (x, y) of every triangle's bounding box, and the index of that triangle.

    corners: (F, 3, 2) pixel coordinates. A pixel is a candidate where its centre lies in the box.
    """
    limit = np.array(image_hw[::-1])
    low = np.clip(np.ceil(corners.min(axis=1) - 0.5), 0, limit).astype(np.int64)
    high = np.clip(np.floor(corners.max(axis=1) - 0.5) + 1, 0, limit).astype(np.int64)
    width, height = np.maximum(high - low, 0).T
    count = width * height
    face = np.repeat(np.arange(len(corners)), count)
    rank = np.arange(len(face)) - np.repeat(np.cumsum(count) - count, count)
    x = low[face, 0] + rank % width[face]
    y = low[face, 1] + rank // width[face]
    return face, x, y


def _covered(corners: Array, image_hw: tuple[int, int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The pixels (x, y) whose centre lies in any of the triangles (F, 3, 2), edges included; with repeats."""
    face, x, y = _candidates(corners, image_hw)
    centre = np.stack([x + 0.5, y + 0.5], axis=1)
    ab, ac = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    orientation = np.sign(ab[:, 0] * ac[:, 1] - ab[:, 1] * ac[:, 0])[face]
    inside = orientation != 0
    for i in range(3):
        start, end = corners[face, i], corners[face, (i + 1) % 3]
        edge, point = end - start, centre - start
        inside &= orientation * (edge[:, 0] * point[:, 1] - edge[:, 1] * point[:, 0]) >= -_EDGE_TOLERANCE
    return x[inside], y[inside]


def silhouette(vertices: Array, faces: NDArray[Any], cam_T_obj: Array, camera: Camera) -> NDArray[np.bool_]:
    """The mask (H, W) of a mesh by projection alone: true where a pixel's centre lies in a projected triangle.

    vertices (V, 3) in object axes, faces (F, 3). The whole object must lie in front of the camera.
    """
    points = transform(cam_T_obj, vertices)
    if (points[:, 2] <= 0).any():
        raise ValueError("a part of the object lies behind the camera")
    corners = project(points, camera)[faces]
    mask = np.zeros(camera.image_hw, dtype=bool)
    boxes = np.prod(np.clip(np.ptp(corners, axis=1), 1, max(camera.image_hw)), axis=1)
    for part in np.split(corners, np.flatnonzero(np.diff(np.cumsum(boxes) // _CANDIDATES_AT_ONCE)) + 1):
        x, y = _covered(part, camera.image_hw)
        mask[y, x] = True
    return mask


def mask_iou(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    """Intersection over union of two masks; 0 where both are empty."""
    union = np.count_nonzero(a | b)
    return float(np.count_nonzero(a & b) / union) if union else 0.0


def mask_box(mask: NDArray[np.bool_]) -> tuple[float, float, float, float]:
    """The box (x0, y0, x1, y1) of a mask in continuous pixel coordinates. ValueError where the mask is empty."""
    y, x = np.nonzero(mask)
    if not len(y):
        raise ValueError("the mask is empty")
    return float(x.min()), float(y.min()), float(x.max() + 1), float(y.max() + 1)
