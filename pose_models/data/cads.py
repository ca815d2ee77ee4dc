"""The vertices of a category's CAD models."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from p3d_gen.core.errors import DataError
from p3d_gen.core.types import Array

_MESH_SUFFIXES = (".glb", ".obj", ".off", ".ply")


def cad_vertices(folder: Path, category: str) -> dict[str, Array]:
    """Vertices (V, 3) in obj axes of every CAD in `folder/category`, by id.

    `.npz` files (`vertices`, as p3dgen keeps them in a run) are taken as they are; .off, .obj, .ply and .glb files
    are assumed z up and front -y, and are centred on their box and scaled to a box diagonal of 1.
    ValueError where the folder holds none, or one cannot be read.
    """
    place = folder / category
    files = sorted(p for p in place.glob("*") if p.suffix.lower() in (".npz", *_MESH_SUFFIXES))
    if not files:
        raise DataError(
            f"{place} holds no CAD (.npz or {', '.join(_MESH_SUFFIXES)}): give --cads the folder that holds {category}/"
        )
    return {path.stem: _vertices(path) for path in files}


def _vertices(path: Path) -> Array:
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                vertices = np.asarray(arrays["vertices"], dtype=np.float64)
        else:
            import trimesh

            vertices = np.asarray(trimesh.load(path, force="mesh", process=False).vertices, dtype=np.float64)
            low, high = vertices.min(0), vertices.max(0)
            vertices = (vertices - (low + high) / 2) / np.linalg.norm(high - low)
    except Exception as error:  # trimesh raises whatever its parsers do
        raise DataError(f"cannot read CAD {path}: {error}") from error
    if vertices.ndim != 2 or vertices.shape[1:] != (3,) or len(vertices) < 4 or not np.isfinite(vertices).all():
        raise DataError(f"CAD {path} has no usable vertices (shape {vertices.shape})")
    return vertices
