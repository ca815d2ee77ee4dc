"""Parts of the parametric chairs: cushions, legs, posts, bars, castors, bases. Metres, the sitter looks to -y."""

import numpy as np
from numpy.typing import ArrayLike

from blender_assets.shapes.mesh import (
    Array,
    Solid,
    curve,
    cylinder,
    join,
    lathe,
    loft,
    moved,
    pair,
    rotation_about,
    rounded_box,
    superellipse,
    with_right,
)


def cushion(size: tuple[float, float, float], puff: float, part: str) -> Solid:
    """Make a cushion about the origin: a rounded box (x, y, z) in metres whose two z faces bulge by `puff` metres."""
    box = panel(size, min(size) * 0.42, part)
    x, y, z = box.vertices.T
    bulge = np.cos(np.pi * np.clip(x / size[0], -0.5, 0.5)) * np.cos(np.pi * np.clip(y / size[1], -0.5, 0.5))
    lifted = z + np.sign(z) * puff * bulge * np.clip(np.abs(z) / (size[2] / 2), 0, 1)
    return Solid(np.stack([x, y, lifted], axis=1), box.faces, box.face_part)


def panel(size: ArrayLike, radius: float, part: str) -> Solid:
    """Make a rounded box about the origin with superelliptic rings, its large faces divided so that they can bend."""
    w, d, h = np.asarray(size, float) / 2
    c, s = superellipse(48, 2 / float(np.clip(min(w, d) / (0.6 * radius), 2, 7))).T
    rings = []
    for share in (0.3, 0.65):
        rings.append(np.stack([c * (w - radius) * share, s * (d - radius) * share, np.full(48, h)], axis=1))
    for tilt in np.linspace(np.pi / 2, 0, 5):
        inward, height = radius * (1 - np.cos(tilt)), h - radius + radius * np.sin(tilt)
        rings.append(np.stack([c * (w - inward), s * (d - inward), np.full(48, height)], axis=1))
    return loft(np.array(rings + [ring * [1, 1, -1] for ring in rings[::-1]]), part)


def bent(solid: Solid, depth: float, half_width: float) -> Solid:
    """Bend a solid about the z axis: points at |x| = half_width come forward (-y) by `depth` metres."""
    bent = solid.vertices.copy()
    bent[:, 1] -= depth * np.square(bent[:, 0] / half_width)
    return Solid(bent, solid.faces, solid.face_part)


def square_leg(top: ArrayLike, foot: ArrayLike, top_size: float, foot_size: float, part: str) -> Solid:
    """Make a square tapered leg between two points (3,) in metres, its edges chamfered."""
    ring = np.array([(1, 0.7), (0.7, 1), (-0.7, 1), (-1, 0.7), (-1, -0.7), (-0.7, -1), (0.7, -1), (1, -0.7)]) / 2
    a, b = np.asarray(top, float), np.asarray(foot, float)
    rings = []
    for share in (0.0, 0.5, 1.0):
        size = top_size * (1 - share) + foot_size * share
        middle = a * (1 - share) + b * share
        rings.append(np.column_stack([middle[:2] + ring * size, np.full(8, middle[2])]))
    return loft(np.array(rings), part)


def swept_post(path: Array, width: float, depth: float, part: str) -> Solid:
    """Make a post through points (P, 3), widest along x, its cross-section level: for back posts that lean and bend."""
    ring = np.array([(1, 0.7), (0.7, 1), (-0.7, 1), (-1, 0.7), (-1, -0.7), (-0.7, -1), (0.7, -1), (1, -0.7)]) / 2
    ring = ring * [width, depth]
    return loft(np.array([np.column_stack([p[:2] + ring, np.full(8, p[2])]) for p in path]), part)


def oval(y: float, z: float, half_width: float, half_height: float) -> Array:
    """Return a ring (16, 3) in the plane of constant y, slightly boxy."""
    c, s = superellipse(16, 0.7).T
    return np.stack([half_width * c, np.full(16, y), z + half_height * s], axis=1)


def castor() -> Solid:
    """Make a twin-wheel castor of 5.6 cm below the origin's axis, standing on z = 0, mirror-symmetric in x."""
    tyre = [(0, -0.009), (0.02, -0.009), (0.028, -0.006), (0.028, 0.006), (0.02, 0.009), (0, 0.009)]
    twin = pair(moved(lathe(tyre, "rubber", "x", 20), (0.014, 0, 0.028)))
    hood = rounded_box((0, 0, 0.045), (0.014, 0.05, 0.04), 0.006, "plastic", 1)
    return join([twin, hood, cylinder((0, 0, 0.05), (0, 0, 0.085), 0.007, "metal", 8)])


def flat_bar(path: Array, half_width: float, half_thickness: float, part: str) -> Solid:
    """Make a flat bar along a path (P, 3) in the plane x = 0, its width along x."""
    step = np.gradient(path, axis=0)
    across = np.cross(step / np.linalg.norm(step, axis=1, keepdims=True), [1.0, 0, 0])
    c, s = superellipse(16, 0.5).T
    rings = path[:, None] + s[None, :, None] * half_thickness * across[:, None]
    rings[..., 0] += half_width * c
    return loft(rings, part)


def upholstered(path: Array, width: float, thickness: float, cup: float) -> Solid:
    """Make a thick sheet along a path (P, 3) in the plane x = 0, its sides drawn towards the sitter by `cup` metres."""
    step = np.gradient(path, axis=0)
    across = np.cross([1.0, 0, 0], step / np.linalg.norm(step, axis=1, keepdims=True))
    c, s = superellipse(36, 0.5).T
    share = np.linspace(-1, 1, len(path))
    lifted = curve(share, ((-1, 0), (-0.5, 0.4), (0.2, 1), (0.6, 0.9), (1, 0.3)))
    slim = np.power(1 - np.power(np.abs(share), 12), 0.5).clip(0.25)
    narrow = 1 - 0.12 * np.clip(share, 0, 1) ** 2 - 0.3 * np.clip(np.abs(share) - 0.86, 0, 1)
    rings = path[:, None] + s[None, :, None] * (thickness / 2 * slim)[:, None, None] * across[:, None]
    rings = rings + (cup * c**2)[None, :, None] * across[:, None] * lifted[:, None, None]
    rings[..., 0] += c[None] * (width / 2 * narrow)[:, None]
    return loft(rings, "fabric")


def bend(a: ArrayLike, corner: ArrayLike, b: ArrayLike, steps: int = 6) -> list[tuple[float, float, float]]:
    """Return points of a round bend from a to b, tangent to both arms of the corner; all points (3,)."""
    p, q, r = (np.asarray(v, float) for v in (a, corner, b))
    points = []
    for t in np.linspace(0, 1, steps + 1):
        x, y, z = (1 - t) ** 2 * p + 2 * t * (1 - t) * q + t * t * r
        points.append((float(x), float(y), float(z)))
    return points


def finial() -> Solid:
    """Make a turned knob of 7 cm for the upper end of a post, which is at the origin."""
    radius_height_mm = ((0, -10), (13, -8), (12, 8), (21, 28), (22, 40), (14, 56), (6, 66), (0, 68))
    return lathe(np.array(radius_height_mm) / 1000, "wood", "z", 16)


def star_base(top: float, reach: float, part: str) -> Solid:
    """Make five spokes of a length in metres on castors, one towards -y, and the gas column up to the height `top`."""
    stations = ((-0.02, 0.115, 0.03, 0.025), (-0.15, 0.11, 0.026, 0.02), (-reach, 0.08, 0.017, 0.013))
    spoke = loft([oval(*station) for station in stations], part)
    foot = moved(castor(), (0, 0.01 - reach, 0))
    turns = [rotation_about("z", 2 * np.pi * k / 5) for k in range(5)]
    sleeve, rod = top - 0.09, 0.017
    profile = [
        (0, 0.08),
        (0.045, 0.08),
        (0.045, 0.14),
        (0.028, 0.15),
        (0.028, sleeve),
        (rod, sleeve),
        (rod, top),
        (0, top),
    ]
    return join([*(moved(join([spoke, foot]), rotation=turn) for turn in turns), lathe(profile, part, "z", 20)])


def woven_seat(x_front: float, x_rear: float, front: float, rear: float, height: float) -> Solid:
    """Make a seat pad that narrows to the rear and whose rim covers the seat rails."""
    pad = cushion((2.0, 2.0, 0.045), 0.006, "fabric")
    u, v, z = pad.vertices.T
    half = np.interp(v, [-1, 1], [x_front, x_rear])
    y = (front + rear) / 2 + v * (rear - front) / 2
    return Solid(np.stack([u * half, y, height + z], axis=1), pad.faces, pad.face_part)


def corner(solid: Solid, direction: ArrayLike) -> Array:
    """Return the vertex (3,) of a surface that lies farthest in a direction (3,)."""
    return np.asarray(solid.vertices[np.argmax(solid.vertices @ np.asarray(direction, float))])


def nearest(solid: Solid, point: ArrayLike) -> Array:
    """Return the vertex (3,) of a surface that is nearest to a point (3,)."""
    return np.asarray(solid.vertices[np.argmin(np.linalg.norm(solid.vertices - np.asarray(point, float), axis=1))])


def chair_keypoints(
    back_upper: ArrayLike, seat_upper: ArrayLike, seat_lower: ArrayLike, leg_upper: ArrayLike, leg_lower: ArrayLike
) -> dict[str, ArrayLike]:
    """Return keypoints of a chair from those of its left side: for seat and legs PASCAL3D+ calls the rear upper."""
    left: dict[str, ArrayLike] = {
        "back_upper_left": back_upper,
        "seat_upper_left": seat_upper,
        "seat_lower_left": seat_lower,
        "leg_upper_left": leg_upper,
        "leg_lower_left": leg_lower,
    }
    return with_right(left)
