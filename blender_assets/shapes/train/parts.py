"""Fittings of the parametric trains: bogies, couplers, pantographs, gangways, coaches. Metres, rails at z = 0."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

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
    rounded_box,
    superellipse,
    tube,
    with_right,
)
from blender_assets.shapes.vehicle import Body, Panel

GAUGE = 0.75  # x of the wheels


def track_wheel(radius: float, segments: int = 16) -> Solid:
    """Make a railway wheel about the x axis at the origin, its flange towards -x (the inside)."""
    profile = [
        (0, 0.07),
        (0.32, 0.07),
        (0.36, 0.02),
        (0.82, 0.06),
        (0.97, 0.07),
        (1.0, -0.05),
        (1.06, -0.08),
        (0, -0.09),
    ]
    return lathe(np.array(profile) * [radius, 1.0], "metal", "x", segments)


def bogie(y: float, radius: float = 0.45, base: float = 1.15) -> list[Solid]:
    """Make a two-axle bogie centred on y: wheels `base` before and behind, frames with axle boxes and springs
    outside."""
    wheel = moved(track_wheel(radius, 14), (GAUGE, 0, 0))
    box = lathe([(0, 0.16), (0.1, 0.14), (0.17, 0.08), (0.17, -0.12), (0, -0.12)], "plastic", "x", 8)
    spring = moved(lathe([(0, 0.1), (0.1, 0.1), (0.1, 0.36), (0, 0.36)], "metal", "z", 8), (1.0, 0, 0))
    box = moved(box, (1.0, 0, 0))
    solids: list[Solid] = []
    for at in (y - base, y + base):
        solids += [pair(moved(join([wheel, box, spring]), (0, at, radius)))]
        solids.append(cylinder((-GAUGE, at, radius), (GAUGE, at, radius), 0.08, "metal", 8))
    ring = [(0.06, 0.06), (-0.06, 0.06), (-0.06, -0.06), (0.06, -0.06)]
    path = [
        (y - base - 0.35, 0.72),
        (y - base, 0.78),
        (y - 0.45, 0.5),
        (y + 0.45, 0.5),
        (y + base, 0.78),
        (y + base + 0.35, 0.72),
    ]
    frame = loft([[(1.02 + dx, at, z + 1.6 * dz) for dx, dz in ring] for at, z in path], "plastic")
    bolster = rounded_box((0, y, 0.75), (2.1, 0.5, 0.7), 0.08, "plastic", 1)
    return [*solids, pair(frame), bolster]


def buffers(y: float, facing: float, z: float = 1.06) -> Solid:
    """Make side buffers and a screw coupling on a headstock at y; facing is -1 at the front of a train, 1 at its
    rear."""
    plunger = cylinder((0.88, y, z), (0.88, y + facing * 0.42, z), 0.1, "metal", 8)
    head = cylinder((0.88, y + facing * 0.4, z), (0.88, y + facing * 0.47, z), 0.24, "metal", 14)
    hook = rounded_box((0, y + facing * 0.12, z), (0.1, 0.4, 0.16), 0.03, "metal", 1)
    hose = tube(
        [(0.3, y, z - 0.1), (0.3, y + facing * 0.14, z - 0.15), (0.3, y + facing * 0.12, z - 0.5)], 0.03, "rubber", 6
    )
    return join([pair(join([plunger, head])), hook, pair(hose)])


def coupler(y: float, facing: float, z: float) -> Solid:
    """Make an automatic centre coupler at y."""
    shank = rounded_box((0, y + facing * 0.15, z), (0.18, 0.5, 0.18), 0.04, "metal", 1)
    head = rounded_box((0, y + facing * 0.45, z), (0.36, 0.2, 0.3), 0.06, "metal", 1)
    return join([shank, head])


def gangway(start: float, end: float, half: float, z: tuple[float, float]) -> Solid:
    """Make folded bellows between two vehicles from y = start to end, of a half width between two heights."""
    ring = superellipse(16, 0.35)
    count = 2 * max(2, round((end - start) / 0.16)) + 1
    rings = []
    for k, y in enumerate(np.linspace(start - 0.05, end + 0.05, count)):
        size = 1.0 if k % 2 else 0.93
        height = (z[1] + z[0]) / 2 + ring[:, 1] * size * (z[1] - z[0]) / 2
        rings.append(np.stack([ring[:, 0] * half * size, np.full(16, y), height], axis=1))
    return loft(np.array(rings), "rubber")


def pantograph(y: float, roof: float, rise: float, facing: float = 1.0) -> Solid:
    """Make a single-arm pantograph on insulators, its knee towards facing * y, its head `rise` above the roof."""
    knee, head = (y + facing * 0.85, roof + 0.2 + 0.42 * rise), (y - facing * 0.1, roof + rise)
    solids = [
        pair(cylinder((0.45, y + at, roof - 0.05), (0.45, y + at, roof + 0.24), 0.06, "plastic", 8))
        for at in (-0.5, 0.5)
    ]
    solids.append(pair(cylinder((0.45, y - 0.6, roof + 0.24), (0.45, y + 0.6, roof + 0.24), 0.035, "metal", 8)))
    solids += [
        cylinder((-0.5, y + at, roof + 0.24), (0.5, y + at, roof + 0.24), 0.035, "metal", 8) for at in (-0.5, 0.5)
    ]
    lower = tube([(0.14, y - facing * 0.5, roof + 0.24), (0.06, *knee)], [0.05, 0.035], "metal", 8)
    upper = tube([(0.04, *knee), (0.3, *head)], 0.026, "metal", 8)
    solids += [pair(lower), pair(upper), cylinder((-0.1, *knee), (0.1, *knee), 0.05, "metal", 8)]
    for dy in (-0.14, 0.14):
        horn = [
            (0.92, head[0] + dy, head[1] - 0.14),
            (0.78, head[0] + dy, head[1] + 0.02),
            (0.6, head[0] + dy, head[1] + 0.05),
        ]
        path = np.array([*horn, (0, head[0] + dy, head[1] + 0.06)])
        solids.append(tube(np.concatenate([path, path[-2::-1] * [-1, 1, 1]]), 0.025, "metal", 6))
    solids.append(pair(cylinder((0.32, head[0] - 0.16, head[1]), (0.32, head[0] + 0.16, head[1]), 0.025, "metal", 6)))
    return join(solids)


def coach_panels(
    body: Body, doors: Sequence[float], glass: tuple[float, float], count: int, door_foot: float
) -> list[Panel]:
    """Return the side of a passenger coach: doors around the distances `doors`, `count` windows between each two of
    them."""
    panels: list[Panel] = []
    for s in doors:
        panels.append(Panel("side", (s - 0.4, s + 0.4), (door_foot, glass[1] + 0.1), "paint", 0.03))
        panels.append(Panel("side", (s - 0.2, s + 0.2), (glass[0] + 0.1, glass[1]), "glass", 0.045))
    stops = [0.25, *doors, body.length - 0.25]
    for a, b in pairwise(stops):
        start, end = a + 0.55 * (a in doors), b - 0.55 * (b in doors)
        if end - start < 1.2:
            continue
        edges = np.linspace(start, end, count + 1)
        panels += [Panel("side", (u + 0.12, v - 0.12), glass, "glass", 0.02) for u, v in pairwise(edges)]
    return panels


def underframe(body: Body, bogies: Sequence[float], floor: float = 0.45) -> list[Solid]:
    """Make bogies at distances s and equipment boxes under the floor between them."""
    start = body.y - body.length / 2
    solids = [solid for s in bogies for solid in bogie(start + s)]
    a, b = start + bogies[0] + 1.75, start + bogies[-1] - 1.75
    long = (b - a) / 2 - 0.1
    if long > 0.4:
        for y, inset in ((a + long / 2, 0.1), (b - long / 2, 0.22)):
            tall = body.floor - floor + 0.05
            size = (2 * (body.half_width - inset), long, tall)
            solids.append(rounded_box((0, y, floor + tall / 2), size, 0.05, "plastic", 1))
    return solids


def train_shape(bodies: Sequence[Body], solids: Sequence[Solid], upper: Sequence[Body] = ()) -> Draft:
    """Make the train of `solids` whose vehicles have these bodies from head to tail, with PASCAL3D+'s keypoints.

    upper: the bodies at whose edges the upper keypoints lie, if they are not those of the vehicles.
    """
    front, rear = bodies[0].y - bodies[0].length / 2, bodies[-1].y + bodies[-1].length / 2
    keypoints: dict[str, Array] = {}
    for level, height, chain in (("top", "upper", upper or bodies), ("bottom", "lower", bodies)):
        keypoints[f"head_left_{level}"] = chain[0].corner_point("front", height)
        keypoints[f"tail_left_{level}"] = chain[-1].corner_point("rear", height)
        for name, share in (("mid1", 1 / 3), ("mid2", 2 / 3)):
            keypoints[f"{name}_left_{level}"] = _edge_at(chain, front + share * (rear - front), height)
    head = (upper or bodies)[0]
    keypoints["head_top"] = head.wall(0, 0, head.roof - 0.3 * head.eave)
    return Draft(solids, with_right(keypoints))


def _edge_at(bodies: Sequence[Body], y: float, height: str) -> Array:
    """Return the left edge (3,) at y of the body there, or of the nearest one if y lies between two."""
    body = min(bodies, key=lambda b: abs(y - b.y) - b.length / 2)
    margin = min(body.reach, 0.3 * body.length)
    s = float(np.clip(y - body.y + body.length / 2, margin, body.length - margin))
    return body.edge_point(s, height)
