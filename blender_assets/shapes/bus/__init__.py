"""Parametric buses: city bus, coach, double decker, school bus, minibus, vintage bus."""

import numpy as np

from blender_assets.shapes.bus.old import school_bus, vintage_bus
from blender_assets.shapes.bus.parts import (
    bumper,
    bus_shape,
    door,
    line,
    plate,
    pods,
    seam,
    split,
    windows,
    wing_mirror,
    wipers,
)
from blender_assets.shapes.mesh import Draft, Solid, pair, rounded_box
from blender_assets.shapes.vehicle import Body, Panel
from blender_assets.shapes.vehicle_shell import coachwork


def bus(body_type: int, rng: np.random.Generator) -> Draft:
    """Make a bus in metres, front at -y, standing on z = 0, mirror-symmetric in x; the dominant part is `paint`.

    body_type 0..5: city bus, coach, double decker, school bus with bonnet, minibus, vintage bus. Doors are on both
    sides, so that the shape is its own mirror image.
    """
    makers = (_city_bus, _coach, _double_decker, school_bus, _minibus, vintage_bus)
    return makers[body_type](rng)


def _front_face(top: float, glass: tuple[float, float], lamp_z: float, half: float) -> list[Panel]:
    """Return the front panels of a modern bus: a windscreen of two panes with a sign above it, head lamps and a
    grille."""
    return [
        Panel("front", (0, half - 0.02), (glass[0] - 0.04, top - 0.02), "plastic", 0.004),
        Panel("front", (0.02, half - 0.07), glass, "glass", 0.018),
        Panel("front", (0, 0.72 * half), (glass[1] + 0.06, top - 0.08), "glass", 0.02),
        Panel("front", (0, 0.55 * half), (glass[1] + 0.1, top - 0.12), "light", 0.01),
        Panel("front", (0.56 * half, 0.93 * half), (lamp_z - 0.03, lamp_z + 0.25), "plastic", 0.006),
        Panel("front", (0.58 * half, 0.74 * half), (lamp_z, lamp_z + 0.22), "light", -0.012),
        Panel("front", (0.76 * half, 0.91 * half), (lamp_z, lamp_z + 0.22), "light", -0.012),
        Panel("front", (0, 0.46 * half), (lamp_z + 0.02, lamp_z + 0.1), "plastic", 0.02),
        Panel("front", (0, 0.46 * half), (lamp_z + 0.14, lamp_z + 0.22), "plastic", 0.02),
    ]


def _rear_face(
    half: float, lamps: tuple[float, float], glass: tuple[float, float], flap: tuple[float, float]
) -> list[Panel]:
    """Return the rear window, the engine flap with louvres and upright rear lamps."""
    panels = [
        Panel("rear", (0, 0.82 * half), (glass[0] - 0.03, glass[1] + 0.03), "plastic", 0.004),
        Panel("rear", (0, 0.78 * half), glass, "glass", 0.018),
        line("rear", (0, 0.72 * half), flap[0]),
        line("rear", (0, 0.72 * half), flap[1]),
        seam("rear", 0.72 * half, flap),
        Panel("rear", (0.8 * half, 0.94 * half), (lamps[0] - 0.02, lamps[1] + 0.02), "plastic", 0.005),
        Panel("rear", (0.82 * half, 0.92 * half), lamps, "taillight", -0.012),
        Panel("rear", (0.5 * half, 0.62 * half), (glass[1] + 0.1, glass[1] + 0.18), "taillight", -0.01),
    ]
    for z in np.linspace(flap[0] + 0.25, flap[1] - 0.1, 3):
        panels.append(Panel("rear", (0, 0.56 * half), (z - 0.035, z + 0.02), "plastic", 0.03))
    return panels


def _city_bus(rng: np.random.Generator) -> Draft:
    """Make a low-floor city bus: upright front, large windows in a dark band, glazed doors, air conditioning on the
    roof."""
    length, half, roof = rng.uniform(9.6, 12.0), rng.uniform(1.24, 1.3), rng.uniform(2.86, 3.02)
    radius, front, rear = 0.48, 2.5 + rng.uniform(-0.1, 0.15), length - rng.uniform(3.0, 3.3)
    arches = ((front, radius, radius + 0.09), (rear, radius, radius + 0.09))
    lean = ((0.3, 0.0), (1.0, 0.0), (3.0, rng.uniform(0.1, 0.32)))
    body = Body(
        length, half, 0.3, roof, rng.uniform(0.22, 0.36), rng.uniform(0.14, 0.24), 0.1, 0.04, lean, reach=0.8,
        side=((0.3, 0.0), (1.3, 0.0), (3.0, 0.06)), arches=arches,
    )  # fmt: skip
    sill, head = rng.uniform(1.2, 1.32), roof - 0.48
    middle = (front + rear) / 2 + rng.uniform(-0.3, 0.3)
    count = 2 + int(length > 10.8)
    spans = split(front - 0.72, middle - 0.62, 2) + split(middle + 0.62, length - 0.5, count + 1)
    panels = windows(spans, (sill, head), 0.09)
    panels += [p for a, b in spans for p in [line("side", (a + 0.045, b - 0.045), head - 0.32, 0.03)]]
    panels += door(0.5, front - 0.78, (0.36, head + 0.02)) + door(middle - 0.6, middle + 0.6, (0.36, head + 0.02))
    panels += [seam("side", s, (0.36, 1.0)) for s in (front + 0.75, rear - 0.75, rear + 0.75, rear + 1.7)]
    panels += [Panel("side", (rear + 0.85, rear + 1.6), (0.55, 0.95), "plastic", 0.02)]
    panels += _front_face(roof - 0.2, (sill - 0.12, head - 0.06), 0.62, half)
    panels += _rear_face(half, (0.95, 1.55), (1.65, head), (0.62, 1.5))
    unit = rng.uniform(1.8, 2.6)
    extras = pods([(-0.1 * length, 0.85, unit, 0.22, 0.09), (0.22 * length, 0.8, 1.7, 0.2, 0.09)], roof + 0.04)
    extras += [rounded_box((0, -0.34 * length, roof + 0.045), (0.7, 0.7, 0.08), 0.03, "plastic")]
    mirror = wing_mirror(body.corner_at("front", roof - 0.3), 0.24, 0.26, 0.3)
    return _finished(body, panels, [(front, radius, False), (rear, radius, True)], [*extras, mirror])


def _finished(
    body: Body, panels: list[Panel], axles: list[tuple[float, float, bool]], extras: list[Solid], bumpers: float = 0.44
) -> Draft:
    """Make the shell with its panels on axles (s, wheel radius, dual), bumpers at a height, wipers, plates and
    `extras`."""
    glass = next(p for p in panels if p.face == "front" and p.part == "glass")
    front_y, rear_y = (float(body.wall(0, s, bumpers)[1]) for s in (0, body.length))
    return bus_shape(
        body,
        axles,
        [
            coachwork(body, panels),
            bumper(body, "front", bumpers, 0.22, "plastic", 0.04, 0.3),
            bumper(body, "rear", bumpers, 0.2, "plastic", 0.04, 0.3),
            wipers(body, glass.z[0], body.half_width, 0.8 * (glass.z[1] - glass.z[0])),
            plate(front_y - 0.045, bumpers),
            plate(rear_y + 0.012, bumpers + 0.28),
            *extras,
        ],
    )


def _coach(rng: np.random.Generator) -> Draft:
    """Make a touring coach: high floor over luggage holds, raked windscreen, mirrors like feelers, two or three
    axles."""
    length, half, roof = rng.uniform(10.8, 12.4), rng.uniform(1.25, 1.3), rng.uniform(3.4, 3.65)
    radius, front, rear = 0.5, 2.6, length - rng.uniform(3.1, 3.4)
    three = bool(rng.integers(2))
    axles = [(front, radius, False), (rear, radius, True)] + [(rear + 1.3, radius, False)] * three
    rake = rng.uniform(0.45, 0.8)
    body = Body(
        length, half, 0.34, roof, rng.uniform(0.28, 0.4), 0.26, 0.16, 0.05,
        front=((0.3, 0.06), (0.6, 0.0), (1.3, 0.06), (2.4, 0.45 * rake), (3.6, rake)),
        rear=((0.3, 0.05), (1.0, 0.0), (2.0, 0.02), (3.6, 0.2)), reach=1.3,
        side=((0.3, 0.0), (1.6, 0.0), (3.6, 0.1)), arches=tuple((s, r, r + 0.09) for s, r, _ in axles),
    )  # fmt: skip
    sill, head = rng.uniform(1.75, 1.9), roof - 0.42
    spans = split(1.75, length - 0.7, int(rng.integers(4, 6)))
    panels = windows(spans, (sill, head), 0.05)
    panels += door(0.65, 1.58, (0.42, head - 0.2), 1)
    for a, b in split(front + 0.72, rear - 0.75, 4 - three):
        panels += [seam("side", a, (0.42, 1.28)), seam("side", b, (0.42, 1.28)), line("side", (a, b), 1.28)]
        panels += [Panel("side", ((a + b) / 2 - 0.1, (a + b) / 2 + 0.1), (0.55, 0.6), "metal", -0.012)]
    if rng.integers(2):
        panels.append(Panel("side", (1.7, length - 0.4), (1.4, 1.5), "metal", -0.006))
    panels += _front_face(roof - 0.28, (1.25, head - 0.12), 0.68, half)
    panels += _rear_face(half, (0.95, 1.75), (2.1, head), (0.7, 1.7))
    extras = pods([(0.12 * length, 0.8, 2.6, 0.2, 0.09)], roof + 0.04)
    extras += [rounded_box((0, y * length, roof + 0.05), (0.7, 0.6, 0.07), 0.03, "plastic") for y in (-0.25, 0.33)]
    mirror = wing_mirror(body.corner_at("front", roof - 0.36), 0.2, 0.6, 0.5)
    return _finished(body, panels, axles, [*extras, mirror])


def _double_decker(rng: np.random.Generator) -> Draft:
    """Make a double decker: two rows of windows, upright front with a windscreen on each deck."""
    length, half, roof = rng.uniform(9.2, 10.9), rng.uniform(1.24, 1.28), rng.uniform(4.15, 4.4)
    radius, front, rear = 0.48, 2.45, length - rng.uniform(2.3, 2.6)
    axles = [(front, radius, False), (rear, radius, True)]
    lean = rng.uniform(0.12, 0.4)
    body = Body(
        length, half, 0.28, roof, rng.uniform(0.22, 0.34), rng.uniform(0.2, 0.3), 0.12, 0.05,
        front=((0.3, 0.0), (1.1, 0.0), (2.4, 0.25 * lean), (4.3, lean)), rear=((0.3, 0.0), (2.0, 0.0), (4.3, 0.1)),
        reach=0.9, side=((0.3, 0.0), (1.3, 0.0), (4.3, 0.06)), arches=tuple((s, r, r + 0.09) for s, r, _ in axles),
    )  # fmt: skip
    low, high = (1.15, 2.05), (2.75, 3.7 + 0.5 * (roof - 4.15))
    count = int(rng.integers(4, 6))
    panels = windows(split(1.75, length - 0.9, count), low, 0.09)
    panels += windows(split(0.5, length - 0.45, count + 1), high, 0.09)
    panels += door(0.48, front - 0.78, (0.34, 2.1))
    panels += [seam("side", s, (0.34, 0.95)) for s in (front + 0.75, 0.5 * length, rear - 0.75, rear + 0.75)]
    panels += [line("side", (0.3, length - 0.3), 2.4, 0.03), line("front", (0, half), 2.42, 0.02)]
    panels += [line("rear", (0, half), 2.4, 0.03)]
    panels += _front_face(2.4, (1.05, 2.08), 0.58, half)[:2]
    panels += _front_face(2.4, (1.05, 2.08), 0.58, half)[4:]
    panels += [Panel("front", (0, 0.6 * half), (2.14, 2.36), "light", 0.02)]
    panels += [Panel("front", (0.02, half - 0.06), high, "glass", 0.02), seam("front", 0.0, high, 0.07)]
    panels += _rear_face(half, (0.85, 1.5), (high[0], high[1] - 0.05), (0.6, 1.75))
    mirror = wing_mirror(body.corner_at("front", 2.2), 0.24, 0.26, 0.28)
    return _finished(body, panels, axles, [mirror])


def _minibus(rng: np.random.Generator) -> Draft:
    """Make a minibus on a van: short sloping bonnet, raked windscreen, high roof."""
    length, half, roof = rng.uniform(5.9, 7.2), rng.uniform(0.98, 1.04), rng.uniform(2.55, 2.8)
    radius, front, rear = 0.35, 1.02, length - rng.uniform(1.3, 1.7)
    axles = [(front, radius, False), (rear, radius, bool(rng.integers(2)))]
    bonnet = rng.uniform(0.58, 0.72)
    body = Body(
        length, half, 0.26, roof, 0.26, 0.22, 0.16, 0.05,
        front=((0.25, 0.06), (0.45, 0.0), (0.95, 0.06), (1.1, 0.2), (1.3, bonnet), (2.15, bonnet + 0.62), (2.8,
        bonnet + 0.8)),
        rear=((0.25, 0.02), (0.6, 0.0), (1.4, 0.02), (2.8, 0.12)), reach=1.5,
        side=((0.3, 0.02), (0.8, 0.0), (1.25, 0.02), (2.8, 0.16)), arches=tuple((s, r, r + 0.06) for s, r, _ in axles),
        well=0.5,
    )  # fmt: skip
    sill, head = 1.32, 2.12
    spans = [(0.55, 1.3), *split(1.42, length - 0.45, 3)]
    panels = windows(spans, (sill, head), 0.08)
    panels += [seam("side", s, (0.34, head + 0.08)) for s in (1.42, 1.42 + (length - 1.87) / 3)]
    panels += [seam("side", 0.5, (0.8, sill - 0.1)), line("side", (1.42, length - 0.5), 1.05, 0.02)]
    panels += [Panel("side", (s, s + 0.16), (1.12, 1.16), "plastic", -0.02) for s in (1.2, 1.5)]
    panels += [
        Panel("front", (0, 0.86 * half), (sill, head + 0.04), "glass", 0.015),
        Panel("front", (0, 0.42 * half), (0.72, 0.93), "plastic", 0.025),
        Panel("front", (0, 0.5 * half), (0.5, 0.6), "plastic", 0.03),
        Panel("front", (0.56 * half, 0.95 * half), (0.74, 0.97), "light", -0.012),
        line("front", (0, 0.8 * half), 1.04),
        Panel("rear", (0.05, 0.76 * half), (sill, head), "glass", 0.018),
        seam("rear", 0.0, (0.5, head + 0.14), 0.03),
        Panel("rear", (0.84 * half, 0.97 * half), (0.85, 1.35), "taillight", -0.012),
        Panel("rear", (0.06, 0.18), (1.05, 1.1), "plastic", -0.025),
    ]
    mirror = wing_mirror(body.wall(half, 0.45, 1.42), 0.16, 0.02, 0.1)
    steps = pair(rounded_box((half - 0.02, 0.0, 0.26), (0.2, 0.3 * length, 0.06), 0.02, "plastic"))
    return _finished(body, panels, axles, [mirror, steps], 0.42)
