"""The stylize stage over sealed renders, with a real diffusers pipeline of random weights."""

import json

import numpy as np
import pytest

from p3d_gen.core.codecs import decode_image, encode_png
from p3d_gen.core.errors import DependencyError, RunError
from p3d_gen.run.ledgers import seal, stage_inputs
from p3d_gen.run.local import run_shards
from p3d_gen.run.shards import read_shard, write_shard
from p3d_gen.run.store import create_run
from p3d_gen.stylize import stage
from p3d_gen.stylize.diffusion import DiffusionStylizer
from p3d_gen.stylize.edges import control_hw
from p3d_gen.stylize.stage import device_of_worker, stylize_shard
from tests.helpers.fake_runs import Noisy, fake_renders

HW = (64, 96)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    from tests.helpers.tiny_diffusion import save_tiny_pipeline

    return save_tiny_pipeline(tmp_path_factory.mktemp("weights"))


@pytest.fixture(autouse=True)
def _forget_pipelines():
    yield
    stage._pipeline.cache_clear()


def toml(tiny, **changes):
    """A section `stylize` with that pipeline, as the text of its keys."""
    base, controlnet = tiny
    values = {"stylizer": "controlnet", "base": str(base), "steps": 2, "resolution": 64, "batch": 2, **changes}
    lines = [f"{key} = {json.dumps(value)}" for key, value in values.items()]
    return "\n".join([*lines, f"control = [{{weights = {json.dumps(str(controlnet))}}}]"])


def diffused_run(root, manifest_path, tiny, **changes):
    text = manifest_path.read_text().partition("[stylize]")[0]
    manifest_path.write_text(f"{text}[stylize]\n{toml(tiny, **changes)}\n")
    run = create_run(root, manifest_path)
    fake_renders(run)
    return run


def stylized(run, workers=1, name=""):
    """The ledgers of all shards, and key -> members."""
    ledgers = list(run_shards(stylize_shard, str(run.root), run.all_shards(), workers, int))
    return ledgers, {k: m for shard in run.all_shards() for k, m in read_shard(run.tar("stylize", shard))}


def asked(members):
    return json.loads(members["stylize.json"])


def test_none_passes_the_render_through(run):
    fake_renders(run)
    ledgers, samples = stylized(run)
    assert [ledger.count for ledger in ledgers] == [2, 1, 2, 1]
    for shard in run.all_shards():
        for key, members in read_shard(run.tar("render", shard)):
            np.testing.assert_array_equal(
                decode_image(samples[key]["stylized.png"]), decode_image(members["render.png"])[..., :3]
            )
            edges = decode_image(samples[key]["edges.png"])
            assert edges.shape == control_hw(HW, run.manifest.stylize.resolution)
            assert edges.any()
            made = asked(samples[key])
            assert made["stylizer"] == "none"
            assert made["prompt"] == f"{made['colour']} {key.split('-')[0]}"
            assert made["attempts"] == 1
            assert all(0 <= made[name] <= 1 for name in ("survival", "edge_precision", "edge_recall", "silhouette"))
    assert np.mean([asked(members)["survival"] for members in samples.values()]) > 0.5


def test_bytes_do_not_depend_on_workers(tmp_path, manifest_path, tiny):
    run = diffused_run(tmp_path / "run", manifest_path, tiny)
    first, samples = stylized(run)
    assert sum(ledger.count for ledger in first) == 6
    assert all(decode_image(m["stylized.png"]).shape == (*HW, 3) for m in samples.values())
    other = diffused_run(tmp_path / "other", manifest_path, tiny)
    second, _ = stylized(other, workers=2)
    assert {x.shard: x.sha256 for x in first} == {x.shard: x.sha256 for x in second}


def test_what_made_a_picture_is_stored_with_it(tmp_path, manifest_path, tiny):
    run = diffused_run(tmp_path / "run", manifest_path, tiny, negative_prompt="blurry")
    _, samples = stylized(run)
    made = [asked(members) for members in samples.values()]
    assert {each["stylizer_base"] for each in made} == {str(tiny[0])}
    assert {each["negative_prompt"] for each in made} == {"blurry"}
    assert len({each["stylize_seed"] for each in made}) == 6
    assert {each["stylizer_steps"] for each in made} == {2}
    assert len({tuple((name, type(value)) for name, value in each.items()) for each in made}) == 1
    assert not {type(value) for each in made for value in each.values()} - {str, int, float}


@pytest.fixture
def noisy(monkeypatch):
    monkeypatch.setattr("p3d_gen.stylize.diffusion.DiffusionStylizer", Noisy)


@pytest.mark.usefixtures("noisy")
def test_pictures_that_do_not_show_the_label_are_made_again_and_then_left_out(tmp_path, manifest_path, tiny):
    first = diffused_run(tmp_path / "first", manifest_path, tiny)
    kept = {key: asked(members) for key, members in stylized(first)[1].items()}
    scores = sorted(each["survival"] for each in kept.values())
    asked_for = (scores[2] + scores[3]) / 2  # half of the first pictures will not do
    run = diffused_run(tmp_path / "run", manifest_path, tiny, min_survival=asked_for, retries=2)
    ledgers, samples = stylized(run)
    made = {key: asked(members) for key, members in samples.items()}
    failures = {failure.key: failure.reason for ledger in ledgers for failure in ledger.failures}
    assert {key for key in kept if key in made} | set(failures) == set(kept)
    assert all(each["survival"] >= asked_for for each in made.values())
    assert sum(each["attempts"] > 1 for each in made.values()) > 0
    again = sum(each["attempts"] - 1 for each in made.values()) + 3 * len(failures)
    assert sum(sum(ledger.notes.values()) for ledger in ledgers) == again
    assert all("given up after 3 pictures: label survival below" in reason for reason in failures.values())
    for key, each in made.items():
        assert (each["attempts"] == 1) == (each["stylize_seed"] == kept[key]["stylize_seed"])
        assert (each["attempts"] == 1) == (kept[key]["survival"] >= asked_for)


@pytest.mark.usefixtures("noisy")
def test_survival_that_cannot_be_had(tmp_path, manifest_path, tiny):
    run = diffused_run(tmp_path / "run", manifest_path, tiny, min_survival=1.0, retries=1)
    ledger = stylize_shard(str(run.root), "car-00000")
    assert ledger.count == 0
    assert len(ledger.failures) == 2
    for failure in ledger.failures:
        assert failure.reason.startswith("given up after 2 pictures: label survival below 1.0 (2), at best 0.")
    assert ledger.notes == {"label survival below 1.0": 4}


class Sometimes:
    """A real pipeline whose autoencoder gives no number for every latent whose first value is positive."""

    def __init__(self, settings, base_dir, device):
        self.model = DiffusionStylizer(settings, base_dir, device)
        self.provenance = self.model.provenance
        self.model._pipeline.vae.decoder.register_forward_pre_hook(self.poison)

    @property
    def halvings(self):
        return self.model.halvings

    @staticmethod
    def poison(module, arguments):
        latents = arguments[0].clone()
        latents[latents[:, 0, 0, 0] > 0] = float("nan")
        return (latents, *arguments[1:])

    def __call__(self, requests, image_hw):
        return self.model(requests, image_hw)


def test_pictures_without_numbers_are_made_again_and_counted(tmp_path, manifest_path, tiny, monkeypatch):
    monkeypatch.setattr("p3d_gen.stylize.diffusion.DiffusionStylizer", Sometimes)
    run = diffused_run(tmp_path / "run", manifest_path, tiny, retries=9)
    ledgers, samples = stylized(run)
    attempts = [asked(members)["attempts"] for members in samples.values()]
    assert len(samples) == 6
    assert max(attempts) > 1
    assert sum(ledger.notes.get("not a number", 0) for ledger in ledgers) == sum(attempts) - 6
    without = diffused_run(tmp_path / "without", manifest_path, tiny, retries=0)
    ledgers, _ = stylized(without)
    failures = [failure for ledger in ledgers for failure in ledger.failures]
    assert len(failures) == sum(attempt > 1 for attempt in attempts)
    assert {failure.reason for failure in failures} == {"given up after 1 pictures: not a number (1)"}


def test_a_flat_render_is_a_failure(run):
    fake_renders(run)
    shard = "car-00000"
    samples = [
        (key, members | {"render.png": encode_png(np.zeros((*HW, 4), np.uint8))})
        for key, members in read_shard(run.tar("render", shard))
    ]
    seal(run, "render", shard, stage_inputs(run, "render"), samples, [])
    ledger = stylize_shard(str(run.root), shard)
    assert ledger.count == 0
    assert {failure.reason for failure in ledger.failures} == {"given up after 1 pictures: flat (1)"}


def test_missing_upstream_and_a_changed_shard(run):
    with pytest.raises(RunError, match=r"run `p3dgen render` first"):
        stylize_shard(str(run.root), "car-00000")
    fake_renders(run)
    first = stylize_shard(str(run.root), "car-00000")
    write_shard(run.tar("render", "car-00000"), [])
    with pytest.raises(RunError, match="not what its ledger says"):
        stylize_shard(str(run.root), "car-00000")
    seal(run, "render", "car-00000", stage_inputs(run, "render"), [], [])
    assert stylize_shard(str(run.root), "car-00000").inputs != first.inputs  # made again from the new render


def test_an_error_in_a_thread_leaves_no_shard(run, monkeypatch):
    fake_renders(run)
    monkeypatch.setattr(stage, "control_picture", lambda *arguments: (_ for _ in ()).throw(DependencyError("no such")))
    with pytest.raises(DependencyError, match="no such"):
        stylize_shard(str(run.root), "car-00000")
    assert not list((run.root / "stylize").glob("*car-00000*"))


def test_each_worker_takes_a_gpu_of_its_own(monkeypatch):
    monkeypatch.setattr(stage, "count_gpus", lambda: 2)
    assert [device_of_worker("auto", n) for n in range(3)] == ["cuda:0", "cuda:1", "cuda:0"]
    assert device_of_worker("cuda", 1) == "cuda:1"
    assert device_of_worker("cpu", 1) == "cpu"
    monkeypatch.setattr(stage, "count_gpus", lambda: 0)
    assert [device_of_worker(name, 1) for name in ("auto", "cuda")] == ["auto", "cuda"]
