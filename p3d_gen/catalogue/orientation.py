"""Doubts about the orientation of CAD models: shapes that contradict their axes, and models that differ from others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations, product

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from p3d_gen.core.types import Array
from p3d_gen.spec.axes import axis_name, object_R_file

# Sides of the box: x is the width, y the length from front to back, z the height.
_LYING = ("aeroplane", "bicycle", "bus", "car", "motorbike", "sofa", "train")  # never higher than wide and long
_LONG = ("bicycle", "bus", "car", "motorbike", "train")  # longer than wide
_FLAT = ("tvmonitor",)  # wider than deep
_STANDING = ("bottle",)  # higher than wide and long
_BACKED = ("chair", "sofa")  # with a seat and a back
_MARGIN = 1.05
_POINTS, _CELLS, _SEED = 20_000, 12, 8
_SLACK = 0.02
_MANY = 3  # models from which on one can differ from the others
_MISSED = 1.45  # how much farther from full agreement a model must be than it would be if it were turned
_NOISE = 0.001  # of agreements: where the points of a surface lie costs up to 0.0002
_LEVEL = 0.9  # |z| of the normal of a seat
_OFF = 0.04  # of the box's diagonal


@dataclass(frozen=True, kw_only=True)
class Surface:
    """Points (N, 3) that cover a model's surface evenly, in object axes, with the normals (N, 3) there."""

    points: Array
    normals: Array


def sampled(vertices: Array, faces: NDArray[np.int32]) -> Surface:
    """Return points of a prepared model's surface, the same for the same model."""
    a, b, c = vertices[faces].transpose(1, 0, 2)
    normals = np.cross(b - a, c - a)
    area = np.linalg.norm(normals, axis=1)
    rng = np.random.default_rng([_SEED, 1])
    index = rng.choice(len(faces), size=_POINTS, p=area / area.sum())
    u, v = np.sort(rng.random((2, _POINTS)), axis=0)[..., None]
    points = a[index] * u + b[index] * (v - u) + c[index] * (1 - v)
    return Surface(points=points, normals=normals[index] / area[index, None])


def _times(a: float, b: float) -> str:
    return f"{a / b:.1f} times" if b else "far more"


def _by_extent(category: str, x: float, y: float, z: float) -> Iterator[str]:
    """Yield the doubts that the sides of the box raise."""
    if category in _LYING and z > _MARGIN * max(x, y):
        yield f"it is {_times(z, max(x, y))} as high as it is long or wide, so it may not stand upright: is up right?"
    elif category in _LONG and x > _MARGIN * y:
        yield f"it is {_times(x, y)} as wide as it is long, so it may look to a side: is front right?"
    elif category in _FLAT and y > _MARGIN * x:
        yield f"it is {_times(y, x)} as deep as it is wide, so it may look to a side: is front right?"
    elif category in _STANDING and z < max(x, y):
        yield f"it is {_times(max(x, y), z)} as long or wide as it is high, so it may lie: is up right?"


def _seat_height(surface: Surface, low: float, high: float) -> float:
    """Return the height of the largest level part: the middle of the fullest tenth of the height."""
    level = np.abs(surface.normals[:, 2]) > _LEVEL
    inner = (
        level & (surface.points[:, 2] > low + 0.1 * (high - low)) & (surface.points[:, 2] < high - 0.1 * (high - low))
    )
    count, edges = np.histogram(surface.points[inner, 2], bins=10, range=(low, high))
    return float(edges[count.argmax()] + (edges[1] - edges[0]) / 2) if inner.any() else (low + high) / 2


def _by_back(surface: Surface) -> Iterator[str]:
    """Yield the doubts of something to sit on: its back stands above the seat, and behind."""
    low, high = surface.points.min(axis=0), surface.points.max(axis=0)
    seat = _seat_height(surface, float(low[2]), float(high[2]))
    gap = 0.08 * (high[2] - low[2])
    above, below = surface.points[surface.points[:, 2] > seat + gap], surface.points[surface.points[:, 2] < seat - gap]
    if not len(above) or not len(below):
        return
    middle = (low + high)[:2] / 2
    upper, lower = above.mean(axis=0)[:2] - middle, below.mean(axis=0)[:2] - middle
    if np.linalg.norm(lower) > np.linalg.norm(upper) + _OFF:
        yield "its back is lower than its seat, so it may stand on its head: is up right?"
    elif np.linalg.norm(upper) > _OFF and upper[1] < 0.7 * np.linalg.norm(upper):
        side = "in front" if upper[1] < -0.7 * np.linalg.norm(upper) else "at a side"
        yield f"its back is {side}, so it may look elsewhere: is front right?"


def doubts(category: str, surface: Surface) -> tuple[str, ...]:
    """Return why a model's orientation may be wrong, from what is known of shapes of its category; () for no doubt."""
    x, y, z = np.ptp(surface.points, axis=0).tolist()
    found = tuple(_by_extent(category, x, y, z))
    return found or (tuple(_by_back(surface)) if category in _BACKED else ())


def _turns() -> list[Array]:
    """Return the 24 rotations (3, 3) that map the axes to axes; the first one is none."""
    turns = []
    for order, signs in product(permutations(range(3)), product((1.0, -1.0), repeat=3)):
        turn = np.zeros((3, 3))
        turn[range(3), order] = signs
        if np.linalg.det(turn) > 0:
            turns.append(turn)
    return sorted(turns, key=lambda turn: -float(np.trace(turn)))


_TURNS = _turns()


def _density(points: Array) -> Array:
    """Return where the surface is, as a unit vector: blurred counts of points in the cells of a cube about them."""
    cells = (points / np.ptp(points, axis=0).max() + 0.5) * (_CELLS - 1)
    index = np.rint(cells).astype(int).clip(0, _CELLS - 1)
    counts = np.bincount(index @ [_CELLS**2, _CELLS, 1], minlength=_CELLS**3).reshape(3 * (_CELLS,))
    density = np.sqrt(gaussian_filter(counts.astype(float), 1.0)).ravel()
    return np.asarray(density / np.linalg.norm(density))


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A model that does not stand like the others of its category.

    agreement, if_turned: agreement with the others' shape, at most 1, as it is and after the `turn` (3, 3).
    """

    agreement: float
    if_turned: float
    turn: Array

    def is_odd(self, usual: float) -> bool:
        """Return True if a turn would make it fit much better, and as well as models usually do."""
        missed = 1 - self.agreement
        return self.if_turned >= usual - _SLACK and missed > max(_MISSED * (1 - self.if_turned), _NOISE)

    def axes(self, up: str, front: str) -> tuple[str, str]:
        """Return the axes of the file that would make it stand like the others, if these are the present ones."""
        to_object = self.turn @ object_R_file(up, front)
        return axis_name(to_object[2]), axis_name(-to_object[1])


def disagreements(surfaces: Sequence[Surface]) -> Mapping[int, Difference]:
    """Return the models that would look more like the others if they were turned, by their numbers.

    Where the surface of each is, in all 24 turns that keep the axes, is compared with the mean of all others.
    """
    if len(surfaces) < _MANY:
        return {}
    turned = [np.array([_density(each.points @ turn.T) for turn in _TURNS]) for each in surfaces]
    total = np.sum([each[0] for each in turned], axis=0)
    differences = []
    for densities in turned:
        others = total - densities[0]
        scores = densities @ others / np.linalg.norm(others)
        best = int(np.argmax(scores))
        difference = Difference(agreement=float(scores[0]), if_turned=float(scores[best]), turn=_TURNS[best])
        differences.append(difference)
    usual = float(np.median([each.agreement for each in differences]))
    return {number: each for number, each in enumerate(differences) if each.is_odd(usual)}
