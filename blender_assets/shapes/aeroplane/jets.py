"""Parametric jets: airliner, fighter, business jet. Metres, nose at -y, ground at z = 0."""

from collections.abc import Sequence

import numpy as np

from blender_assets.shapes.aeroplane.frame import Airframe
from blender_assets.shapes.aeroplane.parts import Pane, WingSection, fuselage, gear_leg, jet_engine
from blender_assets.shapes.mesh import Array, Draft, Solid, join, lathe, loft, moved, pair, rounded_box, superellipse

# Knots of fuselages: share of the length from the nose, height or half width in fuselage radii.
AIRLINER_TOP = ((0, 0.1), (0.035, 0.42), (0.085, 0.93), (0.12, 1), (0.7, 1), (1, 0.8))
AIRLINER_BOTTOM = ((0, -0.58), (0.05, -0.92), (0.1, -1), (0.64, -1), (1, 0.55))
AIRLINER_WIDTH = ((0, 0.62), (0.045, 0.86), (0.1, 1), (0.66, 1), (0.9, 0.42), (1, 0.08))
BUSINESS_TOP = ((0, 0.02), (0.06, 0.25), (0.085, 0.42), (0.14, 0.96), (0.18, 1), (0.66, 1), (1, 0.62))
BUSINESS_BOTTOM = ((0, -0.5), (0.08, -0.85), (0.16, -1), (0.6, -1), (1, 0.3))
BUSINESS_WIDTH = ((0, 0.42), (0.06, 0.7), (0.15, 1), (0.62, 1), (0.88, 0.45), (1, 0.1))
FIGHTER_TOP = ((0, -0.1), (0.145, 0.42), (0.21, 0.55), (0.285, 1.22), (0.34, 1.18), (0.47, 0.85), (1, 0.55))
FIGHTER_BOTTOM = ((0, -0.2), (0.17, -0.5), (0.4, -0.85), (0.8, -0.8), (1, -0.4))
FIGHTER_WIDTH = ((0, 0.06), (0.17, 0.52), (0.33, 0.7), (0.46, 0.95), (0.8, 0.95), (1, 0.62))
Table = Sequence[tuple[float, float]]


def _knots(table: Table, length: float, radius: float, z: float = 0.0) -> list[tuple[float, float]]:
    """Return knots in metres of a fuselage of this length and radius whose axis is at height z."""
    return [(s * length, z + h * radius) for s, h in table]


def _box_rings(stations: Sequence[tuple[float, float, float, float, float]]) -> Array:
    """Return rings (S, 24, 3) of rounded boxes at stations (y, x, z, half width, half height)."""
    c, s = superellipse(24, 0.5).T
    return np.array([np.stack([x + w * c, np.full(24, y), z + h * s], axis=1) for y, x, z, w, h in stations])


def _nacelle(x: float, y: float, z: float, radius: float, length: float, wing_z: float) -> Solid:
    """Make underwing engines on both sides, centred on (x, y, z), with their pylons up to the wing."""
    rings = []
    for front, rear, height in ((-0.25, 0.62, z + 0.85 * radius), (-0.05, 0.95, wing_z)):
        ys = y + length * np.array([front, front + 0.15, rear, front + 0.15])
        xs = x + 0.14 * radius * np.array([0, 1, 0, -1])
        rings.append(np.stack([xs, ys, np.full(4, height)], axis=1))
    return pair(join([moved(jet_engine(radius, length), (x, y, z)), loft(np.array(rings), "paint")]))


def _airliner_wing(length: float, r: float, z: float, sweep: float, span: float) -> list[WingSection]:
    """Return sections of a swept wing with a kink at a third of the span and a winglet; z is the height of its root."""
    root, s, rise = 0.22 * length, 0.36 * length, 0.09 * span
    return [
        WingSection(0.3 * r, s, z, root),
        WingSection(0.33 * span, s + sweep * 0.33 * span, z + 0.33 * rise, 0.55 * root, 0.11),
        WingSection(span, s + sweep * span, z + rise, 0.2 * root, 0.1),
        WingSection(1.03 * span, s + sweep * span + 0.12 * root, z + rise + 0.07 * span, 0.1 * root, 0.1),
    ]


def airliner(rng: np.random.Generator) -> Draft:
    """Make a jet airliner with two or four engines under a swept low wing."""
    four = bool(rng.integers(2))
    length = float(rng.uniform(36, 44)) + 16 * four
    r = (2.8 if four else 2.0) * float(rng.uniform(0.95, 1.08))
    z, span, sweep = (
        1.55 * r + 0.7 + 0.4 * four,
        0.48 * length * float(rng.uniform(0.94, 1.05)),
        float(rng.uniform(0.5, 0.6)),
    )
    windows = [Pane((0.042 * length, 0.062 * length), angles) for angles in ((0, 28), (32, 52), (56, 74))]
    windows += [Pane((s, s + 0.009 * length), (70, 80)) for s in np.linspace(0.13, 0.78, 34) * length]
    wing_z = z - 0.6 * r
    tail_z = z + 0.45 * r
    tail = [WingSection(0.1 * r, 0.86 * length, tail_z, 0.11 * length, 0.09)]
    tail += [WingSection(0.17 * length, 0.945 * length, tail_z + 0.012 * length, 0.04 * length, 0.09)]
    upright = [WingSection(z + 0.55 * r, 0.8 * length, 0, 0.17 * length, 0.1)]
    upright += [WingSection(z + r + 0.15 * length, 0.93 * length, 0, 0.06 * length, 0.1)]
    engines = []
    for x in (0.34 * span, 0.6 * span)[: 1 + four]:
        under = wing_z + 0.09 * x
        y = (0.36 - 0.5 + 0.02) * length + sweep * x
        engines.append(_nacelle(x, y, under - 0.62 * r, 0.5 * r, 1.9 * r, under))
    belly = [(-0.17, 0.1), (-0.13, 0.55), (-0.04, 0.84), (0.08, 0.84), (0.16, 0.5), (0.2, 0.1)]
    fairing = [(s * length, 0.0, wing_z + 0.05 * r, 1.15 * b * r, 0.66 * b * r) for s, b in belly]
    top, bottom = (_knots(table, length, r, z) for table in (AIRLINER_TOP, AIRLINER_BOTTOM))
    main = _airliner_wing(length, r, wing_z, sweep, span)
    return Airframe(length, main, tail, upright, top, bottom, (-0.38 * length, 0.0)).shape(
        [
            fuselage(length, top, bottom, _knots(AIRLINER_WIDTH, length, r), 0.05 * length, windows),
            loft(_box_rings(fairing), "paint"),
            *engines,
            pair(gear_leg((0.9 * r, 0.03 * length, wing_z), (0.9 * r, 0.03 * length), 0.3 * r, True)),
            gear_leg((0, -0.38 * length, z - 0.8 * r), (0, -0.38 * length), 0.22 * r, True),
        ]
    )


def _intake(y: float, z: float) -> Solid:
    """Make an air intake with its duct along the right side of a fighter's fuselage; y is the nose, z the axis."""
    stations = [
        (y + 5.6, 0.85, z - 0.15, 0.36, 0.52),
        (y + 7.5, 0.9, z - 0.1, 0.4, 0.55),
        (y + 11.5, 0.8, z - 0.1, 0.3, 0.4),
    ]
    mouth = rounded_box((0.87, y + 5.62, z - 0.15), (0.5, 0.1, 0.78), 0.04, "plastic", 1)
    return join([loft(_box_rings(stations), "paint"), mouth])


def fighter(rng: np.random.Generator) -> Draft:
    """Make a jet fighter with a swept delta wing, side intakes, bubble canopy and one or two fins and engines."""
    length, span = float(rng.uniform(14.5, 16.5)), float(rng.uniform(4.6, 5.4))
    twin, z, y = bool(rng.integers(2)), 2.3, -length / 2
    windows = [Pane((0.216 * length, 0.265 * length), (0, 48)), Pane((0.272 * length, 0.385 * length), (0, 46))]
    tip_s = 6.6 + 0.85 * (span - 0.6)
    tail = [WingSection(0.5, length - 2.6, z, 2.4, 0.05), WingSection(2.9, length - 1.1, z - 0.1, 1.1, 0.05)]
    upright = [WingSection(z + 0.3, length - 4.2, 0, 3.2, 0.06), WingSection(z + 3.0, length - 1.7, 0, 1.3, 0.06)]
    profile = np.array([(0, -0.3), (0.62, -0.3), (0.66, 0.4), (0.5, 0.9), (0.44, 0.9), (0.42, 0.2), (0, 0.15)])
    nozzle = moved(lathe(profile * [0.72 if twin else 1.0, 1], "metal", "y"), (0.42 * twin, y + length - 0.2, z + 0.05))
    missile = lathe([(0, -1.4), (0.06, -1.2), (0.09, -0.9), (0.09, 1.2), (0, 1.2)], "metal", "y", 16)
    top, bottom = (_knots(table, length, 1.0, z) for table in (FIGHTER_TOP, FIGHTER_BOTTOM))
    main = [WingSection(0.6, 6.6, z, 6.0, 0.05), WingSection(span, tip_s, z - 0.05, 1.6, 0.05)]
    return Airframe(length, main, tail, upright, top, bottom, (y + 3.9, 0.0), 0.75 * twin).shape(
        [
            fuselage(length, top, bottom, _knots(FIGHTER_WIDTH, length, 1.0), 0.023 * length, windows),
            pair(_intake(y, z)),
            pair(moved(missile, (span + 0.1, y + tip_s + 0.5, z - 0.05))),
            pair(nozzle) if twin else nozzle,
            pair(gear_leg((0.9, y + 9.6, z - 0.4), (1.2, y + 9.6), 0.42, False)),
            gear_leg((0, y + 3.9, z - 0.4), (0, y + 3.9), 0.32, False),
        ]
    )


def business_jet(rng: np.random.Generator) -> Draft:
    """Make a business jet: two engines at the rear of the fuselage, tail plane on top of the fin, winglets."""
    length, r = float(rng.uniform(14, 18)), float(rng.uniform(0.95, 1.1))
    span, z = 0.46 * length * float(rng.uniform(0.95, 1.06)), 1.95
    windows = [Pane((0.093 * length, 0.13 * length), angles) for angles in ((0, 34), (40, 72))]
    windows += [Pane((s, s + 0.026 * length), (62, 82)) for s in np.linspace(0.24, 0.54, 6) * length]
    tip_s, tip_z, root_z = 0.42 * length + 0.36 * span, z - 0.75 * r + 0.06 * span, z - 0.75 * r
    main = [
        WingSection(0.3 * r, 0.42 * length, root_z, 0.21 * length),
        WingSection(span, tip_s, tip_z, 0.075 * length, 0.1),
        WingSection(span + 0.25, tip_s + 0.5, tip_z + 0.8, 0.035 * length, 0.09),
    ]
    high = z + r + 0.15 * length
    upright = [
        WingSection(z + 0.5 * r, 0.76 * length, 0, 0.2 * length, 0.1),
        WingSection(high, 0.93 * length, 0, 0.1 * length, 0.1),
    ]
    tail = [WingSection(0.0, 0.93 * length, high, 0.09 * length, 0.1)]
    tail += [WingSection(0.17 * length, 0.985 * length, high + 0.02, 0.045 * length, 0.09)]
    engine_z = z + 0.45 * r
    stub = rounded_box((r, 0.2 * length, engine_z), (0.6 * r, 1.2 * r, 0.14 * r), 0.06 * r, "paint")
    engine = moved(jet_engine(0.42 * r, 2.4 * r), (1.52 * r, 0.2 * length, engine_z))
    top, bottom = (_knots(table, length, r, z) for table in (BUSINESS_TOP, BUSINESS_BOTTOM))
    return Airframe(length, main, tail, upright, top, bottom, (-0.36 * length, 0.0)).shape(
        [
            fuselage(length, top, bottom, _knots(BUSINESS_WIDTH, length, r), 0.05 * length, windows),
            pair(join([engine, stub])),
            pair(gear_leg((1.3 * r, 0.06 * length, z - 0.7 * r), (1.3 * r, 0.06 * length), 0.3, True)),
            gear_leg((0, -0.36 * length, z - 0.7 * r), (0, -0.36 * length), 0.22, True),
        ]
    )
