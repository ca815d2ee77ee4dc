"""Patterns of spots and stains."""

import numpy as np

from blender_assets.textures.fields import (
    Array,
    noise,
    rotated,
    scattered,
    smooth_step,
    stretched,
    turned,
    voronoi,
    warped,
)


def blotchy(rng: np.random.Generator, u: Array, v: Array) -> Array:
    """Draw ragged blotches in two steps on a plain ground."""
    field = stretched(noise(rng, u, v, int(rng.integers(4, 9)), 3))
    return 0.5 * smooth_step(field, 0.42, 0.06) + 0.5 * smooth_step(field, 0.68, 0.06)


def dotted(rng: np.random.Generator, u: Array, v: Array) -> Array:
    """Draw small dots of uneven size in loose rows."""
    n = int(rng.integers(14, 24))
    first, _, owner = voronoi(rng, u, v, n, 0.35)
    return np.asarray(1 - smooth_step(first, 0.18 + 0.12 * owner, 0.12))


def flecked(rng: np.random.Generator, u: Array, v: Array) -> Array:
    """Draw small irregular flecks of a few tones on a plain ground: chips in all directions, or tweed in one."""
    x, y = warped(rng, *turned(rng, u, v), 20, 0.03)
    field, spread = 0.12 * noise(rng, u, v, 30), rng.choice([0.4, np.pi])
    share, long = rng.uniform(0.3, 0.6), rng.uniform(0.12, 0.3)
    for tone in rng.permutation([0.4, 0.65, 0.85, 1.0]):
        n = int(rng.integers(12, 26))
        for dx, dy, (size, way, there) in scattered(rng, x, y, n, 1.0, 3):
            p, q = rotated(dx, dy, spread * way)
            chip = np.maximum(
                np.abs(p) / (long + 0.12 * size), np.abs(q + 0.4 * p * (size - 0.5)) / (0.06 + 0.07 * size)
            )
            field = np.where((chip < 1) & (there < share), tone, field)
    return field


def freckled(rng: np.random.Generator, u: Array, v: Array) -> Array:
    """Draw soft-edged small spots of many strengths, crowded in some places and absent in others."""
    x, y = warped(rng, u, v, 12, 0.03)
    dense = stretched(noise(rng, u, v, int(rng.integers(2, 5)), 2))
    n, least = int(rng.integers(6, 13)), rng.uniform(0.2, 0.5)
    field = 0.15 * noise(rng, u, v, 4)
    for cells in (n, 2 * n, 3 * n):
        for dx, dy, (size, strength, there) in scattered(rng, x, y, cells, 1.0, 3):
            radius = 0.12 + 0.3 * size**2
            spot = (1 - smooth_step(np.hypot(dx, dy), 0.8 * radius, 0.9 * radius)) * (0.5 + 0.5 * strength)
            field = np.maximum(field, spot * smooth_step(least + 0.6 * dense - there, 0, 0.2))
    return field


def sprinkled(rng: np.random.Generator, u: Array, v: Array) -> Array:
    """Draw small discs of three tones, strewn at random."""
    field = 0.1 * noise(rng, u, v, 8)
    for level in (0.4, 0.7, 1.0):
        n = int(rng.integers(8, 18))
        first, _, owner = voronoi(rng, *turned(rng, u, v), n, 1.0)
        field = np.where((first < 0.2 + 0.1 * owner) & (owner > 0.45), level, field)
    return np.asarray(field)


def stained(rng: np.random.Generator, u: Array, v: Array) -> Array:
    """Draw dried liquid: overlapping spots with dark rims."""
    x, y = warped(rng, u, v, 5, 0.2)
    field = 0.2 * noise(rng, u, v, 16)
    for _ in range(int(rng.integers(4, 8))):
        cx, cy, radius = rng.uniform(0.1, 0.9), rng.uniform(0.1, 0.9), rng.uniform(0.1, 0.28)
        distance = np.hypot(x - cx, y - cy)
        inside = 1 - smooth_step(distance, radius, 0.02)
        rim = np.exp(-np.square((distance - radius + 0.012) / 0.012))
        field = np.maximum(field, inside * rng.uniform(0.3, 0.6)) + 0.35 * rim * inside
    return field
