"""Parametric dining tables: four legs, round pedestal, oval, trestle, square with an X, modern."""

import numpy as np

from blender_assets.shapes.chair.parts import corner, square_leg
from blender_assets.shapes.diningtable.parts import (
    EDGES,
    SQUARE_EDGE,
    apron,
    crossed,
    curved_foot,
    four,
    oval,
    planks,
    quarter_turns,
    rectangle,
    slab,
    slanted,
    table_keypoints,
    turned_leg,
)
from blender_assets.shapes.mesh import Array, Draft, Solid, cylinder, lathe, moved, pair, rounded_box, tube


def diningtable(body_type: int, rng: np.random.Generator) -> Draft:
    """Make a dining table in metres, standing on z = 0, longer in x than in y, its front at -y.

    body_type 0..5: rectangular with four legs, round on a pedestal, oval, trestle, square with an X below, modern
    slab or glass on a metal frame. Symmetric in x and in y, so the symmetry order is 2; 4 for square tables and four
    feet, 0 for a tulip. Mostly `wood`; legs, aprons or slabs may be `paint`. Proportions are drawn from `rng`.
    """
    makers = (_four_legs, _pedestal, _oval, _trestle, _square, _modern)
    return makers[body_type](rng)


def _rim(top: Solid, half: tuple[float, float]) -> Array:
    """Return the corner (3,) of a top's upper rim at +x +y, on a round top the rim point at the diagonal."""
    return corner(top, (1 / half[0], 1 / half[1], 3.0))


def _four_legs(rng: np.random.Generator) -> Draft:
    """Make a rectangular table: boards or a profiled slab, an apron, square, tapered or turned legs, at times
    painted."""
    half, high = (rng.uniform(0.62, 0.95), rng.uniform(0.42, 0.52)), rng.uniform(0.72, 0.77)
    thick, tall = rng.uniform(0.025, 0.045), rng.uniform(0.07, 0.11)
    part = "paint" if rng.random() < 0.4 else "wood"
    style = int(rng.integers(4))
    if rng.random() < 0.6:
        top = planks(*half, high, thick, int(rng.integers(4, 8)), rng.choice([0.0, 0.11]))
    else:
        top = slab(rectangle(*half, 0.02), high, thick, "wood", EDGES[rng.integers(4)])
    x, y, under = half[0] - rng.uniform(0.06, 0.14), half[1] - rng.uniform(0.055, 0.08), high - thick
    if style < 2:
        leg = turned_leg(x, y, under + 0.004, tall + 0.03, style, part)
    else:
        width = rng.uniform(0.065, 0.09)
        leg = square_leg((x, y, under + 0.004), (x, y, 0), width, width if style == 2 else 0.6 * width, part)
    solids = [top, apron(x, y, under + 0.003, tall, part), four(leg)]
    return Draft(solids, table_keypoints(half, _rim(top, half), (x, y, 0)), 2)


def _pedestal(rng: np.random.Generator) -> Draft:
    """Make a round table on a turned column with four curved feet on the diagonals, or on a tulip."""
    r, high, thick = rng.uniform(0.48, 0.7), rng.uniform(0.72, 0.77), rng.uniform(0.024, 0.04)
    if rng.random() < 0.5:
        return _tulip(rng, r, high, thick)
    top, under = slab(oval(r, r), high, thick, "wood", EDGES[rng.integers(4)]), high - thick
    part, reach, start = "paint" if rng.random() < 0.35 else "wood", rng.uniform(0.62, 0.78) * r, rng.uniform(0.2, 0.26)
    bulge = rng.uniform(0.055, 0.085)
    turning = [(0, 0.09), (0.03, 0.09), (0.045, 0.11), (0.06, 0.125), (0.066, 0.15), (0.066, start + 0.04)]
    turning += [(0.05, start + 0.055), (0.04, start + 0.07), (0.06, start + 0.085), (0.06, start + 0.105)]
    turning += [(0.042, start + 0.12), (bulge, start + 0.19), (0.9 * bulge, start + 0.24), (0.045, under - 0.11)]
    turning += [(0.065, under - 0.095), (0.065, under - 0.075), (0.05, under - 0.06), (0.1, under - 0.035)]
    turning += [(0.45 * r, under - 0.03), (0.46 * r, under - 0.02), (0.46 * r, under + 0.003), (0, under + 0.003)]
    feet = quarter_turns(curved_foot(reach, start, part, rng.uniform(-0.02, 0.03)), np.pi / 4)
    foot = np.array([1, 1, 0]) * (reach - 0.03) / np.sqrt(2)
    solids = [top, lathe(turning, part, "z", 40), feet]
    return Draft(solids, table_keypoints((r, r), _rim(top, (r, r)), foot), 4)


def _tulip(rng: np.random.Generator, radius: float, high: float, thick: float) -> Draft:
    """Make a round top on one painted cast that widens from a slender stem to a disc on the floor."""
    top = slab(oval(radius, radius), high, thick, str(rng.choice(["wood", "paint"])), EDGES[rng.choice([1, 3])])
    knots = [(0, 0), (0.5, 0), (0.505, 0.006), (0.49, 0.014), (0.36, 0.026), (0.2, 0.06), (0.11, 0.14), (0.072, 0.27)]
    knots += [(0.062, 0.45), (0.075, 0.66), (0.12, 0.82), (0.24, 0.94), (0.36, 1.002), (0, 1.002)]
    cast = np.array(knots) * [0.92 * radius, high - thick]
    foot = np.array([1, 1, 0]) * 0.46 * radius / np.sqrt(2)
    half = (radius, radius)
    return Draft([top, lathe(cast, "paint", "z", 64)], table_keypoints(half, _rim(top, half), foot), 0)


def _oval(rng: np.random.Generator) -> Draft:
    """Make an oval table on four splayed round legs, or on two columns with a sledge foot each and a stretcher."""
    half, high = (rng.uniform(0.7, 0.95), rng.uniform(0.47, 0.58)), rng.uniform(0.72, 0.77)
    thick, under_apron = rng.uniform(0.024, 0.036), rng.uniform(0.05, 0.07)
    top = slab(oval(*half, rng.choice([0.75, 1.0])), high, thick, "wood", EDGES[rng.integers(4)])
    part, under = "paint" if rng.random() < 0.35 else "wood", high - thick
    ring = slab(oval(0.72 * half[0], 0.66 * half[1]), under + 0.003, under_apron, part, SQUARE_EDGE)
    rim = _rim(top, half)
    if rng.random() < 0.5:
        head, foot = (0.48 * half[0], 0.42 * half[1]), (0.64 * half[0], 0.62 * half[1], 0.0)
        path = np.linspace((*head, under - 0.01), foot, 6)
        leg = tube(path, np.linspace(0.034, 0.015, 6), part, 20)
        return Draft([top, ring, four(leg)], table_keypoints(half, rim, foot), 2)
    x, spread = 0.5 * half[0], 0.66 * half[1]
    knots = [(0, 0.05), (0.06, 0.05), (0.062, 0.1), (0.046, 0.12), (0.05, 0.16), (0.068, 0.3), (0.06, 0.4)]
    knots += [(0.04, 0.46), (0.052, 0.48), (0.052, 0.5), (0.044, 0.52), (0.06, under - 0.05), (0, under - 0.04)]
    beam = rounded_box((x, 0, 0.045), (0.09, 2 * spread, 0.06), 0.02, part, 3)
    pads = four(rounded_box((x, spread - 0.06, 0.012), (0.08, 0.1, 0.024), 0.006, part, 1))
    solids = [top, ring, pair(moved(lathe(knots, part, "z", 32), (x, 0, 0))), pair(beam), pads]
    solids.append(rounded_box((0, 0, 0.2), (2 * x, 0.035, 0.07), 0.008, part, 1))
    return Draft(solids, table_keypoints(half, rim, (x, spread - 0.02, 0.0)), 2)


def _trestle(rng: np.random.Generator) -> Draft:
    """Make a long table of boards on two trestles, A-shaped, X-shaped or of one broad post, tied by a wedged
    stretcher."""
    half, high = (rng.uniform(0.78, 1.05), rng.uniform(0.43, 0.53)), rng.uniform(0.73, 0.77)
    thick, part = rng.uniform(0.035, 0.055), "paint" if rng.random() < 0.3 else "wood"
    top = planks(*half, high, thick, int(rng.integers(3, 6)), rng.choice([0.0, 0.12]))
    x, spread, under = half[0] - rng.uniform(0.22, 0.32), half[1] - rng.uniform(0.06, 0.1), high - thick
    style = int(rng.integers(3))
    head = rounded_box((x, 0, under - 0.032), (0.075, 2 * spread, 0.07), 0.008, part)
    if style == 0:
        leg = slanted((x, spread - 0.05, 0), (x, 0.16, under - 0.02), (0.06, 0.085), part)
        frame = [four(leg), pair(rounded_box((x, 0, 0.24), (0.05, 1.45 * spread, 0.07), 0.006, part))]
        foot, level = (x, spread - 0.05, 0.0), 0.24
    elif style == 1:
        frame = [pair(moved(crossed(2 * spread, 0, under - 0.03, 0.11, 0.06, part), (x, 0, 0)))]
        foot, level = (x, spread - 0.055, 0.0), under / 2
    else:
        post = rounded_box((x, 0, under / 2), (0.055, 0.24, under - 0.06), 0.008, part)
        beam = rounded_box((x, 0, 0.05), (0.085, 2 * spread, 0.07), 0.02, part)
        pad = rounded_box((x, spread - 0.07, 0.012), (0.08, 0.12, 0.024), 0.005, part, 1)
        frame, foot, level = [pair(post), pair(beam), four(pad)], (x, spread - 0.02, 0.0), 0.3
    tie = rounded_box((0, 0, level), (2 * x + 0.2, 0.036, 0.085), 0.006, part)
    wedge = rounded_box((x + 0.052, 0, level), (0.024, 0.018, 0.17), 0.004, part)
    solids = [top, pair(head), *frame, tie, pair(wedge)]
    return Draft(solids, table_keypoints(half, _rim(top, half), foot), 2)


def _square(rng: np.random.Generator) -> Draft:
    """Make a square table: a framed top on four legs tied by an X, or on a square column with a cross-shaped foot."""
    r, high, thick = rng.uniform(0.4, 0.55), rng.uniform(0.72, 0.77), rng.uniform(0.028, 0.042)
    part, field = "paint" if rng.random() < 0.5 else "wood", str(rng.choice(["wood", "paint", "glass"]))
    under, half, border = high - thick, (r, r), rng.uniform(0.07, 0.12)
    top = slab(rectangle(r, r, 0.012), high - 0.002, thick, "wood", EDGES[rng.choice([0, 1, 3])])
    inlay = slab(rectangle(r - border, r - border, 0.004), high, 0.012, field)
    solids = [top, inlay]
    if rng.random() < 0.55:
        x, width, level = r - rng.uniform(0.05, 0.07), rng.uniform(0.055, 0.075), rng.uniform(0.12, 0.26)
        leg = square_leg((x, x, under + 0.003), (x, x, 0), width, rng.choice([1.0, 0.65]) * width, part)
        bar = rounded_box((x / np.sqrt(2), 0, level), (np.sqrt(2) * x, 0.032, 0.045), 0.005, part, 1)
        boss = lathe([(0, -0.03), (0.05, -0.03), (0.056, -0.02), (0.056, 0.02), (0.05, 0.03), (0, 0.03)], part, "z", 40)
        solids += [apron(x, x, under + 0.003, 0.085, part), four(leg), quarter_turns(bar, np.pi / 4)]
        solids.append(moved(boss, (0, 0, level)))
        foot = np.array([x, x, 0])
    else:
        reach, part = 0.9 * r, "metal" if rng.random() < 0.5 else part
        arm = rounded_box((reach / 2, 0, 0.05), (reach, 0.075, 0.05), 0.016, part)
        pad = cylinder((reach - 0.04, 0, 0), (reach - 0.04, 0, 0.03), 0.024, "rubber", 20)
        bearer = rounded_box((0.35 * r, 0, under - 0.018), (0.7 * r, 0.06, 0.042), 0.008, part)
        solids += [quarter_turns(piece, np.pi / 4) for piece in (arm, pad, bearer)]
        solids.append(rounded_box((0, 0, under / 2 + 0.01), (0.11, 0.11, under - 0.06), 0.012, part))
        solids.append(rounded_box((0, 0, 0.05), (0.17, 0.17, 0.07), 0.015, part))
        foot = np.array([1, 1, 0]) * (reach - 0.04) / np.sqrt(2)
    return Draft(solids, table_keypoints(half, _rim(top, half), foot), 4)


def _modern(rng: np.random.Generator) -> Draft:
    """Make a modern table: a slab of glass, wood or paint on sledge frames, crossed frames or slanted legs of metal."""
    half, high = (rng.uniform(0.68, 0.98), rng.uniform(0.43, 0.52)), rng.uniform(0.72, 0.76)
    part = str(rng.choice(["glass", "wood", "paint"]))
    thick = 0.014 if part == "glass" else rng.uniform(0.03, 0.05)
    top = slab(rectangle(*half, rng.uniform(0.015, 0.09)), high, thick, part, SQUARE_EDGE)
    frame, bar = "metal" if rng.random() < 0.6 else "paint", rng.uniform(0.04, 0.065)
    x, y, under = half[0] - rng.uniform(0.12, 0.3), half[1] - rng.uniform(0.05, 0.09), high - thick
    head = rounded_box((x, 0, under - bar / 2 + 0.001), (bar, 2 * y, bar), 0.006, frame)
    style = int(rng.integers(3))
    if style == 0:
        post = rounded_box((x, y - bar / 2, under / 2), (bar - 0.002, bar - 0.002, under - bar), 0.006, frame)
        base = rounded_box((x, 0, bar / 2 + 0.004), (bar, 2 * y, bar), 0.006, frame)
        glide = cylinder((x, y - 0.06, 0), (x, y - 0.06, 0.01), 0.016, "rubber", 20)
        ends, foot = [four(post), pair(base), four(glide)], (x, y - 0.06, 0.0)
    elif style == 1:
        cross = crossed(2 * y, 0, under - bar / 2, 1.3 * bar, 0.8 * bar, frame)
        ends, foot = [pair(moved(cross, (x, 0, 0)))], (x, y - 0.65 * bar, 0.0)
    else:
        foot = (half[0] - 0.06, y - 0.02, 0.0)
        ends = [four(slanted(foot, (x, y - 0.06, under - bar / 2), (bar, bar), frame))]
    rail = rounded_box((0, 0.35 * y, under - bar / 2 - 0.002), (2 * x, 0.6 * bar, 0.8 * bar), 0.005, frame)
    puck = cylinder((x, y - 0.06, under - 0.004), (x, y - 0.06, under + 0.002), 0.024, "rubber", 24)
    solids = [top, pair(head), *ends, rail, moved(rail, (0, -0.7 * y, 0)), four(puck)]
    return Draft(solids, table_keypoints(half, _rim(top, half), foot), 2)
