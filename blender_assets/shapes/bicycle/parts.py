"""Parts of the parametric bicycles: wheels, drive train, saddles, handlebars, brakes. Metres, front at -y."""

from collections.abc import Sequence

import numpy as np

from blender_assets.shapes.bicycle.measures import BicyclePlan
from blender_assets.shapes.cycle_parts import (
    belt_path,
    chain,
    disc,
    gear,
    hull,
    plate,
    rim,
    rounded_path,
    turned,
    tyre,
    vec,
    wire_spokes,
)
from blender_assets.shapes.mesh import (
    Array,
    Solid,
    cylinder,
    join,
    lathe,
    moved,
    pair,
    rotation_about,
    rounded_box,
    smooth_path,
    tube,
)

CHAIN_X = -0.044  # the drive train is on the right
TREAD_X = 0.088  # inner face of the pedals


def wheel(plan: BicyclePlan, hub_half: float, spokes: int, rim_depth: float, rim_part: str, knobs: int) -> Solid:
    """Make a laced wheel about the origin with its tyre, rim, spokes, hub and axle ends at x = +-hub_half."""
    height = plan.tyre * 1.05
    outer = plan.wheel - 1.35 * height
    flange = 0.62 * hub_half
    x = hub_half
    hub = [(0, -x), (0.006, -x), (0.006, -0.85 * x), (0.012, -0.82 * x), (0.021, -flange - 0.003)]
    hub += [(0.021, -flange + 0.001), (0.012, -0.45 * x)]
    hub += [(r, -along) for r, along in hub[::-1]]
    nuts = pair(cylinder((x - 0.002, 0, 0), (x + 0.009, 0, 0), 0.009, "metal", 10))
    return join(
        [
            tyre(plan.wheel, plan.tyre, height, knobs, 0.004 if knobs else 0.0),
            rim(outer, outer - rim_depth, 0.72 * plan.tyre, rim_part),
            wire_spokes(spokes, 0.019, flange, outer - rim_depth * 0.7, 0.0014, "metal"),
            lathe(hub, "metal", segments=11),
            nuts,
        ]
    )


def pedals(plan: BicyclePlan, angle_deg: float) -> tuple[list[Solid], Array]:
    """Make cranks half a turn apart with level pedals; returns also the middle (3,) of the left one."""
    angle = np.radians(angle_deg)
    out = plan.crank * np.array([0, -np.cos(angle), np.sin(angle)])
    solids = [cylinder(plan.bracket - vec(0.062, 0, 0), plan.bracket + vec(0.062, 0, 0), 0.013, "metal", 8)]
    for side in (-1.0, 1.0):
        end = plan.bracket - side * out
        start = plan.bracket + vec(side * 0.06, 0, 0)
        tip = end + vec(side * 0.078, 0, 0)
        solids.append(tube([start, (start + tip) / 2, tip], [0.0135, 0.012, 0.011], "metal", 10, 0.75))
        solids += [cylinder(p - vec(0.011, 0, 0), p + vec(0.011, 0, 0), 0.016, "metal", 8) for p in (start, tip)]
        middle = end + vec(side * (TREAD_X + 0.047), 0, 0)
        axle = [tip, end + vec(side * (TREAD_X + 0.09), 0, 0)]
        solids.append(tube(axle, 0.006, "metal", 8))
        for y in (-0.036, 0.036):
            solids.append(rounded_box(middle + vec(0, y, 0), (0.094, 0.016, 0.024), 0.005, "plastic", 1))
        for x in (-0.04, 0.04):
            solids.append(rounded_box(middle + vec(x, 0, 0), (0.01, 0.075, 0.02), 0.004, "plastic", 1))
    return solids, plan.bracket - out + vec(TREAD_X + 0.047, 0, 0)


def drive_train(plan: BicyclePlan, derailleur: bool, guard: bool) -> list[Solid]:
    """Make the chain ring, chain, sprockets, and the derailleur's cage or a chain guard, all on the right side."""
    x, ring, back = np.array([CHAIN_X, 0, 0]), plan.bracket, plan.rear_axle
    hub = lathe([(0, -0.011), (0.024, -0.008), (0.024, 0.006), (0, 0.008)], "metal", segments=14)
    solids = [moved(gear(plan.ring, 0.8 * plan.ring, 0.004, 36, "metal"), ring + x), moved(hub, ring + x)]
    for k in range(5):
        arm = plate(
            [(-0.011, 0.01), (0.011, 0.01), (0.006, 0.82 * plan.ring), (-0.006, 0.82 * plan.ring)], 0.0025, "metal"
        )
        solids.append(moved(arm, ring + x, rotation_about("x", 2 * np.pi * (k + 0.5) / 5)))
    cogs = 4 if derailleur else 1
    for k in range(cogs):
        size = plan.sprocket * (1 + 0.22 * (k - cogs // 2))
        solids.append(moved(gear(size, 0.015, 0.003, 12, "metal"), back + x + vec(0.0055 * (k - cogs // 2), 0, 0)))
    barrel = cylinder(back + vec(CHAIN_X - 0.014, 0, 0), back + vec(CHAIN_X + 0.02, 0, 0), 0.0165, "metal", 12)
    solids.append(barrel)
    wheels = [(0.0, float(ring[2]), 0.97 * plan.ring), (float(back[1]), float(back[2]), 0.95 * plan.sprocket)]
    if derailleur:
        upper, lower = back + vec(0, 0.012, -plan.sprocket - 0.034), back + vec(0, -0.004, -plan.sprocket - 0.1)
        wheels += [(upper[1], upper[2], -0.02), (lower[1], lower[2], 0.02)]
        solids += [moved(gear(0.023, 0.004, 0.004, 8, "plastic"), p + x) for p in (upper, lower)]
        for side in (-0.006, 0.006):
            solids.append(tube([upper + x + vec(side, 0, 0), lower + x + vec(side, 0, 0)], 0.008, "metal", 8, 0.3))
        solids.append(
            tube([back + vec(CHAIN_X - 0.016, 0, 0), upper + x - vec(0.012, 0.02, 0), upper + x], 0.009, "plastic", 8)
        )
        solids.append(cylinder(lower + x - vec(0.009, 0, 0), lower + x + vec(0.009, 0, 0), 0.005, "metal", 8))
    solids.append(chain(belt_path(wheels, 0.016, CHAIN_X), 0.0105))
    return solids + (_chain_guard(plan) if guard else [])


def _chain_guard(plan: BicyclePlan) -> list[Solid]:
    """Make a flat cover over the upper run of the chain and the upper half of the chain ring."""
    ring, back, high = plan.bracket[1:], plan.rear_axle[1:], plan.ring + 0.022
    angle = np.radians(np.linspace(-150, 20, 14))
    front = np.stack([np.sin(angle), np.cos(angle)], axis=1) * high + ring
    rear = np.array([(-0.01, plan.sprocket + 0.022), (0.02, plan.sprocket), (0, 0.01)]) + back
    below = np.array([(0.09, -0.01), (0, -0.06)]) + ring
    outline = np.concatenate([front, rear, below])
    y, z = outline.mean(axis=0)
    x = CHAIN_X - 0.012
    bolt = cylinder((x - 0.002, y, z), (-0.03, y, z - 0.03), 0.005, "metal", 8)
    return [plate(outline, 0.0025, "plastic", x), bolt]


def saddle(plan: BicyclePlan, length: float, width: float, part: str) -> tuple[list[Solid], Array, Array]:
    """Make a saddle on its rails and clamp; returns also its front and rear end (3,)."""
    at = plan.seat(plan.saddle)
    y, z = float(at[1]) - 0.01, float(at[2])
    front, rear = y - 0.54 * length, y + 0.46 * length
    top = ((front, z - 0.012), (y - 0.1 * length, z - 0.008), (rear - 0.05, z + 0.006), (rear, z))
    below = ((front, z - 0.035), (y, z - 0.045), (rear, z - 0.05))
    wide = (
        (front, 0.019),
        (y - 0.12 * length, 0.03),
        (rear - 0.08, 0.46 * width),
        (rear - 0.03, width / 2),
        (rear, 0.4 * width),
    )
    body = hull(top, below, wide, part, (0.02, 0.045), 0.7, 18, 16)
    rail = [(0.012, front + 0.03, z - 0.03), (0.021, y - 0.03, z - 0.058), (0.022, y + 0.03, z - 0.058)]
    rail += [(0.028, rear - 0.04, z - 0.035)]
    clamp = plan.seat(plan.saddle - 0.056)
    block = rounded_box(clamp, (0.056, 0.05, 0.026), 0.008, "metal", 1)
    ends = np.array([0, front + 0.002, z - 0.023]), np.array([0, rear - 0.002, z - 0.022])
    return [body, pair(tube(smooth_path(rail, 8), 0.0035, "metal", 6)), block], *ends


def coil_springs(plan: BicyclePlan, width: float) -> Solid:
    """Make the two coil springs under the rear of a comfort saddle."""
    at = plan.seat(plan.saddle) + vec(0.3 * width, 0.06, -0.045)
    turn = np.linspace(0, 2 * np.pi * 3.5, 28)
    path = at + np.stack([0.014 * np.cos(turn), 0.014 * np.sin(turn), -0.04 * turn / turn[-1]], axis=1)
    foot = tube([path[-1], plan.seat(plan.saddle - 0.06)], 0.004, "metal", 6)
    return pair(join([tube(path, 0.003, "metal", 4), foot]))


def stem(plan: BicyclePlan, part: str = "metal") -> list[Solid]:
    """Make the steerer's spacers above the head tube, the arm and the clamp that holds the handlebar."""
    base = plan.steer(plan.crown + plan.head + plan.stem[0])
    clamp = plan.clamp
    return [
        cylinder(plan.head_high, base + 0.018 * plan.head_axis, 0.0165, part, 14),
        tube([base, clamp], [0.0165, 0.0155], part, 12),
        cylinder(clamp - vec(0.024, 0, 0), clamp + vec(0.024, 0, 0), 0.021, part, 14),
    ]


def handlebar(plan: BicyclePlan, half: Sequence[tuple[float, float, float]], grip: float, bend: float) -> list[Solid]:
    """Make a bar through points (x, y, z) from the clamp out to the left, mirrored; `grip` metres of its ends have
    grips."""
    path = plan.clamp + rounded_path(half, bend, 6)
    back = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(path[::-1], axis=0), axis=1))])
    at = np.linspace(-0.003, grip, 7)
    held = np.stack([np.interp(at, back, path[::-1, i]) for i in range(3)], axis=1)
    held[0] = path[-1] + (path[-1] - path[-2]) / np.linalg.norm(path[-1] - path[-2]) * 0.004
    sizes = [0.0175, 0.018, 0.0165, 0.0165, 0.0165, 0.017, 0.0165]
    return [pair(tube(path, 0.0128, "metal", 9)), pair(tube(held, sizes, "rubber", 10))]


def brake_lever(held: Array, along: Array, reach: float = 0.05) -> list[Solid]:
    """Make the lever of a straight bar in front of the grip: `held` on the bar (3,), `along` unit vector out to the
    left."""
    perch = held + vec(0, -0.018, -0.008)
    tip = perch + 0.11 * along + vec(0, -0.3 * reach, -0.015)
    blade = tube(smooth_path([perch, perch + 0.025 * along + vec(0, -reach * 0.7, -0.006), tip], 8), 0.0055, "metal", 6)
    clamp = cylinder(held - 0.011 * along, held + 0.011 * along, 0.0185, "plastic", 12)
    return [pair(join([blade, tube([held, perch], 0.01, "plastic", 8), clamp]))]


def drop_bar(plan: BicyclePlan, half: float) -> tuple[list[Solid], Array]:
    """Make a racing handlebar with hoods and levers; returns also its left end (3,)."""
    knots = [
        (0, 0, 0),
        (half - 0.04, 0, 0),
        (half - 0.005, -0.01, 0),
        (half, -0.05, -0.002),
        (half + 0.004, -0.085, -0.03),
    ]
    knots += [(half + 0.008, -0.085, -0.075), (half + 0.01, -0.05, -0.118), (half + 0.012, 0.035, -0.128)]
    path = plan.clamp + smooth_path(knots, 25)
    tape = tube(path[7:], 0.0158, "rubber", 9)
    hood = tube(
        plan.clamp + smooth_path([(half, -0.045, 0.0), (half + 0.002, -0.1, 0.005), (half + 0.002, -0.135, 0.03)], 8),
        [0.017, 0.018, 0.018, 0.017, 0.016, 0.016, 0.015, 0.01], "rubber", 10,
    )  # fmt: skip
    knots = [
        (half + 0.002, -0.125, 0.01),
        (half + 0.004, -0.14, -0.03),
        (half + 0.006, -0.118, -0.09),
        (half + 0.008, -0.125, -0.11),
    ]
    lever = tube(plan.clamp + smooth_path(knots, 10), 0.0065, "metal", 8)
    return [pair(tube(path[:9], 0.0128, "metal", 10)), pair(join([tape, hood, lever]))], path[-1]


def rim_brake(plan: BicyclePlan, axle: Array, toward: Array) -> list[Solid]:
    """Make a side-pull caliper over a rim: `toward` is the unit vector from the axle to its bolt."""
    ahead = np.cross([1.0, 0, 0], toward)
    ahead = ahead * np.sign(-ahead[1]) * (1 if axle[1] < 0 else -1)
    top = axle + toward * (plan.wheel + 0.016) + 0.014 * ahead
    shoe = axle + toward * (plan.wheel - 2.1 * plan.tyre - 0.004)
    aside = np.array([plan.tyre + 0.016, 0, 0])
    arm = [top, top + aside - 0.012 * toward, shoe + aside * 0.9 + 0.012 * ahead, shoe + aside * 0.78]
    pad = tube([shoe + aside * 0.68 - 0.026 * ahead, shoe + aside * 0.68 + 0.026 * ahead], 0.0075, "plastic", 8)
    bolt = tube([top - 0.035 * ahead, top + 0.014 * ahead], 0.006, "metal", 8)
    return [pair(join([tube(rounded_path(arm, 0.015, 2), 0.0075, "metal", 6), pad])), bolt]


def disc_brake(axle: Array, radius: float, hub_half: float, ahead: bool) -> list[Solid]:
    """Make a brake disc beside the left end of a hub, with the caliper on the fork or stay."""
    x = hub_half - 0.012
    rotor = [moved(disc(radius, 0.82 * radius, 0.0024, "metal", 36), axle + vec(x, 0, 0))]
    for k in range(6):
        arm = turned(
            [(0.0035, 0), (0.0035, 1)], (0, 0, 0), (0, np.sin(k * np.pi / 3), np.cos(k * np.pi / 3)), "metal", 6
        )
        arm = Solid(arm.vertices * [0.4, 0.85 * radius, 0.85 * radius], arm.faces, arm.face_part)
        rotor.append(moved(arm, axle + vec(x, 0, 0)))
    turn = np.radians(35 if ahead else -20)
    spot = axle + vec(x, radius * 0.86 * np.sin(turn), radius * 0.86 * np.cos(turn))
    return [join(rotor), rounded_box(spot, (0.034, 0.035, 0.05), 0.01, "plastic", 1)]


def cable(points: Sequence[Array]) -> Solid:
    """Make a brake or shift cable through points (3,)."""
    return tube(smooth_path(np.array(points), 12), 0.0026, "plastic", 5)
