"""Parametric sofas: two-seater, rolled-arm three-seater, chesterfield, modern low, wooden daybed, tuxedo."""

from dataclasses import replace

import numpy as np

from blender_assets.shapes.chair.parts import corner, nearest
from blender_assets.shapes.mesh import Draft, Solid, cylinder, moved, pair, rotation_about, rounded_box, with_right
from blender_assets.shapes.sofa.cushions import channelled, scatter_pillow, tufted
from blender_assets.shapes.sofa.parts import (
    SofaPlan,
    back_cushions,
    back_shell,
    base_box,
    bun_feet,
    rolled_arms,
    rolled_rail,
    seat_cushions,
    skirt,
    sledges,
    sofa_keypoints,
    tapered_legs,
    track_arms,
    wooden_frame,
)


def sofa(body_type: int, rng: np.random.Generator) -> Draft:
    """Make a sofa in metres, standing on z = 0; the sitter looks to -y, the back rest is at +y.

    body_type 0..5: two-seater, three-seater with rolled arms, chesterfield, modern low with loose cushions, wooden
    frame with a mattress, tuxedo. Mirror-symmetric in x, mostly `fabric`; proportions are drawn from `rng`.
    """
    makers = (_two_seater, _three_seater, _chesterfield, _low, _wooden, _tuxedo)
    return makers[body_type](rng)


def _pillows(plan: SofaPlan, rng: np.random.Generator, before: float) -> list[Solid]:
    """Make a scatter pillow in either corner of the seat, or none; `before`: thickness of the back rest behind them."""
    if rng.random() < 0.5:
        return []
    size = rng.uniform(0.36, 0.44)
    one = moved(scatter_pillow(size, 0.15), rotation=rotation_about("x", -0.18) @ rotation_about("z", 0.12))
    x = plan.inner / 2 - 0.55 * size
    return [pair(moved(plan.on_back(one, 0.47 * size, before + 0.07), (x, 0, 0)))]


def _two_seater(rng: np.random.Generator) -> Draft:
    """Make a two-seater with box-shaped arms, two loose seat and back cushions and tapered legs."""
    plan = SofaPlan(
        width=rng.uniform(1.4, 1.68), depth=rng.uniform(0.82, 0.92), top=rng.uniform(0.76, 0.86),
        clear=rng.uniform(0.1, 0.17), seat=rng.uniform(0.42, 0.46), arm=rng.uniform(0.1, 0.2),
        arm_top=rng.uniform(0.56, 0.65), back=0.12, lean_rad=rng.uniform(0.08, 0.16), seats=2,
    )  # fmt: skip
    legs, foot = tapered_legs(plan, str(rng.choice(["wood", "wood", "metal"])), 0.09, rng.choice([0.0, 0.03]))
    seat = seat_cushions(plan)
    thick, rise = rng.uniform(0.15, 0.19), plan.top - plan.seat + rng.uniform(-0.02, 0.06)
    rest, shell = back_cushions(plan, 2, rise, thick), back_shell(plan, plan.width - 0.03, 0.045)
    solids = [base_box(plan, plan.inner + 0.02), shell, track_arms(plan, rng.uniform(0.02, 0.045)), legs]
    keypoints = sofa_keypoints(plan, corner(shell, (1, 0, 1)), rest[-1], thick, seat[-1], foot)
    return Draft([*solids, *seat, *rest, *_pillows(plan, rng, thick)], keypoints)


def _three_seater(rng: np.random.Generator) -> Draft:
    """Make a traditional three-seater with scrolled arms, cushions on seat and back, on ball feet or in a pleated
    skirt."""
    roll = rng.uniform(0.085, 0.11)
    plan = SofaPlan(
        width=rng.uniform(1.95, 2.2), depth=rng.uniform(0.88, 0.96), top=rng.uniform(0.84, 0.94), clear=0.09,
        seat=rng.uniform(0.44, 0.48), arm=2 * roll - 0.01, arm_top=rng.uniform(0.62, 0.68), back=0.14,
        lean_rad=rng.uniform(0.1, 0.18), seats=int(rng.choice([2, 3])),
    )  # fmt: skip
    seat = seat_cushions(plan, 0.0)
    thick, rise = rng.uniform(0.17, 0.21), plan.top - plan.seat + 0.02
    rest, shell = back_cushions(plan, plan.seats, rise, thick, 0.04), back_shell(plan, plan.width - 0.14, 0.06)
    if rng.random() < 0.4:
        below, foot = skirt(plan)
    else:
        below, foot = bun_feet(plan, "wood", 0.1)
    keypoints = sofa_keypoints(plan, corner(shell, (1, 0, 1)), rest[-1], thick, seat[-1], foot)
    solids = [base_box(plan, plan.width - 0.06), shell, rolled_arms(plan, roll), below]
    return Draft([*solids, *seat, *rest, *_pillows(plan, rng, thick)], keypoints)


def _chesterfield(rng: np.random.Generator) -> Draft:
    """Make a chesterfield: arms as high as the back under one scroll, quilted with buttons inside, on ball feet."""
    roll, top = rng.uniform(0.085, 0.11), rng.uniform(0.7, 0.78)
    plan = SofaPlan(
        width=rng.uniform(1.6, 2.15), depth=rng.uniform(0.88, 0.96), top=top, clear=rng.uniform(0.07, 0.11),
        seat=rng.uniform(0.43, 0.46), arm=2 * roll, arm_top=top, back=2 * roll, lean_rad=0.0, seats=2,
    )  # fmt: skip
    plan = replace(plan, seats=3 if plan.width > 1.9 else int(rng.choice([1, 2])))
    seat = seat_cushions(plan, 0.0)
    feet, foot = bun_feet(plan, "wood", 0.09)
    low = plan.seat - 0.05
    tall, z = top - 0.75 * roll - low, (top - 0.75 * roll + low) / 2
    columns = round(plan.inner / 0.2)
    rest = moved(tufted(plan.inner, tall, 0.06, 0.045, columns, 2), (0, plan.crease + 0.03, z))
    long = plan.crease + plan.depth / 2 - 0.015
    side = moved(tufted(long, tall, 0.06, 0.04, 4, 2), rotation=rotation_about("z", -np.pi / 2))
    side = pair(moved(side, (plan.inner / 2 + 0.03, plan.crease + 0.03 - long / 2, z)))
    rail = rolled_rail(plan, roll)
    top_corner = nearest(rail, (plan.width / 2 - 0.4 * roll, plan.depth / 2 - 0.4 * roll, top))
    keypoints = sofa_keypoints(plan, top_corner, rest, 0.03, seat[-1], foot)
    return Draft([base_box(plan, plan.inner + 0.05, 0.01, 1.2 * roll), rail, rest, side, feet, *seat], keypoints)


def _low(rng: np.random.Generator) -> Draft:
    """Make a low modern sofa: deep loose cushions between broad block arms, on a recessed plinth or metal sledges."""
    plan = SofaPlan(
        width=rng.uniform(1.75, 2.3), depth=rng.uniform(0.95, 1.06), top=rng.uniform(0.6, 0.68),
        clear=rng.uniform(0.08, 0.14), seat=rng.uniform(0.39, 0.43), arm=rng.uniform(0.18, 0.28),
        arm_top=rng.uniform(0.5, 0.58), back=0.16, lean_rad=0.05, seats=2, thick=0.19,
    )  # fmt: skip
    plan = replace(plan, seats=3 if plan.width > 2.1 else 2)
    seat = seat_cushions(plan, 0.0, 0.015)
    thick, rise = rng.uniform(0.2, 0.25), plan.top - plan.seat + rng.uniform(0.1, 0.18)
    rest = back_cushions(plan, plan.seats, rise, thick, 0.05)
    shell = back_shell(plan, plan.width - 0.01, 0.035)
    if rng.random() < 0.5:
        x, y, high = plan.width / 2 - 0.1, plan.depth / 2 - 0.1, plan.clear + 0.02
        below = rounded_box((0, 0, high / 2), (2 * x, 2 * y, high), 0.006, "plastic", 2)
        foot = np.array([x - 0.003, y - 0.003, 0])
    else:
        below, foot = sledges(plan, rng.uniform(0.16, 0.3))
    keypoints = sofa_keypoints(plan, corner(rest[-1], (1, 0, 1.5)), rest[-1], thick, seat[-1], foot)
    solids = [base_box(plan, plan.inner + 0.02), shell, track_arms(plan, rng.uniform(0.02, 0.05)), below]
    return Draft([*solids, *seat, *rest, *_pillows(plan, rng, thick)], keypoints)


def _wooden(rng: np.random.Generator) -> Draft:
    """Make a daybed with a back: a wooden frame with spindles or slats, a thin mattress, loose back cushions or
    bolsters."""
    plan = SofaPlan(
        width=rng.uniform(1.55, 2.0), depth=rng.uniform(0.8, 0.88), top=rng.uniform(0.76, 0.84), clear=0.26,
        seat=rng.uniform(0.42, 0.45), arm=0.07, arm_top=rng.uniform(0.56, 0.62), back=0.05,
        lean_rad=rng.uniform(0.2, 0.28), seats=int(rng.choice([1, 2, 3])), thick=0.13,
    )  # fmt: skip
    part = "paint" if rng.random() < 0.25 else "wood"
    frame, left = wooden_frame(plan, part, int(rng.integers(2)))
    seat = seat_cushions(plan, 0.005, 0.012)
    left |= {"seat_bottom_left": corner(seat[-1], (1, -1, 1)), "seat_top_left": corner(seat[-1], (1, 1, 1))}
    if plan.seats == 1:
        x, high = plan.inner / 2 - 0.1, plan.seat + 0.085
        bolster = cylinder((x, 0.06 - plan.depth / 2, high), (x, plan.crease - 0.06, high), 0.09, "fabric", 32)
        return Draft([frame, *seat, pair(bolster)], with_right(left))
    rest = back_cushions(plan, plan.seats, plan.top - plan.seat - 0.02, 0.12, 0.015)
    left["seat_top_left"] = nearest(rest[-1], (plan.inner / 2, plan.crease - 0.12, plan.seat))
    return Draft([frame, *seat, *rest], with_right(left))


def _tuxedo(rng: np.random.Generator) -> Draft:
    """Make a tuxedo: thin straight arms as high as the back, one bench cushion, a channelled, quilted or cushioned
    back."""
    top, wide = rng.uniform(0.74, 0.84), rng.uniform(1.55, 2.1)
    plan = SofaPlan(
        width=wide, depth=rng.uniform(0.8, 0.9), top=top, clear=rng.uniform(0.13, 0.19), seat=rng.uniform(0.43, 0.47),
        arm=rng.uniform(0.08, 0.12), arm_top=top - 0.008, back=0.11, lean_rad=0.0, seats=1, thick=0.14,
    )  # fmt: skip
    part = str(rng.choice(["metal", "wood"]))
    legs, foot = tapered_legs(plan, part, 0.07, 0.0, 0.045)
    seat, shell = seat_cushions(plan, 0.005, 0.015), back_shell(plan, wide - 0.004, 0.03)
    tall, thick, style = top - plan.seat - 0.015, 0.1, int(rng.integers(3))
    if style == 0:
        rest = [channelled(plan.inner - 0.01, tall, thick, round(plan.inner / 0.13))]
    elif style == 1:
        rest = [tufted(plan.inner - 0.01, tall, thick - 0.03, 0.025, round(plan.inner / 0.2), 2)]
    else:
        rest, thick = back_cushions(plan, 2, tall, 0.15, 0.02), 0.15
    if style < 2:
        rest = [plan.on_back(rest[0], tall / 2, thick / 2 - 0.02)]
    keypoints = sofa_keypoints(plan, corner(shell, (1, 0, 1)), rest[-1], thick, seat[-1], foot)
    return Draft([base_box(plan, plan.inner + 0.02), shell, track_arms(plan, 0.018), legs, *seat, *rest], keypoints)
