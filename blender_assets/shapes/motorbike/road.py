"""Motorbikes that show their engine: the naked road bike and the cruiser. Metres, front at -y."""

import numpy as np

from blender_assets.shapes.cycle_parts import hull, mudguard, rounded_path, slab, vec
from blender_assets.shapes.mesh import Draft, Solid, moved, pair, rounded_box, tube
from blender_assets.shapes.motorbike.body import gauges, indicators, number_plate, round_lamp, seat, tail_lamp, tank
from blender_assets.shapes.motorbike.engine import block, cable, cradle, crankcase, headers, radiator, silencer, v_twin
from blender_assets.shapes.motorbike.measures import MotorbikePlan, cover, vary
from blender_assets.shapes.motorbike.parts import (
    chain_drive,
    foot_pegs,
    fork,
    front_mudguard,
    handlebar,
    rolling_gear,
    shock,
    side_stand,
    swing_arm,
)


def naked(rng: np.random.Generator) -> Draft:
    """Make a road bike without fairing: round lamp, broad bar, tank, stepped seat, cylinder block, one silencer."""
    plan = MotorbikePlan(
        wheel=(0.3, 0.315), tyre=(0.06, vary(rng, 0.082, 0.12)), wheelbase=vary(rng, 1.42, 0.03),
        head_deg=vary(rng, 65, 0.02), offset=0.03, crown=vary(rng, 0.58, 0.02), head=0.13, leg_x=0.105,
        bar=(0.055, 0.0),
    )  # fmt: skip
    wide, rise = vary(rng, 0.37, 0.06), float(rng.uniform(0.02, 0.07))
    half = [(0, 0, 0), (0.08, 0, 0), (0.16, 0.02, rise), (wide, 0.1, rise - 0.01)]
    bar, grip = handlebar(plan, half, (0, 0.02, 0.16))
    high = vary(rng, 0.99, 0.02)
    body = tank((-0.33, 0.11), (0.73, high, 0.84), (vary(rng, 0.15, 0.08), 0.11))
    kick = float(rng.uniform(0.01, 0.06))
    knots = ((0.07, 0.845), (0.2, 0.81), (0.38, 0.825), (0.45, 0.845 + kick), (0.7, 0.86 + kick))
    wide_seat = ((0.07, 0.08), (0.3, 0.14), (0.45, 0.12), (0.7, 0.08))
    pad, *ends = seat(knots, 0.075, wide_seat, cover(rng))
    cowl = hull(
        ((0.1, 0.79), (0.45, 0.81), (0.84, 0.86 + kick)), ((0.1, 0.69), (0.45, 0.73), (0.84, 0.8 + kick)),
        ((0.1, 0.1), (0.45, 0.125), (0.84, 0.06)), "paint", (0.05, 0.05),
    )  # fmt: skip
    lamp, glass = round_lamp(plan.steer(plan.crown + 0.05) + 0.2 * plan.ahead, vary(rng, 0.088, 0.1), 0.12, "paint")
    arm = pair(tube([plan.leg(plan.crown + 0.06, plan.leg_x), glass + vec(0.075, 0.07, 0)], 0.012, "metal", 8))
    air_cooled = bool(rng.integers(2))
    solids = [*rolling_gear(plan, int(rng.integers(3, 7)), str(rng.choice(["metal", "plastic"])))]
    solids += [*fork(plan, bool(rng.integers(2)), "metal"), *front_mudguard(plan, "paint", (-25, 70)), *bar, *body, pad]
    solids += [cowl, *lamp, arm, *gauges(plan.clamp + vec(0, -0.1, 0.02), 2, 0.048), *_engine(air_cooled)]
    solids += [] if air_cooled else [radiator(-0.33, 0.6, (0.34, 0.26), 14)]
    solids += [*_frame(plan, str(rng.choice(["paint", "metal"]))), *swing_arm(plan, (0.2, 0.42), 0.034, "metal")]
    solids += [*chain_drive(plan, (0.2, 0.42)), *_rear_shocks(plan, bool(rng.integers(2))), *foot_pegs(0.22, 0.36)]
    pipe = [(0.0, 0.0, 0.265), (-0.08, 0.22, 0.265), (-0.19, 0.38, 0.31), (-0.2, 0.48, 0.35)]
    solids += [*silencer(pipe, vary(rng, 0.055, 0.15), vary(rng, 0.36, 0.15)), *side_stand(0.4, (0.1, 0.29))]
    rear = vec(0, 0.79, 0.82 + kick)
    solids += [*tail_lamp(rear + vec(0, 0.025, 0.01), (0.12, 0.05)), *number_plate(rear)]
    solids += [indicators(rear + vec(0.04, -0.02, -0.03), 0.11)]
    solids += [indicators(plan.leg(plan.crown + 0.02, plan.leg_x + 0.01), 0.08), *_lines(plan)]
    return plan.shape(solids, grip, (ends[0], ends[1]), glass)


def _engine(air_cooled: bool) -> list[Solid]:
    """Make four cylinders across with their exhaust pipes."""
    case = crankcase(0.0, 0.43, (0.4, 0.44, 0.24), 0.09)
    pipes = headers((-0.14, -0.05, 0.05, 0.14), (-0.23, 0.62), (-0.31, 0.28), (0.06, 0.265))
    return [*case, *block(vec(0, -0.1, 0.5), 18, 0.37, 0.3, 6 if air_cooled else 0), *pipes]


def _frame(plan: MotorbikePlan, part: str) -> list[Solid]:
    """Make tubes from the steering head over the engine to the swing arm, down before the engine, and under the
    seat."""
    top, low = plan.steer(plan.crown + 0.09), plan.steer(plan.crown + 0.03)
    main = [(0.03, *top[1:]), (0.1, -0.25, 0.8), (0.15, 0.08, 0.7), (0.15, 0.2, 0.5), (0.14, 0.2, 0.36)]
    down = [(0.03, *low[1:]), (0.1, -0.3, 0.6), (0.12, -0.22, 0.3), (0.12, 0.16, 0.29)]
    tail = [(0.13, 0.08, 0.7), (0.11, 0.3, 0.74), (0.08, 0.68, 0.8)]
    brace = [(0.15, 0.19, 0.46), (0.11, 0.42, 0.75)]
    return [cradle(p, r, part) for p, r in ((main, 0.024), (down, 0.019), (tail, 0.016), (brace, 0.014))]


def _rear_shocks(plan: MotorbikePlan, twin: bool) -> list[Solid]:
    """Make two shock absorbers beside the rear wheel, or one before it."""
    if twin:
        x = plan.tyre[1] + 0.045
        low = plan.rear_axle + vec(x, -0.09, 0.05)
        return [pair(shock(low, vec(0.115, 0.44, 0.75)))]
    return [shock(vec(0, 0.27, 0.44), vec(0, 0.22, 0.72), 5)]


def _lines(plan: MotorbikePlan) -> list[Solid]:
    """Make brake lines from the bar down to the front calipers."""
    start, low = plan.clamp + vec(0.15, -0.02, 0.02), plan.leg(0.22, plan.leg_x + 0.01)
    loop = plan.leg(plan.crown + 0.05, 0.12) + 0.09 * plan.ahead
    return [pair(cable([start, loop, plan.leg(0.45, plan.leg_x + 0.032), low]))]


def cruiser(rng: np.random.Generator) -> Draft:
    """Make a cruiser: long raked fork, teardrop tank, low seat, V-twin, deep mudguards, pulled-back bar, forward
    pegs."""
    plan = MotorbikePlan(
        wheel=(vary(rng, 0.325, 0.03), 0.315), tyre=(vary(rng, 0.056, 0.15), vary(rng, 0.082, 0.1)),
        wheelbase=vary(rng, 1.66, 0.03), head_deg=vary(rng, 58, 0.03), offset=0.04, crown=vary(rng, 0.64, 0.04),
        head=0.15, leg_x=0.115, bar=(0.06, 0.02),
    )  # fmt: skip
    rise, back, wide = float(rng.uniform(0.08, 0.26)), vary(rng, 0.24, 0.15), vary(rng, 0.39, 0.06)
    half = [(0, 0, 0), (0.09, 0, 0), (0.19, 0.03, rise), (wide - 0.06, 0.08, rise + 0.02), (wide, back, rise - 0.02)]
    bar, grip = handlebar(plan, half, (0.03, -0.06, 0.14))
    head = plan.steer(plan.crown + 0.08)
    front = float(head[1]) + 0.05
    body = tank((front, 0.04), (0.68, vary(rng, 0.93, 0.015), 0.74), (vary(rng, 0.15, 0.08), 0.1), 0.42)
    knots = ((0.0, 0.765), (0.14, 0.7), (0.36, 0.695), (0.44, 0.79), (0.56, 0.8), (0.8, 0.8))
    wide_seat = ((0.0, 0.08), (0.25, 0.17), (0.42, 0.16), (0.8, 0.1))
    pad, *ends = seat(knots, 0.09, wide_seat, cover(rng))
    lamp, glass = round_lamp(head + vec(0, -0.23, 0.0), vary(rng, 0.095, 0.1), 0.15, "metal")
    arm = pair(tube([plan.leg(plan.crown + 0.02, plan.leg_x - 0.01), glass + vec(0.06, 0.1, -0.05)], 0.013, "metal", 8))
    laced = rng.random() < 0.6
    count = 28 if laced else int(rng.integers(5, 10))
    chrome = str(rng.choice(["metal", "paint"]))
    solids = [*rolling_gear(plan, count, "metal", False), *fork(plan, False, "metal", 0.028)]
    solids += [*front_mudguard(plan, "paint", (-45, 100)), *bar, *body, pad, *lamp, arm]
    solids += [*v_twin(-0.13, 0.38, 26, 0.25, 0.1), *_cruiser_frame(plan), *swing_arm(plan, (0.24, 0.36), 0.03, chrome)]
    solids += [
        *chain_drive(plan, (0.24, 0.36)),
        *_cruiser_rear(plan, bool(rng.integers(2))),
        *foot_pegs(-0.42, 0.34, 0.15, 0.13),
    ]
    pipe = [(-0.06, -0.22, 0.57), (-0.17, -0.32, 0.46), (-0.19, -0.2, 0.27), (-0.19, 0.3, 0.25)]
    other = [(-0.06, 0.0, 0.57), (-0.18, 0.05, 0.5), (-0.195, 0.12, 0.37), (-0.195, 0.4, 0.36)]
    length = vary(rng, 0.55, 0.15)
    solids += [*silencer(pipe, 0.046, length), *silencer(other, 0.046, length), *side_stand(0.2, (-0.05, 0.27))]
    dial = vec(0, front + 0.13, float(body[0].vertices[:, 2].max()) - 0.002)
    solids += [indicators(plan.leg(plan.crown - 0.04, plan.leg_x + 0.01), 0.1), *gauges(dial, 1, 0.05)]
    extra = rng.random()
    solids += _saddle_bags(plan) if extra < 0.4 else _sissy_bar() if extra < 0.7 else []
    return plan.shape(solids, grip, (ends[0], ends[1]), glass)


def _cruiser_frame(plan: MotorbikePlan) -> list[Solid]:
    """Make a double cradle around the V-twin."""
    top, low = plan.steer(plan.crown + 0.1), plan.steer(plan.crown + 0.03)
    spine = [top, vec(0, -0.2, 0.76), vec(0, 0.25, 0.62)]
    down = [
        (0.02, *low[1:]),
        (0.12, -0.42, 0.4),
        (0.13, -0.36, 0.24),
        (0.13, 0.2, 0.24),
        (0.13, 0.3, 0.36),
        (0.11, 0.3, 0.62),
    ]
    rear = [(0.08, 0.1, 0.66), (0.12, 0.3, 0.62), (0.13, 0.62, 0.66)]
    side = rounded_box((0.14, 0.2, 0.5), (0.05, 0.22, 0.2), 0.022, "paint", 1)
    tubes = [
        tube(rounded_path(spine, 0.2), 0.028, "paint", 12),
        cradle(down, 0.021, "paint"),
        cradle(rear, 0.019, "paint"),
    ]
    return [*tubes, pair(side), rounded_box((0, 0.2, 0.5), (0.26, 0.2, 0.26), 0.03, "plastic", 1)]


def _cruiser_rear(plan: MotorbikePlan, forward_lamp: bool) -> list[Solid]:
    """Make a deep rear mudguard with its struts, lamp, plate and indicators, and the shock absorbers."""
    axle, reach = plan.rear_axle, plan.wheel[1] + 0.045
    half = plan.tyre[1] + 0.03
    guard = moved(mudguard(reach, half, (-58, 96), "paint", 0.5), axle)
    rail = [
        axle + vec(half + 0.008, -0.28, 0.3),
        axle + vec(half + 0.008, -0.02, 0.31),
        axle + vec(half + 0.006, 0.16, 0.26),
    ]
    turn = np.radians(48)
    spot = axle + (reach + 0.012) * vec(0, np.sin(turn), np.cos(turn))
    lamp = tail_lamp(spot + vec(0, 0.02, 0), (0.1, 0.06))
    plate = number_plate(spot + vec(0, 0.06, -0.02) if forward_lamp else spot + vec(0, 0.055, -0.03), 4)
    x = half + 0.028
    struts = shock(plan.rear_axle + vec(x, -0.06, 0.04), axle + vec(x, -0.22, 0.32))
    return [
        guard,
        pair(tube(rail, 0.014, "metal", 8)),
        *lamp,
        *plate,
        indicators(spot + vec(0.05, 0, 0.02), 0.09),
        pair(struts),
    ]


def _saddle_bags(plan: MotorbikePlan) -> list[Solid]:
    """Make leather bags beside the rear wheel with two straps each."""
    at = plan.rear_axle + vec(plan.tyre[1] + 0.13, 0.05, 0.2)
    parts = [
        rounded_box(at, (0.15, 0.42, 0.27), 0.05, "fabric", 1),
        rounded_box(at + vec(0.006, 0, 0.08), (0.16, 0.43, 0.13), 0.045, "fabric", 1),
    ]
    parts += [slab(at + vec(0.08, y, 0.01), (0.012, 0.03, 0.2), "plastic") for y in (-0.11, 0.11)]
    return [pair(part) for part in parts]


def _sissy_bar() -> list[Solid]:
    """Make a back rest on a bent bar behind the seat."""
    path = [(0.13, 0.68, 0.66), (0.12, 0.82, 0.85), (0.1, 0.88, 1.06), (0, 0.89, 1.08)]
    pad = rounded_box((0, 0.86, 0.98), (0.22, 0.05, 0.15), 0.024, "fabric", 2)
    return [cradle(path, 0.011, "metal", 0.06), pad]
