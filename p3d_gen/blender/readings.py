"""What the nodes of a material read of its object: texture coordinates, colours, places, properties.

The objects of a file become one mesh of another size. So that materials look the same on it, each thing that they read
is kept as an attribute of that mesh, and the nodes are made to read that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import bpy

UV, COLOUR, ATTRIBUTE, PROPERTY, OBJECT, GENERATED = "uv", "colour", "attribute", "property", "object", "generated"
_PROCEDURAL = frozenset(
    f"ShaderNodeTex{name}"
    for name in ("Brick", "Checker", "Gabor", "Gradient", "Magic", "Noise", "Sky", "Voronoi", "Wave")
)
# output of a node -> the kind of the reading, and the output of an attribute node that gives the same
_OUTPUTS = {
    "ShaderNodeTexCoord": {"Generated": (GENERATED, "Vector"), "Object": (OBJECT, "Vector")},
    "ShaderNodeNewGeometry": {"Position": ("position", "Vector")},
    "ShaderNodeObjectInfo": {
        "Location": ("location", "Vector"),
        "Color": ("object colour", "Color"),
        "Alpha": ("object alpha", "Fac"),
        "Object Index": ("object index", "Fac"),
        "Material Index": ("material index", "Fac"),
        "Random": ("random", "Fac"),
    },
}
_NOT_KEPT = {
    "ShaderNodeParticleInfo": "particles",
    "ShaderNodeHairInfo": "curves",
    "ShaderNodePointInfo": "points",
    "ShaderNodeVolumeInfo": "the grids of a volume",
    "ShaderNodeCameraData": "the distance to the camera",
    "ShaderNodeScript": "a script",
}
# lengths in Blender's units, which change with the size of the model; densities change the other way
_LENGTHS = {
    "ShaderNodeBump": ("Distance",),
    "ShaderNodeBsdfPrincipled": ("Subsurface Scale",),
    "ShaderNodeSubsurfaceScattering": ("Scale",),
    "ShaderNodeAmbientOcclusion": ("Distance",),
    "ShaderNodeBevel": ("Radius",),
}
_DENSITIES = ("ShaderNodeVolumeAbsorption", "ShaderNodeVolumeScatter", "ShaderNodeVolumePrincipled")


@dataclass(frozen=True)
class Reading:
    """One thing that a material reads. name: of a layer, attribute, property or other object; "" for the default."""

    kind: str
    name: str = ""


@dataclass(frozen=True, kw_only=True)
class _Site:
    """A node that reads. output: the output of it that does, "" for all. source: the attribute node's output."""

    node: bpy.types.Node
    reading: Reading
    output: str = ""
    source: str = "Vector"


def trees(tree: bpy.types.NodeTree | None) -> Iterator[bpy.types.NodeTree]:
    """Yield a node tree and those of all its groups."""
    if tree is not None:
        yield tree
        for node in tree.nodes:
            if node.bl_idname == "ShaderNodeGroup":
                yield from trees(node.node_tree)


def nodes_of(material: bpy.types.Material) -> list[bpy.types.Node]:
    """Return the nodes of a material and of all its groups."""
    return [node for tree in trees(material.node_tree) for node in tree.nodes]


def _is_linked(node: bpy.types.Node) -> bool:
    return any(output.is_linked for output in node.outputs)


def _sites(material: bpy.types.Material) -> Iterator[_Site]:
    for node in nodes_of(material):
        kind = node.bl_idname
        if not _is_linked(node):
            continue
        for name, (reading, source) in _OUTPUTS.get(kind, {}).items():
            if node.outputs[name].is_linked and not getattr(node, "from_instancer", False):
                other = node.object.name if kind == "ShaderNodeTexCoord" and name == "Object" and node.object else ""
                yield _Site(node=node, reading=Reading(reading, other), output=name, source=source)
        if kind == "ShaderNodeAttribute" and node.attribute_name and node.attribute_type != "VIEW_LAYER":
            is_own = node.attribute_type == "GEOMETRY"
            yield _Site(node=node, reading=Reading(ATTRIBUTE if is_own else PROPERTY, node.attribute_name))
        elif kind == "ShaderNodeVertexColor":
            yield _Site(node=node, reading=Reading(COLOUR, node.layer_name))
        elif kind in _PROCEDURAL and node.inputs["Vector"].enabled and not node.inputs["Vector"].is_linked:
            yield _Site(node=node, reading=Reading(GENERATED))
        elif hasattr(node, "uv_map") and _reads_uv(node):
            yield _Site(node=node, reading=Reading(UV, node.uv_map))
        elif (kind == "ShaderNodeTexCoord" and node.outputs["UV"].is_linked) or (
            kind == "ShaderNodeTexImage" and not node.inputs["Vector"].is_linked
        ):
            yield _Site(node=node, reading=Reading(UV))


def _reads_uv(node: bpy.types.Node) -> bool:
    """Return False for a node that has the name of texture coordinates and does not read them as it is set."""
    if node.bl_idname == "ShaderNodeNormalMap":
        return bool(node.space == "TANGENT")
    if node.bl_idname == "ShaderNodeTangent":
        return bool(node.direction_type == "UV_MAP")
    return not getattr(node, "from_instancer", False)


def readings_of(material: bpy.types.Material) -> tuple[Reading, ...]:
    """Return what a material reads, each thing once, in the order of its nodes."""
    return tuple(dict.fromkeys(site.reading for site in _sites(material)))


def not_kept(material: bpy.types.Material) -> list[str]:
    """Return texts about what a material reads or does that its prepared form does not."""
    faults = []
    for node in nodes_of(material):
        kind = node.bl_idname
        if kind == "ShaderNodeOutputMaterial":
            if node.inputs["Displacement"].is_linked and material.displacement_method != "BUMP":
                faults.append("moves the surface by a displacement")
        elif not _is_linked(node):
            continue
        elif kind in _NOT_KEPT:
            faults.append(f"reads {_NOT_KEPT[kind]}")
        elif getattr(node, "from_instancer", False):
            faults.append("reads the coordinates of an instancer")
        elif kind == "ShaderNodeAttribute" and node.attribute_type == "VIEW_LAYER":
            faults.append("reads a property of the view layer")
        elif kind == "ShaderNodeTangent" and node.direction_type == "RADIAL":
            faults.append("reads radial tangents")
    return [f"the material {material.name!r} {fault}, which is not kept" for fault in dict.fromkeys(faults)]


def _own_groups(tree: bpy.types.NodeTree) -> None:
    """Give a tree copies of its groups: another material may read other things by the same group."""
    for node in tree.nodes:
        if node.bl_idname == "ShaderNodeGroup" and node.node_tree is not None:
            node.node_tree = node.node_tree.copy()
            _own_groups(node.node_tree)


def _attribute_node(tree: bpy.types.NodeTree, name: str) -> bpy.types.Node:
    node = tree.nodes.new("ShaderNodeAttribute")
    node.attribute_type, node.attribute_name = "GEOMETRY", name
    return node


def _rewrite_site(site: _Site, name: str) -> None:
    node, tree = site.node, site.node.id_data
    if site.output:
        source = _attribute_node(tree, name).outputs[site.source]
        for link in list(node.outputs[site.output].links):
            tree.links.new(source, link.to_socket)
    elif node.bl_idname == "ShaderNodeAttribute":
        node.attribute_type, node.attribute_name = "GEOMETRY", name
    elif node.bl_idname == "ShaderNodeVertexColor":
        node.layer_name = name
    elif node.bl_idname in _PROCEDURAL:
        tree.links.new(_attribute_node(tree, name).outputs["Vector"], node.inputs["Vector"])


def rewrite(material: bpy.types.Material, names: Mapping[Reading, str]) -> None:
    """Let a material read the attributes of the prepared mesh. names: of the attributes that are kept.

    What is not kept reads zeros; texture coordinates that are not kept are those of the prepared mesh.
    """
    if material.node_tree is None:
        return
    sites = list(_sites(material))
    if any(site.reading.kind != UV for site in sites) or any(site.reading in names for site in sites):
        _own_groups(material.node_tree)
        sites = list(_sites(material))
    for site in sites:
        _rewrite_site(site, names.get(site.reading, ""))
    for node in nodes_of(material):
        if hasattr(node, "uv_map"):
            node.uv_map = names.get(Reading(UV, node.uv_map), "") if node.uv_map else ""


def _scale_input(node: bpy.types.Node, name: str, factor: float) -> None:
    socket = node.inputs[name]
    if not socket.is_linked:
        socket.default_value *= factor
        return
    tree = node.id_data
    scale = tree.nodes.new("ShaderNodeMath")
    scale.operation = "MULTIPLY"
    scale.inputs[1].default_value = factor
    tree.links.new(socket.links[0].from_socket, scale.inputs[0])
    tree.links.new(scale.outputs["Value"], socket)


def rescale(material: bpy.types.Material, factor: float) -> None:
    """Multiply the lengths of a material, such as the depth of bumps; densities of volumes are divided."""
    for node in nodes_of(material):
        for name in _LENGTHS.get(node.bl_idname, ()):
            _scale_input(node, name, factor)
        if node.bl_idname in _DENSITIES:
            _scale_input(node, "Density", 1.0 / factor)


def _may_differ(node: bpy.types.Node, name: str, opaque: float) -> bool:
    socket = node.inputs.get(name)
    return socket is not None and (socket.is_linked or socket.default_value != opaque)


def is_see_through(material: bpy.types.Material) -> bool:
    """Return True if light may pass a surface of this material, so that what is behind it is seen."""
    for node in nodes_of(material):
        kind = node.bl_idname
        if kind in ("ShaderNodeBsdfTransparent", "ShaderNodeBsdfGlass", "ShaderNodeBsdfRefraction"):
            return True
        if kind == "ShaderNodeBsdfPrincipled" and (
            _may_differ(node, "Alpha", 1.0) or _may_differ(node, "Transmission Weight", 0.0)
        ):
            return True
    return False
