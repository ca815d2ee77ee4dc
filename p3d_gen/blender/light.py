"""The light of a scene: area lamps, an environment map, or sun and sky."""

from __future__ import annotations

import functools
from pathlib import Path

import bpy
import numpy as np
from mathutils import Vector

from p3d_gen.core.environment import mean_radiance, read_environment
from p3d_gen.core.types import Environment, Lamp, Sun

_AMBIENT = 0.05
_HDRI_IMPORTANCE_MAP = 1024
_SKY_IMPORTANCE_MAP = 128
_SUN_ANGLE_RAD = np.radians(0.53)
_GROUND_ALBEDO = 0.25
# Mean radiance of the upper half of Blender's Nishita sky without the sun's disc, by the sun's elevation in degrees.
_SKY_ELEVATIONS = (2, 5, 10, 15, 20, 30, 40, 60, 90)
_SKY_RADIANCES = (1.09, 2.00, 3.01, 3.53, 3.75, 3.85, 3.79, 3.59, 3.45)


def add_lamp(lamp: Lamp) -> None:
    """Add a lamp whose power gives the wanted irradiance at the origin: E = P / (pi r^2) on the axis, far away."""
    position = Vector(lamp.position)
    data = bpy.data.lights.new("lamp", "AREA")
    data.size = lamp.size
    data.energy = lamp.irradiance * np.pi * position.length_squared
    _add_light(data, position)


def _add_light(data: bpy.types.Light, position: Vector) -> None:
    item = bpy.data.objects.new("lamp", data)
    item.location = position
    item.rotation_euler = (-position).to_track_quat("-Z", "Y").to_euler()
    bpy.context.scene.collection.objects.link(item)


@functools.lru_cache(maxsize=8)
def _mean_radiance(hdri: Path) -> float:
    return mean_radiance(read_environment(hdri))


def _new_world() -> bpy.types.World:
    world = bpy.context.scene.world = bpy.data.worlds.new("world")
    world.use_nodes = True
    return world


def add_ambient() -> None:
    """Add a dim grey world, so that surfaces which no lamp reaches are not black."""
    _new_world().node_tree.nodes["Background"].inputs["Color"].default_value = (_AMBIENT, _AMBIENT, _AMBIENT, 1.0)


def _sample_world(world: bpy.types.World, resolution: int) -> None:
    """Fix the size of the importance map: the automatic one costs over a second per render."""
    world.cycles.sampling_method = "MANUAL"
    world.cycles.sample_map_resolution = resolution


def add_environment(environment: Environment, hdri: Path) -> None:
    """Light the scene by the environment map in the file `hdri`, scaled to the wanted mean radiance."""
    world = _new_world()
    nodes, links = world.node_tree.nodes, world.node_tree.links
    background = nodes["Background"]
    image, mapping, where = (nodes.new(f"ShaderNode{kind}") for kind in ("TexEnvironment", "Mapping", "TexCoord"))
    image.image = bpy.data.images.load(str(hdri))
    mapping.inputs["Rotation"].default_value[2] = environment.turn_rad
    links.new(where.outputs["Generated"], mapping.inputs["Vector"])
    links.new(mapping.outputs["Vector"], image.inputs["Vector"])
    links.new(image.outputs["Color"], background.inputs["Color"])
    background.inputs["Strength"].default_value = environment.radiance / _mean_radiance(hdri)
    _sample_world(world, _HDRI_IMPORTANCE_MAP)  # at 256 it misses the sun


def add_sun(sun: Sun) -> None:
    """Add the sun as a distant lamp, redder towards the horizon, in a clear sky over a grey ground."""
    high = np.sqrt(np.sin(sun.elevation_rad))
    colour = np.array([1.0, 0.55 + 0.45 * high, 0.3 + 0.7 * high])
    data = bpy.data.lights.new("sun", "SUN")
    data.angle, data.energy = _SUN_ANGLE_RAD, sun.irradiance
    data.color = (colour / colour.mean()).tolist()
    level = np.cos(sun.elevation_rad)
    azimuth = sun.azimuth_rad
    _add_light(data, Vector((level * np.sin(azimuth), -level * np.cos(azimuth), np.sin(sun.elevation_rad))))

    world = _new_world()
    nodes, links = world.node_tree.nodes, world.node_tree.links
    sky, mix, where, split, above = (
        nodes.new(f"ShaderNode{kind}") for kind in ("TexSky", "MixRGB", "TexCoord", "SeparateXYZ", "Math")
    )
    sky.sky_type, sky.sun_disc, sky.sun_elevation = "NISHITA", False, sun.elevation_rad
    sky.sun_rotation = np.pi - azimuth  # it counts clockwise from +y
    radiance = np.interp(np.degrees(sun.elevation_rad), _SKY_ELEVATIONS, _SKY_RADIANCES)
    lit = sun.sky_radiance + sun.irradiance * np.sin(sun.elevation_rad) / np.pi
    ground = _GROUND_ALBEDO * lit * radiance / sun.sky_radiance
    mix.inputs["Color1"].default_value = (ground, ground, ground, 1.0)
    above.operation = "GREATER_THAN"
    above.inputs[1].default_value = 0.0
    links.new(where.outputs["Generated"], split.inputs["Vector"])
    links.new(split.outputs["Z"], above.inputs[0])
    links.new(above.outputs["Value"], mix.inputs["Fac"])
    links.new(sky.outputs["Color"], mix.inputs["Color2"])
    links.new(mix.outputs["Color"], nodes["Background"].inputs["Color"])
    nodes["Background"].inputs["Strength"].default_value = sun.sky_radiance / radiance
    _sample_world(world, _SKY_IMPORTANCE_MAP)
