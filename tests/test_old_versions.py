"""A run, a dataset, models and a manifest that version 0.1.0 made: they are read, and nothing of them is made again."""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from p3d_gen.cli import main as p3dgen
from p3d_gen.run.ledgers import read_ledger
from p3d_gen.run.store import open_run
from p3d_gen.spec.manifest import load_manifest, manifest_hash
from pose_models.cli import main as pose_models
from tests.helpers.commands import STAGES, shard_hashes

OLD = Path(__file__).parent / "data" / "v0.1.0"
SMALL = ["--steps", 2, "--batch", 2, "--image-size", 32, "--vertices", 60, "--backbone=test_resnet", "--weights=none"]


def invoke(program, *words):
    result = CliRunner().invoke(program, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def old(tmp_path_factory):
    """A copy: some commands write beside what is there."""
    return shutil.copytree(OLD, tmp_path_factory.mktemp("old") / "v0.1.0")


def test_the_manifest_is_that_of_the_run(old):
    run = open_run(old / "run")
    assert manifest_hash(load_manifest(old / "manifest.toml")) == run.manifest_hash
    assert run.objects_may_leave  # as they did when it began


def test_no_shard_is_made_again(old):
    """Were the hash of one stage's inputs another one, its shards would be made again, or be an error."""
    run = open_run(old / "run")
    ledgers = [read_ledger(run, stage, shard) for stage in STAGES for shard in run.all_shards()]
    hashes = shard_hashes(run.root)
    assert len(hashes) == len(ledgers) == 12
    assert "4 samples in 4 shards, 0 failed" in invoke(p3dgen, "pack", run.root, "--workers", 1)
    assert "nothing to do" in invoke(p3dgen, "run", old / "manifest.toml", "--out", run.root, "--workers", 1)
    assert [read_ledger(run, stage, shard) for stage in STAGES for shard in run.all_shards()] == ledgers
    assert shard_hashes(run.root) == hashes


def test_the_run_is_sound_and_shown(old):
    assert "4 of 4 samples" in invoke(p3dgen, "status", old / "run")
    assert "4 packed samples, 0 known failures" in invoke(p3dgen, "verify", old / "run", "--workers", 1)
    assert json.loads((old / "run" / "verify.json").read_text())["sound"]
    assert "report.html" in invoke(p3dgen, "report", old / "run")


def test_the_dataset_is_that_of_the_run(old, tmp_path):
    assert "no leaks, no faults" in invoke(p3dgen, "dataset", "check", old / "dataset")
    for out in (tmp_path / "dataset", old / "dataset"):
        invoke(p3dgen, "dataset", "make", old / "run", "--split", "train=1", "--out", out)
        assert shard_hashes(out) == shard_hashes(OLD / "dataset")


@pytest.mark.parametrize("source", ["run", "dataset"])
def test_export(old, tmp_path, source):
    invoke(p3dgen, "export", "coco", old / source, "--out", tmp_path / "coco")
    images = [path.name for path in (tmp_path / "coco").rglob("*.jpg")]
    assert len(images) == 4


@pytest.mark.parametrize("model", ["nmm", "resg", "uda"])
def test_models_see_what_they_saw(old, tmp_path, model):
    data = ["--data", old / "run" / "shards", "--category", "chair"]
    invoke(pose_models, "evaluate", "--model", old / model, *data, "--device", "cpu", "--json", tmp_path / "figures")
    expected = json.loads((OLD / "expected.json").read_text())[model]["error_deg"]
    assert json.loads((tmp_path / "figures").read_text())["error_deg"] == pytest.approx(expected, rel=1e-4)


def test_training_on_its_shards(old, tmp_path):
    words = ["--category", "chair", "--device", "cpu", "--out", tmp_path / "nmm", *SMALL]
    invoke(pose_models, "train", "--shards", old / "run", *words)
    assert (tmp_path / "nmm" / "model.json").exists()


def test_adapting_its_model(old, tmp_path):
    target = ["--target", f"shards:{old / 'run'}", "--category", "chair"]
    words = ["--epochs", 1, "--device", "cpu", "--out", tmp_path / "uda"]
    invoke(pose_models, "adapt", "3duda", "--model", old / "nmm", *target, *words)
    assert (tmp_path / "uda" / "model.json").exists()
