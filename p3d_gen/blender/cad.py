"""Read a CAD model, clean and normalise it, unwrap it, and store it and its materials for every later stage."""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import bmesh
import bpy
import numpy as np
from numpy.typing import NDArray

from p3d_gen.blender.cleaning import Surface, cleaned, normalised
from p3d_gen.blender.decimation import decimated
from p3d_gen.blender.material_library import save_materials
from p3d_gen.blender.meshes import make_mesh
from p3d_gen.blender.protocol import Done, PrepareRequest
from p3d_gen.blender.readers import SourceModel, read, reset
from p3d_gen.blender.readings import rescale, rewrite
from p3d_gen.blender.system import return_memory
from p3d_gen.core.errors import P3DError
from p3d_gen.core.symmetry import Symmetry
from p3d_gen.core.types import Array
from p3d_gen.run.cad_model import CadModel, Decimation, check_keypoints, doubtful_keypoints, materials_file, save_cad
from p3d_gen.spec.axes import object_R_file
from p3d_gen.spec.parametric import PARAMETRIC
from p3d_gen.spec.part_names import stated_parts

# shares of the time of a preparation that have passed after its steps, sums of powers of 2: bars add them up
_READ, _NORMALISED, _WOUND, _UNWRAPPED = 0.25, 0.5, 0.5625, 0.8125
_UV_ANGLE_RAD = np.radians(66.0)


def clear() -> None:
    """Remove all data of the last request: otherwise a worker's memory grows with every sample."""
    bpy.context.scene.world = None
    bpy.data.batch_remove(bpy.data.objects)
    bpy.data.orphans_purge(do_local_ids=True, do_linked_ids=True, do_recursive=True)


def _flips(vertices: Array, faces: np.ndarray[Any, Any]) -> NDArray[np.bool_]:
    """Return a mask (F,) of the faces to reverse, so that each piece is wound the same way and outwards.

    That holds as far as the surface is manifold.
    """
    mesh = make_mesh(vertices, faces, None)
    edit = bmesh.new()
    edit.from_mesh(mesh)
    bmesh.ops.recalc_face_normals(edit, faces=edit.faces)
    edit.to_mesh(mesh)
    edit.free()
    corners = np.empty(3 * len(faces), np.int32)
    mesh.loops.foreach_get("vertex_index", corners)
    bpy.data.meshes.remove(mesh)
    wound = corners.reshape(-1, 3)
    start = np.argmax(wound == faces[:, :1], axis=1)  # where the face's first corner is now
    second = np.take_along_axis(wound, ((start + 1) % 3)[:, None], axis=1)[:, 0]
    return np.asarray(second != faces[:, 1])


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
    """A model without its materials, which are stored. Its surface is in object axes, not yet wound and unwrapped.

    vertices, faces: of the surface. aside: a file with all of it: winding and unwrapping take much memory.
    """

    vertices: Array
    faces: NDArray[np.int32]
    aside: IO[bytes]
    symmetry: Symmetry
    kinds: dict[str, str]
    diagonal_m: float | None
    warnings: tuple[str, ...]
    decimation: Decimation | None

    def model(self, on_advance: Callable[[float], None]) -> CadModel:
        """Wind and unwrap the surface. The model's file should not be open in Blender any more."""
        flips = _flips(self.vertices, self.faces)
        return_memory()
        on_advance(_WOUND)
        uv = _unwrap(self.vertices, np.where(flips[:, None], self.faces[:, ::-1], self.faces))
        on_advance(_UNWRAPPED)
        surface: Surface = pickle.load(self.aside)
        surface = surface.flipped(flips).facing()
        return CadModel(
            vertices=surface.vertices,
            faces=surface.faces.astype(np.int32),
            uv=uv,
            native_uv=surface.uv,
            attributes=surface.attributes,
            stated_kinds=self.kinds,
            face_part=surface.face_part.astype(np.uint8),
            part_names=surface.part_names,
            keypoints=surface.keypoints,
            symmetry=self.symmetry,
            diagonal_m=self.diagonal_m,
            warnings=self.warnings,
            decimation=self.decimation,
        )


def _few_enough(surface: Surface, max_faces: int | None) -> tuple[Surface, Decimation | None]:
    """Return a normalised surface, decimated if it has more than `max_faces`, and what that changed."""
    if max_faces is None or len(surface.faces) <= max_faces:
        return surface, None
    return_memory()
    reduced, decimation = decimated(surface, max_faces)
    return cleaned(reduced), decimation


def _normalised(request: PrepareRequest, aside: IO[bytes], on_advance: Callable[[float], None]) -> _Normalised:
    """Read and normalise a model, and write its materials, if it has any. Its surface goes into the file `aside`."""
    source = read(request.source, Symmetry.parse(request.symmetry), request.root)
    on_advance(_READ)
    up, front = source.axes if request.up == "auto" else (request.up, request.front)
    surface = normalised(source.surface, object_R_file(up, front))
    surface, decimation = _few_enough(surface, request.max_faces)
    check_keypoints(surface.keypoints)
    warnings = [*source.warnings, *doubtful_keypoints(surface.keypoints, request.keypoints)]
    if decimation:
        warnings.append(decimation.said(len(surface.faces)))
    kinds = _stated_kinds(request.source, surface.part_names)
    if source.materials:
        materials = _materials_of(source, surface.part_names)
        for material in materials:
            rewrite(material, source.readings)
            rescale(material, source.unit / surface.unit)
        warnings += save_materials(materials, materials_file(request.target))
    pickle.dump(surface, aside, pickle.HIGHEST_PROTOCOL)
    aside.seek(0)
    return _Normalised(
        vertices=surface.vertices,
        faces=surface.faces.astype(np.int32),
        aside=aside,
        symmetry=source.symmetry,
        kinds=kinds,
        diagonal_m=_metres(source, surface, request.unit_m),
        warnings=tuple(warnings),
        decimation=decimation,
    )


def prepare(request: PrepareRequest, on_advance: Callable[[float], None] = lambda done: None) -> Done:
    """Normalise a CAD model into an npz. ValueError names its fault. on_advance: called with the share that is done.

    The materials of the source, if it has any, are written first: the npz marks a model as done.
    """
    reset()
    try:
        with tempfile.TemporaryFile() as aside:
            normal = _normalised(request, aside, on_advance)
            reset()  # a file may leave Blender in any state, and fills the memory
            return_memory()
            on_advance(_NORMALISED)
            save_cad(request.target, normal.model(on_advance))
        return Done()
    finally:
        reset()
