"""The crop by annotated distance: the worked numbers, and labels that go with their pixels."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from p3d_gen.core import geometry as g
from p3d_gen.core.types import Camera, Viewpoint
from pose_models.data.crop import CROPS, crop_annotated, crop_rule
from pose_models.data.sample import PoseSample
from tests.helpers.boxes import EXTENT, draw_box

VIEW = Viewpoint(azimuth_rad=0.6, elevation_rad=0.3, theta_rad=0.1, distance=7.5)


@pytest.fixture(scope="module")
def sample():
    """A 500 x 375 picture with its principal point at (260, 200), the object 7.5 away."""
    camera = Camera(focal_px=3000.0, principal_px=(260.0, 200.0), image_hw=(375, 500))
    pose = g.cam_T_obj(VIEW)
    image, mask = draw_box(pose, camera, np.random.default_rng([0, 1]))
    pixels = g.project(g.transform(pose, g.box_corners(EXTENT)), camera)
    box = (*pixels.min(0).tolist(), *pixels.max(0).tolist())
    return PoseSample(
        key="a", category="car", image=image, mask=mask, occluder=mask, cam_T_obj=pose, K=camera.K, box_xyxy=box
    )


def resized(image):
    return cv2.resize(image, (750, 562), interpolation=cv2.INTER_LINEAR)


def test_the_wide_crop_cuts_rows_172_to_428_and_columns_54_to_726(sample):
    cut = crop_annotated(sample, (256, 672), 5.0)
    np.testing.assert_array_equal(cut.image, resized(sample.image)[172:428, 54:726])
    np.testing.assert_array_equal(cut.mask, resized(sample.mask)[172:428, 54:726])
    np.testing.assert_array_equal(cut.occluder, cut.mask)


def test_the_square_crop_pads_4_above_and_42_below(sample):
    cut = crop_annotated(sample, (608, 608), 5.0).image
    assert cut.shape == (608, 608, 3)
    np.testing.assert_array_equal(cut[4:566], resized(sample.image)[:, 86:694])
    assert not cut[:4].any()
    assert not cut[566:].any()
    assert cut[4].any()
    assert cut[565].any()


def corners_px(sample):
    points = g.transform(sample.cam_T_obj, g.box_corners(EXTENT)) @ sample.K.T
    return points[:, :2] / points[:, 2:]


@pytest.mark.parametrize("target", [3.0, 5.0, 8.0, 20.0])
def test_exact_labels_follow_their_pixels(sample, target):
    cut = crop_annotated(sample, (352, 520), target)
    pixels = corners_px(cut)
    np.testing.assert_allclose(cut.box_xyxy, [*pixels.min(0), *pixels.max(0)], atol=1e-9)
    redrawn = np.zeros((352, 520), np.uint8)
    cv2.fillConvexPoly(redrawn, cv2.convexHull(np.round(pixels * 16 - 8).astype(np.int32)), 255, cv2.LINE_8, 4)
    mask = cut.mask >= 128
    assert (mask & (redrawn > 0)).sum() / (mask | (redrawn > 0)).sum() > 0.95
    np.testing.assert_array_equal(cut.cam_T_obj, sample.cam_T_obj)


def test_an_object_far_outside_leaves_an_empty_canvas(sample):
    K = sample.K.copy()
    K[:2, 2] = -900.0, 2000.0
    away = crop_annotated(replace(sample, K=K), (64, 80), 5.0)
    assert away.image.shape == (64, 80, 3)
    assert not away.image.any()
    np.testing.assert_allclose(away.K[:2, 2], [40, 32], atol=3)


def test_tables_hold_every_category():
    for table in CROPS.values():
        assert len(table) == 12
    assert crop_rule("nemo", "car").out_hw == (256, 672)
    assert crop_rule("nemo", "tvmonitor").out_hw == (480, 448)
    assert (crop_rule("p3d-diffusion", "chair").distance, crop_rule("p3d-diffusion", "sofa").distance) == (10, 8)
    assert crop_rule("p3d-diffusion", "car").distance == 6
    assert crop_rule("objectnet3d", "toaster").out_hw == (640, 800)


def test_unknown_tables_categories_and_distances_are_named(sample):
    with pytest.raises(ValueError, match="did you mean 'nemo'"):
        crop_rule("nemoo", "car")
    with pytest.raises(ValueError, match="did you mean 'car'"):
        crop_rule("nemo", "cars")
    unknown = np.full((3, 3), np.nan)
    with pytest.raises(ValueError, match="sample a has no known distance"):
        crop_annotated(replace(sample, K=unknown), (64, 64), 5.0)
    with pytest.raises(ValueError, match="shrinks to nothing"):
        crop_annotated(sample, (64, 64), 1e5)
