"""Fittings of the parametric bicycles: mudguards, rack, basket, bags, lamps, bottle, stand. Metres, front at -y."""

import numpy as np

from blender_assets.shapes.bicycle.measures import BicyclePlan
from blender_assets.shapes.cycle_parts import mudguard, rounded_path, turned, vec
from blender_assets.shapes.mesh import (
    Solid,
    cylinder,
    join,
    moved,
    pair,
    rotation_about,
    rounded_box,
    smooth_path,
    tube,
)

WIRE = 0.0022


def mudguards(plan: BicyclePlan, part: str) -> list[Solid]:
    """Make full-length mudguards with their stays."""
    solids = []
    radius, half = plan.wheel + 0.022, plan.tyre + 0.011
    for axle, arc_deg, hub in ((plan.front_axle, (-25, 112), plan.hub[0]), (plan.rear_axle, (-72, 105), plan.hub[1])):
        solids.append(moved(mudguard(radius, half, arc_deg, part), axle))
        for turn in (arc_deg[1] - 14, arc_deg[1] - 52):
            spot = axle + radius * np.array([0, np.sin(np.radians(turn)), np.cos(np.radians(turn))])
            solids.append(pair(tube([axle + vec(hub, 0.0, 0.01), spot + vec(half - 0.002, 0, 0)], WIRE, "metal", 4)))
    return solids


def rear_rack(plan: BicyclePlan) -> list[Solid]:
    """Make a luggage rack over the rear wheel: platform of tubes, two struts a side, stays to the seat tube."""
    axle, top = plan.rear_axle, plan.wheel + plan.rear_axle[2] + 0.05
    front, rear, x = axle[1] - 0.16, axle[1] + 0.2, 0.055
    loop = [(0, front, top), (x, front, top), (x, rear, top), (0, rear, top)]
    solids = [pair(tube(rounded_path(loop, 0.03), 0.005, "metal", 6))]
    solids += [tube([(at, front, top), (at, rear, top)], 0.004, "metal", 6) for at in (-0.02, 0.02)]
    solids += [tube([(-x, y, top), (x, y, top)], 0.004, "metal", 6) for y in np.linspace(front, rear, 5)[1:-1]]
    foot = axle + vec(plan.hub[1] + 0.012, -0.005, 0.02)
    for y in (front + 0.1, rear - 0.07):
        solids.append(pair(tube([foot, vec(x + 0.012, y, top - 0.05), vec(x, y, top)], 0.005, "metal", 6)))
    stay = [(0.03, front, top), (0.018, *plan.seat(plan.seat_tube - 0.06)[1:])]
    return [*solids, pair(tube(stay, 0.004, "metal", 6))]


def panniers(plan: BicyclePlan, depth: float) -> list[Solid]:
    """Make a bag with a flap and a strap on either side of the rear rack."""
    axle, top = plan.rear_axle, plan.wheel + plan.rear_axle[2] + 0.04
    at = np.array([0.06 + depth / 2, axle[1] + 0.055, top - 0.17])
    bag = rounded_box(at, (depth, 0.3, 0.34), 0.045, "fabric", 1)
    flap = rounded_box(at + vec(0.004, 0, 0.14), (depth + 0.012, 0.308, 0.085), 0.03, "fabric", 1)
    strap = rounded_box(at + vec(depth / 2 + 0.003, 0, 0.06), (0.012, 0.03, 0.13), 0.004, "plastic", 1)
    pocket = rounded_box(at + vec(depth / 2 + 0.004, 0, -0.05), (0.03, 0.22, 0.16), 0.014, "fabric", 1)
    return [pair(join([bag, flap, strap, pocket]))]


def basket(plan: BicyclePlan, width: float) -> list[Solid]:
    """Make a wire basket before the handlebar, held by two struts from the front axle."""
    y, z = float(plan.clamp[1]) - 0.19, float(plan.clamp[2]) - 0.03
    solids = []
    levels = np.linspace(0, 1, 5)
    for share in levels:
        half = np.array([width / 2 * (0.8 + 0.2 * share), 0.105 + 0.03 * share])
        corners = np.array([(1, 1), (-1, 1), (-1, -1), (1, -1)]) * half
        ring = rounded_path([*corners, corners[0], corners[1]], 0.04)[1:-1]
        height = z - 0.22 * (1 - share)
        path = np.column_stack([ring[:, 0], y + ring[:, 1], np.full(len(ring), height)])
        solids.append(tube(path, 0.004 if share == 1 else WIRE, "metal", 4, closed=True))
    around = np.linspace(-1, 1, 9)
    for a in around:
        for side in (-1, 1):
            solids.append(_rib(y, z, (a * 0.92, side), width))
            if abs(a) < 0.8:
                solids.append(_rib(y, z, (side, a), width))
    for a in around[1:-1]:
        solids.append(
            tube([(a * 0.4 * width, y - 0.105, z - 0.22), (a * 0.4 * width, y + 0.105, z - 0.22)], WIRE, "metal", 3)
        )
    foot = plan.front_axle + vec(plan.hub[0] + 0.008, -0.004, 0.01)
    solids.append(pair(tube([foot, vec(0.09, y - 0.02, z - 0.22)], 0.004, "metal", 6)))
    bracket = tube([plan.clamp + vec(0, 0, -0.012), vec(0, y + 0.12, z - 0.09)], 0.011, "metal", 8)
    return [*solids, bracket, tube([(-0.06, y + 0.122, z - 0.09), (0.06, y + 0.122, z - 0.09)], 0.007, "metal", 6)]


def _rib(y: float, z: float, at: tuple[float, float], width: float) -> Solid:
    """Make an upright wire of the basket at a place (x, y) of its unit square."""
    top = (at[0] * width / 2, y + at[1] * 0.135, z)
    low = (at[0] * 0.4 * width, y + at[1] * 0.105, z - 0.22)
    return tube([low, top], WIRE, "metal", 3)


def bottle(plan: BicyclePlan, radius: float, on_seat_tube: bool) -> list[Solid]:
    """Make a drinking bottle in its cage on the down tube or the seat tube."""
    if on_seat_tube:
        start, direction = plan.seat(0.1), plan.seat(1) - plan.seat(0)
        off = np.array([0, -direction[2], direction[1]])
    else:
        direction = (plan.head_low - plan.bracket) / np.linalg.norm(plan.head_low - plan.bracket)
        start, off = plan.bracket + 0.14 * direction, np.array([0, -direction[2], direction[1]])
        off = off * np.sign(off[2])
    start = start + (radius + 0.04) * off
    profile = [
        (0, 0),
        (0.033, 0),
        (0.036, 0.006),
        (0.036, 0.08),
        (0.032, 0.09),
        (0.036, 0.1),
        (0.036, 0.14),
        (0.022, 0.165),
    ]
    profile += [(0.024, 0.167), (0.024, 0.18), (0.009, 0.183), (0.008, 0.2), (0, 0.2)]
    cage = [
        start - 0.039 * off + 0.12 * direction,
        start - 0.039 * off - 0.005 * direction,
        start + 0.036 * off - 0.005 * direction,
    ]
    cage += [start + 0.04 * off + 0.03 * direction]
    hoop = turned([(0.0365, 0.07), (0.039, 0.072), (0.039, 0.08), (0.0365, 0.082)], start, direction, "metal", 12)
    bracket = tube(
        [start - 0.03 * off + 0.06 * direction, start - (radius + 0.03) * off + 0.06 * direction], 0.012, "metal", 8
    )
    return [
        turned(profile, start, direction, "plastic", 12),
        tube(rounded_path(cage, 0.015), 0.0035, "metal", 6),
        hoop,
        bracket,
    ]


def lamps(plan: BicyclePlan, rack: bool) -> list[Solid]:
    """Make a head lamp above the front wheel and a red rear lamp on the rack or the rear mudguard."""
    crown = plan.head_low + vec(0, -0.045, 0.0)
    at = crown + vec(0, -0.035, 0.045)
    shell = [(0, 0.05), (0.018, 0.045), (0.03, 0.02), (0.033, 0.0), (0.033, -0.012), (0.029, -0.013), (0, -0.012)]
    front = turned(np.array(shell) * [1, -1], at, (0, -1, 0), "metal", 12)
    glass = turned([(0, 0.0), (0.0285, 0.0), (0.0285, 0.012), (0.018, 0.018), (0, 0.02)], at, (0, -1, 0), "light", 12)
    arm = tube(
        [plan.head_low + vec(0, 0, -0.01), crown + vec(0, -0.01, 0), at + vec(0, 0.01, -0.025)], 0.006, "metal", 8
    )
    if rack:
        y, z = plan.rear_axle[1] + 0.207, plan.wheel + plan.rear_axle[2] + 0.045
    else:
        y, z = plan.rear_axle[1] + 0.5 * plan.wheel, plan.rear_axle[2] + 0.94 * plan.wheel
    box = rounded_box((0, y, z), (0.07, 0.022, 0.035), 0.008, "plastic", 1)
    red = rounded_box((0, y + 0.01, z), (0.06, 0.012, 0.026), 0.005, "taillight", 1)
    return [front, glass, arm, box, red]


def battery(plan: BicyclePlan, radius: float) -> list[Solid]:
    """Make the battery of an electric bicycle along the down tube."""
    direction = plan.head_low - plan.bracket
    direction = direction / np.linalg.norm(direction)
    off = np.array([0, -direction[2], direction[1]])
    off = off * np.sign(off[2])
    middle = plan.bracket + 0.3 * direction + (radius + 0.03) * off
    tilt = np.arctan2(-direction[2], -direction[1])
    case = rounded_box((0, 0, 0), (0.078, 0.36, 0.075), 0.022, "plastic", 2)
    rail = rounded_box((0, 0, -0.04), (0.05, 0.38, 0.03), 0.008, "metal", 1)
    return [moved(join([case, rail]), middle, rotation_about("x", tilt))]


def side_stand(plan: BicyclePlan) -> list[Solid]:
    """Make a folded stand along the left chain stay."""
    start = plan.bracket + vec(0.03, 0.055, 0.0)
    path = [start - vec(0.03, 0, 0), start + vec(0.022, 0.01, -0.012), start + vec(0.045, 0.27, 0.03)]
    foot = rounded_box(path[-1], (0.022, 0.035, 0.018), 0.006, "plastic", 1)
    return [tube(rounded_path(path, 0.03), 0.008, "metal", 8), foot]


def bell(plan: BicyclePlan, x: float, back: float, up: float) -> list[Solid]:
    """Make a bell on the left half of the handlebar."""
    at = plan.clamp + vec(x, back, up)
    dome = [(0, 0.0), (0.024, 0.0), (0.026, 0.008), (0.02, 0.02), (0.008, 0.027), (0, 0.028)]
    return [
        turned(dome, at + vec(0, 0, 0.016), (0, 0, 1), "metal", 16),
        cylinder(at, at + vec(0, 0, 0.02), 0.008, "plastic", 8),
    ]


def quick_release(plan: BicyclePlan) -> list[Solid]:
    """Make a clamp lever at the seat tube's upper end."""
    at = plan.seat(plan.seat_tube - 0.008)
    path = [at + vec(0.024, 0, 0), at + vec(0.03, 0.02, -0.004), at + vec(0.02, 0.045, -0.01)]
    return [tube(smooth_path(path, 6), 0.005, "metal", 6)]
