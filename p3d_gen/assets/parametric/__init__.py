"""Parametric CAD library: an unlimited number of shapes of each PASCAL3D+ category. Pure numpy, no Blender."""

from collections.abc import Callable
from zlib import crc32

import numpy as np

from p3d_gen.assets.parametric.aeroplane import aeroplane
from p3d_gen.assets.parametric.bicycle import bicycle
from p3d_gen.assets.parametric.boat import boat
from p3d_gen.assets.parametric.bottle import bottle
from p3d_gen.assets.parametric.bus import bus
from p3d_gen.assets.parametric.car import car
from p3d_gen.assets.parametric.chair import chair
from p3d_gen.assets.parametric.diningtable import diningtable
from p3d_gen.assets.parametric.mesh import PARTS, Mesh, Shape, assemble
from p3d_gen.assets.parametric.motorbike import motorbike
from p3d_gen.assets.parametric.sofa import sofa
from p3d_gen.assets.parametric.train import train
from p3d_gen.assets.parametric.tvmonitor import tvmonitor

__all__ = ["BODY_TYPES", "CATEGORIES", "PARTS", "Mesh", "build"]

BODY_TYPES = 6  # variants that differ by a multiple of this share a body type, not its proportions
STREAM = 1
LIBRARY_VERSION = 1  # raise it with every change of any shape: runs made before must not go on with the new ones
_MAKERS: dict[str, Callable[[int, np.random.Generator], Shape]] = {
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


def build(category: str, variant: int) -> Mesh:
    """The shape number `variant` (0, 1, 2, ...) of a category, always the same for the same two arguments.

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
