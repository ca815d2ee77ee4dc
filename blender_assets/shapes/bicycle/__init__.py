"""Parametric bicycles: road racer, mountain bike, city bike, BMX, touring bike, folding bike."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from blender_assets.shapes.bicycle.fittings import (
    basket,
    battery,
    bell,
    bottle,
    lamps,
    mudguards,
    panniers,
    quick_release,
    rear_rack,
    side_stand,
)
from blender_assets.shapes.bicycle.frame import diamond, folding_beam, rigid_fork, step_through, suspension_fork
from blender_assets.shapes.bicycle.measures import BicyclePlan
from blender_assets.shapes.bicycle.parts import (
    brake_lever,
    cable,
    coil_springs,
    disc_brake,
    drive_train,
    drop_bar,
    handlebar,
    pedals,
    rim_brake,
    saddle,
    stem,
    wheel,
)
from blender_assets.shapes.cycle_parts import vec
from blender_assets.shapes.mesh import Array, Draft, Solid, cylinder, moved, pair

Half = Sequence[tuple[float, float, float]]


def bicycle(body_type: int, rng: np.random.Generator) -> Draft:
    """Make a bicycle in metres, standing on z = 0, front at -y; its frame is paint, the drive train is on the right.

    body_type 0..5: road racer, mountain bike, city bike, BMX, touring bike, folding bike. Proportions and details
    are drawn from `rng`. Mirror-symmetric in x, except metal and plastic: chain, cranks, discs, stand and bell.
    """
    makers = (_road, _mountain, _city, _bmx, _touring, _folding)
    return makers[body_type](rng)


def _vary(rng: np.random.Generator, value: float, share: float = 0.04) -> float:
    """Return the value, changed by up to a share of it."""
    return float(value * rng.uniform(1 - share, 1 + share))


def _shape(
    plan: BicyclePlan, solids: list[Solid], rng: np.random.Generator, seat: tuple[float, float, str], end: Array
) -> Draft:
    """Make the bicycle of these solids with saddle (length, width, part) and pedals; `end` is the handlebar's left
    end."""
    crank_deg = float(rng.choice([0, 25, 90, 155, 180, 270, 335]))
    treads, pedal = pedals(plan, crank_deg)
    perch, seat_front, seat_back = saddle(plan, *seat)
    front, rear = plan.front_axle, plan.rear_axle
    keypoints: dict[str, ArrayLike] = {"head_center": plan.head_high, "seat_front": seat_front, "seat_back": seat_back}
    for side, sign in (("left", 1.0), ("right", -1.0)):
        keypoints[f"{side}_front_wheel"] = front + vec(sign * (plan.hub[0] + 0.009), 0, 0)
        keypoints[f"{side}_back_wheel"] = rear + vec(sign * (plan.hub[1] + 0.009), 0, 0)
        keypoints[f"{side}_handle"] = end * [sign, 1, 1]
        keypoints[f"{side}_pedal_center"] = plan.bracket + sign * (pedal - plan.bracket)
    return Draft([*solids, *treads, *perch], keypoints)


def _wheels(plan: BicyclePlan, rng: np.random.Generator, depth: float, part: str, knobs: int = 0) -> list[Solid]:
    """Make the front and the rear wheel in place."""
    count = int(rng.choice([24, 28, 32, 36]))
    places = zip((plan.front_axle, plan.rear_axle), plan.hub, strict=True)
    return [moved(wheel(plan, hub, count, depth, part, knobs), axle) for axle, hub in places]


def _bar(plan: BicyclePlan, half: Half, grip: float, bend: float, lever_at: float) -> tuple[list[Solid], Array]:
    """Make a handlebar with brake levers at x = lever_at and cables to the head tube; returns also its left end
    (3,)."""
    points = np.array(half) + plan.clamp
    along = (points[-1] - points[-2]) / np.linalg.norm(points[-1] - points[-2])
    held = points[-1] - along * lever_at
    solids = handlebar(plan, half, grip, bend) + brake_lever(held, along)
    start, middle = held + vec(0, -0.022, -0.008), plan.clamp + vec(0.07, -0.1, 0.02)
    loop = (start + middle) / 2 + vec(0, -0.05, 0.02)
    solids.append(cable([start, loop, middle, plan.head_low + vec(0.012, -0.02, 0.02)]))
    down = plan.head_low * 0.85 + plan.bracket * 0.15 - vec(0.022, 0, 0)
    solids.append(cable([*(np.array([start, loop + vec(0, 0.01, -0.02), middle]) * [-1, 1, 1]), down]))
    return solids, points[-1] + along * 0.004


def _rim_brakes(plan: BicyclePlan) -> list[Solid]:
    """Make calipers at the fork's crown and at the seat stays."""
    to_crown = plan.head_low - plan.front_axle
    to_stays = plan.seat(plan.seat_tube - 0.045) - plan.rear_axle
    pairs = ((plan.front_axle, to_crown), (plan.rear_axle, to_stays))
    return [s for axle, to in pairs for s in rim_brake(plan, axle, to / np.linalg.norm(to))]


def _disc_brakes(plan: BicyclePlan) -> list[Solid]:
    """Make brake discs on the left of both hubs."""
    return disc_brake(plan.front_axle, 0.085, plan.hub[0], True) + disc_brake(plan.rear_axle, 0.08, plan.hub[1], False)


def _road(rng: np.random.Generator) -> Draft:
    """Make a road racer: thin tyres, drop bars, level top tube, derailleur, rim brakes, sometimes deep rims."""
    size = float(rng.uniform(-0.035, 0.035))
    plan = BicyclePlan(
        wheel=0.336, tyre=0.0135, wheelbase=_vary(rng, 0.985, 0.02), chain_stay=0.41, drop=0.07, seat_deg=73.5,
        head_deg=_vary(rng, 73, 0.01), rake=0.044, crown=0.375, head=0.15 + size, seat_tube=0.52 + size,
        saddle=0.71 + size, stem=(_vary(rng, 0.03, 0.5), _vary(rng, 0.1, 0.15)), ring=0.106, sprocket=0.04,
    )  # fmt: skip
    deep = rng.random() < 0.4
    frame = diamond(plan, _vary(rng, 0.0185, 0.2), 0.009, sag=float(rng.choice([0.0, 0.0, 0.07])))
    fork = rigid_fork(plan, 0.014, "paint")
    bar, end = drop_bar(plan, _vary(rng, 0.205, 0.05))
    wheels = _wheels(plan, rng, 0.05 if deep else 0.016, "plastic" if deep else "metal")
    fittings = bottle(plan, 0.022, False) if rng.random() < 0.7 else []
    hood, crown = plan.clamp + vec(float(end[0]) - 0.012, -0.125, 0.012), plan.head_low
    loop = [hood, plan.clamp + vec(0.08, -0.17, -0.03), crown + vec(0, -0.05, 0.05), crown + vec(0, -0.015, -0.02)]
    fittings.append(pair(cable(loop)))
    drive = drive_train(plan, True, False)
    solids = [*frame, *fork, *stem(plan), *bar, *wheels, *_rim_brakes(plan), *drive, *fittings]
    return _shape(plan, solids, rng, (_vary(rng, 0.27), _vary(rng, 0.14), "plastic"), end)


def _mountain(rng: np.random.Generator) -> Draft:
    """Make a mountain bike: knobby tyres, suspension fork, sloping hydroformed frame, riser bar, disc brakes."""
    size = float(rng.uniform(-0.03, 0.03))
    plan = BicyclePlan(
        wheel=_vary(rng, 0.358, 0.03), tyre=_vary(rng, 0.029, 0.1), wheelbase=_vary(rng, 1.15, 0.025), chain_stay=0.44,
        drop=0.045, seat_deg=74, head_deg=_vary(rng, 67.5, 0.015), rake=0.046, crown=_vary(rng, 0.51, 0.03),
        head=0.11 + size / 2, seat_tube=0.43 + size, saddle=0.69 + size, stem=(0.03, _vary(rng, 0.07, 0.2)),
        ring=0.075, sprocket=0.062,
    )  # fmt: skip
    frame = diamond(plan, _vary(rng, 0.022, 0.1), 0.0105, bow=float(rng.uniform(0.0, 0.03)))
    wide = _vary(rng, 0.36, 0.06)
    rise = float(rng.uniform(0.0, 0.035))
    half = [(0, 0, 0), (0.045, 0, 0), (0.11, 0.005, rise), (wide, 0.055, rise + 0.012)]
    bar, end = _bar(plan, half, 0.13, 0.05, 0.15)
    wheels = _wheels(plan, rng, 0.02, "plastic", 42)
    fork = suspension_fork(plan, _vary(rng, 0.12, 0.2))
    extra = bottle(plan, 0.026, False) if rng.random() < 0.3 else []
    solids = [
        *frame,
        *fork,
        *stem(plan, "plastic"),
        *bar,
        *wheels,
        *_disc_brakes(plan),
        *drive_train(plan, True, False),
    ]
    return _shape(plan, solids + extra, rng, (_vary(rng, 0.27), _vary(rng, 0.15), "plastic"), end)


def _city(rng: np.random.Generator) -> Draft:
    """Make a city bike: step-through frame, mudguards, chain guard, rack, swept bar, wide sprung saddle, often a
    basket."""
    plan = BicyclePlan(
        wheel=_vary(rng, 0.35, 0.02), tyre=0.02, wheelbase=_vary(rng, 1.1, 0.02), chain_stay=0.465, drop=0.06,
        seat_deg=69.5, head_deg=69, rake=0.062, crown=0.4, head=_vary(rng, 0.2, 0.1), seat_tube=_vary(rng, 0.5, 0.04),
        saddle=_vary(rng, 0.65, 0.03), stem=(_vary(rng, 0.09, 0.3), 0.05), ring=0.088, sprocket=0.04,
    )  # fmt: skip
    frame = step_through(plan, 0.0175, 0.0095, bool(rng.random() < 0.6))
    sweep, wide = _vary(rng, 0.21, 0.15), _vary(rng, 0.28, 0.06)
    half = [(0, 0, 0), (0.06, -0.03, 0.02), (wide - 0.05, 0.0, 0.055), (wide, sweep, 0.03)]
    bar, end = _bar(plan, half, 0.12, 0.08, 0.14)
    guards = mudguards(plan, "paint" if rng.random() < 0.6 else "metal")
    solids = [*frame, *rigid_fork(plan, 0.0145, "paint"), *stem(plan), *bar, *_wheels(plan, rng, 0.018, "metal")]
    solids += [*guards, *drive_train(plan, False, True), *rear_rack(plan), *lamps(plan, True), *side_stand(plan)]
    solids += basket(plan, _vary(rng, 0.36, 0.1)) if rng.random() < 0.7 else []
    solids += bell(plan, 0.1, -0.015, 0.045)
    wide_seat = _vary(rng, 0.21, 0.06)
    solids.append(coil_springs(plan, wide_seat))
    return _shape(plan, solids, rng, (0.26, wide_seat, str(rng.choice(["fabric", "plastic"]))), end)


def _bmx(rng: np.random.Generator) -> Draft:
    """Make a BMX: small fat wheels, low frame and saddle, high handlebar with a cross bar and a pad."""
    plan = BicyclePlan(
        wheel=_vary(rng, 0.256, 0.02), tyre=_vary(rng, 0.027, 0.1), wheelbase=_vary(rng, 0.95, 0.02), chain_stay=0.36,
        drop=-0.035, seat_deg=71, head_deg=74.5, rake=0.032, crown=0.315, head=0.115, seat_tube=0.24,
        saddle=_vary(rng, 0.32, 0.1), stem=(0.025, 0.05), hub=(0.052, 0.058), ring=_vary(rng, 0.066, 0.15),
        sprocket=0.028,
    )  # fmt: skip
    frame = diamond(plan, 0.019, 0.0105)
    rise, wide = _vary(rng, 0.215, 0.08), _vary(rng, 0.355, 0.04)
    half = [(0, 0, 0), (0.055, 0, 0), (0.15, 0.01, rise), (wide, 0.05, rise + 0.015)]
    bar, end = _bar(plan, half, 0.14, 0.045, 0.15)
    cross = plan.clamp + np.array([(-0.115, 0.006, 0.62 * rise), (0.115, 0.006, 0.62 * rise)])
    pad = plan.clamp + np.array([(-0.075, 0.006, 0.62 * rise), (0.075, 0.006, 0.62 * rise)])
    solids = [*frame, *rigid_fork(plan, 0.017, "paint", False), *stem(plan), *bar]
    solids += [_bar_tube(cross, 0.011, "metal"), _bar_tube(pad, 0.026, "fabric")]
    solids += [*_wheels(plan, rng, 0.02, str(rng.choice(["metal", "plastic"])), 36), *_rim_brakes(plan)]
    solids += _pegs(plan) if rng.random() < 0.5 else []
    solids += drive_train(plan, False, False)
    return _shape(plan, solids, rng, (0.25, 0.12, "plastic"), end)


def _bar_tube(ends: Array, radius: float, part: str) -> Solid:
    """Make a straight round bar between two points (2, 3)."""
    return cylinder(ends[0], ends[1], radius, part, 14)


def _pegs(plan: BicyclePlan) -> list[Solid]:
    """Make foot pegs on the axles."""
    x = [plan.hub[0] + 0.002, 0, 0], [plan.hub[0] + 0.1, 0, 0]
    return [pair(cylinder(axle + x[0], axle + x[1], 0.019, "metal", 14)) for axle in (plan.front_axle, plan.rear_axle)]


def _touring(rng: np.random.Generator) -> Draft:
    """Make a touring or trekking bike: diamond frame, mudguards, rack, mostly panniers, lamps; flat or drop bars."""
    size = float(rng.uniform(-0.03, 0.04))
    plan = BicyclePlan(
        wheel=0.348, tyre=_vary(rng, 0.019, 0.1), wheelbase=_vary(rng, 1.07, 0.02), chain_stay=0.455, drop=0.07,
        seat_deg=72.5, head_deg=71.5, rake=0.05, crown=0.4, head=0.16 + size, seat_tube=0.53 + size, saddle=0.68 + size,
        stem=(_vary(rng, 0.05, 0.3), 0.09), ring=0.088, sprocket=0.05,
    )  # fmt: skip
    frame = diamond(plan, 0.0185, 0.0095, sag=float(rng.uniform(0, 0.06)))
    wide = _vary(rng, 0.31, 0.05)
    if rng.random() < 0.3:
        bar, end = drop_bar(plan, 0.215)
    else:
        bar, end = _bar(plan, [(0, 0, 0), (0.05, 0, 0), (0.1, 0.0, 0.02), (wide, 0.06, 0.035)], 0.13, 0.05, 0.15)
    solids = [*frame, *rigid_fork(plan, 0.0145, "paint"), *stem(plan), *bar, *_wheels(plan, rng, 0.018, "metal")]
    solids += [*mudguards(plan, "plastic"), *drive_train(plan, True, False), *rear_rack(plan), *lamps(plan, True)]
    solids += battery(plan, 0.021) if rng.random() < 0.35 else bottle(plan, 0.022, False)
    solids += panniers(plan, _vary(rng, 0.14, 0.2)) if rng.random() < 0.75 else bottle(plan, 0.02, True)
    solids += [*_rim_brakes(plan), *side_stand(plan)]
    return _shape(plan, solids, rng, (0.27, 0.16, str(rng.choice(["plastic", "fabric"]))), end)


def _folding(rng: np.random.Generator) -> Draft:
    """Make a folding bike: small wheels, one thick beam with a hinge, long seat post and stem; some with a battery."""
    wheel_radius = _vary(rng, 0.215, 0.1)
    plan = BicyclePlan(
        wheel=wheel_radius, tyre=0.021, wheelbase=_vary(rng, 1.0, 0.03), chain_stay=0.4, drop=wheel_radius - 0.285,
        seat_deg=71.5, head_deg=72, rake=0.03, crown=wheel_radius + 0.075, head=0.13, seat_tube=_vary(rng, 0.3, 0.08),
        saddle=_vary(rng, 0.66, 0.04), stem=(_vary(rng, 0.36, 0.08), 0.015), ring=0.092, sprocket=0.036,
    )  # fmt: skip
    frame = folding_beam(plan, _vary(rng, 0.03, 0.12), 0.0095)
    half = [(0, 0, 0), (0.05, 0, 0), (0.1, 0, 0.012), (_vary(rng, 0.28, 0.05), 0.03, 0.02)]
    bar, end = _bar(plan, half, 0.13, 0.05, 0.145)
    solids = [*frame, *rigid_fork(plan, 0.014, "paint", False), *stem(plan), *bar, *_wheels(plan, rng, 0.018, "metal")]
    solids += [*drive_train(plan, False, False), *_rim_brakes(plan), *quick_release(plan)]
    solids += mudguards(plan, "plastic") if rng.random() < 0.7 else []
    solids += [*rear_rack(plan), *lamps(plan, True)] if rng.random() < 0.5 else []
    return _shape(plan, solids, rng, (0.26, 0.17, "plastic"), end)
