"""Res-General: its network, its predictions, a short training end to end, its files and its command."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import save_file

from p3d_gen.core.commandline import Group
from pose_models.baselines.bins import bins_of, viewpoints_of
from pose_models.baselines.config import BaselineConfig
from pose_models.baselines.predict import BaselineEstimator, log_probabilities, predict
from pose_models.baselines.res_general import load_baseline, model_kind, save_baseline
from pose_models.baselines.training import BaselineTrainee, build, train
from pose_models.cli.baseline import baseline
from pose_models.config import MILD
from pose_models.data.augment import collate, place
from pose_models.data.shards import ShardSamples
from pose_models.evaluation import evaluate
from pose_models.geometry import project, rotation_cam_obj, rotation_error_rad, transform, viewpoint_of
from pose_models.training.loop import LoopOptions, Processes
from tests.helpers.boxes import write_run

CPU = torch.device("cpu")
# Mirroring is off: the box's two sides differ in colour.
CONFIG = BaselineConfig(
    categories=("box",),
    backbone="test_resnet",
    weights="none",
    max_stride=16,
    image_size=64,
    steps=100,
    batch=8,
    lr=2e-3,
    head_lr=2e-3,
    augment=MILD.model_copy(update={"mirror": False, "hue": 0.0, "grey": 0.0, "colour": 0.1}),
)
OPTIONS = LoopOptions(cpu=True)


def changed(config=CONFIG, **fields):
    return config.model_copy(update=fields)


def untrained(config=CONFIG):
    return build(config, dict.fromkeys(config.categories, torch.eye(3))).eval()


def pictures(count=3, size=64):
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("run"), train=48, test=16)


@pytest.fixture(scope="module")
def renders(run):
    return ShardSamples([run / "shards" / "box-00000.tar"])


def run_training(config, renders, out, real=()):
    steps = []
    model = train(config, renders, real, None, out, OPTIONS, steps.append)
    return model, steps


@pytest.fixture(scope="module")
def trained(renders, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "res-general"
    model, steps = run_training(CONFIG, renders, out)
    return model, steps, out


def test_the_prediction_of_a_mirrored_image_is_the_mirrored_prediction():
    model, images, names = untrained(), pictures(), ["box"] * 3
    for flip in ("probabilities", "scores"):
        R, confidence = predict(model, images, names, flip=flip)
        R_mirror, confidence_mirror = predict(model, images.flip(-1), names, flip=flip)
        flat = torch.diag(torch.tensor([-1.0, 1.0, 1.0], dtype=torch.float64))
        assert rotation_error_rad(flat @ R @ flat, R_mirror).max() < 1e-6
        assert confidence_mirror.tolist() == pytest.approx(confidence.tolist(), rel=1e-4)


def test_probabilities_and_confidence():
    model, images, names = untrained(), pictures(), ["box"] * 3
    with torch.no_grad():
        alone, mean, _ = found = [
            log_probabilities(model, images, names, flip=flip).exp() for flip in ("none", "probabilities", "scores")
        ]
        other = log_probabilities(model, images.flip(-1), names, flip="none").exp()
    assert torch.allclose(mean[:, 0], (alone[:, 0] + other[:, 0].flip(-1)) / 2, rtol=1e-4)
    assert torch.allclose(mean[:, 1], (alone[:, 1] + other[:, 1]) / 2, rtol=1e-4)
    for flip, probabilities in zip(("none", "probabilities", "scores"), found, strict=True):
        assert torch.allclose(probabilities.sum(-1), torch.ones(3, 3))
        R, confidence = predict(model, images, names, flip=flip)
        assert confidence.tolist() == pytest.approx(probabilities.amax(-1).prod(-1).tolist(), rel=1e-5)
        expected = rotation_cam_obj(viewpoints_of(probabilities.argmax(-1), 41, "centre"))
        assert torch.allclose(R, expected)


def test_the_two_decodes_differ_by_half_a_bin_in_elevation_and_theta():
    model, images, names = untrained(), pictures(), ["box"] * 3
    centre, edge = (predict(model, images, names, decode=decode)[0] for decode in ("centre", "edge"))
    # Elevation beyond a pole has another name, so only nearness is the same for all bins.
    errors = torch.rad2deg(rotation_error_rad(centre, edge))
    assert ((errors > 0.1) & (errors < 2 * 180 / 41)).all()


def test_a_head_for_each_category_is_chosen_by_the_label():
    config = changed(categories=("box", "car"), heads="category")
    model, images = untrained(config), pictures(2)
    scores = model(images)
    assert scores.shape == (2, 2, 3, 41)
    assert torch.equal(model.chosen(scores, ["car", "box"]), torch.stack([scores[0, 1], scores[1, 0]]))
    general = untrained(changed(config, heads="general"))
    one = general(images)
    assert one.shape == (2, 1, 3, 41)
    assert torch.equal(general.chosen(one, ["car", "box"]), one[:, 0])
    with pytest.raises(ValueError, match="not trained on 'bux'; did you mean 'box'"):
        general.chosen(one, ["box", "bux"])


@pytest.mark.parametrize(("backbone", "size"), [("test_resnet", 64), ("test_vit", 64), ("test_vit", 72)])
def test_any_network_gives_scores(backbone, size):
    model = untrained(changed(backbone=backbone))
    assert model(pictures(2, size)).shape == (2, 1, 3, 41)


def test_weights_that_end_early_ask_for_a_smaller_stride(tmp_path):
    donor = untrained(changed(seed=5))
    file = tmp_path / "to_layer3.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in donor.body.state_dict().items()}, file)
    for freeze, learns in (("none", True), ("body", False)):
        model = untrained(changed(weights=str(file), freeze=freeze))
        for name, tensor in donor.body.state_dict().items():
            assert torch.equal(model.body.state_dict()[name], tensor)
        assert all(p.requires_grad == learns for p in model.body.parameters())
    assert not all(p.requires_grad for p in untrained(changed(weights=str(file), freeze="stem")).body.parameters())
    with pytest.raises(ValueError, match=r"tensors missing .* a --max-stride below 32"):
        untrained(changed(weights=str(file), max_stride=32))


@pytest.mark.parametrize(("name", "kind"), [("adamw", torch.optim.AdamW), ("sgd", torch.optim.SGD)])
def test_the_optimiser_by_name(name, kind):
    config = changed(optimiser=name, lr=1e-3, head_lr=2e-3)
    optimiser = BaselineTrainee(untrained(config), config).optimiser()
    assert type(optimiser) is kind
    assert [group["lr"] for group in optimiser.param_groups] == [2e-3, 1e-3]


def test_the_loss_is_the_mean_cross_entropy_of_the_true_bins(renders):
    batch = collate([place(sample, (64, 64), 0.9) for sample in (renders[0], renders[1])])
    trainee = BaselineTrainee(untrained(), CONFIG)
    loss, terms = trainee.loss(torch.zeros(2, 1, 3, 41), batch, 1, Processes())
    assert loss.item() == pytest.approx(math.log(41), rel=1e-6)
    true = bins_of(viewpoint_of(batch.cam_T_obj[:, :3, :3]), 41)
    sure = 20.0 * torch.nn.functional.one_hot(true, 41)[:, None].float()
    assert trainee.loss(sure, batch, 1, Processes())[0].item() < 1e-6
    sure[:, :, 2] = 0
    loss, terms = trainee.loss(sure, batch, 1, Processes())
    assert terms["theta"].item() == pytest.approx(math.log(41), rel=1e-6)
    assert loss.item() == pytest.approx(math.log(41) / 3, rel=1e-4)


def test_training_is_far_above_chance_on_held_out_renders(trained, run):
    model, steps, out = trained
    assert steps[0].loss == pytest.approx(math.log(41), abs=0.5)
    assert steps[-1].loss < 0.6 * steps[0].loss
    held_out = ShardSamples([run / "test" / "box-00000.tar"])
    estimator = BaselineEstimator(model, flip="none")
    found = [one.prediction for one in evaluate([estimator], held_out, lambda: None)]
    truth = torch.from_numpy(np.stack([p.R_true for p in found]))
    errors = rotation_error_rad(torch.from_numpy(np.stack([p.R_predicted for p in found])), truth)
    chance = rotation_error_rad(estimator.mode_rotations["box"], truth)
    assert float((errors < math.pi / 6).double().mean()) >= 0.5
    assert float((errors < math.pi / 6).sum()) > 2 * float((chance < math.pi / 6).sum())
    assert all(p.loss == pytest.approx(-math.log(p.confidence)) for p in found)
    assert sorted(p.name for p in out.iterdir()) == [
        "checksums.json", "config.toml", "model.json", "model.safetensors", "tensorboard", "train.jsonl",
    ]  # fmt: skip


def test_a_rerun_gives_the_same_losses_to_the_bit(renders, tmp_path):
    config = changed(steps=3, optimiser="sgd")
    first, again = (run_training(config, renders, tmp_path / name)[1] for name in ("a", "b"))
    assert first == again
    other = run_training(changed(config, seed=1), renders, tmp_path / "c")[1]
    assert [step.loss for step in other] != [step.loss for step in first]


def test_a_stopped_run_goes_on_to_the_same_model(renders, tmp_path):
    config = changed(steps=4, optimiser="sgd")
    whole, steps = run_training(config, renders, tmp_path / "whole")
    seen = []

    def stop(step):
        seen.append(step)
        if step.step == 2:
            raise KeyboardInterrupt

    options = LoopOptions(cpu=True, checkpoint_every=2)
    with pytest.raises(KeyboardInterrupt):
        train(config, renders, (), None, tmp_path / "cut", options, stop)
    resumed = train(config, renders, (), None, tmp_path / "cut", options, seen.append)
    assert seen == steps
    for name, tensor in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], tensor), name


def unlabelled_camera(sample):
    """The sample as a photograph of which only the rotation and the box are known."""
    cam_T_obj = sample.cam_T_obj.copy()
    cam_T_obj[:3, 3] = np.nan
    return replace(sample, cam_T_obj=cam_T_obj, K=np.full((3, 3), np.nan), mask=None)


def test_photographs_without_a_camera_are_trained_on_mirrored_and_turned(renders, tmp_path):
    real = [unlabelled_camera(sample) for sample in renders]
    config = changed(steps=2, real_share=1.0, augment=MILD)
    _, steps = run_training(config, (), tmp_path / "real", real)
    assert all(math.isfinite(step.loss) for step in steps)


def test_the_estimator_stands_the_pose_where_the_label_or_the_box_says(renders):
    samples = [renders[0], unlabelled_camera(renders[1])]
    estimator = BaselineEstimator(untrained())
    batch = collate([place(sample, estimator.canvas_hw, estimator.box_fill) for sample in samples])
    found = estimator.estimate(batch)
    R, confidence = predict(estimator.model, batch.image, batch.category)
    assert torch.equal(found.cam_T_obj[:, :3, :3], R)
    assert torch.equal(found.confidence, confidence)
    assert torch.equal(found.cam_T_obj[0, :3, 3], batch.cam_T_obj[0, :3, 3].double())
    assert torch.equal(found.K[0], batch.K[0].double())
    assert torch.isfinite(found.cam_T_obj).all()
    # The cube of the photograph fills its box.
    for pose, K in ((found.cam_T_obj[1], found.K[1]), [each[1] for each in estimator.camera(batch)]):
        signs = torch.cartesian_prod(*[torch.tensor([0, 1])] * 3)
        corners = torch.stack([estimator.boxes["box"][signs[:, axis], axis] for axis in range(3)], dim=1)
        pixels = project(transform(pose, corners.double()), K)
        box = torch.cat([pixels.amin(0), pixels.amax(0)])
        assert box.numpy() == pytest.approx(batch.box_xyxy[1].numpy(), abs=0.01)


def test_saved_and_loaded_it_says_the_same(tmp_path):
    config = changed(categories=("box", "car"), heads="category")
    modes = {"box": rotation_cam_obj(torch.tensor([0.1, 0.2, 0.3])), "car": torch.eye(3)}
    model = build(config, modes).eval()
    save_baseline(model, tmp_path)
    assert model_kind(tmp_path) == "res-general"
    again = load_baseline(tmp_path, CPU)
    assert again.spec == model.spec
    names, images = ["car", "box", "car"], pictures()
    for one, other in zip(predict(model, images, names), predict(again, images, names), strict=True):
        assert torch.allclose(one, other, atol=1e-6)
    estimator = BaselineEstimator(again)
    assert estimator.categories == ("box", "car")
    assert torch.allclose(estimator.mode_rotations["box"].float(), modes["box"])


def test_models_of_other_kinds_and_broken_ones_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"holds no model\.json"):
        load_baseline(tmp_path, CPU)
    file = tmp_path / "model.json"
    file.write_text(json.dumps({"schema": 2, "backbone": {}}))
    assert model_kind(tmp_path) == "neural-mesh"
    with pytest.raises(ValueError, match=r"model\.json is a model of kind 'neural-mesh', not 'res-general'"):
        load_baseline(tmp_path, CPU)
    file.write_text("{")
    with pytest.raises(ValueError, match=r"cannot read .*model\.json"):
        load_baseline(tmp_path, CPU)
    file.write_text(json.dumps({"schema": 0, "kind": "res-general"}))
    with pytest.raises(ValueError, match="schema 0"):
        load_baseline(tmp_path, CPU)
    save_baseline(untrained(), tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(ValueError, match="cannot read the model"):
        load_baseline(tmp_path, CPU)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"categories": ("box", "car")}, "no image of category 'car'"),
        ({"categories": ("car",)}, "is a 'box'"),
        ({"real_share": 0.5}, "needs real images"),
        ({"backbone": "resnet19"}, "resnet19"),
        ({"backbone": "test_vit", "max_stride": 8}, "no feature map of stride 8"),
    ],
)
def test_bad_input_to_a_training(renders, tmp_path, fields, message):
    with pytest.raises((ValueError, RuntimeError), match=message):
        run_training(changed(**fields), renders, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def call(*words):
    commands = Group("pose-models")
    commands.add_command(baseline)
    return CliRunner().invoke(commands, [str(word) for word in ("baseline", "train", *words)])


def test_the_command_trains_a_model_that_can_be_loaded(run, tmp_path):
    out = tmp_path / "res-general"
    small = ["--backbone=test_resnet", "--weights=none", "--steps=2", "--batch=2", "--image-size=64", "--max-stride=16"]
    given = ["--shards", run / "shards", "--out", out, "--device", "cpu", "--bins", 21, "--optimiser", "sgd", *small]
    done = call(*given)
    assert done.exit_code == 0, done.output
    assert "from random weights" in done.output
    model = load_baseline(out, CPU)
    assert (model.spec.categories, model.spec.bins, model.spec.max_stride) == (("box",), 21, 16)
    again = call(*given)
    assert again.exit_code == 1
    assert "--overwrite" in again.output


def test_the_help_has_an_example():
    result = call("--help")
    assert result.exit_code == 0
    assert "pose-models baseline train --shards" in result.output


@pytest.mark.slow
def test_the_given_weights_learn_the_rotations_of_a_few_photographs(data_dir, tmp_path):
    """Twenty photographs are memorized: weights, crops and labels of real data fit together."""
    weights = next((data_dir / "weights").glob("resnet18*.safetensors"))
    out = tmp_path / "cars"
    given = ["--real", f"cars3d:{data_dir / 'cars3d'}", "--category", "car", "--labels", 20, "--weights", weights]
    small = ["--max-stride", 16, "--freeze", "none", "--steps", 80, "--image-size", 96, "--batch", 10, "--lr", 1e-3]
    done = call(*given, *small, "--augment", "mild", "--no-mirror", "--out", out, "--device", "cpu")
    assert done.exit_code == 0, done.output
    losses = [json.loads(line)["azimuth"] for line in (out / "train.jsonl").read_text().splitlines()]
    assert np.mean(losses[-10:]) < 0.5 * np.mean(losses[:10])
