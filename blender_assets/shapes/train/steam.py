"""Parametric steam locomotive with its tender. Metres, front at -y, rails at z = 0."""

import numpy as np
from numpy.typing import ArrayLike

from blender_assets.shapes.bus.parts import round_lamp
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
    tube,
    with_right,
)
from blender_assets.shapes.train.parts import GAUGE, bogie, buffers, track_wheel
from blender_assets.shapes.vehicle import Body, Panel, ring_of
from blender_assets.shapes.vehicle_shell import coachwork


def _driver(radius: float, spokes: int) -> Solid:
    """Make a spoked driving wheel about the x axis at the origin, flange inside."""
    rim = ring_of(
        np.array([(0.84, 0.06), (1.0, 0.06), (1.0, -0.04), (1.05, -0.07), (0.84, -0.08)]) * [radius, 1], "metal"
    )
    hub = lathe([(0, 0.1), (0.2 * radius, 0.09), (0.22 * radius, -0.08), (0, -0.08)], "paint", "x", 14)
    sector = radius * np.array([(-0.55, -0.62), (-0.3, -0.8), (0.3, -0.8), (0.55, -0.62), (0, -0.45)])
    weight = loft([[(x, w, z) for w, z in sector] for x in (0.045, -0.045)], "paint")
    bar = [
        [(x, w, z * radius) for x, w in ((0.03, -0.04), (0.03, 0.04), (-0.03, 0.04), (-0.03, -0.04))]
        for z in (0.12, 0.88)
    ]
    turned = [moved(loft(bar, "paint"), rotation=rotation_about("x", 2 * np.pi * k / spokes)) for k in range(spokes)]
    return join([rim, hub, weight, *turned])


def _boiler(front: float, rear: float, z: float, radius: float) -> list[Solid]:
    """Make a boiler along y with its bands, smokebox door, chimney, domes and handrails."""
    barrel = [(0, 0), (0.96 * radius, 0), (1.02 * radius, 0.05), (1.02 * radius, 1.3), (radius, 1.34)]
    barrel += [
        (radius, rear - front - 1.0),
        (1.08 * radius, rear - front - 0.1),
        (1.08 * radius, rear - front),
        (0, rear - front),
    ]
    door = [(0, -0.14), (0.35 * radius, -0.12), (0.68 * radius, -0.03), (0.7 * radius, 0.05), (0, 0.05)]
    solids = [
        moved(lathe(barrel, "paint", "y", 28), (0, front, z)),
        moved(lathe(door, "plastic", "y", 24), (0, front, z)),
    ]
    solids.append(cylinder((0, front - 0.2, z), (0, front - 0.1, z), 0.08, "metal", 10))
    for y in np.linspace(front + 1.9, rear - 1.0, 3):
        band = [(0.99 * radius, -0.03), (1.015 * radius, -0.03), (1.015 * radius, 0.03), (0.99 * radius, 0.03)]
        solids.append(moved(ring_of(band, "metal", "y", 24), (0, y, z)))
    chimney = [
        (0, 0),
        (0.3, 0),
        (0.21, 0.22),
        (0.19, 0.5),
        (0.22, 0.66),
        (0.28, 0.7),
        (0.28, 0.74),
        (0.18, 0.74),
        (0.16, 0.5),
        (0, 0.5),
    ]
    dome = [(0, 0), (0.44, 0), (0.36, 0.14), (0.33, 0.36), (0.22, 0.5), (0, 0.55)]
    top = z + radius - 0.1
    solids.append(moved(lathe(chimney, "plastic", "z", 22), (0, front + 0.65, top)))
    solids += [
        moved(lathe(dome, part, "z", 22), (0, y, top)) for y, part in ((front + 2.1, "paint"), (front + 3.4, "metal"))
    ]
    rail = [(0.8 * radius, y, z + 0.72 * radius) for y in (front + 0.1, rear - 0.1)]
    solids.append(pair(cylinder(rail[0], rail[1], 0.022, "metal", 6)))
    return solids


def _running_gear(axles: Array, radius: float, y_cylinder: float, spokes: int) -> list[Solid]:
    """Make driving wheels on their axles, coupling and main rods, and the cylinders."""
    wheel = _driver(radius, spokes)
    solids: list[Solid] = []
    for y in axles:
        solids += [pair(moved(wheel, (GAUGE, y, radius)))]
        solids.append(cylinder((-GAUGE, y, radius), (GAUGE, y, radius), 0.1, "metal", 8))
        pin = (GAUGE + 0.08, y, radius - 0.42 * radius)
        solids.append(pair(cylinder(pin, (GAUGE + 0.24, *pin[1:]), 0.06, "metal", 8)))
    z = 0.58 * radius
    solids.append(
        pair(
            rounded_box(
                (GAUGE + 0.17, float(axles.mean()), z), (0.05, float(np.ptp(axles)) + 0.24, 0.13), 0.02, "metal", 1
            )
        )
    )
    middle = float(axles[len(axles) // 2])
    piston_z = radius + 0.05
    main = tube([(GAUGE + 0.24, y_cylinder + 0.9, piston_z), (GAUGE + 0.24, middle, z)], 0.055, "metal", 8)
    solids += [
        pair(main),
        pair(
            cylinder(
                (GAUGE + 0.24, y_cylinder, piston_z), (GAUGE + 0.24, y_cylinder + 0.95, piston_z), 0.045, "metal", 8
            )
        ),
    ]
    block = cylinder(
        (GAUGE + 0.24, y_cylinder - 0.5, piston_z), (GAUGE + 0.24, y_cylinder + 0.4, piston_z), 0.3, "paint", 20
    )
    chest = rounded_box((GAUGE + 0.2, y_cylinder - 0.05, piston_z + 0.34), (0.42, 0.8, 0.36), 0.12, "paint")
    saddle = rounded_box((0, y_cylinder - 0.05, piston_z + 0.35), (1.7, 0.9, 0.8), 0.08, "plastic", 1)
    return [*solids, pair(join([block, chest])), saddle]


def _tender(start: float, length: float, half: float, top: float) -> tuple[Body, list[Solid]]:
    """Make a tender on two bogies: water tank with a heap of coal, rear buffers and lamps."""
    body = Body(length, half, 0.95, top, 0.12, 0.08, 0.0, 0.0, y=start + length / 2)
    panels = [Panel("side", (0.0, length), (z, z + 0.03), "metal", -0.006) for z in (1.25, top - 0.2)]
    panels.append(Panel("rear", (0, half), (1.25, 1.28), "metal", -0.006))
    rings = []
    for y, h in ((0.25, 0.02), (0.5, 0.3), (0.5 * length, 0.52), (0.72 * length, 0.36), (0.8 * length, 0.02)):
        turn = np.linspace(0, np.pi, 9)
        arch = np.stack(
            [0.86 * half * np.cos(turn), np.full(9, start + y), top - 0.05 + h * np.sin(turn) ** 0.6], axis=1
        )
        rings.append(np.concatenate([arch, arch[::-1] * [1, 1, 0] + [0, 0, top - 0.1]]))
    ladder = [
        pair(cylinder((0.2, start + length + 0.03, z), (0.2, start + length - 0.05, z), 0.015, "metal", 6))
        for z in (1.1, 2.2)
    ]
    ladder.append(
        pair(cylinder((0.2, start + length + 0.03, 0.8), (0.2, start + length + 0.03, top), 0.018, "metal", 6))
    )
    return body, [
        coachwork(body, panels),
        loft(np.array(rings), "plastic"),
        *bogie(start + 1.15, 0.42, 0.6),
        *bogie(start + length - 1.15, 0.42, 0.6),
        rounded_box((0, body.y, 0.85), (1.9, length - 0.2, 0.3), 0.05, "plastic", 1),
        buffers(start + length - 0.02, 1.0, 1.05),
        round_lamp((half - 0.3, start + length + 0.02, 1.6), 0.1, "taillight", 1.0),
        *ladder,
    ]


def steam_train(rng: np.random.Generator) -> Draft:
    """Make a steam locomotive: boiler, chimney, spoked driving wheels with rods, cab; its tender behind."""
    radius, spokes = rng.uniform(0.72, 0.92), int(rng.integers(9, 12))
    boiler, z = rng.uniform(0.78, 0.9), rng.uniform(2.35, 2.5)
    long, cab_long, half = rng.uniform(6.2, 7.0), rng.uniform(1.8, 2.1), rng.uniform(1.36, 1.45)
    tender_long = rng.uniform(4.8, 5.6)
    front = -(long + cab_long + tender_long + 0.9) / 2
    smoke, cab_start = front + 0.5, front + long
    roof = z + boiler + rng.uniform(0.35, 0.5)
    cab = Body(
        cab_long, half, 1.2, roof, 0.08, 0.42, 0.02, 0.14, side=((1.2, 0), (2.4, 0.0), (4.2, 0.08)),
        y=cab_start + cab_long / 2,
        reach=0.4,
    )  # fmt: skip
    panels = [
        Panel("side", (0.35, 0.95), (2.3, 2.95), "glass", 0.05),
        Panel("side", (1.15, cab_long - 0.12), (1.3, 2.95), "plastic", 0.12),
        Panel("front", (0.92, half - 0.16), (2.6, 3.1), "glass", 0.03),
        Panel("rear", (0, half - 0.3), (1.3, 3.0), "plastic", 0.1),
    ]
    count = int(rng.integers(2, 4)) + 1
    axles = np.linspace(cab_start - 0.4 - (count - 1) * (2.1 * radius + 0.08), cab_start - 0.4, count)
    deck_z, deck_front = 1.55 if radius < 0.8 else 1.75, front + 0.7
    deck = rounded_box(
        (0, (deck_front + cab_start) / 2, deck_z),
        (2 * half - 0.1, cab_start - deck_front + 0.1, 0.07),
        0.02,
        "paint",
        1,
    )
    tender, tender_solids = _tender(cab_start + cab_long + 0.4, tender_long, half - 0.02, rng.uniform(2.5, 2.8))
    pilot = pair(moved(track_wheel(0.42), (GAUGE, front + 0.75, 0.42)))
    y_cylinder = min(float(axles[0]) - radius - 0.55, smoke + 1.3)
    solids = [
        *_boiler(smoke, cab_start + 0.1, z, boiler),
        coachwork(cab, panels),
        deck,
        *_running_gear(axles, radius, y_cylinder, spokes),
        pilot,
        cylinder((-GAUGE, front + 0.75, 0.42), (GAUGE, front + 0.75, 0.42), 0.08, "metal", 8),
        pair(
            rounded_box(
                (0.58, (front + cab_start + cab_long) / 2, 1.05), (0.1, long + cab_long - 0.2, 0.5), 0.02, "plastic", 1
            )
        ),
        rounded_box((0, front + 0.12, 1.08), (2 * half - 0.15, 0.2, 0.5), 0.04, "paint", 1),
        rounded_box(
            (0, (cab_start + 0.5 * long + front) / 2 + 0.2, z - 0.75),
            (1.0, cab_start - front - 1.4, 0.8),
            0.1,
            "plastic",
            1,
        ),
        buffers(front + 0.05, -1.0),
        pair(tube([(half - 0.3, front + 0.2, 1.3), (half - 0.3, deck_front + 0.1, deck_z)], 0.05, "paint", 8)),
        round_lamp((half - 0.35, front + 0.04, 1.45), 0.12, "light"),
        rounded_box((0, cab_start + cab_long + 0.2, 1.12), (1.8, 0.7, 0.3), 0.04, "plastic", 1),
        rounded_box((0, cab_start + 0.5 * cab_long, 1.0), (1.6, cab_long, 0.5), 0.05, "plastic", 1),
        *tender_solids,
    ]
    return Draft(solids, _keypoints(front, cab, tender, z, boiler, (half - 0.05, deck_z)))


def _keypoints(
    front: float, cab: Body, tender: Body, z: float, boiler: float, deck: tuple[float, float]
) -> dict[str, ArrayLike]:
    """Return PASCAL3D+'s keypoints: the head is the smokebox above the buffer beam, mid1 boiler and walkway, mid2 the
    cab."""
    slope = np.sqrt(0.5) * boiler
    keypoints = {
        "head_top": np.array([0, front + 0.52, z + 0.98 * boiler]),
        "head_left_top": np.array([slope, front + 0.52, z + slope]),
        "head_left_bottom": np.array([deck[0] - 0.06, front + 0.05, 0.86]),
        "tail_left_top": tender.corner_point("rear", "upper"),
        "tail_left_bottom": tender.corner_point("rear", "lower"),
    }
    total = tender.y + tender.length / 2 - front
    keypoints["mid1_left_top"] = np.array([slope, front + total / 3, z + slope])
    keypoints["mid1_left_bottom"] = np.array([deck[0], front + total / 3, deck[1]])
    for level, height in (("top", "upper"), ("bottom", "lower")):
        s = np.clip(front + 2 * total / 3 - cab.y + cab.length / 2, 0.3, cab.length - 0.15)
        keypoints[f"mid2_left_{level}"] = cab.edge_point(float(s), height)
    return with_right(keypoints)
