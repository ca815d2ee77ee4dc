"""Content of a file for Blender: answers JSON lines {"operation": ..., "path": ...} on stdin until that closes.

materials: the result of `load_materials`. run: the content of a library, after all of it was appended and opened, and
evaluated, with permission for its scripts.
"""

import json
import os
import shutil
import sys
from pathlib import Path

answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # Blender is chatty

import bpy  # noqa: E402

from p3d_gen.blender.material_library import load_materials  # noqa: E402


def described(material):
    nodes = material.node_tree.nodes
    images = [node.image for node in nodes if node.bl_idname == "ShaderNodeTexImage"]
    return {
        "name": material.name,
        "base_colour": list(nodes["Principled BSDF"].inputs["Base Color"].default_value),
        "factors": [list(socket.default_value) for node in nodes for socket in node.inputs if socket.type == "RGBA"],
        "pictures_wh": [list(image.size) for image in images],
        "picture_paths": sorted({each.filepath for image in images for each in (image, *image.packed_files)}),
        "first_pixels": [list(image.pixels[:3]) for image in images],
    }


def materials(path):
    return [described(material) for material in load_materials(Path(path))]


def run(path):
    bpy.context.preferences.filepaths.use_scripts_auto_execute = True
    with bpy.data.libraries.load(path) as (theirs, ours):
        held = {kind: list(getattr(theirs, kind)) for kind in dir(theirs)}
        for kind in held:
            setattr(ours, kind, getattr(theirs, kind))
    mesh = bpy.data.meshes.new("user")
    for made in ours.materials:
        mesh.materials.append(made)
    for item in (bpy.data.objects.new("user", mesh), *ours.objects):
        bpy.context.scene.collection.objects.link(item)
    bpy.context.evaluated_depsgraph_get().update()
    bpy.ops.wm.open_mainfile(filepath=path, load_ui=False, use_scripts=True)
    bpy.context.evaluated_depsgraph_get().update()
    return {kind: names for kind, names in held.items() if names}


for line in sys.stdin:
    asked = json.loads(line)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    answer = {"materials": materials, "run": run}[asked["operation"]](asked["path"])
    answers.write(json.dumps(answer) + "\n")
    answers.flush()
shutil.rmtree(bpy.app.tempdir)
os._exit(0)
