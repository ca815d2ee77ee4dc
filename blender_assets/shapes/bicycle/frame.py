"""Frames and forks of the parametric bicycles. Metres, front at -y."""

import numpy as np

from blender_assets.shapes.bicycle.measures import SHELL_HALF, BicyclePlan
from blender_assets.shapes.cycle_parts import rounded_path, turned, vec
from blender_assets.shapes.mesh import Array, Solid, cylinder, pair, rounded_box, smooth_path, tube


def _head_tube(plan: BicyclePlan, radius: float) -> list[Solid]:
    """Make a head tube with the two bearing cups."""
    low, high, axis = plan.head_low, plan.head_high, plan.head_axis
    cups = [cylinder(p - 0.007 * axis, p + 0.007 * axis, 1.12 * radius, "metal", 14) for p in (low, high)]
    return [cylinder(low, high, radius, "paint", 14), *cups]


def rear_triangle(plan: BicyclePlan, top: float, radius: float) -> list[Solid]:
    """Make chain stays and seat stays to the rear axle; the latter meet the seat tube at a distance `top` up it."""
    axle, hub = plan.rear_axle, plan.hub[1] + 0.004
    bracket, cluster = plan.bracket, plan.seat(top)
    beside = plan.tyre + radius + 0.006
    toward = (axle - bracket) / np.linalg.norm(axle - bracket)
    yoke = bracket + toward * (plan.chain_stay - plan.wheel + 0.03)
    chain_stay = [bracket + vec(0.022, 0, 0), yoke + vec(beside, 0, 0), axle + vec(hub, -0.01, 0)]
    up = (cluster - axle) / np.linalg.norm(cluster - axle)
    bridge = axle + up * (plan.wheel + 0.025)
    seat_stay = [cluster + vec(0.014, 0, 0), bridge + vec(beside, 0, 0), axle + vec(hub, 0, 0.01)]
    sizes = np.linspace(radius * 1.15, radius * 0.8, 8)
    stays = [pair(tube(_resampled(path, 8), sizes, "paint", 8)) for path in (chain_stay, seat_stay)]
    dropout = rounded_box(axle + vec(hub, -0.006, 0.002), (0.007, 0.045, 0.04), 0.003, "paint", 1)
    joint = tube([bridge - vec(beside, 0, 0), bridge + vec(beside, 0, 0)], radius * 0.7, "paint", 8)
    return [*stays, pair(dropout), joint]


def _resampled(points: list[Array], count: int) -> Array:
    """Return `count` points along a polyline with a rounded corner, evenly spaced."""
    path = rounded_path(points, 0.1)
    at = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
    where = np.linspace(0, at[-1], count)
    return np.stack([np.interp(where, at, path[:, i]) for i in range(3)], axis=1)


def _seat_tube(plan: BicyclePlan, radius: float) -> list[Solid]:
    """Make a seat tube, its clamp, the bottom bracket shell and the seat post up to the saddle's clamp."""
    half = np.array([SHELL_HALF, 0, 0])
    top = plan.seat_tube
    return [
        tube([plan.bracket, plan.seat(top)], radius, "paint", 14),
        cylinder(plan.seat(top - 0.018), plan.seat(top + 0.004), radius + 0.004, "metal", 14),
        tube([plan.seat(top - 0.02), plan.seat(plan.saddle - 0.055)], 0.0145, "metal", 12),
        cylinder(plan.bracket - half, plan.bracket + half, radius + 0.007, "paint", 16),
    ]


def diamond(plan: BicyclePlan, radius: float, stay: float, sag: float = 0.0, bow: float = 0.0) -> list[Solid]:
    """Make a diamond frame from the radii of the main tubes and the stays.

    sag: distance below the seat tube's end at which the top tube meets it. bow: bend of top and down tube in metres, as
    hydroformed tubes have.
    """
    axis = plan.head_axis
    inset = radius * 1.15
    top = [plan.head_high - inset * axis, plan.seat(plan.seat_tube - 0.03 - sag)]
    down = [plan.head_low + (inset + 0.004) * axis, plan.bracket]
    tubes = []
    for (a, b), size, lift in ((top, radius * 0.92, bow), (down, radius * 1.12, -0.6 * bow)):
        path = smooth_path([a, (a + b) / 2 + vec(0, 0, lift), b], 9) if lift else np.array([a, b])
        tubes.append(tube(path, size, "paint", 14))
    triangle = rear_triangle(plan, plan.seat_tube - 0.045 - sag, stay)
    return [*_head_tube(plan, radius * 1.2), *_seat_tube(plan, radius), *tubes, *triangle]


def step_through(plan: BicyclePlan, radius: float, stay: float, twin: bool) -> list[Solid]:
    """Make a city frame: a swooping down tube, and a second tube close above it if `twin`, so that one can step
    through."""
    axis = plan.head_axis
    low, high, bracket = plan.head_low, plan.head_high, plan.bracket
    a = low + 0.035 * axis
    knots = [a, a * 0.62 + bracket * 0.38 + vec(0, -0.01, -0.06), bracket + vec(0, -0.06, 0.03), bracket]
    tubes = [tube(smooth_path(knots, 12), radius * (1.1 if twin else 1.35), "paint", 12)]
    if twin:
        b, end = high - 0.035 * axis, plan.seat(0.42 * plan.seat_tube)
        knots = [b, b * 0.55 + end * 0.45 + vec(0, -0.01, -0.06), end]
        tubes.append(tube(smooth_path(knots, 10), radius * 0.95, "paint", 12))
    triangle = rear_triangle(plan, plan.seat_tube - 0.05, stay)
    return [*_head_tube(plan, radius * 1.2), *_seat_tube(plan, radius * 0.95), *tubes, *triangle]


def folding_beam(plan: BicyclePlan, radius: float, stay: float) -> list[Solid]:
    """Make a folding frame: one thick beam with a hinge, a long seat mast behind it and small stays."""
    a, b = (plan.head_low + plan.head_high) / 2, plan.seat(0.55 * plan.seat_tube)
    knots = [a, a * 0.6 + b * 0.4 + vec(0, 0, -0.045), b]
    path = smooth_path(knots, 14)
    beam = tube(path, np.linspace(radius * 1.25, radius * 1.1, 14), "paint", 16)
    middle, along = path[7], (path[8] - path[7]) / np.linalg.norm(path[8] - path[7])
    size = 1.4 * radius
    rims = [(0, -0.022), (size, -0.02), (size, -0.002), (0.9 * size, 0), (size, 0.002), (size, 0.02), (0, 0.022)]
    hinge = turned(rims, middle, along, "metal")
    lever = rounded_box(middle + vec(0.0, 0.015, radius * 1.3 + 0.006), (0.014, 0.08, 0.012), 0.004, "plastic", 1)
    brace = tube([path[-4] - vec(0, 0, 0.02), plan.bracket + vec(0, -0.01, 0.01)], radius * 0.7, "paint", 12)
    triangle = rear_triangle(plan, plan.seat_tube - 0.05, stay)
    return [*_head_tube(plan, radius * 0.85), *_seat_tube(plan, radius * 0.8), beam, hinge, lever, brace, *triangle]


def rigid_fork(plan: BicyclePlan, blade: float, part: str, bent: bool = True) -> list[Solid]:
    """Make a rigid fork: crown and two blades, tapered and bent forward to the axle, or straight and thick."""
    axle, x = plan.front_axle, plan.hub[0] + 0.003
    top, beside = plan.head_low - 0.012 * plan.head_axis, plan.tyre + blade + 0.006
    shoulder = top - 0.035 * plan.head_axis
    low = plan.steer(0.32 * plan.crown) if bent else (shoulder + axle) / 2
    path = [shoulder + vec(beside, 0, 0), low + vec(0.5 * (beside + x), 0, 0), axle + vec(x, 0, 0.004)]
    taper = np.linspace(1.0, 0.55 if bent else 0.9, 9)
    blades = pair(tube(smooth_path(path, 9), blade * taper, part, 9))
    arms = pair(
        tube(rounded_path([top, top + vec(beside, 0, 0.006), shoulder + vec(beside, 0, -0.02)], 0.03), blade, part, 10)
    )
    crown = cylinder(top - 0.02 * plan.head_axis, top + 0.008 * plan.head_axis, blade * 1.35, part, 14)
    dropout = pair(rounded_box(axle + vec(x, 0, 0), (0.008, 0.03, 0.03), 0.003, "metal", 1))
    return [blades, arms, crown, dropout]


def suspension_fork(plan: BicyclePlan, travel: float) -> list[Solid]:
    """Make a telescopic fork: crown, bright stanchions, painted lower legs joined by an arch before the wheel."""
    axis, axle = plan.head_axis, plan.front_axle
    x = np.array([plan.hub[0] + 0.016, 0, 0])
    top = plan.head_low - 0.015 * axis
    foot = plan.steer(0.0) * [0, 1, 1]
    seal = plan.steer(plan.crown - 0.03 - travel)
    crown = [tube([top - x, top + x], 0.023, "plastic", 12), cylinder(top, top + 0.02 * axis, 0.025, "plastic", 14)]
    cap = pair(cylinder(top + x - 0.025 * axis, top + x + 0.02 * axis, 0.02, "plastic", 12))
    stanchion = pair(tube([top + x, seal + x - 0.03 * axis], 0.0165, "metal", 12))
    profile = [(0.0, 0.0), (0.016, 0.0), (0.018, 0.1), (0.022, 0.2), (0.0225, 1.0), (0.019, 1.0), (0.0, 1.0)]
    length = float(np.linalg.norm(seal - foot))
    lower = pair(turned(np.array(profile) * [1, length], foot + x, axis, "paint", 12))
    ahead = np.array([0, -axis[2], axis[1]])
    arch = [seal - 0.02 * axis + x + 0.008 * ahead, seal + 0.045 * axis + 0.7 * x + 0.03 * ahead]
    arch += [(point * [-1, 1, 1]) for point in arch[::-1]]
    bow = tube(rounded_path(arch, 0.03), 0.011, "paint", 10)
    dropout = pair(rounded_box(axle + x - vec(0.008, 0, 0), (0.022, 0.04, 0.045), 0.006, "paint", 1))
    lug = pair(tube([foot + x + 0.01 * axis, axle + x], 0.016, "paint", 10))
    return [*crown, cap, stanchion, lower, bow, dropout, lug]
