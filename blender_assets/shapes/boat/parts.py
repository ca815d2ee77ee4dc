"""Fittings of the parametric boats: rails, sails, wind screens, outboard motors, containers. Metres, bow at -y."""

from collections.abc import Sequence

import numpy as np

from blender_assets.shapes.boat.hull import Hull
from blender_assets.shapes.mesh import (
    Array,
    Solid,
    cylinder,
    join,
    lathe,
    loft,
    moved,
    pair,
    rotation_about,
    rounded_box,
    tube,
)
from blender_assets.shapes.vehicle import ring_of


def rail(
    hull: Hull, span: tuple[float, float], height: float, posts: int, inset: float = 0.1, radius: float = 0.022
) -> Solid:
    """Make a rail on posts along both edges of the deck over a range of s; joined ahead if it begins at the bow."""
    s = np.linspace(span[0], span[1], max(posts, 6))
    edge = hull.outside(s, np.pi / 2)
    edge[:, 0] = np.maximum(edge[:, 0] - inset, 0.02)
    top = edge + np.array([0, 0, height])
    ahead = [top[0] * [0, 1, 1]] if span[0] < 0.06 * hull.length else []
    solids = [pair(tube(np.array([*ahead, *top]), radius, "metal", 6))]
    for k in np.linspace(0, len(s) - 1, posts).round().astype(int):
        solids.append(pair(cylinder(edge[k] - [0, 0, 0.05], top[k], 0.85 * radius, "metal", 6)))
    return join(solids)


def sail(luff: Sequence[tuple[float, float]], leech: Sequence[tuple[float, float]], part: str = "fabric") -> Solid:
    """Make a flat sail on the middle plane between two edges (y, z), from foot to head, seams across it."""
    rings = []
    for k, ((y0, z0), (y1, z1)) in enumerate(zip(luff, leech, strict=True)):
        thick = 0.028 if k % 2 else 0.018
        along = np.array([0, 0.3, 0.7, 1.0, 0.7, 0.3])
        wide = np.array([0.3, 1, 1, 0.3, -1, -1]) * thick * [1, 1, 1, -1, 1, 1]
        wide[[0, 3]] = 0
        rings.append(np.stack([wide, y0 + along * (y1 - y0), z0 + along * (z1 - z0)], axis=1))
    return loft(np.array(rings), part)


def triangle_sail(
    tack: tuple[float, float], clew: tuple[float, float], head: tuple[float, float], roach: float, rows: int = 9
) -> Solid:
    """Make a sail with corners (y, z): luff from tack to head, leech from clew to head, bulging by `roach`; with
    battens."""
    t = np.linspace(0, 0.985, rows)
    a, b, c = (np.array(p) for p in (tack, clew, head))
    luff = a + t[:, None] * (c - a)
    leech = b + t[:, None] * (c - b)
    leech[:, 0] += roach * 4 * t * (1 - t)
    solids = [sail([tuple(p) for p in luff], [tuple(p) for p in leech])]
    for k in range(2, rows - 1, 2):
        start, end = luff[k] + 0.3 * (leech[k] - luff[k]), leech[k]
        solids.append(cylinder((0, *start), (0, *end), 0.04, "plastic", 6))
    return join(solids)


def wind_screen(half: float, y: float, z: float, height: float, depth: float, lean: float) -> Solid:
    """Make a curved wind screen around a cockpit: its middle at y, its ends `depth` behind, with a bright frame on
    top."""
    turn = np.linspace(-1, 1, 15)
    x = half * np.sin(turn * np.pi / 2)
    back = y + depth * (1 - np.cos(turn * np.pi / 2))
    foot = np.stack([x, back, np.full(15, z - 0.03)], axis=1)
    tall = height * (1 - 0.35 * turn**4)
    top = np.stack([0.93 * x, back + lean, z + tall], axis=1)
    inner = np.array([0, 0.025, 0])
    rings = np.stack([foot, top, top + inner, foot + inner], axis=1)
    return join([loft(rings, "glass"), pair(tube((top + inner / 2)[7:], 0.02, "metal", 6))])


def outboard(y: float, z: float, size: float) -> Solid:
    """Make an outboard motor clamped to a transom at y, its cowl above the height z, leg and propeller below."""
    cowl = rounded_box((0, y + 0.28, z + 0.36), (0.42, 0.62, 0.5), 0.14, "paint", 3)
    band = rounded_box((0, y + 0.28, z + 0.1), (0.36, 0.54, 0.12), 0.05, "plastic", 1)
    leg = loft([[(dx, y + 0.28 + dy * w, h) for dx, dy in ((0.07, 0), (0, 0.24), (-0.07, 0), (0, -0.2))]
                for h, w in ((z + 0.1, 1.0), (z - 0.4, 0.8), (z - 0.85, 0.6))], "plastic")  # fmt: skip
    plate = rounded_box((0, y + 0.34, z - 0.5), (0.26, 0.5, 0.03), 0.012, "plastic", 1)
    pod = lathe([(0, -0.26), (0.06, -0.16), (0.075, 0.1), (0.05, 0.2), (0, 0.22)], "plastic", "y", 12)
    blades = [
        moved(rounded_box((0, 0, 0.11), (0.1, 0.02, 0.18), 0.009, "metal", 1), rotation=rotation_about("y", np.pi * k))
        for k in range(2)
    ]
    screw = moved(join([pod, *(moved(b, (0, 0.18, 0)) for b in blades)]), (0, y + 0.26, z - 0.78))
    clamp = rounded_box((0, y + 0.02, z - 0.08), (0.26, 0.2, 0.36), 0.03, "plastic", 1)
    solid = join([cowl, band, leg, plate, screw, clamp])
    return _scaled(solid, (0, y, z), size)


def _scaled(solid: Solid, about: tuple[float, float, float], size: float) -> Solid:
    """Scale a solid by a factor about a point."""
    centre = np.array(about)
    return Solid((solid.vertices - centre) * size + centre, solid.faces, solid.face_part)


def block(centre: Sequence[float], size: Sequence[float], part: str) -> Solid:
    """Make a plain box about a centre (3,), for stacks of many."""
    x, y, z = (np.array(size, float) / 2).tolist()
    ring = [(x, -y), (x, y), (-x, y), (-x, -y)]
    return moved(loft([[(a, b, h) for a, b in ring] for h in (-z, z)], part), np.array(centre, float))


def tyre_fender(at: Array, radius: float = 0.3) -> Solid:
    """Make tyres hung on both sides of a hull at a point on the left, facing outwards."""
    turn = np.linspace(0, 2 * np.pi, 9)[:-1]
    profile = np.stack([radius * (0.75 + 0.25 * np.cos(turn)), 0.3 * radius * np.sin(turn)], axis=1)
    return pair(moved(ring_of(profile, "rubber", "x", 16), at))


def steering_wheel(at: tuple[float, float, float], radius: float, lean: float) -> Solid:
    """Make a steering wheel with its hub and spokes, its column towards -y."""
    turn = 2 * np.pi * np.arange(16) / 16
    rim = tube(
        np.stack([radius * np.cos(turn), 0 * turn, radius * np.sin(turn)], axis=1), 0.02, "plastic", 6, closed=True
    )
    spokes = [
        cylinder((0, 0, 0), (radius * np.cos(a), 0, radius * np.sin(a)), 0.013, "metal", 6)
        for a in np.radians([90, 210, 330])
    ]
    column = cylinder((0, 0.02, 0), (0, -0.4, 0), 0.035, "plastic", 8)
    return moved(join([rim, *spokes, column]), at, rotation_about("x", lean))


def life_ring(at: tuple[float, float, float], radius: float, axis: str) -> Solid:
    """Make life rings on both sides at a point on the left."""
    turn = np.linspace(0, 2 * np.pi, 9)[:-1]
    profile = np.stack([radius * (0.78 + 0.2 * np.cos(turn)), 0.2 * radius * np.sin(turn)], axis=1)
    return pair(moved(ring_of(profile, "taillight", axis, 16), at))
