"""Hulls of the parametric boats: one grid from the keel over the sheer line and the bulwark to the deck. Metres.

The grid covers the half x >= 0: columns run from the stem to the middle of the transom, rows from the keel up the
outside, over the bulwark and across the deck to its middle. `s` is the distance from the bow's tip.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from blender_assets.shapes.mesh import (
    Array,
    Draft,
    Solid,
    both_sides,
    curve,
    grid_faces,
    part_index,
    triangles,
    weld,
    with_right,
)
from blender_assets.shapes.vehicle import Table

TURNS = np.radians([0, 14, 28, 42, 55, 66, 75, 82, 86, 90])  # of the cross-section, from the keel to the sheer


@dataclass(frozen=True)
class Hull:
    """A hull in metres, its bow at -y.

    beam, sheer, keel: knots (s, half width), (s, z) of the deck's edge and (s, z) of the keel. full: knots (s, power)
    of the cross-section, below 1 full, above 1 sharp. deck: knots (s, depth of the deck below the sheer), joined by
    straight lines. side: knots (s, width of the side deck or bulwark's top). rake: distance of the stem's foot behind
    its head; transom: distance of the transom's head behind its foot. flare: power of the height, below 1 hollow.
    bands: parts of the outside, by upper edge as a share of the height. strakes: number of overlapping planks.
    """

    length: float
    beam: Table
    sheer: Table
    keel: Table
    full: Table
    deck: Table
    side: Table
    rake: float
    transom: float = 0.0
    flare: float = 0.8
    bands: tuple[tuple[float, str], ...] = ((0.38, "plastic"), (0.9, "paint"), (1.0, "wood"))
    inside: tuple[str, str] = ("paint", "wood")
    strakes: int = 0

    def outside(self, s: ArrayLike, turn: ArrayLike) -> Array:
        """Return points (..., 3) of the outside at distances s, turned from the keel (0) to the sheer (pi / 2)."""
        s, turn = np.broadcast_arrays(np.asarray(s, float), np.asarray(turn, float))
        top, foot, wide, power = (curve(s, t) for t in (self.sheer, self.keel, self.beam, self.full))
        height = 1 - np.cos(turn) ** self.flare
        height = np.where(turn > np.pi / 2 - 1e-9, 1.0, height)
        x = wide * np.sin(turn) ** power
        if self.strakes:
            plank = (turn / (np.pi / 2) * self.strakes) % 1.0
            x = x + 0.022 * (1 - plank) * (turn > 0.2) * (turn < np.pi / 2 - 1e-6) * np.minimum(wide / 0.2, 1)
        ahead, behind = np.clip(1 - s / (0.35 * self.length), 0, 1) ** 2, np.clip(s / self.length * 4 - 3, 0, 1)
        y = s - self.length / 2 + self.rake * (1 - height) * ahead - self.transom * (1 - height) * behind
        return np.stack([x, y, foot + (top - foot) * height], axis=-1)

    def edge(self, s: float) -> Array:
        """Return the left edge (3,) of the deck at a distance s."""
        return self.outside(s, np.pi / 2)

    def deck_z(self, s: float) -> float:
        """Return the height of the deck at a distance s."""
        return float(curve(s, self.sheer) - np.interp(s, *np.transpose(self.deck)))

    def full_width_at(self) -> float:
        """Return the distance s behind which the deck has its full width (97 % of it)."""
        s = np.linspace(0, self.length, 400)
        wide = curve(s, self.beam)
        return float(s[np.argmax(wide > 0.97 * wide.max())])


def hull_shell(hull: Hull) -> Solid:
    """Make the closed surface of a hull with its deck."""
    steps = sorted({s for table in (hull.deck, hull.side) for s, _ in table if 0 < s < hull.length})
    regular = hull.length * np.concatenate([np.linspace(0, 1, 9)[:-1] ** 1.7 * 0.3, np.linspace(0.3, 1.0, 17)])
    clear = np.abs(regular[:, None] - np.array([*steps, np.inf])).min(axis=1) > 0.012 * hull.length
    clear[[0, -1]] = True
    s = np.sort(np.concatenate([regular[clear], steps]))
    turns = TURNS
    if hull.strakes:
        edges = np.arange(1, hull.strakes) / hull.strakes * np.pi / 2
        turns = np.sort(np.concatenate([[0.0, np.pi / 2], edges, edges - 1e-4]))
    outer = hull.outside(s, turns[:, None])
    rim = outer[-1]
    wall = np.interp(s, *np.transpose(hull.side))
    inner = rim.copy()
    inner[:, 0] = np.maximum(rim[:, 0] - wall, 0.3 * rim[:, 0])
    aft = np.clip(1 - s / (0.12 * hull.length), 0, 1)
    inner[:, 1] += 1.6 * wall * aft - np.minimum(wall[-1], 0.08 * hull.length) * (s > hull.length - 1e-9)
    lip = inner.copy()
    bottom = inner.copy()
    bottom[:, 2] = rim[:, 2] - np.interp(s, *np.transpose(hull.deck))
    across = [bottom * [1 - t, 1, 1] for t in (0.35, 0.7, 1.0)]
    for t, row in zip((0.35, 0.7, 1.0), across, strict=True):
        row[:, 2] += 0.04 * bottom[:, 0] * (1 - (1 - t) ** 2)
    grid = np.stack([*outer, lip, bottom, *across])
    grid = np.concatenate([grid, grid[:, -1:] * [0, 1, 1]], axis=1)
    return both_sides(_painted(hull, grid, len(outer)))


def _painted(hull: Hull, grid: Array, outer_rows: int) -> Solid:
    """Make the grid (R, C, 3) a surface with the parts of the outside's bands, the bulwark and the deck."""
    middle = grid.shape[1] // 2
    z = grid[:outer_rows, middle, 2]
    share = ((z[:-1] + z[1:]) / 2 - z[0]) / (z[-1] - z[0])
    edges = [edge for edge, _ in hull.bands]
    names = [hull.bands[min(int(np.searchsorted(edges, v)), len(edges) - 1)][1] for v in share]
    names += [hull.inside[0], hull.inside[0]] + [hull.inside[1]] * (len(grid) - outer_rows - 2)
    part = np.array([part_index(name) for name in names])
    faces = triangles(grid_faces(*grid.shape[:2]))
    return weld(Solid(grid.reshape(-1, 3), faces, np.repeat(part, 2 * (grid.shape[1] - 1))))


def boat_shape(hull: Hull, solids: Sequence[Solid]) -> Draft:
    """Make the boat of `solids` on a hull, with PASCAL3D+'s keypoints."""
    end = hull.length
    keypoints = {
        "head": hull.outside(0.0, np.pi / 2),
        "head_down": hull.outside(0.0, 0.0),
        "head_left": hull.edge(hull.full_width_at()),
        "tail_left": hull.edge(end),
        "tail": hull.outside(end, 0.0) * [0, 1, 1],
    }
    return Draft([hull_shell(hull), *solids], with_right(keypoints))
