"""Parametric boats: sailing boat, motor yacht, speed boat, fishing boat, container ship, rowing boat."""

import numpy as np

from blender_assets.shapes.boat.hull import Hull, boat_shape
from blender_assets.shapes.boat.parts import outboard, rail, steering_wheel, triangle_sail, wind_screen
from blender_assets.shapes.boat.work import container_ship, fishing_boat
from blender_assets.shapes.boat.yacht import motor_yacht
from blender_assets.shapes.mesh import (
    Draft,
    Solid,
    cylinder,
    join,
    lathe,
    loft,
    moved,
    pair,
    rounded_box,
    smooth_path,
    tube,
)
from blender_assets.shapes.vehicle import Body, Panel
from blender_assets.shapes.vehicle_shell import coachwork


def boat(body_type: int, rng: np.random.Generator) -> Draft:
    """Make a boat in metres, bow at -y, mirror-symmetric in x; the dominant part is `paint` (`fabric` for the sails).

    body_type 0..5: sailing boat, motor yacht, speed boat, fishing boat, container ship, rowing boat. The lowest point
    of the keel is at or near z = 0.
    """
    makers = (_sailing, motor_yacht, _speed_boat, fishing_boat, container_ship, _rowing)
    return makers[body_type](rng)


def _sailing(rng: np.random.Generator) -> Draft:
    """Make a sailing yacht under mainsail and jib: long hull with keel and rudder, coach roof, rigging and pulpit."""
    long, half = rng.uniform(9.0, 12.0), rng.uniform(1.45, 1.75)
    free = rng.uniform(1.0, 1.2)
    hull = Hull(
        long,
        ((0, 0), (0.06 * long, 0.26 * half), (0.3 * long, 0.84 * half), (0.58 * long, half), (long, rng.uniform(0.6,
        0.82) * half)),
        ((0, 0.95 + free), (0.5 * long, 0.68 + free), (long, 0.72 + free)),
        ((0, 1.0), (0.12 * long, 0.6), (0.45 * long, 0.36), (0.8 * long, 0.55), (long, 0.85)),
        ((0, 1.2), (0.4 * long, 0.72), (long, 0.66)),
        ((0, 0.07), (0.62 * long, 0.07), (0.625 * long, 0.4), (0.93 * long, 0.4), (0.935 * long, 0.07), (long, 0.07)),
        ((0, 0.05), (0.62 * long, 0.05), (0.625 * long, 0.42), (0.93 * long, 0.42), (0.935 * long, 0.05), (long, 0.05)),
        rng.uniform(0.08, 0.13) * long, rng.uniform(-0.3, 0.4), 0.75, ((0.42, "plastic"), (0.93, "paint"), (1.0,
        "wood")),
    )  # fmt: skip
    bow, deck = -long / 2, float(hull.edge(0.45 * long)[2])
    mast_y, tall = bow + 0.4 * long, deck + rng.uniform(1.15, 1.35) * long
    cabin = Body(
        0.34 * long, 0.56 * half, deck - 0.3, deck + 0.42, 0.4, 0.16, 0.3, 0.05, ((0.0, 0.0), (deck - 0.2, 0),
        (deck + 0.5, 0.5)),
        side=((deck - 0.3, 0.0), (deck + 0.5, 0.12)), y=bow + 0.45 * long,
    )  # fmt: skip
    panes = [
        Panel("side", (a * long, b * long), (deck + 0.05, deck + 0.24), "glass", 0.012)
        for a, b in ((0.06, 0.17), (0.19, 0.29))
    ]
    panes.append(Panel("rear", (0, 0.3), (deck - 0.2, deck + 0.24), "wood", 0.02))
    boom_z, boom_end = deck + 1.25, mast_y + 0.42 * long
    head_y = bow + 0.02 * long
    sails = [
        triangle_sail(
            (mast_y + 0.12, boom_z + 0.12), (boom_end - 0.1, boom_z + 0.14), (mast_y + 0.1, tall - 0.25), 0.07 * long
        ),
        triangle_sail(
            (head_y + 0.35, deck + 0.75),
            (mast_y - 0.1, deck + 0.95),
            (mast_y - 0.25, deck + 0.88 * (tall - deck)),
            -0.02 * long,
        ),
    ]
    return boat_shape(
        hull, [coachwork(cabin, panes), *sails, *_rigging(hull, mast_y, tall, boom_z, boom_end), *_under_water(hull)]
    )


def _rigging(hull: Hull, mast_y: float, tall: float, boom_z: float, boom_end: float) -> list[Solid]:
    """Make the mast, boom, spreaders, stays, the pulpit's rails and the wheel in the cockpit."""
    long = hull.length
    chain, bow, stern = hull.edge(0.42 * long), hull.edge(0.02 * long), hull.edge(long - 0.1)
    mid = 0.5 * (tall + chain[2])
    aside = 0.55 * chain[0]
    deck = float(chain[2])
    solids = [
        tube([(0, mast_y, deck - 0.3), (0, mast_y, mid), (0, mast_y, tall)], [0.1, 0.09, 0.06], "metal", 12),
        cylinder((0, mast_y, boom_z), (0, boom_end, boom_z + 0.02), 0.075, "metal", 12),
        pair(cylinder((0, mast_y, mid), (aside, mast_y + 0.1, mid + 0.05), 0.03, "metal", 6)),
        pair(
            tube(
                [
                    (chain[0] - 0.06, mast_y + 0.1, chain[2] - 0.05),
                    (aside, mast_y + 0.1, mid + 0.05),
                    (0.0, mast_y, tall - 0.4),
                ],
                0.016,
                "metal",
                5,
            )
        ),
        cylinder((0, bow[1], bow[2] - 0.05), (0, mast_y, deck + 0.93 * (tall - deck)), 0.018, "metal", 6),
        cylinder((0, stern[1], stern[2] - 0.05), (0, mast_y, tall - 0.05), 0.018, "metal", 6),
        rail(hull, (0.03, 0.16 * long), 0.6, 3),
        rail(hull, (0.16 * long, 0.97 * long), 0.55, 8, radius=0.016),
        steering_wheel((0, 0.36 * long, deck + 0.3), 0.36, 0.2),
        rounded_box((0, 0.33 * long, deck - 0.1), (0.3, 0.3, 0.7), 0.06, "plastic"),
    ]
    winch = hull.edge(0.68 * long) - [0.2, 0, 0.1]
    solids.append(pair(cylinder(winch, winch + np.array([0, 0, 0.24]), 0.08, "metal", 10)))
    return solids


def _under_water(hull: Hull) -> list[Solid]:
    """Make the fin keel and the rudder under a sailing boat."""
    long = hull.length
    foil = np.array([(0, -0.5), (0.07, -0.2), (0.06, 0.1), (0, 0.5), (-0.06, 0.1), (-0.07, -0.2)])
    keel = [
        [(x, 0.02 * long + y * c + d, z) for x, y in foil]
        for z, c, d in ((0.7, 0.3 * long, 0.0), (-0.75, 0.2 * long, 0.05 * long))
    ]
    rudder = [
        [(0.5 * x, 0.44 * long + y * c, z) for x, y in foil] for z, c in ((1.0, 0.07 * long), (-0.2, 0.05 * long))
    ]
    return [loft(keel, "plastic"), loft(rudder, "plastic")]


def _speed_boat(rng: np.random.Generator) -> Draft:
    """Make an open speed boat: sharp bow, curved wind screen, upholstered seats, outboard motor or a pair of them."""
    long, half = rng.uniform(5.6, 7.4), rng.uniform(1.02, 1.2)
    top = rng.uniform(1.0, 1.15)
    start, end = rng.uniform(0.4, 0.46) * long, 0.9 * long
    hull = Hull(
        long,
        ((0, 0), (0.08 * long, 0.4 * half), (0.3 * long, 0.86 * half), (0.6 * long, half), (long, 0.93 * half)),
        ((0, top + 0.22), (0.4 * long, top + 0.06), (long, top - 0.14)),
        ((0, 0.42), (0.15 * long, 0.16), (0.4 * long, 0.02), (long, 0.0)),
        ((0, 1.5), (0.4 * long, 0.95), (long, 0.55)),
        ((0, 0.03), (start, 0.03), (start + 0.01, 0.6), (end, 0.6), (end + 0.01, 0.05), (long, 0.05)),
        ((0, 0.06), (start, 0.06), (start + 0.01, 0.2), (end, 0.2), (end + 0.01, 0.06), (long, 0.06)),
        0.16 * long, -0.15, 0.7, ((0.3, "plastic"), (0.93, "paint"), (1.0, "metal")), ("paint", "paint"),
    )  # fmt: skip
    y0, deck = -long / 2, float(hull.edge(start)[2])
    floor = hull.deck_z(0.7 * long)
    seat_y = y0 + start + 0.95
    seats = []
    for at in (seat_y,):
        pad = rounded_box((0.46, at, floor + 0.36), (0.52, 0.5, 0.18), 0.06, "fabric")
        back = rounded_box((0.46, at + 0.27, floor + 0.66), (0.52, 0.14, 0.58), 0.06, "fabric")
        foot = rounded_box((0.46, at, floor + 0.12), (0.36, 0.4, 0.36), 0.04, "plastic", 1)
        seats.append(pair(join([pad, back, foot])))
    bench_y = y0 + end - 0.34
    seats.append(rounded_box((0, bench_y, floor + 0.3), (1.55 * half, 0.55, 0.24), 0.08, "fabric"))
    seats.append(rounded_box((0, bench_y, floor + 0.08), (1.5 * half, 0.5, 0.3), 0.04, "paint", 1))
    seats.append(rounded_box((0, bench_y + 0.26, floor + 0.58), (1.55 * half, 0.16, 0.5), 0.07, "fabric"))
    dash = rounded_box((0, y0 + start + 0.1, deck - 0.2), (1.6 * half, 0.4, 0.5), 0.1, "plastic")
    stern_z = float(hull.edge(long)[2])
    motor = outboard(long / 2, stern_z - 0.1, rng.uniform(0.9, 1.15))
    motors = [pair(moved(motor, (0.42, 0, 0)))] if rng.random() < 0.3 else [motor]
    extras = [rail(hull, (0.05, 0.3 * long), 0.2, 5, 0.14, 0.018)] if rng.integers(2) else []
    cleat = pair(rounded_box((0.1, y0 + 0.14 * long, deck + 0.12), (0.05, 0.22, 0.05), 0.02, "metal", 1))
    return boat_shape(
        hull,
        [
            *seats,
            *motors,
            *extras,
            cleat,
            dash,
            steering_wheel((0, y0 + start + 0.42, deck + 0.02), 0.19, -0.5),
            wind_screen(0.84 * half, y0 + start - 0.32, deck, rng.uniform(0.36, 0.5), 0.75, 0.3),
            pair(rounded_box((0.86 * half, long / 2 - 0.02, stern_z - 0.22), (0.1, 0.06, 0.07), 0.02, "taillight", 1)),
            *_arch(rng, hull, y0 + 0.72 * long),
        ],
    )


def _arch(rng: np.random.Generator, hull: Hull, y: float) -> list[Solid]:
    """Make a tubular arch over the cockpit, for some draws with a cloth roof."""
    if rng.random() < 0.5:
        return []
    foot, s = hull.edge(y + hull.length / 2), hull.edge(y + hull.length / 2)[2]
    x = float(foot[0]) - 0.1
    left = [(x, y, s - 0.1), (x, y - 0.1, s + 0.8), (0.8 * x, y - 0.22, s + 1.12), (0, y - 0.25, s + 1.18)]
    solids = [pair(tube(smooth_path(left, 10), 0.03, "metal", 8))]
    if rng.random() < 0.6:
        solids.append(rounded_box((0, y - 0.5, s + 1.2), (1.7 * x, 1.5, 0.06), 0.028, "fabric"))
    return solids


def _rowing(rng: np.random.Generator) -> Draft:
    """Make an open rowing boat of overlapping planks: thwarts, ribs, oars in their rowlocks."""
    long, half = rng.uniform(3.6, 5.0), rng.uniform(0.66, 0.82)
    free = rng.uniform(0.5, 0.6)
    hull = Hull(
        long,
        ((0, 0), (0.1 * long, 0.42 * half), (0.35 * long, 0.93 * half), (0.6 * long, half), (long, rng.uniform(0.55,
        0.75) * half)),
        ((0, free + 0.26), (0.5 * long, free), (long, free + 0.12)),
        ((0, 0.12), (0.1 * long, 0.03), (0.4 * long, 0.0), (0.8 * long, 0.02), (long, 0.1)),
        ((0, 1.1), (0.4 * long, 0.72), (long, 0.75)),
        ((0, 0.06), (0.05 * long, 0.2), (0.12 * long, free - 0.13), (long, free - 0.13)), ((0, 0.045), (long, 0.045)),
        0.07 * long, -0.12, 0.8, ((0.12, "wood"), (0.86, "paint"), (1.0, "wood")), ("wood", "wood"),
        int(rng.integers(5, 8)),
    )  # fmt: skip
    solids: list[Solid] = []
    for share in (0.22, 0.5, 0.78):
        edge = hull.edge(share * long)
        z = edge[2] - 0.18
        solids.append(rounded_box((0, edge[1], z), (2 * edge[0] - 0.06, 0.24, 0.04), 0.012, "wood", 1))
        solids.append(cylinder((0, edge[1], 0.06), (0, edge[1], z), 0.03, "wood", 8))
    for s in np.linspace(0.16, 0.93, 8) * long:
        rib = hull.outside(s, np.linspace(0.5, 1.5, 7))
        solids.append(pair(tube(rib - [0.05, 0, -0.012], 0.018, "wood", 6)))
    lock = hull.edge(0.56 * long)
    spread, drop = rng.uniform(1.1, 1.4), rng.uniform(0.1, 0.3)
    grip, blade = lock + np.array([-0.62, 0.1, 0.2]), lock + np.array([spread, -0.25, -drop])
    at = lock + np.array([0, 0, 0.09])
    oar = [cylinder(grip, blade, 0.024, "wood", 8), cylinder(lock - [0, 0, 0.06], at, 0.02, "metal", 8)]
    step = (blade - grip) / np.linalg.norm(blade - grip)
    leaf = [
        [blade + step * d + np.array([0, a * w, b]) for a, b in ((-1, 0), (0, 0.012), (1, 0), (0, -0.012))]
        for d, w in ((-0.05, 0.02), (0.1, 0.06), (0.5, 0.08), (0.56, 0.06))
    ]
    oar.append(loft(leaf, "paint"))
    ring = [(0, -0.02), (0.05, -0.02), (0.05, 0.02), (0, 0.02)]
    oar.append(moved(lathe(ring, "metal", "x", 10), at))
    planks = [
        rounded_box((x, 0.06 * long, 0.15), (0.14, 0.6 * long, 0.03), 0.01, "wood", 1) for x in (-0.17, 0.0, 0.17)
    ]
    skeg = rounded_box((0, 0.3 * long, 0.02), (0.05, 0.36 * long, 0.08), 0.015, "wood", 1)
    if rng.integers(2):
        solids.append(
            rounded_box(
                (0, hull.edge(0.06 * long)[1], hull.edge(0.08 * long)[2] - 0.03), (0.2, 0.26, 0.05), 0.02, "wood", 1
            )
        )
    return boat_shape(hull, [*solids, pair(join(oar)), *planks, skeg])
