"""Parametric trains: high-speed train, electric and diesel locomotive with a coach, metro, tram, steam locomotive."""

from dataclasses import replace
from itertools import pairwise

import numpy as np

from blender_assets.shapes.bus.parts import round_lamp, wipers
from blender_assets.shapes.mesh import Draft, Solid, cylinder, pair, rounded_box, tube
from blender_assets.shapes.train.fast import fast_train
from blender_assets.shapes.train.parts import (
    buffers,
    coach_panels,
    coupler,
    gangway,
    pantograph,
    train_shape,
    underframe,
)
from blender_assets.shapes.train.steam import steam_train
from blender_assets.shapes.train.units import metro, tram
from blender_assets.shapes.vehicle import Body, Panel
from blender_assets.shapes.vehicle_shell import coachwork


def train(body_type: int, rng: np.random.Generator) -> Draft:
    """Make a short train in metres, its locomotive or power car at -y, wheels on z = 0; the dominant part is `paint`.

    body_type 0..5: high-speed train, electric locomotive with a coach, diesel locomotive with a coach, metro, tram,
    steam locomotive with tender. Vehicles are shorter than real ones, in PASCAL3D+'s proportions.
    """
    makers = (fast_train, _electric, _diesel, metro, tram, steam_train)
    return makers[body_type](rng)


def _coach(rng: np.random.Generator, start: float, half: float, roof: float) -> tuple[Body, list[Solid]]:
    """Make a passenger coach whose front wall is at y = start, with its underframe, rear buffers and red rear lamps."""
    length = rng.uniform(8.6, 10.2)
    body = Body(
        length, half - 0.02, 1.0, roof, 0.12, rng.uniform(0.4, 0.62), 0.02, 0.12,
        side=((1.0, 0.03), (1.5, 0.0), (2.2, 0.0), (4.2, 0.12)), y=start + length / 2,
    )  # fmt: skip
    glass = (2.0, 2.85)
    panels = coach_panels(body, (0.85, length - 0.85), glass, int(rng.integers(4, 6)), 1.12)
    if rng.integers(2):
        panels += [Panel("side", (0.02, length - 0.02), (z, z + 0.06), "metal", -0.006) for z in (1.7, 1.35)]
    panels += [
        Panel("rear", (0, 0.42), (1.1, 3.0), "plastic", 0.03),
        Panel("rear", (0, 0.34), (1.16, 2.95), "paint", 0.045),
        Panel("rear", (0, 0.22), (2.1, 2.8), "glass", 0.06),
        Panel("rear", (half - 0.4, half - 0.22), (1.35, 1.6), "taillight", -0.02),
    ]
    end = start + length
    boxes = [rounded_box((0, start + s * length, roof + 0.1), (1.1, 1.5, 0.2), 0.07, "plastic") for s in (0.28, 0.72)]
    rail = tube([(0.52, end - 0.02, 1.3), (0.52, end + 0.05, 1.35), (0.52, end + 0.05, 2.7), (0.52, end - 0.02, 2.75)],
                0.02, "metal", 6)  # fmt: skip
    return body, [
        coachwork(body, panels),
        *underframe(body, (1.75, length - 1.75)),
        buffers(end - 0.05, 1.0, 1.1),
        pair(rail),
        *boxes,
    ]


def _electric(rng: np.random.Generator) -> Draft:
    """Make an electric locomotive with sloping cabs at both ends and pantographs, pulling a coach."""
    length, half, roof = rng.uniform(8.8, 10.2), rng.uniform(1.42, 1.5), rng.uniform(3.6, 3.8)
    slope, foot = rng.uniform(0.3, 0.75), rng.uniform(0.0, 0.25)
    lean = ((0.9, foot), (1.7, 0.0), (2.1, 0.03), (roof, slope))
    body = Body(
        length, half, 0.95, roof, rng.uniform(0.2, 0.38), 0.26, 0.14, 0.08, lean, lean, ((0.9, 0.02), (1.3, 0), (2.2,
        0), (4, 0.16)),
        1.4, y=0.0,
    )  # fmt: skip
    face = [
        Panel("front", (0.05, half - 0.1), (2.35, 3.1), "plastic", 0.004),
        Panel("front", (0.09, half - 0.2), (2.4, 3.05), "glass", 0.03),
        Panel("front", (0, half), (2.0, 2.14), "metal", -0.006),
        Panel("front", (half - 0.62, half - 0.2), (1.4, 1.66), "plastic", 0.006),
        Panel("front", (half - 0.58, half - 0.42), (1.44, 1.62), "light", -0.02),
        Panel("front", (half - 0.38, half - 0.24), (1.44, 1.62), "taillight", -0.02),
    ]
    panels = [*face, replace(face[1], face="rear")]
    for s in (1.9, length - 1.9):
        panels.append(Panel("side", (s - 0.31, s + 0.31), (1.17, 3.03), "paint", 0.03))
        panels.append(Panel("side", (s - 0.2, s + 0.2), (2.35, 2.9), "glass", 0.045))
    for s in (1.15, length - 1.15):
        panels.append(Panel("side", (s - 0.3, s + 0.3), (2.35, 2.95), "glass", 0.03))
    edges = np.linspace(2.6, length - 2.6, 5)
    for a, b in pairwise(edges):
        panels += [
            Panel("side", (a + 0.08, b - 0.08), (z, z + 0.06), "plastic", 0.035) for z in np.arange(2.5, 2.95, 0.18)
        ]
    panels.append(Panel("side", (0.0, length), (1.55, 1.68), "metal", -0.006))
    coach, coach_solids = _coach(rng, length / 2 + 0.55, half, rng.uniform(3.75, 3.95))
    rise = rng.uniform(0.9, 1.35)
    rods = [(half + 0.04, -length / 2 + 1.48, z) for z in (1.2, 2.2)]
    plough = rounded_box((0, -length / 2 + 0.25, 0.55), (2.2 * half * 0.85, 0.12, 0.5), 0.04, "plastic", 1)
    return train_shape(
        [body, coach],
        [
            coachwork(body, panels),
            *underframe(body, (2.3, length - 2.3)),
            buffers(-length / 2 + 0.2, -1.0),
            plough,
            rounded_box((0, -length / 2 + 0.5, 0.75), (1.4, 0.6, 0.5), 0.05, "plastic", 1),
            pair(cylinder(rods[0], rods[1], 0.025, "metal", 6)),
            wipers(body, 2.38, half, 0.5),
            round_lamp((0.12, float(body.wall(0.12, 0, roof - 0.3)[1]) + 0.02, roof - 0.26), 0.09, "light"),
            pantograph(-length / 2 + 2.3, roof + 0.06, rise, 1.0),
            pantograph(length / 2 - 2.3, roof + 0.06, 0.5, -1.0),
            rounded_box((0, 0, roof + 0.14), (1.5, 2.2, 0.28), 0.08, "plastic"),
            gangway(length / 2 - 0.05, length / 2 + 0.6, 0.6, (1.1, 3.1)),
            *coach_solids,
        ],
    )


def _diesel(rng: np.random.Generator) -> Draft:
    """Make a hood-type diesel locomotive: low nose, wide cab, narrow engine hood with walkways and railings, and a
    coach."""
    length, half = rng.uniform(9.6, 11.0), rng.uniform(1.42, 1.5)
    nose, cab_long, roof = rng.uniform(1.3, 1.7), 1.75, rng.uniform(3.85, 4.1)
    start = -length / 2
    frame = Body(length, half, 0.95, 1.3, 0.08, 0.06, 0.0, 0.0, y=0.0)
    cab = Body(
        cab_long, half, 1.22, roof, 0.12, 0.3, 0.03, 0.1, ((1.2, 0), (2.3, 0.0), (4, 0.1)),
        y=start + 0.75 + nose + cab_long / 2,
        reach=0.5,
    )  # fmt: skip
    short = Body(
        nose + 0.1, 0.8, 1.22, 2.35, 0.16, 0.18, 0.04, 0.04, ((1.2, 0), (1.9, 0.02), (2.4, 0.16)),
        y=start + 0.8 + nose / 2,
    )  # fmt: skip
    hood_long = length - 0.75 - nose - cab_long - 0.7
    hood = Body(hood_long + 0.1, 0.92, 1.22, roof - 0.25, 0.1, 0.16, 0.02, 0.05, y=length / 2 - 0.75 - hood_long / 2)
    cab_panels, hood_panels, nose_panels = _diesel_panels(half, hood_long, roof)
    coach, coach_solids = _coach(rng, length / 2 + 0.6, half, rng.uniform(3.75, 3.95))
    fans = [
        cylinder((0, y, roof - 0.25), (0, y, roof + 0.02), 0.45, "plastic", 20)
        for y in hood.y + np.array([-0.1, 0.32]) * hood_long
    ]
    tank = rounded_box((0, 0, 0.62), (1.9 * half, length - 8.0, 0.7), 0.15, "plastic")
    return train_shape(
        [frame, coach],
        [
            coachwork(frame, []),
            coachwork(cab, cab_panels),
            coachwork(short, nose_panels),
            coachwork(hood, hood_panels),
            *underframe(frame, (2.2, length - 2.2), 0.9),
            tank,
            *_railings(half - 0.06, start, cab.y, length / 2),
            coupler(start, -1.0, 0.85),
            rounded_box((0, start + 0.12, 0.62), (2.5, 0.16, 0.7), 0.05, "paint", 1),
            cylinder(
                (0, hood.y - 0.3 * hood_long, roof - 0.3), (0, hood.y - 0.3 * hood_long, roof + 0.12), 0.16, "metal", 14
            ),
            *fans,
            gangway(length / 2 - 0.1, length / 2 + 0.65, 0.3, (0.95, 1.3)),
            *coach_solids,
        ],
        [cab, hood, coach],
    )


def _diesel_panels(half: float, hood_long: float, roof: float) -> tuple[list[Panel], list[Panel], list[Panel]]:
    """Return the windows, louvres, doors and lamps of a diesel locomotive's cab, its engine hood and its nose."""
    cab_panels = [
        Panel("front", (0.1, 0.62), (2.62, 3.3), "glass", 0.03),
        Panel("front", (0.84, half - 0.14), (2.45, 3.3), "glass", 0.03),
        Panel("front", (0.0, 0.34), (3.42, 3.62), "light", -0.02),
        Panel("side", (0.25, 0.82), (2.4, 3.25), "glass", 0.03),
        Panel("side", (0.92, 1.5), (2.4, 3.25), "glass", 0.03),
        Panel("rear", (0.95, half - 0.14), (2.4, 3.25), "glass", 0.03),
    ]
    hood_panels = [
        Panel("side", (s - 0.012, s + 0.012), (1.3, 2.75), "plastic", 0.015)
        for s in np.arange(0.6, hood_long - 0.3, 0.75)
    ]
    hood_panels += [
        Panel("side", (0.4, hood_long - 0.4), (z, z + 0.06), "plastic", 0.03) for z in np.arange(2.85, roof - 0.5, 0.18)
    ]
    hood_panels += [Panel("rear", (0, 0.6), (1.6, 2.9), "plastic", 0.025)]
    nose_panels = [
        Panel("front", (0.3, 0.62), (1.75, 1.95), "light", -0.02),
        Panel("front", (0, 0.2), (1.3, 2.2), "plastic", 0.01),
    ]
    return cab_panels, hood_panels, nose_panels


def _railings(x: float, front: float, cab_y: float, rear: float) -> list[Solid]:
    """Make handrails on posts along the walkways of a hood locomotive, before and behind its cab."""
    solids = []
    for a, b in ((front + 0.1, cab_y - 1.0), (cab_y + 1.0, rear - 0.1)):
        posts = np.linspace(a, b, max(2, round((b - a) / 1.3) + 1))
        solids += [pair(cylinder((x, y, 1.25), (x, y, 2.2), 0.022, "metal", 6)) for y in posts]
        solids.append(pair(cylinder((x, a, 2.18), (x, b, 2.18), 0.022, "metal", 6)))
    for y in (front + 0.1, rear - 0.1):
        solids.append(cylinder((-x, y, 2.18), (x, y, 2.18), 0.022, "metal", 6))
    return solids
