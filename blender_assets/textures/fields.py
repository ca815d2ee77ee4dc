"""Fields that the procedural textures are made of: noise, cells, lattices, warps, steps, light. Pure numpy."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def coordinates(side_px: int) -> tuple[Array, Array]:
    """Return coordinates u to the right and v down, each (side_px, side_px) in (0, 1), of the pixel centres."""
    v, u = np.meshgrid(*2 * [(np.arange(side_px) + 0.5) / side_px], indexing="ij")
    return u, v


def noise(rng: np.random.Generator, u: Array, v: Array, cells: int, octaves: int = 4) -> Array:
    """Draw fractal value noise in [0, 1] with about `cells` bumps along each side in its first octave."""
    total, weight = np.zeros_like(u), 0.0
    for octave in range(octaves):
        n = cells * 2**octave
        lattice = rng.random((n, n))
        x, y = (u % 1) * n, (v % 1) * n
        i, j = x.astype(int), y.astype(int)
        fx, fy = x - i, y - j
        fx, fy = fx * fx * (3 - 2 * fx), fy * fy * (3 - 2 * fy)
        i, j, i1, j1 = i % n, j % n, (i + 1) % n, (j + 1) % n
        above = lattice[j, i] * (1 - fx) + lattice[j, i1] * fx
        below = lattice[j1, i] * (1 - fx) + lattice[j1, i1] * fx
        total += 0.5**octave * (above * (1 - fy) + below * fy)
        weight += 0.5**octave
    return np.asarray(total / weight)


def stretched(field: Array) -> Array:
    """Scale a field so that its 2nd and 98th percentiles become 0 and 1."""
    low, high = np.percentile(field, [2, 98])
    return np.asarray(np.clip((field - low) / (high - low), 0, 1))


def smooth_step(field: Array, edge: float | Array, width: float) -> Array:
    """Return 0 below the edge, 1 above it, smooth over a width around it."""
    t = np.clip((field - edge) / width + 0.5, 0, 1)
    return np.asarray(t * t * (3 - 2 * t))


def rotated(x: Array, y: Array, angle: float | Array) -> tuple[Array, Array]:
    """Return coordinates along and across the direction at an angle (rad) from x towards y."""
    return x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)


def turned(rng: np.random.Generator, u: Array, v: Array) -> tuple[Array, Array]:
    """Turn coordinates by a drawn angle about the middle, which becomes 0."""
    return rotated(u - 0.5, v - 0.5, rng.uniform(0, np.pi))


def warped(rng: np.random.Generator, u: Array, v: Array, cells: int, amount: float) -> tuple[Array, Array]:
    """Displace coordinates by smooth noise of up to `amount` / 2."""
    return (
        u + amount * (noise(rng, u, v, cells, 2) - 0.5),
        v + amount * (noise(rng, u, v, cells, 2) - 0.5),
    )


def scattered(
    rng: np.random.Generator, u: Array, v: Array, n: int, jitter: float, values: int
) -> Iterator[tuple[Array, Array, Array]]:
    """Yield the points of a jittered n x n lattice in the nine cells about each place, one cell after another.

    Yields the offsets dx, dy from the cell's point (in cells) and values (values, H, W) in [0, 1] of the cell.
    """
    shift = 0.5 + jitter * (rng.random((n, n, 2)) - 0.5)
    value = rng.random((values, n, n))
    x, y = (u % 1) * n, (v % 1) * n
    i, j = x.astype(int), y.astype(int)
    for dj in (-1, 0, 1):
        for di in (-1, 0, 1):
            at = (j + dj) % n, (i + di) % n
            yield x - i - di - shift[at][..., 0], y - j - dj - shift[at][..., 1], value[:, at[0], at[1]]


def voronoi(rng: np.random.Generator, u: Array, v: Array, n: int, jitter: float) -> tuple[Array, Array, Array]:
    """Draw Voronoi cells of a jittered n x n lattice: nearest distance, second nearest (in cells), value of the
    cell."""
    first, second = np.full_like(u, 9.0), np.full_like(u, 9.0)
    owner = np.zeros_like(u)
    for dx, dy, (value,) in scattered(rng, u, v, n, jitter, 1):
        distance = np.hypot(dx, dy)
        nearer = distance < first
        second = np.where(nearer, first, np.minimum(second, distance))
        owner = np.where(nearer, value, owner)
        first = np.where(nearer, distance, first)
    return first, second, owner


def lattice(x: Array, y: Array, staggered: bool) -> tuple[Array, Array, Array, Array]:
    """Return offsets in [-0.5, 0.5] from the middle of the unit cell, and the cell's column and row.

    If staggered, every second row is shifted by half a cell.
    """
    row = np.floor(y)
    x = x - 0.5 * (row % 2) if staggered else x
    column = np.floor(x)
    return x - column - 0.5, y - row - 0.5, column, row


def hexagons(x: Array, y: Array) -> Array:
    """Return the distance from the middle of a hexagonal cell of unit width: 0 there, 0.5 on its walls."""
    nearest = np.full_like(x, 1.0)
    for shift in (0.5, 0.0):
        p = np.abs((x + shift) % 1 - 0.5)
        q = np.abs((y / np.sqrt(3) + shift) % 1 - 0.5) * np.sqrt(3)
        nearest = np.minimum(nearest, np.maximum(p, 0.5 * p + np.sqrt(0.75) * q))
    return nearest


def lit(rng: np.random.Generator, height: Array, scale: float) -> Array:
    """Return the shade in (0, 1) of a relief in light from a drawn side, between left, above and right; 0.5 if level.

    height (H, W): in units of `scale`, which is a fraction of the picture's side.
    """
    angle = rng.uniform(0, np.pi)
    along_v, along_u = np.gradient(height * scale * len(height))
    slope = along_u * np.cos(angle) + along_v * np.sin(angle)
    return np.asarray(0.5 + 0.5 * slope / np.sqrt(1 + slope**2))


def triangle_wave(x: Array) -> Array:
    """Return the triangle wave of period 1, from 0 at whole numbers to 1 halfway."""
    return np.asarray(1 - np.abs(2 * (x % 1) - 1))
