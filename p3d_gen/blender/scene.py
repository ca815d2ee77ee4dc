"""One sample's scene, and one render call for all its labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from mathutils import Matrix
from numpy.typing import NDArray

from p3d_gen.blender.cad import clear
from p3d_gen.blender.cleaning import unit_normals
from p3d_gen.blender.light import add_ambient, add_environment, add_lamp, add_sun
from p3d_gen.blender.material_library import load_materials
from p3d_gen.blender.meshes import make_mesh
from p3d_gen.blender.passes import OBJECT_INDEX, OCCLUDER_INDEX
from p3d_gen.blender.protocol import OccluderMesh, RenderAnswer, RenderRequest, matrix
from p3d_gen.blender.readings import is_see_through
from p3d_gen.blender.shading import split_where_normals_differ
from p3d_gen.blender.surface import materials_of_parts
from p3d_gen.core.geometry import (
    BLENDER_SENSOR_MM,
    blender_lens_mm,
    blender_matrix_world,
    cam_T_world_of_blender,
    focal_px_of_blender,
    project,
    transform,
)
from p3d_gen.core.types import Array, Camera, Material, RenderSpec
from p3d_gen.run.cad_model import NORMALS, load_cad, materials_file

SMOOTH_BELOW_RAD = np.radians(35.0)
_BORDER_PX = 2.0
_PASSES = {"normals": "use_pass_normal", "nocs": "use_pass_position", "parts": "use_pass_material_index"}


def configure(scene: bpy.types.Scene, request: RenderRequest) -> None:
    """Set what gives float labels and a cheap, clean picture on one thread."""
    layer = bpy.context.view_layer
    scene.render.engine = "CYCLES"
    scene.render.resolution_y, scene.render.resolution_x = request.camera.image_hw
    scene.render.resolution_percentage = 100
    scene.render.film_transparent = True
    scene.render.threads_mode, scene.render.threads = "FIXED", 1
    scene.cycles.samples = request.samples
    scene.cycles.use_adaptive_sampling = False
    scene.cycles.seed = request.sample.render_seed
    scene.cycles.use_denoising = request.denoise
    scene.cycles.denoiser = "OPENIMAGEDENOISE"
    scene.cycles.denoising_prefilter = "NONE"
    scene.cycles.denoising_quality = "FAST"
    settings = scene.render.image_settings
    settings.file_format, settings.color_depth, settings.exr_codec = "OPEN_EXR_MULTILAYER", "32", "NONE"
    layer.use_pass_z = layer.use_pass_object_index = True
    layer.pass_alpha_threshold = 0.0  # labels are of the first surface, however much light it lets through
    for label, switch in _PASSES.items():
        setattr(layer, switch, label in request.labels)
    scene.render.filepath = str(request.target)
    request.target.unlink(missing_ok=True)


def _add_object(
    mesh: bpy.types.Mesh, face_part: NDArray[Any], materials: Sequence[bpy.types.Material], index: int
) -> bpy.types.Object:
    """Add an object with one material slot per part. Its own normals shade it, if it has any; else it is smooth,
    except at edges sharper than SMOOTH_BELOW_RAD."""
    for number, material in enumerate(materials):
        material.pass_index = number + 1
        mesh.materials.append(material)
    mesh.polygons.foreach_set("material_index", face_part.astype(np.int32))
    mesh.shade_smooth()
    if NORMALS in mesh.attributes:
        split_where_normals_differ(mesh)
    else:
        mesh.set_sharp_from_angle(angle=SMOOTH_BELOW_RAD)
    item = bpy.data.objects.new("object", mesh)
    item.pass_index = index
    bpy.context.scene.collection.objects.link(item)
    return item


def _add_cad(request: RenderRequest) -> tuple[bpy.types.Object, Array]:
    """Add the sample's object; returns it and its vertices (V, 3), stretched, in object axes."""
    model = load_cad(request.cad)
    vertices = model.vertices * request.sample.stretch_xyz
    if request.native:
        attributes = dict(model.attributes)
        if NORMALS in attributes:
            attributes[NORMALS] = unit_normals(attributes[NORMALS] / np.array(request.sample.stretch_xyz))
        mesh = make_mesh(vertices, model.faces, model.native_uv, attributes)
        library = materials_file(request.cad)
        materials = load_materials(library) if library.exists() else []
    else:
        mesh = make_mesh(vertices, model.faces, model.uv)
        materials = materials_of_parts(model.part_names, request.sample.materials, request.texture, model.stated_kinds)
    return _add_object(mesh, model.face_part, materials, OBJECT_INDEX), vertices


def _add_occluder(occluder: OccluderMesh, drawn: Sequence[Material]) -> None:
    """Add the occluder in the materials that were drawn for its parts."""
    materials = materials_of_parts(occluder.part_names, drawn)
    _add_object(make_mesh(occluder.vertices, occluder.faces, None), occluder.face_part, materials, OCCLUDER_INDEX)


def add_camera(scene: bpy.types.Scene, pose: Array, camera: Camera, nearest: float) -> bpy.types.Object:
    """Add a camera; `nearest` is the least depth of what it shows."""
    height, width = camera.image_hw
    data = bpy.data.cameras.new("camera")
    data.sensor_fit, data.sensor_width = "AUTO", BLENDER_SENSOR_MM
    data.lens = blender_lens_mm(camera.focal_px, camera.image_hw)
    data.shift_x = (width / 2 - camera.principal_px[0]) / max(camera.image_hw)
    data.shift_y = (camera.principal_px[1] - height / 2) / max(camera.image_hw)
    data.clip_start = min(data.clip_start, nearest / 2)
    item = bpy.data.objects.new("camera", data)
    item.matrix_world = Matrix(blender_matrix_world(pose).tolist())
    scene.collection.objects.link(item)
    scene.camera = item
    return item


def add_light(sample: RenderSpec, hdri: Path | None) -> None:
    """Add the light of a sample, with the object at the world's origin."""
    for lamp in sample.lamps:
        add_lamp(lamp)
    if sample.environment:
        assert hdri is not None
        add_environment(sample.environment, hdri)
    elif sample.sun:
        add_sun(sample.sun)
    else:
        add_ambient()


def _set_border(scene: bpy.types.Scene, pixels: Array, image_hw: tuple[int, int]) -> None:
    """Restrict the render to the box around the projected vertices (V, 2): empty pixels cost as much as others."""
    size = np.array(image_hw[::-1])
    low = np.clip((pixels.min(axis=0) - _BORDER_PX) / size, 0.0, 1.0)
    high = np.clip((pixels.max(axis=0) + _BORDER_PX) / size, 0.0, 1.0)
    if (low >= high).any():
        raise ValueError("the object is outside the picture")
    scene.render.use_border, scene.render.use_crop_to_border = True, False
    scene.render.border_min_x, scene.render.border_max_x = low[0], high[0]
    scene.render.border_min_y, scene.render.border_max_y = 1.0 - high[1], 1.0 - low[1]


def _let_through(scene: bpy.types.Scene) -> bool:
    """Let the background show through glass, if a surface of the scene is see-through; return if there is one."""
    items = (item for item in scene.collection.objects if item.type == "MESH")
    scene.cycles.film_transparent_glass = any(is_see_through(each) for item in items for each in item.data.materials)
    return bool(scene.cycles.film_transparent_glass)


def _read_back(
    item: bpy.types.Object, eye: bpy.types.Object, image_hw: tuple[int, int], see_through: bool
) -> RenderAnswer:
    """Return pose and camera as Blender holds them, not as they were requested."""
    bpy.context.view_layer.update()
    pose = cam_T_world_of_blender(np.array(eye.matrix_world)) @ np.array(item.matrix_world)
    height, width = image_hw
    principal_px = (width / 2 - eye.data.shift_x * max(image_hw), height / 2 + eye.data.shift_y * max(image_hw))
    focal_px = focal_px_of_blender(eye.data.lens, image_hw)
    camera = Camera(focal_px=focal_px, principal_px=principal_px, image_hw=image_hw)
    return RenderAnswer(cam_T_obj=matrix(pose), camera=camera, see_through=see_through)


def build(request: RenderRequest) -> RenderAnswer:
    """Build the scene of a request, ready to be rendered; returns pose and camera as the scene has them."""
    clear()
    scene = bpy.context.scene
    configure(scene, request)
    pose = np.array(request.cam_T_obj)
    item, points = _add_cad(request)
    if request.occluder is not None:
        assert request.sample.occluder is not None
        _add_occluder(request.occluder, request.sample.occluder.materials)
        points = np.concatenate([points, request.occluder.vertices])
    in_camera = transform(pose, points)
    eye = add_camera(scene, pose, request.camera, float(in_camera[:, 2].min()))
    add_light(request.sample, request.hdri)
    _set_border(scene, project(in_camera, request.camera), request.camera.image_hw)
    return _read_back(item, eye, request.camera.image_hw, _let_through(scene))


def render(request: RenderRequest) -> RenderAnswer:
    """Build the scene of a request and render it."""
    answer = build(request)
    bpy.ops.render.render(write_still=True)
    return answer
