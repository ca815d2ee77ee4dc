"""Blender's part of `p3dgen assets`: the state of a CAD model's file, and a prepared model as GLB."""

from __future__ import annotations

import bpy
import numpy as np

from p3d_gen.blender.baking import bake, lost_lines
from p3d_gen.blender.cleaning import normalised
from p3d_gen.blender.material_library import load_materials
from p3d_gen.blender.meshes import make_mesh
from p3d_gen.blender.protocol import ExportAnswer, ExportRequest, SurveyAnswer, SurveyRequest
from p3d_gen.blender.readers import read, reset
from p3d_gen.blender.scene import SMOOTH_BELOW_RAD
from p3d_gen.blender.topology import same_way_edges
from p3d_gen.core.symmetry import Symmetry
from p3d_gen.run.cad_model import NORMALS, load_cad, materials_file


def survey(request: SurveyRequest) -> SurveyAnswer:
    """Look at a CAD model's file before it is cleaned. ValueError names its fault."""
    reset()
    try:
        source = read(request.source, Symmetry.NONE)
        surface = source.surface
        return SurveyAnswer(
            faces=len(surface.faces),
            vertices=len(surface.vertices),
            unused=len(surface.vertices) - len(np.unique(surface.faces)),
            same_way=same_way_edges(normalised(surface, np.eye(3)).faces),
            up=source.axes[0],
            front=source.axes[1],
            diagonal=float(np.linalg.norm(np.ptp(surface.vertices[np.unique(surface.faces)], axis=0))),
        )
    finally:
        reset()


def export(request: ExportRequest) -> ExportAnswer:
    """Write a prepared model with its own materials and texture coordinates to a GLB file.

    The file is y up, front z: object axes (x, y, z) become (x, z, -y). What it cannot hold of the materials is baked.
    """
    reset()
    try:
        model = load_cad(request.cad)
        attributes = dict(model.attributes)
        normals = attributes.pop(NORMALS, None)
        mesh = make_mesh(model.vertices, model.faces, model.native_uv if model.native_uv.any() else None, attributes)
        library = materials_file(request.cad)
        for material, name in zip(load_materials(library) if library.exists() else (), model.part_names, strict=False):
            material.name = name
            mesh.materials.append(material)
        mesh.polygons.foreach_set("material_index", model.face_part.astype(np.int32))
        if normals is None:
            mesh.set_sharp_from_angle(angle=SMOOTH_BELOW_RAD)
        else:
            mesh.normals_split_custom_set(normals.reshape(-1, 3))
        item = bpy.data.objects.new("object", mesh)
        bpy.context.scene.collection.objects.link(item)
        lost = lost_lines(mesh.materials)
        bake(item, model.uv)
        bpy.ops.export_scene.gltf(
            filepath=str(request.target),
            export_format="GLB",
            export_yup=True,
            export_animations=False,
        )
        return ExportAnswer(lost=lost)
    finally:
        reset()
