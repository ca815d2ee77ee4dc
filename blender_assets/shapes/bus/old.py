"""Parametric buses of older shape: school bus with a bonnet, vintage bus. Metres, front at -y."""

import numpy as np

from blender_assets.shapes.bus.parts import bumper, bus_shape, line, plate, round_lamp, seam, split, wing_mirror, wipers
from blender_assets.shapes.mesh import Draft, cylinder, pair, rounded_box
from blender_assets.shapes.vehicle import Body, Panel
from blender_assets.shapes.vehicle_shell import coachwork


def school_bus(rng: np.random.Generator) -> Draft:
    """Make a school bus: bonnet with fenders in front of a tall ribbed body with many small windows."""
    cab, nose, half = rng.uniform(6.6, 8.4), rng.uniform(1.35, 1.7), rng.uniform(1.18, 1.24)
    roof, radius = rng.uniform(2.95, 3.1), 0.48
    length = cab + nose
    front, rear = 0.78, length - rng.uniform(2.2, 2.6)
    main = Body(
        cab, half, 0.5, roof, 0.22, 0.34, 0.1, 0.06, ((0.5, 0.0), (1.3, 0.0), (3.1, 0.28)), ((0.5, 0.0), (3.1, 0.05)),
        ((0.5, 0.0), (1.4, 0.0), (3.1, 0.08)), 0.6, ((rear - nose, radius, radius + 0.1),), y=nose / 2,
    )  # fmt: skip
    hood = Body(
        nose + 0.5, 0.95 * half, 0.52, 1.5, 0.3, 0.22, 0.08, 0.03,
        ((0.5, 0.04), (0.8, 0.0), (1.6, 0.06)), side=((0.5, 0.0), (0.95, 0.02), (1.15, 0.16), (1.5, 0.24)),
        arches=((front, radius, radius + 0.1),), y=-(length - nose - 0.5) / 2,
    )  # fmt: skip
    spans = split(1.35, cab - 0.35, round((cab - 1.7) / 0.72))
    panels = [Panel("side", (0.28, 1.2), (0.56, 2.4), "plastic", 0.012)]
    panels += [Panel("side", (a, b), (0.75, 2.3), "glass", 0.025) for a, b in ((0.35, 0.7), (0.78, 1.13))]
    panels += [Panel("side", (a + 0.05, b - 0.05), (1.62, 2.3), "glass", 0.03) for a, b in spans]
    panels += [line("side", (a + 0.05, b - 0.05), 1.95, 0.04) for a, b in spans]
    panels += [Panel("side", (1.3, cab - 0.1), (z, z + 0.07), "plastic", -0.015) for z in (0.78, 1.12, 1.46)]
    panels += [
        Panel("front", (0.05, 0.9 * half), (1.56, 2.4), "glass", 0.02),
        Panel("front", (0.62 * half, 0.74 * half), (2.5, 2.62), "taillight", -0.02),
        Panel("front", (0.4 * half, 0.52 * half), (2.5, 2.62), "light", -0.02),
        Panel("rear", (0, 0.4 * half), (0.62, 2.4), "plastic", 0.012),
        Panel("rear", (0, 0.37 * half), (0.65, 2.37), "paint", 0.0),
        Panel("rear", (0, 0.32 * half), (1.66, 2.3), "glass", 0.025),
        Panel("rear", (0.5 * half, 0.85 * half), (1.66, 2.3), "glass", 0.025),
        Panel("rear", (0.62 * half, 0.78 * half), (1.15, 1.32), "taillight", -0.02),
        Panel("rear", (0.82 * half, 0.94 * half), (1.15, 1.32), "light", -0.02),
        Panel("rear", (0.6 * half, 0.72 * half), (2.5, 2.62), "taillight", -0.02),
    ]
    grille = [
        Panel("front", (0, 0.42 * half), (0.72, 1.22), "plastic", 0.03),
        *(Panel("front", (0, 0.42 * half), (z, z + 0.035), "metal", 0.005) for z in np.arange(0.78, 1.2, 0.1)),
        seam("side", nose - 0.05, (0.6, 1.4)),
        line("side", (0.35, nose - 0.05), 1.08, 0.02),
    ]
    tail_y, nose_y = length / 2, -length / 2
    axles = [(front, radius, False), (rear, radius, True)]
    return bus_shape(
        main,
        axles,
        [
            coachwork(main, panels),
            coachwork(hood, grille),
            round_lamp((0.62 * half, nose_y + 0.08, 0.92), 0.11, "light"),
            bumper(hood, "front", 0.58, 0.24, "plastic", 0.08, 0.1),
            bumper(main, "rear", 0.56, 0.22, "plastic", 0.08, 0.3),
            wipers(main, 1.56, half, 0.6),
            plate(tail_y + 0.01, 0.82),
            wing_mirror((0.8 * half, nose_y + 0.3, 1.3), 0.3, 0.1, 0.12),
            wing_mirror((half - 0.1, nose_y + nose + 0.2, 2.3), 0.14, 0.25, 0.4),
            rounded_box((0, 0.24 * length, roof + 0.07), (0.6, 0.6, 0.08), 0.03, "paint"),
            pair(rounded_box((half + 0.03, nose_y + nose + 2.0, 1.3), (0.08, 0.04, 0.42), 0.01, "taillight", 1)),
        ],
        hood,
    )


def vintage_bus(rng: np.random.Generator) -> Draft:
    """Make a bus of the fifties: well rounded body, round lamps, bright grille and trim, divided windscreen."""
    length, half, roof = rng.uniform(7.8, 9.6), rng.uniform(1.14, 1.22), rng.uniform(2.75, 2.95)
    radius, front, rear = 0.46, 1.9, length - rng.uniform(2.1, 2.5)
    body = Body(
        length, half, 0.34, roof, 0.5, rng.uniform(0.44, 0.58), 0.22, 0.1,
        front=((0.3, 0.12), (0.75, 0.0), (1.3, 0.04), (2.9, 0.5)), rear=((0.3, 0.1), (0.8, 0.0), (1.5, 0.06), (2.9,
        0.55)),
        reach=1.3, side=((0.3, 0.03), (0.8, 0.0), (1.4, 0.02), (2.9, 0.12)),
        arches=tuple((s, radius, radius + 0.1) for s in (front, rear)),
    )  # fmt: skip
    sill, head = 1.42, 2.1
    spans = split(2.1, length - 0.75, int(rng.integers(5, 8)))
    panels = [Panel("side", (a + 0.055, b - 0.055), (sill, head), "glass", 0.03) for a, b in spans]
    panels += [seam("side", s, (0.5, head + 0.08)) for s in (0.82, 1.98)] + [line("side", (0.82, 1.98), head + 0.08)]
    panels += [Panel("side", (0.9, 1.9), (sill, head), "glass", 0.03)]
    panels += [Panel("side", (0.0, length), (z, z + 0.045), "metal", -0.01) for z in (1.16, 1.3)]
    panels += [Panel(end, (0, half), (z, z + 0.045), "metal", -0.01) for end in ("front", "rear") for z in (1.16, 1.3)]
    panels += [
        Panel("front", (0.05, 0.84 * half), (1.38, 2.12), "glass", 0.025),
        Panel("front", (0, 0.4 * half), (0.62, 1.08), "plastic", 0.03),
        *(Panel("front", (0, 0.4 * half), (z, z + 0.035), "metal", -0.01) for z in np.arange(0.66, 1.06, 0.09)),
        Panel("rear", (0.06, 0.36 * half), (1.5, 2.05), "glass", 0.025),
        Panel("rear", (0.45 * half, 0.8 * half), (1.5, 2.05), "glass", 0.025),
        *(Panel("rear", (0, 0.5 * half), (z, z + 0.04), "plastic", 0.03) for z in np.arange(0.7, 1.06, 0.09)),
    ]
    lamp_x = 0.66 * half
    lamp_y = float(body.wall(lamp_x, body.bow * 0.66**2, 0.85)[1]) + 0.02
    tail = body.wall(0.72 * half, length - 0.12, 0.92)
    rack = [cylinder((0.6, y, roof + 0.02), (0.6, y, roof + 0.16), 0.015, "metal", 6) for y in (-0.1, 0.9, 1.9)]
    rails = [pair(cylinder((0.6, -0.2, roof + 0.15), (0.6, 2.0, roof + 0.15), 0.018, "metal", 8)), *map(pair, rack)]
    rails += [
        cylinder((-0.6, y, roof + 0.15), (0.6, y, roof + 0.15), 0.018, "metal", 8) for y in (-0.1, 0.4, 0.9, 1.4, 1.9)
    ]
    foot = body.wall(half, 0.75, 2.0)
    return bus_shape(
        body,
        [(front, radius, False), (rear, radius, True)],
        [
            coachwork(body, panels),
            round_lamp((lamp_x, lamp_y, 0.85), 0.14, "light"),
            round_lamp((0.72 * half, float(tail[1]) - 0.03, 0.92), 0.075, "taillight", 1.0),
            bumper(body, "front", 0.46, 0.16, "metal", 0.09, 0.3),
            bumper(body, "rear", 0.46, 0.16, "metal", 0.09, 0.3),
            wipers(body, 1.4, 0.9 * half, 0.45),
            plate(float(body.wall(0, length, 0.6)[1]) + 0.01, 0.6),
            wing_mirror((float(foot[0]) - 0.02, float(foot[1]) - 0.3, 1.95), 0.22, 0.1, 0.16),
            *(rails if rng.integers(2) else []),
        ],
    )
