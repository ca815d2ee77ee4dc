"""The torch twin against p3d_gen.core.geometry, and the invariants of rotation errors again."""

import numpy as np
import pytest
import torch

from p3d_gen.core import geometry as reference
from p3d_gen.core.types import Camera, Viewpoint
from pose_models import geometry as g


def random_views(count, seed):
    rng = np.random.default_rng([seed, 1])
    low, high = np.radians([0, -89, -179]), np.radians([360, 89, 179])
    return torch.from_numpy(rng.uniform(low, high, (count, 3)))


def as_viewpoint(row, distance=5.0):
    a, e, t = row.tolist()
    return Viewpoint(azimuth_rad=a, elevation_rad=e, theta_rad=t, distance=distance)


def test_rotations_equal_the_reference_and_come_back():
    views = random_views(50, 0)
    R = g.rotation_cam_obj(views)
    for row, matrix in zip(views, R, strict=True):
        np.testing.assert_allclose(matrix, reference.cam_T_obj(as_viewpoint(row))[:3, :3], atol=1e-12)
    torch.testing.assert_close(g.viewpoint_of(R), views, atol=1e-9, rtol=0)


def test_worked_case():
    view = torch.tensor([[30.0, 20.0, 10.0]], dtype=torch.float64).deg2rad()
    pose = g.pose(g.rotation_cam_obj(view), torch.tensor([[0.0, 0.0, 5.0]], dtype=torch.float64))
    K = torch.from_numpy(Camera(focal_px=3000.0, principal_px=(336.0, 128.0), image_hw=(256, 672)).K)
    point = torch.tensor([[[0.1, -0.2, 0.15]]], dtype=torch.float64)
    pixel = g.project(g.transform(pose, point), K)
    np.testing.assert_allclose(pixel[0], [[320.544752, 89.190670]], atol=1e-5)
    np.testing.assert_allclose(g.camera_centre(pose)[0], [2.349232, -4.068988, 1.710101], atol=1e-5)


def test_projection_equals_the_reference_and_is_nan_behind():
    rng = np.random.default_rng([0, 2])
    camera = Camera(focal_px=700.0, principal_px=(90.0, 60.0), image_hw=(120, 180))
    for row in random_views(10, 3):
        pose = reference.cam_T_obj(as_viewpoint(row, 0.8))
        points = rng.normal(size=(40, 3))
        expected = reference.project(reference.transform(pose, points), camera)
        found = g.project(g.transform(torch.from_numpy(pose), torch.from_numpy(points)), torch.from_numpy(camera.K))
        assert np.isnan(expected).any()
        np.testing.assert_allclose(found, expected, atol=1e-8)


def test_rotation_error_equals_the_reference_and_is_pi_at_a_half_turn():
    R = g.random_rotations(40, torch.Generator().manual_seed(0))
    errors = g.rotation_error_rad(R[:20], R[20:])
    for a, b, error in zip(R[:20], R[20:], errors, strict=True):
        assert error.item() == pytest.approx(reference.rotation_error_rad(a.numpy(), b.numpy()), abs=1e-7)
    views = torch.tensor([[0.0, 0, 0], [180, 0, 0], [10, 10, 10]], dtype=torch.float64).deg2rad()
    here, there, near = g.rotation_cam_obj(views)
    assert g.rotation_error_rad(here, there).item() == pytest.approx(np.pi, abs=1e-7)
    assert np.degrees(g.rotation_error_rad(here, near).item()) == pytest.approx(16.786508, abs=1e-5)


def test_random_rotations_are_rotations_and_keyed_by_the_generator():
    R = g.random_rotations(200, torch.Generator().manual_seed(5))
    torch.testing.assert_close(R @ R.mT, torch.eye(3, dtype=torch.float64).expand(200, 3, 3))
    torch.testing.assert_close(torch.linalg.det(R), torch.ones(200, dtype=torch.float64))
    assert torch.equal(R, g.random_rotations(200, torch.Generator().manual_seed(5)))


def test_released_grid_has_144_poses():
    grid = g.viewpoint_grid(12, (-30, 0, 30, 60), (-30, 0, 30))
    assert grid.shape == (144, 3)
    assert len(torch.unique(grid, dim=0)) == 144
    assert grid[:, 0].max().item() == pytest.approx(np.radians(330))
