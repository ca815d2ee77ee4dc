"""Parametric cars: six body types, a lofted body with wheel wells, a greenhouse with inset windows, fittings."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from blender_assets.shapes.car.greenhouse import greenhouse, window_corners
from blender_assets.shapes.car.shell import CarPlan, body_shell, trunk_corner
from blender_assets.shapes.mesh import (
    Array,
    Draft,
    Solid,
    both_sides,
    cylinder,
    join,
    lathe,
    loft,
    moved,
    part_index,
    rotation_about,
    rounded_box,
    tube,
    with_right,
)

SEDAN = CarPlan(
    length=4.75, half_width=0.91, wheel_radius=0.335, axle_front=0.92, axle_rear=3.72, floor=0.2,
    deck=((0, 0.62), (0.12, 0.72), (0.45, 0.81), (1.35, 0.95), (2.5, 0.95), (4.0, 1.0), (4.6, 0.99), (4.75, 0.93)),
    cowl=1.3, roof_front=2.2, roof_rear=3.3, glass_rear=4.15, roof_height=1.46, doors=(1.48, 2.5, 3.36),
    pillars=(2.5,), tail_light=(0.62, 0.86, 0.55), quarter=0.93,
)  # fmt: skip
HATCHBACK = replace(
    SEDAN, length=4.05, half_width=0.88, wheel_radius=0.315, axle_front=0.8, axle_rear=3.35,
    deck=((0, 0.64), (0.12, 0.76), (0.4, 0.84), (1.1, 0.97), (2.4, 0.96), (3.6, 1.0), (4.05, 0.98)),
    cowl=0.98, roof_front=1.75, roof_rear=3.45, glass_rear=3.9, roof_height=1.5, doors=(1.3, 2.4, 3.0),
    pillars=(2.4,), tail_light=(0.6, 0.97, 0.7), quarter=0.9,
)  # fmt: skip
SUV = replace(
    SEDAN, length=4.6, half_width=0.94, wheel_radius=0.385, axle_front=0.88, axle_rear=3.66, floor=0.33,
    deck=((0, 0.86), (0.1, 1.0), (0.4, 1.06), (1.25, 1.13), (2.4, 1.1), (4.2, 1.12), (4.6, 1.1)),
    cowl=1.15, roof_front=1.85, roof_rear=4.15, glass_rear=4.46, roof_height=1.78, doors=(1.42, 2.42, 3.28),
    pillars=(2.42, 3.28), tail_light=(0.55, 0.97, 0.76), quarter=0.97, cladding=True, roof_rails=True, roof_bow=0.04,
)  # fmt: skip
VAN = replace(
    SEDAN, length=4.9, half_width=0.96, wheel_radius=0.345, axle_front=0.86, axle_rear=3.92, floor=0.23,
    deck=((0, 0.72), (0.1, 0.86), (0.35, 0.96), (0.85, 1.1), (2.4, 1.06), (4.6, 1.06), (4.9, 1.04)),
    cowl=0.72, roof_front=1.65, roof_rear=4.65, glass_rear=4.8, roof_height=1.9, doors=(1.38, 2.3, 3.36),
    pillars=(1.42, 2.3, 3.36), tail_light=(0.5, 0.97, 0.78), quarter=0.97,
)  # fmt: skip
COUPE = replace(
    SEDAN, length=4.4, half_width=0.93, wheel_radius=0.345, axle_front=0.9, axle_rear=3.5, floor=0.15,
    deck=((0, 0.5), (0.12, 0.6), (0.5, 0.72), (1.5, 0.84), (2.6, 0.83), (3.6, 0.9), (4.25, 0.9), (4.4, 0.85)),
    cowl=1.4, roof_front=2.2, roof_rear=2.85, glass_rear=4.0, roof_height=1.27, doors=(1.5, 2.72),
    pillars=(), tail_light=(0.66, 0.86, 0.4), quarter=0.86, spoiler=True, head_light=0.68,
)  # fmt: skip
PICKUP = replace(
    SEDAN, length=5.3, half_width=0.95, wheel_radius=0.39, axle_front=0.92, axle_rear=4.1, floor=0.36,
    deck=((0, 0.86), (0.08, 1.0), (0.35, 1.08), (1.35, 1.15), (2.5, 1.14), (4.5, 1.14), (5.3, 1.14)),
    cowl=1.28, roof_front=1.95, roof_rear=3.2, glass_rear=3.36, roof_height=1.8, doors=(1.46, 2.5, 3.3),
    pillars=(2.5,), tail_light=(0.5, 0.95, 0.83), quarter=0.93, cladding=True, bed=(3.52, 5.14),
)  # fmt: skip
BODY_TYPES = (SEDAN, HATCHBACK, SUV, VAN, COUPE, PICKUP)
TYRE_WIDTH = 0.66  # in wheel radii
HUB_INSET = 0.08 * TYRE_WIDTH  # of the hub cap behind the tyre's outer face, in wheel radii


@dataclass(frozen=True)
class Look:
    """Drawn details: number and taper of the wheel spokes, and bright or dark handles."""

    spokes: int
    spoke_taper: float
    bright_handles: bool


def car(body_type: int, rng: np.random.Generator) -> Draft:
    """Make a car in metres: body_type 0..5 is sedan, hatchback, SUV, van, coupe, pickup; mostly paint.

    Front at -y, ground at z = 0, mirror-symmetric in x. Proportions and details are drawn from `rng`.
    """
    plan = _drawn_plan(BODY_TYPES[body_type], rng)
    look = Look(int(rng.integers(5, 11)), float(rng.uniform(0.55, 1.0)), bool(rng.integers(2)))
    body = body_shell(plan)
    fittings = _wheels(plan, look) + _mirrors(plan) + _side_fittings(plan, look) + _end_fittings(plan)
    return Draft([body, greenhouse(plan), *fittings], _keypoints(plan, body))


def _keypoints(plan: CarPlan, body: Solid) -> dict[str, ArrayLike]:
    """Return hub caps, upper corners of windscreen and rear window, middles of the head lamps, rear corners of the
    deck."""
    windscreen, rear_window = window_corners(plan)
    left = {
        "upper_left_windshield": windscreen,
        "upper_left_rearwindow": rear_window,
        "left_front_light": _middle(body, "light"),
        "left_back_trunk": trunk_corner(plan),
    }
    for end, s in (("front", plan.axle_front), ("back", plan.axle_rear)):
        left[f"left_{end}_wheel"] = np.array(
            [_wheel_x(plan) - HUB_INSET * plan.wheel_radius, plan.y(s), plan.wheel_radius]
        )
    return with_right(left)


def _middle(body: Solid, part: str) -> Array:
    """Return the vertex (3,) nearest to the mean of a part's faces on the left side."""
    corners = body.vertices[body.faces[body.face_part == part_index(part)]]
    left = corners[corners[..., 0].min(axis=1) > 0]
    area = np.linalg.norm(np.cross(left[:, 1] - left[:, 0], left[:, 2] - left[:, 0]), axis=1)
    mean = np.average(left.mean(axis=1), axis=0, weights=area)
    points = left.reshape(-1, 3)
    return np.asarray(points[np.linalg.norm(points - mean, axis=1).argmin()])


def _drawn_plan(plan: CarPlan, rng: np.random.Generator) -> CarPlan:
    """Draw a plan whose length, width, height, wheels and roof line vary by a few per cent around the body type."""
    stretch, widen, raise_ = rng.uniform((0.94, 0.95, 0.96), (1.06, 1.05, 1.06))
    belt = rng.uniform(0.96, 1.04)
    knots = tuple((s * stretch, z * belt) for s, z in plan.deck)
    bed = (plan.bed[0] * stretch, plan.bed[1] * stretch) if plan.bed else ()
    return replace(
        plan,
        length=plan.length * stretch,
        half_width=plan.half_width * widen,
        wheel_radius=plan.wheel_radius * rng.uniform(0.97, 1.04),
        axle_front=plan.axle_front * stretch,
        axle_rear=plan.axle_rear * stretch,
        deck=knots,
        cowl=plan.cowl * stretch + rng.uniform(-0.06, 0.06),
        roof_front=plan.roof_front * stretch + rng.uniform(-0.1, 0.1),
        roof_rear=plan.roof_rear * stretch + rng.uniform(-0.12, 0.04),
        glass_rear=plan.glass_rear * stretch,
        roof_height=plan.roof_height * raise_,
        doors=tuple(d * stretch for d in plan.doors),
        pillars=tuple(p * stretch for p in plan.pillars),
        bed=bed,
        roof_rails=plan.roof_rails and bool(rng.random() < 0.9),
        spoiler=plan.spoiler and bool(rng.random() < 0.6),
        cladding=plan.cladding and bool(rng.random() < 0.9),
        grille=(float(rng.uniform(0.34, 0.52)), float(rng.choice([0.5, 0.56, 0.62]))),
        nose_exponent=float(rng.uniform(2.5, 3.4)),
    )


def _wheel(radius: float, look: Look) -> Solid:
    """Make one wheel about the x axis, its outer face at x = 0 and its width and its stub axle towards -x."""
    width, rim = TYRE_WIDTH * radius, 0.69 * radius
    shoulder = 0.93 * radius
    tyre = [(rim, -0.05 * width), (0.8 * radius, 0.0), (shoulder, -0.05 * width), (radius, -0.16 * width)]
    tyre += [(radius, -0.84 * width), (shoulder, -0.95 * width), (0.8 * radius, -width), (rim, -0.97 * width)]
    barrel = [(rim * 1.02, -0.06 * width), (rim * 1.02, -0.02 * width), (rim * 0.9, -0.05 * width)]
    barrel += [(rim * 0.87, -0.5 * width), (rim * 1.02, -0.6 * width)]
    disc = [(0, -0.5 * width), (0.95 * rim, -0.5 * width), (0.95 * rim, -0.7 * width), (0, -0.7 * width)]
    hub = [(0, -HUB_INSET * radius), (0.14 * rim, -0.1 * width), (0.2 * rim, -0.3 * width), (0, -0.3 * width)]
    spokes = []
    for k in range(look.spokes):
        rings = []
        for r, half, x in ((0.1 * rim, 0.11, -0.16), (0.5 * rim, 0.1, -0.13), (0.93 * rim, 0.1, -0.1)):
            half *= rim * (look.spoke_taper if r > 0.9 * rim else 1) * 7 / (look.spokes + 2)
            rings.append(
                [(x * width + dx * width, dy * half, r) for dx, dy in ((0, -0.7), (0, 0.7), (-0.2, 1), (-0.2, -1))]
            )
        spokes.append(moved(loft(rings, "metal"), rotation=rotation_about("x", 2 * np.pi * k / look.spokes)))
    round_parts = [
        lathe([*tyre, tyre[0]], "rubber"),
        lathe([*barrel, barrel[0]], "metal"),
        lathe(disc, "plastic"),
        lathe(hub, "metal", segments=14),
        cylinder((-0.6 * width, 0, 0), (-0.72 * radius - 0.17, 0, 0), 0.2 * rim, "metal", 10),
    ]
    return join([*round_parts, *spokes])


def _wheel_x(plan: CarPlan) -> float:
    """Return the x of the outer face of the left wheels, in metres."""
    return plan.half_width - 0.015


def _wheels(plan: CarPlan, look: Look) -> list[Solid]:
    """Make the four wheels, standing on z = 0."""
    wheel = _wheel(plan.wheel_radius, look)
    x = _wheel_x(plan)
    return [
        both_sides(moved(wheel, (x, s - plan.length / 2, plan.wheel_radius))) for s in (plan.axle_front, plan.axle_rear)
    ]


def _mirrors(plan: CarPlan) -> list[Solid]:
    """Make door mirrors behind the foot of the windscreen: housing, stalk and glass towards the rear."""
    y = plan.y(plan.cowl + 0.42)
    x, z = plan.half_width * 0.9, float(plan.deck_height(y)) + 0.1
    housing = rounded_box((x + 0.14, y, z), (0.2, 0.11, 0.14), 0.045, "paint")
    glass = rounded_box((x + 0.14, y + 0.05, z), (0.155, 0.02, 0.1), 0.008, "glass", 1)
    stalk = rounded_box((x + 0.03, y, z - 0.045), (0.14, 0.05, 0.03), 0.012, "plastic", 1)
    return [both_sides(join([housing, glass, stalk]))]


def _side_fittings(plan: CarPlan, look: Look) -> list[Solid]:
    """Make door handles, and roof rails or a rear wing if the body type has them."""
    fittings = []
    for door_end in plan.doors[1:]:
        y = plan.y(door_end - 0.16)
        z = plan.floor + 0.8 * (float(plan.deck_height(y)) - plan.floor)
        x = plan.side_x(0.8)
        part = "metal" if look.bright_handles else "paint"
        fittings.append(both_sides(rounded_box((x + 0.012, y, z), (0.05, 0.19, 0.032), 0.014, part, 1)))
    if plan.roof_rails:
        x = plan.half_width * 0.63
        ends = np.linspace(plan.roof_front + 0.2, plan.roof_rear - 0.15, 12)
        path = [(x, plan.y(s), float(plan.roof_at(plan.y(s), x)) + 0.045) for s in ends]
        path[0] = (x, path[0][1], path[0][2] - 0.06)
        path[-1] = (x, path[-1][1], path[-1][2] - 0.06)
        fittings.append(both_sides(tube(path, 0.022, "metal", 8)))
    if plan.spoiler:
        y = plan.y(plan.length - 0.2)
        z = float(plan.deck_height(y))
        blade = rounded_box((0, y + 0.02, z + 0.09), (1.56 * plan.half_width, 0.24, 0.035), 0.016, "paint")
        post = rounded_box((0.56, y, z + 0.01), (0.05, 0.14, 0.16), 0.015, "paint")
        fittings += [blade, both_sides(post)]
    return fittings


def _end_fittings(plan: CarPlan) -> list[Solid]:
    """Make number plates front and rear, and exhaust pipe ends under the rear bumper."""
    front_z = plan.floor + 0.42 * (float(plan.deck_height(plan.y(0.0))) - plan.floor)
    rear_z = plan.floor + 0.55 * (float(plan.deck_height(plan.y(plan.length))) - plan.floor)
    plates = [
        rounded_box((0, plan.y(0.0) - 0.002, front_z), (0.5, 0.03, 0.11), 0.006, "metal", 1),
        rounded_box((0, plan.y(plan.length), rear_z), (0.5, 0.03, 0.12), 0.006, "metal", 1),
    ]
    y = plan.y(plan.length - 0.12)
    pipe = cylinder((0.5, y - 0.3, plan.floor), (0.5, y, plan.floor), 0.035, "metal", 12)
    return [*plates, both_sides(pipe)]
