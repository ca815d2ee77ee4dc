"""The cuboid of a category, the mesh that carries the features of neural mesh models.

It is the box around the CAD models of the category, its surface sampled on a grid.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from p3d_gen.core.types import Array

VERTICES = 1000
FRACTION = 0.9999


@dataclass(frozen=True, kw_only=True)
class Cuboid:
    """A triangle mesh in object axes.

    vertices: (R, 3). faces: (F, 3), counter-clockwise seen from outside. normals: (R, 3), unit vectors, outward.
    """

    vertices: Array
    faces: NDArray[np.int64]
    normals: Array


def fit_box(points: Array, fraction: float) -> tuple[Array, Array]:
    """Return the lower and the upper corner (3,) of a box around points (N, 3), as NeMo fits its cuboids.

    On each axis the box spans the shortest interval that holds `fraction` of the points.
    """
    if len(points) == 0 or not 0 < fraction <= 1:
        raise ValueError(f"a box needs points and a fraction in (0, 1], got {len(points)} points and {fraction}")
    ordered = np.sort(points, axis=0)
    held = max(1, math.ceil(fraction * len(points)))
    widths = ordered[held - 1 :] - ordered[: len(points) - held + 1]
    first = widths.argmin(axis=0)
    axes = np.arange(3)
    return ordered[first, axes], ordered[first + held - 1, axes]


def grid_shape(extent_xyz: Array, vertices: int) -> tuple[int, int, int]:
    """Return the samples per axis of a box: int(L / edge + 1) with edge = sqrt(area / vertices)."""
    x, y, z = (float(length) for length in extent_xyz)
    edge = math.sqrt(2 * (x * y + x * z + y * z) / vertices)
    return int(x / edge + 1), int(y / edge + 1), int(z / edge + 1)


def cuboid(lower: Array, upper: Array, vertices: int = VERTICES) -> Cuboid:
    """Return the neural mesh of a box: six grids, in the order z-, z+, y-, y+, x-, x+.

    Vertices on the edges of the box appear once for each side. There are about `vertices` of them:
    R = 2 (nx ny + nx nz + ny nz) for `grid_shape`.
    """
    counts = [max(2, n) for n in grid_shape(np.asarray(upper) - np.asarray(lower), vertices)]
    ticks = [np.linspace(lower[k], upper[k], counts[k]) for k in range(3)]
    points, normals, faces, start = [], [], [], 0
    for axis in (2, 1, 0):
        fast, slow = (k for k in range(3) if k != axis)
        for side, corner in ((-1.0, lower), (1.0, upper)):
            b, a = np.meshgrid(ticks[slow], ticks[fast], indexing="ij")
            grid = np.empty((a.size, 3))
            grid[:, fast], grid[:, slow], grid[:, axis] = a.ravel(), b.ravel(), corner[axis]
            # (fast, slow, axis) is right-handed for x and z, left-handed for y.
            outward_ccw = (side > 0) == (axis != 1)
            faces.append(start + _grid_faces(counts[slow], counts[fast], outward_ccw))
            points.append(grid)
            normals.append(np.broadcast_to(side * np.eye(3)[axis], grid.shape))
            start += a.size
    return Cuboid(vertices=np.concatenate(points), faces=np.concatenate(faces), normals=np.concatenate(normals))


def _grid_faces(rows: int, columns: int, ccw: bool) -> NDArray[np.int64]:
    """Return two triangles for each cell of a grid with the column index fastest: (2 (rows-1) (columns-1), 3)."""
    i, j = np.meshgrid(np.arange(rows - 1), np.arange(columns - 1), indexing="ij")
    corner = (i * columns + j).ravel()
    a, b, c, d = corner, corner + 1, corner + columns + 1, corner + columns
    triangles = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])
    return np.ascontiguousarray(triangles if ccw else triangles[:, ::-1])


def category_cuboid(cad_vertices: Iterable[Array]) -> Cuboid:
    """Return the cuboid around all CAD models (V, 3) of a category."""
    return cuboid(*fit_box(np.concatenate(list(cad_vertices)), FRACTION))


def facing(mesh: Cuboid, camera_centre: Array) -> NDArray[np.bool_]:
    """Return a mask (R,) of the vertices of a convex mesh that the camera centre (3,) sees: n . (C - p) > 0.

    camera_centre: in object axes.
    """
    return np.asarray(np.einsum("rk,rk->r", mesh.normals, camera_centre - mesh.vertices) > 0)
