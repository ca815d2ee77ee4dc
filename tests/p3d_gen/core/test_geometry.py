"""The conventions against worked numbers, and their round trips."""

import numpy as np
import pytest

from p3d_gen.core import geometry as g
from p3d_gen.core.types import Camera, Viewpoint

CAMERA = Camera(focal_px=3000.0, principal_px=(336.0, 128.0), image_hw=(256, 672))
X = np.array([[0.1, -0.2, 0.15]])


def view(azimuth=0.0, elevation=0.0, theta=0.0, distance=5.0):
    return Viewpoint(
        azimuth_rad=np.radians(azimuth),
        elevation_rad=np.radians(elevation),
        theta_rad=np.radians(theta),
        distance=distance,
    )


WORKED = view(30, 20, 10)


def random_view(rng):
    return view(rng.uniform(0, 360), rng.uniform(-89, 89), rng.uniform(-180, 180), rng.uniform(2, 12))


def test_worked_case_in_all_frames():
    R_gl = [[0.882564, 0.440970, -0.163176], [-0.018028, 0.378522, 0.925417], [0.469846, -0.813798, 0.342020]]
    R_p3d = [[-0.882564, -0.018028, -0.469846], [0.163176, 0.925417, -0.342020], [0.440970, -0.378522, -0.813798]]
    pose = g.cam_T_obj(WORKED)
    np.testing.assert_allclose(g.camera_centre(WORKED), [2.349232, -4.068988, 1.710101], atol=1e-5)
    np.testing.assert_allclose(g.rotation_gl(WORKED), R_gl, atol=1e-5)
    np.testing.assert_allclose(pose[:3, :3], np.diag([1, -1, -1]) @ R_gl, atol=1e-5)
    np.testing.assert_allclose(g.project(g.transform(pose, X), CAMERA), [[320.544752, 89.190670]], atol=1e-5)
    R, T = g.pytorch3d_R_T(pose)
    np.testing.assert_allclose(R, R_p3d, atol=1e-5)
    x_p3d = np.array([X[0, 0], X[0, 2], -X[0, 1]]) @ R + T
    np.testing.assert_allclose(x_p3d, [0.024414, 0.061305, 4.738953], atol=1e-5)
    np.testing.assert_allclose(
        g.blender_matrix_world(pose)[:3],
        [
            [0.882564, -0.018028, 0.469846, 2.349232],
            [0.440970, 0.378522, -0.813798, -4.068988],
            [-0.163176, 0.925417, 0.342020, 1.710101],
        ],
        atol=1e-5,
    )


def test_pose_laws():
    rng = np.random.default_rng([0, 1])
    for _ in range(50):
        v = random_view(rng)
        pose = g.cam_T_obj(v)
        assert np.linalg.det(pose[:3, :3]) == pytest.approx(1.0)
        np.testing.assert_allclose(pose[:3, :3] @ g.camera_centre(v), [0, 0, -v.distance], atol=1e-9)
        np.testing.assert_allclose(g.project(g.transform(pose, np.zeros((1, 3))), CAMERA), [[336, 128]], atol=1e-9)
        np.testing.assert_allclose(g.cam_T_world_of_blender(g.blender_matrix_world(pose)), pose, atol=1e-9)
        np.testing.assert_allclose(g.cam_T_obj(g.viewpoint_of(pose)), pose, atol=1e-9)


@pytest.mark.parametrize("elevation", [90, -90])
def test_viewpoint_at_the_poles(elevation):
    pose = g.cam_T_obj(view(40, elevation, 25))
    back = g.viewpoint_of(pose)
    assert back.theta_rad == 0.0
    np.testing.assert_allclose(g.cam_T_obj(back), pose, atol=1e-6)


def rotations(*angles):
    return [g.cam_T_obj(view(*a))[:3, :3] for a in angles]


@pytest.mark.parametrize(
    ("first", "second", "degrees"),
    [
        ((0, 0, 0), (10, 0, 0), 10.0),
        ((0, 0, 0), (0, 10, 0), 10.0),
        ((0, 0, 0), (0, 0, 10), 10.0),
        ((0, 0, 0), (10, 10, 10), 16.786508),
        ((0, 0, 0), (180, 0, 0), 180.0),
        ((0, 90, 0), (90, 90, 0), 90.0),
    ],
)
def test_rotation_error(first, second, degrees):
    error = g.rotation_error_rad(*rotations(first, second))
    assert isinstance(error, float)
    assert np.degrees(error) == pytest.approx(degrees, abs=1e-5)


def test_random_rotations_are_uniform():
    rng = np.random.default_rng([0, 2])
    errors = np.array([g.rotation_error_rad(g.random_rotation(rng), np.eye(3)) for _ in range(60_000)])
    # Haar: P(angle < t) = (t - sin t) / pi
    for degrees, share in [(30, 0.0075117), (90, 0.5 - 1 / np.pi), (150, (np.radians(150) - 0.5) / np.pi)]:
        measured = np.mean(errors < np.radians(degrees))
        assert measured == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / len(errors)))


def test_hflip_is_the_mirrored_viewpoint():
    rng = np.random.default_rng([0, 3])
    camera = Camera(focal_px=3000.0, principal_px=(100.0, 80.0), image_hw=(256, 672))
    for _ in range(20):
        v = random_view(rng)
        pose, flipped = g.hflip(g.cam_T_obj(v), camera)
        mirrored = Viewpoint(
            azimuth_rad=-v.azimuth_rad, elevation_rad=v.elevation_rad, theta_rad=-v.theta_rad, distance=v.distance
        )
        np.testing.assert_allclose(pose, g.cam_T_obj(mirrored), atol=1e-9)
        here = g.project(g.transform(g.cam_T_obj(v), X), camera)[0]
        there = g.project(g.transform(pose, X * [-1, 1, 1]), flipped)[0]
        np.testing.assert_allclose(there, [672 - here[0], here[1]], atol=1e-9)


def test_distance_crop():
    wide = g.distance_crop((375, 500), (260, 200), 7.5, 5, (256, 672))
    assert (wide.resized_hw, wide.top, wide.left) == ((562, 750), 172, 54)
    square = g.distance_crop((375, 500), (260, 200), 7.5, 5, (608, 608))
    assert (square.top, square.top + 608 - square.resized_hw[0], square.left) == (-4, 42, 86)
    with pytest.raises(ValueError, match="positive"):
        g.distance_crop((375, 500), (260, 200), 0.0, 5, (256, 672))


def test_pixel_scale_is_focal_over_distance():
    pose = g.cam_T_obj(view(distance=6.0))
    ends = g.project(g.transform(pose, np.array([[-0.5, 0, 0], [0.5, 0, 0]])), CAMERA)
    assert ends[1, 0] - ends[0, 0] == pytest.approx(3000 / 6)


def test_points_behind_the_camera_are_nan():
    assert np.isnan(g.project(np.array([[0.0, 0.0, -1.0], [0.0, 0.0, 0.0]]), CAMERA)).all()


@pytest.mark.parametrize(
    ("focal_px", "image_hw", "lens_mm"), [(3000, (480, 640), 150.0), (3000, (352, 520), 184.615385)]
)
def test_blender_lens(focal_px, image_hw, lens_mm):
    assert g.blender_lens_mm(focal_px, image_hw) == pytest.approx(lens_mm)
    assert g.focal_px_of_blender(lens_mm, image_hw) == pytest.approx(focal_px)


def test_box_corners():
    corners = g.box_corners(np.array([2.0, 4.0, 6.0]))
    np.testing.assert_array_equal(corners[0], [-1, -2, -3])
    np.testing.assert_array_equal(corners[0b101], [1, -2, 3])


def test_released_yaw_maps_to_pascal_azimuth():
    """The released renderer turns the object by a yaw before a camera at +x: azimuth is 90 degrees - yaw."""
    yaw, elevation, distance = np.radians(40), np.radians(7), 6.0
    viewpoint = view(90 - 40, 7, 0, 6)
    camera = Camera(focal_px=3000.0, principal_px=(260.0, 176.0), image_hw=(352, 520))
    pixel = g.project(g.transform(g.cam_T_obj(viewpoint), X), camera)
    np.testing.assert_allclose(pixel, [[213.827, 111.682]], atol=1e-3)
    fixed_camera = view(90, 7, 0, 6)
    turned = X @ g.rot_z(yaw).T
    np.testing.assert_allclose(g.project(g.transform(g.cam_T_obj(fixed_camera), turned), camera), pixel, atol=1e-9)
    assert g.camera_centre(fixed_camera)[0] == pytest.approx(distance * np.cos(elevation))
