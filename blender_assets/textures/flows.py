"""Patterns that flow: veins, eddies, smears, creases."""

import numpy as np

from blender_assets.textures.fields import (
    Array,
    lit,
    noise,
    rotated,
    smooth_step,
    stretched,
    triangle_wave,
    turned,
    warped,
)


def marbled(rng: np.random.Generator, u: Array, v: Array) -> Array:
    """Draw stone with folded veins."""
    x, y = warped(rng, u, v, 3, 0.45)
    x, y = warped(rng, x, y, 6, 0.18)
    a, b = turned(rng, x, y)
    veins = np.abs(np.sin(2 * np.pi * (2.2 * a + 0.6 * b)))
    return stretched(veins**0.6 + 0.35 * noise(rng, x, y, 8))


def smeared(rng: np.random.Generator, u: Array, v: Array) -> Array:
    """Draw paint spread by a broad brush or a finger: bent strokes, streaked along their length, with ragged ends."""
    field = 0.5 * stretched(noise(rng, u, v, 3))
    spread, heading = rng.uniform(0.2, 1.6), rng.uniform(0, np.pi)
    for _ in range(int(rng.integers(9, 18))):
        angle = heading + spread * rng.uniform(-1, 1)
        p, q = rotated(u - rng.uniform(0, 1), v - rng.uniform(0, 1), angle)
        width, length, tone = rng.uniform(0.05, 0.16), rng.uniform(0.2, 0.6), rng.random()
        q = q + rng.uniform(-0.8, 0.8) * p**2 + 0.02 * noise(rng, 0.5 + p, 0.5 + q, 4, 2)
        streak = stretched(noise(rng, 0.5 + 0.04 * p, 0.5 + q, 50, 2))
        ends = length * (0.55 + 0.45 * streak) - np.abs(p)
        covered = smooth_step(ends, 0, 0.12) * (1 - smooth_step(np.abs(q), width * (0.85 + 0.15 * streak), 0.012))
        paint: Array = np.clip(tone + 0.7 * (streak - 0.5), 0, 1)
        field = field * (1 - covered) + covered * paint
    return field


def swirly(rng: np.random.Generator, u: Array, v: Array) -> Array:
    """Draw stripes drawn into eddies."""
    x, y = u - 0.5, v - 0.5
    for _ in range(7):
        cx, cy = rng.uniform(-0.5, 0.5, 2)
        reach, twist = rng.uniform(0.12, 0.3), rng.uniform(3, 6) * rng.choice([-1, 1])
        dx, dy = x - cx, y - cy
        angle = twist * np.exp(-(dx**2 + dy**2) / reach**2)
        x = cx + dx * np.cos(angle) - dy * np.sin(angle)
        y = cy + dx * np.sin(angle) + dy * np.cos(angle)
    return np.asarray(smooth_step(triangle_wave(x * rng.uniform(6, 11)), 0.5, 0.5))


def veined(rng: np.random.Generator, u: Array, v: Array) -> Array:
    """Draw branching ridges of three widths, as of a leaf or an eye."""
    field = 0.25 * noise(rng, u, v, 6)
    for cells, width in ((3, 0.035), (6, 0.03), (12, 0.03)):
        ridge = np.abs(stretched(noise(rng, u, v, cells, 3)) - 0.5)
        field = np.maximum(field, (1 - smooth_step(ridge, width, width)) * (1 - 0.04 * cells))
    return field


def wrinkled(rng: np.random.Generator, u: Array, v: Array) -> Array:
    """Draw creases in side light: crumpled paper, or skin and cloth drawn together along one direction."""
    x, y = turned(rng, *warped(rng, u, v, 3, 0.25))
    drawn = rng.uniform(0.2, 0.45) if rng.random() < 0.5 else 1.0
    cells, height = int(rng.integers(3, 6)) if drawn == 1 else int(rng.integers(6, 12)), np.zeros_like(u)
    for octave in range(4):
        ridge = np.abs(2 * noise(rng, 0.5 + x, 0.5 + drawn * y, cells * 2**octave, 1) - 1)
        height += 0.55**octave * ridge
    return stretched(lit(rng, height, 0.9 / cells) + 0.25 * height)
