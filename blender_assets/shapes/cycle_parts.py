"""Primitives shared by the parametric bicycles and motorbikes. Metres; wheels turn about the x axis."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from blender_assets.shapes.mesh import (
    Array,
    Solid,
    curve,
    grid_faces,
    grid_normals,
    join,
    lathe,
    loft,
    moved,
    outward,
    part_index,
    superellipse,
    triangles,
    tube,
    weld,
)

Knots = Sequence[tuple[float, float]]


def vec(x: float, y: float, z: float) -> Array:
    """Return a point or shift (3,) that can be added to others."""
    return np.array([x, y, z], float)


def rounded_path(points: ArrayLike, radius_m: float, steps: int = 4) -> Array:
    """Return a polyline (P, 3) whose corners are bends that begin about `radius_m` metres before and after the
    corner."""
    p = np.asarray(points, float)
    path = [p[:1]]
    t = np.linspace(0, 1, steps + 1)[:, None]
    for a, b, c in zip(p[:-2], p[1:-1], p[2:], strict=True):
        before, after = np.linalg.norm(a - b), np.linalg.norm(c - b)
        start = b + (a - b) * min(radius_m / before, 0.49)
        end = b + (c - b) * min(radius_m / after, 0.49)
        path.append((1 - t) ** 2 * start + 2 * t * (1 - t) * b + t * t * end)
    return np.concatenate([*path, p[-1:]])


def sheet(points: Array, thickness_m: float, part: str) -> Solid:
    """Make a closed sheet of a thickness about a grid of points (R, C, 3)."""
    rows, columns = points.shape[:2]
    normals = grid_normals(points) - grid_normals(points[:, ::-1])[:, ::-1]  # both, so that mirror images agree
    offset = normals / np.linalg.norm(normals, axis=-1, keepdims=True) * thickness_m / 2
    vertices = np.concatenate([(points + offset).reshape(-1, 3), (points - offset).reshape(-1, 3)])
    index = np.arange(rows * columns).reshape(rows, columns)
    border = np.concatenate([index[0], index[1:, -1], index[-1, -2::-1], index[-2:0:-1, 0]])
    following = np.roll(border, -1)
    far = rows * columns
    walls = np.stack([following, border, border + far, following + far], axis=1)
    quads = grid_faces(rows, columns)
    faces = triangles(np.concatenate([quads, quads[:, ::-1] + far, walls]))
    return outward(weld(Solid(vertices, faces, np.full(len(faces), part_index(part)))))


def hull(
    top: Knots, bottom: Knots, half_width: Knots, part: str, rounding: tuple[float, float] = (0.05, 0.05),
    power: float = 0.75, stations: int = 14, around: int = 16,
) -> Solid:  # fmt: skip
    """Make a smooth body along y through knots (y, metres) of its upper and lower edge and its half width.

    It reaches from the first to the last knot of `top`. rounding: lengths in metres over which the front and the
    rear end close. power: squareness of the cross-section, 1 is an ellipse.
    """
    start, end = top[0][0], top[-1][0]
    share = (1 - np.cos(np.pi * np.linspace(0, 1, stations))) / 2
    y = start + (end - start) * (0.6 * share + 0.4 * np.linspace(0, 1, stations))
    front, rear = ((np.clip(d, 0, r) / r) for d, r in zip((y - start, end - y), rounding, strict=True))
    ease = np.sqrt((1 - (1 - front) ** 2) * (1 - (1 - rear) ** 2)).clip(0.02)
    up, down, wide = (curve(y, knots) for knots in (top, bottom, half_width))
    ring = superellipse(around, power)
    points = np.empty((stations, around, 3))
    points[..., 0] = ring[:, 0] * (wide * ease)[:, None]
    points[..., 1] = y[:, None]
    points[..., 2] = ((up + down) / 2)[:, None] + ring[:, 1] * ((up - down) / 2 * ease)[:, None]
    return loft(points, part)


def tyre(
    radius: float, half_width: float, height: float, knobs: int = 0, knob_m: float = 0.0, part: str = "rubber"
) -> Solid:
    """Make a tyre about the origin: outer radius, half width and height of its round section, knobs around its
    tread."""
    around = 2 * knobs if knobs else 40
    section = superellipse(8, 0.85)
    angle = 2 * np.pi * np.arange(around) / around
    block = knob_m * (np.arange(around) % 2) if knobs else np.zeros(around)
    grip = np.clip(section[:, 1], 0, 1) ** 0.5
    reach = radius - knob_m - height + section[:, 1] * height + block[:, None] * grip
    points = np.empty((around, 8, 3))
    points[..., 0] = section[:, 0] * half_width
    points[..., 1] = reach * np.sin(angle)[:, None]
    points[..., 2] = reach * np.cos(angle)[:, None]
    return loft(points, part, closed=True)


def rim(outer: float, inner: float, half_width: float, part: str) -> Solid:
    """Make a wheel rim about the origin between two radii, wide outside and narrow inside."""
    middle = 0.55 * outer + 0.45 * inner
    half = half_width
    profile = [
        (outer, -half),
        (outer, half),
        (middle, half),
        (inner, 0.4 * half),
        (inner, -0.4 * half),
        (middle, -half),
    ]
    return lathe([*profile, profile[0]], part, segments=36)


def wire_spokes(count: int, hub_radius: float, hub_x: float, rim_radius: float, wire_m: float, part: str) -> Solid:
    """Make thin spokes from two hub flanges at x = +-hub_x to the rim, crossing each other as on a laced wheel."""
    spokes = []
    for k in range(count):
        at_rim = 2 * np.pi * k / count
        at_hub = at_rim + (0.95 if k // 2 % 2 else -0.95)
        side = 1 if k % 2 else -1
        a = (side * hub_x, hub_radius * np.sin(at_hub), hub_radius * np.cos(at_hub))
        b = (side * 0.1 * hub_x, rim_radius * np.sin(at_rim), rim_radius * np.cos(at_rim))
        spokes.append(tube([a, b], wire_m, part, 3))
    return join(spokes)


def gear(radius: float, hole: float, thickness: float, teeth: int, part: str) -> Solid:
    """Make a toothed ring about the origin from the radii of the tips and of the hole."""
    angle = np.pi * np.arange(2 * teeth) / teeth
    circle = np.stack([np.zeros_like(angle), np.sin(angle), np.cos(angle)], axis=1)
    outer = circle * np.where(np.arange(2 * teeth) % 2, radius, radius - 2.2 / teeth * radius)[:, None]
    aside = np.array([thickness / 2, 0, 0])
    return loft([outer - aside, outer + aside, circle * hole + aside, circle * hole - aside], part, closed=True)


def disc(radius: float, hole: float, thickness: float, part: str, segments: int = 32) -> Solid:
    """Make a flat ring about the origin between two radii."""
    half = thickness / 2
    profile = [(hole, -half), (radius, -half), (radius, half), (hole, half)]
    return lathe([*profile, profile[0]], part, segments=segments)


def belt_path(wheels: Sequence[tuple[float, float, float]], pitch_m: float, x: float) -> Array:
    """Return the closed path (P, 3) of a chain at x around wheels (y, z, radius), evenly spaced.

    Seen from the left the chain runs clockwise around a wheel of positive radius, the other way around a negative.
    """
    centres = np.array([(y, z) for y, z, _ in wheels])
    radii = np.array([r for _, _, r in wheels])
    step = np.roll(centres, -1, axis=0) - centres
    distance = np.hypot(*step.T)
    leave = np.arctan2(step[:, 1], step[:, 0]) + np.arccos((radii - np.roll(radii, -1)) / distance)
    points = []
    for centre, radius, start, end in zip(centres, radii, np.roll(leave, 1), leave, strict=True):
        turn = (start - end) % (2 * np.pi) if radius > 0 else -((end - start) % (2 * np.pi))
        angle = start - np.linspace(0, turn, 24)
        points.append(centre + radius * np.stack([np.cos(angle), np.sin(angle)], axis=1))
    loop = np.concatenate([*points, points[0][:1]])
    length = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(loop, axis=0).T))])
    at = np.linspace(0, length[-1], 2 * round(length[-1] / pitch_m / 2), endpoint=False)
    y, z = (np.interp(at, length, loop[:, i]) for i in (0, 1))
    return np.stack([np.full_like(at, x), y, z], axis=1)


def chain(path: Array, height_m: float, part: str = "metal") -> Solid:
    """Make a chain along a closed path (P, 3) at constant x: links high at their pins and waisted between them."""
    size = np.where(np.arange(len(path)) % 2, 0.5, 0.34) * height_m
    return tube(path, size, part, 5, closed=True)


def mudguard(radius: float, half_width: float, arc_deg: tuple[float, float], part: str, drop: float = 0.4) -> Solid:
    """Make a curved sheet over a wheel about the origin, from one angle to another in degrees from straight up towards
    +y.

    drop: distance of its edges below its crown, in half widths.
    """
    angle = np.radians(np.linspace(*arc_deg, max(6, round(abs(arc_deg[1] - arc_deg[0]) / 9))))[:, None]
    across = np.linspace(-1, 1, 6)
    reach = radius - drop * half_width * np.abs(across) ** 2.5
    points = np.empty((len(angle), 6, 3))
    points[..., 0] = across * half_width
    points[..., 1] = reach * np.sin(angle)
    points[..., 2] = reach * np.cos(angle)
    return sheet(points, 0.003, part)


def slab(centre: ArrayLike, size: ArrayLike, part: str) -> Solid:
    """Make a box with sharp edges about a centre (3,), of a size (3,)."""
    corners = np.array([(1, 1), (-1, 1), (-1, -1), (1, -1)]) / 2
    rings = [np.column_stack([corners, np.full(4, z)]) for z in (-0.5, 0.5)]
    return moved(loft(np.array(rings) * np.asarray(size, float), part), centre)


def turned(profile: ArrayLike, start: ArrayLike, direction: ArrayLike, part: str, segments: int = 16) -> Solid:
    """Make a solid of revolution about an axis from a point (3,) in a direction: profile (P, 2) of radius and distance.

    The profile may step or run back.
    """
    radius, along = np.asarray(profile, float).T
    axis = np.asarray(direction, float) / np.linalg.norm(direction)
    side = np.cross(axis, [1.0, 0, 0] if abs(axis[0]) < 0.9 else [0, 0, 1.0])
    side = side / np.linalg.norm(side)
    other = np.cross(axis, side)
    angle = 2 * np.pi * np.arange(segments) / segments
    ring = np.outer(np.cos(angle), side) + np.outer(np.sin(angle), other)
    rings = along[:, None, None] * axis + radius[:, None, None] * ring
    return moved(loft(rings, part), start)


def plate(outline: ArrayLike, half_thickness: float, part: str, x: float = 0.0) -> Solid:
    """Make a flat plate in the plane x from an outline (P, 2) of y and z that is star-shaped about its mean."""
    ring = np.asarray(outline, float)
    rings = [np.column_stack([np.full(len(ring), x + side * half_thickness), ring]) for side in (-1, 1)]
    return loft(rings, part)


def open_tube(path: ArrayLike, outer: ArrayLike, wall: float, part: str, segments: int = 16) -> Solid:
    """Make a pipe along a path (P, 3) of one outer radius or one for each point, hollow at its last end."""
    p = np.asarray(path, float)
    radius = np.broadcast_to(np.asarray(outer, float), len(p))
    back = p[-1] - 3 * wall * (p[-1] - p[-2]) / np.linalg.norm(p[-1] - p[-2])
    shell = tube(np.vstack([p, p[-1] + (p[-1] - back) * 1e-3]), [*radius, radius[-1] - wall], part, segments)
    inner = tube([back, p[-1] + (p[-1] - back) * 3e-3], radius[-1] - wall, "plastic", segments)
    return join([shell, inner])
