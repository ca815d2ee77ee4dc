"""Training end to end on a small coloured box: reruns, interruptions, averages, sources, and what a run leaves."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save
from torch.utils.data import get_worker_info

from p3d_gen.core.errors import ConfigError, RunError
from pose_models.config import TrainConfig, load_config, save_config
from pose_models.data.augment import Backgrounds
from pose_models.data.cads import cad_vertices
from pose_models.data.shards import ShardSamples, shard_paths
from pose_models.data.views import Views, loader
from pose_models.estimator import EstimateConfig
from pose_models.evaluation import evaluate
from pose_models.loading import load_estimators
from pose_models.mesh_estimator import MeshEstimator
from pose_models.metrics import pose_metrics, prediction_errors
from pose_models.nmm import NeuralMeshModel, load_model
from pose_models.training import LoopOptions, Sources, train
from pose_models.training.loop import Processes
from pose_models.training.spec import build, canvas_for, model_spec, outlines_of
from pose_models.training.step import MeshTrainee, clutter_cells
from tests.helpers.boxes import write_run
from tests.helpers.uda import CPU
from tests.helpers.uda import SOURCE as CONFIG

OPTIONS = LoopOptions(cpu=True)


def changed(config=CONFIG, **fields):
    return config.model_copy(update=fields)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def sources(run):
    return Sources(
        renders=ShardSamples([run / "shards" / "box-00000.tar"]), cads={"box": cad_vertices(run / "cad", "box")}
    )


@pytest.fixture(scope="module")
def held_out(run):
    return ShardSamples([run / "test" / "box-00000.tar"])


def run_training(config, sources, out, options=OPTIONS):
    steps = []
    return train(config, sources, out, options, steps.append), steps


@pytest.fixture(scope="module")
def trained(sources, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "nmm-box"
    model, steps = run_training(CONFIG, sources, out)
    return model, steps, out


def accuracy(model, samples):
    found = evaluate([MeshEstimator(model, EstimateConfig())], samples, lambda: None)
    return pose_metrics(prediction_errors([one.prediction for one in found]))


def test_held_out_renders_are_solved_far_above_chance(trained, held_out):
    model, _, out = trained
    assert accuracy(model, held_out).acc_pi_6 >= 0.75
    seen = []
    found = evaluate(load_estimators(out, CPU, EstimateConfig()), held_out, lambda: seen.append(1))
    assert len(seen) == len(found) == len(held_out)
    assert [one.prediction.key for one in found] == [sample.key for sample in held_out]


def test_the_log_names_its_terms_and_the_loss_falls(trained):
    _, steps, out = trained
    lines = [json.loads(line) for line in (out / "train.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, CONFIG.steps + 1))
    assert lines[-1] == steps[-1].as_dict()
    for line in lines:
        assert line["loss"] == pytest.approx(line["contrastive"] + CONFIG.clutter_term * line["clutter"], rel=1e-4)
    assert lines[-1]["loss"] < 0.7 * lines[0]["loss"]


def test_a_finished_run_holds_configuration_log_curves_and_model(trained):
    _, steps, out = trained
    names = ["checksums.json", "config.toml", "model.json", "model.safetensors", "source_similarity.safetensors"]
    names += ["tensorboard", "train.jsonl"]
    assert sorted(p.name for p in out.iterdir()) == names
    written = {name: (out / name).stat().st_mtime_ns for name in names}
    assert written["checksums.json"] > max(written["model.json"], written["source_similarity.safetensors"])
    assert load_config(TrainConfig, out / "config.toml") == CONFIG
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    curves = EventAccumulator(str(out / "tensorboard"))
    curves.Reload()
    assert [event.step for event in curves.Scalars("loss")] == list(range(1, CONFIG.steps + 1))
    assert curves.Scalars("loss")[-1].value == pytest.approx(steps[-1].loss, rel=1e-6)


@torch.no_grad()
def test_a_saved_model_is_the_trained_one(trained):
    model, _, out = trained
    again = load_model(out, CPU)
    assert again.spec == model.spec
    image = torch.rand(1, 3, *model.spec.canvas_hw, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(again.net(image), model.net(image), atol=1e-6, rtol=0)
    assert torch.equal(again.neural_mesh("box").vertex_features, model.neural_mesh("box").vertex_features)
    assert torch.equal(again.clutter_mean(), model.clutter_mean())
    with pytest.raises(ValueError, match="knows box, not 'car'"):
        again.neural_mesh("car")


def test_reruns_give_identical_losses_and_seeds_do_not(sources, tmp_path):
    short = changed(steps=3)
    first, second = (run_training(short, sources, tmp_path / name)[1] for name in "ab")
    assert first == second
    assert run_training(changed(short, seed=1), sources, tmp_path / "c")[1] != first
    assert run_training(short, sources, tmp_path / "d", LoopOptions(cpu=True, workers=2))[1] == first


class _StopError(Exception):
    pass


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_a_stopped_run_goes_on_bit_for_bit(sources, tmp_path, ema):
    config = changed(steps=7, ema=ema)
    whole, _ = run_training(config, sources, tmp_path / "whole")

    def stop(step):
        if step.step == 5:
            raise _StopError

    out = tmp_path / "stopped"
    with pytest.raises(_StopError):
        train(config, sources, out, LoopOptions(cpu=True, checkpoint_every=2), stop)
    assert not (out / "model.json").exists()
    continued, steps = run_training(config, sources, out)
    assert [step.step for step in steps] == [5, 6, 7]
    for name, value in whole.state_dict().items():
        assert torch.equal(value, continued.state_dict()[name]), name
    assert (out / "train.jsonl").read_text() == (tmp_path / "whole" / "train.jsonl").read_text()
    assert not (out / "checkpoint.safetensors").exists()


def test_a_killed_command_goes_on_bit_for_bit(run, tmp_path):
    small = ["--backbone=test_resnet", "--weights=none", "--batch=4", "--image-size=64", "--vertices=100", "--steps=40"]
    code = "import torch; torch.set_num_threads(1); from pose_models.cli import main; main()"

    def command(out):
        given = ["--shards", str(run / "shards"), "--device", "cpu", "--checkpoint-every", "3", "--out", str(out)]
        return [sys.executable, "-c", code, "train", *given, *small]

    subprocess.run(command(tmp_path / "whole"), check=True, capture_output=True)
    killed = subprocess.Popen(command(tmp_path / "killed"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    checkpoint = tmp_path / "killed" / "checkpoint.safetensors"
    while not checkpoint.exists() and killed.poll() is None:
        time.sleep(0.005)
    os.kill(killed.pid, signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    subprocess.run(command(tmp_path / "killed"), check=True, capture_output=True)
    for name in ("model.safetensors", "model.json", "train.jsonl", "config.toml"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def test_a_broken_checkpoint_is_named(sources, tmp_path):
    (tmp_path / "checkpoint.safetensors").write_bytes(b"no")
    with pytest.raises(RunError, match=r"checkpoint.safetensors is damaged: .*--overwrite"):
        run_training(changed(steps=1), sources, tmp_path)


def _stopped(config, sources, out):
    """A training with a checkpoint after its second step."""

    def stop(step):
        if step.step == 3:
            raise _StopError

    with pytest.raises(_StopError):
        train(config, sources, out, LoopOptions(cpu=True, checkpoint_every=2), stop)


def _two_shards(root):
    """The shard of a run, and another one beside it."""
    run = write_run(root, train=4, test=4)
    (run / "test" / "box-00000.tar").rename(run / "shards" / "box-00001.tar")
    return run


def _sources(run, **others):
    paths = shard_paths(str(run / "shards"), "box")
    return Sources(**{"renders": ShardSamples(paths), "cads": {"box": cad_vertices(run / "cad", "box")}} | others)


def test_a_training_goes_on_only_with_the_data_that_it_began_with(tmp_path):
    config, run, out = changed(steps=4, batch=2), _two_shards(tmp_path / "run"), tmp_path / "out"
    _stopped(config, _sources(run), out)
    moved = run.rename(tmp_path / "moved")  # the same data
    second = moved / "shards" / "box-00001.tar"
    content = second.read_bytes()
    second.unlink()
    with pytest.raises(RunError, match=r"was trained on other data \(shards.box-00001.tar: '.*' -> None\)"):
        run_training(config, _sources(moved), out)
    second.write_bytes((moved / "shards" / "box-00000.tar").read_bytes())
    with pytest.raises(RunError, match=r"other data \(shards.box-00001.tar: "):
        run_training(config, _sources(moved), out)
    second.write_bytes(content)
    larger = {"box": {name: 1.1 * points for name, points in cad_vertices(moved / "cad", "box").items()}}
    with pytest.raises(RunError, match=r"other data \(cads.box: "):
        run_training(config, _sources(moved, cads=larger), out)
    (tmp_path / "behind").mkdir()
    Image.new("RGB", (64, 64)).save(tmp_path / "behind" / "b.png")
    with pytest.raises(RunError, match=r"other data \(backgrounds: None -> "):
        run_training(config, _sources(moved, backgrounds=Backgrounds(tmp_path / "behind")), out)
    run_training(config, _sources(moved), out)
    assert (out / "model.json").exists()


def test_photographs_belong_to_the_data(run, tmp_path):
    config, samples = changed(steps=4, batch=2, real_share=1.0), list(ShardSamples(shard_paths(str(run), "box")))[:4]
    cads = {"box": cad_vertices(run / "cad", "box")}
    _stopped(config, Sources(real=samples, cads=cads), tmp_path)
    other = replace(samples[1], image=samples[1].image ^ 1)
    with pytest.raises(RunError, match=r"other data \(photographs: "):
        run_training(config, Sources(real=[samples[0], other, *samples[2:]], cads=cads), tmp_path)
    run_training(config, Sources(real=samples, cads=cads), tmp_path)


def test_a_checkpoint_of_version_0_1_0_goes_on(sources, tmp_path):
    """It tells nothing about its data."""
    config, path = changed(steps=4), tmp_path / "checkpoint.safetensors"
    _stopped(config, sources, tmp_path)
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  not a mapping
        step = file.metadata()["step"]
    path.write_bytes(save(tensors, metadata={"step": step}))
    assert [step.step for step in run_training(config, sources, tmp_path)[1]] == [3, 4]


def test_averaged_weights_are_those_that_are_saved(sources, tmp_path):
    plain, steps = run_training(changed(steps=4), sources, tmp_path / "plain")
    averaged, other = run_training(changed(steps=4, ema=0.5), sources, tmp_path / "averaged")
    assert steps == other  # what is learnt is the same
    assert torch.equal(plain.neural_mesh("box").vertex_features, averaged.neural_mesh("box").vertex_features)
    assert not torch.equal(plain.net.head.project.weight, averaged.net.head.project.weight)


def test_one_backbone_for_two_categories_tells_them_apart(tmp_path):
    """Boxes of two colour sets: with the category inferred, most are still taken for what they are."""
    paths, cads = [], {}
    for number, name in enumerate(("box", "crate")):
        made = write_run(tmp_path / name, category=name, seed=number, inverted=bool(number))
        paths += [made / "shards" / f"{name}-00000.tar"]
        cads[name] = cad_vertices(made / "cad", name)
    sources = Sources(renders=ShardSamples(paths), cads=cads)
    model, _ = run_training(changed(categories=("box", "crate"), steps=60), sources, tmp_path / "out")
    assert model.spec.categories == ("box", "crate")
    samples = [s for name in cads for s in ShardSamples([tmp_path / name / "test" / f"{name}-00000.tar"])]
    found = evaluate([MeshEstimator(model, EstimateConfig(infer=True))], samples, lambda: None, infer=True)
    right = [one.prediction.category_predicted == one.prediction.category for one in found]
    assert np.mean(right) >= 0.8
    assert pose_metrics(prediction_errors([one.prediction for one in found])).acc_pi_6 >= 0.5


def test_every_sample_comes_once_per_epoch_and_real_ones_at_their_share(sources):
    config = changed(steps=12, batch=8, real_share=0.25)
    views = Views(sources.renders, [sources.renders[i] for i in range(5)], (64, 96), config, None)
    drawn = [views.which(number) for number in range(len(views))]
    shares = [sum(source for source, _ in drawn[i : i + 8]) for i in range(0, 96, 8)]
    assert shares == [2] * 12
    renders = [index for source, index in drawn if source == 0]
    assert sorted(renders[:24]) == sorted(renders[24:48]) == list(range(24))
    assert renders[:24] != renders[24:48]
    real = [index for source, index in drawn if source == 1]
    assert sorted(real[:5]) == sorted(real[5:10]) == list(range(5))
    odd = Views(sources.renders, sources.renders, (64, 96), changed(config, real_share=0.3), None)
    assert sum(source for source, _ in map(odd.which, range(96))) == 28


def test_processes_share_a_batch_and_start_anywhere(sources):
    config = changed(steps=4, batch=4)
    views = Views(sources.renders, (), (64, 96), config, None)
    options = {"workers": 0, "rank": 0, "processes": 1}
    whole = [batch.key for batch in loader(views, config, first=0, **options)]
    assert [batch.key for batch in loader(views, config, first=2, **options)] == whole[2:]
    halves = [
        [batch.key for batch in loader(views, config, first=0, workers=0, rank=rank, processes=2)] for rank in (0, 1)
    ]
    assert [a + b for a, b in zip(*halves, strict=True)] == whole
    with pytest.raises(ValueError, match="batch 4 does not divide among 3 processes"):
        loader(views, config, first=0, workers=0, rank=0, processes=3)


class WithoutSharedMemory(list):
    """Samples in a process that may write no file above 20 kB: so shared memory is full for its batches."""

    def __getitem__(self, index):
        if get_worker_info() is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
        return super().__getitem__(index)


def test_batches_pass_where_shared_memory_is_full(sources, caplog):
    config = changed(steps=3, batch=4)
    options = {"first": 0, "rank": 0, "processes": 1}
    small = Views(WithoutSharedMemory(sources.renders), (), (64, 96), config, None)
    here, there = (list(loader(small, config, workers=workers, **options)) for workers in (0, 2))
    for a, b in zip(here, there, strict=True):
        assert a.key == b.key
        for name in ("image", "mask", "occluder", "cam_T_obj", "K", "box_xyxy"):
            torch.testing.assert_close(getattr(a, name), getattr(b, name), rtol=0, atol=0, equal_nan=True)
    (said,) = caplog.messages
    assert said.startswith("/dev/shm has ")
    assert "they pass through pipes instead" in said


def test_missing_sources_are_named(sources):
    with pytest.raises(ValueError, match="needs real images"):
        Views(sources.renders, (), (64, 96), changed(real_share=0.5), None)
    with pytest.raises(ValueError, match="no image of category 'car'"):
        model_spec(changed(categories=("car",)), (sources.renders,), {"car": sources.cads["box"]})


@pytest.fixture(scope="module")
def batch(sources):
    config = changed(steps=1, batch=2)
    return next(
        iter(
            loader(Views(sources.renders, (), (64, 96), config, None), config, first=0, workers=0, rank=0, processes=1)
        )
    )


def test_clutter_is_taken_where_background_shows_and_no_vertex_falls(batch):
    covered = torch.zeros(2, 8, 12, dtype=torch.bool)
    covered[:, 2, 1] = True
    free = clutter_cells(batch, covered.flatten(1)).view(2, 8, 12)
    shown = torch.nn.functional.max_pool2d(1 - batch.mask[:, None], 8)[:, 0] > 0.5
    shown[:, 2, 1] = False
    assert torch.equal(free.bool(), shown)


def test_without_a_mask_clutter_is_taken_inside_the_box_beside_the_mesh(batch):
    unknown = replace(
        batch, mask=torch.full_like(batch.mask, torch.nan), box_xyxy=torch.tensor([[8.0, 16, 40, 48]] * 2)
    )
    free = clutter_cells(unknown, torch.zeros(2, 96, dtype=torch.bool)).view(2, 8, 12)
    expected = torch.zeros(2, 8, 12)
    expected[:, 2:6, 1:5] = 1
    assert torch.equal(free, expected)


def test_hidden_vertices_teach_nothing(sources, batch):
    spec = model_spec(CONFIG, (sources.renders,), sources.cads)
    everything = replace(batch, occluder=torch.ones_like(batch.occluder))
    for one, moved in ((batch, True), (everything, False)):
        model = build(CONFIG, spec, outlines_of(sources.cads))
        before = model.neural_mesh("box").vertex_features
        loss, terms = MeshTrainee(model, CONFIG).loss(model.net(one.image), one, 1, Processes())
        assert (terms["contrastive"].item() > 0) == moved
        assert torch.isfinite(loss)
        assert torch.equal(model.neural_mesh("box").vertex_features, before) != moved


@pytest.mark.parametrize("freeze", ["none", "norm", "stem", "body"])
def test_what_is_frozen_stays(sources, tmp_path, freeze):
    from safetensors.torch import save_file

    spec = model_spec(CONFIG, (sources.renders,), sources.cads)
    body = build(changed(seed=5), spec, outlines_of(sources.cads)).net.body.state_dict()
    save_file({name: value.contiguous() for name, value in body.items()}, tmp_path / "body.safetensors")
    config = changed(steps=2, freeze=freeze, weights=str(tmp_path / "body.safetensors"))
    after = run_training(config, sources, tmp_path / "out")[0].net.body.state_dict()
    same = {name for name in body if torch.equal(body[name], after[name])}
    statistics = {name for name in body if "running" in name}
    assert (statistics <= same) == (freeze != "none")
    assert ("layer1.0.conv1.weight" in same) == (freeze in ("stem", "body"))
    assert ("layer3.0.conv1.weight" in same) == (freeze == "body")


def test_canvas_follows_the_boxes():
    def boxes(width, height):
        return np.array([[0.0, 0.0, width, height]] * 3)

    assert canvas_for(boxes(20, 10), 256) == (160, 256)
    assert canvas_for(boxes(10, 10), 160) == (160, 160)
    assert canvas_for(boxes(3, 9), 160) == (160, 96)


def test_clutter_bank_is_first_in_first_out(sources):
    config = changed(clutter_images=2, clutter_per_image=2)
    spec = model_spec(config, (sources.renders,), sources.cads)
    model = NeuralMeshModel(spec, {"box": torch.zeros(1, 4, 3)}, torch.Generator().manual_seed(0))
    assert len(model.clutter_bank()) == 0
    assert model.clutter_mean().abs().sum() == 0
    rows = torch.arange(6.0)[:, None].expand(6, 64)
    model.push_clutter(rows[:3])
    assert model.clutter_bank()[:, 0].tolist() == [0, 1, 2]
    model.push_clutter(rows[3:])
    assert model.clutter_bank()[:, 0].tolist() == [4, 5, 2, 3]


def test_configurations_come_back_and_bad_ones_are_named(tmp_path):
    path = tmp_path / "config.toml"
    save_config(CONFIG, path)
    assert load_config(TrainConfig, path) == CONFIG
    assert tomllib.loads(path.read_text())["augment"]["mirror"] is False
    path.write_text(path.read_text().replace("vertices = 200", "vertices = 3"))
    with pytest.raises(ConfigError, match=r"config.toml is not a valid configuration:\n  vertices = 3"):
        load_config(TrainConfig, path)
    path.write_text('categories = ["car"]\nstepz = 3\n')
    with pytest.raises(ConfigError, match=r"config.toml is not .*\n  unknown key 'stepz'; did you mean 'steps'"):
        load_config(TrainConfig, path)


GOLDEN = [6.901467, 5.124841, 4.733382, 4.337754, 4.427079]


def test_golden_losses(sources, tmp_path):
    """A short training gives the losses it always gave; another order of floating-point sums moves the last digits."""
    _, steps = run_training(changed(steps=5), sources, tmp_path)
    np.testing.assert_allclose([step.loss for step in steps], GOLDEN, rtol=2e-3)


@pytest.mark.slow
def test_two_processes_learn_what_one_does(run, tmp_path):
    """`accelerate launch` on two CPU processes: the same images, nearly the same losses (batch norms see halves)."""
    small = ["--backbone=test_resnet", "--weights=none", "--batch=8", "--image-size=64", "--vertices=100", "--steps=6"]
    given = ["train", "--shards", str(run / "shards"), "--device", "cpu", *small]
    script = tmp_path / "go.py"
    script.write_text("import torch; torch.set_num_threads(1)\nfrom pose_models.cli import main\nmain()\n")
    launch = [str(Path(sys.executable).parent / "accelerate"), "launch", "--cpu", "--num_processes", "2"]
    launch += ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no", str(script)]
    subprocess.run([*launch, *given, "--out", str(tmp_path / "two")], check=True, capture_output=True)
    subprocess.run(
        [sys.executable, str(script), *given, "--out", str(tmp_path / "one")], check=True, capture_output=True
    )
    losses = [
        [json.loads(line)["contrastive"] for line in (tmp_path / name / "train.jsonl").read_text().splitlines()]
        for name in ("one", "two")
    ]
    assert len(losses[1]) == 6
    np.testing.assert_allclose(losses[0], losses[1], rtol=0.1)
