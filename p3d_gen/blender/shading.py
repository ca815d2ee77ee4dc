"""Normals that the author of a model gave it."""

from __future__ import annotations

import bpy
import numpy as np

from p3d_gen.run.cad_model import NORMALS

_SAME = 1e-4


def split_where_normals_differ(mesh: bpy.types.Mesh) -> None:
    """Mark the edges of a mesh of triangles whose faces have different normals there.

    Cycles has one normal for each vertex: Blender gives it several vertices in one place at marked edges only.
    """
    count = len(mesh.loops)
    normals = np.empty(3 * count, np.float32)
    mesh.attributes[NORMALS].data.foreach_get("vector", normals)
    corners, edges = np.empty(count, np.int32), np.empty(count, np.int32)
    mesh.loops.foreach_get("vertex_index", corners)
    mesh.loops.foreach_get("edge_index", edges)
    normals, following = normals.reshape(-1, 3), np.arange(count).reshape(-1, 3)[:, [1, 2, 0]].ravel()
    forward = (corners < corners[following])[:, None]
    ends = np.concatenate(
        [np.where(forward, normals, normals[following]), np.where(forward, normals[following], normals)], axis=1
    )
    order = np.argsort(edges, kind="stable")
    uses = np.bincount(edges, minlength=len(mesh.edges))
    sharp = uses > 2
    first = order[(np.cumsum(uses) - uses)[uses == 2]]
    second = order[(np.cumsum(uses) - 1)[uses == 2]]
    sharp[uses == 2] = (np.abs(ends[first] - ends[second]) > _SAME).any(axis=1)
    layer = mesh.attributes.get("sharp_edge") or mesh.attributes.new("sharp_edge", "BOOLEAN", "EDGE")
    layer.data.foreach_set("value", sharp)
