"""Silhouettes and rays by projection against a slow reference, and what is derived from masks."""

from dataclasses import replace

import numpy as np
import pytest
import trimesh

from p3d_gen.core.geometry import cam_T_obj, project, transform
from p3d_gen.core.silhouette import amodal, in_frame, mask_box, mask_iou, ray_cast, silhouette, unobstructed
from p3d_gen.core.types import Camera, Viewpoint

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


def test_ray_cast_meets_what_rays_meet():
    """Against rays and planes, pixel by pixel: the nearest triangle's planar depth."""
    mesh = trimesh.creation.torus(0.3, 0.1, 12, 8)
    view = Viewpoint(azimuth_rad=0.7, elevation_rad=0.6, theta_rad=0.2, distance=3.0)
    pose = cam_T_obj(view)
    vertices, faces = np.asarray(mesh.vertices), np.asarray(mesh.faces)
    depth, face = ray_cast(vertices, faces, pose, CAMERA)
    np.testing.assert_array_equal(depth > 0, silhouette(vertices, faces, pose, CAMERA))
    np.testing.assert_array_equal(depth > 0, face >= 0)
    triangles = transform(pose, vertices)[faces]
    for row, column in np.argwhere(depth > 0)[::5]:
        ray = np.linalg.solve(CAMERA.K, [column + 0.5, row + 0.5, 1.0])
        hits = []
        for a, b, c in triangles:
            z, u, v = np.linalg.solve(np.array([ray, a - b, a - c]).T, a)
            if u >= -1e-9 and v >= -1e-9 and u + v <= 1 + 1e-9:
                hits.append(z)
        assert depth[row, column] == pytest.approx(min(hits), abs=1e-9)


def test_amodal_reaches_beyond_the_frame():
    box = trimesh.creation.box((0.5, 0.7, 0.3))
    pose = cam_T_obj(Viewpoint(azimuth_rad=0.5, elevation_rad=0.3, theta_rad=0.0, distance=3.0))
    args = np.asarray(box.vertices), np.asarray(box.faces), pose
    inside = amodal(*args, CAMERA)
    np.testing.assert_array_equal(inside.mask, silhouette(*args, CAMERA))
    assert inside.area == inside.mask.sum()
    np.testing.assert_allclose(inside.box, mask_box(inside.mask))
    for principal in ((2.0, 16.0), (46.0, 16.0), (24.0, 1.0), (24.0, 31.0)):
        moved = replace(CAMERA, principal_px=principal)
        cut = amodal(*args, moved)
        np.testing.assert_array_equal(cut.mask, silhouette(*args, moved))
        assert cut.mask.sum() < cut.area == inside.area
        shift = np.subtract(principal, CAMERA.principal_px)
        np.testing.assert_allclose(cut.box, np.add(inside.box, [*shift, *shift]))


def test_unobstructed():
    depth = np.zeros((4, 6), np.float32)
    depth[1, 2] = 2.0
    pixels = np.array([[2.5, 1.5], [2.5, 1.5], [2.5, 1.5], [0.5, 0.5], [-0.1, 1.0], [6.0, 1.0], [5.99, 3.99]])
    z = np.array([1.9, 2.05, 2.2, 9.0, 1.0, 1.0, 1.0])
    seen = unobstructed(pixels, z, depth, tolerance=0.1)
    assert seen.tolist() == [True, True, False, True, False, False, True]
    assert in_frame(pixels, (4, 6)).tolist() == [True, True, True, True, False, False, True]


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
