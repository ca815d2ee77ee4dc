"""The surface of a CAD model between its file and its normalised form: merge, drop and scale. Pure numpy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from p3d_gen.core.types import Array
from p3d_gen.run.cad_model import NORMALS

MERGE_DISTANCE = 1e-6
_MIN_HEIGHT = 1e-7
_MAX_PARTS = 255
_BLOCK = 1 << 16  # rows that are computed at once: intermediate values of millions of faces would fill the memory


@dataclass(frozen=True, kw_only=True)
class Surface:
    """A triangle mesh, in the axes and units of its file until `normalised` turns and scales it.

    vertices (V, 3); faces (F, 3).
    uv (F, 3, 2): the source's own texture coordinates of each corner, zeros if it has none.
    face_part (F,): index into part_names.
    keypoints: name -> (3,), in the axes and units of the vertices.
    attributes: name -> (F, 3, k), what materials read at each corner: colours, places, more texture coordinates;
        under NORMALS the normals that its author gave the corners.
    unit: the length in its file of what is 1 in the vertices.
    """

    vertices: Array
    faces: NDArray[np.int64]
    uv: NDArray[np.float32]
    face_part: NDArray[np.int64]
    part_names: tuple[str, ...]
    keypoints: dict[str, Array] = field(default_factory=dict)
    attributes: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    unit: float = 1.0

    def faces_where(self, keep: NDArray[np.bool_] | NDArray[np.int64]) -> Surface:
        """Keep some of the faces, and all vertices."""
        attributes = {name: values[keep] for name, values in self.attributes.items()}
        return replace(
            self, faces=self.faces[keep], uv=self.uv[keep], face_part=self.face_part[keep], attributes=attributes
        )

    def turned(self, matrix: Array) -> Surface:
        """Transform the vertices, the keypoints' own place excepted, by a matrix (3, 3) or (4, 4), and the normals."""
        linear = matrix[:3, :3]
        vertices = self.vertices @ linear.T + (matrix[:3, 3] if len(matrix) == 4 else 0.0)
        return replace(self, vertices=vertices, attributes=self.attributes | _turned_normals(self.attributes, linear))

    def facing(self) -> Surface:
        """Turn the normals of each face to the side from which its corners run counter-clockwise, as Cycles expects."""
        if NORMALS not in self.attributes:
            return self

        def towards(faces: NDArray[np.int64], normals: NDArray[np.float32]) -> NDArray[np.float32]:
            a, b, c = self.vertices[faces].transpose(1, 0, 2)
            across = (normals.sum(axis=1) * np.cross(b - a, c - a)).sum(axis=1) < 0
            return np.where(across[:, None, None], -normals, normals)

        return replace(
            self, attributes=self.attributes | {NORMALS: by_blocks(towards, self.faces, self.attributes[NORMALS])}
        )

    def flipped(self, where: NDArray[np.bool_]) -> Surface:
        """Reverse the winding of some faces; each corner keeps its texture coordinates and attributes."""

        def reversed_corners(values: NDArray[Any]) -> NDArray[Any]:
            values = values.copy()
            values[where] = values[where, ::-1]
            return values

        return replace(
            self,
            faces=reversed_corners(self.faces),
            uv=reversed_corners(self.uv),
            attributes={name: reversed_corners(values) for name, values in self.attributes.items()},
        )


def by_blocks(compute: Callable[..., NDArray[Any]], *arrays: NDArray[Any]) -> NDArray[Any]:
    """Return `compute(*arrays)`, which makes each row of the same rows of the arrays, some thousand rows at a time."""
    starts = range(0, max(len(arrays[0]), 1), _BLOCK)
    return np.concatenate([compute(*(array[start : start + _BLOCK] for array in arrays)) for start in starts])


def _turned_normals(attributes: dict[str, NDArray[np.float32]], linear: Array) -> dict[str, NDArray[np.float32]]:
    if NORMALS not in attributes:
        return {}
    inverse = np.linalg.inv(linear)
    return {NORMALS: by_blocks(lambda normals: unit_normals(normals @ inverse), attributes[NORMALS])}


def unit_normals(normals: NDArray[Any]) -> NDArray[np.float32]:
    """Return vectors (..., 3) with length 1; those of length 0 stay."""
    length = np.linalg.norm(normals, axis=-1, keepdims=True)
    return np.divide(normals, length, out=np.zeros(normals.shape), where=length > 0).astype(np.float32)


def flat_normals(vertices: Array, faces: NDArray[Any]) -> NDArray[np.float32]:
    """Return the normals (F, 3, 3) of faces that are not smooth."""

    def across(faces: NDArray[Any]) -> NDArray[np.float32]:
        a, b, c = vertices[faces].transpose(1, 0, 2)
        return unit_normals(np.repeat(np.cross(b - a, c - a)[:, None], 3, axis=1))

    return by_blocks(across, faces)


def plain(vertices: Array, faces: NDArray[Any]) -> Surface:
    """Make a surface of one nameless part without texture coordinates."""
    return Surface(
        vertices=np.asarray(vertices, np.float64),
        faces=np.asarray(faces, np.int64),
        uv=np.zeros((len(faces), 3, 2), np.float32),
        face_part=np.zeros(len(faces), np.int64),
        part_names=("",),
    )


def _used(numbers: NDArray[Any], count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return those of the numbers below `count` that occur, in order, and for each number its place among them."""
    occurs = np.zeros(count, bool)
    occurs[numbers] = True
    return np.flatnonzero(occurs), (np.cumsum(occurs) - 1)[numbers]


def _compact(surface: Surface) -> Surface:
    """Remove the vertices and the parts that no face uses."""
    vertices, faces = _used(surface.faces, len(surface.vertices))
    parts, face_part = _used(surface.face_part, len(surface.part_names))
    return replace(
        surface,
        vertices=surface.vertices[vertices],
        faces=faces,
        face_part=face_part,
        part_names=tuple(surface.part_names[part] for part in parts),
    )


def _scaled(surface: Surface) -> Surface:
    """Centre a surface on its bounding box, and scale the diagonal of that to 1."""
    low, high = surface.vertices.min(axis=0), surface.vertices.max(axis=0)
    centre, diagonal = (low + high) / 2, float(np.linalg.norm(high - low))
    if diagonal == 0.0:
        raise ValueError("all vertices coincide")
    return replace(
        surface,
        vertices=(surface.vertices - centre) / diagonal,
        keypoints={name: (point - centre) / diagonal for name, point in surface.keypoints.items()},
        unit=surface.unit * diagonal,
    )


def _representatives(vertices: Array) -> NDArray[np.int64]:
    """Return for each vertex (V, 3) the index of the first one that coincides with it.

    The vertices of one cell of a grid are merged first, because a k-d tree alone would list every pair of a vertex
    that is given many times. The tree then merges vertices on both sides of a cell's border.
    """
    cells = np.round(vertices / MERGE_DISTANCE).astype(np.int64)
    _, first, cell = np.unique(cells, axis=0, return_index=True, return_inverse=True)
    pairs = cKDTree(vertices[first]).query_pairs(MERGE_DISTANCE, output_type="ndarray")
    links = coo_array((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(len(first), len(first)))
    count, group = connected_components(links, directed=False)
    leader = np.full(count, len(vertices))
    np.minimum.at(leader, group, first)
    return np.asarray(leader[group[cell.reshape(-1)]], np.int64)


def _solid_faces(surface: Surface) -> NDArray[np.bool_]:
    """Return a mask (F,) of the faces whose corners are not on one line."""

    def is_solid(faces: NDArray[np.int64]) -> NDArray[np.bool_]:
        a, b, c = surface.vertices[faces].transpose(1, 0, 2)
        doubled_area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
        longest = np.sqrt(np.max([((b - a) ** 2).sum(1), ((c - b) ** 2).sum(1), ((a - c) ** 2).sum(1)], axis=0))
        return np.asarray(doubled_area > _MIN_HEIGHT * longest)

    return by_blocks(is_solid, surface.faces)


def normalised(surface: Surface, rotation: Array) -> Surface:
    """Turn a surface to object axes, scale its box to diagonal 1, and remove all that renders badly.

    rotation (3, 3): from the source's axes to z up, front -y.
    Coincident vertices are merged. Degenerate faces, duplicates of a face (which render black), and unused vertices
    and parts are dropped. The winding stays as it is. ValueError names a fault that cannot be repaired.
    """
    if len(surface.faces) == 0:
        raise ValueError("it has no faces")
    if surface.faces.min() < 0 or surface.faces.max() >= len(surface.vertices):
        raise ValueError(
            f"a face uses vertex {surface.faces.max()}, but there are only {len(surface.vertices)} vertices"
        )
    surface = _compact(surface)
    if not np.isfinite(surface.vertices).all():
        raise ValueError("a vertex is not finite")
    keypoints = {name: rotation @ point for name, point in surface.keypoints.items()}
    return cleaned(_scaled(replace(surface.turned(rotation), keypoints=keypoints)))


def cleaned(surface: Surface) -> Surface:
    """Merge the vertices of a scaled surface that coincide, drop what renders badly, and scale its box again."""
    surface = replace(surface, faces=_representatives(surface.vertices)[surface.faces])
    surface = surface.faces_where(_solid_faces(surface))
    if len(surface.faces) == 0:
        raise ValueError("all faces are degenerate")
    _, first = np.unique(np.sort(surface.faces, axis=1), axis=0, return_index=True)
    surface = _scaled(_compact(surface.faces_where(np.sort(first))))
    if len(surface.part_names) > _MAX_PARTS:
        raise ValueError(f"it has {len(surface.part_names)} materials, {_MAX_PARTS} are allowed; join some of them")
    return surface
