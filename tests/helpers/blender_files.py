"""Makes the files that only Blender can write: `python tests/blender_files.py FOLDER`, with FOLDER/wedge.npz given.

FOLDER/model.blend, model.usd, .usda, .usdc, .usdz, yup.usda, yup.fbx, zup.fbx and zup.dae hold the wedge; scene.blend
holds instances, modifiers and much that is no mesh; evil.blend appends a word to FOLDER/marker wherever a part of it
runs.
"""

import os
import shutil
import sys
from pathlib import Path

import bpy
import numpy as np

TETRAHEDRON = ([(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)], [], [(0, 2, 1), (0, 1, 3), (1, 2, 3), (2, 0, 3)])


def add(name, data):
    item = bpy.data.objects.new(name, data)
    bpy.context.scene.collection.objects.link(item)
    return item


def mesh_of(name, vertices, edges, faces):
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata(vertices, edges, faces)
    return mesh


def material(name, colour):
    made = bpy.data.materials.new(name)
    made.use_nodes = True
    made.node_tree.nodes["Principled BSDF"].inputs["Base Color"].default_value = (*colour, 1)
    return made


def save(path):
    bpy.ops.wm.save_as_mainfile(filepath=str(path))


def write_wedge(folder):
    """The wedge as an object that is moved and scaled, so that its world matrix matters."""
    arrays = np.load(folder / "wedge.npz")
    mesh = mesh_of("wedge", (arrays["vertices"] / 2 - 1).tolist(), [], arrays["faces"].tolist())
    mesh.materials.append(material("paint", (1, 0, 0)))
    item = add("wedge", mesh)
    item.location, item.scale = (2, 2, 2), (2, 2, 2)
    save(folder / "model.blend")
    for suffix in ("usd", "usda", "usdc", "usdz"):
        bpy.ops.wm.usd_export(filepath=str(folder / f"model.{suffix}"))
    bpy.ops.wm.usd_export(
        filepath=str(folder / "yup.usda"),
        convert_orientation=True,
        export_global_forward_selection="NEGATIVE_Z",
        export_global_up_selection="Y",
        convert_scene_units="CENTIMETERS",
    )
    bpy.ops.export_scene.fbx(filepath=str(folder / "yup.fbx"), axis_up="Y", axis_forward="-Z")
    bpy.ops.export_scene.fbx(filepath=str(folder / "zup.fbx"), axis_up="Z", axis_forward="Y")
    bpy.ops.wm.collada_export(filepath=str(folder / "zup.dae"))


def write_scene(folder):
    """Four tetrahedra from x = 0 to 6: two by a modifier, and one instance, mirrored; the rest does not render."""
    mesh = mesh_of("tetrahedron", *TETRAHEDRON)
    mesh.materials.append(material("blue", (0, 0, 1)))
    array = add("array", mesh).modifiers.new("array", "ARRAY")
    array.use_relative_offset, array.use_constant_offset, array.constant_offset_displace = False, True, (2, 0, 0)
    group = bpy.data.collections.new("group")
    group.objects.link(bpy.data.objects.new("inner", mesh_of("bare", *TETRAHEDRON)))
    instance = add("instance", None)
    instance.instance_type, instance.instance_collection = "COLLECTION", group
    instance.location, instance.scale = (6, 0, 0), (-1, 1, 1)
    add("cutter", mesh).hide_render = True
    bpy.data.objects["cutter"].location = (50, 0, 0)
    shown = add("hidden in the viewport only", mesh)
    shown.location, shown.hide_viewport = (0, 3, 0), True
    add("camera", bpy.data.cameras.new("camera")).location = (0, 90, 0)
    add("lamp", bpy.data.lights.new("lamp", "POINT")).location = (0, 0, 90)
    save(folder / "scene.blend")


def write_evil(folder):
    """A text that Blender runs when it loads the file, handlers, and drivers of an object and of a material."""
    speak = f"open({str(folder / 'marker')!r}, 'a').write"
    text = bpy.data.texts.new("evil.py")
    text.use_module = True
    text.write(
        f"import bpy\n{speak}('module ')\n"
        f"def register(): {speak}('register ')\n"
        f"def handler(*_): {speak}('handler ')\n"
        "bpy.app.handlers.depsgraph_update_post.append(handler)\nbpy.app.handlers.load_post.append(handler)\n"
        "if __name__ == '__main__': register()\n"
    )
    mesh = mesh_of("evil", *TETRAHEDRON)
    mesh.materials.append(material("evil", (0, 1, 0)))
    shader = mesh.materials[0].node_tree.nodes["Principled BSDF"]
    script = mesh.materials[0].node_tree.nodes.new("ShaderNodeScript")
    script.script = text
    coordinates = mesh.materials[0].node_tree.nodes.new("ShaderNodeTexCoord")
    coordinates.object = add("evil", mesh)
    mesh.materials[0]["note"] = coordinates.object
    for curve in (coordinates.object.driver_add("location", 0), shader.inputs["Roughness"].driver_add("default_value")):
        curve.driver.type, curve.driver.expression = "SCRIPTED", f"{speak}('driver ') or 1.0"
    save(folder / "evil.blend")


def main(folder):
    for write in (write_wedge, write_scene, write_evil):
        bpy.ops.wm.read_factory_settings(use_empty=True)
        write(folder)
    (folder / "marker").unlink(missing_ok=True)
    shutil.rmtree(bpy.app.tempdir)
    os._exit(0)  # Blender hangs when it frees compiled drivers at its end


if __name__ == "__main__":
    main(Path(sys.argv[1]))
