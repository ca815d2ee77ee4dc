"""The ImageNet-C corruptions at severities 1 to 5, equal to those of the package `imagecorruptions` 1.1.2.

The package cannot be imported with current setuptools, fails with current scikit-image and draws from global
generators, so its functions are rebuilt here. Equal means: the same bytes from the same generator; except `brightness`
and `saturate`, where 1 % of a photograph's values differ by one level (another order of float operations), and
`impulse_noise`, whose draws are equal in distribution (scikit-image no longer lets the package seed them). Only `frost`
needs the package installed, for its photographs of ice. Labels stay as they are, as in the published benchmarks: the
few corruptions that move pixels (elastic, zoom, glass) move them by little.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from p3d_gen.core.errors import ConfigError, DataError, did_you_mean
from p3d_gen.core.types import Array
from pose_models.data import corruptions as c
from pose_models.data.sample import Image, PoseSample

_SMALLEST = 32

# On pixels in 0..1, with the numbers of severities 1 to 5.
_ON_UNIT: dict[str, tuple[Callable[..., Array], list[tuple[float, ...]]]] = {
    "gaussian_noise": (c.gaussian_noise, [(0.08,), (0.12,), (0.18,), (0.26,), (0.38,)]),
    "shot_noise": (c.shot_noise, [(60,), (25,), (12,), (5,), (3,)]),
    "impulse_noise": (c.impulse_noise, [(0.03,), (0.06,), (0.09,), (0.17,), (0.27,)]),
    "defocus_blur": (c.defocus_blur, [(3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5)]),
    "glass_blur": (c.glass_blur, [(0.7, 1, 2), (0.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2)]),
    "zoom_blur": (c.zoom_blur, [(1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03)]),
    "snow": (
        c.snow,
        [
            (0.1, 0.3, 3, 0.5, 10, 4, 0.8),
            (0.2, 0.3, 2, 0.5, 12, 4, 0.7),
            (0.55, 0.3, 4, 0.9, 12, 8, 0.7),
            (0.55, 0.3, 4.5, 0.85, 12, 8, 0.65),
            (0.55, 0.3, 2.5, 0.85, 12, 12, 0.55),
        ],
    ),
    "fog": (c.fog, [(1.5, 2), (2.0, 2), (2.5, 1.7), (2.5, 1.5), (3.0, 1.4)]),
    "brightness": (c.brightness, [(0.1,), (0.2,), (0.3,), (0.4,), (0.5,)]),
    "contrast": (c.contrast, [(0.4,), (0.3,), (0.2,), (0.1,), (0.05,)]),
    "elastic_transform": (c.elastic_transform, [(12.5,), (16.25,), (21.25,), (25.0,), (30.0,)]),
    "speckle_noise": (c.speckle_noise, [(0.15,), (0.2,), (0.35,), (0.45,), (0.6,)]),
    "gaussian_blur": (c.gaussian_blur, [(1,), (2,), (3,), (4,), (6,)]),
    "spatter": (
        c.spatter,
        [
            (0.65, 0.3, 4, 0.69, 0.6, 0),
            (0.65, 0.3, 3, 0.68, 0.6, 0),
            (0.65, 0.3, 2, 0.68, 0.5, 0),
            (0.65, 0.3, 1, 0.65, 1.5, 1),
            (0.67, 0.4, 1, 0.65, 1.5, 1),
        ],
    ),
    "saturate": (c.saturate, [(0.3, 0), (0.1, 0), (2, 0), (5, 0.1), (20, 0.2)]),
}
# On pixels in 0..255.
_ON_BYTES: dict[str, tuple[Callable[..., NDArray[Any]], list[tuple[float, ...]]]] = {
    "motion_blur": (c.motion_blur, [(10, 3), (15, 5), (15, 8), (15, 12), (20, 15)]),
    "frost": (c.frost, [(1, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75)]),
    "pixelate": (c.pixelate, [(0.6,), (0.5,), (0.4,), (0.3,), (0.25,)]),
    "jpeg_compression": (c.jpeg_compression, [(25,), (18,), (15,), (10,), (7,)]),
}

# The fifteen of the benchmark in its order, then its four for validation.
CORRUPTIONS: tuple[str, ...] = (
    "gaussian_noise",
    "shot_noise",
    "impulse_noise",
    "defocus_blur",
    "glass_blur",
    "motion_blur",
    "zoom_blur",
    "snow",
    "frost",
    "fog",
    "brightness",
    "contrast",
    "elastic_transform",
    "pixelate",
    "jpeg_compression",
    "speckle_noise",
    "gaussian_blur",
    "spatter",
    "saturate",
)


def corrupt(image: Image, name: str, severity: int, rng: np.random.RandomState) -> Image:
    """Apply one of the `CORRUPTIONS` to a picture (H, W, 3), with all draws from `rng`.

    ValueError for an unknown name, a severity outside 1..5, or a side below 32 pixels.
    """
    if name not in CORRUPTIONS:
        raise ConfigError(f"unknown corruption {name!r}{did_you_mean(name, CORRUPTIONS)}")
    if severity not in range(1, 6):
        raise ConfigError(f"severity {severity} of {name}: severities are 1, 2, 3, 4 and 5")
    if min(image.shape[:2]) < _SMALLEST:
        raise DataError(f"{name}: the image has {image.shape[:2]} pixels; enlarge it to {_SMALLEST} or more a side")
    if name in _ON_UNIT:
        change, numbers = _ON_UNIT[name]
        out = np.clip(change(image / 255.0, rng, *numbers[severity - 1]), 0, 1) * 255
    else:
        change, numbers = _ON_BYTES[name]
        out = np.clip(change(image, rng, *numbers[severity - 1]), 0, 255)
    return out.astype(np.uint8)


def corrupted(sample: PoseSample, name: str, severity: int, seed: int) -> PoseSample:
    """Return the sample with its picture corrupted and `subset` the corruption's name; labels and masks stay.

    The draws depend on seed, key, name and severity, not on order or on other samples. Errors as `corrupt`.
    """
    key = zlib.crc32(f"{seed}/{name}/{severity}/{sample.key}".encode())
    try:
        image = corrupt(sample.image, name, severity, np.random.RandomState(key))
    except DataError as error:
        raise DataError(f"sample {sample.key}: {error}") from error
    return replace(sample, image=image, subset=name)
