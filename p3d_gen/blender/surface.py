"""Blender materials for the sample's object: textured, plain, or one for each part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import bpy

from p3d_gen.core.types import Material
from p3d_gen.spec.part_names import kind_of_part


def _principled(spec: Material, texture: Path | None) -> bpy.types.Material:
    """Make a material of the principled surface; the picture `texture`, if given, replaces its base colour."""
    material = bpy.data.materials.new("object")
    material.use_nodes = True
    nodes, links = material.node_tree.nodes, material.node_tree.links
    shader = nodes["Principled BSDF"]
    shader.inputs["Base Color"].default_value = (*spec.base_rgb, 1.0)
    shader.inputs["Roughness"].default_value = spec.roughness
    shader.inputs["Metallic"].default_value = spec.metallic
    shader.inputs["Coat Weight"].default_value = spec.coat
    shader.inputs["Emission Color"].default_value = (*spec.base_rgb, 1.0)
    shader.inputs["Emission Strength"].default_value = spec.emission
    shader.inputs["Alpha"].default_value = spec.alpha
    if texture is not None:
        image = nodes.new("ShaderNodeTexImage")
        image.image = bpy.data.images.load(str(texture))
        links.new(image.outputs["Color"], shader.inputs["Base Color"])
    return material


def materials_of_parts(
    part_names: Sequence[str],
    specs: Sequence[Material],
    texture: Path | None = None,
    stated: Mapping[str, str] | None = None,
) -> list[bpy.types.Material]:
    """Make a material for every part: the one drawn for its kind, else that of part "".

    stated: the kinds of parts that do not follow from their names.
    """
    drawn = {spec.part: spec for spec in specs}
    kinds = ((stated or {}).get(name) or kind_of_part(name) for name in part_names)
    return [_principled(drawn.get(kind, drawn[""]), texture) for kind in kinds]
