"""Parametric trains without a locomotive: metro and tram. Metres, front at -y, rails at z = 0."""

from dataclasses import replace
from itertools import pairwise

import numpy as np

from blender_assets.shapes.bus.parts import wipers
from blender_assets.shapes.mesh import Draft, Solid, rounded_box
from blender_assets.shapes.train.parts import bogie, coupler, gangway, pantograph, train_shape, underframe
from blender_assets.shapes.vehicle import Body, Panel
from blender_assets.shapes.vehicle_shell import coachwork


def _sliding_door(s: float, half: float, z: tuple[float, float], sill: float) -> list[Panel]:
    """Return two door leaves around a distance s with a pane in each."""
    panels = [
        Panel("side", (s - half, s + half), z, "metal", 0.024),
        Panel("side", (s - 0.012, s + 0.012), z, "plastic", 0.036),
    ]
    for a, b in ((s - half, s - 0.012), (s + 0.012, s + half)):
        panels.append(Panel("side", (a + 0.1, b - 0.08), (sill, z[1] - 0.14), "glass", 0.036))
    return panels


def _doors_and_windows(
    doors: list[float], span: tuple[float, float], half: float, z: tuple[float, float], glass: tuple[float, float]
) -> list[Panel]:
    """Return sliding doors at distances s and windows between them within a span of s."""
    panels = [p for s in doors for p in _sliding_door(s, half, z, glass[0] - 0.15)]
    stops = [span[0] - half - 0.1, *doors, span[1] + half + 0.1]
    for a, b in pairwise(stops):
        start, end = a + half + 0.2, b - half - 0.2
        count = max(1, round((end - start) / 1.3))
        if end - start < 0.35:
            continue
        edges = np.linspace(start, end, count + 1)
        panels += [Panel("side", (u + 0.04, v - 0.04), glass, "glass", 0.018) for u, v in pairwise(edges)]
    return panels


def metro(rng: np.random.Generator) -> Draft:
    """Make two metro or commuter cars: upright front with a door in the middle, wide sliding doors, ribbed sides."""
    length, half, roof = rng.uniform(8.6, 9.8), rng.uniform(1.38, 1.5), rng.uniform(3.5, 3.75)
    slope = rng.uniform(0.05, 0.4)
    lean = ((0.9, 0.0), (2.0, 0.02), (3.7, slope))
    eave = rng.uniform(0.3, 0.5)
    front = Body(
        length, half, 0.95, roof, rng.uniform(0.15, 0.3), eave, rng.uniform(0.04, 0.14), 0.1, lean, ((0.9, 0), (4.0,
        0.01)),
        ((0.9, 0.06), (1.5, 0.0), (2.2, 0.0), (4.0, 0.1)), 0.9, y=-length / 2 - 0.25,
    )  # fmt: skip
    rear = replace(front, front=front.rear, rear=lean, y=length / 2 + 0.25)
    glass = (1.95, 2.8)
    face = [
        Panel("front", (0.0, half - 0.12), (1.9, 2.95), "plastic", 0.005),
        Panel("front", (0.44, half - 0.22), (1.98, 2.88), "glass", 0.025),
        Panel("front", (0.0, 0.38), (1.02, 2.92), "plastic", 0.02),
        Panel("front", (0.0, 0.35), (1.04, 2.9), "paint", 0.028),
        Panel("front", (0.0, 0.25), (1.98, 2.8), "glass", 0.04),
        Panel("front", (0.0, 0.5), (3.0, 3.16), "light", 0.012),
        Panel("front", (half - 0.5, half - 0.34), (1.3, 1.5), "light", -0.02),
        Panel("front", (half - 0.3, half - 0.18), (1.3, 1.5), "taillight", -0.02),
    ]
    tail = [replace(p, face="rear", part="taillight" if p.z == (1.3, 1.5) else p.part) for p in face]
    doors = [0.24 * length, 0.52 * length, 0.82 * length]
    sides = [Panel("side", (0.9, length - 0.02), (z, z + 0.035), "metal", -0.008) for z in (1.62,)]
    cab = [
        Panel("side", (0.35, 0.85), (1.05, 2.95), "paint", 0.024),
        Panel("side", (0.45, 0.75), glass, "glass", 0.036),
    ]
    first = sides + _doors_and_windows(doors, (1.0, length - 0.3), 0.62, (1.05, 2.95), glass) + cab
    last = [replace(p, along=(length - p.along[1], length - p.along[0])) for p in first]
    units = [rounded_box((0, y, roof + 0.16), (1.7, 2.2, 0.26), 0.09, "plastic") for y in (front.y - 1.2, rear.y + 1.2)]
    return train_shape(
        [front, rear],
        [
            coachwork(front, face + first),
            coachwork(rear, tail + last),
            *underframe(front, (2.1, length - 1.9)),
            *underframe(rear, (1.9, length - 2.1)),
            gangway(-0.3, 0.3, 0.62, (1.05, 3.05)),
            coupler(-length - 0.25, -1.0, 0.85),
            coupler(length + 0.25, 1.0, 0.85),
            wipers(front, 2.0, 0.95 * half, 0.55),
            *[rounded_box((0, side * (length - 0.05), 0.7), (2.2, 0.5, 0.55), 0.08, "plastic", 1) for side in (-1, 1)],
            *units,
        ],
    )


def tram(rng: np.random.Generator) -> Draft:
    """Make a low-floor tram of three sections with rounded ends, large windows and a pantograph on the middle one."""
    end, middle, half, roof = (
        rng.uniform(5.2, 6.0),
        rng.uniform(3.2, 4.0),
        rng.uniform(1.18, 1.25),
        rng.uniform(3.15, 3.3),
    )
    slope = rng.uniform(0.5, 0.95)
    lean = ((0.3, 0.1), (0.8, 0.0), (1.3, 0.1), (2.6, 0.72 * slope), (3.3, slope))
    plain = ((0.3, 0.0), (3.3, 0.01))
    front = Body(
        end, half, 0.3, roof, rng.uniform(0.32, 0.5), 0.26, 0.22, 0.06, lean, plain, ((0.3, 0.05), (0.8, 0.0), (1.4,
        0.0), (3.3, 0.1)),
        1.5, y=-(middle + end) / 2 - 0.45,
    )  # fmt: skip
    rear = replace(front, front=plain, rear=lean, y=-front.y, bow=front.bow)
    centre = replace(front, length=middle, front=plain, corner=0.1, bow=0.0, y=0.0)
    front, rear = (replace(b) for b in (front, rear))
    glass, door = (1.25, 2.6), (0.4, 2.68)
    face = [
        Panel("front", (0.0, half - 0.03), (1.2, 2.98), "plastic", 0.004),
        Panel("front", (0.0, half - 0.1), (1.26, 2.6), "glass", 0.02),
        Panel("front", (0.0, 0.62 * half), (2.68, 2.9), "light", 0.012),
        Panel("front", (0.5 * half, 0.68 * half), (0.8, 0.94), "light", -0.015),
        Panel("front", (0.74 * half, 0.88 * half), (0.8, 0.94), "light", -0.015),
    ]
    tail = [replace(p, face="rear", part="taillight" if p.z == (0.8, 0.94) else p.part) for p in face]
    side = _doors_and_windows([0.62 * end], (1.35, end - 0.25), 0.62, door, glass)
    side.insert(0, Panel("side", (1.25, end - 0.16), (glass[0] - 0.03, glass[1] + 0.03), "plastic", 0.004))
    side.append(Panel("side", (0.72, 1.12), (1.3, 2.5), "glass", 0.018))
    last = [replace(p, along=(end - p.along[1], end - p.along[0])) for p in side]
    waist = [Panel("side", (0.0, end), (0.66, 0.7), "plastic", 0.008)]
    inner = _doors_and_windows([], (0.2, middle - 0.2), 0.62, door, glass)
    y = middle / 2
    solids: list[Solid] = [
        coachwork(front, waist + face + side),
        coachwork(rear, waist + tail + last),
        coachwork(
            centre,
            [Panel("side", (0.1, middle - 0.1), (glass[0] - 0.03, glass[1] + 0.03), "plastic", 0.004), *waist, *inner],
        ),
        *(gangway(min(a, b), max(a, b), half - 0.08, (0.4, roof - 0.15)) for a, b in ((y, y + 0.45), (-y, -y - 0.45))),
        pantograph(0.0, roof + 0.05, rng.uniform(0.9, 1.3)),
        *(rounded_box((0, at, roof + 0.15), (1.7, 1.9, 0.26), 0.09, "paint") for at in (front.y + 0.5, rear.y - 0.5)),
        *(solid for at in (front.y, rear.y) for solid in bogie(at, 0.33, 0.85)),
        coupler(front.y - end / 2 + 0.12, -1.0, 0.5),
        wipers(front, 1.3, 0.9 * half, 0.8),
    ]
    return train_shape([front, centre, rear], solids)
