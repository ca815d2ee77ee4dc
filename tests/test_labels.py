"""Silhouettes by projection against a slow reference, and what is derived from masks."""

import numpy as np
import pytest
import trimesh

from p3d_gen.geometry import cam_T_obj, project, transform
from p3d_gen.labels import mask_box, mask_iou, silhouette
from p3d_gen.types import Camera, Viewpoint

CAMERA = Camera(focal_px=150.0, principal_px=(24.0, 16.0), image_hw=(32, 48))


def reference(vertices, faces, pose, camera):
    """Every pixel against every triangle, by barycentric coordinates."""
    pixels = project(transform(pose, vertices), camera)
    mask = np.zeros(camera.image_hw, bool)
    for face in faces:
        a, b, c = pixels[face]
        basis = np.array([b - a, c - a]).T
        if abs(np.linalg.det(basis)) < 1e-12:
            continue
        for y, x in np.ndindex(*camera.image_hw):
            u, v = np.linalg.solve(basis, np.array([x + 0.5, y + 0.5]) - a)
            mask[y, x] |= u >= -1e-12 and v >= -1e-12 and u + v <= 1 + 1e-12
    return mask


@pytest.mark.parametrize("mesh", [trimesh.creation.box((0.5, 0.7, 0.3)), trimesh.creation.torus(0.3, 0.1, 12, 8)])
@pytest.mark.parametrize("distance", [2.0, 5.0])
def test_silhouette_equals_the_slow_reference(mesh, distance):
    rng = np.random.default_rng([0, 1])
    view = Viewpoint(
        azimuth_rad=rng.uniform(0, 6), elevation_rad=rng.uniform(-1, 1), theta_rad=rng.uniform(-1, 1), distance=distance
    )
    args = (np.asarray(mesh.vertices), np.asarray(mesh.faces), cam_T_obj(view), CAMERA)
    expected = reference(*args)
    assert expected.any()
    np.testing.assert_array_equal(silhouette(*args), expected)


def test_many_triangles_are_taken_in_parts(monkeypatch):
    mesh = trimesh.creation.icosphere(subdivisions=2, radius=0.4)
    view = Viewpoint(azimuth_rad=0.3, elevation_rad=0.2, theta_rad=0.0, distance=3.0)
    args = (np.asarray(mesh.vertices), np.asarray(mesh.faces), cam_T_obj(view), CAMERA)
    whole = silhouette(*args)
    monkeypatch.setattr("p3d_gen.labels._CANDIDATES_AT_ONCE", 50)
    np.testing.assert_array_equal(silhouette(*args), whole)


def test_a_triangle_seen_edge_on_covers_nothing():
    pose = cam_T_obj(Viewpoint(azimuth_rad=0.0, elevation_rad=0.0, theta_rad=0.0, distance=3.0))
    line = np.array([[-0.3, 0.0, -0.2], [0.0, 0.0, 0.0], [0.3, 0.0, 0.2]])
    assert not silhouette(line, np.array([[0, 1, 2]]), pose, CAMERA).any()


def test_behind_the_camera():
    pose = cam_T_obj(Viewpoint(azimuth_rad=0.0, elevation_rad=0.0, theta_rad=0.0, distance=0.2))
    box = trimesh.creation.box()
    with pytest.raises(ValueError, match="behind"):
        silhouette(np.asarray(box.vertices), np.asarray(box.faces), pose, CAMERA)


def test_iou_and_box():
    a, b = np.zeros((2, 8, 8), bool)
    a[2:4, 1:7] = b[2:4, 4:8] = True
    assert mask_iou(a, b) == pytest.approx(6 / 14)
    assert mask_iou(a, a) == 1.0
    assert mask_iou(a & b & ~a, np.zeros_like(a)) == 0.0
    assert mask_box(a) == (1.0, 2.0, 7.0, 4.0)
    with pytest.raises(ValueError, match="empty"):
        mask_box(np.zeros((4, 4), bool))
