"""Read a CAD model, clean and normalise it, unwrap it, and store it and its materials for every later stage."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bmesh
import bpy
import numpy as np

from p3d_gen.blender.cleaning import Surface, normalised
from p3d_gen.blender.protocol import Done, PrepareRequest
from p3d_gen.blender.readers import SourceModel, read, reset
from p3d_gen.core.types import Array
from p3d_gen.run.cad_model import CadModel, check_keypoints, materials_file, save_cad
from p3d_gen.run.files import write_bytes

_AXES = {"x": (1, 0, 0), "-x": (-1, 0, 0), "y": (0, 1, 0), "-y": (0, -1, 0), "z": (0, 0, 1), "-z": (0, 0, -1)}
_UV_ANGLE_RAD = np.radians(66.0)
_WHITE = (1.0, 1.0, 1.0, 1.0)
_LONGEST_PATH = "/" * 1023


def clear() -> None:
    """Remove all data of the last request: otherwise a worker's memory grows with every sample."""
    bpy.context.scene.world = None
    bpy.data.batch_remove(bpy.data.objects)
    bpy.data.orphans_purge(do_local_ids=True, do_linked_ids=True, do_recursive=True)


def _frame(up: str, front: str) -> Array:
    """Return the rotation (3, 3) from the source's axes to z up, front -y."""
    z, minus_y = np.array(_AXES[up], float), np.array(_AXES[front], float)
    return np.stack([np.cross(-minus_y, z), -minus_y, z])


def make_mesh(vertices: Array, faces: np.ndarray[Any, Any], uv: np.ndarray[Any, Any] | None) -> bpy.types.Mesh:
    """Make a Blender mesh from vertices (V, 3), triangles (F, 3) and corner texture coordinates (F, 3, 2)."""
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
    faces = corners.reshape(-1, 3)
    start = np.argmax(faces == surface.faces[:, :1], axis=1)  # where the face's first corner is now
    second = np.take_along_axis(faces, ((start + 1) % 3)[:, None], axis=1)[:, 0]
    return surface.flipped(second != surface.faces[:, 1])


def _unwrap(vertices: Array, faces: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return smart UV coordinates (F, 3, 2) in [0, 1]."""
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


def _trees(tree: bpy.types.NodeTree | None) -> Iterator[bpy.types.NodeTree]:
    """Yield a node tree and those of all its groups."""
    if tree is not None:
        yield tree
        for node in tree.nodes:
            if node.bl_idname == "ShaderNodeGroup":
                yield from _trees(node.node_tree)


def _tame(material: bpy.types.Material) -> None:
    """Remove all that could run or keep the rest of the file alive: drivers, scripts, pointers to objects.

    The material reads the texture coordinates that render, whatever their name was.
    """
    for data in (material, *_trees(material.node_tree)):
        data.animation_data_clear()
        for key in list(data.keys()):
            del data[key]
    for node in [node for tree in _trees(material.node_tree) for node in tree.nodes]:
        if node.bl_idname == "ShaderNodeScript":
            node.id_data.nodes.remove(node)
            continue
        for name in (prop.identifier for prop in node.bl_rna.properties if prop.type == "POINTER"):
            if isinstance(getattr(node, name), bpy.types.Object | bpy.types.Text):
                setattr(node, name, None)
        if hasattr(node, "uv_map"):
            node.uv_map = ""


def _packed(image: bpy.types.Image) -> bool:
    """Pack an image into its file, without the folder it came from; returns False if that fails or the image cannot be
    decoded."""
    try:
        if not image.packed_files:
            image.pack()
    except RuntimeError:
        return False
    if not image.packed_files or image.size[0] == 0:
        return False
    name = f"//{bpy.path.basename(image.filepath)}"
    for path in (_LONGEST_PATH, name):  # the first one overwrites what a shorter name leaves behind its end
        image.filepath_raw = path
        for packed in image.packed_files:
            packed.filepath = path
    return True


def _drop_picture(node: bpy.types.Node) -> None:
    """Remove a picture from a material; the colour that it multiplies or replaces stays."""
    for link in node.outputs["Color"].links:
        if link.to_node.bl_idname == "ShaderNodeMix" and link.to_socket.type == "RGBA":
            link.to_socket.default_value = _WHITE
    node.id_data.nodes.remove(node)


def _pack_pictures(material: bpy.types.Material) -> list[str]:
    """Pack the material's pictures; missing ones are dropped, with a warning for each."""
    warnings = []
    for tree in _trees(material.node_tree):
        for node in [
            node for node in tree.nodes if node.bl_idname in ("ShaderNodeTexImage", "ShaderNodeTexEnvironment")
        ]:
            if node.image is None:
                _drop_picture(node)  # it would render pink
            elif not _packed(node.image):
                name = node.image.filepath or node.image.name
                warnings.append(f"the picture {name!r} of the material {material.name!r} is missing or unreadable")
                _drop_picture(node)
    return warnings


def _save_materials(materials: list[bpy.types.Material], target: Path) -> list[str]:
    """Write materials, in their order, to a Blender library that needs no other file; returns warnings."""
    warnings = []
    for number, material in enumerate(materials):
        warnings += _pack_pictures(material)
        _tame(material)
        material.name = f"{number:03d}:{material.name}"
    with tempfile.TemporaryDirectory(prefix="p3dgen-") as folder:
        library = Path(folder) / "materials.blend"
        bpy.data.libraries.write(str(library), set(materials), fake_user=True, compress=True)
        write_bytes(target, library.read_bytes())
    return warnings


def load_materials(path: Path) -> list[bpy.types.Material]:
    """Load the materials of a prepared model, one per part name; `clear` removes them with their last user."""
    with bpy.data.libraries.load(str(path)) as (theirs, ours):
        ours.materials = sorted(theirs.materials)
    materials = list(ours.materials)
    for material in materials:
        material.use_fake_user = False
    return materials


def _materials_of(source: SourceModel, part_names: tuple[str, ...]) -> list[bpy.types.Material]:
    """Return the materials of the remaining parts, and a default one for faces without a material."""
    by_name = dict(zip(source.surface.part_names, source.materials, strict=True))
    if by_name.get("", True) is None:
        default = bpy.data.materials.new("")
        default.use_nodes = True
        by_name[""] = default
    return [by_name[name] for name in part_names]


def _model(source: SourceModel, surface: Surface, warnings: tuple[str, ...]) -> CadModel:
    return CadModel(
        vertices=surface.vertices,
        faces=surface.faces.astype(np.int32),
        uv=_unwrap(surface.vertices, surface.faces),
        native_uv=surface.uv,
        face_part=surface.face_part.astype(np.uint8),
        part_names=surface.part_names,
        keypoints=surface.keypoints,
        symmetry_order=source.symmetry_order,
        warnings=warnings,
    )


def prepare(request: PrepareRequest) -> Done:
    """Normalise a CAD model into an npz. ValueError names its fault.

    The materials of the source, if it has any, are written first: the npz marks a model as done.
    """
    reset()
    try:
        source = read(request.source, request.category, request.root)
        up, front = source.axes if request.up == "auto" else (request.up, request.front)
        surface = _wound(normalised(source.surface, _frame(up, front)))
        check_keypoints(surface.keypoints, request.category)
        warnings = list(source.warnings)
        if source.materials:
            warnings += _save_materials(_materials_of(source, surface.part_names), materials_file(request.target))
        reset()  # a file may leave Blender in any state
        save_cad(request.target, _model(source, surface, tuple(warnings)))
        return Done()
    finally:
        reset()
