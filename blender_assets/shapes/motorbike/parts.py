"""Running gear of the parametric motorbikes: wheels, brakes, fork, handlebar, swing arm, chain. Metres, front at -y."""

from collections.abc import Sequence

import numpy as np

from blender_assets.shapes.cycle_parts import (
    belt_path,
    chain,
    disc,
    gear,
    mudguard,
    rim,
    rounded_path,
    slab,
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
    loft,
    moved,
    pair,
    rotation_about,
    rounded_box,
    smooth_path,
    tube,
)
from blender_assets.shapes.motorbike.measures import MotorbikePlan

CHAIN_X = 0.1  # the chain is on the left


def wheel(radius: float, half_width: float, spokes: int, rim_part: str, hub_half: float, knobs: int = 0) -> Solid:
    """Make a wheel about the origin: cast with 3 to 10 spokes, or laced with more; its hub reaches to x =
    +-hub_half."""
    height = min(0.62 * half_width + 0.014, 0.055)
    outer = radius - 2 * height + 0.012
    inner = outer - 0.035
    hub = [(0, -hub_half), (0.035, -hub_half), (0.05, -0.7 * hub_half), (0.04, -0.3 * hub_half)]
    hub += [(r, -along) for r, along in hub[::-1]]
    pieces = [
        tyre(radius, half_width, height, knobs, 0.012 if knobs else 0.0),
        rim(outer, inner, 0.75 * half_width, rim_part),
    ]
    if spokes > 10:
        pieces.append(wire_spokes(spokes, 0.047, 0.7 * hub_half, inner + 0.01, 0.0024, "metal"))
        return join([*pieces, lathe(hub, "metal", segments=11)])
    for k in range(spokes):
        rings = []
        for r, half, thick in ((0.03, 0.03, 0.03), (0.5 * inner, 0.02, 0.022), (inner + 0.01, 0.026, 0.024)):
            rings.append(
                [(x * thick, y * half, r) for x, y in ((1, -0.6), (1, 0.6), (0, 1), (-1, 0.6), (-1, -0.6), (0, -1))]
            )
        pieces.append(moved(loft(rings, rim_part), rotation=rotation_about("x", 2 * np.pi * k / spokes)))
    return join([*pieces, lathe(hub, rim_part, segments=11)])


def brake_disc(centre: Array, x: float, radius: float, caliper_deg: float) -> Solid:
    """Make a brake disc beside a wheel, its carrier, and the caliper at an angle in degrees from up towards the
    rear."""
    at = centre + vec(x, 0, 0)
    pieces = [
        moved(disc(radius, 0.66 * radius, 0.006, "metal", 20), at),
        moved(disc(0.45 * radius, 0.01, 0.008, "metal", 10), at),
    ]
    for k in range(5):
        turn = 2 * np.pi * k / 5
        end = at + 0.7 * radius * vec(0, np.sin(turn), np.cos(turn))
        pieces.append(tube([at, end], 0.008, "metal", 3))
    turn = np.radians(caliper_deg)
    spot = at + 0.85 * radius * vec(0, np.sin(turn), np.cos(turn))
    box = moved(rounded_box((0, 0, 0), (0.06, 0.1, 0.055), 0.014, "plastic", 1), spot, rotation_about("x", -turn))
    return join([*pieces, box])


def fork(plan: MotorbikePlan, inverted: bool, lower_part: str, radius: float = 0.026) -> list[Solid]:
    """Make a telescopic fork with its two clamps, the steering head between them and the axle."""
    top, x = plan.crown + plan.head + 0.02, plan.leg_x
    joint = plan.crown * (0.5 if inverted else 0.56)
    slim, thick = (radius * 0.8, radius * 1.12)
    low, high = (slim, thick) if inverted else (thick, slim)
    metal = "metal" if not inverted else lower_part
    solids = [
        pair(tube([plan.leg(-0.02, x), plan.leg(joint, x)], low, "metal" if inverted else lower_part, 12)),
        pair(tube([plan.leg(joint - 0.03, x), plan.leg(top, x)], high, metal, 12)),
        pair(cylinder(plan.leg(joint - 0.015, x), plan.leg(joint + 0.02, x), max(low, high) * 1.1, "plastic", 14)),
        pair(rounded_box(plan.leg(0.0, x), (0.05, 0.065, 0.08), 0.018, "metal", 1)),
        cylinder(plan.leg(0, -x - 0.03), plan.leg(0, x + 0.03), 0.014, "metal", 10),
        tube([plan.steer(plan.crown - 0.02), plan.steer(plan.crown + plan.head)], 0.034, "plastic", 14),
    ]
    tilt = rotation_about("x", np.radians(plan.head_deg) - np.pi / 2)
    for distance, tall in ((plan.crown, 0.045), (plan.crown + plan.head, 0.03)):
        box = rounded_box((0, 0, 0), (2 * x + 0.085, 0.075 + plan.offset, tall), 0.014, "metal", 1)
        solids.append(moved(box, plan.leg(distance) - 0.5 * plan.offset * plan.ahead, tilt))
    return solids


def handlebar(
    plan: MotorbikePlan, half: Sequence[tuple[float, float, float]], mirror: tuple[float, float, float] | None
) -> tuple[list[Solid], Array]:
    """Make a bar through points (x, y, z) from its clamp out to the left, mirrored, with grips, levers and mirrors.

    mirror: place of the mirrors, from the middle of the grips. Returns also the middle of the left grip.
    """
    path = plan.clamp + rounded_path(half, 0.06, 4)
    end = path[-1]
    along = (end - np.asarray(half[-2]) - plan.clamp) / np.linalg.norm(end - np.asarray(half[-2]) - plan.clamp)
    grip = end - 0.065 * along
    hold = grip - 0.1 * along
    lever = [hold, hold + 0.02 * along + vec(0, -0.055, 0), grip + vec(0, -0.075, -0.006), end + vec(0, -0.06, -0.012)]
    pieces = [
        tube(path, 0.0115, "metal", 8),
        tube([end - 0.13 * along, end - 0.12 * along, end], [0.0195, 0.0165, 0.0165], "rubber", 10),
        cylinder(end, end + 0.018 * along, 0.017, "metal", 8),
        rounded_box(hold + vec(0, 0, -0.002), (0.065, 0.042, 0.05), 0.012, "plastic", 1),
        tube(smooth_path(lever, 6), 0.0065, "metal", 6),
    ]
    if mirror:
        glass = grip + np.asarray(mirror)
        stalk = [
            hold,
            hold + vec(0, -0.02, 0.05),
            (hold + glass) / 2 + vec(0, -0.03, 0.04),
            glass + vec(0, -0.012, -0.01),
        ]
        pieces.append(tube(smooth_path(stalk, 7), 0.0055, "plastic", 6))
        pieces.append(mirror_head(glass))
    caps = cylinder(plan.clamp - vec(0.06, 0, 0), plan.clamp + vec(0.06, 0, 0), 0.019, "metal", 10)
    post = rounded_box(
        (plan.clamp + plan.steer(plan.crown + plan.head)) / 2, (0.09, 0.045, plan.bar[0] + 0.02), 0.012, "metal", 1
    )
    return [pair(join(pieces)), caps, post], grip


def mirror_head(at: Array) -> Solid:
    """Mirror with its glass towards the rear."""
    shell = rounded_box(at, (0.15, 0.035, 0.085), 0.016, "plastic", 1)
    return join([shell, slab(at + vec(0, 0.013, 0), (0.13, 0.012, 0.067), "glass")])


def swing_arm(plan: MotorbikePlan, pivot: tuple[float, float], size: float, part: str) -> list[Solid]:
    """Make two arms from a pivot (y, z) to the rear axle, joined before the wheel."""
    start, axle, x = vec(0, *pivot), plan.rear_axle, plan.tyre[1] + 0.035
    rings = []
    for share, scale in ((0.0, 1.15), (0.45, 1.0), (0.95, 0.7), (1.08, 0.6)):
        middle = start + share * (axle - start) + vec(x, 0, 0)
        ring = np.array(
            [(0.5, 0.75), (0.35, 1), (-0.35, 1), (-0.5, 0.75), (-0.5, -0.75), (-0.35, -1), (0.35, -1), (0.5, -0.75)]
        )
        rings.append(middle + np.column_stack([ring[:, 0] * size, np.zeros(8), ring[:, 1] * size * scale]))
    cross = tube([start - vec(x, 0, 0), start + vec(x, 0, 0)], 1.1 * size, part, 14)
    rod = cylinder(axle - vec(x + 0.03, 0, 0), axle + vec(x + 0.03, 0, 0), 0.014, "metal", 12)
    return [pair(loft(rings, part)), cross, rod]


def shock(low: Array, high: Array, turns: float = 5) -> Solid:
    """Make a shock absorber between two points (3,): damper, rod and coil spring."""
    axis = (high - low) / np.linalg.norm(high - low)
    length = float(np.linalg.norm(high - low))
    side = np.array([1.0, 0, 0])
    other = np.cross(axis, side)
    turn = np.linspace(0, 2 * np.pi * turns, int(6 * turns))
    height = 0.22 * length + 0.62 * length * turn / turn[-1]
    coil = low + np.outer(height, axis) + 0.026 * (np.outer(np.cos(turn), side) + np.outer(np.sin(turn), other))
    damper = [
        (0, 0),
        (0.012, 0),
        (0.015, 0.18),
        (0.034, 0.19),
        (0.034, 0.22),
        (0.016, 0.23),
        (0.016, 0.83),
        (0.034, 0.84),
    ]
    damper += [(0.034, 0.87), (0.014, 0.88), (0.012, 1), (0, 1)]
    return join([turned(np.array(damper) * [1, length], low, axis, "metal", 8), tube(coil, 0.006, "metal", 4)])


def chain_drive(plan: MotorbikePlan, pivot: tuple[float, float], radius: float = 0.1) -> list[Solid]:
    """Make a chain from the sprocket before the swing arm's pivot to the rear sprocket, on the left, with its guard."""
    back, x = plan.rear_axle, max(CHAIN_X, plan.tyre[1] + 0.012)
    front = (pivot[0] - 0.08, pivot[1] + 0.005, 0.036)
    rear = gear(radius, 0.6 * radius, 0.008, 20, "metal")
    small = moved(gear(0.04, 0.01, 0.012, 9, "metal"), (x, front[0], front[1]))
    path = belt_path([front, (float(back[1]), float(back[2]), 0.96 * radius)], 0.036, x)
    carrier = moved(disc(0.66 * radius, 0.01, 0.012, "metal", 20), back + vec(x, 0, 0))
    guard = [(x, pivot[0] + 0.04, pivot[1] + 0.075), (x, float(back[1]) - 0.03, float(back[2]) + radius + 0.025)]
    hold = (np.array(guard[0]) + guard[1]) / 2
    arm = (vec(plan.tyre[1] + 0.035, *pivot) + back + vec(plan.tyre[1] + 0.035, 0, 0)) / 2
    bracket = tube([hold, arm], 0.01, "plastic", 6)
    return [
        bracket,
        moved(rear, back + vec(x, 0, 0)),
        small,
        chain(path, 0.018),
        carrier,
        tube(guard, 0.016, "plastic", 8, 0.4),
    ]


def side_stand(foot_y: float, top: tuple[float, float]) -> list[Solid]:
    """Make a stand folded up along the left side from a hinge (y, z) to the rear."""
    start = vec(0.14, *top)
    end = vec(0.17, foot_y, top[1] + 0.03)
    return [
        tube([start - vec(0.06, 0, 0), start, end], 0.012, "metal", 8),
        rounded_box(end, (0.03, 0.05, 0.02), 0.006, "metal", 1),
    ]


def foot_pegs(y: float, z: float, x: float = 0.13, reach: float = 0.11) -> list[Solid]:
    """Make rubber foot rests on brackets on both sides."""
    bracket = rounded_box((x - 0.03, y - 0.02, z + 0.03), (0.06, 0.07, 0.11), 0.012, "metal", 1)
    return [pair(join([bracket, tube([(x - 0.02, y, z), (x + reach, y, z)], 0.015, "rubber", 10)]))]


def rolling_gear(plan: MotorbikePlan, spokes: int, rim_part: str, twin: bool = True) -> list[Solid]:
    """Make both wheels in place, with twin discs or one on the left in front and one behind on the right."""
    hubs = (plan.leg_x - 0.02, plan.tyre[1] + 0.02)
    solids = []
    for i, axle in enumerate((plan.front_axle, plan.rear_axle)):
        solids.append(moved(wheel(plan.wheel[i], plan.tyre[i], spokes, rim_part, hubs[i]), axle))
    front = brake_disc(plan.front_axle, plan.leg_x - 0.027, 0.5 * plan.wheel[0], 60)
    rear = brake_disc(plan.rear_axle, -plan.tyre[1] - 0.012, 0.4 * plan.wheel[1], -20)
    return [*solids, pair(front) if twin else front, rear]


def front_mudguard(plan: MotorbikePlan, part: str, arc_deg: tuple[float, float]) -> list[Solid]:
    """Make a mudguard close over the front wheel, held by the fork's legs."""
    reach, half = plan.wheel[0] + 0.018, plan.tyre[0] + 0.016
    arm = tube([plan.leg(reach, plan.leg_x), plan.leg(reach - 0.012, half - 0.012)], 0.014, "plastic", 8)
    return [moved(mudguard(reach, half, arc_deg, part, 0.75), plan.front_axle), pair(arm)]
