"""Bodywork of the parametric motorbikes: tanks, seats, lamps, fairings, boxes. Metres, front at -y."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from blender_assets.shapes.cycle_parts import Knots, hull, rounded_path, sheet, slab, turned, vec
from blender_assets.shapes.mesh import (
    Array,
    Solid,
    cylinder,
    join,
    moved,
    pair,
    rotation_about,
    rounded_box,
    smooth_path,
    tube,
)


def tank(
    y: tuple[float, float], z: tuple[float, float, float], half_width: tuple[float, float], cap: float = 0.4
) -> list[Solid]:
    """Make a fuel tank from y front to rear with a filler cap.

    z: lower edge, highest point, top at the rear. half_width: at its broadest and between the knees.
    """
    front, rear = y
    low, high, end = z
    long = rear - front
    top = (
        (front, high - 0.05),
        (front + 0.3 * long, high),
        (front + 0.6 * long, high - 0.2 * (high - end)),
        (rear, end),
    )
    below = ((front, low + 0.07), (front + 0.25 * long, low), (front + 0.65 * long, low + 0.02), (rear, end - 0.07))
    wide, knee = half_width
    sides = ((front, 0.7 * wide), (front + 0.35 * long, wide), (front + 0.7 * long, knee), (rear, 0.75 * knee))
    body = hull(top, below, sides, "paint", (0.12, 0.06), 0.8, 16, 18)
    at = vec(0, front + cap * long, float(np.interp(front + cap * long, *np.array(top).T)) - 0.006)
    lid = [(0, -0.02), (0.04, -0.02), (0.04, 0.008), (0.034, 0.012), (0.02, 0.012), (0, 0.009)]
    return [body, turned(lid, at, (0, -0.1, 1), "metal", 11)]


def seat(top: Knots, thickness: float, half_width: Knots, part: str) -> tuple[Solid, Array, Array]:
    """Make a seat along knots (y, z) of its upper side; returns also its front and rear end (3,)."""
    below = [(y, z - thickness) for y, z in top]
    body = hull(top, below, half_width, part, (0.04, 0.05), 0.6, 17, 16)
    ends = (vec(0, y + step, z - 0.3 * thickness) for (y, z), step in ((top[0], 0.003), (top[-1], -0.003)))
    front, rear = ends
    return body, front, rear


def round_lamp(at: ArrayLike, radius: float, depth: float, shell: str) -> tuple[list[Solid], Array]:
    """Make a round head lamp whose rim is about `at`; returns also the middle of its glass (3,)."""
    bowl = [
        (0, depth),
        (0.45 * radius, 0.92 * depth),
        (0.85 * radius, 0.5 * depth),
        (radius, 0.0),
        (radius, -0.016),
        (0.9 * radius, -0.018),
    ]
    body = turned(np.array([*bowl, (0, -0.016)]) * [1, -1], at, (0, -1, 0), shell, 18)
    lens = [(0, 0), (0.9 * radius, 0), (0.88 * radius, 0.022), (0.6 * radius, 0.03), (0, 0.034)]
    return [body, turned(lens, at, (0, -1, 0), "light", 18)], np.asarray(at, float) - vec(0, 0.034, 0)


def gauges(at: Array, count: int, radius: float) -> list[Solid]:
    """Make round instruments facing up and back, side by side, on a bracket."""
    solids = []
    for x in [0.0] if count == 1 else [-1.05 * radius, 1.05 * radius]:
        cup = [(0, -0.05), (0.7 * radius, -0.05), (radius, -0.02), (radius, 0.004), (0.85 * radius, 0.005), (0, 0.001)]
        solids.append(turned(cup, at + vec(x, 0, 0), (0, 0.6, 1), "plastic", 12))
        solids.append(
            turned(
                [(0, 0), (0.83 * radius, 0.003), (0, 0.008)],
                at + vec(x, 0, 0),
                (0, 0.6, 1),
                "glass",
                16,
            )
        )
    return solids


def indicators(at: ArrayLike, reach: float) -> Solid:
    """Make direction indicators on stalks from `at` outwards by `reach`, on both sides."""
    p = np.asarray(at, float)
    lamp = rounded_box(p + vec(reach, 0, 0), (0.06, 0.04, 0.045), 0.015, "light", 1)
    return pair(join([tube([p, p + vec(reach, 0, 0)], 0.008, "plastic", 6), lamp]))


def tail_lamp(at: ArrayLike, size: tuple[float, float]) -> list[Solid]:
    """Make a red lamp of a width and height in its housing, facing the rear."""
    p = np.asarray(at, float)
    shell = rounded_box(p, (size[0] + 0.02, 0.05, size[1] + 0.016), 0.014, "plastic", 1)
    return [shell, rounded_box(p + vec(0, 0.021, 0), (size[0], 0.022, size[1]), 0.009, "taillight", 1)]


def number_plate(top: ArrayLike, tilt_deg: float = 20) -> list[Solid]:
    """Make a number plate on its holder, which hangs from `top`."""
    lean = rotation_about("x", np.radians(tilt_deg))
    back = slab((0, 0, -0.09), (0.1, 0.02, 0.2), "plastic")
    sheet_ = slab((0, 0.012, -0.12), (0.19, 0.008, 0.14), "metal")
    return [moved(join([back, sheet_]), top, lean)]


def panel(top: ArrayLike, bottom: ArrayLike, bulge: float, part: str, thickness: float = 0.006) -> Solid:
    """Make a panel between an upper and a lower edge (K, 3) on the left, bulging outwards by metres, and its mirror
    image."""
    upper, lower = rounded_path(top, 0.06, 3), rounded_path(bottom, 0.06, 3)
    share: Array = np.linspace(0, 1, 6)[:, None, None]
    points: Array = upper * (1 - share) + lower * share
    points[..., 0] += bulge * np.sin(np.pi * share[..., 0])
    return pair(sheet(points, thickness, part))


def screen(low: ArrayLike, high: ArrayLike, wide: tuple[float, float], wrap: float, part: str = "glass") -> Solid:
    """Make a windscreen from lower to upper edge (y, z); half widths below and above; its sides swept back by
    `wrap`."""
    a, b = np.asarray(low, float), np.asarray(high, float)
    across = np.linspace(-1, 1, 13)
    rows: list[Array] = []
    for t in np.linspace(0, 1, 7):
        middle = a * (1 - t) + b * t
        dip = 0.22 * (b[1] - a[1]) * max(t - 0.75, 0) * 4 * np.abs(across) ** 3
        half = wide[0] * (1 - t) + wide[1] * t
        back = wrap * across**2 * (1 - 0.3 * t) - 0.1 * (b[0] - a[0]) * np.sin(np.pi * t)
        rows.append(np.column_stack([across * half, middle[0] + back, middle[1] - dip]))
    return sheet(np.asarray(rows, float), 0.006, part)


def fender_sheet(path: Sequence[tuple[float, float]], half_width: Sequence[float], drop: float, part: str) -> Solid:
    """Make an open mudguard along points (y, z) with half widths, its edges below its middle by `drop`."""
    line = smooth_path([(0, y, z) for y, z in path], 14)
    half = np.interp(np.linspace(0, 1, 14), np.linspace(0, 1, len(path)), half_width)
    across = np.linspace(-1, 1, 9)
    points = np.empty((14, 9, 3))
    points[..., 0] = across * half[:, None]
    points[..., 1] = line[:, 1:2]
    points[..., 2] = line[:, 2:] - drop * np.abs(across) ** 2.5
    return sheet(points, 0.006, part)


def side_case(at: ArrayLike, size: tuple[float, float, float], part: str = "paint") -> Solid:
    """Make a hard case about `at` on both sides, with a lid seam, a latch and a handle."""
    p = np.asarray(at, float)
    wide, long, tall = size
    box = rounded_box(p, size, 0.05, part, 1)
    seam = rounded_box(p, (0.016, long + 0.008, tall + 0.008), 0.05, "plastic", 1)
    latch = slab(p + vec(wide / 2, 0, 0.3 * tall), (0.02, 0.08, 0.05), "metal")
    rim = rounded_box(p + vec(wide / 2 - 0.004, 0, -0.12 * tall), (0.02, 0.7 * long, 0.4 * tall), 0.008, part, 1)
    return pair(join([box, seam, latch, rim]))


def top_case(at: ArrayLike, size: tuple[float, float, float]) -> list[Solid]:
    """Make a luggage box behind the seat with its seam, back pad and red reflector."""
    p = np.asarray(at, float)
    wide, long, tall = size
    return [
        rounded_box(p, size, 0.06, "paint", 1),
        rounded_box(p + vec(0, 0, -0.08 * tall), (wide + 0.008, long + 0.008, 0.016), 0.006, "plastic", 1),
        rounded_box(p + vec(0, -long / 2, 0.1 * tall), (0.6 * wide, 0.05, 0.5 * tall), 0.02, "fabric", 1),
        rounded_box(p + vec(0, long / 2 - 0.004, -0.2 * tall), (0.6 * wide, 0.02, 0.045), 0.008, "taillight", 1),
        cylinder(p + vec(0, 0, -0.5 * tall - 0.06), p + vec(0, 0, -0.4 * tall), 0.09, "plastic", 12),
    ]
