"""The axes of CAD models: what a file format means by up and front, and where the axes of a model are stated."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from p3d_gen.core.types import Array

_AXES = {"x": (1, 0, 0), "-x": (-1, 0, 0), "y": (0, 1, 0), "-y": (0, -1, 0), "z": (0, 0, 1), "-z": (0, 0, -1)}
# Up and front by suffix. The other formats state their axes in each file: the reader takes them from there.
FORMAT_AXES: dict[str, tuple[str, str]] = {
    ".obj": ("y", "z"),
    ".glb": ("y", "z"),
    ".gltf": ("y", "z"),
    ".off": ("z", "-y"),
    ".ply": ("z", "-y"),
    ".stl": ("z", "-y"),
    ".blend": ("z", "-y"),
}
# What version 0.1.0 took for a plain OBJ: runs that it began go on so.
FORMER_OBJ_AXES = ("z", "-y")
# Who states the axes of a model; a guess from the format is named in reports.
AxesFrom = Literal["format", "layout", "manifest", "side file", "option"]
# Who states the unit of a model's file.
UnitFrom = Literal["file", "manifest", "side file"]


def object_R_file(up: str, front: str) -> Array:
    """Return the rotation (3, 3) from a file's axes to those of objects: z up, front -y."""
    z, minus_y = np.array(_AXES[up], float), np.array(_AXES[front], float)
    return np.stack([np.cross(-minus_y, z), -minus_y, z])


def default_axes(path: Path) -> tuple[str, str]:
    """Return the up and front axes of a file by its format, "auto" twice if the file itself says them."""
    return FORMAT_AXES.get(path.suffix.lower(), ("auto", "auto"))


def axis_vector(name: str) -> Array:
    """Return the unit vector (3,) of an axis such as "-y"."""
    return np.array(_AXES[name], float)


def axis_name(vector: Array) -> str:
    """Return the name of the axis that is nearest to a vector (3,)."""
    axis = int(np.abs(vector).argmax())
    return ("-" if vector[axis] < 0 else "") + "xyz"[axis]
