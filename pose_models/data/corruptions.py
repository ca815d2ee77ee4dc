"""The ImageNet-C corruptions of pixels (H, W, 3): in 0..1 and not yet clipped, unless it says 0..255.

Rebuilt from the package `imagecorruptions` 1.1.2, value for value and draw for draw; the numbers of each severity stand
in `corrupt`. All draws come from the generator that is given.
"""

from __future__ import annotations

import importlib.util
import math
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pictures
from scipy import ndimage

from p3d_gen.core.errors import DependencyError
from p3d_gen.core.types import Array
from pose_models.data.sample import Image

_Random = np.random.RandomState


def _gaussian(x: Array, sigma: float) -> Array:
    """Blur the first two axes, with edges repeated."""
    return np.asarray(ndimage.gaussian_filter(x, (sigma, sigma, 0)[: x.ndim], mode="nearest"))


def gaussian_noise(x: Array, rng: _Random, scale: float) -> Array:
    """Add Gaussian noise of standard deviation `scale`."""
    return x + rng.normal(size=x.shape, scale=scale)


def shot_noise(x: Array, rng: _Random, photons: float) -> Array:
    """Apply Poisson noise of at most `photons` a channel."""
    return np.asarray(rng.poisson(x * photons) / photons)


def impulse_noise(x: Array, rng: _Random, amount: float) -> Array:
    """Set the share `amount` of all values to 0 or 1."""
    hit, salt = rng.random_sample(x.shape) <= amount, rng.random_sample(x.shape) <= 0.5
    return np.where(hit, salt.astype(np.float64), x)


def speckle_noise(x: Array, rng: _Random, scale: float) -> Array:
    """Add Gaussian noise in proportion to the pixel."""
    return x + x * rng.normal(size=x.shape, scale=scale)


def gaussian_blur(x: Array, rng: _Random, sigma: float) -> Array:
    """Blur by a Gaussian."""
    return _gaussian(x, sigma)


def glass_blur(x: Array, rng: _Random, sigma: float, reach: int, rounds: int) -> Array:
    """Give every pixel the colour of a near one. (The original means to swap them; its views make copies of it.)"""
    blurred = (_gaussian(x, sigma) * 255).astype(np.uint8)
    height, width = x.shape[:2]
    rows, columns = np.arange(height - reach, reach, -1), np.arange(width - reach, reach, -1)
    here = (rows[:, None] * width + columns).ravel()
    source = list(range(height * width))
    for _ in range(rounds):
        offsets = rng.randint(-reach, reach, size=(len(here), 2))
        there = here + offsets[:, 1] * width + offsets[:, 0]
        for a, b in zip(here.tolist(), there.tolist(), strict=True):
            source[a] = source[b]
    return _gaussian(blurred.reshape(-1, 3)[source].reshape(x.shape) / 255.0, sigma)


def defocus_blur(x: Array, rng: _Random, radius: int, alias_blur: float) -> Array:
    """Blur by a disk."""
    reach, size = (8, 3) if radius <= 8 else (radius, 5)
    axis = np.arange(-reach, reach + 1)
    disk = (axis[:, None] ** 2 + axis**2 <= radius**2).astype(np.float32)
    kernel = cv2.GaussianBlur(disk / disk.sum(), ksize=(size, size), sigmaX=alias_blur)
    return np.asarray(cv2.filter2D(x, -1, kernel))


def _moved(x: NDArray[Any], angle_deg: float, radius: int, sigma: float) -> Array:
    """Blur the first two axes along a direction by a one-sided Gaussian, with edges repeated."""
    weights = np.exp(-(np.arange(2 * radius + 1) ** 2) / (2 * sigma**2)) / (np.sqrt(2 * np.pi) * sigma)
    weights = weights / weights.sum()
    height, width = x.shape[:2]
    dx, dy = math.cos(math.radians(angle_deg)), math.sin(math.radians(angle_deg))
    out = np.zeros(x.shape)
    for i, weight in enumerate(weights):
        right, down = -math.ceil(i * dx - 0.5), -math.ceil(i * dy - 0.5)
        if abs(down) >= height or abs(right) >= width:
            break
        rows = np.clip(np.arange(height) - down, 0, height - 1)
        columns = np.clip(np.arange(width) - right, 0, width - 1)
        out += weight * x[rows[:, None], columns]
    return out


def motion_blur(image: Image, rng: _Random, radius: int, sigma: float) -> Array:
    """Blur along a random direction, on pixels in 0..255."""
    return _moved(image, rng.uniform(-45, 45), radius, sigma)


def _zoomed(x: NDArray[Any], factor: float) -> Array:
    """Enlarge the middle of x (H, W, C) to its size or some pixels more."""
    height, width = (math.ceil(side / factor) for side in x.shape[:2])
    top, left = (x.shape[0] - height) // 2, (x.shape[1] - width) // 2
    part = x[top : top + height, left : left + width]
    return np.asarray(ndimage.zoom(part, (factor, factor, 1), order=1))


def zoom_blur(x: Array, rng: _Random, largest: float, step: float) -> Array:
    """Average the picture and its enlargements."""
    factors = np.arange(1, largest, step)
    small = x.astype(np.float32)
    layers = np.zeros_like(small)
    for factor in factors:
        layers += _zoomed(small, factor)[: x.shape[0], : x.shape[1]]
    return np.asarray((small + layers) / (len(factors) + 1))


def snow(
    x: Array, rng: _Random, mean: float, scale: float, zoom: float, least: float, radius: int, sigma: float, keep: float
) -> Array:
    """Put flakes that a wind blurs over a whitened picture."""
    flakes = _zoomed(rng.normal(size=x.shape[:2], loc=mean, scale=scale)[..., None], zoom)[..., 0]
    flakes = np.clip(np.where(flakes < least, 0, flakes), 0, 1)
    flakes = _moved(flakes, rng.uniform(-135, -45), radius, sigma)[: x.shape[0], : x.shape[1]]
    layer = (np.round(flakes * 255).astype(np.uint8) / 255.0)[..., None]
    small = x.astype(np.float32)
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)[..., None]
    whitened = keep * small + (1 - keep) * np.maximum(small, grey * 1.5 + 0.5)
    return np.asarray(whitened + layer + layer[::-1, ::-1])


def _ice(number: int) -> Image:
    package = importlib.util.find_spec("imagecorruptions")
    if package is None or package.origin is None:
        raise DependencyError(
            "corruption 'frost' takes its pictures of ice from the package imagecorruptions: "
            "install it by `uv pip install --no-deps imagecorruptions`, or leave frost out"
        )
    folder = Path(package.origin).parent / "frost"
    picture = cv2.imread(str(folder / f"frost{number}.{'png' if number <= 3 else 'jpg'}"))
    if picture is None:
        raise DependencyError(f"{folder} lacks the picture frost{number}: install imagecorruptions 1.1.2 again")
    return np.asarray(picture[..., ::-1], dtype=np.uint8)


def frost(image: Image, rng: _Random, keep: float, strength: float) -> Array:
    """Put a random part of a photograph of ice over the picture, on pixels in 0..255."""
    ice = _ice(1 + rng.randint(5))  # the sixth picture is never drawn in the original
    height, width = image.shape[:2]
    factor = 1.1 * max(1.0, height / ice.shape[0], width / ice.shape[1])
    size = math.ceil(ice.shape[1] * factor), math.ceil(ice.shape[0] * factor)
    ice = cv2.resize(ice, size, interpolation=cv2.INTER_CUBIC)
    top, left = rng.randint(0, ice.shape[0] - height), rng.randint(0, ice.shape[1] - width)
    return np.asarray(keep * image + strength * ice[top : top + height, left : left + width])


def _plasma(side: int, decay: float, rng: _Random) -> Array:
    """Make a height map (side, side) in 0..1 by the diamond-square algorithm on a torus; side is a power of two."""
    heights = np.zeros((side, side))
    step, wobble = side, 100.0

    def disturbed(total: Array) -> Array:
        return np.asarray(total / 4 + wobble * rng.uniform(-wobble, wobble, total.shape))

    while step >= 2:
        half = step // 2
        corners = heights[::step, ::step]
        pairs = corners + np.roll(corners, -1, axis=0)
        heights[half::step, half::step] = disturbed(pairs + np.roll(pairs, -1, axis=1))
        centres = heights[half::step, half::step]
        beside = centres + np.roll(centres, 1, axis=0) + (corners + np.roll(corners, -1, axis=1))
        heights[::step, half::step] = disturbed(beside)
        below = centres + np.roll(centres, 1, axis=1) + (corners + np.roll(corners, -1, axis=0))
        heights[half::step, ::step] = disturbed(below)
        step, wobble = half, wobble / decay
    heights -= heights.min()
    return np.asarray(heights / heights.max())


def fog(x: Array, rng: _Random, strength: float, decay: float) -> Array:
    """Add a fractal mist."""
    height, width = x.shape[:2]
    side = 1 << (max(height, width) - 1).bit_length()
    brightest = x.max()
    mist = strength * _plasma(side, decay, rng)[:height, :width, None]
    return np.asarray((x + mist) * brightest / (brightest + strength))


def brightness(x: Array, rng: _Random, more: float) -> Array:
    """Raise the value in HSV."""
    saturation, value, depth = _hsv(x)
    return _rgb(saturation, np.clip(value + more, 0, 1), depth)


def saturate(x: Array, rng: _Random, factor: float, more: float) -> Array:
    """Change the saturation in HSV."""
    saturation, value, depth = _hsv(x)
    return _rgb(np.clip(saturation * factor + more, 0, 1), value, depth)


def _hsv(x: Array) -> tuple[Array, Array, Array]:
    """Return saturation and value (H, W) of RGB (H, W, 3), and the depth of each channel (H, W, 3).

    The depth says the hue: from 0 for the strongest channel to 1 for the weakest. Grey counts as red.
    """
    value = x.max(-1)
    spread = value - x.min(-1)
    saturation = spread / np.where(spread == 0, 1.0, value)
    depth = (value[..., None] - x) / np.where(spread == 0, 1.0, spread)[..., None]
    return saturation, value, np.where((spread == 0)[..., None], [0.0, 1.0, 1.0], depth)


def _rgb(saturation: Array, value: Array, depth: Array) -> Array:
    return np.asarray(value[..., None] * (1 - depth * saturation[..., None]))


def contrast(x: Array, rng: _Random, factor: float) -> Array:
    """Draw the channels towards their mean."""
    mean = x.mean(axis=(0, 1), keepdims=True)
    return np.asarray((x - mean) * factor + mean)


def elastic_transform(x: Array, rng: _Random, alpha: float) -> Array:
    """Move pixels by a smooth random field."""
    height, width = x.shape[:2]
    reach, sigma = height * 0.005, (height * 0.01, width * 0.01)
    right, down = (
        (ndimage.gaussian_filter(rng.uniform(-reach, reach, (height, width)), sigma, truncate=3) * alpha).astype(
            np.float32
        )
        for _ in range(2)
    )
    where = np.arange(height)[:, None] + down, np.arange(width) + right
    small = x.astype(np.float32)
    planes = [ndimage.map_coordinates(small[..., i], where, order=1, mode="reflect") for i in range(3)]
    return np.stack(planes, axis=-1)


def spatter(
    x: Array, rng: _Random, mean: float, scale: float, sigma: float, least: float, strength: float, mud: int
) -> Array:
    """Add drops of water, or splashes of mud."""
    layer = _gaussian(rng.normal(size=x.shape[:2], loc=mean, scale=scale), sigma)
    layer = np.where(layer < least, 0, layer)
    small = x.astype(np.float32)
    if mud:
        cover = _gaussian((layer > least).astype(np.float32), strength)[..., None]
        cover = np.where(cover < 0.8, 0, cover)
        return np.asarray(small * (1 - cover) + cover * np.array([63, 42, 20]) / 255)
    drops = (layer * 255).astype(np.uint8)
    distance = cv2.distanceTransform(255 - cv2.Canny(drops, 50, 150), cv2.DIST_L2, 5)
    distance = cv2.equalizeHist(cv2.blur(np.minimum(distance, 20), (3, 3)).astype(np.uint8))
    relief = cv2.filter2D(distance, cv2.CV_8U, np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]]))
    water = drops * cv2.blur(relief, (3, 3)).astype(np.float32)
    water = water / max(float(water.max()), 1e-6) * strength
    return np.asarray(small + water[..., None] * np.array([175, 238, 238]) / 255)


def pixelate(image: Image, rng: _Random, factor: float) -> NDArray[Any]:
    """Reduce the number of pixels, on pixels in 0..255."""
    height, width = image.shape[:2]
    small = Pictures.fromarray(image).resize((int(width * factor), int(height * factor)), Pictures.Resampling.BOX)
    return np.asarray(small.resize((width, height), Pictures.Resampling.NEAREST))


def jpeg_compression(image: Image, rng: _Random, quality: int) -> NDArray[Any]:
    """Add JPEG artefacts, on pixels in 0..255."""
    buffer = BytesIO()
    Pictures.fromarray(image).save(buffer, "JPEG", quality=quality)
    return np.asarray(Pictures.open(buffer))
