"""Parametric CAD library: an unlimited number of cars, aeroplanes and chairs. Pure numpy, no Blender."""

from zlib import crc32

import numpy as np

from p3d_gen.assets.parametric.aeroplane import aeroplane
from p3d_gen.assets.parametric.car import car
from p3d_gen.assets.parametric.chair import chair
from p3d_gen.assets.parametric.mesh import PARTS, Mesh, assemble

__all__ = ["BODY_TYPES", "CATEGORIES", "PARTS", "Mesh", "build"]

CATEGORIES = ("aeroplane", "car", "chair")
BODY_TYPES = 6  # variants that differ by a multiple of this share a body type, not its proportions
STREAM = 1


def build(category: str, variant: int) -> Mesh:
    """The shape number `variant` (0, 1, 2, ...) of a category, always the same for the same two arguments.

    Object frame: z up, front at -y (a car's bonnet, an aeroplane's nose, where a sitter looks), centred on the
    bounding box, whose diagonal is 1. `variant % 6` is the body type; proportions and details are drawn from
    `variant`. Raises ValueError for an unknown category or a negative variant.
    """
    makers = {"aeroplane": aeroplane, "car": car, "chair": chair}
    if category not in makers:
        raise ValueError(f"no parametric shape for category {category!r}; known: {', '.join(CATEGORIES)}")
    if variant < 0:
        raise ValueError(f"variant of {category!r} is {variant}; it counts from 0")
    rng = np.random.default_rng([variant, STREAM, crc32(category.encode())])
    return assemble(makers[category](variant % BODY_TYPES, rng))
