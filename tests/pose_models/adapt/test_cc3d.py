"""CC3D and pseudo-labels: what is trusted, equation 5, the wall before labels and source, interruption, and a gain."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from p3d_gen.run.files import file_sha256
from pose_models.adapt.cc3d import Observer, ReplayedSamples, adapt
from pose_models.adapt.config import Cc3dConfig, PoseConfig
from pose_models.adapt.pseudo_labels import PseudoLabelled, pseudo_labels, read_labels, write_labels
from pose_models.adapt.source import estimate_config, load_source
from pose_models.adapt.target import Target
from pose_models.adapt.watching import watcher
from pose_models.baselines.config import BaselineConfig
from pose_models.baselines.training import train as train_baseline
from pose_models.data.shards import ShardSamples
from pose_models.estimator import EstimateConfig
from pose_models.evaluation import evaluate
from pose_models.geometry import random_rotations
from pose_models.loading import load_estimators
from pose_models.metrics import pose_metrics, prediction_errors
from pose_models.nmm import load_model
from pose_models.training import LoopOptions
from tests.helpers.boxes import write_run
from tests.helpers.cc3d import AUGMENT, CONFIG, CPU, OPTIONS, SMALL, adapted, history, renders_of, target_of, weights

# Labels


def test_the_confidence_form_and_mirroring_reach_the_labels(world, tmp_path):
    """With vertex features of nothing, so that about half of the covered cells have a negative score."""
    source, target = load_source(world / "source", CPU), target_of(world, 3)
    neural = source.model.neural_mesh("box")
    noise = torch.randn(neural.vertex_features.shape, generator=torch.Generator().manual_seed(0))
    neural.vertex_features = torch.nn.functional.normalize(noise, dim=1)
    found = {}
    for form in ("mean", "positive"):
        for mirror in (False, True):
            how = EstimateConfig(confidence=form, mirror=mirror)
            labels = pseudo_labels(target, source.estimator(how), tmp_path / "none")
            found[form, mirror] = [one.confidence for one in labels]
    for mirror in (False, True):
        assert all(p > m for p, m in zip(found["positive", mirror], found["mean", mirror], strict=True))


def test_labels_are_those_of_an_evaluation_of_the_same_images(world, tmp_path):
    target = target_of(world)
    labels = pseudo_labels(target, load_source(world / "source", CPU).estimator(EstimateConfig()), tmp_path / "none")
    true = ShardSamples([world / "test" / "box-00000.tar"])
    shown = [replace(hidden, cam_T_obj=one.cam_T_obj) for hidden, one in zip(target, true, strict=True)]
    found = evaluate(load_estimators(world / "source", CPU, EstimateConfig()), shown, lambda: None)
    for one, other in zip(labels, found, strict=True):
        assert one.key == other.prediction.key
        np.testing.assert_allclose(one.R_cam_obj, other.prediction.R_predicted, atol=1e-9)
        assert one.confidence == other.prediction.confidence


# The run


@pytest.mark.parametrize("arm", ["paper", "released"])
def test_neither_labels_nor_masks_of_the_target_matter(world, tmp_path, arm):
    """The wall: with every target rotation replaced by a random one the adapted model is the same, bit for bit."""
    samples = ShardSamples([world / "test" / "box-00000.tar"])
    rotations = random_rotations(len(samples), torch.Generator().manual_seed(0)).numpy()
    spoilt = []
    for sample, R in zip(samples, rotations, strict=True):
        pose = sample.cam_T_obj.copy()
        pose[:3, :3] = R
        spoilt.append(replace(sample, cam_T_obj=pose, mask=np.full_like(sample.mask, 255), occluder=None))
    config = Cc3dConfig(**SMALL, arm=arm)
    for name, images in (("true", samples), ("random", spoilt)):
        adapt(
            world / "source",
            Target(images, 64),
            config,
            tmp_path / name,
            OPTIONS,
            replay=ReplayedSamples(renders=renders_of(world)),
        )
    assert weights(tmp_path / "true") == weights(tmp_path / "random")
    assert (tmp_path / "true" / "target.jsonl").read_text() == (tmp_path / "random" / "target.jsonl").read_text()


def test_a_finished_run_holds_model_configuration_images_and_history(world, tmp_path):
    before = {path: file_sha256(path) for path in (world / "source").rglob("*") if path.is_file()}
    out = adapted(world, tmp_path / "out", rounds=2)
    names = ["adapt.toml", "checksums.json", "config.toml", "history.jsonl", "model.json", "model.safetensors"]
    assert sorted(path.name for path in out.iterdir()) == [*names, "rounds", "source.json", "target.jsonl"]
    assert before == {path: file_sha256(path) for path in (world / "source").rglob("*") if path.is_file()}
    assert load_model(out, CPU).spec == load_model(world / "source", CPU).spec
    assert json.loads((out / "source.json").read_text())["model"] == str(world / "source")
    entries = history(out)
    assert [(entry["round"], entry["step"]) for entry in entries] == [
        (1, 0), (1, 1), (1, 2), (1, 3), (2, 3), (2, 4), (2, 5), (2, 6),
    ]  # fmt: skip
    first = entries[0]
    assert (first["images"], first["trusted"]) == (6, 4)
    assert sum(first[f"confidence_histogram_{bin_:02d}"] for bin_ in range(10)) == 6
    assert first["alpha"] > 0
    for entry in entries[1:4]:
        parts = entry["contrastive"] + CONFIG.clutter_term * entry["clutter"] + first["alpha"] * entry["domain"]
        assert entry["loss"] == pytest.approx(parts, rel=1e-4)
    kept = [json.loads(line) for line in (out / "rounds" / "1" / "pseudo_labels.jsonl").read_text().splitlines()]
    assert len(kept) == 6
    assert sum(line["trusted"] for line in kept) == 4


class _StopError(Exception):
    pass


@pytest.mark.parametrize("stop_at", [(1, 0), (2, 2)])
def test_a_stopped_run_goes_on_bit_for_bit(world, tmp_path, stop_at):
    config, options = Cc3dConfig(**SMALL, rounds=2), LoopOptions(cpu=True, checkpoint_every=1)

    def stop(number, step):
        if (number, step.step) == stop_at:
            raise _StopError

    labelled = []

    def stop_labelling():
        labelled.append(1)
        if stop_at[1] == 0 and len(labelled) == 5:
            raise _StopError

    def go(out, observer):
        replay = ReplayedSamples(renders=renders_of(world))
        adapt(world / "source", target_of(world), config, out, options, replay=replay, observer=observer)

    go(tmp_path / "whole", Observer())
    with pytest.raises(_StopError):
        go(tmp_path / "stopped", Observer(on_step=stop, on_image=stop_labelling))
    assert not (tmp_path / "stopped" / "model.json").exists()
    go(tmp_path / "stopped", Observer())
    for name in ("model.safetensors", "model.json", "history.jsonl", "config.toml"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "stopped" / name).read_bytes(), name


def test_labelling_goes_on_where_it_was_stopped(world, tmp_path, monkeypatch):
    monkeypatch.setattr("pose_models.adapt.pseudo_labels._KEEP_EVERY", 8)
    target = Target(list(ShardSamples([world / "shards" / "box-00000.tar"])), 64)
    estimator = load_source(world / "source", CPU).estimator(EstimateConfig())
    whole = pseudo_labels(target, estimator, tmp_path / "none")
    labelled = []

    def stop():
        labelled.append(1)
        if len(labelled) == 12:
            raise _StopError

    with pytest.raises(_StopError):
        pseudo_labels(target, estimator, tmp_path / "labels.part", stop)
    kept = read_labels(tmp_path / "labels.part")
    assert len(kept) == 8
    again = pseudo_labels(target, estimator, tmp_path / "labels.part")
    for one, other in zip(whole, again, strict=True):
        assert one.confidence == other.confidence
        np.testing.assert_array_equal(one.R_cam_obj, other.R_cam_obj)


def test_watching_tells_the_accuracy_and_changes_nothing(world, tmp_path):
    samples = ShardSamples([world / "test" / "box-00000.tar"])
    observer = Observer(watch=watcher(samples, 64), watch_every=2)
    config = Cc3dConfig(**SMALL, arm="released")
    adapt(world / "source", target_of(world), config, tmp_path / "watched", OPTIONS, observer=observer)
    watched = {entry["step"]: entry["acc_pi_6"] for entry in history(tmp_path / "watched") if "acc_pi_6" in entry}
    assert list(watched) == [0, 2, 3]
    assert weights(tmp_path / "watched") == weights(adapted(world, tmp_path / "alone", arm="released"))
    found = evaluate(load_estimators(tmp_path / "watched", CPU, EstimateConfig()), samples, lambda: None)
    assert watched[3] == pose_metrics(prediction_errors([one.prediction for one in found])).acc_pi_6
    with pytest.raises(ValueError, match="--watch needs labels, and image box-010000 has none"):
        watcher(target_of(world), 64)


def test_res_general_learns_from_its_own_labels(world, tmp_path):
    config = BaselineConfig(
        categories=("box",),
        backbone="test_resnet",
        weights="none",
        max_stride=16,
        image_size=64,
        steps=3,
        batch=4,
        augment=AUGMENT,
    )
    train_baseline(config, renders_of(world), (), None, tmp_path / "source", OPTIONS, lambda step: None)
    out = adapted(world, tmp_path / "out", tmp_path / "source", arm="released", threshold=0.0)
    assert history(out)[0]["trusted"] == 6
    assert weights(out) != weights(tmp_path / "source")
    assert len(evaluate(load_estimators(out, CPU, EstimateConfig()), renders_of(world), lambda: None)) == 16
    with pytest.raises(ValueError, match=r"no vertices that L_domain could compare with: use the arm 'released'"):
        adapted(world, tmp_path / "paper", tmp_path / "source", arm="paper")


def test_poses_without_a_camera_get_one(world, tmp_path):
    """Images of which only the box is known, mirrored and not: the labels differ from those with the true camera."""
    bare = [replace(sample, K=np.full((3, 3), np.nan)) for sample in ShardSamples([world / "test" / "box-00000.tar"])]
    config = Cc3dConfig(**SMALL, arm="released", pose=PoseConfig(mirror=True, distance=4.0))
    adapt(world / "source", Target(bare, 64), config, tmp_path / "bare", OPTIONS)
    assert np.isfinite([entry["loss"] for entry in history(tmp_path / "bare")[1:]]).all()


def test_a_searched_distance_reaches_the_labels_and_what_is_trained_on(world, tmp_path):
    """One image keeps its annotated camera; the others are searched, and learnt from where they were seen."""
    true = list(ShardSamples([world / "test" / "box-00000.tar"]))[:6]
    bare = [true[0], *(replace(sample, K=np.full((3, 3), np.nan)) for sample in true[1:])]
    pose = PoseConfig(free_distance=True, focals="one")
    target, source = Target(bare, 64), load_source(world / "source", CPU)
    labels = pseudo_labels(target, source.estimator(estimate_config(pose)), tmp_path / "none", with_distance=True)
    write_labels(tmp_path / "labels.jsonl", labels, [0])
    assert [one.distance for one in read_labels(tmp_path / "labels.jsonl")] == [one.distance for one in labels]
    assert len({round(one.distance, 3) for one in labels[1:]}) > 1
    seen = PseudoLabelled(target, labels, range(6), source, None)
    np.testing.assert_array_equal(seen[0].cam_T_obj[:3, 3], true[0].cam_T_obj[:3, 3])
    assert [seen[i].cam_T_obj[2, 3] for i in range(1, 6)] == [label.distance for label in labels[1:]]
    fixed = [replace(label, distance=None) for label in labels]
    assert PseudoLabelled(target, fixed, range(6), source, None).identity != seen.identity
    config = Cc3dConfig(**SMALL, arm="released", pose=pose)
    adapt(world / "source", target, config, tmp_path / "run", OPTIONS)
    kept = read_labels(tmp_path / "run" / "rounds" / "1" / "pseudo_labels.jsonl")
    assert [one.distance for one in kept] == [one.distance for one in labels]


def faded(sample):
    """The picture with a third of its contrast."""
    return replace(sample, image=(0.33 * sample.image + 0.67 * 128).round().astype(np.uint8))


def accuracy(folder, samples):
    found = evaluate(load_estimators(folder, CPU, EstimateConfig()), samples, lambda: None)
    return pose_metrics(prediction_errors([one.prediction for one in found])).acc_pi_6


def test_adaptation_to_faded_pictures_finds_more_poses(world, tmp_path):
    run = write_run(tmp_path / "run", train=1, test=18, seed=3)
    samples = [faded(sample) for sample in ShardSamples([run / "test" / "box-00000.tar"])]
    before = accuracy(world / "source", samples)
    for arm in ("paper", "released"):
        config = Cc3dConfig(arm=arm, top=8, steps=24, batch=8, lr=1e-3, head_lr=1e-3)
        replay = ReplayedSamples(renders=renders_of(world))
        adapt(world / "source", Target(samples, 64), config, tmp_path / arm, OPTIONS, replay=replay)
        assert accuracy(tmp_path / arm, samples) >= before + 0.15, (arm, before)
