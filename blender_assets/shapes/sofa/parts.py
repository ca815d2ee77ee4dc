"""Parts of the parametric sofas: seats, arms, backs, legs, frames. Metres, the sitter looks to -y, the floor at 0."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from blender_assets.shapes.chair.parts import bend, corner, nearest, panel, square_leg, swept_post
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
    superellipse,
    tube,
    with_right,
)
from blender_assets.shapes.sofa.cushions import boxed_cushion, rounded_outline, standing


@dataclass(frozen=True)
class SofaPlan:
    """Main measures of a sofa in metres.

    clear: height of the underside; seat: of the upper side of the seat; arm: width of an arm rest; back: thickness of
    the back rest; lean_rad: its tilt backwards; seats: number of cushions; thick: of a seat cushion.
    """

    width: float
    depth: float
    top: float
    clear: float
    seat: float
    arm: float
    arm_top: float
    back: float
    lean_rad: float
    seats: int
    thick: float = 0.16

    @property
    def inner(self) -> float:
        """Width between the arm rests."""
        return self.width - 2 * self.arm

    @property
    def crease(self) -> float:
        """The y at which the front of the back rest's frame meets the height of the seat."""
        return self.depth / 2 - self.back - (self.top - self.seat) * float(np.tan(self.lean_rad))

    def on_back(self, solid: Solid, up: float, out: float) -> Solid:
        """Place a part, drawn about the origin as if upright: `up` along the back rest from the seat, `out` before
        it."""
        cos, sin = np.cos(self.lean_rad), np.sin(self.lean_rad)
        shift = (0, self.crease + up * sin - out * cos, self.seat + up * cos + out * sin)
        return moved(solid, shift, rotation_about("x", -self.lean_rad))


def seat_cushions(plan: SofaPlan, overhang: float = 0.01, puff: float = 0.022) -> list[Solid]:
    """Make seat cushions side by side from the front edge to the back rest; the left one is the last."""
    pitch = plan.inner / plan.seats
    front = -plan.depth / 2 - overhang
    size = (pitch - 0.004, plan.crease - front, plan.thick)
    one = boxed_cushion(size, puff)
    middle = (front + plan.crease) / 2
    return [
        moved(one, ((k + 0.5) * pitch - plan.inner / 2, middle, plan.seat - plan.thick / 2 - 0.5 * puff))
        for k in range(plan.seats)
    ]


def back_cushions(plan: SofaPlan, count: int, rise: float, thick: float, puff: float = 0.03) -> list[Solid]:
    """Make back cushions side by side on the seat, `rise` metres tall; the left one is the last."""
    pitch = plan.inner / count
    one = standing(boxed_cushion((pitch - 0.004, rise, thick), puff))
    return [
        moved(plan.on_back(one, rise / 2 - 0.015, thick / 2 - 0.012), ((k + 0.5) * pitch - plan.inner / 2, 0, 0))
        for k in range(count)
    ]


def base_box(plan: SofaPlan, width: float, front: float = 0.02, rear: float = 0.02) -> Solid:
    """Make an upholstered box below the seat, set back by `front` and `rear` metres from the ends of the sofa."""
    low, top = plan.clear - 0.005, plan.seat - plan.thick + 0.02  # its underside is not level with those of the arms
    size = (width, plan.depth - front - rear, top - low)
    return rounded_box((0, (front - rear) / 2, (low + top) / 2), size, 0.02, "fabric", 3)


def back_shell(plan: SofaPlan, width: float, radius: float) -> Solid:
    """Make the frame of the back rest from the underside to the top: upright behind, leaning in front."""
    low = plan.clear + 0.005
    tall = plan.top - low
    box = rounded_box((0, 0, low + tall / 2), (width, plan.back, tall), radius, "fabric", 4)
    x, y, z = box.vertices.T
    front = plan.crease + (z - plan.seat) * np.tan(plan.lean_rad)
    y = front + (y / plan.back + 0.5) * (plan.depth / 2 - front)
    return Solid(np.stack([x, y, z], axis=1), box.faces, box.face_part)


def track_arms(plan: SofaPlan, radius: float) -> Solid:
    """Make box-shaped arm rests, piped around their front faces."""
    high, long = plan.arm_top - plan.clear, plan.depth - 0.04
    x, z = (plan.width - plan.arm) / 2, (plan.arm_top + plan.clear) / 2
    box = rounded_box((x, 0, z), (plan.arm, long, high), radius, "fabric", 4)
    edge = rounded_outline(plan.arm / 2 - 0.3 * radius, high / 2 - 0.3 * radius, radius)
    loop = np.column_stack([x + edge[:, 0], np.full(len(edge), 0.3 * radius - long / 2), z + edge[:, 1]])
    return pair(join([box, tube(loop, 0.0055, "fabric", 4, closed=True)]))


def scroll_front(x: float, y: float, z: float, roll: float) -> Solid:
    """Make piping and a button on the front end of a scroll of the radius `roll`."""
    ring = superellipse(32) * 0.74 * roll
    loop = np.column_stack([x + ring[:, 0], np.full(32, y), z + ring[:, 1]])
    button = rounded_box((x, y, z), (0.026, 0.016, 0.026), 0.0079, "fabric", 2)
    return join([tube(loop, 0.0055, "fabric", 4, closed=True), button])


def rolled_arms(plan: SofaPlan, roll: float) -> Solid:
    """Make arm rests under a scroll of the radius `roll`."""
    x, z = plan.width / 2 - roll, plan.arm_top - roll
    front, rear = 0.015 - plan.depth / 2, plan.depth / 2 - 0.08
    size = (1.5 * roll, rear - front - 0.03, z - plan.clear)
    wall = rounded_box((x - 0.2 * roll, (front + rear) / 2, (z + plan.clear) / 2), size, 0.03, "fabric", 3)
    scroll = cylinder((x, front, z), (x, rear, z), roll, "fabric", 32)
    return pair(join([wall, scroll, scroll_front(x, front, z, roll)]))


def rolled_rail(plan: SofaPlan, roll: float) -> Solid:
    """Make one scroll of the radius `roll` over arms and back, round the rear corners, with walls below."""
    x, z, rear, front = plan.width / 2 - roll, plan.top - roll, plan.depth / 2 - roll, 0.015 - plan.depth / 2
    arc = bend((x, rear - 1.6 * roll, z), (x, rear, z), (x - 1.6 * roll, rear, z), 10)
    left = [(x, y, z) for y in np.linspace(front, rear - 1.6 * roll, 6)[:-1]] + arc
    path = np.array([*left, (0.0, rear, z), *[(-a, b, c) for a, b, c in left[::-1]]])
    tall = z - plan.clear
    size = (1.5 * roll, rear - front - 0.03, tall)
    side = rounded_box((x - 0.2 * roll, (front + rear) / 2, tall / 2 + plan.clear), size, 0.03, "fabric", 3)
    size = (2 * x, 1.5 * roll, tall - 0.005)
    back = rounded_box((0, rear - 0.2 * roll, z - size[2] / 2), size, 0.03, "fabric", 3)
    return join([tube(path, roll, "fabric", 32), back, pair(join([side, scroll_front(x, front, z, roll)]))])


def skirt(plan: SofaPlan) -> tuple[Solid, Array]:
    """Make cloth panels from the seat's frame down to the floor, pleated at the seats; returns also their left rear
    corner."""
    tall, pitch = plan.clear + 0.13, plan.width / plan.seats
    x, y, z = plan.width / 2 - 0.025, plan.depth / 2 + 0.003, tall / 2
    panels = []
    for k in range(plan.seats):
        for side in (-1, 1):
            at = ((k + 0.5) * (2 * x) / plan.seats - x, side * y, z)
            panels.append(rounded_box(at, (pitch - 0.026, 0.014, tall), 0.0065, "fabric", 1))
    panels.append(pair(rounded_box((x, 0, z), (0.014, 2 * y - 0.03, tall), 0.0065, "fabric", 1)))
    lining = rounded_box((0, 0, z + 0.002), (2 * x - 0.02, 2 * y - 0.02, tall - 0.01), 0.004, "fabric", 1)
    return join([*panels, lining]), np.array([x - 0.01, y, 0])


def tapered_legs(plan: SofaPlan, part: str, inset: float, splay: float, size: float = 0.055) -> tuple[Solid, Array]:
    """Make four legs and, under a wide sofa, one in the middle of front and rear; returns also the foot (3,) at left
    rear."""
    x, y = plan.width / 2 - inset, plan.depth / 2 - inset
    head = plan.clear + 0.03
    legs = [
        pair(square_leg((x, side * y, head), (x + splay, side * (y + splay), 0), size, 0.6 * size, part))
        for side in (-1, 1)
    ]
    if plan.width > 1.9:
        legs += [square_leg((0, side * y, head), (0, side * y, 0), size, 0.6 * size, part) for side in (-1, 1)]
    return join(legs), np.array([x + splay, y + splay, 0])


def bun_feet(plan: SofaPlan, part: str, inset: float) -> tuple[Solid, Array]:
    """Make four turned ball feet; returns also the foot (3,) at left rear."""
    x, y, high = plan.width / 2 - inset, plan.depth / 2 - inset, plan.clear + 0.02
    knots = np.array(
        [(0, 0), (24, 0), (36, 0.12), (43, 0.36), (40, 0.56), (26, 0.72), (24, 0.76), (36, 0.84), (36, 1), (0, 1)]
    )
    foot = lathe(knots * [0.001, high], part, "z", 24)
    return join([pair(moved(foot, (x, side * y, 0))) for side in (-1, 1)]), np.array([x, y, 0])


def sofa_keypoints(
    plan: SofaPlan, back: ArrayLike, rest: Solid, thick: float, seat: Solid, foot: ArrayLike
) -> dict[str, ArrayLike]:
    """Return keypoints of a sofa from those of its left side.

    back (3,): upper corner of the back rest; rest: the left back cushion or pad, `thick` metres deep; seat: the left
    seat cushion; foot (3,): the lower rear corner, that of the front lies as far before the middle.
    """
    end = np.asarray(foot, float)
    left: dict[str, ArrayLike] = {
        "top_left_corner": back,
        "seat_top_left": nearest(rest, (plan.inner / 2, plan.crease - thick, plan.seat)),
        "seat_bottom_left": corner(seat, (1, -1, 1)),
        "left_bottom_back": end,
        "front_bottom_left": end * [1, -1, 1],
    }
    return with_right(left)


def sledges(plan: SofaPlan, inset: float) -> tuple[Solid, Array]:
    """Make two loops of flat metal bar across the depth under the seat; returns also the lower left rear corner."""
    x, y, high = plan.width / 2 - inset, plan.depth / 2 - 0.09, plan.clear + 0.012
    foot = rounded_box((x, 0, 0.006), (0.05, 2 * y, 0.012), 0.003, "metal", 1)
    head = moved(foot, (0, 0, high - 0.012))
    post = rounded_box((x, y - 0.008, high / 2), (0.048, 0.012, high), 0.003, "metal", 1)
    posts = [post, moved(post, (0, 0.016 - 2 * y, 0))]
    return pair(join([foot, head, *posts])), np.array([x, y, 0])


def wooden_frame(plan: SofaPlan, part: str, style: int) -> tuple[Solid, dict[str, ArrayLike]]:
    """Make a frame of rails, legs, flat arm rests and an open back: upright spindles (style 0) or level slats (1).

    Also the keypoints of its left legs and of the upper end of the left rear post.
    """
    x, front, rear = plan.inner / 2 + 0.028, 0.045 - plan.depth / 2, plan.crease + 0.02
    under, slope = plan.seat - plan.thick, float(np.tan(plan.lean_rad))

    def behind(z: float) -> float:
        return rear + max(z - under, 0.0) * slope

    levels = [0.0, 0.1, under - 0.04, under, under + 0.06, plan.seat + 0.1, plan.top]
    path = np.array([(x, behind(z) + 0.12 * max(under - z, 0), z) for z in levels])
    post = swept_post(path, 0.036, 0.05, part)
    spots = [(x, front - 0.012, 0), (x, front, under), (x, front, plan.arm_top - 0.01)]
    leg = tube(spots, [0.015, 0.023, 0.018], part, 16)
    ends = np.array([(x, front - 0.05), (x, behind(plan.arm_top) + 0.012)])
    arm = panel((0.075, float(np.ptp(ends[:, 1])), 0.024), 0.01, part)
    arm = moved(arm, (x, float(ends[:, 1].mean()), plan.arm_top))
    side = rounded_box((x, (front + rear) / 2, under - 0.035), (0.024, rear - front, 0.075), 0.005, part, 1)
    rails = [rounded_box((0, y, under - 0.035), (2 * x, 0.024, 0.075), 0.005, part, 1) for y in (front, rear)]
    slats = [
        rounded_box((at, (front + rear) / 2, under - 0.012), (0.06, rear - front, 0.018), 0.004, part, 1)
        for at in np.linspace(-0.86, 0.86, 9) * x
    ]
    top, low = plan.top - 0.035, plan.seat + 0.03
    across = [(top, 0.06), (low, 0.04)] if style == 0 else [(z, 0.06) for z in np.linspace(low, top, 4)]
    for z, tall in across:
        bar = rounded_box((0, 0, 0), (2 * x, 0.022, tall), 0.006, part, 2)
        rails.append(moved(bar, (0, behind(z), z), rotation_about("x", -plan.lean_rad)))
    if style == 0:
        for at in np.linspace(-0.93, 0.93, 2 * round(x / 0.11) + 1) * x:
            rails.append(cylinder((at, behind(low), low), (at, behind(top), top), 0.008, part, 10))
    left: dict[str, ArrayLike] = {
        "top_left_corner": path[-1],
        "left_bottom_back": path[0],
        "front_bottom_left": spots[0],
    }
    return join([pair(join([post, leg, arm, side])), *rails, *slats]), left
