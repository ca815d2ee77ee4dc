"""One sample's scene, and one render call for all its labels."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from mathutils import Matrix
from numpy.typing import NDArray

from blender_assets import shapes as parametric
from p3d_gen.blender.cad import clear, load_materials, make_mesh
from p3d_gen.blender.light import add_ambient, add_environment, add_lamp, add_sun
from p3d_gen.blender.passes import OBJECT_INDEX, OCCLUDER_INDEX
from p3d_gen.blender.surface import materials_of_parts
from p3d_gen.core.geometry import (
    BLENDER_SENSOR_MM,
    blender_lens_mm,
    blender_matrix_world,
    cam_T_obj,
    cam_T_world_of_blender,
    focal_px_of_blender,
    project,
    transform,
)
from p3d_gen.core.types import Array, Camera, Environment, Lamp, Material, Sun, Viewpoint
from p3d_gen.run.cad_model import load_cad, materials_file

SMOOTH_BELOW_RAD = np.radians(35.0)
_BORDER_PX = 2.0
_PASSES = {"normals": "use_pass_normal", "nocs": "use_pass_position", "parts": "use_pass_material_index"}


def _reset(samples: int, denoise: bool, seed: int, camera: Camera, labels: Sequence[str]) -> bpy.types.Scene:
    """An empty scene whose settings give float labels and a cheap, clean picture on one thread."""
    clear()
    scene, layer = bpy.context.scene, bpy.context.view_layer
    scene.render.engine = "CYCLES"
    scene.render.resolution_y, scene.render.resolution_x = camera.image_hw
    scene.render.resolution_percentage = 100
    scene.render.film_transparent = True
    scene.render.threads_mode, scene.render.threads = "FIXED", 1
    scene.cycles.samples = samples
    scene.cycles.use_adaptive_sampling = False
    scene.cycles.seed = seed
    scene.cycles.use_denoising = denoise
    scene.cycles.denoiser = "OPENIMAGEDENOISE"
    scene.cycles.denoising_prefilter = "NONE"
    scene.cycles.denoising_quality = "FAST"
    settings = scene.render.image_settings
    settings.file_format, settings.color_depth, settings.exr_codec = "OPEN_EXR_MULTILAYER", "32", "NONE"
    layer.use_pass_z = layer.use_pass_object_index = True
    for label, switch in _PASSES.items():
        setattr(layer, switch, label in labels)
    return scene


def _add_object(
    mesh: bpy.types.Mesh, face_part: NDArray[Any], materials: Sequence[bpy.types.Material], index: int
) -> bpy.types.Object:
    """A smooth-shaded object with one material slot per part; edges sharper than SMOOTH_BELOW_RAD stay sharp."""
    for number, material in enumerate(materials):
        material.pass_index = number + 1
        mesh.materials.append(material)
    mesh.polygons.foreach_set("material_index", face_part.astype(np.int32))
    mesh.shade_smooth()
    mesh.set_sharp_from_angle(angle=SMOOTH_BELOW_RAD)
    item = bpy.data.objects.new("object", mesh)
    item.pass_index = index
    bpy.context.scene.collection.objects.link(item)
    return item


def _add_cad(cad: str, spec: dict[str, Any], texture: str, native: bool) -> tuple[bpy.types.Object, Array]:
    """The sample's object and its vertices (V, 3), stretched, in object axes."""
    model = load_cad(Path(cad))
    vertices = model.vertices * spec["stretch_xyz"]
    mesh = make_mesh(vertices, model.faces, model.native_uv if native else model.uv)
    if native:
        materials = load_materials(materials_file(Path(cad)))
    else:
        drawn = [Material(**material) for material in spec["materials"]]
        materials = materials_of_parts(model.part_names, drawn, texture)
    return _add_object(mesh, model.face_part, materials, OBJECT_INDEX), vertices


@functools.lru_cache(maxsize=32)
def _parametric(category: str, variant: int) -> Any:
    return parametric.build(category, variant)


def _add_occluder(occluder: dict[str, Any], obj_T_occluder: Array) -> Array:
    """The occluder under its similarity (4, 4) to object axes; returns its vertices (V, 3) there."""
    shape = _parametric(occluder["category"], occluder["variant"])
    vertices = transform(obj_T_occluder, shape.vertices)
    materials = materials_of_parts(shape.part_names, [Material(**drawn) for drawn in occluder["materials"]])
    _add_object(make_mesh(vertices, shape.faces, None), shape.face_part, materials, OCCLUDER_INDEX)
    return vertices


def _add_camera(scene: bpy.types.Scene, pose: Array, camera: Camera) -> bpy.types.Object:
    height, width = camera.image_hw
    data = bpy.data.cameras.new("camera")
    data.sensor_fit, data.sensor_width = "AUTO", BLENDER_SENSOR_MM
    data.lens = blender_lens_mm(camera.focal_px, camera.image_hw)
    data.shift_x = (width / 2 - camera.principal_px[0]) / max(camera.image_hw)
    data.shift_y = (camera.principal_px[1] - height / 2) / max(camera.image_hw)
    item = bpy.data.objects.new("camera", data)
    item.matrix_world = Matrix(blender_matrix_world(pose).tolist())
    scene.collection.objects.link(item)
    scene.camera = item
    return item


def _add_light(spec: dict[str, Any], hdri: str) -> None:
    for lamp in spec["lamps"]:
        add_lamp(Lamp(**lamp))
    if spec["environment"]:
        add_environment(Environment(**spec["environment"]), hdri)
    elif spec["sun"]:
        add_sun(Sun(**spec["sun"]))
    else:
        add_ambient()


def _set_border(scene: bpy.types.Scene, pixels: Array, image_hw: tuple[int, int]) -> None:
    """Render only the box around the projected vertices (V, 2): pixels without the object cost as much as others."""
    size = np.array(image_hw[::-1])
    low = np.clip((pixels.min(axis=0) - _BORDER_PX) / size, 0.0, 1.0)
    high = np.clip((pixels.max(axis=0) + _BORDER_PX) / size, 0.0, 1.0)
    if (low >= high).any():
        raise ValueError("the object lies outside the picture")
    scene.render.use_border, scene.render.use_crop_to_border = True, False
    scene.render.border_min_x, scene.render.border_max_x = low[0], high[0]
    scene.render.border_min_y, scene.render.border_max_y = 1.0 - high[1], 1.0 - low[1]


def _read_back(item: bpy.types.Object, eye: bpy.types.Object, image_hw: tuple[int, int]) -> dict[str, Any]:
    """Pose and camera as Blender holds them, not as they were asked for."""
    bpy.context.view_layer.update()
    pose = cam_T_world_of_blender(np.array(eye.matrix_world)) @ np.array(item.matrix_world)
    height, width = image_hw
    return {
        "cam_T_obj": pose.tolist(),
        "focal_px": focal_px_of_blender(eye.data.lens, image_hw),
        "principal_px": [
            width / 2 - eye.data.shift_x * max(image_hw),
            height / 2 + eye.data.shift_y * max(image_hw),
        ],
    }


def build(
    spec: dict[str, Any],
    camera: dict[str, Any],
    cam_T_occluder: list[list[float]] | None,
    labels: list[str],
    samples: int,
    denoise: bool,
    cad: str,
    native: bool,
    texture: str,
    hdri: str,
    target: str,
) -> dict[str, Any]:
    """The scene of a resolved sample, ready to be rendered into the multilayer EXR `target`: linear premultiplied RGBA,
    planar z, object index.

    camera: the sample's, after truncation. cam_T_occluder: where its occluder stands, a similarity (4, 4), or none.
    labels: those of `normals` (world normals), `nocs` (positions in object axes) and `parts` (material index) that
    are wanted besides. native: the CAD's own materials. cad, texture, hdri: files, "" for none.
    Returns cam_T_obj (4x4), focal_px and principal_px as the scene has them.
    """
    pinhole = Camera(**camera)
    scene = _reset(samples, denoise, spec["render_seed"], pinhole, labels)
    pose = cam_T_obj(Viewpoint(**spec["viewpoint"]))
    item, points = _add_cad(cad, spec, texture, native)
    if cam_T_occluder is not None:
        occluder = _add_occluder(spec["occluder"], np.linalg.inv(pose) @ np.array(cam_T_occluder))
        points = np.concatenate([points, occluder])
    eye = _add_camera(scene, pose, pinhole)
    _add_light(spec, hdri)
    _set_border(scene, project(transform(pose, points), pinhole), pinhole.image_hw)
    scene.render.filepath = target
    Path(target).unlink(missing_ok=True)
    return _read_back(item, eye, pinhole.image_hw)


def render(**request: Any) -> dict[str, Any]:
    """Build a scene and render it; see `build`."""
    answer = build(**request)
    bpy.ops.render.render(write_still=True)
    return answer
