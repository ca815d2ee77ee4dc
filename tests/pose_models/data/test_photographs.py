"""Photographs without a camera: the one that they get, and how they are kept."""

import numpy as np
import pytest
import torch

from p3d_gen.core import geometry as g
from p3d_gen.core.types import Viewpoint
from pose_models.data.photographs import Photographs, shrunk, with_camera
from pose_models.data.sample import PoseSample
from pose_models.mesh import outline
from tests.helpers.boxes import EXTENT


def photograph(box):
    pose = g.cam_T_obj(Viewpoint(azimuth_rad=0.5, elevation_rad=0.25, theta_rad=0.1, distance=1.0))
    pose[:3, 3] = np.nan
    return PoseSample(
        key="photo",
        category="box",
        image=np.full((120, 200, 3), 90, np.uint8),
        mask=None,
        cam_T_obj=pose,
        K=np.full((3, 3), np.nan),
        box_xyxy=box,
    )


def test_a_photograph_gets_the_camera_that_fills_its_box():
    """One focal length: the projected corners have the box's centre and area, not its shape."""
    corners = torch.from_numpy(outline(g.box_corners(EXTENT)))[None]
    sample = with_camera(photograph((20.0, 10.0, 180.0, 100.0)), corners, 3.0)
    points = g.transform(sample.cam_T_obj, g.box_corners(EXTENT))
    pixels = (points @ sample.K.T)[:, :2] / points[:, 2:]
    low, high = pixels.min(0), pixels.max(0)
    np.testing.assert_allclose((low + high) / 2, [100, 55], atol=1e-4)
    assert np.prod(high - low) == pytest.approx(160 * 90, rel=1e-6)
    assert sample.K[0, 0] == sample.K[1, 1]
    assert with_camera(sample, corners, 9.0) is sample


def test_photographs_are_kept_small_and_come_back():
    corners = {"box": torch.from_numpy(outline(g.box_corners(EXTENT))).float()[None]}
    kept = Photographs([photograph((20.0, 10.0, 180.0, 100.0))], corners, 3.0, 80)
    assert len(kept) == 1
    assert kept[0].image.shape == (60, 100, 3)
    np.testing.assert_allclose(kept[0].box_xyxy, (10, 5, 90, 50))
    assert np.isfinite(kept[0].K).all()
    small = shrunk(kept[0], 80)
    assert small is kept[0] or small.image.shape == (60, 100, 3)
