"""The random streams: every property of a sample draws from its own generator.

The generators are np.random.default_rng([seed, stream, category, index]). So a change in the drawing of one property
leaves all others as they were, and no property depends on another.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from enum import IntEnum
from typing import TypeVar

import numpy as np

from p3d_gen.spec.manifest import Manifest

T = TypeVar("T")


class Stream(IntEnum):
    """The independent random streams of one sample; numbers are part of the format and never reused."""

    CAD = 1
    ROTATION = 2
    DISTANCE = 3
    TEXTURE = 4
    LIGHT = 5
    BACKGROUND = 6
    COLOUR = 7
    STYLIZE = 8
    RENDER = 9
    SURFACE = 10
    STRETCH = 11
    OCCLUSION = 12
    TRUNCATION = 13
    COVERAGE = 14
    PROMPT = 15
    COMPOSITE = 16
    FILL = 17
    FIELD_OF_VIEW = 18
    OFFSET = 19


def stream(manifest: Manifest, which: Stream, category: str, index: int, *part: int) -> np.random.Generator:
    """Return the generator of one property of one sample, or of a numbered part of it."""
    return np.random.default_rng([manifest.seed, which, zlib.crc32(category.encode()), index, *part])


def pick(rng: np.random.Generator, items: Sequence[T]) -> T:
    """Draw one of the items, all equally likely."""
    return items[int(rng.integers(len(items)))]
