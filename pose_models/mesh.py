"""Cuboid neural meshes as tensors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

import p3d_gen.core.cuboid
from p3d_gen.core.types import Array


@dataclass(frozen=True, kw_only=True)
class Mesh:
    """A triangle mesh in obj axes.

    vertices (V, 3) float; faces (F, 3) int64, counter-clockwise seen from outside; normals (V, 3), unit, outward.
    """

    vertices: Tensor
    faces: Tensor
    normals: Tensor


def cuboid(lower: Array, upper: Array, vertices: int = 1000) -> Mesh:
    """Return the neural mesh of a box, as tensors; see `p3d_gen.core.cuboid.cuboid`."""
    box = p3d_gen.core.cuboid.cuboid(lower, upper, vertices)
    return Mesh(
        vertices=torch.tensor(box.vertices, dtype=torch.float32),
        faces=torch.tensor(box.faces),
        normals=torch.tensor(box.normals, dtype=torch.float32),
    )


def outline(points: Array, directions: int = 256) -> Array:
    """Return the farthest of `points` (N, 3) in each of `directions` evenly spread directions: (directions, 3).

    Points may repeat. Their projections have nearly the same box as those of all points.
    """
    i = np.arange(directions) + 0.5
    polar, turn = np.arccos(1 - 2 * i / directions), np.pi * (1 + 5**0.5) * i
    spread = np.stack([np.cos(turn) * np.sin(polar), np.sin(turn) * np.sin(polar), np.cos(polar)], axis=1)
    return np.asarray(points[(spread @ points.T).argmax(axis=1)])


def visible(mesh: Mesh, camera_centres: Tensor) -> Tensor:
    """Return bools (..., V): the vertices of a convex mesh that camera centres (..., 3) in obj axes see.

    A vertex p with normal n is seen from C if n . (C - p) > 0.
    """
    offsets = (mesh.normals * mesh.vertices).sum(-1)
    return camera_centres @ mesh.normals.mT > offsets
