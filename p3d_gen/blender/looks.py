"""Models with all kinds of materials, in all formats that Blender writes: what `p3dgen bench fidelity` looks at.

Each is a torso on a plate, with another look.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from p3d_gen.blender.protocol import Done, LooksRequest
from p3d_gen.blender.readers import reset

Item = Any  # bpy has no types
_PICTURE_PX = 64
_CLEAR, _TINTED = 0.15, 0.4


def _linked(item: Item) -> Item:
    bpy.context.scene.collection.objects.link(item)
    return item


def _ball(smooth: bool = True) -> Item:
    bpy.ops.mesh.primitive_uv_sphere_add(segments=24, ring_count=12, radius=1.0)
    item: Item = bpy.context.object
    if smooth:
        item.data.shade_smooth()
    return item


def _box(size: float = 2.0, **place: Any) -> Item:
    bpy.ops.mesh.primitive_cube_add(size=size, **place)
    item: Item = bpy.context.object
    return item


def _head(smooth: bool = True) -> Item:
    bpy.ops.mesh.primitive_monkey_add(size=2.0)
    item: Item = bpy.context.object
    if smooth:
        item.data.shade_smooth()
    return item


class _Look:
    """A new material on an object, and its nodes."""

    def __init__(self, item: Item, name: str = "look", **inputs: Any) -> None:
        self.material = bpy.data.materials.new(name)
        self.material.use_nodes = True
        item.data.materials.append(self.material)
        self.nodes, self.links = self.material.node_tree.nodes, self.material.node_tree.links
        self.shader = self.nodes["Principled BSDF"]
        for key, value in inputs.items():
            self.shader.inputs[key.replace("_", " ")].default_value = value

    def add(self, kind: str, **settings: Any) -> Any:
        """Add a node."""
        node = self.nodes.new(f"ShaderNode{kind}")
        for name, value in settings.items():
            setattr(node, name, value)
        return node

    def show(self, output: Any, name: str = "Base Color") -> None:
        """Link an output to an input of the surface."""
        self.links.new(output, self.shader.inputs[name])


def _picture(name: str, alpha: bool = False) -> bpy.types.Image:
    """Make a packed picture: coloured squares and a gradient; with alpha, every other square is a hole."""
    y, x = np.mgrid[:_PICTURE_PX, :_PICTURE_PX] / _PICTURE_PX
    checks = (np.floor(8 * x) + np.floor(8 * y)) % 2
    solid = checks if alpha else np.ones_like(x)
    rgba = np.stack([0.2 + 0.7 * x, 0.15 + 0.7 * checks, 0.9 - 0.8 * y, solid], axis=-1)
    picture = bpy.data.images.new(name, _PICTURE_PX, _PICTURE_PX, alpha=alpha)
    picture.pixels.foreach_set(rgba.astype(np.float32).ravel())
    picture.pack()
    return picture


def _pictured(item: Item, alpha: bool = False) -> _Look:
    look = _Look(item, Roughness=0.5)
    node = look.add("TexImage", image=_picture("squares", alpha))
    look.show(node.outputs["Color"])
    if alpha:
        look.show(node.outputs["Alpha"], "Alpha")
    return look


def _coloured(item: Item, kind: str = "FLOAT_COLOR", domain: str = "POINT") -> Item:
    """Give a mesh colours that follow the place of its vertices."""
    places = np.array([vertex.co for vertex in item.data.vertices])
    share = (places - places.min(axis=0)) / np.ptp(places, axis=0)
    rgba = np.concatenate([0.1 + 0.8 * share, np.ones((len(share), 1))], axis=1)
    if domain == "CORNER":
        rgba = rgba[[loop.vertex_index for loop in item.data.loops]]
    colours = item.data.color_attributes.new("Color", kind, domain)
    colours.data.foreach_set("color", rgba.astype(np.float32).ravel())
    return item


def _vertex_colours() -> None:
    item = _coloured(_head(), domain="CORNER", kind="BYTE_COLOR")
    look = _Look(item)
    look.show(look.add("VertexColor", layer_name="Color").outputs["Color"])


def _bare_colours() -> None:
    _coloured(_head())


def _bare() -> None:
    _head(smooth=False)


def _two_uv_sets() -> None:
    item = _box()
    first = item.data.uv_layers[0]
    second = item.data.uv_layers.new(name="second")
    uv = np.empty(2 * len(first.uv), np.float32)
    first.uv.foreach_get("vector", uv)
    second.uv.foreach_set("vector", (2.5 * uv + 0.1) % 1.0)
    look = _pictured(item)
    coordinates, node = look.add("UVMap", uv_map="second"), look.add("TexImage", image=_picture("strips"))
    look.links.new(coordinates.outputs["UV"], node.inputs["Vector"])
    look.show(node.outputs["Color"], "Emission Color")
    look.shader.inputs["Emission Strength"].default_value = 0.3


def _by_coordinates(output: str) -> Callable[[], None]:
    def make() -> None:
        """Two objects of different size and place share a material."""
        item = _head()
        item.location, item.rotation_euler = (0.3, 0.0, 0.2), (0.0, 0.3, 0.5)
        look = _Look(item)
        other = _box(0.8, location=(1.2, -0.8, -0.6))
        other.data.materials.append(look.material)
        look.show(look.add("TexCoord").outputs[output])

    return make


def _noise() -> None:
    item = _head()
    item.scale = (1.0, 1.4, 0.8)
    look = _Look(item, Roughness=0.4)
    noise, ramp, bump = look.add("TexNoise"), look.add("ValToRGB"), look.add("Bump")
    noise.inputs["Scale"].default_value = 4.0
    ramp.color_ramp.elements[0].color, ramp.color_ramp.elements[1].color = (0.7, 0.1, 0.05, 1), (0.1, 0.2, 0.8, 1)
    bump.inputs["Strength"].default_value = 0.3
    look.links.new(noise.outputs["Fac"], ramp.inputs["Fac"])
    look.links.new(noise.outputs["Fac"], bump.inputs["Height"])
    look.show(ramp.outputs["Color"])
    look.show(bump.outputs["Normal"], "Normal")


def _waves() -> None:
    look = _Look(_box())
    voronoi, wave, mix = look.add("TexVoronoi"), look.add("TexWave"), look.add("MixRGB", blend_type="MULTIPLY")
    mix.inputs["Fac"].default_value = 0.8
    look.links.new(look.add("TexCoord").outputs["Object"], voronoi.inputs["Vector"])
    look.links.new(voronoi.outputs["Color"], mix.inputs["Color1"])
    look.links.new(wave.outputs["Color"], mix.inputs["Color2"])
    look.show(mix.outputs["Color"])


def _emission() -> None:
    _Look(_box(1.2, location=(0, 0, -0.4)), "body", Base_Color=(0.6, 0.6, 0.6, 1))
    lamp = _box(0.5, location=(-0.6, -0.8, 0.3))
    _Look(lamp, "lamp", Emission_Color=(1.0, 0.5, 0.1, 1), Emission_Strength=3.0)


def _glass(alpha: float = 1.0, transmission: float = 0.0) -> Callable[[], None]:
    def make() -> None:
        """Clear glass around a red ball."""
        ball = _ball()
        ball.scale = (0.5, 0.5, 0.5)
        _Look(ball, "inside", Base_Color=(0.8, 0.05, 0.05, 1))
        look = _Look(_box(), "glass", Base_Color=(0.5, 0.8, 0.9, 1), Roughness=0.1, Alpha=alpha)
        look.shader.inputs["Transmission Weight"].default_value = transmission

    return make


def _cut_outs() -> None:
    _pictured(_box(), alpha=True)


def _mask() -> None:
    """Cut-outs by a threshold, which exports to glTF as MASK."""
    look = _pictured(_box(), alpha=True)
    node = next(each for each in look.nodes if each.bl_idname == "ShaderNodeTexImage")
    less = look.add("Math", operation="GREATER_THAN")
    less.inputs[1].default_value = 0.5
    look.links.new(node.outputs["Alpha"], less.inputs[0])
    look.show(less.outputs[0], "Alpha")


def _modifiers() -> None:
    """More subdivisions in renders, a mirror that only renders, and objects that only one of both shows."""
    item = _box()
    _Look(item, Base_Color=(0.2, 0.5, 0.3, 1))
    steps = item.modifiers.new("steps", "SUBSURF")
    steps.levels, steps.render_levels = 0, 3
    row = item.modifiers.new("row", "ARRAY")
    row.show_viewport = False
    row.relative_offset_displace = (1.1, 0.0, 0.0)
    seen, hidden = _box(1.0, location=(0, 0, 1.5)), _box(1.0, location=(0, 0, 3.5))
    seen.hide_viewport, hidden.hide_render = True, True
    _Look(seen, Base_Color=(0.8, 0.3, 0.1, 1))


def _objects() -> None:
    """Objects that share a mesh: turned, mirrored, and scaled by different factors."""
    first = _head()
    _pictured(first)
    mirrored = _linked(bpy.data.objects.new("mirrored", first.data))
    mirrored.location, mirrored.scale = (2.5, 0.5, 0.0), (-1.0, 1.0, 1.0)
    long = _linked(bpy.data.objects.new("long", first.data))
    long.location, long.rotation_euler, long.scale = (1.0, 2.0, 0.5), (0.4, 0.2, 1.0), (0.5, 1.0, 1.6)
    _Look(_box(1.0, location=(1.0, -1.0, -0.8)), "metal", Metallic=1.0, Roughness=0.3)


def _pictures() -> None:
    _pictured(_box())
    item = _ball()
    item.location = (1.5, -0.3, 0.4)
    item.scale = (0.7, 0.7, 0.7)
    _Look(item, "paint", Base_Color=(0.7, 0.2, 0.1, 1), Roughness=0.3)


def _shading() -> None:
    """Flat and smooth faces, sharp edges, and normals of the author's own."""
    half = _ball()
    half.data.polygons.foreach_set("use_smooth", [number % 3 > 0 for number in range(len(half.data.polygons))])
    _Look(half, Base_Color=(0.5, 0.5, 0.7, 1), Roughness=0.3)
    soft = _box(1.2, location=(1.5, -0.5, 0.2))
    soft.data.shade_smooth()
    _Look(soft, "soft", Base_Color=(0.7, 0.5, 0.3, 1), Roughness=0.3)
    soft.data.normals_split_custom_set_from_vertices([vertex.co.normalized() for vertex in soft.data.vertices])


def _normal_map() -> None:
    look = _pictured(_box())
    data = _picture("normals")
    data.colorspace_settings.name = "Non-Color"
    node, normals = look.add("TexImage", image=data), look.add("NormalMap")
    normals.inputs["Strength"].default_value = 0.4
    look.links.new(node.outputs["Color"], normals.inputs["Color"])
    look.show(normals.outputs["Normal"], "Normal")


def _save(path: Path) -> None:
    """Write the scene in the format of the path."""
    name, ops = str(path), bpy.ops.wm
    match path.suffix:
        case ".blend":
            ops.save_as_mainfile(filepath=name)
        case ".glb":
            bpy.ops.export_scene.gltf(filepath=name, export_vertex_color="ACTIVE", export_all_vertex_colors=True)
        case ".gltf":
            bpy.ops.export_scene.gltf(filepath=name, export_format="GLTF_SEPARATE")
        case ".obj":
            ops.obj_export(filepath=name, export_colors=True, path_mode="COPY")
        case ".ply":
            ops.ply_export(filepath=name, export_colors="SRGB", export_normals=True)
        case ".stl":
            ops.stl_export(filepath=name)
        case ".fbx":
            bpy.ops.export_scene.fbx(filepath=name, path_mode="COPY", embed_textures=True)
        case ".dae":
            ops.collada_export(filepath=name, use_texture_copies=True)
        case _:
            ops.usd_export(filepath=name)


_LOOKS: dict[str, tuple[Callable[[], None], tuple[str, ...]]] = {
    "vertex_colours": (_vertex_colours, (".blend", ".glb", ".usdc")),
    "bare_colours": (_bare_colours, (".ply", ".obj", ".usda")),
    "bare": (_bare, (".stl", ".ply", ".obj")),
    "two_uv_sets": (_two_uv_sets, (".blend", ".glb")),
    "object_coordinates": (_by_coordinates("Object"), (".blend",)),
    "generated_coordinates": (_by_coordinates("Generated"), (".blend",)),
    "noise": (_noise, (".blend",)),
    "waves": (_waves, (".blend",)),
    "emission": (_emission, (".blend", ".glb")),
    "clear_glass": (_glass(alpha=_CLEAR), (".blend", ".glb", ".usdc")),
    "tinted_glass": (_glass(alpha=_TINTED), (".blend", ".glb", ".obj")),
    "transmission": (_glass(transmission=1.0), (".blend", ".glb")),
    "cut_outs": (_cut_outs, (".blend", ".glb")),
    "mask": (_mask, (".blend", ".glb")),
    "modifiers": (_modifiers, (".blend",)),
    "objects": (_objects, (".blend", ".glb", ".usdc", ".fbx", ".dae")),
    "pictures": (_pictures, (".blend", ".glb", ".gltf", ".obj", ".fbx", ".dae", ".usdz")),
    "shading": (_shading, (".blend", ".glb", ".obj", ".fbx", ".usdc")),
    "normal_map": (_normal_map, (".blend", ".glb")),
}


def write(request: LooksRequest) -> Done:
    """Write all models, each into a folder of its own format."""
    try:
        for name, (make, suffixes) in _LOOKS.items():
            for suffix in suffixes:
                reset()
                make()
                folder = request.folder / suffix[1:]
                folder.mkdir(exist_ok=True)
                _save(folder / f"{name}{suffix}")
        return Done()
    finally:
        reset()
