"""What `p3dgen assets` asks of Blender: the state of a CAD model's file, and a prepared model as GLB."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
import numpy as np

from p3d_gen.blender.cad import load_materials, make_mesh
from p3d_gen.blender.cleaning import normalised
from p3d_gen.blender.readers import read, reset
from p3d_gen.blender.topology import same_way_edges
from p3d_gen.run.cad_model import load_cad, materials_file


def survey(source: str, category: str) -> dict[str, Any]:
    """What preparation will find in the file at the address `source`.

    faces, vertices: as they are in the file. unused: vertices of no face. same_way: edges of the cleaned surface that
    both of their faces run through the same way, the mark of inconsistent winding. ValueError names what is wrong.
    """
    reset()
    try:
        surface = read(source, category).surface
        return {
            "faces": len(surface.faces),
            "vertices": len(surface.vertices),
            "unused": len(surface.vertices) - len(np.unique(surface.faces)),
            "same_way": same_way_edges(normalised(surface, np.eye(3)).faces),
        }
    finally:
        reset()


def export(cad: str, target: str) -> dict[str, Any]:
    """Write the prepared model `cad` with its own materials and texture coordinates to the GLB file `target`.

    The format is y up, front z: object axes (x, y, z) become (x, z, -y).
    """
    reset()
    try:
        model = load_cad(Path(cad))
        mesh = make_mesh(model.vertices, model.faces, model.native_uv if model.native_uv.any() else None)
        library = materials_file(Path(cad))
        for material, name in zip(load_materials(library) if library.exists() else (), model.part_names, strict=False):
            material.name = name
            mesh.materials.append(material)
        mesh.polygons.foreach_set("material_index", model.face_part.astype(np.int32))
        bpy.context.scene.collection.objects.link(bpy.data.objects.new("object", mesh))
        bpy.ops.export_scene.gltf(
            filepath=target,
            export_format="GLB",
            export_yup=True,
            export_normals=False,
            export_animations=False,
        )
        return {"faces": len(model.faces)}
    finally:
        reset()
