"""Engines and exhausts of the parametric motorbikes. Metres, front at -y."""

from collections.abc import Sequence

import numpy as np

from blender_assets.shapes.cycle_parts import open_tube, rounded_path, slab, turned
from blender_assets.shapes.mesh import Array, Solid, join, moved, pair, rotation_about, rounded_box, smooth_path, tube


def finned_barrel(base: Array, tilt_deg: float, length: float, radius: float, fins: int) -> Solid:
    """Make an air-cooled cylinder with cooling fins and a cover on its head, leaning forward by an angle from
    upright."""
    lean = np.radians(tilt_deg)
    axis = np.array([0, -np.sin(lean), np.cos(lean)])
    core, profile = 0.72 * radius, [(0.0, 0.0), (0.72 * radius, 0.0)]
    for k in range(fins):
        z = length * (0.12 + 0.68 * k / fins)
        size = radius * (1.0 if k < 0.55 * fins else 1.1)
        profile += [(core, z), (size, z + 0.002), (size, z + 0.007), (core, z + 0.01)]
    profile += [
        (core, 0.8 * length),
        (0.85 * radius, 0.82 * length),
        (0.85 * radius, 0.95 * length),
        (0.7 * radius, length),
    ]
    return turned([*profile, (0.0, length)], base, axis, "metal", 12)


def crankcase(y: float, z: float, size: tuple[float, float, float], cover: float) -> list[Solid]:
    """Make an engine case about (y, z) of a size (x, y, z), with round covers of a radius on both sides and a sump."""
    wide, long, tall = size
    body = rounded_box((0, y, z), size, 0.05, "metal", 1)
    sump = rounded_box((0, y - 0.02, z - 0.5 * tall), (0.6 * wide, 0.7 * long, 0.09), 0.03, "metal", 1)
    rims = [
        (0, -0.03),
        (cover, -0.03),
        (cover, 0.016),
        (0.92 * cover, 0.024),
        (0.86 * cover, 0.02),
        (0.5 * cover, 0.026),
    ]
    rims += [(0.44 * cover, 0.02), (0, 0.02)]
    front = turned(rims, (wide / 2, y - 0.2 * long, z - 0.02), (1, 0, 0), "plastic", 13)
    rear = turned(np.array(rims) * [0.75, 0.8], (wide / 2, y + 0.24 * long, z + 0.02), (1, 0, 0), "metal", 10)
    return [body, sump, pair(join([front, rear]))]


def block(base: Array, tilt_deg: float, wide: float, length: float, fins: int) -> list[Solid]:
    """Make a row of cylinders as one block with its head and cover, leaning forward by an angle, with fins or
    smooth."""
    lean = rotation_about("x", np.radians(tilt_deg))
    parts = [
        rounded_box((0, 0, 0.3 * length), (wide - 0.03, 0.17, 0.7 * length), 0.02, "metal", 1),
        rounded_box((0, 0, 0.72 * length), (wide, 0.2, 0.28 * length), 0.02, "metal", 1),
        rounded_box((0, 0, 0.95 * length), (wide - 0.02, 0.19, 0.22 * length), 0.035, "plastic", 1),
    ]
    parts += [slab((0, 0, length * (0.12 + 0.46 * k / fins)), (wide + 0.01, 0.21, 0.009), "metal") for k in range(fins)]
    return [moved(join(parts), base, lean)]


def v_twin(y: float, z: float, spread_deg: float, length: float, radius: float) -> list[Solid]:
    """Make two finned cylinders in a V along the bike, on a round case, with an air filter between them on the
    right."""
    case = crankcase(y, z, (0.26, 0.36, 0.26), 0.095)
    barrels = []
    for side in (-1, 1):
        lean = np.radians(side * spread_deg)
        base = np.array([0, y, z]) + 0.09 * np.array([0, -np.sin(lean), np.cos(lean)])
        barrels.append(finned_barrel(base, side * spread_deg, length, radius, 5))
    drum = [(0, 0), (0.04, 0), (0.04, 0.05), (0.085, 0.055), (0.088, 0.1), (0.07, 0.115), (0, 0.12)]
    filter_ = turned(drum, (-0.05, y, z + 0.1 + 0.6 * length), (-1, 0, 0), "metal", 20)
    rods = [
        tube(
            [(-0.11, y + side * 0.03, z + 0.06), (-0.085, y + side * 0.55 * length, z + 0.8 * length)],
            0.011,
            "metal",
            8,
        )
        for side in (-1, 1)
    ]
    return [*case, *barrels, filter_, *rods]


def radiator(y: float, z: float, size: tuple[float, float], tilt_deg: float) -> Solid:
    """Make a radiator (width, height) before the engine with its louvres."""
    wide, tall = size
    parts = [rounded_box((0, 0, 0), (wide, 0.035, tall), 0.01, "plastic", 1)]
    parts += [slab((0, -0.016, k * tall), (0.92 * wide, 0.012, 0.012), "metal") for k in np.linspace(-0.36, 0.36, 4)]
    parts.append(pair(slab((wide / 2, 0, 0), (0.03, 0.045, 0.96 * tall), "plastic")))
    return moved(join(parts), (0, y, z), rotation_about("x", np.radians(tilt_deg)))


def headers(
    heads: Sequence[float], start: tuple[float, float], low: tuple[float, float], end: tuple[float, float]
) -> list[Solid]:
    """Make exhaust pipes from the cylinder heads at x = `heads` and (y, z), down in front, under the engine to
    `end`."""
    pipes = []
    for x in heads:
        path = [
            (x, start[0] + 0.06, start[1]),
            (x, start[0] - 0.05, start[1] - 0.01),
            (x, low[0] - 0.02, low[1] + 0.08),
        ]
        path += [(0.6 * x, low[0] + 0.08, low[1]), (0.3 * x, *end)]
        pipes.append(tube(rounded_path(path, 0.09, 3), 0.021, "metal", 6))
    return pipes


def silencer(
    path: Sequence[tuple[float, float, float]], radius: float, length: float, part: str = "metal"
) -> list[Solid]:
    """Make a pipe through points (x, y, z) that ends in a silencer of a radius and length."""
    line = rounded_path(path, 0.1, 4)
    axis = (line[-1] - line[-2]) / np.linalg.norm(line[-1] - line[-2])
    start = line[-1]
    points = [start + share * length * axis for share in (0, 0.06, 0.12, 0.9, 0.97, 1.0)]
    sizes = radius * np.array([0.45, 0.8, 1.0, 1.0, 0.85, 0.62])
    band = turned(
        [(radius, 0), (radius + 0.005, 0.002), (radius + 0.005, 0.022), (radius, 0.024)],
        start + 0.14 * length * axis,
        axis,
        "plastic",
        16,
    )
    return [tube(line, 0.024, "metal", 8), open_tube(points, sizes, 0.012, part, 14), band]


def cradle(points: Sequence[tuple[float, float, float]], radius: float, part: str, bend: float = 0.12) -> Solid:
    """Make a frame tube through points (x, y, z) and its mirror image."""
    return pair(tube(rounded_path(points, bend, 2), radius, part, 8 if radius > 0.015 else 6))


def cable(points: Sequence[Array]) -> Solid:
    """Make a brake line or wire through points (3,)."""
    return tube(smooth_path(np.array(points), 10), 0.004, "plastic", 5)
