"""One sample's scene, and one render call for all its labels."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from mathutils import Matrix, Vector

from p3d_gen.assets.environment import read_environment
from p3d_gen.blender.cad import clear, make_mesh
from p3d_gen.geometry import (
    BLENDER_SENSOR_MM,
    blender_lens_mm,
    blender_matrix_world,
    cam_T_obj,
    cam_T_world_of_blender,
    focal_px_of_blender,
    project,
    transform,
)
from p3d_gen.types import Array, Camera, Environment, Lamp, Viewpoint

OBJECT_INDEX = 1
_GREY = 0.4
_AMBIENT = 0.05
_BORDER_PX = 2.0
_IMPORTANCE_MAP = 1024


def _reset(samples: int, denoise: bool, seed: int, camera: Camera) -> bpy.types.Scene:
    """An empty scene whose settings give float labels and a cheap, clean picture on one thread."""
    clear()
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.render.resolution_y, scene.render.resolution_x = camera.image_hw
    scene.render.resolution_percentage = 100
    scene.render.film_transparent = True
    scene.render.threads_mode, scene.render.threads = "FIXED", 1
    scene.cycles.device = "CPU"
    scene.cycles.samples = samples
    scene.cycles.use_adaptive_sampling = False
    scene.cycles.seed = seed
    scene.cycles.use_denoising = denoise
    scene.cycles.denoiser = "OPENIMAGEDENOISE"
    scene.cycles.denoising_prefilter = "NONE"
    scene.cycles.denoising_quality = "FAST"
    settings = scene.render.image_settings
    settings.file_format, settings.color_depth, settings.exr_codec = "OPEN_EXR_MULTILAYER", "32", "NONE"
    bpy.context.view_layer.use_pass_z = True
    bpy.context.view_layer.use_pass_object_index = True
    return scene


def _material(texture: str, roughness: float, metallic: float) -> bpy.types.Material:
    material = bpy.data.materials.new("object")
    material.use_nodes = True
    nodes, links = material.node_tree.nodes, material.node_tree.links
    shader = nodes["Principled BSDF"]
    shader.inputs["Roughness"].default_value = roughness
    shader.inputs["Metallic"].default_value = metallic
    shader.inputs["Base Color"].default_value = (_GREY, _GREY, _GREY, 1.0)
    if texture:
        image = nodes.new("ShaderNodeTexImage")
        image.image = bpy.data.images.load(texture)
        links.new(image.outputs["Color"], shader.inputs["Base Color"])
    return material


def _add_object(cad: str, material: bpy.types.Material) -> tuple[bpy.types.Object, Array]:
    with np.load(cad) as arrays:
        vertices = arrays["vertices"]
        mesh = make_mesh(vertices, arrays["faces"], arrays["uv"])
    mesh.materials.append(material)
    item = bpy.data.objects.new("object", mesh)
    item.pass_index = OBJECT_INDEX
    bpy.context.scene.collection.objects.link(item)
    return item, vertices


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


def _add_lamp(lamp: Lamp) -> None:
    """A lamp whose power gives the wanted irradiance at the origin: E = P / (pi r^2) on the axis, far away."""
    position = Vector(lamp.position)
    data = bpy.data.lights.new("lamp", "AREA")
    data.size = lamp.size
    data.energy = lamp.irradiance * np.pi * position.length_squared
    item = bpy.data.objects.new("lamp", data)
    item.location = position
    item.rotation_euler = (-position).to_track_quat("-Z", "Y").to_euler()
    bpy.context.scene.collection.objects.link(item)


@functools.lru_cache(maxsize=8)
def _mean_radiance(path: str) -> float:
    """The mean radiance over the sphere of an equirectangular map: rows weigh by the cosine of their latitude."""
    pixels = read_environment(Path(path))
    latitude = (np.arange(len(pixels)) + 0.5) / len(pixels) * np.pi - np.pi / 2
    return float(np.average(pixels.mean(axis=(1, 2)), weights=np.cos(latitude)))


def _add_world(scene: bpy.types.Scene, environment: Environment | None, hdri: str) -> None:
    scene.world = bpy.data.worlds.new("world")
    scene.world.use_nodes = True
    nodes, links = scene.world.node_tree.nodes, scene.world.node_tree.links
    background = nodes["Background"]
    if environment is None:
        background.inputs["Color"].default_value = (_AMBIENT, _AMBIENT, _AMBIENT, 1.0)
        return
    image, mapping, where = (nodes.new(f"ShaderNode{kind}") for kind in ("TexEnvironment", "Mapping", "TexCoord"))
    image.image = bpy.data.images.load(hdri)
    mapping.inputs["Rotation"].default_value[2] = environment.turn_rad
    links.new(where.outputs["Generated"], mapping.inputs["Vector"])
    links.new(mapping.outputs["Vector"], image.inputs["Vector"])
    links.new(image.outputs["Color"], background.inputs["Color"])
    background.inputs["Strength"].default_value = environment.radiance / _mean_radiance(hdri)
    # the automatic importance map costs over a second per render; at 256 it misses the sun
    scene.world.cycles.sampling_method = "MANUAL"
    scene.world.cycles.sample_map_resolution = _IMPORTANCE_MAP


def _set_border(scene: bpy.types.Scene, pixels: Array, image_hw: tuple[int, int]) -> None:
    """Render the projected object's box only: empty pixels cost as much as a third of the object's."""
    height, width = image_hw
    low = np.clip((pixels.min(axis=0) - _BORDER_PX) / (width, height), 0.0, 1.0)
    high = np.clip((pixels.max(axis=0) + _BORDER_PX) / (width, height), 0.0, 1.0)
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


def render(
    spec: dict[str, Any], samples: int, denoise: bool, cad: str, texture: str, hdri: str, target: str
) -> dict[str, Any]:
    """Render a resolved sample into the multilayer EXR `target`: linear premultiplied RGBA, planar z, object index.

    cad, texture, hdri: files, "" for none. Returns cam_T_obj (4x4), focal_px and principal_px as the scene has them.
    """
    camera = Camera(**spec["camera"])
    scene = _reset(samples, denoise, spec["render_seed"], camera)
    pose = cam_T_obj(Viewpoint(**spec["viewpoint"]))
    item, vertices = _add_object(cad, _material(texture, spec["roughness"], spec["metallic"]))
    eye = _add_camera(scene, pose, camera)
    for lamp in spec["lamps"]:
        _add_lamp(Lamp(**lamp))
    _add_world(scene, Environment(**spec["environment"]) if spec["environment"] else None, hdri)
    _set_border(scene, project(transform(pose, vertices), camera), camera.image_hw)
    scene.render.filepath = target
    answer = _read_back(item, eye, camera.image_hw)
    Path(target).unlink(missing_ok=True)
    bpy.ops.render.render(write_still=True)
    return answer
