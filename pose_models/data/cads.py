"""The vertices of a category's CAD models."""

from __future__ import annotations

from pathlib import Path

from p3d_gen.core.errors import DataError
from p3d_gen.core.types import Array
from p3d_gen.run.meshes import MESH_SUFFIXES, read_mesh
from p3d_gen.run.remote import remote_errors


def cad_vertices(folder: Path, category: str) -> dict[str, Array]:
    """Return the vertices (V, 3) in object axes of every CAD model in `folder/category`, by id; see `read_mesh`.

    folder: a path or URL. DataError if it holds none, or one cannot be read.
    """
    place = folder / category
    with remote_errors(place):
        files = sorted(path for path in place.glob("*") if path.suffix.lower() in MESH_SUFFIXES)
    if not files:
        raise DataError(
            f"{place} holds no CAD ({', '.join(MESH_SUFFIXES)}): give --cads the folder that holds {category}/"
        )
    return {path.stem: read_mesh(path)[0] for path in files}
