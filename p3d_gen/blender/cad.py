"""Read a CAD model, clean and normalise it, unwrap it, and store it and its materials for every later stage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bmesh
import bpy
import numpy as np

from p3d_gen.blender.cleaning import Surface, normalised
from p3d_gen.blender.material_library import save_materials
from p3d_gen.blender.protocol import Done, PrepareRequest
from p3d_gen.blender.readers import SourceModel, read, reset
from p3d_gen.blender.readings import rescale, rewrite
from p3d_gen.blender.system import return_memory
from p3d_gen.core.errors import P3DError
from p3d_gen.core.symmetry import Symmetry
from p3d_gen.core.types import Array
from p3d_gen.run.cad_model import CadModel, check_keypoints, doubtful_keypoints, materials_file, save_cad
from p3d_gen.spec.axes import object_R_file
from p3d_gen.spec.parametric import PARAMETRIC
from p3d_gen.spec.part_names import stated_parts

# width -> type of an attribute, and the key of its values
_ATTRIBUTES = {
    1: ("FLOAT", "value"),
    2: ("FLOAT2", "vector"),
    3: ("FLOAT_VECTOR", "vector"),
    4: ("FLOAT_COLOR", "color"),
}
_UV_ANGLE_RAD = np.radians(66.0)


def clear() -> None:
    """Remove all data of the last request: otherwise a worker's memory grows with every sample."""
    bpy.context.scene.world = None
    bpy.data.batch_remove(bpy.data.objects)
    bpy.data.orphans_purge(do_local_ids=True, do_linked_ids=True, do_recursive=True)


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


def _wound(surface: Surface) -> Surface:
    """Wind each piece of a surface the same way and outwards, as far as it is manifold."""
    mesh = make_mesh(surface.vertices, surface.faces, None)
    edit = bmesh.new()
    edit.from_mesh(mesh)
    bmesh.ops.recalc_face_normals(edit, faces=edit.faces)
    edit.to_mesh(mesh)
    edit.free()
    corners = np.empty(3 * len(surface.faces), np.int32)
    mesh.loops.foreach_get("vertex_index", corners)
    bpy.data.meshes.remove(mesh)
    faces = corners.reshape(-1, 3)
    start = np.argmax(faces == surface.faces[:, :1], axis=1)  # where the face's first corner is now
    second = np.take_along_axis(faces, ((start + 1) % 3)[:, None], axis=1)[:, 0]
    return surface.flipped(second != surface.faces[:, 1]).facing()


def _unwrap(vertices: Array, faces: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return smart UV coordinates (F, 3, 2) in [0, 1].

    The mesh is copied into an edit mode that began empty: Blender would hold it several times otherwise.
    """
    mesh = bpy.data.meshes.new("object")
    item = bpy.data.objects.new("object", mesh)
    bpy.context.scene.collection.objects.link(item)
    bpy.context.view_layer.objects.active = item
    item.select_set(True)
    bpy.ops.object.mode_set(mode="EDIT")
    whole = make_mesh(vertices, faces, None)
    whole.uv_layers.new()
    bmesh.from_edit_mesh(mesh).from_mesh(whole)
    bpy.data.meshes.remove(whole)
    bpy.ops.mesh.select_all(action="SELECT")
    bpy.ops.uv.smart_project(angle_limit=_UV_ANGLE_RAD, island_margin=0.0)
    bpy.ops.object.mode_set(mode="OBJECT")
    uv = np.empty(6 * len(faces), np.float32)
    mesh.uv_layers.active.uv.foreach_get("vector", uv)
    return uv.reshape(-1, 3, 2)


def _materials_of(source: SourceModel, part_names: tuple[str, ...]) -> list[bpy.types.Material]:
    """Return the materials of the remaining parts, and a default one for faces without a material."""
    by_name = dict(zip(source.surface.part_names, source.materials, strict=True))
    if by_name.get("", True) is None:
        default = bpy.data.materials.new("")
        default.use_nodes = True
        by_name[""] = default
    return [by_name[name] for name in part_names]


def _stated_kinds(address: str, part_names: tuple[str, ...]) -> dict[str, str]:
    """Return the kinds that files beside a model state for some of its parts. ValueError if one is not valid."""
    if address.startswith(PARAMETRIC):
        return {}
    try:
        stated = stated_parts(Path(address))
    except P3DError as error:
        raise ValueError(str(error)) from None
    return {name: stated[name] for name in part_names if name in stated}


def _metres(source: SourceModel, surface: Surface, unit_m: float | None) -> float | None:
    """Return the metres that 1 in a surface means, None if they are not known.

    unit_m: those that 1 in the file is stated to mean, 0 if they are stated to be unknown, None if nothing is stated.
    """
    metres = source.metres(unit_m)
    return metres * surface.unit / source.surface.unit if metres else None


@dataclass(frozen=True, kw_only=True)
class _Normalised:
    """A model without its materials, which are stored. Its surface is in object axes, not yet wound and unwrapped."""

    surface: Surface
    symmetry: Symmetry
    kinds: dict[str, str]
    diagonal_m: float | None
    warnings: tuple[str, ...]

    def model(self) -> CadModel:
        """Wind and unwrap the surface. Both take much memory, so the file should not be open in Blender any more."""
        surface = _wound(self.surface)
        return_memory()
        return CadModel(
            vertices=surface.vertices,
            faces=surface.faces.astype(np.int32),
            uv=_unwrap(surface.vertices, surface.faces),
            native_uv=surface.uv,
            attributes=surface.attributes,
            stated_kinds=self.kinds,
            face_part=surface.face_part.astype(np.uint8),
            part_names=surface.part_names,
            keypoints=surface.keypoints,
            symmetry=self.symmetry,
            diagonal_m=self.diagonal_m,
            warnings=self.warnings,
        )


def _normalised(request: PrepareRequest) -> _Normalised:
    """Read and normalise a model, and write its materials, if it has any."""
    source = read(request.source, Symmetry.parse(request.symmetry), request.root)
    up, front = source.axes if request.up == "auto" else (request.up, request.front)
    surface = normalised(source.surface, object_R_file(up, front))
    check_keypoints(surface.keypoints)
    warnings = [*source.warnings, *doubtful_keypoints(surface.keypoints, request.keypoints)]
    kinds = _stated_kinds(request.source, surface.part_names)
    if source.materials:
        materials = _materials_of(source, surface.part_names)
        for material in materials:
            rewrite(material, source.readings)
            rescale(material, source.unit / surface.unit)
        warnings += save_materials(materials, materials_file(request.target))
    return _Normalised(
        surface=surface,
        symmetry=source.symmetry,
        kinds=kinds,
        diagonal_m=_metres(source, surface, request.unit_m),
        warnings=tuple(warnings),
    )


def prepare(request: PrepareRequest) -> Done:
    """Normalise a CAD model into an npz. ValueError names its fault.

    The materials of the source, if it has any, are written first: the npz marks a model as done.
    """
    reset()
    try:
        normal = _normalised(request)
        reset()  # a file may leave Blender in any state, and fills the memory
        return_memory()
        save_cad(request.target, normal.model())
        return Done()
    finally:
        reset()
