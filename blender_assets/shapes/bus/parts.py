"""Fittings of the parametric buses: wheels, mirrors, wipers, lamps, grilles. Metres, front at -y."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from blender_assets.shapes.mesh import (
    Array,
    Draft,
    Solid,
    cylinder,
    join,
    lathe,
    loft,
    moved,
    pair,
    rotation_about,
    rounded_box,
    smooth_path,
    tube,
    with_right,
)
from blender_assets.shapes.vehicle import Body, Panel, ring_of

TYRE = ((0.62, -0.1), (0.8, 0.0), (0.92, -0.04), (1.0, -0.18), (1.0, -0.82), (0.92, -0.96), (0.8, -1), (0.62, -0.9))


def wheel(radius: float, dual: bool, nuts: int = 8) -> Solid:
    """Make a bus wheel about the x axis, its outer face and hub at x = 0, width and axle towards -x; dual: twin
    tyres."""
    width, rim = 0.56 * radius, 0.64 * radius
    seat = -0.62 * width if dual else -0.12 * width  # a twin wheel's disc lies deep, a front wheel's bulges outwards
    disc = [(0, seat), (0.42, seat), (0.55, seat - 0.1 * width), (0.88, seat - 0.3 * width), (0.9, -0.1 * width)]
    disc += [(0.96, -0.03 * width), (1.0, -0.06 * width), (1.0, -0.9 * width), (0, -0.9 * width)]
    hub = [
        (0, 0),
        (0.2 * rim, -0.03 * width),
        (0.24 * rim, -0.16 * width),
        (0.26 * rim, -0.8 * width),
        (0, -0.8 * width),
    ]
    pieces = [ring_of(np.array(TYRE) * [radius, width], "rubber")]
    pieces += [lathe(np.array(disc) * [rim, 1], "metal", segments=20), lathe(hub, "metal", segments=12)]
    for k in range(nuts):
        angle = 2 * np.pi * k / nuts
        spot = np.array([seat, 0.36 * rim * np.sin(angle), 0.36 * rim * np.cos(angle)])
        pieces.append(
            moved(lathe([(0, 0.02), (0.04 * rim, 0.02), (0.04 * rim, -0.03), (0, -0.03)], "metal", "x", 6), spot)
        )
    if dual:
        inner = ring_of(np.array(TYRE) * [radius, width], "rubber")
        pieces.append(moved(inner, (-1.12 * width, 0, 0)))
    reach = 2.6 * width if dual else 1.6 * width
    pieces.append(cylinder((-0.5 * width, 0, 0), (-reach, 0, 0), 0.3 * rim, "metal", 10))
    return join(pieces)


def bus_shape(
    body: Body, axles: Sequence[tuple[float, float, bool]], solids: Sequence[Solid], nose: Body | None = None
) -> Draft:
    """Make the bus of `solids` on axles (s from the foremost body, wheel radius, dual), with PASCAL3D+'s keypoints.

    nose: the body of a bonnet in front of `body`; the front's lower corners are its own.
    """
    foremost = nose or body
    length = body.length / 2 + body.y - (foremost.y - foremost.length / 2)
    keypoints: dict[str, Array] = {}
    for end in ("front", "back"):
        for level in ("upper", "lower"):
            at = foremost if end == "front" and level == "lower" else body
            keypoints[f"body_{end}_left_{level}"] = at.corner_point("rear" if end == "back" else end, level)
    wheels: list[Solid] = []
    for s, radius, dual in axles:
        x, y = body.half_width - 0.02, s - length / 2
        beam = cylinder((0.25 - x, y, radius), (x - 0.25, y, radius), 0.16 * radius, "metal", 10)
        wheels += [pair(moved(wheel(radius, dual), (x, y, radius))), beam]
        keypoints.setdefault("left_front_wheel", np.array([x, y, radius]))
        keypoints["left_back_wheel"] = np.array([x, y, radius])
    return Draft([*solids, *wheels, *_chassis(body)], with_right(keypoints))


def _chassis(body: Body) -> list[Solid]:
    """Make the longitudinal members, the gear box and the exhaust pipe under the floor."""
    size = 0.08 * body.half_width / 1.2
    beam = rounded_box((0.38, body.y, body.floor), (size, 0.9 * body.length, 2 * size), 0.01, "metal", 1)
    box = rounded_box((0, body.y + 0.2 * body.length, body.floor), (0.6, 0.16 * body.length, 0.24), 0.06, "metal", 1)
    tank = rounded_box(
        (0, body.y - 0.12 * body.length, body.floor), (0.5, 0.14 * body.length, 0.16), 0.05, "plastic", 1
    )
    return [pair(beam), box, tank]


def wing_mirror(foot: ArrayLike, reach: float, ahead: float, drop: float) -> Solid:
    """Make mirrors on arms from `foot` (3,) on the left: outwards by `reach`, forwards by `ahead`, hanging by
    `drop`."""
    x, y, z = np.asarray(foot, float)
    head = (x + reach, y - ahead, z - drop)
    arm = smooth_path([(x - 0.05, y + 0.05, z), (x + 0.5 * reach, y - 0.8 * ahead, z + 0.06), (head[0], head[1], z)], 9)
    arm = np.concatenate([arm, [head]])
    tall = max(1.3 * drop, 0.3)
    case = rounded_box((head[0], head[1], head[2]), (0.2, 0.1, tall), 0.045, "plastic", 1)
    pane = rounded_box((head[0], head[1] + 0.047, head[2]), (0.15, 0.02, tall - 0.06), 0.008, "glass", 1)
    return pair(join([tube(arm, 0.02, "plastic", 8), case, pane]))


def wipers(body: Body, z: float, x: float, tall: float) -> Solid:
    """Make two wipers on the windscreen, their pivots at height z on both sides of the middle, blades upright."""
    foot, tip = (body.wall(x * share, body.bow * (x * share / body.half_width) ** 2, z + up) for share, up in
                 ((0.55, -0.03), (0.85, tall)))  # fmt: skip
    out = np.array([0, -0.02, 0])
    arm = tube([foot - out, foot + out, (foot + tip) / 2 + out, tip + out], 0.014, "plastic", 6)
    middle = tip * 0.5 + foot * 0.5
    span = (tip - foot) * 0.42
    blade = cylinder(middle - span + 0.7 * out, middle + span + 0.7 * out, 0.016, "rubber", 6)
    return pair(join([arm, blade]))


def round_lamp(at: tuple[float, float, float], radius: float, part: str, facing: float = -1.0) -> Solid:
    """Make round lamps on both sides at `at`, with a bright rim, facing -y (or +y if facing is 1)."""
    glass = [(0, -0.35), (0.45, -0.28), (0.85, -0.1), (0.9, 0.3), (0, 0.3)]
    rim = [(0.84, -0.1), (0.95, -0.2), (1.06, -0.05), (1.08, 0.4), (0.84, 0.4)]
    lamp = join([lathe(np.array(glass) * radius, part, "y", 14), ring_of(np.array(rim) * radius, "metal", "y", 14)])
    if facing > 0:
        lamp = moved(lamp, rotation=rotation_about("z", np.pi))
    return pair(moved(lamp, at))


def plate(y: float, z: float, width: float = 0.46) -> Solid:
    """Make a number plate on the middle plane at (y, z)."""
    return rounded_box((0, y, z), (width, 0.03, 0.12), 0.006, "metal", 1)


def bumper(body: Body, end: str, z: float, tall: float, part: str, out: float = 0.05, wrap: float = 0.12) -> Solid:
    """Make a bumper bar of a height `tall` around one end of a body at height z, standing out by `out`."""
    path, aside = body.end_path(end, z, wrap)
    profile = [(-0.1, -0.5), (0.7 * out, -0.5), (out, -0.32), (out, 0.32), (0.7 * out, 0.5), (-0.1, 0.5)]
    rings = [path + out_m * aside + np.array([0, 0, up * tall]) for out_m, up in profile]
    return loft(np.stack(rings, axis=1), part)


def pods(items: list[tuple[float, float, float, float, float]], top: float, part: str = "paint") -> list[Solid]:
    """Make boxes on a roof of height `top`: tuples (y, half width, length, height, edge radius)."""
    return [
        rounded_box((0, y, top + 0.5 * tall - 0.04), (2 * half, long, tall + 0.08), radius, part)
        for y, half, long, tall, radius in items
    ]


def windows(spans: list[tuple[float, float]], z: tuple[float, float], post: float, depth: float = 0.02) -> list[Panel]:
    """Return side windows over ranges of s, in a dark band that covers the posts between them."""
    band = Panel(
        "side", (spans[0][0] - post / 2, spans[-1][1] + post / 2), (z[0] - 0.02, z[1] + 0.02), "plastic", 0.004
    )
    return [band, *(Panel("side", (a + post / 2, b - post / 2), z, "glass", depth) for a, b in spans)]


def split(start: float, end: float, count: int) -> list[tuple[float, float]]:
    """Split a range into `count` equal ones."""
    edges = np.linspace(start, end, count + 1)
    return list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))


def door(start: float, end: float, z: tuple[float, float], leaves: int = 2) -> list[Panel]:
    """Return a glazed folding door on the side: a dark frame and a pane in each leaf."""
    panels = [Panel("side", (start, end), z, "plastic", 0.012)]
    for a, b in split(start, end, leaves):
        panels.append(Panel("side", (a + 0.06, b - 0.06), (z[0] + 0.14, z[1] - 0.1), "glass", 0.026))
    return panels


def seam(face: str, along: float, z: tuple[float, float], width: float = 0.016) -> Panel:
    """Return an upright gap of a panel, flap or door."""
    return Panel(face, (along - width / 2, along + width / 2), z, "plastic", 0.01)


def line(face: str, along: tuple[float, float], z: float, width: float = 0.016) -> Panel:
    """Return a level gap of a panel, flap or door."""
    return Panel(face, along, (z - width / 2, z + width / 2), "plastic", 0.01)
