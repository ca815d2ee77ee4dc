"""Patterns about centres and motifs."""

import numpy as np
from numpy.typing import NDArray

from blender_assets.textures.fields import (
    Array,
    lattice,
    noise,
    rotated,
    scattered,
    smooth_step,
    triangle_wave,
    turned,
    voronoi,
    warped,
)


def cobwebbed(rng: np.random.Generator, u: Array, v: Array) -> Array:
    """Draw a spider's web: spokes from a centre and threads that sag between them."""
    centre = rng.uniform(0.3, 0.7, 2)
    x, y = warped(rng, u, v, 4, 0.03)
    radius, angle = np.hypot(x - centre[0], y - centre[1]), np.arctan2(y - centre[1], x - centre[0])
    spokes = int(rng.integers(11, 19))
    part = angle * spokes / (2 * np.pi)
    sag = radius * (1 - 0.12 * (1 - np.square(2 * (part % 1) - 1)))
    threads = smooth_step(0.004 / (radius + 0.02) + 1 - np.abs(2 * (part % 1) - 1), 0.93, 0.08)
    rings = smooth_step(1 - triangle_wave(sag * rng.uniform(12, 18)), 0.88, 0.08)
    return np.maximum(threads, rings) * 0.85 + 0.15 * noise(rng, u, v, 5)


def frilly(rng: np.random.Generator, u: Array, v: Array) -> Array:
    """Draw ruffles: rows of cloth gathered at the top, whose folds open towards a waving hem; straight or in rings."""
    x, y = turned(rng, *warped(rng, u, v, 4, 0.16))
    rows, folds = rng.uniform(3, 6.5), rng.uniform(4, 9)
    if rng.random() < 0.35:
        middle = rng.uniform(-0.3, 0.3, 2)
        angle, y = np.arctan2(x - middle[0], y - middle[1]), np.hypot(x - middle[0], y - middle[1])
        x = angle * int(rng.integers(6, 13)) / (2 * np.pi * folds)
    down, wave = y * rows, rng.uniform(0.12, 0.3)
    field, shift = np.zeros_like(u), rng.random(32)
    for behind in (1, 0, -1):
        row = np.floor(down) + behind
        phase = 2 * np.pi * (x * folds + shift[row.astype(int) % 32])
        fall = down - row + 0.25
        hem = 1.0 + wave * np.sin(phase) + 0.3 * wave * np.sin(2 * phase + row)
        open_ = np.clip(fall, 0, 1)
        cloth = 0.45 + 0.5 * np.cos(phase + 1.2 * open_) * open_**0.7 + 0.12 * np.sin(3 * phase) * (1 - open_)
        cloth = (cloth + 0.4 * smooth_step(fall, hem - 0.05, 0.05)) * smooth_step(fall, 0.1, 0.3)
        field = np.where((fall > 0) & (fall < hem), cloth, field)
    return field + 0.1 * noise(rng, u, v, 20)


def lacelike(rng: np.random.Generator, u: Array, v: Array) -> Array:
    """Draw lace: scalloped medallions with a flower and a ring of eyelets each, held by a fine net."""
    x, y = turned(rng, *warped(rng, u, v, 3, 0.04))
    n, petals = rng.uniform(1.6, 3.6), int(rng.integers(5, 10))
    p, q, _, _ = lattice(x * n, y * n, bool(rng.integers(2)))
    radius, angle = np.hypot(p, q), np.arctan2(q, p) + rng.uniform(0, np.pi)
    rim = radius / (0.38 + 0.1 * np.abs(np.cos(petals * angle)))
    flower = radius / (0.1 + 0.16 * np.abs(np.cos(0.5 * petals * angle)) ** 0.7)
    mesh = rng.uniform(10, 16)
    net = np.maximum(triangle_wave((x + y) * n * mesh / 2), triangle_wave((x - y) * n * mesh / 2))
    spokes = triangle_wave(angle * 2 * petals / np.pi)
    eyelets = np.hypot(radius - 0.29, radius * ((angle * petals / np.pi) % 1 - 0.5) * np.pi / petals)
    thread = 0.65 * smooth_step(net, 0.72, 0.2)
    inner = np.maximum(0.8 * smooth_step(spokes, 0.6, 0.3), smooth_step(-np.abs(eyelets - 0.045), -0.015, 0.012))
    thread = np.where(rim < 1, inner, thread)
    for edge, width in ((1.0, 0.05), (0.8, 0.03)):
        thread = np.maximum(thread, 1 - smooth_step(np.abs(rim - edge), width, 0.03))
    petal = np.where(flower < 0.55, 0.15, np.where(flower < 1, 0.95, thread))
    return np.asarray(np.where(flower < 1.12, petal * (flower < 1), thread) * (0.85 + 0.3 * noise(rng, u, v, 40, 2)))


def paisley(rng: np.random.Generator, u: Array, v: Array) -> Array:
    """Draw bent drops within drops, with beaded outlines, strewn over a ground of small flowers."""
    x, y = turned(rng, u, v)
    tones, n = rng.permutation([1.0, 0.0, 0.65, 0.35]), int(rng.integers(2, 5))
    first, _, owner = voronoi(rng, x, y, 5 * n, 0.5)
    field = np.where(first < 0.15 + 0.15 * owner, 0.6, 0.15 if tones[0] > 0.5 else 0.9)
    bend, beads = rng.uniform(0.35, 0.6), int(rng.integers(9, 15))
    for dx, dy, (way, size, hand) in scattered(rng, x, y, n, 0.45, 3):
        a, b = rotated(dx, dy, 2 * np.pi * way)
        a, b = np.where(hand < 0.5, a, -a) / (0.48 + 0.16 * size), b / (0.48 + 0.16 * size)
        beaded = 1.0 + 0.07 * np.cos(beads * np.arctan2(a, b + 0.35))
        for scale, tone in zip((1.14 * beaded, 1.02, 0.84, 0.62, 0.54), (*tones, tones[1]), strict=True):
            field = np.where(_drop(a / scale, (b + 0.4) / scale - 0.4, bend), tone, field)
        flower = np.hypot(a, b + 0.4) / (0.12 + 0.06 * np.cos(5 * np.arctan2(a, b + 0.4)))
        field = np.where(flower < 1, tones[0], field)
    return np.asarray(field)


def _drop(a: Array, b: Array, bend: float) -> NDArray[np.bool_]:
    """Return True for points in a drop from b = -1 (round) to b = 1 (its tip), which bends towards positive a."""
    up = np.clip(b, -1, 1)
    axis = bend * np.clip(up + 0.2, 0, None) ** 2
    half = np.sqrt(1 - up**2) * ((1 - up) / 2) ** 0.75 * 0.85
    return np.asarray((np.abs(b) < 1) & (np.abs(a - axis) < half))


def spiralled(rng: np.random.Generator, u: Array, v: Array) -> Array:
    """Draw arms that wind about a centre."""
    centre, arms, turns = rng.uniform(0.35, 0.65, 2), int(rng.integers(1, 5)), rng.uniform(5, 11)
    x, y = warped(rng, u, v, 4, 0.03)
    radius, angle = np.hypot(x - centre[0], y - centre[1]), np.arctan2(y - centre[1], x - centre[0])
    return smooth_step(triangle_wave(turns * radius + arms * angle / (2 * np.pi)), 0.5, 0.25)
