"""Motorbikes with a fairing: the sport bike and the tourer. Metres, front at -y."""

import numpy as np

from blender_assets.shapes.cycle_parts import hull, vec
from blender_assets.shapes.mesh import Array, Draft, Solid, cylinder, join, moved, pair, rounded_box, smooth_path, tube
from blender_assets.shapes.motorbike.body import (
    indicators,
    number_plate,
    panel,
    screen,
    seat,
    side_case,
    tail_lamp,
    tank,
    top_case,
)
from blender_assets.shapes.motorbike.engine import block, cradle, crankcase, headers, silencer
from blender_assets.shapes.motorbike.measures import MotorbikePlan, cover, vary
from blender_assets.shapes.motorbike.parts import (
    chain_drive,
    foot_pegs,
    fork,
    front_mudguard,
    handlebar,
    mirror_head,
    rolling_gear,
    shock,
    side_stand,
    swing_arm,
)


def sport(rng: np.random.Generator) -> Draft:
    """Make a sport bike: full fairing with twin lamps, low bar halves, solo seat and pillion pad on a rising tail."""
    plan = MotorbikePlan(
        wheel=(0.3, 0.315), tyre=(0.06, vary(rng, 0.092, 0.06)), wheelbase=vary(rng, 1.4, 0.02),
        head_deg=vary(rng, 66, 0.01), offset=0.03, crown=vary(rng, 0.56, 0.015), head=0.13, leg_x=0.105,
        bar=(0.02, 0.0),
    )  # fmt: skip
    bar, grip = handlebar(plan, [(0, 0, 0), (0.1, 0, 0), (vary(rng, 0.34, 0.03), 0.11, -0.05)], None)
    body = tank((-0.32, 0.1), (0.72, vary(rng, 0.985, 0.015), 0.83), (vary(rng, 0.155, 0.06), 0.11))
    kick = float(rng.uniform(0.0, 0.05))
    pad, front, _ = seat(
        ((0.06, 0.83), (0.2, 0.81), (0.38, 0.84)), 0.06, ((0.06, 0.08), (0.25, 0.14), (0.38, 0.13)), cover(rng)
    )
    knots = ((0.42, 0.91 + kick), (0.52, 0.925 + kick), (0.66, 0.955 + kick))
    pillion, _, back = seat(knots, 0.05, ((0.42, 0.1), (0.5, 0.1), (0.66, 0.06)), "plastic")
    tail = hull(
        ((0.06, 0.79), (0.34, 0.82), (0.43, 0.89 + kick), (0.86, 0.99 + kick)),
        ((0.06, 0.68), (0.4, 0.74), (0.86, 0.93 + kick)),
        ((0.06, 0.1), (0.3, 0.14), (0.5, 0.12), (0.86, 0.04)), "paint", (0.04, 0.05),
    )  # fmt: skip
    fairing, lamp = _fairing(0.0, float(rng.uniform(-0.02, 0.03)), 0.13)
    solids = [*rolling_gear(plan, int(rng.integers(3, 7)), str(rng.choice(["plastic", "metal"])))]
    solids += [*fork(plan, True, "metal"), *front_mudguard(plan, "paint", (-35, 75)), *bar, *body, pad, pillion, tail]
    solids += [*fairing, *_mirrors(vec(0.34, -0.5, 1.03), vec(0.14, -0.56, 0.92)), *_lower(bool(rng.integers(2)))]
    solids += [*_drive(plan, "metal"), *foot_pegs(0.3, 0.42), *_exhaust(rng, 0.3), *side_stand(0.4, (0.12, 0.29))]
    solids.append(shock(vec(0, 0.27, 0.44), vec(0, 0.24, 0.7), 4))
    end = vec(0, 0.84, 0.95 + kick)
    solids += [
        *tail_lamp(end, (0.1, 0.035)),
        *number_plate(vec(0, 0.79, 0.91 + kick), 32),
        indicators(end - vec(-0.02, 0.06, 0.05), 0.1),
    ]
    return plan.shape(solids, grip, (front, back), lamp)


def _fairing(lift: float, spread: float, pane: float) -> tuple[list[Solid], Array]:
    """Make a nose with twin lamps and a screen `pane` high, raised and broadened by metres; returns also the lamps'
    middle."""
    top = ((-0.86, 0.79 + lift), (-0.78, 0.86 + lift), (-0.6, 0.96 + lift), (-0.4, 0.99 + lift))
    below = ((-0.86, 0.72 + lift), (-0.7, 0.68 + lift), (-0.4, 0.7 + lift))
    wide = ((-0.86, 0.07), (-0.7, 0.17 + spread), (-0.4, 0.2 + spread))
    nose = hull(top, below, wide, "paint", (0.09, 0.02), 0.8, 14, 18)
    lens = hull(
        ((-0.845, 0.8), (-0.66, 0.875)),
        ((-0.845, 0.765), (-0.66, 0.83)),
        ((-0.845, 0.05), (-0.66, 0.06)),
        "light",
        (0.05, 0.05),
        0.8,
        8,
        10,
    )
    pieces = [
        nose,
        pair(moved(lens, (0.088 + 0.5 * spread, 0, lift))),
        screen((-0.69, 0.9 + lift), (-0.42, 1.0 + lift + pane), (0.15 + spread, 0.13 + spread), 0.12),
    ]
    pieces.append(rounded_box((0, -0.84, 0.735 + lift), (0.1, 0.05, 0.035), 0.012, "plastic", 1))
    dash = rounded_box((0, -0.46, 0.99 + lift), (0.2, 0.06, 0.07), 0.015, "plastic", 1)
    return [*pieces, dash], vec(0, -0.862, 0.775 + lift)


def _lower(vented: bool) -> list[Solid]:
    """Make side panels down to a belly pan, and dark intakes in them."""
    top = [(0.16, -0.66, 0.83), (0.2, -0.42, 0.84), (0.2, -0.1, 0.7)]
    low = [(0.14, -0.58, 0.63), (0.2, -0.38, 0.53), (0.2, -0.2, 0.56)]
    pieces = [panel(top, low, 0.03, "paint", 0.012)]
    top = [(0.14, -0.49, 0.58), (0.2, -0.36, 0.5), (0.2, -0.1, 0.42), (0.17, 0.24, 0.38)]
    low = [(0.12, -0.44, 0.33), (0.15, -0.34, 0.25), (0.14, 0.0, 0.21), (0.11, 0.3, 0.23)]
    pieces.append(panel(top, low, 0.03, "paint", 0.012))
    pan = hull(((-0.43, 0.34), (-0.2, 0.29), (0.3, 0.28)), ((-0.43, 0.27), (-0.1, 0.16), (0.3, 0.2)),
               ((-0.43, 0.09), (0.0, 0.15), (0.3, 0.09)), "paint", (0.06, 0.06), 0.75, 12, 14)  # fmt: skip
    if vented:
        for y in (-0.5, -0.43, -0.36):
            pieces.append(pair(tube([(0.222, y, 0.76), (0.222, y + 0.05, 0.62)], 0.016, "plastic", 8, 0.6)))
    else:
        pieces.append(pair(tube([(0.222, -0.5, 0.73), (0.225, -0.25, 0.66)], 0.025, "plastic", 8, 0.6)))
    return [*pieces, pan]


def _drive(plan: MotorbikePlan, frame: str) -> list[Solid]:
    """Make the engine, beam frame, swing arm, shock absorber and chain."""
    beam = [(0.05, -0.38, 0.86), (0.14, -0.2, 0.78), (0.16, 0.08, 0.66), (0.15, 0.22, 0.48), (0.14, 0.2, 0.34)]
    rear = [(0.12, 0.05, 0.7), (0.09, 0.36, 0.78), (0.06, 0.64, 0.88)]
    solids = [*crankcase(0.0, 0.43, (0.36, 0.44, 0.24), 0.09), *block(vec(0, -0.1, 0.5), 22, 0.34, 0.28, 0)]
    solids += [cradle(beam, 0.036, frame), cradle(rear, 0.016, "metal"), *swing_arm(plan, (0.22, 0.42), 0.042, "metal")]
    solids += [*chain_drive(plan, (0.22, 0.42), 0.09)]
    solids += headers((-0.12, -0.04, 0.04, 0.12), (-0.25, 0.6), (-0.31, 0.28), (0.06, 0.255))
    return solids


def _exhaust(rng: np.random.Generator, length: float) -> list[Solid]:
    """Make a silencer low on the right, or a steep one beside the tail."""
    if rng.random() < 0.6:
        pipe = [(0.0, 0.0, 0.255), (-0.08, 0.22, 0.26), (-0.2, 0.36, 0.34), (-0.22, 0.44, 0.42)]
        return silencer(pipe, vary(rng, 0.058, 0.12), vary(rng, length, 0.15))
    pipe = [(0.0, 0.0, 0.255), (-0.1, 0.2, 0.27), (-0.17, 0.34, 0.55), (-0.17, 0.42, 0.66)]
    return silencer(pipe, vary(rng, 0.052, 0.1), vary(rng, length + 0.02, 0.1))


def _mirrors(head: Array, foot: Array) -> list[Solid]:
    """Make mirrors on stalks from the fairing."""
    stalk = tube(
        smooth_path([foot, (foot + head) / 2 + vec(0.0, -0.01, 0.03), head - vec(0.05, 0, 0.01)], 7),
        0.012,
        "plastic",
        7,
    )
    return [pair(join([stalk, mirror_head(head)]))]


def tourer(rng: np.random.Generator) -> Draft:
    """Make a tourer: tall screen, half fairing, broad seat, hard side cases and mostly a top case, crash bars."""
    plan = MotorbikePlan(
        wheel=(vary(rng, 0.315, 0.03), 0.32), tyre=(0.06, 0.085), wheelbase=vary(rng, 1.54, 0.02), head_deg=64,
        offset=0.035, crown=vary(rng, 0.62, 0.02), head=0.14, leg_x=0.11, bar=(0.09, 0.04),
    )  # fmt: skip
    rise, wide = float(rng.uniform(0.03, 0.07)), vary(rng, 0.39, 0.04)
    bar, grip = handlebar(
        plan, [(0, 0, 0), (0.08, 0, 0), (0.17, 0.03, rise), (wide, 0.14, rise - 0.01)], (0.03, 0.0, 0.13)
    )
    body = tank((-0.33, 0.1), (0.73, vary(rng, 1.03, 0.015), 0.86), (vary(rng, 0.18, 0.06), 0.13))
    knots = ((0.07, 0.865), (0.2, 0.83), (0.4, 0.84), (0.47, 0.89), (0.8, 0.9))
    pad, *ends = seat(knots, 0.09, ((0.07, 0.09), (0.3, 0.17), (0.5, 0.16), (0.8, 0.12)), cover(rng))
    spread = float(rng.uniform(0.02, 0.05))
    fairing, lamp = _fairing(0.1, spread, float(rng.uniform(0.22, 0.36)))
    shoulder = [(0.19 + spread, -0.68, 0.93), (0.24 + spread, -0.45, 0.98), (0.2, -0.2, 0.9), (0.17, 0.0, 0.8)]
    flank = [(0.15, -0.58, 0.74), (0.19, -0.42, 0.56), (0.19, -0.22, 0.56), (0.17, -0.05, 0.66)]
    solids = [*rolling_gear(plan, int(rng.integers(4, 8)), str(rng.choice(["metal", "plastic"])))]
    solids += [*fork(plan, bool(rng.integers(2)), "metal"), *front_mudguard(plan, "paint", (-40, 85)), *bar, *body, pad]
    solids += [*fairing, panel(shoulder, flank, 0.03, "paint", 0.012), *_drive(plan, "plastic"), *_crash_bars()]
    solids += [*_luggage(rng, plan), *foot_pegs(0.16, 0.36), *side_stand(0.4, (0.1, 0.29))]
    pipe = [(0.0, 0.0, 0.255), (-0.08, 0.22, 0.26), (-0.17, 0.4, 0.28), (-0.175, 0.5, 0.3)]
    solids += silencer(pipe, 0.05, vary(rng, 0.4, 0.1))
    solids.append(indicators((0.13, -0.62, 0.88), 0.11 + spread))
    return plan.shape(solids, grip, (ends[0], ends[1]), lamp)


def _crash_bars() -> list[Solid]:
    """Make bent guard tubes beside the engine."""
    path = [(0.1, -0.3, 0.6), (0.26, -0.3, 0.56), (0.29, -0.26, 0.46), (0.27, -0.26, 0.36), (0.12, -0.22, 0.32)]
    return [cradle(path, 0.014, "metal", 0.06)]


def _luggage(rng: np.random.Generator, plan: MotorbikePlan) -> list[Solid]:
    """Make a rear body with lamps and plate, side cases on their carrier, and mostly a top case."""
    axle = plan.rear_axle
    tail = hull(((0.1, 0.81), (0.5, 0.84), (0.98, 0.86)), ((0.1, 0.68), (0.5, 0.7), (0.98, 0.78)),
                ((0.1, 0.11), (0.45, 0.14), (0.98, 0.08)), "paint", (0.04, 0.06))  # fmt: skip
    size = (vary(rng, 0.22, 0.1), vary(rng, 0.46, 0.08), vary(rng, 0.36, 0.08))
    cases = side_case(
        (0.185 + size[0] / 2, float(axle[1]) - 0.02, 0.66), size, str(rng.choice(["paint", "metal", "paint"]))
    )
    carrier = cradle([(0.08, 0.74, 0.78), (0.2, 0.74, 0.78), (0.2, 0.75, 0.55), (0.19, 0.5, 0.5)], 0.012, "metal", 0.05)
    rear = [
        *tail_lamp((0, 0.97, 0.82), (0.16, 0.05)),
        *number_plate((0, 0.95, 0.78), 16),
        indicators((0.06, 0.95, 0.8), 0.08),
    ]
    rack = cradle([(0, 0.76, 0.9), (0.1, 0.78, 0.9), (0.1, 1.04, 0.9), (0, 1.05, 0.9)], 0.009, "metal", 0.04)
    posts = pair(cylinder((0.08, 0.82, 0.82), (0.1, 0.84, 0.9), 0.012, "metal", 8))
    box = top_case((0, 0.94, 1.07), (vary(rng, 0.42, 0.08), 0.34, 0.3)) if rng.random() < 0.7 else [rack, posts]
    return [tail, cases, carrier, *rear, *box]
