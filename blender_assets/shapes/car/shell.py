"""The measures of a parametric car, and its lofted body up to the belt line.

The body is a grid of points for the half x >= 0: columns run from the middle of the front around the side to the
middle of the rear, rows from below to above. Lamps, grille and seams are cells of the grid with another part and
depth. The plan measures `s`, the distance from the nose in metres; y = s - length / 2.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from blender_assets.shapes.mesh import Array, Index, Solid, both_sides, curve, panelled, part_index

Mask = NDArray[np.bool_]
ARCH_GAP = 0.05
SEAM = 0.014
BED_WALL = 0.012
DECK_SHARES = (0.1, 0.118, 0.25, 0.5, 0.75, 1.0)  # of the way from the deck's edge to its middle
BED_SHARES = (0.08, 0.12, 0.135, 0.5, 0.75, 1.0)
BODY_ROWS = (0, 0.05, 0.13, 0.21, 0.29, 0.37, 0.45, 0.5, 0.56, 0.62, 0.68, 0.76, 0.86, 0.93, 0.97, 1.0)
SIDE_PROFILE = (
    (0, 0.9),
    (0.05, 0.94),
    (0.2, 0.965),
    (0.55, 1.0),
    (0.76, 0.985),
    (0.93, 0.955),
    (0.97, 0.935),
    (1, 0.9),
)
NOSE_PROFILE = ((0, 0.16), (0.13, 0.03), (0.21, 0.0), (0.37, 0.0), (0.5, 0.03), (0.76, 0.06), (0.93, 0.1), (1, 0.17))
TAIL_PROFILE = ((0, 0.2), (0.13, 0.05), (0.29, 0.0), (0.45, 0.0), (0.56, 0.05), (0.86, 0.06), (0.97, 0.08), (1, 0.12))


@dataclass(frozen=True)
class CarPlan:
    """Measures of a car in metres; lengths along the car are distances s from the nose.

    deck: knots (s, z) of the bonnet, belt and boot line. cowl, glass_rear: feet of windscreen and rear window;
    roof_front, roof_rear: their upper edges; roof_bow: fall of the roof from its middle to its ends. doors: the
    seams. pillars: feet of the side window posts; quarter: end of the side glass, as a fraction of the side.
    tail_light: lower and upper edge as fractions of the body height, inner edge as a fraction of the half width.
    head_light: lower edge as a fraction of the body height. grille: half width and upper edge as fractions.
    bed: s range of a loading bed, () for none. nose_exponent: squareness of the nose seen from above.
    """

    length: float
    half_width: float
    wheel_radius: float
    axle_front: float
    axle_rear: float
    floor: float
    deck: tuple[tuple[float, float], ...]
    cowl: float
    roof_front: float
    roof_rear: float
    glass_rear: float
    roof_height: float
    doors: tuple[float, ...]
    pillars: tuple[float, ...]
    tail_light: tuple[float, float, float]
    quarter: float
    cladding: bool = False
    roof_rails: bool = False
    spoiler: bool = False
    bed: tuple[float, ...] = ()
    grille: tuple[float, float] = (0.45, 0.56)
    head_light: float = 0.62
    roof_bow: float = 0.07
    nose_exponent: float = 2.8

    def y(self, s: float) -> float:
        """Return the object-frame y in metres of a distance from the nose."""
        return s - self.length / 2

    def deck_height(self, y: Array | float, x: Array | float = 0.0) -> Array:
        """Return the height z in metres of bonnet, belt and boot at object-frame positions; crowned across the car."""
        crown = 0.035 * (1 - np.square(np.asarray(x) / self.half_width))
        return np.asarray(curve(np.asarray(y) + self.length / 2, self.deck) + crown)

    @property
    def bed_floor(self) -> float:
        """Height z in metres of the loading bed, just above the wheel wells."""
        return 2 * self.wheel_radius + ARCH_GAP + 0.03

    def side_x(self, height_fraction: float) -> float:
        """Return the half width in metres of the flank at a fraction of the body height."""
        return float(self.half_width * curve(height_fraction, SIDE_PROFILE))

    def roof_at(self, y: Array | float, x: Array | float = 0.0) -> Array:
        """Return the height z in metres of the roof at object-frame positions."""
        middle = self.y((self.roof_front + self.roof_rear) / 2)
        bow = self.roof_bow * np.square((np.asarray(y) - middle) / (self.roof_rear - self.roof_front) * 2)
        return np.asarray(self.roof_height - bow - 0.05 * np.square(np.asarray(x) / (0.7 * self.half_width)))


@dataclass(frozen=True)
class Outline:
    """Half outline seen from above, by column: x as a fraction of the half width, s from the nose in metres."""

    x: Array
    s: Array


def quarter(marks: tuple[float, ...], exponent: float, steps: int) -> tuple[Array, Array]:
    """Return a superellipse from (0, 1) towards (1, 0), its end left out: at x = marks, then `steps` around the
    corner."""
    at_marks = np.arcsin(np.power(marks, exponent / 2))
    corner = np.linspace(at_marks[-1], np.pi / 2, steps + 2)[1:-1]
    angle = np.concatenate([at_marks, corner])
    return np.sin(angle) ** (2 / exponent), np.cos(angle) ** (2 / exponent)


def _body_outline(plan: CarPlan) -> Outline:
    """Return columns of the body: marks for grille and lamps, corners, wheel arches and door seams."""
    nose_depth, tail_depth = 0.5, 0.34
    grille = plan.grille[0]
    front_x, front_y = quarter((0, 0.16, 0.3, grille, grille + 0.1, 0.78), plan.nose_exponent, 7)
    inner = plan.tail_light[2]
    rear_x, rear_y = quarter((0, 0.14, 0.29, min(0.42, inner - 0.06), inner, inner + 0.13), 4.2, 6)
    arch = np.cos(np.linspace(np.pi, 0, 17))
    radius = plan.wheel_radius + ARCH_GAP
    edge = radius + 0.012
    arches = [axle + np.concatenate([[-edge], radius * arch, [edge]]) for axle in (plan.axle_front, plan.axle_rear)]
    seams = np.array([d + side * SEAM / 2 for d in plan.doors for side in (-1, 1)])
    other = np.linspace(nose_depth, plan.length - tail_depth, 26)
    bed = [b + step for b, steps in zip(plan.bed, ((0, BED_WALL), (-BED_WALL, 0)), strict=False) for step in steps]
    fixed = np.concatenate([*arches, seams, bed])
    near = np.abs(other[:, None] - fixed[None]).min(axis=1) < 0.07
    side = np.sort(np.concatenate([fixed, other[~near]]))
    side = side[(side > nose_depth * 0.8)]
    start = min(nose_depth, side[0] - 0.02)
    return Outline(
        np.concatenate([front_x, np.ones(len(side)), rear_x[::-1]]),
        np.concatenate([start * (1 - front_y), side, plan.length - tail_depth * (1 - rear_y[::-1])]),
    )


def _arch_height(plan: CarPlan, s: Array) -> Array:
    """Return the lower edge z of the flank at distances s: the floor, or the wheel arch above it."""
    low = np.full_like(s, plan.floor)
    radius = plan.wheel_radius + ARCH_GAP
    for axle in (plan.axle_front, plan.axle_rear):
        across = radius**2 - np.square(s - axle)
        inside = across > -1e-9
        low[inside] = plan.wheel_radius + np.sqrt(np.maximum(across[inside], 0))
    return low


def _flank(plan: CarPlan, outline: Outline) -> Array:
    """Return points (rows, columns, 3) of front, side and rear from the lower edge up to the deck's edge."""
    v = np.array(BODY_ROWS)[:, None]
    s, half = outline.s, plan.length / 2
    arch = plan.wheel_radius + ARCH_GAP
    front = np.clip(1 - s / (plan.axle_front - arch), 0, 1) ** 2
    rear = np.clip(1 - (plan.length - s) / (plan.length - plan.axle_rear - arch), 0, 1) ** 2
    upper = s - half + curve(1.0, NOSE_PROFILE) * front - curve(1.0, TAIL_PROFILE) * rear
    top = plan.deck_height(upper, outline.x * plan.half_width)
    low = np.where(outline.x == 1, _arch_height(plan, s), plan.floor)
    z = np.maximum(plan.floor + v * (top - plan.floor), low)
    fraction = (z - plan.floor) / (top - plan.floor)
    y = s - half + curve(fraction, NOSE_PROFILE) * front - curve(fraction, TAIL_PROFILE) * rear
    x = plan.half_width * outline.x * curve(fraction, SIDE_PROFILE)
    for axle in (plan.axle_front, plan.axle_rear):
        gap = np.hypot(s - axle, z - plan.wheel_radius) - plan.wheel_radius - ARCH_GAP
        x = x + 0.022 * np.exp(-np.square(gap / 0.06)) * (outline.x == 1)
    return np.stack([x, y, z], axis=-1)


def towards_spine(ring: Array, plan: CarPlan, shares: tuple[float, ...], margins: tuple[float, float]) -> Array:
    """Return rings (len(shares), columns, 3) between an edge (columns, 3) and the middle line x = 0, by share of the
    way."""
    y_spine = np.clip(ring[:, 1], plan.y(margins[0]), plan.y(margins[1]))
    t = np.array(shares)[:, None]
    x = ring[:, 0] * (1 - t)
    return np.stack([x, ring[:, 1] * (1 - t) + y_spine * t, np.broadcast_to(ring[:, 2], x.shape)], axis=-1)


def trunk_corner(plan: CarPlan) -> Array:
    """Return the left rear corner (3,) of the deck: of the boot lid, or of the tailgate below its window."""
    edge = _flank(plan, _body_outline(plan))[-1]
    return np.asarray(edge[np.argmax(edge[:, 0] + edge[:, 1])])


def _underside(plan: CarPlan, edge: Array) -> Array:
    """Return rows from the middle of the floor out to the lower edge (columns, 3), with pockets for the wheels."""
    well_x = plan.half_width - 0.72 * plan.wheel_radius - 0.12
    roof = edge.copy()
    roof[:, 0] = np.minimum(roof[:, 0], well_x)
    foot = roof.copy()
    foot[:, 2] = plan.floor
    spine = towards_spine(foot, plan, (1.0,), (0.55, plan.length - 0.4))
    return np.concatenate([spine, foot[None], roof[None]])


def mark(part: Index, depth: Array, cells: Mask, name: str, depth_m: float) -> None:
    """Give the cells selected by a mask a part and a depth in metres."""
    part[cells] = part_index(name)
    depth[cells] = depth_m


def body_shell(plan: CarPlan) -> Solid:
    """Make the closed lower body: flanks, nose, tail, deck (with a loading bed if planned) and underside."""
    outline = _body_outline(plan)
    flank = _flank(plan, outline)
    below = _underside(plan, flank[0])
    shares = BED_SHARES if plan.bed else DECK_SHARES
    deck = towards_spine(flank[-1], plan, shares, (0.55, max(plan.length - 0.4, *plan.bed, 0) + 0.02))
    deck[..., 2] = plan.deck_height(deck[..., 1], deck[..., 0])
    if plan.bed:
        deck[2:, (outline.s > plan.bed[0] + 1e-6) & (outline.s < plan.bed[1] - 1e-6), 2] = plan.bed_floor
    points = np.concatenate([below, flank, deck])
    part = np.full((points.shape[0] - 1, points.shape[1] - 1), part_index("paint"))
    depth = np.zeros(part.shape)
    part[: len(below)] = part_index("plastic")
    _mark_flank(plan, outline, part[len(below) : len(below) + len(flank) - 1], depth[len(below) :])
    _mark_deck(plan, outline, part[-len(shares) :], depth[-len(shares) :])
    return both_sides(panelled(points, part, depth))


def _mark_flank(plan: CarPlan, outline: Outline, part: Index, depth: Array) -> None:
    """Mark lamps, grilles, door seams and cladding on the cells of the flank; arrays are changed in place."""
    depth = depth[: len(part)]
    v = (np.array(BODY_ROWS)[:-1, None] + np.array(BODY_ROWS)[1:, None]) / 2
    x = (outline.x[None, :-1] + outline.x[None, 1:]) / 2
    s = (outline.s[None, :-1] + outline.s[None, 1:]) / 2
    front, rear = s < 0.5, s > plan.length - 0.4
    width, top = plan.grille
    if plan.cladding:
        part[np.broadcast_to(v < 0.21, part.shape)] = part_index("plastic")
        part[(v < 0.29) & (front | rear)] = part_index("plastic")
    part[(v < 0.13) & (front | rear)] = part_index("plastic")
    mark(part, depth, front & (x < 0.78) & (v > 0.13) & (v < 0.29), "plastic", 0.03)
    mark(part, depth, front & (x < width) & (v > 0.5) & (v < top + 0.26), "plastic", 0.02)
    mark(part, depth, front & (x > width + 0.1) & (x < 0.985) & (v > plan.head_light) & (v < 0.86), "light", -0.008)
    part[(rear | front) & (x > 0.5) & (v > 0.29) & (v < 0.37)] = part_index("plastic")
    low, high, inner = plan.tail_light
    mark(part, depth, rear & (x > inner) & (x < 0.992) & (v > low) & (v < high), "taillight", -0.008)
    mark(part, depth, rear & (x < 0.29) & (v > 0.45) & (v < 0.62), "plastic", 0.02)
    for seam in plan.doors:
        mark(part, depth, (np.abs(s - seam) < SEAM / 4) & (v > 0.1) & (v < 0.97), "plastic", 0.012)


def _mark_deck(plan: CarPlan, outline: Outline, part: Index, depth: Array) -> None:
    """Mark the bonnet's seam and the lining of the loading bed on the rows of the deck; arrays are changed in place."""
    s = (outline.s[:-1] + outline.s[1:]) / 2
    if plan.bed:
        part[2:, (s > plan.bed[0]) & (s < plan.bed[1])] = part_index("plastic")
    else:
        mark(part[1], depth[1], s < plan.cowl + 0.1, "plastic", 0.01)
