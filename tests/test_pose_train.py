"""Training and evaluation end to end on a small coloured box, reruns, and what lies in a run folder."""

import json
from dataclasses import replace

import pytest
import torch
from pose_helpers import write_run

from pose_models.config import TrainConfig
from pose_models.data.augment import AugmentConfig
from pose_models.data.cads import cad_vertices
from pose_models.data.shards import decode, read_shard
from pose_models.evaluate import evaluate
from pose_models.nmm import NeuralMeshModel, load_model
from pose_models.solve import SolveConfig
from pose_models.train import batches, canvas_for, clutter_cells, model_spec, train

CPU = torch.device("cpu")
# Mirroring is off: the box's two sides differ in colour.
CONFIG = TrainConfig(
    category="box",
    weights=None,
    backbone="test_resnet",
    image_size=96,
    steps=60,
    batch=8,
    lr=3e-3,
    head_lr=3e-3,
    channels=64,
    vertices=200,
    augment=AugmentConfig(mirror=False, hue=0.0, grey=0.0, colour=0.1),
)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def samples(run):
    return list(read_shard(run / "shards" / "box-00000.tar"))


@pytest.fixture(scope="module")
def cads(run):
    return cad_vertices(run / "cad", "box")


def run_training(config, samples, cads, out):
    steps = []
    model = train(config, samples, cads, out, backgrounds=None, device=CPU, on_step=steps.append)
    return model, steps


@pytest.fixture(scope="module")
def trained(samples, cads, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "nmm-box"
    model, steps = run_training(CONFIG, samples, cads, out)
    return model, steps, out


def test_held_out_renders_are_solved_far_above_chance(trained, run):
    model, _, _ = trained
    held_out = [decode(s) for s in read_shard(run / "test" / "box-00000.tar")]
    seen = []
    result = evaluate(model, held_out, SolveConfig(), lambda: seen.append(1))
    assert len(seen) == len(held_out) == result.rows["model"].n
    assert result.rows["model"].acc_pi_6 >= 0.75
    assert result.rows["model"].acc_pi_6 > 3 * result.rows["chance: most frequent pose"].acc_pi_6
    assert result.as_dict()["error_deg"].keys() == {s.key for s in held_out}


def test_the_log_names_its_terms_and_the_loss_falls(trained):
    _, steps, out = trained
    lines = [json.loads(line) for line in (out / "train.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, CONFIG.steps + 1))
    assert lines[-1] == vars(steps[-1])
    for line in lines:
        assert line["loss"] == pytest.approx(line["contrastive"] + CONFIG.clutter_term * line["clutter"], rel=1e-4)
    assert lines[-1]["loss"] < 0.7 * lines[0]["loss"]
    assert json.loads((out / "config.json").read_text())["steps"] == CONFIG.steps
    assert sorted(p.name for p in out.iterdir()) == ["config.json", "model.json", "model.safetensors", "train.jsonl"]


@torch.no_grad()
def test_a_saved_model_is_the_trained_one(trained):
    model, _, out = trained
    again = load_model(out, CPU)
    assert again.spec == model.spec
    image = torch.rand(1, 3, *model.spec.canvas_hw, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(again.net(image), model.net(image), atol=1e-6, rtol=0)
    assert torch.equal(again.vertex_features, model.vertex_features)
    assert torch.equal(again.clutter_mean(), model.clutter_mean())


def test_reruns_give_identical_losses_and_seeds_do_not(samples, cads, tmp_path):
    short = replace(CONFIG, steps=3)
    first, second = (run_training(short, samples, cads, tmp_path / name)[1] for name in "ab")
    assert first == second
    assert run_training(replace(short, seed=1), samples, cads, tmp_path / "c")[1] != first


def test_every_sample_comes_once_per_epoch(samples, cads):
    config = replace(CONFIG, steps=6, batch=8)
    keys = [key for batch in batches(samples, model_spec(config, samples, cads), config, None) for key in batch.key]
    for epoch in (keys[:24], keys[24:]):
        assert sorted(epoch) == sorted(s.key for s in samples)
    assert keys[:24] != keys[24:]


def test_clutter_is_taken_where_background_shows_and_no_vertex_falls(samples, cads):
    config = replace(CONFIG, steps=1, batch=2)
    spec = model_spec(config, samples, cads)
    batch = next(batches(samples, spec, config, None))
    height, width = spec.canvas_hw[0] // 8, spec.canvas_hw[1] // 8
    pixels = torch.tensor([[[12.0, 20.0], [-3.0, 5.0], [1e6, 1.0]]]).expand(2, 3, 2)
    free = clutter_cells(batch, pixels, (height, width)).view(2, height, width)
    assert free[:, 2, 1].sum() == 0
    shown = torch.nn.functional.max_pool2d(1 - batch.mask[:, None], 8)[:, 0] > 0.5
    shown[:, 2, 1] = False
    assert torch.equal(free.bool(), shown)


def test_canvas_follows_the_boxes():
    def boxes(width, height):
        return torch.tensor([[0.0, 0.0, width, height]] * 3).double().numpy()

    assert canvas_for(boxes(20, 10), 256) == (160, 256)
    assert canvas_for(boxes(10, 10), 160) == (160, 160)
    assert canvas_for(boxes(3, 9), 160) == (160, 96)


def test_clutter_bank_is_first_in_first_out(samples, cads):
    config = replace(CONFIG, clutter_images=2, clutter_per_image=2)
    spec = model_spec(config, samples, cads)
    model = NeuralMeshModel(spec, torch.zeros(1, 4, 3), torch.Generator().manual_seed(0))
    assert len(model.clutter_bank()) == 0
    assert model.clutter_mean().abs().sum() == 0
    rows = torch.arange(6.0)[:, None].expand(6, 64)
    model.push_clutter(rows[:3])
    assert model.clutter_bank()[:, 0].tolist() == [0, 1, 2]
    model.push_clutter(rows[3:])
    assert model.clutter_bank()[:, 0].tolist() == [4, 5, 2, 3]
