"""Mesh primitives of the parametric shapes: closed solids made of grids of points. Pure numpy.

Shapes are drawn in metres in the object frame (z up, front at -y, x to the object's left when it is seen from
the front); `assemble` centres them and scales them to a bounding-box diagonal of 1.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Index = NDArray[np.int64]

PARTS = ("paint", "glass", "rubber", "metal", "light", "taillight", "plastic", "wood", "fabric")
WELD_DECIMALS = 7  # points that agree to 0.1 micrometre are one vertex


@dataclass(frozen=True)
class Shape:
    """A finished shape: a triangle mesh with parts and keypoints.

    vertices (V, 3) float64: object frame, z up, front at -y, bounding box centred on 0 with diagonal 1.
    faces (F, 3) int64: counter-clockwise seen from outside.
    face_part (F,) int16: index into `part_names`.
    part_names: the material parts in use, a subset of `PARTS` in that order.
    keypoints: name -> (3,) in the same frame, those of `p3d_gen.core.categories.KEYPOINTS`.
    symmetry_order: number of turns about z that leave the shape unchanged, materials included: 1 the full turn only,
        2 the half turn, 0 any angle.
    """

    vertices: Array
    faces: Index
    face_part: NDArray[np.int16]
    part_names: tuple[str, ...]
    keypoints: dict[str, Array]
    symmetry_order: int


@dataclass(frozen=True)
class Solid:
    """Surface under construction: vertices (V, 3) in metres, faces (F, 3), face_part (F,) index into PARTS."""

    vertices: Array
    faces: Index
    face_part: Index


@dataclass(frozen=True)
class Draft:
    """A shape before it is assembled: closed surfaces and keypoints (3,), both in metres, and the symmetry order."""

    solids: Sequence[Solid]
    keypoints: Mapping[str, ArrayLike]
    symmetry_order: int = 1


def part_index(name: str) -> int:
    """Return the position of a part name in `PARTS`."""
    return PARTS.index(name)


def join(solids: Sequence[Solid]) -> Solid:
    """Join surfaces into one, without merging vertices."""
    starts = np.cumsum([0] + [len(s.vertices) for s in solids[:-1]])
    return Solid(
        np.concatenate([s.vertices for s in solids]),
        np.concatenate([s.faces + start for s, start in zip(solids, starts, strict=True)]),
        np.concatenate([s.face_part for s in solids]),
    )


def weld(solid: Solid) -> Solid:
    """Merge the coinciding vertices of a surface; faces that collapse and vertices without faces are removed."""
    keys = np.round(solid.vertices, WELD_DECIMALS) + 0.0
    _, first, inverse = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    faces = inverse.reshape(-1)[solid.faces]
    keep = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])
    used, faces = np.unique(faces[keep], return_inverse=True)
    return Solid(solid.vertices[first[used]], faces.reshape(-1, 3), solid.face_part[keep])


def signed_volume(vertices: Array, faces: Index) -> float:
    """Return the volume enclosed by a closed surface (V, 3), (F, 3); negative if the faces are wound inwards."""
    a, b, c = vertices[faces].transpose(1, 0, 2)
    return float(np.einsum("ij,ij->", a, np.cross(b, c)) / 6)


def outward(solid: Solid) -> Solid:
    """Wind a closed surface so that its volume is positive."""
    if signed_volume(solid.vertices, solid.faces) >= 0:
        return solid
    return Solid(solid.vertices, solid.faces[:, ::-1].copy(), solid.face_part)


def moved(solid: Solid, shift: ArrayLike = (0, 0, 0), rotation: Array | None = None) -> Solid:
    """Rotate a solid by a (3, 3) matrix about the origin, then shift it by (3,) metres."""
    turned = solid.vertices if rotation is None else solid.vertices @ rotation.T
    return Solid(turned + np.asarray(shift, float), solid.faces, solid.face_part)


def rotation_about(axis: str, angle_rad: float) -> Array:
    """Return the right-handed rotation matrix (3, 3) about the axis "x", "y" or "z"."""
    i = "xyz".index(axis)
    j, k = (i + 1) % 3, (i + 2) % 3
    matrix = np.eye(3)
    matrix[j, j] = matrix[k, k] = np.cos(angle_rad)
    matrix[k, j] = np.sin(angle_rad)
    matrix[j, k] = -matrix[k, j]
    return matrix


def mirrored(solid: Solid) -> Solid:
    """Mirror a solid in the plane x = 0; the image is wound outwards, too."""
    return Solid(solid.vertices * [-1.0, 1.0, 1.0], solid.faces[:, ::-1].copy(), solid.face_part)


def pair(solid: Solid) -> Solid:
    """Join a part beside the plane x = 0 and its mirror image, as two pieces."""
    return join([solid, mirrored(solid)])


def both_sides(solid: Solid) -> Solid:
    """Join a surface and its mirror image in x; where they meet on x = 0 they are welded into one."""
    both = pair(solid)
    return weld(both) if bool(np.any(np.abs(solid.vertices[:, 0]) < 1e-9)) else both


def with_right(left: Mapping[str, ArrayLike]) -> dict[str, ArrayLike]:
    """Add to keypoints (3,) the mirror images of those whose names say "left"."""
    right = {
        name.replace("left", "right"): np.asarray(point, float) * [-1, 1, 1]
        for name, point in left.items()
        if "left" in name
    }
    return {**left, **right}


def grid_faces(rows: int, columns: int) -> Index:
    """Return quads (Q, 4) of a grid of points in row-major order; the normal is column step x row step."""
    index = np.arange(rows * columns).reshape(rows, columns)
    corners = [index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]]
    return np.stack([c.reshape(-1) for c in corners], axis=1)


def triangles(quads: Index) -> Index:
    """Return two triangles (2Q, 3) for each quad (Q, 4), those of one quad next to each other."""
    return quads[:, [0, 1, 2, 0, 2, 3]].reshape(-1, 3)


def grid_normals(points: Array) -> Array:
    """Return the unit normals (R, C, 3) of a grid of points (R, C, 3); on the plane x = 0 they lie in that plane."""
    flat = points.reshape(-1, 3)
    faces = triangles(grid_faces(*points.shape[:2]))
    _, inverse = np.unique(np.round(flat, WELD_DECIMALS) + 0.0, axis=0, return_inverse=True)
    inverse = inverse.reshape(-1)
    a, b, c = flat[faces].transpose(1, 0, 2)
    total = np.zeros((int(inverse.max()) + 1, 3))
    for corner in range(3):
        np.add.at(total, inverse[faces[:, corner]], np.cross(b - a, c - a))
    normals = total[inverse]
    normals[np.abs(flat[:, 0]) < 1e-9, 0] = 0
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    return np.asarray((normals / np.maximum(length, 1e-15)).reshape(points.shape))


def panelled(points: Array, cell_part: Index, cell_depth_m: Array, wall: str = "plastic") -> Solid:
    """Make a surface from a grid of points (R, C, 3) whose cells (R-1, C-1) have a part and are sunk along the normal.

    A negative depth raises the cell. Where the depth changes the step is closed by walls of the part `wall`. The
    outer border keeps the depth of its cells, so cells there should have depth 0 unless a mirror image follows.
    """
    rows, columns = points.shape[:2]
    depths, level = np.unique(cell_depth_m, return_inverse=True)
    level = level.reshape(rows - 1, columns - 1)
    vertices = points[None] - depths[:, None, None, None] * grid_normals(points)[None]
    index = np.arange(vertices.size // 3).reshape(len(depths), rows, columns)
    quads = grid_faces(rows, columns) + (level * rows * columns).reshape(-1, 1)
    walls: list[list[int]] = []
    for r, c in np.argwhere(level[:, :-1] != level[:, 1:]):
        a, b = level[r, c], level[r, c + 1]
        walls.append([index[a, r + 1, c + 1], index[a, r, c + 1], index[b, r, c + 1], index[b, r + 1, c + 1]])
    for r, c in np.argwhere(level[:-1] != level[1:]):
        a, b = level[r, c], level[r + 1, c]
        walls.append([index[a, r + 1, c], index[a, r + 1, c + 1], index[b, r + 1, c + 1], index[b, r + 1, c]])
    quads = np.concatenate([quads, np.array(walls, np.int64).reshape(-1, 4)])
    part = np.concatenate([cell_part.reshape(-1), np.full(len(walls), part_index(wall))])
    return weld(Solid(vertices.reshape(-1, 3), triangles(quads), np.repeat(part, 2)))


def grid_solid(points: Array, part: str) -> Solid:
    """Make a closed solid from a grid of points (R, C, 3) whose borders coincide or collapse; wound outwards."""
    faces = triangles(grid_faces(*points.shape[:2]))
    return outward(weld(Solid(points.reshape(-1, 3), faces, np.full(len(faces), part_index(part)))))


def loft(rings: ArrayLike, part: str, closed: bool = False) -> Solid:
    """Make a solid through closed rings (S, N, 3): capped by fans at both ends, or, if closed, joined end to start."""
    points = np.asarray(rings, float)
    points = np.concatenate([points, points[:, :1]], axis=1)
    if closed:
        return grid_solid(np.concatenate([points, points[:1]]), part)
    caps = [np.broadcast_to(points[i, :-1].mean(axis=0), points[:1].shape) for i in (0, -1)]
    return grid_solid(np.concatenate([caps[0], points, caps[1]]), part)


def lathe(profile: ArrayLike, part: str, axis: str = "x", segments: int = 28) -> Solid:
    """Make a solid of revolution about an axis through the origin.

    profile (P, 2): radius and position along the axis, from the axis back to the axis or as a closed loop.
    """
    radius, along = np.asarray(profile, float).T
    angle = 2 * np.pi * (np.arange(segments + 1) % segments) / segments
    i = "xyz".index(axis)
    points = np.empty((len(radius), segments + 1, 3))
    points[..., i] = along[:, None]
    points[..., (i + 1) % 3] = radius[:, None] * np.sin(angle)
    points[..., (i + 2) % 3] = radius[:, None] * np.cos(angle)
    return grid_solid(points, part)


def superellipse(count: int, power: float = 1.0) -> Array:
    """Return points (count, 2) around the unit circle, each coordinate raised to `power`: below 1 makes the ring
    squarer."""
    angle = 2 * np.pi * np.arange(count) / count
    ring = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    ring[np.abs(ring) < 1e-12] = 0
    return np.asarray(np.sign(ring) * np.abs(ring) ** power)


def smooth_path(points: ArrayLike, samples: int = 24, closed: bool = False) -> Array:
    """Return the Catmull-Rom curve (samples, 3) through control points (K, 3), evenly spaced in the curve's
    parameter."""
    p = np.asarray(points, float)
    padded = (
        np.concatenate([p[-1:], p, p[:2]]) if closed else np.concatenate([2 * p[:1] - p[1:2], p, 2 * p[-1:] - p[-2:-1]])
    )
    spans = len(padded) - 3
    t = np.linspace(0, spans, samples, endpoint=not closed)
    k = np.minimum(t.astype(int), spans - 1)
    u = (t - k)[:, None]
    a, b, c, d = (padded[k + i] for i in range(4))
    curve = b + 0.5 * u * (c - a + u * (2 * a - 5 * b + 4 * c - d + u * (3 * (b - c) + d - a)))
    return np.asarray(curve)


def tube(
    path: ArrayLike, radius_m: ArrayLike, part: str, segments: int = 12, flat: float = 1.0, closed: bool = False
) -> Solid:
    """Make a round bar along a path (P, 3) in metres with one radius or one for each point.

    flat: factor of the thickness across the first bending plane (1 is round). closed: the path is a loop.
    """
    p = np.asarray(path, float)
    step = np.roll(p, -1, 0) - np.roll(p, 1, 0) if closed else np.gradient(p, axis=0)
    tangent = step / np.linalg.norm(step, axis=1, keepdims=True)
    side = np.cross(tangent[0], [1.0, 0, 0] if abs(tangent[0, 0]) < 0.9 else [0, 0, 1.0])
    angle = 2 * np.pi * np.arange(segments) / segments
    radius = np.broadcast_to(np.asarray(radius_m, float), len(p))
    rings = []
    for point, t, r in zip(p, tangent, radius, strict=True):
        side = side - t * (side @ t)
        side = side / np.linalg.norm(side)
        other = np.cross(t, side)
        rings.append(point + r * (np.outer(np.cos(angle), side) * flat + np.outer(np.sin(angle), other)))
    return loft(np.array(rings), part, closed)


def rounded_box(centre: ArrayLike, size: ArrayLike, radius_m: float, part: str, steps: int = 2) -> Solid:
    """Make a box (3,) about a centre (3,) in metres, its edges rounded with a radius in `steps` facets for 45
    degrees."""
    half = np.asarray(size, float) / 2
    radius = min(radius_m, float(half.min()) * 0.999)
    bend = np.tan(np.linspace(-np.pi / 4, np.pi / 4, 2 * steps + 1))
    line = np.concatenate([bend[: steps + 1], bend[steps:]])
    sign = np.repeat([-1.0, 1.0], steps + 1)
    u, v = np.meshgrid(line, line, indexing="ij")
    su, sv = np.meshgrid(sign, sign, indexing="ij")
    sides = []
    for axis in range(3):
        for end in (-1.0, 1.0):
            order = [(axis + i) % 3 for i in range(3)]
            ball = np.stack([np.full_like(u, end), u, v], axis=-1)
            corner = np.stack([np.full_like(u, end), su, sv], axis=-1)
            ball /= np.linalg.norm(ball, axis=-1, keepdims=True)
            points = np.empty_like(ball)
            points[..., order] = ball * radius + corner * (half[order] - radius)
            faces = triangles(grid_faces(*u.shape))
            faces = faces if end > 0 else faces[:, ::-1]
            sides.append(Solid(points.reshape(-1, 3), faces, np.full(len(faces), part_index(part))))
    return moved(outward(weld(join(sides))), centre)


def cylinder(start: ArrayLike, end: ArrayLike, radius_m: float, part: str, segments: int = 16) -> Solid:
    """Make a straight round bar between two points (3,) in metres, its rims chamfered."""
    a, b = np.asarray(start, float), np.asarray(end, float)
    length = float(np.linalg.norm(b - a))
    rim = min(0.15 * radius_m, 0.2 * length)
    along = np.array([0, rim, length - rim, length])[:, None]
    radius = np.array([radius_m - rim, radius_m, radius_m, radius_m - rim])
    return tube(a + along * (b - a) / length, radius, part, segments)


def curve(x: ArrayLike, knots: Sequence[tuple[float, float]]) -> Array:
    """Return the values at x of a smooth function through knots (x, y): monotone cubic, constant beyond the ends."""
    kx, ky = np.array(knots, float).T
    width = np.diff(kx)
    slope = np.diff(ky) / width
    tangent = np.zeros_like(kx)
    same = slope[:-1] * slope[1:] > 0
    product = 2 * slope[:-1] * slope[1:]
    tangent[1:-1][same] = product[same] / (slope[:-1] + slope[1:])[same]
    tangent[0], tangent[-1] = slope[0], slope[-1]
    at = np.clip(np.asarray(x, float), kx[0], kx[-1])
    k = np.clip(np.searchsorted(kx, at, side="right") - 1, 0, len(width) - 1)
    u = (at - kx[k]) / width[k]
    hermite = (
        (1 + 2 * u) * (1 - u) ** 2 * ky[k]
        + u * (1 - u) ** 2 * width[k] * tangent[k]
        + u * u * (3 - 2 * u) * ky[k + 1]
        + u * u * (u - 1) * width[k] * tangent[k + 1]
    )
    return np.asarray(hermite)


def assemble(draft: Draft) -> Shape:
    """Assemble all solids: centred on their bounding box, diagonal 1, unused part names left out."""
    whole = join(draft.solids)
    low, high = whole.vertices.min(axis=0), whole.vertices.max(axis=0)
    centre, diagonal = (low + high) / 2, float(np.linalg.norm(high - low))
    used, face_part = np.unique(whole.face_part, return_inverse=True)
    return Shape(
        vertices=(whole.vertices - centre) / diagonal,
        faces=whole.faces.astype(np.int64),
        face_part=face_part.reshape(-1).astype(np.int16),
        part_names=tuple(PARTS[i] for i in used),
        keypoints={name: (np.asarray(point, float) - centre) / diagonal for name, point in draft.keypoints.items()},
        symmetry_order=draft.symmetry_order,
    )
