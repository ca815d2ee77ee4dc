"""Parts of the parametric dining tables: tops, legs, pedestals, trestles. Metres, z up, the floor at 0."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from blender_assets.shapes.mesh import (
    Array,
    Solid,
    join,
    lathe,
    loft,
    mirrored,
    moved,
    pair,
    rotation_about,
    rounded_box,
    smooth_path,
    superellipse,
    tube,
    with_right,
)

SQUARE_EDGE = ((0.003, 0.0), (0.0, 0.003), (0.0, 0.97), (0.003, 1.0))  # inset (m), depth as a share of the thickness
ROUND_EDGE = ((0.01, 0.0), (0.003, 0.12), (0.0, 0.35), (0.0, 0.65), (0.003, 0.88), (0.01, 1.0))
OGEE_EDGE = ((0.002, 0.0), (0.0, 0.1), (0.0, 0.3), (0.008, 0.36), (0.011, 0.6), (0.022, 0.82), (0.034, 1.0))
BEVEL_EDGE = ((0.002, 0.0), (0.0, 0.08), (0.0, 0.35), (0.03, 1.0))
EDGES = (SQUARE_EDGE, ROUND_EDGE, OGEE_EDGE, BEVEL_EDGE)


def rectangle(half_x: float, half_y: float, radius: float) -> Array:
    """Return the outline (96, 2) of a rectangle with rounded corners."""
    cos, sin = superellipse(96).T
    return np.stack(
        [np.sign(cos) * (half_x - radius) + radius * cos, np.sign(sin) * (half_y - radius) + radius * sin], axis=1
    )


def oval(half_x: float, half_y: float, power: float = 1.0) -> Array:
    """Return the outline (96, 2) of an ellipse, boxier for a power below 1."""
    return superellipse(96, power) * [half_x, half_y]


def slab(
    outline: Array, top: float, thickness: float, part: str, edge: Sequence[tuple[float, float]] = SQUARE_EDGE
) -> Solid:
    """Make a plate with a profiled edge whose upper face is at the height `top`."""
    half = np.abs(outline).max(axis=0)
    rings = []
    for inset, depth in edge:
        ring = outline * (1 - inset / half)
        rings.append(np.column_stack([ring, np.full(len(ring), top - depth * thickness)]))
    return loft(np.array(rings), part)


def planks(half_x: float, half_y: float, top: float, thickness: float, count: int, ends: float) -> Solid:
    """Make a top of boards along x, their seams open by 2 mm; `ends`: width of a cross board at either end, 0 for
    none."""
    pitch = 2 * half_y / count
    size = (2 * (half_x - ends), pitch - 0.002, thickness)
    z = top - thickness / 2
    boards = [rounded_box((0, (k + 0.5) * pitch - half_y, z), size, 0.004, "wood") for k in range(count)]
    if ends:
        cross = rounded_box(
            (half_x - ends / 2 + 0.001, 0, z), (ends - 0.002, 2 * half_y + 0.006, thickness + 0.002), 0.004, "wood"
        )
        boards.append(pair(cross))
    return join(boards)


def four(solid: Solid) -> Solid:
    """Make a part in the quadrant +x +y and its mirror images in the other three."""
    return pair(join([solid, moved(mirrored(solid), rotation=rotation_about("z", np.pi))]))


def quarter_turns(solid: Solid, first: float = 0.0) -> Solid:
    """Make four copies of a part about the z axis, a quarter turn apart, the first turned by an angle in radians."""
    return join([moved(solid, rotation=rotation_about("z", first + k * np.pi / 2)) for k in range(4)])


def apron(half_x: float, half_y: float, top: float, tall: float, part: str) -> Solid:
    """Make four rails of 2.2 cm on edge below a top, their centre lines a rectangle."""
    z = top - tall / 2
    long = rounded_box((0, half_y, z), (2 * half_x, 0.022, tall), 0.003, part)
    short = rounded_box((half_x, 0, z), (0.022, 2 * half_y, tall), 0.003, part)
    return join([long, moved(long, (0, -2 * half_y, 0)), pair(short)])


# Radius in mm against the share of the height below the square block, from the floor up.
BALUSTER = (
    (22, 0), (26, 0.015), (26, 0.04), (18, 0.07), (16, 0.1), (30, 0.14), (31, 0.17), (20, 0.2), (22, 0.24), (36, 0.55),
    (41, 0.72), (38, 0.82), (24, 0.89), (22, 0.9), (34, 0.925), (35, 0.95), (26, 0.97), (27, 1),
)  # fmt: skip
TAPER = (
    (17, 0), (20, 0.01), (22, 0.04), (20, 0.06), (18, 0.065), (31, 0.8), (33, 0.86), (30, 0.88), (38, 0.9), (39, 0.93),
    (30, 0.95), (28, 0.97), (34, 0.985), (34, 1),
)  # fmt: skip


def turned_leg(x: float, y: float, top: float, block: float, style: int, part: str) -> Solid:
    """Make a turned leg under a square block of the height `block`; style 0 is a baluster, 1 a slim taper."""
    knots = np.array((BALUSTER, TAPER)[style], float)
    height = top - block
    profile = [(0, 0), *((r / 1000, share * height) for r, share in knots), (0, height)]
    head = rounded_box((0, 0, top - block / 2), (0.082, 0.082, block), 0.005, part)
    return moved(join([lathe(profile, part, "z", 24), head]), (x, y, 0))


def curved_foot(reach: float, start: float, part: str, lift: float = 0.0) -> Solid:
    """Make a foot along +x of a pedestal: from the column at the height `start` down in an S to the floor at x =
    `reach`."""
    path = [(0.03, 0, start), (0.3 * reach, 0, start - 0.01 + lift), (0.62 * reach, 0, 0.45 * start)]
    path += [(0.86 * reach, 0, 0.038), (reach, 0, 0.03)]
    curve = smooth_path(path, 22)
    radius = np.interp(np.linspace(0, 1, 22), [0, 0.15, 0.5, 0.8, 0.93, 1], [0.046, 0.044, 0.034, 0.026, 0.03, 0.018])
    pad = lathe([(0, 0), (0.022, 0), (0.026, 0.006), (0.024, 0.016), (0, 0.016)], part, "z", 20)
    return join([tube(curve, radius, part, 16), moved(pad, (reach - 0.03, 0, 0))])


def crossed(width: float, low: float, high: float, bar: float, thickness: float, part: str) -> Solid:
    """Make an X of two bars in the plane x = 0, `width` wide in y at their outer corners, level cut at both heights."""
    rise, run = high - low, width - bar
    notch_y, notch_z = bar / 2, bar / 2 * rise / run
    y, mid = width / 2, (low + high) / 2
    corners = [(y, high), (y - bar, high), (0, mid + notch_z), (bar - y, high), (-y, high), (-notch_y, mid)]
    corners += [(-y, low), (bar - y, low), (0, mid - notch_z), (y - bar, low), (y, low), (notch_y, mid)]
    outline = np.array(corners)
    middle = np.array([0, mid])
    rings = []
    for x, share in ((-0.5, 0.985), (-0.44, 1.0), (0.44, 1.0), (0.5, 0.985)):
        yz = middle + (outline - middle) * [share, 1.0]
        rings.append(np.column_stack([np.full(len(yz), x * thickness), yz]))
    return loft(np.array(rings), part)


def slanted(foot: ArrayLike, head: ArrayLike, across: tuple[float, float], part: str) -> Solid:
    """Make a straight leg of a rectangular section (x, y) in metres between two points (3,), cut level at both ends."""
    a, b = np.asarray(foot, float), np.asarray(head, float)
    ring = rectangle(across[0] / 2, across[1] / 2, 0.15 * min(across))[::2]
    rings = [np.column_stack([p[:2] + ring, np.full(len(ring), p[2])]) for p in (a, (a + b) / 2, b)]
    return loft(np.array(rings), part)


def table_keypoints(half: tuple[float, float], rim: ArrayLike, foot: ArrayLike) -> dict[str, ArrayLike]:
    """Return keypoints of a table that is mirror-symmetric in x and in y, from points of its left rear quarter.

    half: half length of the top in x and in y; rim (3,): its corner; foot (3,): the end of the leg. PASCAL3D+ calls
    the rear upper and the front lower.
    """
    corner, end = np.asarray(rim, float), np.asarray(foot, float)
    top = corner[2]
    front = np.array([1, -1, 1])
    left: dict[str, ArrayLike] = {
        "leg_upper_left": end,
        "leg_lower_left": end * front,
        "top_upper_left": corner,
        "top_lower_left": corner * front,
        "top_left": (half[0], 0, top),
    }
    return {**with_right(left), "top_up": (0, half[1], top), "top_down": (0, -half[1], top)}
