"""The command line: help with examples, exit status, and errors that name file, value and remedy."""

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner
from pose_helpers import write_run

from pose_models.cli import main


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("run"), train=4, test=2)


def call(*words):
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.mark.parametrize("command", ["train", "evaluate"])
def test_help_has_an_example(command):
    result = call(command, "--help")
    assert result.exit_code == 0
    assert f"Example: pose-models {command} " in result.output


def test_importing_the_command_loads_nothing_heavy():
    code = "import sys, pose_models.cli; print([m for m in ('torch', 'timm', 'cv2', 'webdataset') if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_train_then_evaluate(run, tmp_path):
    out = tmp_path / "nmm-box"
    small = ["--backbone", "test_resnet", "--steps", 2, "--batch", 2, "--image-size", 64, "--vertices", 100]
    given = ["--shards", run / "shards", "--category", "box", "--out", out, "--device", "cpu", *small]
    trained = call("train", *given)
    assert trained.exit_code == 0, trained.output
    assert "random weights (no --weights given)" in trained.output
    again = call("train", *given)
    assert again.exit_code == 1
    assert "--overwrite" in again.output
    assert call("train", *given, "--overwrite").exit_code == 0

    table = tmp_path / "table.json"
    tested = call("evaluate", "--model", out, "--shards", run / "test", "--json", table, "--device", "cpu")
    assert tested.exit_code == 0, tested.output
    for words in ("Acc pi/6", "chance: random rotation", "most frequent", "errors of pi/6 and more"):
        assert words in tested.output
    written = json.loads(table.read_text())
    assert written["rows"]["model"]["n"] == 2
    assert len(written["error_deg"]) == 2

    photographs = call("evaluate", "--model", out, "--cars3d", tmp_path)
    assert photographs.exit_code == 1
    assert "cars3d shows cars" in photographs.output


@pytest.mark.parametrize(
    ("change", "status", "message"),
    [
        ({"--shards": "nowhere"}, 1, "no shard matches 'nowhere'"),
        ({"--category": "car"}, 1, "categories found there: box"),
        ({"--cads": "nowhere"}, 1, "holds no CAD"),
        ({"--weights": "nowhere.safetensors"}, 1, "--weights nowhere.safetensors: no such file"),
        ({"--backgrounds": "nowhere"}, 1, "no picture"),
        ({"--backbone": "vit_tiny_patch16_224"}, 1, "stride 8"),
        ({"--backbone": "resnet19"}, 1, "resnet19"),
        ({"--steps": "0"}, 2, "--steps"),
        ({"--precision": "fp8"}, 2, "fp8"),
    ],
)
def test_bad_training_input(run, tmp_path, change, status, message):
    options = {"--shards": run / "shards", "--category": "box", "--out": tmp_path / "out", "--device": "cpu"} | change
    result = call("train", *(word for pair in options.items() for word in pair))
    assert result.exit_code == status, result.output
    assert message in result.output
    assert not (tmp_path / "out" / "model.json").exists()


def test_bad_evaluation_input(run, tmp_path):
    nothing = call("evaluate", "--model", tmp_path, "--shards", run / "test")
    assert nothing.exit_code == 1
    assert "holds no model.json" in nothing.output
    both = call("evaluate", "--model", tmp_path, "--shards", "a", "--cars3d", "b")
    assert both.exit_code == 2
    assert "either --shards or --cars3d" in both.output


def test_a_broken_model_is_named(tmp_path):
    (tmp_path / "model.json").write_text("{}")
    result = call("evaluate", "--model", tmp_path, "--cars3d", tmp_path)
    assert result.exit_code == 1
    assert str(tmp_path) in result.output.replace("\n", "")
