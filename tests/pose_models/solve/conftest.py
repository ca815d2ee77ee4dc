"""Fixtures: the solver's scene, a car cuboid in random views with perfect features."""

import pytest
import torch

from pose_models import geometry as g
from pose_models.bench.solve import random_poses, rendered, smooth_mesh
from pose_models.solve import known_camera
from tests.helpers.solve_scene import HW, IMAGES


@pytest.fixture(scope="module")
def mesh():
    return smooth_mesh(400, 32, torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def poses():
    return random_poses(IMAGES, torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def K():
    """Each image with its own camera."""
    out = torch.tensor([[1000.0, 0, 120], [0, 1000, 72], [0, 0, 1]]).repeat(IMAGES, 1, 1)
    out[:, 0, 2] += torch.linspace(-8, 8, IMAGES)
    return out


@pytest.fixture(scope="module")
def images(mesh, poses, K):
    """Perfect features and the clutter's."""
    return rendered(mesh, poses, K, HW, 0.0, torch.Generator().manual_seed(2))


@pytest.fixture(scope="module")
def boxes(mesh, poses, K):
    pixels = g.project(g.transform(poses, mesh.outlines[0]), K)
    return torch.cat([pixels.amin(1), pixels.amax(1)], dim=1)


@pytest.fixture(scope="module")
def camera(poses, K):
    return known_camera(poses[:, :3, 3], K)
