"""Parts of the parametric aeroplanes: fuselage, wings, engines, propellers, landing gear. Metres, nose at -y."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from blender_assets.shapes.mesh import (
    Array,
    Solid,
    both_sides,
    curve,
    cylinder,
    join,
    lathe,
    loft,
    mirrored,
    moved,
    panelled,
    part_index,
    rotation_about,
)

HALF_AROUND = 18  # columns of half a fuselage, so 36 around


@dataclass(frozen=True)
class Pane:
    """A pane on both sides of a fuselage: s range from the nose in metres, angle range in degrees from the top."""

    s: tuple[float, float]
    angle_deg: tuple[float, float]


@dataclass(frozen=True)
class WingSection:
    """One airfoil of a wing: span position in metres, leading edge s from the nose, height z, chord and thickness."""

    span: float
    s: float
    z: float
    chord: float
    thickness: float = 0.12


Knots = Sequence[tuple[float, float]]


def fuselage(
    length: float, top: Knots, bottom: Knots, half_width: Knots, nose: float, windows: Sequence[Pane] = (),
    squareness: float = 2.0, glass_part: str = "glass",
) -> Solid:  # fmt: skip
    """Make a closed fuselage of a length in metres along y, centred on y = 0, its nose at -y.

    top, bottom, half_width: knots (s, metres) along the distance s from the nose. nose: length over which an
    ellipse rounds the front. squareness: exponent of the superelliptic cross-section, 2 is an ellipse.
    """
    edges = np.array(sorted({e for w in windows for e in w.s}))
    s = nose * (1 - np.cos(np.linspace(0, np.pi / 2, 9)))
    s = np.concatenate([s, np.linspace(nose, length, 34)[1:]])
    if len(edges):
        inner = (np.abs(s[:, None] - edges).min(axis=1) > 0.012 * length) | (s == 0) | (s == length)
        s = np.sort(np.concatenate([s[inner], edges]))
    marks = [np.radians(a) for w in windows for a in w.angle_deg if a > 0]
    angle = np.linspace(0, np.pi, HALF_AROUND + 1)
    for mark in sorted(set(marks)):
        angle[1 + np.abs(angle[1:-1] - mark).argmin()] = mark
    rounding = np.sqrt(1 - np.square(1 - np.clip(s / nose, 0, 1)))[:, None]
    up, down, wide = (curve(s, k)[:, None] for k in (top, bottom, half_width))
    middle, half = (up + down) / 2, (up - down) / 2 * rounding
    x = np.sin(angle) ** (2 / squareness) * wide * rounding
    x[:, [0, -1]] = 0
    z = middle + np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** (2 / squareness) * half
    points = np.stack([x, np.broadcast_to((s - length / 2)[:, None], x.shape), z], axis=-1)
    tail = points[-1:].copy()
    tail[..., 0], tail[..., 2] = 0, middle[-1]
    part = np.full((len(s), HALF_AROUND), part_index("paint"))
    depth = np.zeros(part.shape)
    s_mid, a_mid = (s[:-1] + s[1:]) / 2, (angle[:-1] + angle[1:]) / 2
    for w in windows:
        rows = np.flatnonzero((s_mid > w.s[0]) & (s_mid < w.s[1]))
        columns = np.flatnonzero((a_mid > np.radians(w.angle_deg[0])) & (a_mid < np.radians(w.angle_deg[1])))
        part[np.ix_(rows, columns)] = part_index(glass_part)
        depth[np.ix_(rows, columns)] = 0.008 * float(wide.max())
    return both_sides(panelled(np.concatenate([points, tail]), part, depth, wall="paint"))


def _airfoil(points: int = 13) -> Array:
    """Return the closed symmetric airfoil (N, 2) of chord 1 and thickness 1: along the chord, across it; from the rear
    edge."""
    c = (1 + np.cos(np.linspace(0, np.pi, points))) / 2
    t = 5 * (0.2969 * np.sqrt(c) - 0.126 * c - 0.3516 * c**2 + 0.2843 * c**3 - 0.1036 * c**4)
    upper = np.stack([c, t], axis=1)
    return np.concatenate([upper, upper[-2:0:-1] * [1, -1]])


def _with_tip(sections: Sequence[WingSection]) -> list[WingSection]:
    """Return the sections and a thin, shorter one beyond the last that rounds the tip."""
    a = sections[-1]
    reach = 0.35 * a.thickness * a.chord
    return [*sections, WingSection(a.span + reach, a.s + 0.12 * a.chord, a.z, 0.8 * a.chord, 0.05)]


def wing(sections: Sequence[WingSection], length: float) -> Solid:
    """Make both halves of a wing from root to tip sections; one solid if the root is at span 0, else two.

    `length` in metres is that of the fuselage, whose nose is s = 0.
    """
    foil = _airfoil()
    rings = []
    for a in _with_tip(sections):
        along = a.s - length / 2 + foil[:, 0] * a.chord
        up = a.z + foil[:, 1] * a.thickness * a.chord
        rings.append(np.stack([np.full(len(foil), a.span), along, up], axis=1))
    half = np.array(rings)
    if sections[0].span > 0:
        solid = loft(half, "paint")
        return join([solid, mirrored(solid)])
    return loft(np.concatenate([half[:0:-1] * [-1.0, 1, 1], half]), "paint")


def fin(sections: Sequence[WingSection], length: float, x: float = 0.0) -> Solid:
    """Make an upright tail plane at x; `span` of its sections is the height z in metres, their own z is not used."""
    foil = _airfoil()
    rings = []
    for a in _with_tip(sections):
        along = a.s - length / 2 + foil[:, 0] * a.chord
        rings.append(np.stack([x + foil[:, 1] * a.thickness * a.chord, along, np.full(len(foil), a.span)], axis=1))
    return loft(np.array(rings), "paint")


def jet_engine(radius: float, length: float) -> Solid:
    """Make a nacelle along y about the origin, open in front with a fan and a spinner, with an exhaust cone behind."""
    half = length / 2
    shell = [(0.78, -0.72), (0.84, -0.95), (0.92, -1.0), (1.0, -0.86), (1.03, -0.3), (0.95, 0.45), (0.76, 1.0)]
    shell += [(0.7, 1.0), (0.72, 0.55), (0.76, -0.3)]
    core = [(0, -0.35), (0.77, -0.38), (0.77, 0.5), (0.55, 0.7), (0.48, 1.15), (0.36, 1.15), (0.06, 1.5), (0, 1.5)]
    spinner = [(0, -0.78), (0.12, -0.68), (0.22, -0.5), (0.24, -0.3), (0, -0.3)]
    pieces = []
    for profile, part in (([*shell, shell[0]], "paint"), (core, "plastic"), (spinner, "metal")):
        pieces.append(lathe(np.array(profile) * [radius, half], part, "y"))
    for k in range(14):
        angle = 2 * np.pi * (k + 0.5) / 14
        ring = np.array([(-0.05, 0), (0, -0.05), (0.05, 0), (0, 0.05)]) * radius
        blade = [[(x * w, -0.42 * half + y, r * radius) for x, y in ring] for r, w in ((0.2, 0.8), (0.74, 1.5))]
        pieces.append(moved(loft(blade, "metal"), rotation=rotation_about("y", angle)))
    return join(pieces)


def propeller(radius: float, blades: int) -> Solid:
    """Make a propeller about the origin and the y axis, its spinner towards -y, a blade straight up."""
    bell = [(0, -0.2), (0.045, -0.185), (0.08, -0.13), (0.1, -0.05), (0.105, 0.03), (0, 0.03)]
    pieces = [lathe(np.array(bell) * radius, "metal", "y", 24)]
    angle = 2 * np.pi * np.arange(10) / 10
    for k in range(blades):
        rings = []
        for r, wide, thick in (
            (0.05, 0.03, 0.03),
            (0.2, 0.05, 0.02),
            (0.55, 0.085, 0.012),
            (0.9, 0.07, 0.008),
            (1, 0.03, 0.005),
        ):
            ring = np.stack([np.sin(angle) * wide, np.cos(angle) * thick - 0.05, np.full(10, r)], axis=1)
            rings.append(ring * radius)
        pieces.append(moved(loft(rings, "plastic"), rotation=rotation_about("y", 2 * np.pi * k / blades)))
    return join(pieces)


def wheel(radius: float, width: float) -> Solid:
    """Make a small wheel about the x axis, centred on the origin."""
    w = width / 2
    tyre = [(0.5, -0.7), (0.75, -1), (0.93, -0.8), (1, -0.35), (1, 0.35), (0.93, 0.8), (0.75, 1), (0.5, 0.7)]
    hub = [(0, -0.75), (0.5, -0.75), (0.5, 0.75), (0, 0.75)]
    scale = [radius, w]
    return join(
        [
            lathe(np.array([*tyre, tyre[0]]) * scale, "rubber", segments=24),
            lathe(np.array(hub) * [radius * 1.02, w], "metal", segments=16),
        ]
    )


def gear_leg(
    top: tuple[float, float, float], foot: tuple[float, float], radius: float, twin: bool, ground: float = 0.0
) -> Solid:
    """Make a leg from `top` (x, y, z) in metres to an axle at (x, y) of `foot`, one wheel radius above the ground's z.

    twin: two wheels beside the leg's foot, else one around it.
    """
    axle = np.array([foot[0], foot[1], ground + radius])
    leg = cylinder(top, axle, 0.2 * radius, "metal", 12)
    aside = np.array([0.62 * radius if twin else 0.46 * radius, 0, 0])
    shaft = cylinder(axle - aside, axle + aside, 0.12 * radius, "metal", 10)
    places = [axle - aside, axle + aside] if twin else [axle]
    return join([leg, shaft, *(moved(wheel(radius, 0.55 * radius), place) for place in places)])
