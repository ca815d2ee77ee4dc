"""Blender meshes made of arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import bpy
import numpy as np

from p3d_gen.core.types import Array

# width -> type of an attribute, and the key of its values
_ATTRIBUTES = {
    1: ("FLOAT", "value"),
    2: ("FLOAT2", "vector"),
    3: ("FLOAT_VECTOR", "vector"),
    4: ("FLOAT_COLOR", "color"),
}


def make_mesh(
    vertices: Array,
    faces: np.ndarray[Any, Any],
    uv: np.ndarray[Any, Any] | None,
    attributes: Mapping[str, np.ndarray[Any, Any]] | None = None,
) -> bpy.types.Mesh:
    """Make a Blender mesh from vertices (V, 3), triangles (F, 3) and corner texture coordinates (F, 3, 2).

    attributes: name -> (F, 3, k), numbers, vectors or colours at the corners.
    """
    mesh = bpy.data.meshes.new("object")
    mesh.vertices.add(len(vertices))
    mesh.vertices.foreach_set("co", vertices.astype(np.float32).ravel())
    mesh.loops.add(3 * len(faces))
    mesh.loops.foreach_set("vertex_index", faces.astype(np.int32).ravel())
    mesh.polygons.add(len(faces))
    mesh.polygons.foreach_set("loop_start", np.arange(0, 3 * len(faces), 3, dtype=np.int32))
    if uv is not None:
        mesh.uv_layers.new().uv.foreach_set("vector", uv.astype(np.float32).ravel())
    for name, values in (attributes or {}).items():
        kind, key = _ATTRIBUTES[values.shape[2]]
        mesh.attributes.new(name, kind, "CORNER").data.foreach_set(key, values.astype(np.float32).ravel())
    mesh.update()
    return mesh
