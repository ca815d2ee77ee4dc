"""The command `pose-models adapt 3duda`, and the benchmark of its epochs."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from pose_models.adapt.config import UdaConfig
from pose_models.adapt.source import ADAPT_FILE
from pose_models.adapt.target import Target
from pose_models.adapt.uda3d import run
from pose_models.config import load_config
from tests.helpers.uda import CONFIG, CPU, call, changed, hashes, without_seconds


@pytest.fixture
def command(made, tmp_path):
    options = ["--model", made / "model", "--target", made / "target", "--device", "cpu", "--precision", "no"]
    return ["adapt", "3duda", *options, "--limit", "8", "--out", tmp_path / "run"]


def test_the_command_adapts_and_watches(command, tmp_path):
    out = tmp_path / "run"
    call(*command, "--epochs", "1", "--watch", "--watch-limit", "4", "--delta", "source", "--bank-images", "4")
    config = load_config(UdaConfig, out / ADAPT_FILE)
    assert (config.epochs, config.delta, config.bank_images) == (1, "source", 4)
    history = without_seconds(out / "history.jsonl")
    assert all({"acc_pi_6", "acc_pi_18", "median_deg"} <= set(entry) for entry in history)
    assert len((out / "target.jsonl").read_text().splitlines()) == 8
    assert "already holds a model" in call(*command, "--epochs", "1", code=1)
    # An adapted model is a source like any other.
    again = ["--out", tmp_path / "again", "--epochs", "1", "--config", out / ADAPT_FILE, "--delta", "0.7"]
    call(*command, "--model", out, *again)
    assert load_config(UdaConfig, tmp_path / "again" / ADAPT_FILE) == changed(config, delta=0.7)


def test_what_does_not_fit_is_named(made, command, samples, tmp_path):
    assert "'much' is not a cosine from -1 to 1, nor the word source" in call(*command, "--delta", "much", code=2)
    assert "delta" in call(*command, "--delta", "3", code=1)
    assert "lie in one another" in call(*command, "--out", made / "model" / "in", code=1)
    strange = [replace(samples[0], category="sofa")]
    with pytest.raises(ValueError, match="the model knows box, not 'sofa'"):
        run(made / "model", Target(strange, 96), CONFIG, tmp_path / "sofa", CPU)
    with pytest.raises(ValueError, match="learning rate"):
        run(made / "model", Target(samples[:8], 96), changed(lr=1e30), tmp_path / "lost", CPU)
    with pytest.raises(ValueError, match="lists other images"):
        run(made / "model", Target(samples[:4], 96), changed(lr=1e30), tmp_path / "lost", CPU)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ADAPT_FILE).write_text("epochs = 7\n")
    assert "another configuration (epochs = 7, now 3)" in call(*command, code=1)


def test_the_benchmark_compares_epochs_of_the_same_images(made):
    before = hashes(made / "model")
    options = ["--model", made / "model", "--target", made / "target", "--limit", "10", "--device", "cpu"]
    figures = json.loads(call("bench", "adapt", *options).splitlines()[-1])
    assert hashes(made / "model") == before
    assert figures["images"] == 10
    training, kept, searched = (figures[f"{name}_s"] for name in ("training", "uda_kept_poses", "uda_searched_poses"))
    assert figures["uda_over_training"] == searched / training
    assert figures["uda_kept_poses_over_training"] == kept / training
    assert figures["cc3d_over_training"] == pytest.approx(1 + figures["labels_s"] / training)


@pytest.mark.slow
def test_a_killed_command_goes_on_bit_for_bit(command, tmp_path):
    code = "import torch; torch.set_num_threads(1); from pose_models.cli import main; main()"

    def process(out):
        return [sys.executable, "-c", code, *map(str, command), "--epochs", "4", "--out", str(out)]

    subprocess.run(process(tmp_path / "whole"), check=True, capture_output=True)
    killed = subprocess.Popen(process(tmp_path / "killed"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    checkpoint = tmp_path / "killed" / "checkpoint.safetensors"
    while not checkpoint.exists() and killed.poll() is None:
        time.sleep(0.005)
    os.kill(killed.pid, signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    subprocess.run(process(tmp_path / "killed"), check=True, capture_output=True)
    for name in ("model.safetensors", "model.json", "vertices.safetensors", ADAPT_FILE):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
    assert without_seconds(tmp_path / "killed" / "history.jsonl") == without_seconds(
        tmp_path / "whole" / "history.jsonl"
    )
