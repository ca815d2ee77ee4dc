"""3DUDA: whole adaptations of a small box model to noise."""

import math
import shutil
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional as F

from pose_models.adapt.config import PoseConfig, UdaConfig
from pose_models.adapt.source import ADAPT_FILE
from pose_models.adapt.target import Target
from pose_models.adapt.uda3d import Adaptation, passes, run
from pose_models.adapt.uda_poses import on_canvas, search, uncovered
from pose_models.adapt.uda_state import HISTOGRAM
from pose_models.bench.solve import random_poses
from pose_models.config import load_config
from pose_models.data.augment import collate, place
from pose_models.data.shards import ShardSamples
from pose_models.estimator import EstimateConfig
from pose_models.evaluation import evaluate
from pose_models.geometry import rotation_error_rad
from pose_models.look import look
from pose_models.mesh_estimator import MeshEstimator
from pose_models.metrics import pose_metrics, prediction_errors
from pose_models.nmm import load_model
from pose_models.training.source_similarity import SIMILARITY_FILE, source_thresholds
from tests.helpers.uda import CONFIG, CPU, call, changed, without_seconds


def accuracy(model, samples):
    found = evaluate([MeshEstimator(model, EstimateConfig())], samples, lambda: None)
    return pose_metrics(prediction_errors([one.prediction for one in found]))


def test_adaptation_helps(made, samples, adapted):
    before, after = (accuracy(model, samples) for model in (load_model(made / "model", CPU), adapted[1]))
    assert after.acc_pi_6 >= before.acc_pi_6 + 0.25
    assert after.median_deg < 0.7 * before.median_deg


def test_a_run_says_what_it_did(made, adapted):
    out, model = adapted
    names = [ADAPT_FILE, "checksums.json", "config.toml", "history.jsonl", "model.json", "model.safetensors"]
    assert sorted(path.name for path in out.iterdir()) == [
        *names,
        "source.json",
        "target.jsonl",
        "vertices.safetensors",
    ]
    assert load_config(UdaConfig, out / ADAPT_FILE) == CONFIG
    history = without_seconds(out / "history.jsonl")
    assert [entry["epoch"] for entry in history] == [0, 1, 2, 3]
    for entry in history:
        assert sum(entry[name] for name in HISTOGRAM) == 24
        assert 0 <= entry["accepted_share"] <= 1
        assert ("loss" in entry) == (entry["epoch"] > 0)
    assert history[0]["bank_moves"] == 0
    assert sum(entry["bank_moves"] for entry in history) > 0
    # Before anything has moved, poses and features are those of the source model.
    assert history[0]["confidence_mean"] == pytest.approx(history[1]["confidence_mean"], abs=1e-6)
    assert history[-1]["confidence_mean"] > history[0]["confidence_mean"]
    record = load_file(out / "vertices.safetensors")
    assert set(record) == {"box/acceptance", "box/similarity"}
    assert record["box/acceptance"].shape == (4, len(model.neural_mesh("box").vertex_features))
    again = load_model(out, CPU)
    for name, value in model.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name


def test_rotations_and_masks_of_the_target_are_not_read(made, samples, adapted, tmp_path):
    """Wrong labels give the same model, bit for bit."""
    turned = []
    for sample, pose in zip(samples, random_poses(24, torch.Generator().manual_seed(9)).double().numpy(), strict=True):
        other = sample.cam_T_obj.copy()
        other[:3, :3] = pose[:3, :3]
        turned.append(replace(sample, cam_T_obj=other, mask=None))
    run(made / "model", Target(turned, 96), CONFIG, tmp_path / "run", CPU)
    for name in ("model.safetensors", "model.json", "vertices.safetensors", "target.jsonl"):
        assert (tmp_path / "run" / name).read_bytes() == (adapted[0] / name).read_bytes(), name


class _StopError(Exception):
    pass


@pytest.mark.parametrize("epoch", [0, 2])
def test_a_stopped_run_goes_on_bit_for_bit(made, samples, adapted, tmp_path, epoch):
    out, target = tmp_path / "run", Target(samples, 96)

    def stop(figures, model):
        if figures["epoch"] == epoch:
            raise _StopError
        return {}

    with pytest.raises(_StopError):
        run(made / "model", target, CONFIG, out, CPU, stop)
    assert not (out / "model.json").exists()
    seen = []
    run(made / "model", target, CONFIG, out, CPU, lambda figures, model: seen.append(figures["epoch"]) or {})
    assert seen == list(range(epoch, CONFIG.epochs + 1))
    for name in ("model.safetensors", "vertices.safetensors"):
        assert (out / name).read_bytes() == (adapted[0] / name).read_bytes(), name
    assert without_seconds(out / "history.jsonl") == without_seconds(adapted[0] / "history.jsonl")
    assert not (out / "checkpoint.safetensors").exists()


def test_each_part_can_be_left_out(made, samples, tmp_path):
    target, source = Target(samples[:8], 96), load_model(made / "model", CPU).state_dict()
    config = changed(epochs=1, bank_images=1, coverage=0.0, delta=0.3)
    for part, still in (("bank", "vertex_features"), ("backbone", "net.")):
        seen = []
        model = run(
            made / "model", target, changed(config, **{part: False}), tmp_path / part, CPU, on_images=seen.append
        )
        same = {name for name, value in model.state_dict().items() if torch.equal(value, source[name])}
        moving = {name for name in source if name not in same}
        assert moving
        assert not any(still in name for name in moving), part
        assert {name for name in source if "running" in name} <= same
        assert sum(seen) == 8 * passes(changed(config, **{part: False}))
    assert all("vertex_features" in name for name in moving)  # without the backbone the clutter stays, too


def test_a_round_is_searched_with_what_the_one_before_has_taught(made, samples):
    config = changed(round_images=10, solve_every=2)
    adaptation = Adaptation(made / "model", Target(samples, 96), config, CPU)

    def searched(epoch):
        before = adaptation.state.losses.clone()
        adaptation.epoch(epoch)
        return int((adaptation.state.losses != before).any(1).sum())

    assert searched(0) == 24
    assert searched(1) == 14  # the first 10 have the poses of the source model, which is what epoch 1 begins with
    assert searched(2) == 0
    assert searched(3) == 24


def test_the_backbone_may_see_other_views(made, samples, tmp_path):
    target = Target(samples[:8], 96)
    states = [
        run(made / "model", target, changed(epochs=1, augment=augment), tmp_path / str(augment), CPU).state_dict()
        for augment in (False, True)
    ]
    assert not torch.equal(states[0]["net.head.project.weight"], states[1]["net.head.project.weight"])


@pytest.fixture(scope="module")
def placed(made):
    """The model, and source images on its canvas with their true poses."""
    model = load_model(made / "model", CPU)
    renders = ShardSamples([made / "shards" / "box-00000.tar"])
    return model, collate([place(renders[i], model.spec.canvas_hw, model.spec.box_fill) for i in range(8)])


def test_clutter_lies_outside_all_silhouettes(placed):
    model, batch = placed
    both = torch.stack([batch.cam_T_obj, batch.cam_T_obj.roll(1, 0)], dim=1), batch.K[:, None].expand(-1, 2, -1, -1)
    mesh = model.neural_mesh("box")
    one = uncovered(mesh, *both, torch.tensor([[0.0, math.inf]] * 8), model.map_hw)
    two = uncovered(mesh, *both, torch.zeros(8, 2), model.map_hw)
    assert (two <= one).all()
    assert two.sum() < one.sum()
    inside = F.avg_pool2d(batch.mask[:, None], 8)[:, 0] > 0.95
    outside = F.avg_pool2d(batch.mask[:, None], 8)[:, 0] < 0.05
    assert not (one & inside).any()
    assert one[outside].all()
    assert on_canvas(one).shape == batch.mask.shape


@torch.no_grad()
@pytest.mark.parametrize("mirror", [False, True])
def test_a_search_finds_the_poses_of_source_images(placed, mirror):
    """The best of the hypotheses; on a box that is no mirror image of itself the mirrored view adds wrong ones."""
    model, batch = placed
    blind = replace(batch, cam_T_obj=batch.cam_T_obj.clone())
    blind.cam_T_obj[:, :3, :3] = torch.nan
    config = changed(pose=PoseConfig(mirror=mirror).model_dump())
    poses, _, losses = search(model, blind, model.net(batch.image), config)
    errors = rotation_error_rad(poses[..., :3, :3], batch.cam_T_obj[:, None, :3, :3]).rad2deg()
    assert (errors.masked_fill(losses.isinf(), 180).min(1).values < 20).float().mean() >= 0.75
    assert (losses[:, 1:] >= losses[:, :-1]).all()
    assert losses[:, 0].isfinite().all()


@torch.no_grad()
def test_a_search_takes_focal_lengths_and_distances_as_configured(placed):
    model, batch = placed
    nothing = {name: torch.full_like(getattr(batch, name), torch.nan) for name in ("cam_T_obj", "K")}
    blind, features = replace(batch, **nothing), model.net(batch.image)
    for free in (False, True):
        config = changed(pose=PoseConfig(focals="one", free_distance=free).model_dump())
        poses, K, losses = search(model, blind, features, config)
        shown = losses.isfinite()
        torch.testing.assert_close(K[shown][:, 0, 0], K[shown][:, 1, 1])
        depths = poses[shown][:, 2, 3]
        assert (depths.std() > 1e-3) == free


# Thresholds of the source.


@torch.no_grad()
def test_source_thresholds_leave_their_share_out(made):
    model, renders = load_model(made / "model", CPU), ShardSamples([made / "shards" / "box-00000.tar"])
    every_one = collate([place(s, model.spec.canvas_hw, model.spec.box_fill) for s in renders])
    seen = look(
        model.neural_mesh("box"), model.net(every_one.image), every_one, torch.arange(48), every_one.cam_T_obj,
        every_one.K,
    )  # fmt: skip
    for level in (0.05, 0.1):
        delta = source_thresholds(made / "model", level)["box"]
        shown = seen.visible.sum(0)
        below = (seen.visible & (seen.cosine() < delta)).sum(0)
        assert ((below - level * shown).abs() <= 1)[shown > 0].all()
        assert torch.equal(delta.isnan(), shown == 0)
    assert (source_thresholds(made / "model", 0.1)["box"] >= source_thresholds(made / "model", 0.05)["box"])[
        shown > 0
    ].all()


def test_a_missing_threshold_names_its_remedy(made, samples, tmp_path):
    copy = shutil.copytree(made / "model", tmp_path / "model")
    target, config = Target(samples[:4], 96), changed(delta="source")
    with pytest.raises(ValueError, match=r"not at 0.2; .*pose-models thresholds --model .* --level 0.2"):
        Adaptation(copy, target, changed(config, source_quantile=0.2), CPU)
    kept = (copy / SIMILARITY_FILE).read_bytes()
    (copy / SIMILARITY_FILE).write_bytes(b"no")
    with pytest.raises(ValueError, match=r"source_similarity.safetensors is damaged: .*pose-models thresholds"):
        Adaptation(copy, target, config, CPU)
    (copy / SIMILARITY_FILE).unlink()
    with pytest.raises(
        ValueError, match=r"source_similarity.safetensors, which is not there; .*pose-models thresholds"
    ):
        Adaptation(copy, target, config, CPU)
    call("thresholds", "--model", copy, "--shards", made / "shards")
    assert (copy / SIMILARITY_FILE).read_bytes() == kept  # as the training wrote it
    Adaptation(copy, target, config, CPU)
