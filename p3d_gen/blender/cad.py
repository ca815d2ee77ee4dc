"""Read a CAD model, clean and normalise it, unwrap it, and store it for every later stage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bmesh
import bpy
import numpy as np
import trimesh

from p3d_gen.files import write_bytes
from p3d_gen.images import encode_npz
from p3d_gen.types import Array

_AXES = {"x": (1, 0, 0), "-x": (-1, 0, 0), "y": (0, 1, 0), "-y": (0, -1, 0), "z": (0, 0, 1), "-z": (0, 0, -1)}
_MERGE_DIGITS = 6
_UV_ANGLE_RAD = np.radians(66.0)


def clear() -> None:
    """Remove everything of the last request: without it a worker's memory grows with every sample."""
    bpy.context.scene.world = None
    bpy.data.batch_remove(bpy.data.objects)
    bpy.data.orphans_purge(do_local_ids=True, do_linked_ids=True, do_recursive=True)


def _read_blend(path: Path) -> trimesh.Trimesh:
    """All mesh objects of a .blend file with modifiers applied, in its world axes; its scripts do not run."""
    bpy.context.preferences.filepaths.use_scripts_auto_execute = False
    with bpy.data.libraries.load(str(path)) as (theirs, ours):
        ours.objects = theirs.objects
    for item in ours.objects:
        bpy.context.scene.collection.objects.link(item)
    depsgraph = bpy.context.evaluated_depsgraph_get()
    parts = []
    for item in (item.evaluated_get(depsgraph) for item in ours.objects if item.type == "MESH"):
        mesh = item.to_mesh()
        mesh.calc_loop_triangles()
        vertices, faces = np.empty(3 * len(mesh.vertices)), np.empty(3 * len(mesh.loop_triangles), np.int32)
        mesh.vertices.foreach_get("co", vertices)
        mesh.loop_triangles.foreach_get("vertices", faces)
        world = trimesh.transform_points(vertices.reshape(-1, 3), np.array(item.matrix_world))
        parts.append(trimesh.Trimesh(world, faces.reshape(-1, 3), process=False))
    if not parts:
        raise ValueError("it holds no mesh object")
    return trimesh.util.concatenate(parts)


def _frame(path: Path, up: str, front: str) -> Array:
    """The rotation from the source's axes to z up, front -y."""
    if up == "auto":
        up, front = ("y", "z") if path.suffix.lower() in (".glb", ".gltf") else ("z", "-y")
    z, minus_y = np.array(_AXES[up], float), np.array(_AXES[front], float)
    return np.stack([np.cross(-minus_y, z), -minus_y, z])


def _clean(mesh: trimesh.Trimesh, rotation: Array) -> trimesh.Trimesh:
    """Normalised to a centred box of diagonal 1; coincident vertices and doubled faces, which render black, merged."""
    vertices = np.asarray(mesh.vertices, dtype=np.float64) @ rotation.T
    if len(mesh.faces) == 0 or not np.isfinite(vertices).all():
        raise ValueError("it holds no faces" if len(mesh.faces) == 0 else "a vertex is not finite")
    used = vertices[np.unique(mesh.faces)]
    low, high = used.min(axis=0), used.max(axis=0)
    diagonal = float(np.linalg.norm(high - low))
    if diagonal == 0.0:
        raise ValueError("all its vertices coincide")
    clean = trimesh.Trimesh((vertices - (low + high) / 2) / diagonal, mesh.faces, process=False)
    clean.merge_vertices(merge_tex=True, merge_norm=True, digits_vertex=_MERGE_DIGITS)
    clean.update_faces(clean.unique_faces() & clean.nondegenerate_faces(height=0.0))
    clean.remove_unreferenced_vertices()
    if len(clean.faces) == 0:
        raise ValueError("all its faces are degenerate")
    return clean


def make_mesh(vertices: Array, faces: np.ndarray[Any, Any], uv: np.ndarray[Any, Any] | None) -> bpy.types.Mesh:
    """A Blender mesh from vertices (V, 3), triangles (F, 3) and corner texture coordinates (F, 3, 2)."""
    mesh = bpy.data.meshes.new("object")
    mesh.vertices.add(len(vertices))
    mesh.vertices.foreach_set("co", vertices.astype(np.float32).ravel())
    mesh.loops.add(3 * len(faces))
    mesh.loops.foreach_set("vertex_index", faces.astype(np.int32).ravel())
    mesh.polygons.add(len(faces))
    mesh.polygons.foreach_set("loop_start", np.arange(0, 3 * len(faces), 3, dtype=np.int32))
    if uv is not None:
        mesh.uv_layers.new().uv.foreach_set("vector", uv.astype(np.float32).ravel())
    mesh.update()
    return mesh


def _unwrap(vertices: Array, faces: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Smart UV coordinates (F, 3, 2) in [0, 1]."""
    mesh = make_mesh(vertices, faces, None)
    item = bpy.data.objects.new("object", mesh)
    bpy.context.scene.collection.objects.link(item)
    bpy.context.view_layer.objects.active = item
    item.select_set(True)
    mesh.uv_layers.new()
    bpy.ops.object.mode_set(mode="EDIT")
    edit = bmesh.from_edit_mesh(mesh)
    for face in edit.faces:
        face.select_set(True)
    bpy.ops.uv.smart_project(angle_limit=_UV_ANGLE_RAD, island_margin=0.0)
    bpy.ops.object.mode_set(mode="OBJECT")
    uv = np.empty(6 * len(faces), np.float32)
    mesh.uv_layers.active.uv.foreach_get("vector", uv)
    return uv.reshape(-1, 3, 2)


def prepare(source: str, target: str, up: str, front: str) -> dict[str, Any]:
    """Normalise the CAD model `source` into the npz `target`: vertices (V, 3), faces (F, 3), uv (F, 3, 2).

    Axes become z up, front -y; the bounding box is centred and its diagonal 1. ValueError names what is wrong.
    """
    clear()
    path = Path(source)
    mesh = _read_blend(path) if path.suffix.lower() == ".blend" else trimesh.load_mesh(path, process=False)
    clean = _clean(mesh, _frame(path, up, front))
    vertices, faces = np.asarray(clean.vertices), np.asarray(clean.faces, dtype=np.int32)
    uv = _unwrap(vertices, faces)
    write_bytes(Path(target), encode_npz(vertices=vertices, faces=faces, uv=uv))
    return {"faces": len(faces)}
