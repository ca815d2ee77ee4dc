"""The object takes the share of the frame that was drawn, and stays in it, however near the camera and off its axis."""

from dataclasses import replace

import numpy as np
import pytest

from blender_assets.shapes import build
from p3d_gen.core.geometry import cam_T_obj, project, rotation_error_rad, transform, viewpoint_of
from p3d_gen.render.arrange import arrange
from p3d_gen.render.framing import framed
from p3d_gen.spec.manifest import Manifest
from p3d_gen.spec.sampling import spec
from tests.helpers.assets import INVENTORY

MESH = build("car", 2)
HW = (240, 320)


def samples(count=25, **camera):
    so3 = {"distribution": "so3"}
    made = Manifest(categories=("car",), samples_per_category=count, viewpoint=so3, camera={"image_hw": HW, **camera})
    return [spec(made, INVENTORY, "car", index) for index in range(count)]


def shares(place, vertices=MESH.vertices):
    """The shares of the ways from the principal point to the left, upper, right and lower edge that the box takes."""
    camera = place.sample.camera
    pixels = project(transform(place.cam_T_obj, vertices), camera)
    (x, y), (height, width) = camera.principal_px, camera.image_hw
    left, up = ((x, y) - pixels.min(axis=0)) / (x, y)
    right, down = (pixels.max(axis=0) - (x, y)) / (width - x, height - y)
    return np.array([left, up, right, down])


@pytest.mark.parametrize(
    "camera",
    [
        {"fill": [0.4, 0.95], "fov_deg": [20, 70]},
        {"fill": [0.4, 0.95], "distance": [0.6, 4]},
        {"fill": [0.4, 0.95], "focal_px": 300},
        {"fill": [0.4, 0.95], "K": [[300, 0, 100], [0, 300, 150], [0, 0, 1]]},
        {"fill": [1, 1], "fov_deg": [120, 120]},
    ],
)
def test_the_box_takes_the_share_that_was_drawn(camera):
    for sample in samples(**camera):
        place = framed(sample, MESH.vertices)
        assert shares(place).max() == pytest.approx(sample.framing.fill, abs=1e-4)
        assert np.linalg.norm(place.cam_T_obj[:3, 3]) == pytest.approx(place.sample.viewpoint.distance)
        assert transform(place.cam_T_obj, MESH.vertices)[:, 2].min() > 0


def test_off_centre_objects_stay_in_the_frame_and_keep_camera_centre_and_principal_point():
    middles = []
    for sample in samples(fill=[0.3, 0.8], fov_deg=[30, 70], offset=1.0):
        place = framed(sample, MESH.vertices)
        centred = framed(replace(sample, framing=replace(sample.framing, offset=(0.0, 0.0))), MESH.vertices)
        assert shares(place).max() <= 1 + 1e-6
        assert place.sample.camera.principal_px == (160, 120)
        view, pose = place.sample.viewpoint, place.cam_T_obj
        centre = -pose[:3, :3].T @ pose[:3, 3]
        np.testing.assert_allclose(centre, -centred.cam_T_obj[:3, :3].T @ centred.cam_T_obj[:3, 3], atol=1e-9)
        np.testing.assert_allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=1e-9)
        # the angle between both poses is that between the optical axis and the ray through the object
        ray = pose[:3, 3] / np.linalg.norm(pose[:3, 3])
        turned = rotation_error_rad(pose[:3, :3], cam_T_obj(view)[:3, :3])
        assert turned == pytest.approx(np.arccos(ray[2]), abs=1e-6)
        assert viewpoint_of(pose).distance == pytest.approx(view.distance)
        middles.append(project(pose[None, :3, 3], place.sample.camera)[0])
    spread = np.ptp(middles, axis=0)
    assert (spread > (100, 75)).all()


def test_an_object_that_leaves_the_frame_is_refused_unless_truncation_was_asked_for():
    near = {"focal_px": 600, "distance": [1.2, 1.2]}
    for sample in samples(count=8, **near):
        with pytest.raises(ValueError, match=r"leaves the frame by \d+ pixels: give camera\.fill"):
            arrange(sample, MESH.vertices, MESH.faces, None)
    cut = Manifest(
        categories=("car",),
        samples_per_category=1,
        camera={"image_hw": HW, **near},
        occlusion={"truncation": [0.2, 0.3]},
    )
    assert arrange(spec(cut, INVENTORY, "car", 0), MESH.vertices, MESH.faces, None).camera.focal_px == 600


def test_the_default_camera_fits_what_is_stretched():
    """Only those that would leave get a shorter focal length; a run that version 0.1.0 began goes on without."""
    so3 = {"distribution": "so3"}
    made = Manifest(
        categories=("car",), samples_per_category=60, viewpoint=so3, cad={"stretch": 0.4}, camera={"image_hw": HW}
    )
    fitted = 0
    for index in range(60):
        sample = spec(made, INVENTORY, "car", index)
        vertices = MESH.vertices * sample.stretch_xyz
        place, before = framed(sample, vertices), framed(sample, vertices, may_leave=True)
        assert before.sample.camera.focal_px == made.camera.focal_px
        assert shares(place, vertices).max() == pytest.approx(min(1, shares(before, vertices).max()), abs=1e-6)
        if shares(before, vertices).max() > 1:
            fitted += 1
            assert place.sample.camera.focal_px < made.camera.focal_px
            former = arrange(sample, vertices, MESH.faces, None, may_leave=True)
            assert former.camera.focal_px == made.camera.focal_px
        else:
            assert place.sample == before.sample
        assert arrange(sample, vertices, MESH.faces, None).camera == place.sample.camera
    assert 0 < fitted < 30


def test_a_camera_in_the_object_is_refused():
    sample = samples(count=1, focal_px=300, distance=[0.51, 0.51])[0]
    with pytest.raises(ValueError, match=r"touches the object: raise camera\.distance"):
        framed(sample, MESH.vertices * 4)
