"""The reduction of a CAD model to fewer faces, and what that changes of its outlines."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import bpy
import numpy as np
from numpy.typing import NDArray

from p3d_gen.blender.cleaning import Surface, unit_normals
from p3d_gen.blender.meshes import make_mesh
from p3d_gen.core.outlines import lowest_outline_iou
from p3d_gen.run.cad_model import NORMALS, Decimation

_UV = "UVMap"


def _reduced(mesh: bpy.types.Mesh, max_faces: int) -> bpy.types.Mesh:
    """Return a mesh with at most so many faces, as far as Blender can collapse the edges of this one."""
    item = bpy.data.objects.new("object", mesh)
    scene = bpy.data.scenes.new("decimation")  # nothing of the file's own scene is evaluated again
    scene.collection.objects.link(item)
    item.modifiers.new("decimation", "DECIMATE").ratio = (max_faces - 0.5) / len(mesh.polygons)
    try:
        with bpy.context.temp_override(scene=scene, view_layer=scene.view_layers[0]):
            depsgraph = bpy.context.evaluated_depsgraph_get()
            return bpy.data.meshes.new_from_object(item.evaluated_get(depsgraph), depsgraph=depsgraph)
    finally:
        bpy.data.scenes.remove(scene)
        bpy.data.objects.remove(item)


def _values(mesh: bpy.types.Mesh, name: str, width: int) -> NDArray[np.float32]:
    """Return an attribute of the corners (F, 3, width)."""
    values = np.empty(width * len(mesh.loops), np.float32)
    key = {1: "value", 4: "color"}.get(width, "vector")
    mesh.attributes[name].data.foreach_get(key, values)
    return values.reshape(-1, 3, width)


def _read(mesh: bpy.types.Mesh, surface: Surface, names: dict[str, str]) -> Surface:
    """Return a surface with the faces of the mesh. names: attribute of the surface -> that of the mesh."""
    vertices, faces, parts = (
        np.empty(3 * len(mesh.vertices), np.float32),
        np.empty(len(mesh.loops), np.int32),
        np.empty(len(mesh.polygons), np.int32),
    )
    mesh.vertices.foreach_get("co", vertices)
    mesh.loops.foreach_get("vertex_index", faces)
    mesh.polygons.foreach_get("material_index", parts)
    attributes: dict[str, NDArray[Any]] = {
        name: _values(mesh, theirs, surface.attributes[name].shape[2]) for name, theirs in names.items()
    }
    if NORMALS in attributes:
        attributes[NORMALS] = unit_normals(attributes[NORMALS])
    return replace(
        surface,
        vertices=vertices.reshape(-1, 3).astype(np.float64),
        faces=faces.reshape(-1, 3).astype(np.int64),
        uv=_values(mesh, _UV, 2),
        face_part=parts.astype(np.int64),
        attributes=attributes,
    )


def decimated(surface: Surface, max_faces: int) -> tuple[Surface, Decimation]:
    """Reduce a normalised surface to at most so many faces by collapsing edges; its box may change a little.

    Texture coordinates, parts and attributes of the corners are kept, as far as there are faces to hold them.
    """
    names = {name: f"kept {number}" for number, name in enumerate(surface.attributes)}
    whole = make_mesh(
        surface.vertices, surface.faces, None, {theirs: surface.attributes[name] for name, theirs in names.items()}
    )
    whole.uv_layers.new(name=_UV).uv.foreach_set("vector", surface.uv.ravel())
    whole.polygons.foreach_set("material_index", surface.face_part.astype(np.int32))
    for _ in surface.part_names:
        whole.materials.append(None)
    mesh = _reduced(whole, max_faces)
    reduced = _read(mesh, surface, names)
    for each in (whole, mesh):
        bpy.data.meshes.remove(each)
    iou = lowest_outline_iou((surface.vertices, surface.faces), (reduced.vertices, reduced.faces))
    return reduced, Decimation(faces_before=len(surface.faces), silhouette_iou=iou)
