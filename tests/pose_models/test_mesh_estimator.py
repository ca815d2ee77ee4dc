"""Estimators: mirroring, cameras where they are not annotated, several models side by side."""

import numpy as np
import pytest
import torch

from pose_models import geometry as g
from pose_models.config import MILD, TrainConfig
from pose_models.data.augment import collate, mirrored, place
from pose_models.data.cads import cad_vertices
from pose_models.data.shards import ShardSamples
from pose_models.estimator import EstimateConfig
from pose_models.evaluation import evaluate
from pose_models.loading import load_estimators
from pose_models.mesh_estimator import MeshEstimator
from pose_models.report.cases import evaluated_cases
from pose_models.training import LoopOptions, Sources, train
from tests.helpers.boxes import write_run

CPU = torch.device("cpu")
CONFIG = TrainConfig(
    categories=("box",),
    backbone="test_resnet",
    weights="none",
    image_size=64,
    steps=60,
    batch=8,
    lr=3e-3,
    vertices=100,
    augment=MILD,
)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Samples, a model that has learnt a little, and its folder."""
    run = write_run(tmp_path_factory.mktemp("run"), train=8, test=6)
    sources = Sources(
        renders=ShardSamples([run / "shards" / "box-00000.tar"]), cads={"box": cad_vertices(run / "cad", "box")}
    )
    model = train(CONFIG, sources, run / "out", LoopOptions(cpu=True), lambda step: None)
    return model, ShardSamples([run / "test" / "box-00000.tar"]), run / "out"


def batch_of(model, samples):
    return collate([place(sample, model.spec.canvas_hw, model.spec.box_fill) for sample in samples])


def test_a_mirrored_batch_holds_mirrored_samples(made):
    model, samples, _ = made
    placed = [place(sample, model.spec.canvas_hw, model.spec.box_fill) for sample in samples]
    found, expected = collate(placed).mirrored(), collate([mirrored(sample) for sample in placed])
    for name in ("image", "mask", "occluder", "cam_T_obj", "K", "box_xyxy"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), atol=2e-5, err_msg=name)


def test_with_mirroring_left_and_right_are_alike(made):
    """The poses of a mirrored image are the mirrored poses, whatever the network has learnt."""
    model, samples, _ = made
    batch = batch_of(model, samples)
    estimator = MeshEstimator(model, EstimateConfig(mirror=True))
    here, there = estimator.estimate(batch), estimator.estimate(batch.mirrored())
    np.testing.assert_allclose(here.loss, there.loss, atol=1e-4)
    back, _ = g.hflip(there.cam_T_obj, there.K, batch.image.shape[-1])
    errors = g.rotation_error_rad(here.cam_T_obj[:, :3, :3], back[:, :3, :3])
    assert (errors < 0.02).float().mean() >= 0.8  # two poses with one loss may change places


def test_unknown_cameras_take_the_distance_that_is_given(made):
    model, samples, _ = made
    batch = batch_of(model, samples)
    batch.K[:] = torch.nan
    for distance, expected in ((None, model.spec.meshes[0].distance), (2.5, 2.5)):
        estimator = MeshEstimator(model, EstimateConfig(distance=distance))
        pose, K = estimator.camera(batch)
        np.testing.assert_allclose(pose[:, 2, 3], expected, rtol=1e-6)
        np.testing.assert_allclose(estimator.estimate(batch).cam_T_obj[:, 2, 3], expected, rtol=1e-6)
        outlines = model.neural_mesh("box").outlines
        pixels = g.project(g.transform(pose, outlines[0]), K)
        np.testing.assert_allclose(pixels.amin(1), batch.box_xyxy[:, :2], atol=0.05)
        np.testing.assert_allclose(pixels.amax(1), batch.box_xyxy[:, 2:], atol=0.05)


def test_a_batch_can_be_taken_apart(made):
    model, samples, _ = made
    batch = batch_of(model, samples)
    part = batch.take(torch.tensor([4, 1]))
    assert part.key == [batch.key[4], batch.key[1]]
    np.testing.assert_array_equal(part.image, batch.image[[4, 1]])


def test_shown_cases_are_read_again(made):
    _, samples, folder = made
    found = evaluate(load_estimators(folder, CPU, EstimateConfig()), samples, lambda: None)
    shown = evaluated_cases(samples, [found[3], found[1]])
    assert shown.keys() == {("", found[3].prediction.key), ("", found[1].prediction.key)}
    case = shown["", found[3].prediction.key]
    np.testing.assert_allclose(case.cam_T_obj_true[:3, :3], samples[3].cam_T_obj[:3, :3], atol=1e-6)
    np.testing.assert_allclose(case.cam_T_obj_predicted[:3, :3], found[3].prediction.R_predicted, atol=1e-5)
    assert case.image.shape[:2] == found[3].estimator.canvas_hw


def test_a_category_that_no_model_knows_is_named(made):
    _, samples, folder = made
    from dataclasses import replace

    stranger = replace(samples[0], category="boat")
    with pytest.raises(ValueError, match=r"no model knows the category of sample box-010000, 'boat'"):
        evaluate(load_estimators(folder, CPU, EstimateConfig()), [stranger], lambda: None)
    with pytest.raises(ValueError, match="no image to evaluate"):
        evaluate(load_estimators(folder, CPU, EstimateConfig()), [], lambda: None)
