"""The truth of labels: the view that a stored pose predicts, to be compared with the render."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from p3d_gen.core.geometry import project, transform
from p3d_gen.core.types import Array, Camera

MIN_MASK_IOU = 0.98
_EDGE_TOLERANCE = 1e-9


def camera_of(labels: dict[str, Any]) -> Camera:
    """Return the camera that a sample's labels hold."""
    (x, y), (height, width) = labels["principal_px"], labels["image_hw"]
    return Camera(focal_px=labels["focal_px"], principal_px=(x, y), image_hw=(height, width))


def _in_front(cam_T_obj: Array, vertices: Array) -> Array:
    points = transform(cam_T_obj, vertices)
    if (points[:, 2] <= 0).any():
        raise ValueError("a part of the object lies behind the camera")
    return points


@dataclass(frozen=True)
class _Spans:
    """Runs of pixels in one row whose centres lie in one triangle, edges included. All arrays are (S,).

    row: row of pixels. first, after: the first column, and the one after the last. face: index of the triangle.
    """

    row: NDArray[np.int64]
    first: NDArray[np.int64]
    after: NDArray[np.int64]
    face: NDArray[np.int64]


def _spans(corners: Array, image_hw: tuple[int, int]) -> _Spans:
    """Return the spans of triangles (F, 3, 2): their cuts with the rows of pixel centres."""
    height, width = image_hw
    y = corners[..., 1]
    lowest = np.clip(np.ceil(y.min(axis=1) - 0.5 - _EDGE_TOLERANCE), 0, height).astype(np.int64)
    highest = np.clip(np.floor(y.max(axis=1) - 0.5 + _EDGE_TOLERANCE), -1, height - 1).astype(np.int64)
    count = np.maximum(highest - lowest + 1, 0)
    face = np.repeat(np.arange(len(corners)), count)
    row = lowest[face] + np.arange(len(face)) - np.repeat(np.cumsum(count) - count, count)
    low, high = np.full(len(row), np.inf), np.full(len(row), -np.inf)
    for i in range(3):
        start, end = corners[:, i], corners[:, (i + 1) % 3]
        rise = end[:, 1] - start[:, 1]
        steep = np.abs(rise) > _EDGE_TOLERANCE  # the other two edges hold the ends of a level one
        share = (row + 0.5 - start[face, 1]) / np.where(steep, rise, np.inf)[face]
        x = start[face, 0] + share * (end - start)[face, 0]
        cut = steep[face] & (share >= -_EDGE_TOLERANCE) & (share <= 1 + _EDGE_TOLERANCE)
        low, high = np.where(cut, np.minimum(low, x), low), np.where(cut, np.maximum(high, x), high)
    first = np.clip(np.ceil(low - 0.5 - _EDGE_TOLERANCE), 0, width).astype(np.int64)
    after = np.clip(np.floor(high - 0.5 + _EDGE_TOLERANCE) + 1, 0, width).astype(np.int64)
    holds = first < after
    return _Spans(row[holds], first[holds], after[holds], face[holds])


def silhouette(vertices: Array, faces: NDArray[Any], cam_T_obj: Array, camera: Camera) -> NDArray[np.bool_]:
    """Return the mask (H, W) of a mesh by projection alone: true if the pixel's centre lies in a projected triangle.

    vertices: (V, 3) in object axes. faces: (F, 3). Raise ValueError if a part of the object lies behind the camera.
    """
    height, width = camera.image_hw
    spans = _spans(project(_in_front(cam_T_obj, vertices), camera)[faces], camera.image_hw)
    size = height * (width + 1)
    entered = np.bincount(spans.row * (width + 1) + spans.first, minlength=size)
    left = np.bincount(spans.row * (width + 1) + spans.after, minlength=size)
    return np.asarray(np.cumsum((entered - left).reshape(height, width + 1), axis=1)[:, :width] > 0)


def _inverse_depth(corners: Array, inverse: Array) -> tuple[Array, Array, Array]:
    """Return the coefficients (F,) of 1/z = a x + b y + c, which is linear in the picture, for triangles (F, 3, 2).

    inverse: inverse depths (F, 3) of the corners.
    """
    (ux, uy), (vx, vy) = ((corners[:, i] - corners[:, 0]).T for i in (1, 2))
    du, dv = inverse[:, 1] - inverse[:, 0], inverse[:, 2] - inverse[:, 0]
    area = ux * vy - uy * vx
    area = np.where(area == 0, np.inf, area)
    a, b = (du * vy - dv * uy) / area, (dv * ux - du * vx) / area
    return a, b, inverse[:, 0] - a * corners[:, 0, 0] - b * corners[:, 0, 1]


def ray_cast(vertices: Array, faces: NDArray[Any], cam_T_obj: Array, camera: Camera) -> tuple[Array, NDArray[np.int64]]:
    """Return the first hits of the rays through the pixels' centres.

    Planar depth (H, W), 0 for no hit, and index of the triangle (H, W), -1 for none. Arguments as for `silhouette`.
    """
    points = _in_front(cam_T_obj, vertices)
    corners, inverse = project(points, camera)[faces], 1.0 / points[faces, 2]
    a, b, c = _inverse_depth(corners, inverse)
    spans = _spans(corners, camera.image_hw)
    count = spans.after - spans.first
    span = np.repeat(np.arange(len(count)), count)
    face, row = spans.face[span], spans.row[span]
    column = spans.first[span] + np.arange(len(span)) - np.repeat(np.cumsum(count) - count, count)
    here = a[face] * (column + 0.5) + b[face] * (row + 0.5) + c[face]
    here = np.clip(here, inverse.min(axis=1)[face], inverse.max(axis=1)[face])  # slivers' planes are imprecise
    pixel = row * camera.image_hw[1] + column
    nearest = np.zeros(camera.image_hw)
    np.maximum.at(nearest.ravel(), pixel, here)
    seen = here == nearest.ravel()[pixel]
    triangle = np.full(camera.image_hw, -1)
    triangle.ravel()[pixel[seen]] = face[seen]
    return np.divide(1.0, nearest, out=np.zeros_like(nearest), where=nearest > 0), triangle


@dataclass(frozen=True, kw_only=True)
class Amodal:
    """The whole silhouette of a mesh, without regard to what hides it.

    mask: (H, W), the part within the frame. area, box: of the whole silhouette, in pixels; the box (x0, y0, x1, y1) may
    reach beyond the frame.
    """

    mask: NDArray[np.bool_]
    area: int
    box: tuple[float, float, float, float]


def amodal(vertices: Array, faces: NDArray[Any], cam_T_obj: Array, camera: Camera) -> Amodal:
    """Return the whole silhouette of a mesh. Raise ValueError if a point of it lies behind the camera."""
    height, width = camera.image_hw
    pixels = project(transform(cam_T_obj, vertices), camera)
    left, up = np.minimum(np.floor(pixels.min(axis=0)), 0).astype(int).tolist()
    right, down = np.maximum(np.ceil(pixels.max(axis=0)), (width, height)).astype(int).tolist()
    x, y = camera.principal_px
    canvas = replace(camera, principal_px=(x - left, y - up), image_hw=(down - up, right - left))
    whole = silhouette(vertices, faces, cam_T_obj, canvas)
    x0, y0, x1, y1 = mask_box(whole)
    return Amodal(
        mask=whole[-up : height - up, -left : width - left],
        area=int(np.count_nonzero(whole)),
        box=(x0 + left, y0 + up, x1 + left, y1 + up),
    )


def in_frame(pixels: Array, image_hw: tuple[int, int]) -> NDArray[np.bool_]:
    """Return a mask (N,) of the points (N, 2) that lie within the picture."""
    height, width = image_hw
    x, y = pixels.T
    return np.asarray((x >= 0) & (x < width) & (y >= 0) & (y < height))


def unobstructed(pixels: Array, depth: Array, scene_depth: NDArray[np.float32], tolerance: float) -> NDArray[np.bool_]:
    """Return a mask (N,) of the points that have nothing in front of them by more than `tolerance`.

    pixels: (N, 2). depth: planar depths (N,). scene_depth: rendered planar z (H, W), 0 for the background. Points
    outside the picture are not seen.
    """
    seen = in_frame(pixels, (scene_depth.shape[0], scene_depth.shape[1]))
    column, row = np.floor(pixels[seen]).astype(int).T
    there = scene_depth[row, column]
    seen[seen] = (there == 0) | (there > depth[seen] - tolerance)
    return seen


def mask_iou(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    """Return the intersection over union of two masks; 0 if both are empty."""
    union = np.count_nonzero(a | b)
    return float(np.count_nonzero(a & b) / union) if union else 0.0


def mask_box(mask: NDArray[np.bool_]) -> tuple[float, float, float, float]:
    """Return the box (x0, y0, x1, y1) of a mask in continuous pixel coordinates. Raise ValueError if it is empty."""
    y, x = np.nonzero(mask)
    if not len(y):
        raise ValueError("the mask is empty")
    return float(x.min()), float(y.min()), float(x.max() + 1), float(y.max() + 1)
