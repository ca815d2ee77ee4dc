"""Patterns of cells, bumps, bubbles and holes."""

import numpy as np

from blender_assets.textures.fields import Array, lit, noise, rotated, scattered, smooth_step, turned, voronoi, warped


def bubbly(rng: np.random.Generator, u: Array, v: Array) -> Array:
    """Draw bubbles of many sizes with bright rims and a highlight each, the large ones over the small ones."""
    field, share = 0.2 * noise(rng, u, v, 4), rng.uniform(0.35, 0.75)
    angle, full = rng.uniform(0, 2 * np.pi), rng.uniform(0.05, 0.35)
    largest = int(rng.integers(3, 6))
    for n in (5 * largest, 3 * largest, 2 * largest, largest):
        for dx, dy, (size, there) in scattered(rng, u, v, n, 0.9, 2):
            radius = 0.16 + 0.34 * size
            away = np.hypot(dx, dy) / radius
            glint = np.hypot(dx / radius - 0.45 * np.cos(angle), dy / radius - 0.45 * np.sin(angle))
            bubble = (
                full + 0.9 * away**3 - 0.7 * smooth_step(away, 0.94, 0.1) + 0.9 * (1 - smooth_step(glint, 0.2, 0.1))
            )
            field = np.where((away < 1) & (there < share), bubble, field)
    return field


def bumpy(rng: np.random.Generator, u: Array, v: Array) -> Array:
    """Draw rounded bumps in side light: crowded like a toad's, or apart in rows like a non-slip floor's."""
    rows = rng.random() < 0.35
    x, y = turned(rng, u, v) if rows else warped(rng, u, v, 5, 0.06)
    n, jitter, reach = int(rng.integers(5, 15)), 0.0 if rows else 0.8, rng.uniform(0.3, 0.4) if rows else 0.75
    height = np.zeros_like(u)
    for dx, dy, (size,) in scattered(rng, x, y, n, jitter, 1):
        radius = reach * (1.0 if rows else 0.7 + 0.3 * size)
        height = np.maximum(height, 1 - np.square(np.hypot(dx, dy) / radius))
    grain = noise(rng, u, v, 40, 2)
    return np.asarray(lit(rng, height, 0.6 * reach / n) + 0.4 * (height - 0.6) + 0.1 * (grain - 0.5))


def cracked(rng: np.random.Generator, u: Array, v: Array) -> Array:
    """Draw dried earth or old paint: plates apart from one another, with finer cracks in them."""
    x, y = warped(rng, u, v, 8, 0.09)
    first, second, owner = voronoi(rng, x, y, int(rng.integers(4, 8)), 0.95)
    fine, fine_second, _ = voronoi(rng, x, y, int(rng.integers(10, 16)), 0.95)
    crack = smooth_step(second - first, 0.06, 0.06) * (0.55 + 0.45 * smooth_step(fine_second - fine, 0.05, 0.05))
    return np.asarray(crack * (0.65 + 0.2 * owner + 0.15 * noise(rng, u, v, 20)))


def crystalline(rng: np.random.Generator, u: Array, v: Array) -> Array:
    """Draw flat facets of different tones with bright ridges."""
    n = int(rng.integers(5, 10))
    first, second, owner = voronoi(rng, u, v, n, 1.0)
    inner, inner_second, inner_owner = voronoi(rng, u, v, 2 * n, 1.0)
    facet = 0.55 * owner + 0.3 * inner_owner + 0.15 * first
    ridges = (1 - smooth_step(second - first, 0.03, 0.05)) + 0.5 * (1 - smooth_step(inner_second - inner, 0.03, 0.05))
    return np.maximum(facet, np.clip(ridges, 0, 1))


def pitted(rng: np.random.Generator, u: Array, v: Array) -> Array:
    """Draw a surface with many shallow pits in side light: corroded and irregular, or dimpled like a golf ball."""
    regular = rng.random() < 0.3
    x, y = turned(rng, u, v) if regular else warped(rng, u, v, 12, 0.08)
    n, share = int(rng.integers(6, 11)), rng.uniform(0.35, 0.75)
    depth = np.zeros_like(u)
    for cells in (n,) if regular else (n, 2 * n, 3 * n):
        for dx, dy, (size, there) in scattered(rng, x, y, cells, 0.1 if regular else 1.0, 2):
            away = np.hypot(dx, dy) / (0.42 if regular else 0.12 + 0.33 * size)
            pit = np.clip(1 - away**2, 0, 1) * n / cells
            depth = np.maximum(depth, pit if regular else np.where(there < share, pit, 0))
    grain = noise(rng, u, v, 24, 3)
    return np.asarray(0.2 + lit(rng, 0.15 * grain - depth, 0.4 / n) - 0.5 * depth + 0.3 * (grain - 0.5))


def porous(rng: np.random.Generator, u: Array, v: Array) -> Array:
    """Draw sponge, pumice or bread: dark open pores of many sizes in a light body."""
    x, y = warped(rng, u, v, 10, rng.uniform(0.03, 0.12))
    n, share = int(rng.integers(4, 9)), rng.uniform(0.4, 0.85)
    body = 0.6 + 0.4 * noise(rng, u, v, 6, 5)
    deep = np.zeros_like(u)
    for cells in (n, 2 * n, 4 * n):
        for dx, dy, (size, there) in scattered(rng, x, y, cells, 1.0, 2):
            hole = 1 - smooth_step(np.hypot(dx, dy), 0.1 + 0.4 * size, 0.14)
            deep = np.maximum(deep, np.where(there < share, hole, 0))
    return np.asarray(body * (1 - deep) + 0.9 * (lit(rng, -deep, 0.08 / n) - 0.5) + 0.15 * deep * noise(rng, u, v, 12))


def potholed(rng: np.random.Generator, u: Array, v: Array) -> Array:
    """Draw a worn road: a few large ragged holes with rubble, cracks about them, gravel everywhere."""
    x, y = warped(rng, *warped(rng, u, v, 4, 0.2), 14, 0.05)
    inside = np.full_like(u, -1.0)
    for _ in range(int(rng.integers(2, 6))):
        p, q = rotated(x - rng.uniform(0.1, 0.9), y - rng.uniform(0.1, 0.9), rng.uniform(0, np.pi))
        radius = rng.uniform(0.1, 0.27)
        inside = np.maximum(inside, 1 - np.hypot(p, q * rng.uniform(1, 1.8)) / radius)
    grain, _, stone = voronoi(rng, u, v, int(rng.integers(30, 50)), 1.0)
    rubble, _, block = voronoi(rng, u, v, 16, 1.0)
    first, second, _ = voronoi(rng, *warped(rng, u, v, 8, 0.08), 6, 1.0)
    crack = (1 - smooth_step(second - first, 0.04, 0.05)) * smooth_step(inside, -0.6, 0.6)
    road = 0.55 + 0.4 * stone * (1 - grain) - 0.45 * crack
    pit = 0.05 + 0.3 * block * (1 - rubble) + 0.12 * stone
    hole = smooth_step(inside, 0, 0.06)
    return np.asarray(road * (1 - hole) + pit * hole + 0.9 * (lit(rng, -smooth_step(inside, 0.06, 0.3), 0.03) - 0.5))
