"""Procedural texture bank: patterns named after describable attributes of DTD. Pure numpy and cv2.

Each pattern is a function of a generator and of coordinates u, v in [0, 1) to a field in [0, 1]; the field is mapped
through a drawn palette of three colours. The pattern does not depend on the number of pixels.
"""

from collections.abc import Callable
from zlib import crc32

import cv2
import numpy as np
from numpy.typing import NDArray

from p3d_gen.assets.procedural.fields import (
    Array,
    coordinates,
    noise,
    smooth_step,
    stretched,
    triangle_wave,
    turned,
    voronoi,
    warped,
)

Pattern = Callable[[np.random.Generator, Array, Array], Array]

STREAM_PATTERN, STREAM_COLOUR = 1, 2
SUPERSAMPLING = 2


def texture(name: str, seed: int, size_px: int) -> NDArray[np.uint8]:
    """The texture number `seed` of an attribute: (size_px, size_px, 3) uint8, sRGB.

    The same three arguments always give the same image; `size_px` changes its sharpness only. Raises ValueError for
    an attribute that is not in `ATTRIBUTES`.
    """
    if name not in _PATTERNS:
        raise ValueError(f"no texture attribute {name!r}; known: {', '.join(ATTRIBUTES)}")
    key = crc32(name.encode())
    side = SUPERSAMPLING * size_px
    field = _PATTERNS[name](np.random.default_rng([seed, STREAM_PATTERN, key]), *coordinates(side))
    rng = np.random.default_rng([seed, STREAM_COLOUR, key])
    image = _coloured(np.clip(field, 0, 1), _palette(rng)).astype(np.float32)
    image = cv2.resize(image, (size_px, size_px), interpolation=cv2.INTER_AREA)
    shade = 0.92 + 0.16 * noise(rng, *coordinates(size_px), 24, octaves=3)
    return np.asarray(np.round(np.clip(image * shade[..., None], 0, 1) * 255), np.uint8)


def _palette(rng: np.random.Generator) -> Array:
    """Three sRGB colours (3, 3) in [0, 1]: a dark, a middle and a light one of unlike hues, either end first."""
    hue = (rng.uniform(0, 360) + np.array([0.0, rng.uniform(30, 180), rng.uniform(100, 260)])) % 360
    value = np.array([rng.uniform(0.08, 0.4), rng.uniform(0.45, 0.75), rng.uniform(0.8, 1.0)])
    saturation = np.array([rng.uniform(0.3, 0.95), rng.uniform(0.3, 0.95), rng.uniform(0.05, 0.7)])
    hsv = np.stack([hue, saturation, value], axis=1).astype(np.float32)[None]
    colours = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0].astype(float)
    return np.asarray(colours[::-1] if rng.integers(2) else colours)


def _coloured(field: Array, palette: Array) -> Array:
    """Image (H, W, 3) of a field (H, W) in [0, 1], interpolated along the palette (3, 3)."""
    at = np.linspace(0, 1, len(palette))
    return np.stack([np.interp(field, at, palette[:, c]) for c in range(3)], axis=-1)


def _banded(rng: np.random.Generator, u: Array, v: Array) -> Array:
    x, _ = turned(rng, *warped(rng, u, v, 3, 0.06))
    values = rng.permutation(np.linspace(0, 1, 9))
    edges = np.sort(rng.uniform(-0.72, 0.72, 8))
    return np.asarray(values[np.searchsorted(edges, x)])


def _blotchy(rng: np.random.Generator, u: Array, v: Array) -> Array:
    field = stretched(noise(rng, u, v, int(rng.integers(4, 9)), 3))
    return 0.5 * smooth_step(field, 0.42, 0.06) + 0.5 * smooth_step(field, 0.68, 0.06)


def _bumpy(rng: np.random.Generator, u: Array, v: Array) -> Array:
    first, _, owner = voronoi(rng, u, v, int(rng.integers(7, 14)), 0.7)
    return np.asarray(np.clip(1 - 1.25 * first**1.5, 0, 1) * (0.75 + 0.25 * owner))


def _chequered(rng: np.random.Generator, u: Array, v: Array) -> Array:
    n, x, y = int(rng.integers(4, 11)), *turned(rng, u, v)
    odd = (np.floor(n * x) + np.floor(n * y)) % 2
    return np.asarray(0.9 * odd + 0.1 * noise(rng, u, v, 16))


def _cobwebbed(rng: np.random.Generator, u: Array, v: Array) -> Array:
    centre = rng.uniform(0.3, 0.7, 2)
    x, y = warped(rng, u, v, 4, 0.03)
    radius, angle = np.hypot(x - centre[0], y - centre[1]), np.arctan2(y - centre[1], x - centre[0])
    spokes = int(rng.integers(11, 19))
    part = angle * spokes / (2 * np.pi)
    sag = radius * (1 - 0.12 * (1 - np.square(2 * (part % 1) - 1)))
    threads = smooth_step(0.004 / (radius + 0.02) + 1 - np.abs(2 * (part % 1) - 1), 0.93, 0.08)
    rings = smooth_step(1 - triangle_wave(sag * rng.uniform(12, 18)), 0.88, 0.08)
    return np.maximum(threads, rings) * 0.85 + 0.15 * noise(rng, u, v, 5)


def _cracked(rng: np.random.Generator, u: Array, v: Array) -> Array:
    x, y = warped(rng, u, v, 8, 0.09)
    first, second, owner = voronoi(rng, x, y, int(rng.integers(4, 8)), 0.95)
    fine, fine_second, _ = voronoi(rng, x, y, int(rng.integers(10, 16)), 0.95)
    crack = smooth_step(second - first, 0.06, 0.06) * (0.55 + 0.45 * smooth_step(fine_second - fine, 0.05, 0.05))
    return np.asarray(crack * (0.65 + 0.2 * owner + 0.15 * noise(rng, u, v, 20)))


def _crosshatched(rng: np.random.Generator, u: Array, v: Array) -> Array:
    lines = np.zeros_like(u)
    for _ in range(int(rng.integers(2, 4))):
        x, y = turned(rng, *warped(rng, u, v, 6, 0.02))
        broken = noise(rng, (0.5 + x) / 2, (0.5 + y) * 3, 12, 2)
        lines = np.maximum(
            lines, smooth_step(triangle_wave(x * rng.uniform(16, 30)), 0.72, 0.3) * smooth_step(broken, 0.3, 0.2)
        )
    return lines


def _crystalline(rng: np.random.Generator, u: Array, v: Array) -> Array:
    n = int(rng.integers(5, 10))
    first, second, owner = voronoi(rng, u, v, n, 1.0)
    inner, inner_second, inner_owner = voronoi(rng, u, v, 2 * n, 1.0)
    facet = 0.55 * owner + 0.3 * inner_owner + 0.15 * first
    ridges = (1 - smooth_step(second - first, 0.03, 0.05)) + 0.5 * (1 - smooth_step(inner_second - inner, 0.03, 0.05))
    return np.maximum(facet, np.clip(ridges, 0, 1))


def _dotted(rng: np.random.Generator, u: Array, v: Array) -> Array:
    n = int(rng.integers(14, 24))
    first, _, owner = voronoi(rng, u, v, n, 0.35)
    return np.asarray(1 - smooth_step(first, 0.18 + 0.12 * owner, 0.12))


def _fibrous(rng: np.random.Generator, u: Array, v: Array) -> Array:
    x, y = turned(rng, *warped(rng, u, v, 4, 0.12))
    strands = noise(rng, 0.5 + 0.12 * x, y, 24, 4)
    return stretched(strands + 0.35 * noise(rng, 0.5 + 0.3 * x, y, 60, 2))


def _grid(rng: np.random.Generator, u: Array, v: Array) -> Array:
    n, thick = int(rng.integers(5, 12)), rng.uniform(0.72, 0.88)
    x, y = turned(rng, u, v)
    bars = np.maximum(smooth_step(triangle_wave(n * x), thick, 0.06), smooth_step(triangle_wave(n * y), thick, 0.06))
    return np.maximum(bars, 0.25 * noise(rng, u, v, 6))


def _honeycombed(rng: np.random.Generator, u: Array, v: Array) -> Array:
    n = int(rng.integers(6, 12))
    x, y = warped(rng, *turned(rng, u, v), 3, 0.03)
    p, q = x * n, y * n
    a = np.stack([(p + 0.5) % 1 - 0.5, (q / np.sqrt(3) + 0.5) % 1 - 0.5])
    b = np.stack([p % 1 - 0.5, (q / np.sqrt(3)) % 1 - 0.5])
    scale = np.array([1, np.sqrt(3)])[:, None, None]
    a, b = np.abs(a * scale), np.abs(b * scale)
    hexagon = [np.maximum(c[0], 0.5 * c[0] + np.sqrt(0.75) * c[1]) for c in (a, b)]
    edge = np.minimum(*hexagon)
    return np.asarray(smooth_step(edge, 0.43, 0.04) + (1 - smooth_step(edge, 0.43, 0.04)) * 0.6 * edge / 0.5)


def _lined(rng: np.random.Generator, u: Array, v: Array) -> Array:
    x, _ = turned(rng, *warped(rng, u, v, 4, 0.025))
    return smooth_step(triangle_wave(x * rng.uniform(12, 28)), rng.uniform(0.6, 0.8), 0.15)


def _marbled(rng: np.random.Generator, u: Array, v: Array) -> Array:
    x, y = warped(rng, u, v, 3, 0.45)
    x, y = warped(rng, x, y, 6, 0.18)
    a, b = turned(rng, x, y)
    veins = np.abs(np.sin(2 * np.pi * (2.2 * a + 0.6 * b)))
    return stretched(veins**0.6 + 0.35 * noise(rng, x, y, 8))


def _polka_dotted(rng: np.random.Generator, u: Array, v: Array) -> Array:
    n, radius = int(rng.integers(4, 9)), rng.uniform(0.24, 0.38)
    x, y = turned(rng, u, v)
    p, q = x * n, y * n
    first = np.hypot((p % 1) - 0.5, (q % 1) - 0.5)
    second = np.hypot(((p + 0.5) % 1) - 0.5, ((q + 0.5) % 1) - 0.5)
    return 1 - smooth_step(np.minimum(first, second), radius * 0.85, 0.03)


def _scaly(rng: np.random.Generator, u: Array, v: Array) -> Array:
    n = int(rng.integers(6, 12))
    x, y = u * n, v * n * 1.5
    field = np.zeros_like(u)
    for row in (2, 1, 0):
        line = np.floor(y) - row + 1
        centre = np.floor(x - 0.5 * (line % 2)) + 0.5 + 0.5 * (line % 2)
        distance = np.hypot(x - centre, (y - line) / 1.5)
        field = np.where(distance < 0.66, 0.15 + 1.1 * (0.66 - distance), field)
    return field + 0.1 * noise(rng, u, v, 20)


def _spiralled(rng: np.random.Generator, u: Array, v: Array) -> Array:
    centre, arms, turns = rng.uniform(0.35, 0.65, 2), int(rng.integers(1, 5)), rng.uniform(5, 11)
    x, y = warped(rng, u, v, 4, 0.03)
    radius, angle = np.hypot(x - centre[0], y - centre[1]), np.arctan2(y - centre[1], x - centre[0])
    return smooth_step(triangle_wave(turns * radius + arms * angle / (2 * np.pi)), 0.5, 0.25)


def _sprinkled(rng: np.random.Generator, u: Array, v: Array) -> Array:
    field = 0.1 * noise(rng, u, v, 8)
    for level in (0.4, 0.7, 1.0):
        n = int(rng.integers(8, 18))
        first, _, owner = voronoi(rng, *turned(rng, u, v), n, 1.0)
        field = np.where((first < 0.2 + 0.1 * owner) & (owner > 0.45), level, field)
    return np.asarray(field)


def _stained(rng: np.random.Generator, u: Array, v: Array) -> Array:
    x, y = warped(rng, u, v, 5, 0.2)
    field = 0.2 * noise(rng, u, v, 16)
    for _ in range(int(rng.integers(4, 8))):
        cx, cy, radius = rng.uniform(0.1, 0.9), rng.uniform(0.1, 0.9), rng.uniform(0.1, 0.28)
        distance = np.hypot(x - cx, y - cy)
        inside = 1 - smooth_step(distance, radius, 0.02)
        rim = np.exp(-np.square((distance - radius + 0.012) / 0.012))
        field = np.maximum(field, inside * rng.uniform(0.3, 0.6)) + 0.35 * rim * inside
    return field


def _striped(rng: np.random.Generator, u: Array, v: Array) -> Array:
    x, _ = turned(rng, u, v)
    at = (x * rng.uniform(3, 8)) % 1
    wide = rng.uniform(0.3, 0.6)
    thin = smooth_step(at, wide + 0.12, 0.015) * (1 - smooth_step(at, wide + 0.2, 0.015))
    return np.where(at < wide, 1.0, 0.5 * thin)


def _swirly(rng: np.random.Generator, u: Array, v: Array) -> Array:
    x, y = u - 0.5, v - 0.5
    for _ in range(7):
        cx, cy = rng.uniform(-0.5, 0.5, 2)
        reach, twist = rng.uniform(0.12, 0.3), rng.uniform(3, 6) * rng.choice([-1, 1])
        dx, dy = x - cx, y - cy
        angle = twist * np.exp(-(dx**2 + dy**2) / reach**2)
        x = cx + dx * np.cos(angle) - dy * np.sin(angle)
        y = cy + dx * np.sin(angle) + dy * np.cos(angle)
    return np.asarray(smooth_step(triangle_wave(x * rng.uniform(6, 11)), 0.5, 0.5))


def _veined(rng: np.random.Generator, u: Array, v: Array) -> Array:
    field = 0.25 * noise(rng, u, v, 6)
    for cells, width in ((3, 0.035), (6, 0.03), (12, 0.03)):
        ridge = np.abs(stretched(noise(rng, u, v, cells, 3)) - 0.5)
        field = np.maximum(field, (1 - smooth_step(ridge, width, width)) * (1 - 0.04 * cells))
    return field


def _woven(rng: np.random.Generator, u: Array, v: Array) -> Array:
    n = int(rng.integers(7, 15))
    x, y = turned(rng, u, v)
    p, q = x * n, y * n
    over = (np.floor(p) + np.floor(q)) % 2
    across = np.where(over > 0, q % 1, p % 1) - 0.5
    along = np.where(over > 0, p % 1, q % 1) - 0.5
    strand = np.sqrt(np.clip(1 - np.square(2.1 * across), 0, 1)) * (1 - 1.6 * along**2)
    return np.asarray(strand * (0.55 + 0.45 * over) * (0.9 + 0.2 * noise(rng, u, v, 40)))


def _zigzagged(rng: np.random.Generator, u: Array, v: Array) -> Array:
    x, y = turned(rng, u, v)
    n, steep = rng.uniform(3, 7), rng.uniform(0.7, 1.4)
    at = (y * n + steep * triangle_wave(x * n)) % 1
    return np.where(at < 0.4, 1.0, np.where(at < 0.7, 0.0, 0.5))


_PATTERNS: dict[str, Pattern] = {
    "banded": _banded,
    "blotchy": _blotchy,
    "bumpy": _bumpy,
    "chequered": _chequered,
    "cobwebbed": _cobwebbed,
    "cracked": _cracked,
    "crosshatched": _crosshatched,
    "crystalline": _crystalline,
    "dotted": _dotted,
    "fibrous": _fibrous,
    "grid": _grid,
    "honeycombed": _honeycombed,
    "lined": _lined,
    "marbled": _marbled,
    "polka-dotted": _polka_dotted,
    "scaly": _scaly,
    "spiralled": _spiralled,
    "sprinkled": _sprinkled,
    "stained": _stained,
    "striped": _striped,
    "swirly": _swirly,
    "veined": _veined,
    "woven": _woven,
    "zigzagged": _zigzagged,
}
ATTRIBUTES = tuple(_PATTERNS)
