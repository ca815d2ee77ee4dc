"""Label survival: a score of how well a picture still shows the labelled pose, by the edges that the label predicts.

The CAD model in the labelled pose predicts the places and directions of edges: its contour, occluding contours and
creases. The edges of the picture at these places are compared with those at displaced places, because a picture full of
texture has edges everywhere. No other picture and no network are needed, and brightness and contrast of the picture do
not matter. The score generalises the consistency filter of 3D-DST, which needs a trained pose model.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from p3d_gen.core.codecs import mask_bytes
from p3d_gen.core.geometry import transform
from p3d_gen.core.silhouette import ray_cast
from p3d_gen.core.types import Array, Camera

# Larger pictures are judged at this diagonal, that of 256 x 256 pixels, so that tolerance and time do not depend on
# their size.
WORKING_DIAGONAL_PX = 362.0
TOLERANCE_PX = 2
# Two neighbouring pixels are an edge of the object if their surfaces meet at more than this angle (Blender's own limit
# of smooth shading), or are further apart than this in box diagonals.
_CREASE_COS, _JUMP = np.cos(np.radians(35.0)), 0.02
_GRADIENT_SIGMA_PX, _LINE_SIGMA_PX = 1.0, 1.5
_NEIGHBOURHOOD_PX = 25
_FAINT = 0.1
_DIRECTIONS = 8
# The chance level is this quantile of the scores of displaced copies of the label's edges.
_DISPLACEMENTS = tuple(
    (round(radius * np.cos(angle)), round(radius * np.sin(angle)))
    for radius in (3 * TOLERANCE_PX, 5 * TOLERANCE_PX)
    for angle in np.arange(8) * np.pi / 4
)
_CHANCE_QUANTILE = 0.9
# The mean of max(cos(2 phi), 0) over all directions phi: the agreement of unrelated directions by chance.
_CHANCE_ALIGNMENT = 1 / np.pi

_Mask = NDArray[np.bool_]
_Map = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Expected:
    """The edges that a label predicts. All arrays are (h, w), at the working size.

    mask: pixels that show the object. contour: its outermost pixels, except for those where the frame or an occluder
    cuts it. inner: its occluding contours and creases. doubled_rad: at edges twice the angle of the edge's normal in
    the picture, from x to y; 0 elsewhere.
    """

    mask: _Mask
    contour: _Mask
    inner: _Mask
    doubled_rad: _Map

    def within(self, box: tuple[slice, slice]) -> Expected:
        """Return the part of it in a box of the picture."""
        return Expected(
            mask=self.mask[box], contour=self.contour[box], inner=self.inner[box], doubled_rad=self.doubled_rad[box]
        )


@dataclass(frozen=True, kw_only=True)
class Survival:
    """The scores of a picture for a labelled pose: each in [0, 1], 0 for no better than by chance.

    edge_precision: share of the picture's edges on the object that lie on the label's edges and run along them.
    edge_recall: share of the label's edges that the picture shows. silhouette: the same for the contour alone.
    score: the mean of the three.
    """

    edge_precision: float
    edge_recall: float
    silhouette: float
    score: float


def _working_camera(camera: Camera) -> Camera:
    height, width = camera.image_hw
    scale = min(1.0, WORKING_DIAGONAL_PX / float(np.hypot(height, width)))
    x, y = camera.principal_px
    return replace(
        camera,
        focal_px=camera.focal_px * scale,
        principal_px=(x * scale, y * scale),
        image_hw=(max(1, round(height * scale)), max(1, round(width * scale))),
    )


def _box_around(mask: _Mask, margin_px: int) -> tuple[slice, slice]:
    """Return the part of the picture that holds a mask and a margin; the whole picture for an empty mask."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return slice(None), slice(None)
    return (
        slice(max(0, rows[0] - margin_px), rows[-1] + 1 + margin_px),
        slice(max(0, columns[0] - margin_px), columns[-1] + 1 + margin_px),
    )


def _seen_normals(points_cam: Array, faces: NDArray[Any], triangle: NDArray[np.int64]) -> Array:
    """Return the unit normals (h, w, 3), towards the camera, of the seen triangles (h, w); 0 for none."""
    mask = triangle >= 0
    seen, which = np.unique(triangle[mask], return_inverse=True)
    corners = points_cam[faces[seen]]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    normals *= np.where((normals * corners[:, 0]).sum(axis=1, keepdims=True) > 0, -1.0, 1.0)
    of_pixels = np.zeros((*triangle.shape, 3))
    of_pixels[mask] = normals[which]
    return of_pixels


def _rays(camera: Camera, box: tuple[slice, slice]) -> Array:
    """Return the directions (h, w, 3), in camera axes with z = 1, of the rays through the pixel centres of a box."""
    (height, width), (x, y) = camera.image_hw, camera.principal_px
    across, down = np.arange(width)[box[1]] + 0.5 - x, np.arange(height)[box[0]] + 0.5 - y
    focal = camera.focal_px
    return np.stack(np.broadcast_arrays(across[None, :] / focal, down[:, None] / focal, 1.0), axis=-1)


def _dot(a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(np.einsum("ijk,ijk->ij", a, b))


def _continued(depth: Array, normals: Array, rays: Array, other_rays: Array) -> Array:
    """Return the depths at which other rays meet the planes that are seen along `rays`; infinite if they do not."""
    facing = _dot(normals, other_rays)
    return np.divide(depth * _dot(normals, rays), facing, out=np.full(depth.shape, np.inf), where=facing < 0)


def _inner_edges(depth: Array, normals: Array, rays: Array) -> _Mask:
    """Return the inner edges of the object, marked on the nearer one of two neighbouring pixels.

    An edge is a crease between the two, or a place at which neither surface continues to the other.
    """
    edges = np.zeros(depth.shape, bool)
    for axis in (0, 1):
        one, other = ([slice(None)] * 2 for _ in range(2))
        one[axis], other[axis] = slice(None, -1), slice(1, None)
        a, b = tuple(one), tuple(other)
        apart = np.abs(_continued(depth[a], normals[a], rays[a], rays[b]) - depth[b]) > _JUMP
        apart &= np.abs(_continued(depth[b], normals[b], rays[b], rays[a]) - depth[a]) > _JUMP
        edge = (depth[a] > 0) & (depth[b] > 0) & (apart | (_dot(normals[a], normals[b]) < _CREASE_COS))
        nearer = depth[a] <= depth[b]
        edges[a] |= edge & nearer
        edges[b] |= edge & ~nearer
    return edges


def _box(size_px: int) -> NDArray[np.uint8]:
    return np.ones((size_px, size_px), np.uint8)


def _grown(mask: _Mask) -> _Mask:
    return np.asarray(cv2.dilate(mask_bytes(mask), _box(2 * TOLERANCE_PX + 1)) > 0)


def _gradient(picture: NDArray[Any], sigma_px: float) -> tuple[_Map, _Map]:
    blurred = cv2.GaussianBlur(picture.astype(np.float32), (0, 0), sigma_px)
    return cv2.Sobel(blurred, cv2.CV_32F, 1, 0), cv2.Sobel(blurred, cv2.CV_32F, 0, 1)


def _line_directions(edges: _Mask) -> _Map:
    """Return twice the angle of the normals of lines one pixel wide, by the structure tensor; 0 for no line."""
    dx, dy = _gradient(edges, _LINE_SIGMA_PX)
    difference, product = (cv2.GaussianBlur(x, (0, 0), _LINE_SIGMA_PX) for x in (dx * dx - dy * dy, 2 * dx * dy))
    return np.where(edges, np.arctan2(product, difference), np.float32(0))


def expected_edges(
    vertices: Array, faces: NDArray[Any], cam_T_obj: Array, camera: Camera, hidden: _Mask | None = None
) -> Expected:
    """Return the edges that a picture must show of a CAD model in a pose, from the label alone.

    vertices: (V, 3) in object axes, box diagonal 1, stretched as the sample was. faces: (F, 3). hidden: mask (H, W) of
    other objects in front. Raise ValueError if a part of the object lies behind the camera.
    """
    small = _working_camera(camera)
    depth, triangle = ray_cast(vertices, faces, cam_T_obj, small)
    mask = depth > 0
    contour = mask & (cv2.erode(mask_bytes(mask), cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))) == 0)
    box, inner = _box_around(mask, 1), np.zeros_like(mask)
    normals = _seen_normals(transform(cam_T_obj, vertices), faces, triangle[box])
    inner[box] = _inner_edges(depth[box], normals, _rays(small, box)) & ~contour[box]
    if hidden is not None:
        height, width = small.image_hw
        cover = cv2.resize(mask_bytes(hidden), (width, height), interpolation=cv2.INTER_AREA)
        shown = ~_grown(cover > 0)
        mask, contour, inner = mask & (cover == 0), contour & shown, inner & shown
    return Expected(mask=mask, contour=contour, inner=inner, doubled_rad=_line_directions(contour | inner))


@dataclass(frozen=True)
class _Evidence:
    """The edges of a picture. All arrays are (h, w).

    strength: strength relative to the neighbourhood, in [0, 1]. cosine, sine: of the doubled angle of the edge's
    normal, shorter than 1 if the colour channels disagree.
    """

    strength: _Map
    cosine: _Map
    sine: _Map

    def along(self, doubled_rad: float | _Map) -> _Map:
        """Return the agreement of the edges with a direction, in [0, 1]."""
        return np.asarray(np.maximum(self.cosine * np.cos(doubled_rad) + self.sine * np.sin(doubled_rad), 0))


def _evidence(picture: NDArray[np.uint8], near: _Mask) -> _Evidence:
    """Return the edges of a picture (h, w, 3). Gradients that are fainter than usual `near` the object count little."""
    dx, dy = _gradient(picture, _GRADIENT_SIGMA_PX)
    xx, yy, xy = _dot(dx, dx), _dot(dy, dy), _dot(dx, dy)
    energy = xx + yy
    size = np.sqrt(energy)
    usual = cv2.blur(size, (_NEIGHBOURHOOD_PX, _NEIGHBOURHOOD_PX)) + _FAINT * size[near].mean()
    strength = np.minimum(np.divide(size, usual, out=np.zeros_like(size), where=usual > 0), 2.0) / 2
    scale = np.divide(1, energy, out=np.zeros_like(energy), where=energy > 0)
    return _Evidence(strength, (xx - yy) * scale, 2 * xy * scale)


def _beyond_chance(agreement: float, chance: float) -> float:
    """Return Cohen's kappa, but 0 for less than chance."""
    return max(0.0, (agreement - chance) / (1 - chance)) if chance < 1 else 0.0


def _shown(edges: _Mask, doubled_rad: _Map, near: NDArray[np.float32]) -> float:
    """Return the share of the label's edges that a picture shows. near: its aligned edges (directions, h, w)."""
    y, x = np.nonzero(edges)
    if not len(y):
        return 0.0
    direction = np.rint(doubled_rad[y, x] * (_DIRECTIONS / (2 * np.pi))).astype(int) % _DIRECTIONS
    bottom, right = edges.shape[0] - 1, edges.shape[1] - 1
    here, *elsewhere = (
        float(near[direction, np.clip(y + down, 0, bottom), np.clip(x + along, 0, right)].mean())
        for along, down in ((0, 0), *_DISPLACEMENTS)
    )
    return _beyond_chance(here, float(np.quantile(elsewhere, _CHANCE_QUANTILE)))


def _precision(expected: Expected, evidence: _Evidence) -> float:
    """Return the share of the picture's clear edges on the object that the label's edges explain."""
    edges = expected.contour | expected.inner
    if not edges.any():
        return 0.0
    away, nearest = cv2.distanceTransformWithLabels(
        mask_bytes(~edges), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    directions = np.zeros(int(nearest.max()) + 1, np.float32)
    directions[nearest[edges]] = expected.doubled_rad[edges]
    within = _grown(expected.mask)
    covered = within & (away <= TOLERANCE_PX)
    clear = np.where(within & (evidence.strength > 0.5), evidence.strength, 0)
    total = float(clear.sum())
    if total == 0:
        return 0.0
    explained = float((clear * covered * evidence.along(directions[nearest])).sum()) / total
    return _beyond_chance(explained, _CHANCE_ALIGNMENT * np.count_nonzero(covered) / np.count_nonzero(within))


def survival(picture: NDArray[np.uint8], expected: Expected) -> Survival:
    """Return the scores of a picture (H, W, 3) for the edges of `expected_edges`.

    They are 0 for a flat picture, and if the label predicts no edges. Only the object and the surroundings of its
    contour count: the rest of the picture is replaced later.
    """
    height, width = expected.mask.shape
    if picture.shape[:2] != (height, width):
        method = cv2.INTER_AREA if height < picture.shape[0] else cv2.INTER_LINEAR
        picture = np.asarray(cv2.resize(picture, (width, height), interpolation=method), np.uint8)
    if not expected.mask.any():
        return Survival(edge_precision=0.0, edge_recall=0.0, silhouette=0.0, score=0.0)
    box = _box_around(expected.mask, _NEIGHBOURHOOD_PX)
    expected = expected.within(box)
    evidence = _evidence(picture[box], _grown(expected.mask))
    angles = np.arange(_DIRECTIONS) * (2 * np.pi / _DIRECTIONS)
    near = np.stack(
        [cv2.dilate(evidence.along(float(a)) * evidence.strength, _box(2 * TOLERANCE_PX + 1)) for a in angles]
    )
    silhouette = _shown(expected.contour, expected.doubled_rad, near)
    recall = _shown(expected.contour | expected.inner, expected.doubled_rad, near)
    precision = _precision(expected, evidence)
    return Survival(
        edge_precision=precision,
        edge_recall=recall,
        silhouette=silhouette,
        score=(precision + recall + silhouette) / 3,
    )
