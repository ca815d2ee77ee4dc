"""Parametric high-speed train: a power car with a long tapered nose and a coach. Metres, nose at -y, rails at z = 0."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike

from blender_assets.shapes.mesh import (
    Array,
    Draft,
    Solid,
    both_sides,
    curve,
    pair,
    panelled,
    part_index,
    rounded_box,
    with_right,
)
from blender_assets.shapes.train.parts import bogie, coupler, gangway, pantograph
from blender_assets.shapes.vehicle import Table
from blender_assets.shapes.vehicle_shell import stitched

# Half a cross-section from the middle of the underside to that of the roof: shares of half width and height.
SECTION = (
    (0, 0), (0.5, 0), (0.84, 0.004), (0.93, 0.03), (0.97, 0.1), (0.985, 0.2), (1, 0.34), (1, 0.36), (1, 0.46), (0.995,
    0.52),
    (0.97, 0.63), (0.935, 0.735), (0.92, 0.76), (0.86, 0.86), (0.74, 0.935), (0.55, 0.98), (0.28, 0.997), (0, 1),
)  # fmt: skip
STRIPE, GLASS = (6, 7), (9, 11)  # rows of cells of the section
SHOULDER, SKIRT = 13, 3  # points of the section at which the keypoints lie


@dataclass(frozen=True)
class Zone:
    """Cells of a tapered body with a part of their own: range of s in metres, range of rows of the section, depth."""

    s: tuple[float, float]
    rows: tuple[int, int]
    part: str
    depth: float = 0.015


@dataclass(frozen=True)
class Tube:
    """A vehicle's outer form in metres along the distance s from its nose: knots of top, bottom and half width.

    nose: length over which an ellipse rounds the front, 0 for an upright end. start: y of the nose.
    """

    length: float
    top: Table
    bottom: Table
    half_width: Table
    nose: float
    start: float

    def at(self, s: float | Array, section: Array) -> Array:
        """Return points (S, P, 3) at distances s (S,) of the points (P, 2) of a section."""
        along = np.atleast_1d(np.asarray(s, float))
        rounding = np.sqrt(1 - np.square(1 - np.clip(along / self.nose, 0, 1))) if self.nose else np.ones_like(along)
        up, down, wide = (curve(along, knots) for knots in (self.top, self.bottom, self.half_width))
        middle, half = (0.45 * up + 0.55 * down), rounding * (up - down)
        x = (wide * rounding)[:, None] * section[:, 0]
        z = middle[:, None] + half[:, None] * (section[:, 1] - 0.45)
        return np.stack([x, np.broadcast_to((self.start + along)[:, None], x.shape), z], axis=-1)


def tube_body(form: Tube, zones: Sequence[Zone]) -> Solid:
    """Make the closed shell of a vehicle with its zones; later zones cover earlier ones."""
    marks = np.unique(np.round([m for zone in zones for m in zone.s if 0 < m < form.length], 4))
    nose = form.nose * (1 - np.cos(np.linspace(0, np.pi / 2, 8))) if form.nose else np.zeros(1)
    taper = max(k[0] for knots in (form.top, form.half_width) for k in knots[:-1])
    regular = np.concatenate([nose, np.linspace(form.nose, taper, 1 + round(taper / 0.5))[1:], [form.length]])
    clear = np.abs(regular[:, None] - marks[None]).min(axis=1, initial=np.inf) > 0.08
    clear[[0, -1]] = True
    s = np.unique(np.concatenate([regular[clear], marks]))
    section = np.array(SECTION)
    points = form.at(s, section)
    ends = [
        np.broadcast_to(p, points[:1].shape) * [0, 1, 1] for p in (points[:1].mean(axis=1), points[-1:].mean(axis=1))
    ]
    grid = np.concatenate([ends[0], points, ends[1]])
    part = np.full((len(grid) - 1, len(section) - 1), part_index("paint"))
    depth = np.zeros(part.shape)
    part[1:-1, :3] = part_index("plastic")
    s_mid = np.concatenate([[-1.0], (s[:-1] + s[1:]) / 2, [form.length + 1.0]])
    for zone in zones:
        chosen = np.ix_((s_mid > zone.s[0]) & (s_mid < zone.s[1]), range(*zone.rows))
        part[chosen] = part_index(zone.part)
        depth[chosen] = zone.depth
    return both_sides(stitched(panelled(grid.swapaxes(0, 1), part.T, depth.T)))


def _windows(start: float, end: float, count: int) -> list[Zone]:
    """Return a dark band with panes between two distances s."""
    edges = np.linspace(start, end, count + 1)
    band = Zone((start - 0.06, end + 0.06), GLASS, "plastic", 0.004)
    return [band, *(Zone((a + 0.06, b - 0.06), GLASS, "glass", 0.014) for a, b in pairwise(edges))]


def _door(s: float) -> list[Zone]:
    """Return a door of 0.8 m at a distance s: a gap around it and a pane."""
    return [
        Zone((s - 0.4, s + 0.4), (4, 12), "plastic", 0.012),
        Zone((s - 0.385, s + 0.385), (4, 12), "paint", 0.02),
        Zone((s - 0.18, s + 0.18), GLASS, "glass", 0.032),
    ]


def fast_train(rng: np.random.Generator) -> Draft:
    """Make a high-speed power car with a long sloping nose and one coach behind it, skirts down to the rails."""
    power, coach, half = rng.uniform(9.6, 11.2), rng.uniform(8.2, 9.4), rng.uniform(1.42, 1.52)
    roof, floor, taper = rng.uniform(3.55, 3.8), 0.42, rng.uniform(3.6, 5.2)
    tip, start = rng.uniform(1.45, 1.75), -(power + coach + 0.3) / 2
    top = [
        (0, tip),
        (0.22 * taper, tip + 0.42),
        (0.55 * taper, tip + 1.15),
        (0.85 * taper, roof - 0.12),
        (taper, roof),
        (power, roof),
    ]
    bottom = [(0, floor + 0.12), (0.6, floor), (power, floor)]
    wide = [(0, rng.uniform(0.66, 0.8) * half), (0.4 * taper, 0.9 * half), (0.9 * taper, half), (power, half)]
    head = Tube(power, top, bottom, wide, rng.uniform(0.5, 0.9), start)
    flat = [(0.0, roof), (0.5, roof), (coach, roof)]
    tail = Tube(
        coach, flat, [(0.0, floor), (coach, floor)], [(0.0, half), (0.5, half), (coach, half)], 0.0, start + power + 0.3
    )
    glass = (0.46 * taper, 0.76 * taper)
    zones = [Zone((0.35, power), STRIPE, "metal", 0.0)]
    zones += [
        Zone((glass[0] - 0.08, glass[1] + 0.06), (12, 17), "plastic", 0.004),
        Zone(glass, (13, 17), "glass", 0.016),
    ]
    zones += [Zone((glass[1] - 0.35, glass[1] + 0.25), (10, 12), "glass", 0.016)]
    zones += [Zone((0.16 * taper, 0.3 * taper), (10, 13), "light", -0.008)]
    zones += [*_door(taper + 0.7), *_windows(taper + 1.5, power - 0.4, int(rng.integers(2, 5)))]
    rear = [
        Zone((0.0, coach), STRIPE, "metal", 0.0),
        *_door(0.75),
        *_windows(1.4, coach - 0.3, int(rng.integers(4, 6))),
    ]
    joint = start + power
    rear_y = -start
    back = [
        gangway(rear_y - 0.02, rear_y + 0.22, 0.62, (1.05, 3.2)),
        rounded_box((0, rear_y + 0.25, 2.1), (0.9, 0.06, 1.95), 0.02, "paint", 1),
        rounded_box((0, rear_y + 0.275, 2.45), (0.5, 0.03, 0.75), 0.01, "glass", 1),
    ]
    lamps = rounded_box((half - 0.35, rear_y, 1.5), (0.2, 0.06, 0.26), 0.02, "taillight", 1)
    bogies = [start + taper * 0.62, joint - 1.9, joint + 2.1, -start - 1.9]
    solids = [
        tube_body(head, zones),
        tube_body(tail, rear),
        gangway(joint - 0.02, joint + 0.32, half - 0.12, (floor + 0.25, roof - 0.1)),
        *(solid for y in bogies for solid in bogie(y, 0.44, 1.05)),
        pantograph(joint - 1.8, roof - 0.05, rng.uniform(0.7, 1.1)),
        rounded_box((0, joint - 3.9, roof + 0.02), (1.5, 1.7, 0.3), 0.12, "paint"),
        rounded_box((0, joint + 0.5 * coach, roof + 0.01), (1.4, 2.4, 0.22), 0.09, "paint"),
        pair(lamps),
        *back,
        coupler(-start - 0.05, 1.0, 0.9),
    ]
    return Draft(solids, _keypoints(head, tail, taper))


def _keypoints(head: Tube, tail: Tube, taper: float) -> dict[str, ArrayLike]:
    """Return PASCAL3D+'s keypoints; the upper corners of the head lie where its roof begins, the lower ones at its
    nose."""
    section = np.array(SECTION)
    rear = tail.start + tail.length
    keypoints = {"head_top": head.at(0.85 * taper, section[-1:])[0, 0]}
    places = {"mid1": (2 * head.start + rear) / 3, "mid2": (head.start + 2 * rear) / 3, "tail": rear}
    for level, point in (("top", SHOULDER), ("bottom", SKIRT)):
        s = 0.85 * taper if level == "top" else head.nose
        keypoints[f"head_left_{level}"] = head.at(s, section[[point]])[0, 0]
        for name, y in places.items():
            form = head if y < head.start + head.length else tail
            keypoints[f"{name}_left_{level}"] = form.at(max(y - form.start, 0.0), section[[point]])[0, 0]
    return with_right(keypoints)
