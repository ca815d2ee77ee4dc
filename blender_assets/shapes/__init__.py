"""Parametric CAD library: an unlimited number of shapes of each PASCAL3D+ category. Pure numpy, no Blender."""

from collections.abc import Callable
from zlib import crc32

import numpy as np

from blender_assets.shapes.aeroplane import aeroplane
from blender_assets.shapes.bicycle import bicycle
from blender_assets.shapes.boat import boat
from blender_assets.shapes.bottle import bottle
from blender_assets.shapes.bus import bus
from blender_assets.shapes.car import car
from blender_assets.shapes.chair import chair
from blender_assets.shapes.diningtable import diningtable
from blender_assets.shapes.mesh import PARTS, Draft, Shape, assemble
from blender_assets.shapes.motorbike import motorbike
from blender_assets.shapes.sofa import sofa
from blender_assets.shapes.train import train
from blender_assets.shapes.tvmonitor import tvmonitor

__all__ = ["BODY_TYPES", "CATEGORIES", "PARTS", "Shape", "build"]

BODY_TYPES = 6  # variants that differ by a multiple of this share a body type, not its proportions
STREAM = 1
LIBRARY_VERSION = 1  # raise it with every change of any shape: older runs must not be resumed with the new ones
_MAKERS: dict[str, Callable[[int, np.random.Generator], Draft]] = {
    "aeroplane": aeroplane,
    "bicycle": bicycle,
    "boat": boat,
    "bottle": bottle,
    "bus": bus,
    "car": car,
    "chair": chair,
    "diningtable": diningtable,
    "motorbike": motorbike,
    "sofa": sofa,
    "train": train,
    "tvmonitor": tvmonitor,
}
CATEGORIES = tuple(_MAKERS)


def build(category: str, variant: int) -> Shape:
    """Make the shape number `variant` (0, 1, 2, ...) of a category, always the same for the same two arguments.

    Object frame: z up, front at -y (a car's bonnet, an aeroplane's nose, where a sitter looks), centred on the
    bounding box, whose diagonal is 1. `variant % 6` is the body type; proportions and details are drawn from
    `variant`. Raises ValueError for an unknown category or a negative variant.
    """
    if category not in _MAKERS:
        raise ValueError(f"no parametric shape for category {category!r}; known: {', '.join(CATEGORIES)}")
    if variant < 0:
        raise ValueError(f"variant of {category!r} is {variant}; it counts from 0")
    rng = np.random.default_rng([variant, STREAM, crc32(category.encode())])
    return assemble(_MAKERS[category](variant % BODY_TYPES, rng))
