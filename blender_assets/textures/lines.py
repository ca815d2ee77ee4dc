"""Patterns of lines, stripes, folds and layers."""

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


def banded(rng: np.random.Generator, u: Array, v: Array) -> Array:
    """Draw broad bands of several tones with slightly wavy edges."""
    x, _ = turned(rng, *warped(rng, u, v, 3, 0.06))
    values = rng.permutation(np.linspace(0, 1, 9))
    edges = np.sort(rng.uniform(-0.72, 0.72, 8))
    return np.asarray(values[np.searchsorted(edges, x)])


def crosshatched(rng: np.random.Generator, u: Array, v: Array) -> Array:
    """Draw an engraver's strokes in crossing directions; dark places have thicker strokes and more directions."""
    x, y = warped(rng, u, v, 5, 0.02)
    tone = stretched(noise(rng, u, v, int(rng.integers(2, 5)), 2))
    angle, rate = rng.uniform(0, np.pi), rng.uniform(16, 34)
    field = np.zeros_like(u)
    for layer in range(int(rng.integers(2, 5))):
        along, across = rotated(x - 0.5, y - 0.5, angle)
        angle += rng.uniform(0.6, 1.3)
        thick = 0.1 + 0.18 * (1 - tone) + 0.15 * (noise(rng, 0.5 + 0.15 * along, 0.5 + across, 40, 2) - 0.5)
        drawn = smooth_step(1 - tone, 0.3 * (layer - 1), 0.25) if layer else 1.0
        field = np.maximum(field, drawn * (1 - smooth_step(triangle_wave(across * rate), thick, 0.2)))
    return field


def fibrous(rng: np.random.Generator, u: Array, v: Array) -> Array:
    """Draw strands of different thickness that run in one direction."""
    x, y = turned(rng, *warped(rng, u, v, 4, 0.12))
    strands = noise(rng, 0.5 + 0.12 * x, y, 24, 4)
    return stretched(strands + 0.35 * noise(rng, 0.5 + 0.3 * x, y, 60, 2))


def grooved(rng: np.random.Generator, u: Array, v: Array) -> Array:
    """Draw parallel grooves: round flutes, narrow cuts or square channels; straight, wavy or about a centre."""
    x, y = turned(rng, *warped(rng, u, v, 3, rng.uniform(0, 0.12)))
    if rng.random() < 0.2:
        x = np.hypot(x - rng.uniform(0.3, 0.8), y)
    wave = triangle_wave(x * rng.uniform(6, 18))
    profile = [np.sqrt(1 - np.square(1 - wave)), smooth_step(wave, 0.15, 0.3), smooth_step(wave, 0.5, 0.15)]
    height = profile[rng.integers(3)]
    scratches = noise(rng, 0.5 + x, 0.5 + 0.05 * y, 50, 2)
    return np.asarray(0.5 * height + 0.35 * lit(rng, height, 0.05) + 0.15 * scratches * height)


def lined(rng: np.random.Generator, u: Array, v: Array) -> Array:
    """Draw thin parallel lines, a little unsteady."""
    x, _ = turned(rng, *warped(rng, u, v, 4, 0.025))
    return smooth_step(triangle_wave(x * rng.uniform(12, 28)), rng.uniform(0.6, 0.8), 0.15)


def pleated(rng: np.random.Generator, u: Array, v: Array) -> Array:
    """Draw folded cloth: knife or accordion pleats of uneven width, side by side or spread like a fan."""
    x, y = turned(rng, *warped(rng, u, v, 3, 0.03))
    across = x * rng.uniform(5, 13)
    if rng.random() < 0.35:
        across = np.arctan2(x, y + rng.uniform(0.75, 1.1)) * rng.uniform(6, 15)
    across = across + rng.uniform(0, 0.8) * (noise(rng, 0.5 + x, np.full_like(y, 0.5), 6, 1) - 0.5)
    at = across % 1
    knife = 0.05 + 0.95 * at ** rng.uniform(0.5, 1.2) - 0.6 * smooth_step(at, 0.93, 0.08)
    accordion = np.where(at < 0.5, 0.45 + 1.1 * at, 0.05 + 0.6 * (1 - at))
    fold = knife if rng.random() < 0.6 else accordion
    return np.asarray(fold * (0.8 + 0.4 * noise(rng, u, v, 3, 2)))


def stratified(rng: np.random.Generator, u: Array, v: Array) -> Array:
    """Draw layers of sediment of very uneven thickness, bent, sometimes broken by faults."""
    x, y = turned(rng, *warped(rng, u, v, 2, rng.uniform(0.05, 0.3)))
    for _ in range(int(rng.integers(0, 3))):
        x = x + rng.uniform(0.04, 0.15) * (y + rng.uniform(-0.6, 0.6) * x > rng.uniform(-0.4, 0.4))
    rough = x + 0.03 * (noise(rng, 0.5 + x, 0.5 + y, 8, 4) - 0.5)
    count = int(rng.integers(18, 45))
    edges = np.sort(rng.uniform(-0.9, 0.9, count))
    layer = rng.random(count + 1)[np.searchsorted(edges, rough)]
    grain = noise(rng, 0.5 + 0.5 * rough, 0.5 + 0.04 * y, 90, 2)
    return 0.72 * layer + 0.4 * grain * noise(rng, u, v, 6, 4)


def striped(rng: np.random.Generator, u: Array, v: Array) -> Array:
    """Draw broad stripes, each followed by a thin one."""
    x, _ = turned(rng, u, v)
    at = (x * rng.uniform(3, 8)) % 1
    wide = rng.uniform(0.3, 0.6)
    thin = smooth_step(at, wide + 0.12, 0.015) * (1 - smooth_step(at, wide + 0.2, 0.015))
    return np.where(at < wide, 1.0, 0.5 * thin)


def zigzagged(rng: np.random.Generator, u: Array, v: Array) -> Array:
    """Draw chevrons of three tones."""
    x, y = turned(rng, u, v)
    n, steep = rng.uniform(3, 7), rng.uniform(0.7, 1.4)
    at = (y * n + steep * triangle_wave(x * n)) % 1
    return np.where(at < 0.4, 1.0, np.where(at < 0.7, 0.0, 0.5))
