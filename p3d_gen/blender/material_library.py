"""The materials of a prepared model, in a Blender library of their own that needs no other file."""

from __future__ import annotations

import tempfile
from pathlib import Path

import bpy

from p3d_gen.blender.readings import trees
from p3d_gen.run.files import write_bytes

_WHITE = (1.0, 1.0, 1.0, 1.0)
_LONGEST_PATH = "/" * 1023


def _tame(material: bpy.types.Material) -> None:
    """Remove all that could run or keep the rest of the file alive: drivers, scripts, pointers to objects."""
    for data in (material, *trees(material.node_tree)):
        data.animation_data_clear()
        for key in list(data.keys()):
            del data[key]
    for node in [node for tree in trees(material.node_tree) for node in tree.nodes]:
        if node.bl_idname == "ShaderNodeScript":
            node.id_data.nodes.remove(node)
            continue
        for name in (prop.identifier for prop in node.bl_rna.properties if prop.type == "POINTER"):
            if isinstance(getattr(node, name), bpy.types.Object | bpy.types.Text):
                setattr(node, name, None)


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
    for tree in trees(material.node_tree):
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


def save_materials(materials: list[bpy.types.Material], target: Path) -> list[str]:
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
