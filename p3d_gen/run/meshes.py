"""Meshes from files without Blender: their vertices and faces alone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from p3d_gen.core.errors import DataError
from p3d_gen.core.types import Array
from p3d_gen.run.mesh_text import check_obj, check_off, check_stl
from p3d_gen.run.ply import read_ply
from p3d_gen.run.remote import is_remote, local_copy
from p3d_gen.spec.axes import default_axes, object_R_file
from p3d_gen.spec.side_files import ModelFile, side_file

MESH_SUFFIXES = (".npz", ".glb", ".obj", ".off", ".ply")
_CHECKS = {".obj": check_obj, ".off": check_off, ".stl": check_stl}


def parse_mesh(path: Path) -> tuple[Array, NDArray[np.int64]]:
    """Return the vertices (V, 3) and faces (F, 3) of a mesh file, in the file's own axes and units.

    ValueError says why the file cannot be used.
    """
    mesh = parse_look(path)
    return mesh.vertices, mesh.faces


@dataclass(frozen=True, kw_only=True, eq=False)
class ParsedMesh:
    """The content of an OFF, PLY or STL file: vertices (V, 3) and triangles (F, 3).

    colours (V, 3), sRGB in [0, 1], and normals (V, 3): of the vertices of a PLY; None if it has none.
    """

    vertices: Array
    faces: NDArray[np.int64]
    colours: NDArray[np.float32] | None
    normals: NDArray[np.float32] | None


def _without_comments(path: Path) -> BytesIO:
    """Return an OFF file without its comments: trimesh reads lines above a comment twice."""
    return BytesIO(re.sub(rb"#[^\r\n]*", b"", path.read_bytes()))


def parse_look(path: Path) -> ParsedMesh:
    """Return the vertices and faces of a mesh file as `parse_mesh`, and what the vertices of a PLY look like."""
    import trimesh  # takes a second, which processes that read no such file need not wait for

    suffix = path.suffix.lower()
    if suffix in _CHECKS:
        _CHECKS[suffix](path)
    ply = read_ply(path) if suffix == ".ply" else None
    if ply is not None and ply.vertices is not None and ply.faces is not None:
        faces = trimesh.geometry.triangulate_quads(ply.faces)
        return ParsedMesh(vertices=ply.vertices, faces=faces, colours=ply.colours, normals=ply.normals)
    try:
        source = _without_comments(path) if suffix == ".off" else path
        mesh = trimesh.load(source, file_type=suffix[1:], process=False, force="mesh")
    except Exception as error:  # its parsers raise whatever they stumble over
        raise ValueError(f"its {path.suffix} cannot be parsed: {type(error).__name__}: {error}") from error
    if not isinstance(mesh, trimesh.Trimesh):
        raise ValueError("it has no faces")
    count = len(mesh.vertices)  # if it gave some of the vertices twice, the rows do not fit any more
    colours, normals = (
        values if values is not None and len(values) == count else None
        for values in ((ply.colours, ply.normals) if ply else (None, None))
    )
    vertices, faces = np.asarray(mesh.vertices, np.float64), np.asarray(mesh.faces, np.int64)
    return ParsedMesh(vertices=vertices, faces=faces, colours=colours, normals=normals)


def _centred(vertices: Array) -> Array:
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    return np.asarray((vertices - (low + high) / 2) / np.linalg.norm(high - low))


def _axes(path: Path) -> tuple[str, str]:
    """Return the up and front axes of a model's file; side files of a model under a URL are not looked for."""
    stated = ModelFile() if is_remote(path) else side_file(path)
    if stated.up and stated.front:
        return stated.up, stated.front
    up, front = default_axes(path)
    return ("z", "-y") if up == "auto" else (up, front)


def read_mesh(path: Path) -> tuple[Array, NDArray[np.int64]]:
    """Return the vertices (V, 3), in object axes, and faces (F, 3) of a CAD model, at a path or URL.

    An .npz of a run is taken as it is; it needs no faces. Other files are turned from the axes that their side file or
    category.toml states, or else those of their format, centred on their box and scaled to a box diagonal of 1.
    DataError naming the file if it cannot be used.
    """
    try:
        if path.suffix == ".npz":
            with local_copy(path).open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                vertices = np.asarray(arrays["vertices"], np.float64)
                faces = np.asarray(arrays["faces"] if "faces" in arrays else np.zeros((0, 3)), np.int64)
        else:
            vertices, faces = parse_mesh(local_copy(path))
            vertices = _centred(vertices @ object_R_file(*_axes(path)).T)
    except Exception as error:  # numpy raises whatever damaged bytes lead to
        raise DataError(f"cannot read CAD {path}: {error}") from error
    if vertices.ndim != 2 or vertices.shape[1:] != (3,) or len(vertices) < 4 or not np.isfinite(vertices).all():
        raise DataError(f"CAD {path} has no usable vertices (shape {vertices.shape})")
    return vertices, faces
