"""Fields that the procedural textures are made of: noise, Voronoi cells, warps, steps. Pure numpy."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def coordinates(side_px: int) -> tuple[Array, Array]:
    """Coordinates u to the right and v down, each (side_px, side_px) in (0, 1), of the pixel centres."""
    v, u = np.meshgrid(*2 * [(np.arange(side_px) + 0.5) / side_px], indexing="ij")
    return u, v


def noise(rng: np.random.Generator, u: Array, v: Array, cells: int, octaves: int = 4) -> Array:
    """Fractal value noise in [0, 1] with about `cells` bumps along each side in its first octave."""
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
    """The field scaled so that its 2nd and 98th percentiles become 0 and 1."""
    low, high = np.percentile(field, [2, 98])
    return np.asarray(np.clip((field - low) / (high - low), 0, 1))


def smooth_step(field: Array, edge: float | Array, width: float) -> Array:
    """0 below the edge, 1 above it, smooth over a width around it."""
    t = np.clip((field - edge) / width + 0.5, 0, 1)
    return np.asarray(t * t * (3 - 2 * t))


def turned(rng: np.random.Generator, u: Array, v: Array) -> tuple[Array, Array]:
    """Coordinates turned by a drawn angle about the middle."""
    angle = rng.uniform(0, np.pi)
    x, y = u - 0.5, v - 0.5
    return x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)


def warped(rng: np.random.Generator, u: Array, v: Array, cells: int, amount: float) -> tuple[Array, Array]:
    """Coordinates displaced by smooth noise of up to `amount` / 2."""
    return (
        u + amount * (noise(rng, u, v, cells, 2) - 0.5),
        v + amount * (noise(rng, u, v, cells, 2) - 0.5),
    )


def voronoi(rng: np.random.Generator, u: Array, v: Array, n: int, jitter: float) -> tuple[Array, Array, Array]:
    """Voronoi cells of a jittered n x n lattice: nearest distance, second nearest (in cells), value of the cell."""
    shift = 0.5 + jitter * (rng.random((n, n, 2)) - 0.5)
    value = rng.random((n, n))
    x, y = (u % 1) * n, (v % 1) * n
    i, j = x.astype(int), y.astype(int)
    first, second = np.full_like(u, 9.0), np.full_like(u, 9.0)
    owner = np.zeros_like(u)
    for dj in (-1, 0, 1):
        for di in (-1, 0, 1):
            at = shift[(j + dj) % n, (i + di) % n]
            distance = np.hypot(i + di + at[..., 0] - x, j + dj + at[..., 1] - y)
            nearer = distance < first
            second = np.where(nearer, first, np.minimum(second, distance))
            owner = np.where(nearer, value[(j + dj) % n, (i + di) % n], owner)
            first = np.where(nearer, distance, first)
    return first, second, owner


def triangle_wave(x: Array) -> Array:
    """Triangle wave of period 1, from 0 at whole numbers to 1 halfway."""
    return np.asarray(1 - np.abs(2 * (x % 1) - 1))
