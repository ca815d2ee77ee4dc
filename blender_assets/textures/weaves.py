"""Patterns of threads, yarns and strands."""

from collections.abc import Iterator

import numpy as np

from blender_assets.textures.fields import Array, noise, smooth_step, stretched, triangle_wave, turned, warped


def braided(rng: np.random.Generator, u: Array, v: Array) -> Array:
    """Draw plaits of three strands side by side, each strand made of hairs."""
    x, y = turned(rng, *warped(rng, u, v, 3, 0.08))
    plaits, pitch = rng.uniform(1.5, 6), rng.uniform(0.35, 0.6)
    column, across = np.floor(y * plaits), (y * plaits) % 1 - 0.5
    along = x * plaits * pitch + rng.random(16)[column.astype(int) % 16]
    hairs, tint = int(rng.integers(6, 14)), rng.uniform(0.45, 1, 3) if rng.random() < 0.5 else np.ones(3)
    field, top = np.zeros_like(u), np.full_like(u, -9.0)
    for strand in range(3):
        phase = 2 * np.pi * (along + strand / 3)
        slope = 0.25 * 2 * np.pi * pitch * np.cos(phase)
        d = (across - 0.25 * np.sin(phase)) / np.sqrt(1 + slope**2) / 0.22
        depth = np.sqrt(np.clip(1 - d**2, 0, 1)) + 1.2 * np.sin(2 * phase)
        hair = stretched(noise(rng, 0.5 + 0.1 * along + 0.37 * column, 0.5 + 0.45 * d, hairs, 2))
        tone = np.sqrt(np.clip(1 - d**2, 0, 1)) * (0.4 + 0.6 * hair) * tint[strand]
        above = (np.abs(d) < 1) & (depth > top)
        field, top = np.where(above, tone, field), np.where(above, depth, top)
    return field


def gauzy(rng: np.random.Generator, u: Array, v: Array) -> Array:
    """Draw sheer cloth: thin sheets of visible threads lie over one another, each in soft folds."""
    field, threads = 0.15 * noise(rng, u, v, 3), rng.uniform(28, 44)
    for _ in range(int(rng.integers(2, 5))):
        x, y = turned(rng, *warped(rng, u, v, 2, 0.35))
        fold = stretched(noise(rng, 0.5 + x, 0.5 + rng.uniform(0.08, 0.25) * y, int(rng.integers(4, 9)), 2))
        weave = np.maximum(triangle_wave(x * threads), triangle_wave(y * threads))
        hem = rng.uniform(-0.5, 0.1)
        sheet = smooth_step(x, hem, 0.004) * (0.25 + 0.75 * fold**2) * (0.55 + 0.45 * weave)
        sheet = sheet + 0.25 * np.exp(-np.square((x - hem - 0.012) / 0.008))
        field = 1 - (1 - field) * (1 - 0.6 * np.clip(sheet, 0, 1))
    return stretched(field)


def interlaced(rng: np.random.Generator, u: Array, v: Array) -> Array:
    """Draw outlined bands that pass over and under one another: wavy straps or a mail of rings."""
    x, y = turned(rng, u, v)
    n = rng.uniform(2.5, 6)
    bands = _rings(rng, x * n, y * n) if rng.random() < 0.4 else _straps(rng, x * n, y * n)
    field, top = 0.12 * noise(rng, u, v, 5), np.full_like(u, -9.0)
    grooves = int(rng.integers(1, 4))
    for away, depth, tone in bands:
        inside = (np.abs(away) < 1) & (depth > top)
        strand = np.abs(np.cos(0.5 * np.pi * grooves * away)) if grooves > 1 else np.sqrt(np.clip(1 - away**2, 0, 1))
        colour = (0.35 + 0.65 * strand) * tone * smooth_step(-np.abs(away), -0.88, 0.12)
        field, top = np.where(inside, colour, field), np.where(inside, depth, top)
    return field


def _straps(rng: np.random.Generator, x: Array, y: Array) -> Iterator[tuple[Array, Array, float]]:
    """Draw two families of wavy straps: place across the strap in its half widths, depth, tone."""
    width, wave = rng.uniform(0.22, 0.36), rng.uniform(0, 0.16)
    tones = (1.0, float(rng.uniform(0.45, 1)))
    for (a, b), tone, side in zip(((x, y), (y, x)), tones, (1, -1), strict=True):
        line = np.floor(b)
        bent = b - line - 0.5 - wave * np.sin(np.pi * (a - 0.5)) * np.where(line % 2 == 0, 1, -1)
        yield bent / width, side * np.cos(np.pi * (a - 0.5)) * np.where(line % 2 == 0, 1, -1), tone


def _rings(rng: np.random.Generator, x: Array, y: Array) -> Iterator[tuple[Array, Array, float]]:
    """Draw rings of a square lattice, each linked with its neighbours; returns what `_straps` does."""
    radius, width = rng.uniform(0.62, 0.74), rng.uniform(0.09, 0.14)
    for dj in (-1, 0, 1):
        for di in (-1, 0, 1):
            p, q = x % 1 - 0.5 - di, y % 1 - 0.5 - dj
            yield (np.hypot(p, q) - radius) / width, np.sin(2 * np.arctan2(q, p)), 1.0


def knitted(rng: np.random.Generator, u: Array, v: Array) -> Array:
    """Draw stocking stitch: columns of V-shaped loops of twisted yarn; plain, in rows of colour, or with a motif."""
    x, y = turned(rng, *warped(rng, u, v, 3, 0.06))
    n, slant, kind = rng.uniform(6, 15), rng.uniform(0.7, 1.2), int(rng.integers(3))
    column, side = np.floor(x * n), np.abs((x * n) % 1 - 0.5)
    rise = y * n * rng.uniform(1, 1.4) + 2 * slant * side
    row, p, q = np.floor(rise), (side - 0.25) / 0.24, rise % 1 - 0.5
    loop = np.sqrt(np.clip(1 - p**2, 0, 1)) * np.clip(1.15 - 3 * q**2, 0, 1)
    twist = 0.82 + 0.18 * np.sin(2 * np.pi * (2 * q + 0.8 * p))
    fluff = 0.75 + 0.5 * noise(rng, 0.5 + x, 0.5 + y, 60, 2)
    peak = int(rng.integers(3, 6))
    zigzag = (row + np.abs(column % (2 * peak) - peak)) % (peak + 1) < rng.integers(1, 3)
    bands = rng.random(12)[row.astype(int) % 12]
    tone = [np.ones_like(u), 0.35 + 0.65 * bands, np.where(zigzag, 0.45, 1.0)][kind]
    return np.asarray(loop * twist * fluff * tone)


def matted(rng: np.random.Generator, u: Array, v: Array) -> Array:
    """Draw felted or tangled hair: clumps of fibres that lie in all directions over one another."""
    tone, fine = noise(rng, u, v, 5), int(rng.integers(45, 80))
    field = 0.3 * tone
    for layer in np.linspace(0.5, 1, 12):
        x, y = turned(rng, *warped(rng, u, v, int(rng.integers(2, 6)), 0.3))
        strands = stretched(noise(rng, 0.5 + 0.06 * x, 0.5 + y, fine, 1))
        covered = smooth_step(strands, rng.uniform(0.55, 0.75), 0.12)
        hair = layer * (0.2 + 0.8 * strands) * (0.5 + 0.7 * tone)
        shadow = 1 - 0.5 * smooth_step(strands, 0.45, 0.3)
        field = field * shadow * (1 - covered) + hair * covered
    return stretched(field)


def woven(rng: np.random.Generator, u: Array, v: Array) -> Array:
    """Draw strands over and under one another."""
    n = int(rng.integers(7, 15))
    x, y = turned(rng, u, v)
    p, q = x * n, y * n
    over = (np.floor(p) + np.floor(q)) % 2
    across = np.where(over > 0, q % 1, p % 1) - 0.5
    along = np.where(over > 0, p % 1, q % 1) - 0.5
    strand = np.sqrt(np.clip(1 - np.square(2.1 * across), 0, 1)) * (1 - 1.6 * along**2)
    return np.asarray(strand * (0.55 + 0.45 * over) * (0.9 + 0.2 * noise(rng, u, v, 40)))
