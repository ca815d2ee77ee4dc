"""Truncation and occlusion hide the share that was asked for, whatever the object, the occluder and the pose."""

from dataclasses import replace

import numpy as np
import pytest

from blender_assets.shapes import build
from p3d_gen.core.geometry import cam_T_obj, transform
from p3d_gen.core.silhouette import amodal, silhouette
from p3d_gen.core.types import Truncation
from p3d_gen.render.arrange import arrange
from p3d_gen.spec.manifest import Manifest
from p3d_gen.spec.sampling import spec
from tests.helpers.assets import INVENTORY, wedge


def manifest(**sections):
    camera = {"image_hw": [240, 320], "focal_px": 1200, "distance": [5, 6]}
    return Manifest(categories=("car", "chair"), samples_per_category=40, camera=camera, **sections)


def shape(category="car", variant=2):
    mesh = build(category, variant)
    return mesh.vertices, mesh.faces


def samples(**sections):
    made = manifest(**sections)
    return [spec(made, INVENTORY, category, index) for category in made.categories for index in range(8)]


def test_nothing_moves_without_truncation_and_occluder():
    for sample in samples():
        arrangement = arrange(sample, *shape(), None)
        assert arrangement.camera == sample.camera
        assert arrangement.cam_T_occluder is None


def test_the_frame_cuts_off_the_share_that_was_drawn():
    directions = []
    for sample in samples(occlusion={"truncation": [0.1, 0.5]}):
        vertices, faces = shape()
        camera = arrange(sample, vertices, faces, None).camera
        whole = amodal(vertices, faces, cam_T_obj(sample.viewpoint), camera)
        assert 0.1 <= sample.truncation.cuts <= 0.5
        assert 1 - whole.mask.sum() / whole.area == pytest.approx(sample.truncation.cuts, abs=0.02)
        step = np.subtract(camera.principal_px, sample.camera.principal_px)
        directions.append(np.arctan2(step[1], step[0]))
        np.testing.assert_allclose(np.exp(1j * directions[-1]), np.exp(1j * sample.truncation.direction_rad), atol=1e-6)
    assert np.ptp(directions) > 3


@pytest.mark.parametrize(("level", "low", "high"), [("L1", 0.2, 0.4), ("L2", 0.4, 0.6), ("L3", 0.6, 0.8)])
def test_the_occluder_hides_the_level_s_share(level, low, high):
    vertices, faces = shape()
    for sample in samples(occlusion={"level": level}):
        occluder = build(sample.occluder.category, sample.occluder.variant)
        arrangement = arrange(sample, vertices, faces, (occluder.vertices, occluder.faces))
        pose = cam_T_obj(sample.viewpoint)
        own = silhouette(vertices, faces, pose, arrangement.camera)
        other = silhouette(occluder.vertices, occluder.faces, arrangement.cam_T_occluder, arrangement.camera)
        assert low <= (own & other).sum() / own.sum() <= high
        in_front = transform(arrangement.cam_T_occluder, occluder.vertices)[:, 2]
        assert in_front.min() > 0
        assert in_front.max() < transform(pose, vertices)[:, 2].min()


def test_truncated_and_occluded_at_once():
    vertices, faces = shape("chair", 0)
    for sample in samples(occlusion={"level": "L1", "truncation": [0.2, 0.3]}):
        occluder = build(sample.occluder.category, sample.occluder.variant)
        arrangement = arrange(sample, vertices, faces, (occluder.vertices, occluder.faces))
        whole = amodal(vertices, faces, cam_T_obj(sample.viewpoint), arrangement.camera)
        other = silhouette(occluder.vertices, occluder.faces, arrangement.cam_T_occluder, arrangement.camera)
        assert 0.15 <= 1 - whole.mask.sum() / whole.area <= 0.35
        assert 0.2 <= (whole.mask & other).sum() / whole.mask.sum() <= 0.4


def test_an_occluder_is_not_of_the_sample_s_category():
    drawn = samples(occlusion={"level": "L1", "occluders": ["chair", "car"]})
    assert {sample.occluder.category for sample in drawn if sample.category == "car"} == {"chair"}
    assert {sample.occluder.category for sample in drawn if sample.category == "chair"} == {"car"}


def test_probability():
    drawn = samples(occlusion={"level": "L1", "truncation": [0.1, 0.2], "probability": 0.5})
    assert 2 <= sum(sample.occluder is None for sample in drawn) <= 14
    assert 2 <= sum(sample.truncation is None for sample in drawn) <= 14
    assert [s.occluder is None for s in drawn] != [s.truncation is None for s in drawn]


def test_an_occluder_too_slender_is_named():
    sample = samples(occlusion={"level": "L3"})[0]
    needle = wedge()
    needle.apply_scale([0.01, 0.01, 1])
    with pytest.raises(ValueError, match=r"hides at most .* slender"):
        arrange(sample, *shape(), (needle.vertices, needle.faces))


def test_an_object_larger_than_the_frame_is_cut_already():
    sample = samples()[0]
    close = replace(
        sample, camera=replace(sample.camera, focal_px=6000.0), truncation=Truncation(direction_rad=1.0, cuts=0.1)
    )
    vertices, faces = shape()
    camera = arrange(close, vertices, faces, None).camera
    np.testing.assert_allclose(camera.principal_px, close.camera.principal_px, atol=1.0)
