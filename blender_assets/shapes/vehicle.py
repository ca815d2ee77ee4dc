"""Measures of the box-shaped bodies of buses, coaches, locomotives and deckhouses, and primitives all vehicles share.

`s` is the distance from the foremost plane of a body in metres. The surface is made by `vehicle_shell.coachwork`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from blender_assets.shapes.mesh import Array, Solid, curve, lathe

Table = Sequence[tuple[float, float]]
UPRIGHT: Table = ((0.0, 0.0), (1.0, 0.0))
CORNER_STEPS = 4
SILL = 0.04  # height over which the lower edge is rounded


@dataclass(frozen=True)
class Panel:
    """A rectangle of a body's wall with a part of its own, sunk by a depth in metres (raised if negative).

    face: "front", "side" or "rear". along: range of |x| on front and rear, of s on the side. z: range of heights.
    """

    face: str
    along: tuple[float, float]
    z: tuple[float, float]
    part: str
    depth: float = 0.015


@dataclass(frozen=True)
class Body:
    """A box-shaped body in metres, symmetric in x, its front at -y, y = 0 in its middle unless shifted by `y`.

    corner: radius of the upright edges. eave: radius of the edges around the roof. bow: distance of the
    front's middle before its corners. crown: rise of the roof. front, rear, side: knots (z, inset) of the walls' lean;
    reach: length of side wall that leans with the ends. arches: wheel arches (s, z of the axle, radius).
    well: depth of the pockets behind the arches.
    """

    length: float
    half_width: float
    floor: float
    roof: float
    corner: float = 0.25
    eave: float = 0.2
    bow: float = 0.06
    crown: float = 0.05
    front: Table = UPRIGHT
    rear: Table = UPRIGHT
    side: Table = UPRIGHT
    reach: float = 1.0
    arches: tuple[tuple[float, float, float], ...] = ()
    well: float = 0.6
    y: float = 0.0

    def wall(self, x: ArrayLike, s: ArrayLike, z: ArrayLike) -> Array:
        """Return points (..., 3) of the wall above plan positions (x, s) at heights z: leaning, rounded under the
        roof."""
        x, s, z = np.broadcast_arrays(*(np.asarray(a, float) for a in (x, s, z)))
        up = np.clip((z - self.roof + self.eave) / self.eave, 0, 1)
        low = np.clip(1 - (z - self.floor) / SILL, 0, 1)
        rounding = self.eave * (1 - np.sqrt(1 - up**2)) + 0.5 * SILL * low**2
        ahead = np.clip(1 - (s - self.corner - self.bow) / self.reach, 0, 1)
        behind = np.clip(1 - (self.length - s - self.corner) / self.reach, 0, 1)
        across = x * (1 - (np.interp(z, *np.transpose(self.side)) + rounding) / self.half_width)
        along = s + (curve(z, self.front) + rounding) * ahead - (curve(z, self.rear) + rounding) * behind
        raised = z + self.crown * up**2 * (1 - np.square(x / self.half_width))
        return np.stack([across, along - self.length / 2 + self.y, raised], axis=-1)

    def corner_arc(self, angle: Array) -> tuple[Array, Array]:
        """Return plan positions x and depth behind the end's edge around an upright corner, from the end (0) to the
        side."""
        return self.half_width - self.corner * (1 - np.sin(angle)), self.corner * (1 - np.cos(angle))

    def end_path(self, end: str, z: float, wrap: float = 0.12) -> tuple[Array, Array]:
        """Return points and outward normals (N, 3) around an end at height z, from the left side to the right one.

        wrap: length of the path along the sides behind the corners.
        """
        x, s = self.corner_arc(np.linspace(0, np.pi / 2, CORNER_STEPS + 2))
        x = np.concatenate([np.linspace(0, x[0], 4)[:-1], x, x[-1:]])
        s = np.concatenate([np.zeros(3), s, s[-1:] + wrap]) + (1 if end == "front" else 0.4) * self.bow * np.square(
            x / self.half_width
        )
        left = self.wall(x, s if end == "front" else self.length - s, z)
        path = np.concatenate([left[::-1], left[1:] * [-1, 1, 1]])
        step = np.gradient(path, axis=0)
        aside = np.stack([step[:, 1], -step[:, 0], np.zeros(len(step))], axis=1)
        aside *= (
            (-1 if end == "front" else 1) * np.sign(-step[:, :1].sum()) / np.linalg.norm(aside, axis=1, keepdims=True)
        )
        return path, aside

    def corner_point(self, end: str, level: str) -> Array:
        """Return the left corner (3,) of the body at its "front" or "rear", "upper" or "lower"."""
        return self.corner_at(end, self.roof - 0.3 * self.eave if level == "upper" else self.floor + SILL)

    def corner_at(self, end: str, z: float) -> Array:
        """Return the middle (3,) of the left rounded corner of an end at height z."""
        x, s = (a[-1] for a in self.corner_arc(np.array([np.pi / 4])))
        bow = self.bow * (x / self.half_width) ** 2
        return self.wall(x, s + bow if end == "front" else self.length - s - 0.4 * bow, z)

    def edge_point(self, s: float, level: str) -> Array:
        """Return the left edge (3,) of the roof or of the floor at a distance s."""
        return self.wall(self.half_width, s, self.roof - 0.3 * self.eave if level == "upper" else self.floor + SILL)


def ring_of(profile: ArrayLike, part: str, axis: str = "x", segments: int = 24) -> Solid:
    """Make a ring of revolution from a closed profile (P, 2) of radius and position along the axis."""
    rows = np.asarray(profile, float)
    return lathe(np.concatenate([rows, rows[:1]]), part, axis, segments)
