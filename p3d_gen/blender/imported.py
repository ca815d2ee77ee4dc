"""A file as Blender itself imports and renders it: what the project's own materials are compared with."""

from __future__ import annotations

from pathlib import Path

import bpy
import numpy as np
from mathutils import Matrix

from p3d_gen.blender.evaluation import as_rendered, rendered_meshes
from p3d_gen.blender.pieces import colour_material
from p3d_gen.blender.protocol import Done, ImportRequest, RenderRequest
from p3d_gen.blender.readers import conversion, open_file, reset
from p3d_gen.blender.scene import add_camera, add_light, configure
from p3d_gen.core.geometry import transform
from p3d_gen.core.types import Array
from p3d_gen.spec.axes import object_R_file


def _open(path: Path) -> None:
    """Bring a file into the scene. Meshes without a material show their colours, which no importer of Blender does."""
    match suffix := path.suffix.lower():
        case ".off":
            raise ValueError("Blender has no importer for it")
        case ".stl":
            bpy.ops.wm.stl_import(filepath=str(path))
        case ".ply":
            bpy.ops.wm.ply_import(filepath=str(path))
        case _:
            open_file(path)
    if suffix != ".blend":
        for mesh in bpy.data.meshes:
            if not any(mesh.materials) and mesh.color_attributes:
                mesh.materials.clear()
                mesh.materials.append(colour_material())


def _points(depsgraph: bpy.types.Depsgraph) -> Array:
    """Return the vertices (V, 3) of all faces that render, in Blender's world."""
    points = []
    for instance in rendered_meshes(depsgraph):
        mesh = instance.object.to_mesh()
        places = np.empty(3 * len(mesh.vertices), np.float32)
        corners = np.empty(len(mesh.loops), np.int32)
        mesh.vertices.foreach_get("co", places)
        mesh.loops.foreach_get("vertex_index", corners)
        points.append(
            transform(np.array(instance.matrix_world), places.reshape(-1, 3)[np.unique(corners)].astype(np.float64))
        )
        instance.object.to_mesh_clear()
    if not sum(map(len, points)):
        raise ValueError("nothing of it renders")
    return np.concatenate(points)


def _obj_T_world(path: Path) -> Array:
    """Return the similarity (4, 4) from Blender's world to object axes, in which the box has diagonal 1."""
    points = as_rendered(_points)
    axes, file_T_world = conversion(path)
    obj_T_world = np.eye(4)
    obj_T_world[:3, :3] = object_R_file(*axes)
    obj_T_world = obj_T_world @ file_T_world
    turned = transform(obj_T_world, points)
    low, high = turned.min(axis=0), turned.max(axis=0)
    obj_T_world[:3, 3] -= (low + high) / 2
    obj_T_world[:3] /= np.linalg.norm(high - low)
    return obj_T_world


def _own_settings(scene: bpy.types.Scene, request: RenderRequest) -> None:
    """Render as a new scene does, whatever the file says of samples, bounces, exposure or the size of the picture."""
    device = scene.cycles.device
    for name in scene.cycles.bl_rna.properties.keys():  # noqa: SIM118  not a mapping
        if name not in ("rna_type", "name"):
            scene.cycles.property_unset(name)
    scene.cycles.device = device
    render = scene.render
    render.use_motion_blur = render.use_border = render.use_compositing = render.use_sequencer = False
    render.pixel_aspect_x = render.pixel_aspect_y = 1.0
    render.use_single_layer = True
    configure(scene, request)
    scene.cycles.film_transparent_glass = True


def _light(request: RenderRequest, world_T_obj: Array) -> None:
    """Replace the light of the file by that of the request, as seen from the object."""
    for data in bpy.data.lights:
        data.use_nodes, data.energy = False, 0.0
    before = set(bpy.data.objects)
    add_light(request.sample, request.hdri)
    bpy.context.view_layer.update()
    size = np.cbrt(np.linalg.det(world_T_obj[:3, :3]))
    for item in set(bpy.data.objects) - before:
        place = world_T_obj @ np.array(item.matrix_world)
        place[:3, :3] /= size
        item.matrix_world = Matrix(place.tolist())
        item.data.size *= size
        item.data.energy *= size**2


def render(request: ImportRequest) -> Done:
    """Open a file and render it. ValueError if Blender cannot read it."""
    reset()
    try:
        _open(request.source)
        obj_T_world = _obj_T_world(request.source)
        world_T_obj = np.linalg.inv(obj_T_world)
        size = np.cbrt(np.linalg.det(world_T_obj[:3, :3]))
        scene = bpy.context.scene
        _own_settings(scene, request.render)
        pose = np.array(request.render.cam_T_obj) @ obj_T_world
        pose[:3] *= size
        eye = add_camera(scene, pose, request.render.camera, size)
        eye.data.clip_end = max(eye.data.clip_end, 10 * float(np.linalg.norm(pose[:3, 3])) + 10 * size)
        _light(request.render, world_T_obj)
        bpy.ops.render.render(write_still=True)
        return Done()
    finally:
        reset()
