"""Meshes, cameras and poses for the tests of the rasteriser."""

import numpy as np
import torch
import trimesh

from pose_models import geometry as g
from pose_models.mesh import cuboid

HW = (14, 18)
K = torch.tensor([[60.0, 0, 9.2], [0, 57.0, 6.9], [0, 0, 1]], dtype=torch.float64)
HALF = (0.2, 0.45, 0.18)


def _tensors(mesh):
    return torch.tensor(np.array(mesh.vertices)), torch.tensor(np.array(mesh.faces))


def box(vertices=60):
    mesh = cuboid(-np.array(HALF), np.array(HALF), vertices)
    return mesh.vertices.double(), mesh.faces


def sphere(subdivisions=1):
    return _tensors(trimesh.creation.icosphere(subdivisions, 0.5))


def torus():
    return _tensors(trimesh.creation.torus(0.35, 0.15, major_sections=10, minor_sections=8))


def random_poses(count, distance, seed, aside=0.0):
    """Random rotations with the object at `distance` before the camera, `aside` to its right."""
    R = g.random_rotations(count, torch.Generator().manual_seed(seed))
    return g.pose(R, torch.tensor([aside, 0.0, distance], dtype=torch.float64).expand(count, 3))


def scene(shape, distance, seed, count=2, aside=0.0):
    """Points in cam axes, faces and cameras."""
    vertices, faces = shape()
    points = g.transform(random_poses(count, distance, seed, aside), vertices)
    return points, faces, K.expand(count, 3, 3)
