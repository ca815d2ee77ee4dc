"""Baking of materials: what a GLB cannot hold (procedural nodes, attributes, further UV sets) becomes a picture.

A picture holds one input of the Principled shader over the whole surface, at places that no two faces share.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import bpy
import numpy as np
from numpy.typing import NDArray

Material = Any  # bpy has no types
Node = Any
_ATLAS = "atlas"
_SIDE_PX, _MARGIN_PX, _SAMPLES = 1024, 4, 4
_COLOURS = ("Base Color", "Emission Color")
_NUMBERS = ("Metallic", "Roughness", "Alpha")
# The nodes that the exporter of glTF follows from an input back to a picture in the mesh's own texture coordinates.
_KEPT = {"OUTPUT_MATERIAL", "BSDF_PRINCIPLED", "TEX_IMAGE", "NORMAL_MAP", "SEPARATE_COLOR"}


def _output(material: Material) -> Node:
    return material.node_tree.get_output_node("CYCLES")


def _principled(material: Material) -> Node:
    """Return the Principled shader that is a material's surface, None if that is another one."""
    links = _output(material).inputs["Surface"].links if material.use_nodes and _output(material) else ()
    return next((link.from_node for link in links if link.from_node.type == "BSDF_PRINCIPLED"), None)


def _above(socket: Node) -> set[str]:
    """Return the types of all nodes from which an input comes."""
    types: set[str] = set()
    for link in socket.links:
        types.add(link.from_node.type)
        types.update(*(_above(each) for each in link.from_node.inputs))
    return types


def _baked_inputs(material: Material) -> list[str]:
    """Return the names of the inputs of a material's shader that a GLB cannot hold as they are."""
    shader = _principled(material)
    if not shader:
        return []
    names = [name for name in (*_COLOURS, *_NUMBERS) if _above(shader.inputs[name]) - _KEPT]
    return ["Base Color", *(name for name in names if name != "Base Color")] if "Alpha" in names else names


def lost_of(material: Material) -> list[str]:
    """Return what neither the exporter nor baking carries over of a material."""
    if not material.use_nodes:
        return []
    shader = _principled(material)
    if shader is None:
        return ["its surface, which is not a Principled BSDF"]
    names = [each.name for each in shader.inputs if each.name not in (*_COLOURS, *_NUMBERS) and _above(each) - _KEPT]
    return [f"the nodes of {name!r}" for name in names]


def _show(material: Material, name: str, target: bpy.types.Image) -> None:
    """Let a material emit one input of its shader, and let baking write it to a picture."""
    shader = _principled(material)
    material.use_nodes = True  # each material of an object needs the picture
    tree = material.node_tree
    emission, picture = tree.nodes.new("ShaderNodeEmission"), tree.nodes.new("ShaderNodeTexImage")
    picture.image = target
    tree.nodes.active = picture
    if shader is None:
        return
    socket = shader.inputs[name]
    if socket.links:
        tree.links.new(socket.links[0].from_socket, emission.inputs["Color"])
    else:
        value = socket.default_value
        emission.inputs["Color"].default_value = value if name in _COLOURS else (value, value, value, 1)
    tree.links.new(emission.outputs["Emission"], _output(material).inputs["Surface"])


def _bake(item: bpy.types.Object, name: str) -> bpy.types.Image:
    """Return a picture of one input of the shaders of all materials of an object."""
    image = bpy.data.images.new(name, _SIDE_PX, _SIDE_PX, alpha=name == "Base Color")
    image.colorspace_settings.name = "sRGB" if name in _COLOURS else "Non-Color"
    slots = [slot.material for slot in item.material_slots]
    for slot in item.material_slots:
        slot.material = slot.material.copy()
        _show(slot.material, name, image)
    bpy.ops.object.bake(type="EMIT", margin=_MARGIN_PX, uv_layer=_ATLAS, use_clear=True)
    for slot, material in zip(item.material_slots, slots, strict=True):
        bpy.data.materials.remove(slot.material)
        slot.material = material
    return image


def _add_alpha(colour: bpy.types.Image, alpha: bpy.types.Image) -> None:
    pixels, shares = (np.array(image.pixels[:], np.float32).reshape(-1, 4) for image in (colour, alpha))
    pixels[:, 3] = shares[:, 0]
    colour.pixels.foreach_set(pixels.ravel())


def _use(material: Material, name: str, images: dict[str, bpy.types.Image]) -> None:
    """Let an input of a material's shader come from its picture."""
    tree, shader = material.node_tree, _principled(material)
    place, picture = tree.nodes.new("ShaderNodeUVMap"), tree.nodes.new("ShaderNodeTexImage")
    place.uv_map = _ATLAS
    picture.image = images["Base Color" if name == "Alpha" else name]
    tree.links.new(place.outputs["UV"], picture.inputs["Vector"])
    tree.links.new(picture.outputs["Alpha" if name == "Alpha" else "Color"], shader.inputs[name])


def bake(item: bpy.types.Object, uv: NDArray[np.float32]) -> None:
    """Replace what a GLB cannot hold of an object's materials by pictures.

    uv: places (F, 3, 2) of the corners in them, which no two faces share.
    """
    wanted = [_baked_inputs(slot.material) for slot in item.material_slots]
    names = [name for name in (*_COLOURS, *_NUMBERS) if any(name in each for each in wanted)]
    if not names:
        return
    item.data.uv_layers.new(name=_ATLAS, do_init=False).uv.foreach_set("vector", uv.ravel())
    scene = bpy.context.scene
    scene.render.engine, scene.cycles.samples, scene.cycles.device = "CYCLES", _SAMPLES, "CPU"
    bpy.context.view_layer.objects.active = item
    item.select_set(True)
    images = {name: _bake(item, name) for name in names}
    if "Alpha" in images:
        _add_alpha(images["Base Color"], images["Alpha"])
    for slot, inputs in zip(item.material_slots, wanted, strict=True):
        for name in inputs:
            _use(slot.material, name, images)
    for image in images.values():
        image.pack()


def lost_lines(materials: Sequence[Material]) -> tuple[str, ...]:
    """Return a line about each material of which something is not carried over."""
    return tuple(f"{each.name}: not kept are {', '.join(lost_of(each))}" for each in materials if lost_of(each))
