"""Patterns that repeat on a lattice."""

import numpy as np

from blender_assets.textures.fields import (
    Array,
    hexagons,
    lattice,
    lit,
    noise,
    smooth_step,
    stretched,
    triangle_wave,
    turned,
    voronoi,
    warped,
)


def chequered(rng: np.random.Generator, u: Array, v: Array) -> Array:
    """Draw a board of squares."""
    n, x, y = int(rng.integers(4, 11)), *turned(rng, u, v)
    odd = (np.floor(n * x) + np.floor(n * y)) % 2
    return np.asarray(0.9 * odd + 0.1 * noise(rng, u, v, 16))


def grid(rng: np.random.Generator, u: Array, v: Array) -> Array:
    """Draw crossing bars."""
    n, thick = int(rng.integers(5, 12)), rng.uniform(0.72, 0.88)
    x, y = turned(rng, u, v)
    bars = np.maximum(smooth_step(triangle_wave(n * x), thick, 0.06), smooth_step(triangle_wave(n * y), thick, 0.06))
    return np.maximum(bars, 0.25 * noise(rng, u, v, 6))


def honeycombed(rng: np.random.Generator, u: Array, v: Array) -> Array:
    """Draw hexagonal cells with walls between them."""
    n = int(rng.integers(6, 12))
    x, y = warped(rng, *turned(rng, u, v), 3, 0.03)
    edge = hexagons(x * n, y * n)
    return np.asarray(smooth_step(edge, 0.43, 0.04) + (1 - smooth_step(edge, 0.43, 0.04)) * 0.6 * edge / 0.5)


def meshed(rng: np.random.Generator, u: Array, v: Array) -> Array:
    """Draw thin wires with open space between them: chain link, chicken wire, or a slack net."""
    kind, n = int(rng.integers(3)), rng.uniform(5, 13)
    x, y = turned(rng, *warped(rng, u, v, 4, 0.2 if kind == 2 else 0.04))
    width = rng.uniform(0.05, 0.09)
    if kind == 1:
        away = 0.5 - hexagons(x * n, y * n * rng.uniform(0.6, 1))
    else:
        tall = rng.uniform(0.6, 1)
        p, q = (x + tall * y) * n, (x - tall * y) * n
        away = np.minimum(np.abs(p % 1 - 0.5), np.abs(q % 1 - 0.5))
    wire = np.sqrt(np.clip(1 - np.square(away / width), 0, 1))
    knots = noise(rng, u, v, 30, 2)
    return np.where(away < width, 0.45 + 0.4 * wire + 0.15 * knots, 0.3 * stretched(noise(rng, u, v, 3)))


def perforated(rng: np.random.Generator, u: Array, v: Array) -> Array:
    """Draw a sheet with rows of punched holes: round, square or slots, in square or staggered rows."""
    x, y = turned(rng, u, v)
    n, staggered, kind = rng.uniform(5, 13), bool(rng.integers(2)), int(rng.integers(3))
    long = rng.uniform(1.8, 3) if kind == 2 else 1.0
    p, q, _, _ = lattice(x * n / long, y * n, staggered)
    radius, power = rng.uniform(0.2, 0.33), 5.0 if kind == 1 else 2.0
    side = np.maximum(np.abs(p) * long - (long - 1) * 0.55, 0)
    distance = (side**power + np.abs(q) ** power) ** (1 / power)
    hole = 1 - smooth_step(distance, radius, 0.05)
    rim = lit(rng, smooth_step(distance, radius + 0.04, 0.16), 0.2 / n) - 0.5
    brushed = noise(rng, 0.5 + 0.04 * x, 0.5 + y, 70, 2)
    plate = 0.72 + 0.2 * (brushed - 0.5) + 0.9 * rim
    return np.asarray(plate * (1 - hole) + hole * 0.15 * noise(rng, u, v, 4))


def polka_dotted(rng: np.random.Generator, u: Array, v: Array) -> Array:
    """Draw large equal dots in staggered rows."""
    n, radius = int(rng.integers(4, 9)), rng.uniform(0.24, 0.38)
    x, y = turned(rng, u, v)
    p, q = x * n, y * n
    first = np.hypot((p % 1) - 0.5, (q % 1) - 0.5)
    second = np.hypot(((p + 0.5) % 1) - 0.5, ((q + 0.5) % 1) - 0.5)
    return 1 - smooth_step(np.minimum(first, second), radius * 0.85, 0.03)


def scaly(rng: np.random.Generator, u: Array, v: Array) -> Array:
    """Draw overlapping scales in rows, round to pointed, each of its own tone."""
    n, flat, point = rng.uniform(5, 13), rng.uniform(1.4, 2), rng.uniform(0, 0.8)
    x, y = turned(rng, *warped(rng, u, v, 3, 0.05))
    x, y = x * n, y * n * flat
    tones, field = rng.random((32, 32)), np.zeros_like(u)
    for row in (2, 1, 0, -1):
        line = np.floor(y) - row + 1
        column = np.floor(x - 0.5 * (line % 2))
        dx, dy = np.abs(x - column - 0.5 - 0.5 * (line % 2)), (y - line) / flat
        distance = (1 - point) * np.hypot(dx, dy) + point * (0.9 * dx + 0.75 * np.abs(dy))
        tone = tones[line.astype(int) % 32, column.astype(int) % 32]
        keel = 0.25 * (1 - smooth_step(dx, 0.05, 0.1))
        field = np.where(distance < 0.66, (0.1 + 1.2 * (0.66 - distance)) * (0.7 + 0.5 * tone) + keel * point, field)
    return field + 0.1 * noise(rng, u, v, 20)


def studded(rng: np.random.Generator, u: Array, v: Array) -> Array:
    """Draw domes, cones or pyramids of metal in rows on leather; some patterns leave lattice places empty."""
    x, y = turned(rng, u, v)
    n, radius, kind = rng.uniform(4, 10), rng.uniform(0.3, 0.45), int(rng.integers(3))
    p, q, i, j = lattice(x * n, y * n, bool(rng.integers(2)))
    gap, step = int(rng.integers(2, 5)), int(rng.integers(0, 3))
    there = (i + step * j) % gap != 0 if rng.random() < 0.5 else np.ones_like(i, bool)
    away = (np.maximum(np.abs(p), np.abs(q)) if kind == 2 else np.hypot(p, q)) / radius
    height = np.sqrt(np.clip(1 - away**2, 0, 1)) if kind == 0 else np.clip(1.4 * (1 - away), 0, 1)
    metal = lit(rng, height, 0.6 * radius / n)
    metal = 0.25 + metal - 0.5 * smooth_step(away, 0.92, 0.1)
    first, second, _ = voronoi(rng, u, v, 30, 1.0)
    leather = 0.05 + 0.22 * smooth_step(second - first, 0.12, 0.2) * noise(rng, u, v, 5)
    shadow = smooth_step(away, 1.15, 0.5)
    return np.where(there, np.where(away < 1, metal, leather * shadow), leather)


def waffled(rng: np.random.Generator, u: Array, v: Array) -> Array:
    """Draw square pockets between raised ribs, like a waffle's or a waffle slab's."""
    x, y = turned(rng, *warped(rng, u, v, 3, rng.uniform(0, 0.06)))
    n, aspect = rng.uniform(3, 9), rng.uniform(0.75, 1)
    inward = np.minimum(triangle_wave(x * n), triangle_wave(y * n * aspect))
    edge = rng.uniform(0.2, 0.4)
    height = 1 - smooth_step(inward, edge + 0.15, rng.uniform(0.2, 0.45))
    baked = noise(rng, u, v, 5, 5)
    floor = 0.12 * smooth_step(inward, 0.75, 0.5)
    return np.asarray(0.55 * height + 0.6 * (lit(rng, height, 0.35 / n) - 0.3) + floor + 0.25 * (baked - 0.4))
