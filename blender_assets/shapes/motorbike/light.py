"""Light motorbikes: the scooter and the dirt bike. Metres, front at -y."""

import numpy as np

from blender_assets.shapes.cycle_parts import hull, mudguard, turned, vec
from blender_assets.shapes.mesh import (
    Array,
    Draft,
    Solid,
    cylinder,
    join,
    moved,
    pair,
    rotation_about,
    rounded_box,
    tube,
)
from blender_assets.shapes.motorbike.body import (
    fender_sheet,
    indicators,
    number_plate,
    panel,
    round_lamp,
    screen,
    seat,
    tail_lamp,
    tank,
    top_case,
)
from blender_assets.shapes.motorbike.engine import cradle, crankcase, finned_barrel, radiator, silencer
from blender_assets.shapes.motorbike.measures import MotorbikePlan, cover, vary
from blender_assets.shapes.motorbike.parts import (
    brake_disc,
    chain_drive,
    foot_pegs,
    fork,
    handlebar,
    shock,
    side_stand,
    swing_arm,
    wheel,
)


def scooter(rng: np.random.Generator) -> Draft:
    """Make a scooter: small wheels, leg shield, flat floor, closed rear body with the engine beside the wheel."""
    radius = vary(rng, 0.228, 0.06)
    plan = MotorbikePlan(
        wheel=(radius, radius), tyre=(0.05, 0.055), wheelbase=vary(rng, 1.29, 0.02), head_deg=64, offset=0.02,
        crown=0.34, head=0.44, leg_x=0.075, bar=(0.04, 0.01),
    )  # fmt: skip
    bar, grip = handlebar(
        plan, [(0, 0, 0), (0.08, 0.01, 0.02), (vary(rng, 0.34, 0.04), 0.07, 0.035)], (0.0, -0.03, 0.17)
    )
    top, rear = plan.clamp, plan.rear_axle
    cowl_y, cowl_z = float(top[1]), float(top[2])
    cowl = hull(
        ((cowl_y - 0.15, cowl_z + 0.03), (cowl_y, cowl_z + 0.06), (cowl_y + 0.08, cowl_z + 0.03)),
        ((cowl_y - 0.15, cowl_z - 0.07), (cowl_y, cowl_z - 0.07), (cowl_y + 0.08, cowl_z - 0.03)),
        ((cowl_y - 0.15, 0.09), (cowl_y, 0.17), (cowl_y + 0.08, 0.12)), "paint", (0.07, 0.05),
    )  # fmt: skip
    in_apron = bool(rng.integers(2))
    spot = vec(0, -0.575, 0.72) if in_apron else top + vec(0, -0.135, -0.02)
    lamp, glass = round_lamp(spot, vary(rng, 0.078, 0.1), 0.1, "metal")
    dial = turned(
        [(0, -0.03), (0.06, -0.03), (0.06, 0.004), (0, 0.006)], top + vec(0, 0.045, 0.055), (0, 0.6, 1), "plastic", 14
    )
    body, ends = _scooter_body(rng, rear)
    solids = [*_scooter_wheels(rng, plan), *fork(plan, False, "metal", 0.022), *bar, cowl, *lamp, dial, *body]
    solids += [*_apron(vary(rng, 0.21, 0.06)), *_power_unit(rng, plan)]
    solids.append(moved(mudguard(radius + 0.025, 0.08, (-55, 88), "paint", 0.9), plan.front_axle))
    arms = tube([plan.leg(radius + 0.02, 0.075), plan.leg(radius + 0.015, 0.06)], 0.014, "plastic", 8)
    tall = screen((cowl_y - 0.11, cowl_z + 0.03), (cowl_y + 0.03, cowl_z + 0.36), (0.16, 0.13), 0.08)
    solids += [pair(arms), *([tall] if rng.random() < 0.3 else [])]
    return plan.shape(solids, grip, ends, glass)


def _apron(half: float) -> list[Solid]:
    """Make a leg shield with its dark inner side, lamps, the floor and the skirts below it."""
    shield = screen((-0.53, 0.33), (-0.34, 0.93), (0.8 * half, 0.7 * half), 0.1, "paint")
    middle = screen((-0.575, 0.4), (-0.41, 0.9), (0.1, 0.085), 0.07, "paint")
    inner = hull(((-0.47, 0.5), (-0.38, 0.84), (-0.2, 0.84)), ((-0.47, 0.3), (-0.3, 0.32), (-0.2, 0.32)),
                 ((-0.47, 0.5 * half), (-0.3, 0.75 * half), (-0.2, 0.5 * half)), "plastic", (0.04, 0.05))  # fmt: skip
    blinkers = pair(rounded_box((0.62 * half, -0.505, 0.6), (0.05, 0.035, 0.1), 0.015, "light", 1))
    floor = rounded_box((0, -0.12, 0.335), (1.7 * half, 0.56, 0.05), 0.02, "plastic", 2)
    skirt = rounded_box((0, -0.1, 0.285), (1.5 * half, 0.6, 0.1), 0.04, "paint", 2)
    ribs = [
        rounded_box((x, -0.12, 0.358), (0.02, 0.4, 0.012), 0.004, "rubber", 1) for x in (-0.1, -0.05, 0.0, 0.05, 0.1)
    ]
    return [shield, middle, inner, blinkers, floor, skirt, *ribs]


def _scooter_body(rng: np.random.Generator, rear: Array) -> tuple[list[Solid], tuple[Array, Array]]:
    """Make the rear body with seat, lamp, plate and grab rail; returns also the seat's front and rear end."""
    end = float(rear[1]) + vary(rng, 0.2, 0.15)
    body = hull(
        ((0.04, 0.66), (0.25, 0.74), (0.6, 0.76), (end, 0.73)), ((0.04, 0.29), (0.22, 0.3), (0.42, 0.5), (end, 0.6)),
        ((0.04, 0.12), (0.25, vary(rng, 0.18, 0.06)), (0.6, 0.17), (end, 0.07)), "paint", (0.06, 0.09), 0.8, 20, 24,
    )  # fmt: skip
    lift = float(rng.uniform(0, 0.05))
    knots = ((0.02, 0.76), (0.2, 0.755), (0.4, 0.77), (0.47, 0.78 + lift), (end - 0.06, 0.79 + lift))
    pad, front, back = seat(knots, 0.075, ((0.02, 0.09), (0.25, 0.15), (0.5, 0.15), (end - 0.06, 0.1)), cover(rng))
    skin = [(0.187, 0.16, 0.62), (0.19, 0.4, 0.66), (0.15, end - 0.12, 0.68)]
    trim = pair(tube(skin, 0.009, "metal", 6))
    rail = cradle(
        [(0.1, end - 0.24, 0.76), (0.14, end - 0.1, 0.8), (0.1, end + 0.03, 0.82), (0, end + 0.05, 0.82)],
        0.011,
        "metal",
        0.05,
    )
    solids = [
        body,
        pad,
        trim,
        rail,
        *tail_lamp((0, end - 0.02, 0.665), (0.13, 0.06)),
        *number_plate((0, end - 0.04, 0.63), 16),
    ]
    solids.append(indicators((0.05, end - 0.05, 0.66), 0.06))
    solids += top_case((0, end + 0.05, 0.98), (0.36, 0.3, 0.26)) if rng.random() < 0.3 else []
    return solids, (front, back)


def _scooter_wheels(rng: np.random.Generator, plan: MotorbikePlan) -> list[Solid]:
    """Make small cast wheels, with a disc in front."""
    part, spokes = str(rng.choice(["metal", "plastic"])), int(rng.integers(3, 7))
    front = moved(wheel(plan.wheel[0], plan.tyre[0], spokes, part, 0.055), plan.front_axle)
    rear = moved(wheel(plan.wheel[1], plan.tyre[1], spokes, part, 0.07), plan.rear_axle)
    end = vec(plan.tyre[1] + 0.065, 0, 0)
    axle = cylinder(plan.rear_axle - end, plan.rear_axle + end, 0.016, "metal", 10)
    return [front, rear, axle, brake_disc(plan.front_axle, -0.05, 0.1, 60)]


def _power_unit(rng: np.random.Generator, plan: MotorbikePlan) -> list[Solid]:
    """Make the engine and transmission case on the left of the rear wheel, silencer on the right, shock absorbers."""
    y, z = float(plan.rear_axle[1]), float(plan.rear_axle[2])
    case = rounded_box((0.1, y - 0.17, z + 0.02), (0.07, 0.5, 0.15), 0.034, "plastic", 2)
    lid = rounded_box((0.137, y - 0.2, z + 0.02), (0.014, 0.34, 0.1), 0.006, "metal", 1)
    engine = rounded_box((0, y - 0.36, z + 0.05), (0.24, 0.22, 0.2), 0.04, "metal", 2)
    head = finned_barrel(vec(0, y - 0.42, z + 0.06), 80, 0.2, 0.075, 5)
    pipe = silencer(
        [(-0.05, y - 0.4, z), (-0.11, y - 0.3, z - 0.05), (-0.125, y - 0.16, z)], 0.05, vary(rng, 0.3, 0.1), "plastic"
    )
    low = vec(0.115, y + 0.03, z + 0.03)
    shocks = pair(shock(low, vec(0.115, y - 0.06, z + 0.36), 5))
    stand = cradle([(0.06, y - 0.32, z - 0.02), (0.1, y - 0.3, 0.09), (0.12, y - 0.16, 0.06)], 0.012, "metal", 0.04)
    return [case, lid, engine, head, *pipe, shocks, stand]


def dirt_bike(rng: np.random.Generator) -> Draft:
    """Make a dirt bike: tall laced wheels with knobs, long fork, high mudguards, flat seat, high silencer, lamp
    mask."""
    plan = MotorbikePlan(
        wheel=(vary(rng, 0.348, 0.015), vary(rng, 0.333, 0.02)), tyre=(0.042, 0.058), wheelbase=vary(rng, 1.48, 0.02),
        head_deg=63, offset=0.035, crown=vary(rng, 0.7, 0.015), head=0.16, leg_x=0.1, bar=(0.05, 0.0),
    )  # fmt: skip
    wide, rise = vary(rng, 0.4, 0.03), vary(rng, 0.09, 0.2)
    bar, grip = handlebar(plan, [(0, 0, 0), (0.09, 0, 0), (0.19, 0.02, rise), (wide, 0.1, rise)], None)
    brace = tube(
        [plan.clamp + vec(-0.14, 0.01, 0.6 * rise), plan.clamp + vec(0.14, 0.01, 0.6 * rise)], 0.009, "metal", 8
    )
    pad_bar = cylinder(
        plan.clamp + vec(-0.09, 0.01, 0.6 * rise), plan.clamp + vec(0.09, 0.01, 0.6 * rise), 0.03, "fabric", 12
    )
    body = tank((-0.28, 0.06), (0.8, vary(rng, 1.04, 0.015), 0.96), (0.12, 0.09))
    pad, *ends = seat(((-0.08, 0.995), (0.2, 0.955), (0.45, 0.965), (0.74, 0.98)), 0.06,
                      ((-0.08, 0.05), (0.25, 0.085), (0.74, 0.075)), cover(rng))  # fmt: skip
    part = str(rng.choice(["paint", "metal"]))
    mask, lamp = _mask(plan, bool(rng.integers(2)))
    solids = [*_dirt_wheels(rng, plan), *fork(plan, True, "metal", 0.027), *bar, brace, pad_bar, *body, pad, *mask]
    solids += [
        *_dirt_panels(plan),
        *_dirt_engine(bool(rng.integers(2))),
        *_dirt_frame(part),
    ]
    solids += [*swing_arm(plan, (0.2, 0.43), 0.032, "metal"), *chain_drive(plan, (0.2, 0.43), 0.11)]
    solids += [
        shock(vec(0, 0.235, 0.45), vec(0, 0.15, 0.85), 6),
        *foot_pegs(0.16, 0.36, 0.12),
        *side_stand(0.46, (0.12, 0.34)),
    ]
    pipe = [
        (-0.02, -0.16, 0.74),
        (-0.06, -0.28, 0.66),
        (-0.12, -0.22, 0.5),
        (-0.16, 0.0, 0.56),
        (-0.15, 0.16, 0.67),
        (-0.145, 0.3, 0.72),
    ]
    solids += silencer(pipe, vary(rng, 0.05, 0.1), vary(rng, 0.4, 0.1))
    if rng.random() < 0.6:
        solids.append(_hand_guards(grip))
    return plan.shape(solids, grip, (ends[0], ends[1]), lamp)


def _hand_guards(grip: Array) -> Solid:
    """Make bent shields before the grips."""
    inner, out, end = grip + vec(-0.14, -0.07, 0), grip + vec(0.03, -0.1, 0), grip + vec(0.085, -0.02, 0)
    up = vec(0, 0, 0.04)
    return panel(
        [inner + up, out + 1.1 * up, end + 0.7 * up], [inner - up, out - 1.2 * up, end - 0.5 * up], 0, "plastic"
    )


def _dirt_wheels(rng: np.random.Generator, plan: MotorbikePlan) -> list[Solid]:
    """Make laced wheels with knobby tyres and a small disc each."""
    part = str(rng.choice(["metal", "plastic"]))
    front = moved(wheel(plan.wheel[0], plan.tyre[0], 28, part, plan.leg_x - 0.02, 26), plan.front_axle)
    rear = moved(wheel(plan.wheel[1], plan.tyre[1], 28, part, plan.tyre[1] + 0.02, 24), plan.rear_axle)
    return [front, rear, brake_disc(plan.front_axle, 0.07, 0.12, 70), brake_disc(plan.rear_axle, -0.072, 0.11, -30)]


def _mask(plan: MotorbikePlan, number: bool) -> tuple[list[Solid], Array]:
    """Make a plate before the fork with the head lamp below it; returns also the middle of the lamp."""
    tilt = rotation_about("x", np.radians(plan.head_deg - 90))
    at = plan.leg(plan.crown + 0.13) + 0.075 * plan.ahead
    shield = rounded_box((0, 0, 0), (0.23, 0.035, 0.26 if number else 0.22), 0.016, "paint", 2)
    lens = rounded_box((0, -0.014, -0.05), (0.14, 0.03, 0.085), 0.012, "light", 1)
    straps = pair(rounded_box((0.095, 0.04, 0), (0.03, 0.1, 0.05), 0.01, "plastic", 1))
    return [moved(join([shield, lens, straps]), at, tilt)], at + tilt @ vec(0, -0.029, -0.05)


def _dirt_panels(plan: MotorbikePlan) -> list[Solid]:
    """Make high mudguards, radiator shrouds and side panels, rear lamp and plate."""
    y, z = (float(v) for v in plan.leg(plan.crown - 0.03)[1:])
    front = fender_sheet(
        [(y - 0.52, z - 0.1), (y - 0.3, z - 0.02), (y, z), (y + 0.16, z - 0.06)],
        (0.045, 0.08, 0.095, 0.07),
        0.035,
        "paint",
    )
    rear = fender_sheet([(0.2, 0.9), (0.55, 0.92), (0.8, 0.96), (1.08, 1.05)], (0.09, 0.1, 0.1, 0.06), 0.035, "paint")
    upper = [(0.14, -0.42, 0.93), (0.2, -0.27, 0.98), (0.15, -0.1, 0.98), (0.1, 0.1, 0.94)]
    lower = [(0.16, -0.36, 0.72), (0.185, -0.22, 0.76), (0.15, -0.08, 0.82), (0.1, 0.1, 0.88)]
    shroud = panel(upper, lower, 0.012, "paint", 0.008)
    upper, lower = (
        [(0.1, 0.08, 0.92), (0.135, 0.3, 0.91), (0.1, 0.66, 0.935)],
        [(0.11, 0.12, 0.7), (0.15, 0.3, 0.68), (0.1, 0.6, 0.86)],
    )
    side = panel(upper, lower, 0.012, "paint", 0.008)
    cores = pair(moved(radiator(-0.29, 0.82, (0.1, 0.2), 12), (0.1, 0, 0)))
    lamp = tail_lamp((0, 0.97, 0.965), (0.07, 0.03))
    return [
        front,
        rear,
        shroud,
        side,
        cores,
        *lamp,
        *number_plate((0, 0.93, 0.95), 20),
        indicators((0.05, 0.9, 0.95), 0.06),
    ]


def _dirt_engine(air_cooled: bool) -> list[Solid]:
    """Make one upright cylinder on its case, with fins or a smooth one."""
    barrel = finned_barrel(vec(0, -0.08, 0.5), 6, 0.34, 0.085, 7 if air_cooled else 2)
    guard = rounded_box((0, -0.06, 0.315), (0.2, 0.36, 0.02), 0.008, "metal", 1)
    return [*crankcase(0.0, 0.44, (0.22, 0.38, 0.22), 0.085), barrel, guard]


def _dirt_frame(part: str) -> list[Solid]:
    """Make frame tubes from the steering head over and around the engine, and the seat's rails."""
    main = [(0.03, -0.34, 1.03), (0.09, -0.15, 0.92), (0.12, 0.1, 0.72), (0.12, 0.2, 0.5), (0.1, 0.2, 0.33)]
    down = [(0.02, -0.37, 0.96), (0.05, -0.29, 0.6), (0.09, -0.2, 0.32), (0.09, 0.2, 0.32)]
    tail = [(0.1, 0.05, 0.86), (0.09, 0.3, 0.88), (0.07, 0.72, 0.93)]
    brace = [(0.12, 0.18, 0.52), (0.09, 0.46, 0.88)]
    cross = cylinder((-0.1, 0.15, 0.865), (0.1, 0.15, 0.865), 0.02, part, 10)
    return [cross, *(cradle(p, r, part) for p, r in ((main, 0.026), (down, 0.02), (tail, 0.014), (brace, 0.013)))]
