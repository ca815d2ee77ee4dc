"""Damage: every file that pose-models keeps is missed, named rightly, and never loaded; what is made again is not."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from safetensors import safe_open
from safetensors.torch import save

import pose_models as pm
from pose_models.cli import main
from pose_models.ledger import LEDGER_FILE, forget
from pose_models.tensor_file import write_tensors
from pose_models.training import loop
from pose_models.training.source_similarity import SIMILARITY_FILE
from tests.helpers.boxes import write_run

OLD = Path(__file__).parents[1] / "data" / "v0.1.0"
SMALL = ["--steps", 3, "--batch", 2, "--image-size", 32, "--device", "cpu", "--checkpoint-every", 1]
VIEWS = {"sphere.png", "risk_coverage.png", "cases.png", "tables.txt", "tables.md", "tables.tex"}


def call(*words, code=0):
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result.output


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A training, a baseline, both adaptations, a finetuning, an evaluation and a prediction, by the commands."""
    root = tmp_path_factory.mktemp("soundness")
    write_run(root / "run", train=6, test=3)
    shards, made = root / "run" / "shards", root / "made"
    network = ["--backbone=test_resnet", "--weights=none"]
    call("train", "--shards", shards, "--vertices", 60, "--out", made / "nmm", *network, *SMALL)
    call("baseline", "train", "--shards", shards, "--out", made / "resg", *network, *SMALL)
    target = ["--model", made / "nmm", "--target", root / "run" / "test", "--device", "cpu"]
    call("adapt", "cc3d", *target, "--out", made / "cc3d", "--arm", "released", "--rounds", 2, "--steps", 2)
    call("adapt", "3duda", *target, "--out", made / "uda", "--epochs", 1)
    real = ["--real", root / "run" / "test", "--labels", 2, "--steps", 2, "--batch", 2]
    call("finetune", "--model", made / "nmm", *real, "--out", made / "few", "--device", "cpu")
    call("evaluate", "--model", made / "nmm", "--data", root / "run" / "test", "--out", made / "figures")
    cv2.imwrite(str(root / "run" / "picture.jpg"), np.full((64, 96, 3), 120, np.uint8))
    call("predict", root / "run" / "picture.jpg", "--model", made / "nmm", "--out", made / "answers")
    return root


def kept(folder):
    """The files of a folder that are not made again from others."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return [p for p in files if p.name not in VIEWS and not {"tensorboard", "tables", "answers"} & set(p.parts)]


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def truncate(path):
    path.write_bytes(path.read_bytes()[:-7])


def swap(path):
    path.write_bytes((path.parents[1] / "other").read_bytes())


@pytest.mark.parametrize("damage", [flip, truncate, swap, Path.unlink])
def test_every_kept_file_is_missed_by_its_name(world, tmp_path, damage):
    made = shutil.copytree(world / "made", tmp_path / "made")
    assert pm.check(made).sound
    assert len(kept(made)) > 40
    for path in kept(made):
        content = path.read_bytes()
        (path.parents[1] / "other").write_bytes(b'{"schema": 1}\n')
        damage(path)
        faults = pm.check(made).faults
        assert path in [fault.path for fault in faults], path
        # A round's ledger has its own checksum, and is part of the adaptation's.
        assert {fault.path for fault in faults} == {path}, path
        path.write_bytes(content)
        (path.parents[1] / "other").unlink()
    assert pm.check(made).sound


def test_an_answer_is_missed_by_its_name(world, tmp_path):
    answers = shutil.copytree(world / "made" / "answers", tmp_path / "answers")
    path = answers / "picture.json"
    assert pm.check(answers).files == 1
    whole = path.read_bytes()
    for damage in (flip, truncate):
        damage(path)
        assert [fault.path for fault in pm.check(answers).faults] == [path]
        path.write_bytes(whole)
    shutil.copy(path, answers / "other.json")
    assert [fault.path for fault in pm.check(answers).faults] == [answers / "other.json"]


@pytest.mark.parametrize("name", ["model.json", "model.safetensors", "config.toml", LEDGER_FILE])
def test_no_command_uses_a_damaged_model(world, tmp_path, name):
    model = shutil.copytree(world / "made" / "nmm", tmp_path / "nmm")
    flip(model / name)
    images, photographs = ["--model", model, "--device", "cpu"], world / "run" / "test"
    said = [call("adapt", "3duda", *images, "--target", photographs, "--out", tmp_path / "uda", code=1)]
    said.append(call("finetune", *images, "--real", photographs, "--labels", 1, "--out", tmp_path / "few", code=1))
    if name != "config.toml":
        said.append(call("evaluate", *images, "--data", photographs, code=1))
        said.append(call("predict", world / "run" / "picture.jpg", *images, "--out", tmp_path / "answers", code=1))
    for each in said:
        assert f"{model / name} is damaged: " in each, each
    assert [path.parent for path in tmp_path.glob("*/model.safetensors")] == [model]


def test_models_without_checksums_are_read_and_said_to_be_so(tmp_path):
    old = shutil.copytree(OLD, tmp_path / "old")
    for name in ("nmm", "resg", "uda"):
        result = pm.check(old / name)
        assert result.sound
        assert result.files >= 4
        assert "made before checksums were kept" in result.notes[0]
        assert "no faults" in call("check", old / name)
    for name in ("model.json", "model.safetensors", "config.toml"):
        path = old / "nmm" / name
        whole = path.read_bytes()
        path.unlink()
        assert path in [fault.path for fault in pm.check(old / "nmm").faults]
        path.write_bytes(whole[: len(whole) // 2])
        assert path in [fault.path for fault in pm.check(old / "nmm").faults]
        path.write_bytes(whole)


def test_the_command_prints_a_line_for_each_fault(world, tmp_path):
    model = shutil.copytree(world / "made" / "nmm", tmp_path / "nmm")
    assert call("check", model).endswith("no faults\n")
    flip(model / "model.json")
    (model / "train.jsonl").unlink()
    lines = call("check", model, code=1).splitlines()
    assert sorted(line.split()[0] for line in lines[:-1]) == [str(model / "model.json"), str(model / "train.jsonl")]
    assert lines[-1] == "Error: 2 faults, listed above"
    result = json.loads(CliRunner().invoke(main, ["check", str(model), "--json"]).stdout)
    assert not result["sound"]
    assert sorted(Path(each["file"]).name for each in result["faults"]) == ["model.json", "train.jsonl"]
    (tmp_path / "empty").mkdir()
    assert "holds nothing that pose-models keeps" in call("check", tmp_path / "empty", code=1)


@pytest.fixture(scope="module")
def stopped(world, tmp_path_factory):
    """A training and an adaptation that end after their second checkpoint, and the commands that continue them."""
    root = tmp_path_factory.mktemp("stopped")
    network = ["--backbone=test_resnet", "--weights=none", "--vertices", 60, *SMALL]
    train = ["train", "--shards", world / "run" / "shards", *network, "--out"]
    cc3d = ["adapt", "cc3d", "--model", world / "made" / "nmm", "--target", world / "run" / "test", "--steps", 3]
    cc3d += ["--arm", "released", "--device", "cpu", "--checkpoint-every", 1, "--out"]
    kept = loop.save_checkpoint

    def stop(folder, step, *given, **more):
        kept(folder, step, *given, **more)
        if step == 2:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "save_checkpoint", stop)
        for words, name in ((train, "train"), (cc3d, "cc3d")):
            call(*words, root / name, code=130)
    return root, {"train": train, "cc3d": cc3d}


@pytest.mark.parametrize("name", ["train", "cc3d"])
@pytest.mark.parametrize("damage", [flip, truncate, Path.unlink])
def test_a_damaged_run_is_not_continued(stopped, tmp_path, name, damage):
    root, commands = stopped
    run = shutil.copytree(root / name, tmp_path / name)
    assert "is not finished" in pm.check(run).notes[0]
    for path in kept(run):
        whole = path.read_bytes()
        damage(path)
        assert [fault.path for fault in pm.check(run).faults] == [path]
        if (path.name, damage) != (LEDGER_FILE, Path.unlink):
            assert f"{path} is " in call(*commands[name], run, code=1)
        path.write_bytes(whole)
    call(*commands[name], run)
    assert pm.check(run).sound
    assert not list(run.rglob("checkpoint.safetensors"))


def test_files_of_another_run_are_named(stopped, tmp_path):
    root, commands = stopped
    run = shutil.copytree(root / "train", tmp_path / "train")
    other = tmp_path / "other"
    call(*commands["train"], other, "--seed", 1)
    whole = (run / LEDGER_FILE).read_bytes()
    shutil.copy(other / LEDGER_FILE, run / LEDGER_FILE)
    assert next(fault.path for fault in pm.check(run).faults) == run / LEDGER_FILE
    assert f"{run / LEDGER_FILE} is of another folder" in call(*commands["train"], run, code=1)
    forget(other, "train.jsonl", "checkpoint.safetensors", "model.json", "model.safetensors", SIMILARITY_FILE)
    shutil.copy(other / LEDGER_FILE, run / LEDGER_FILE)  # it holds the configuration alone
    assert [fault.path for fault in pm.check(run).faults] == [run / LEDGER_FILE]
    (run / LEDGER_FILE).write_bytes(whole)

    checkpoint = run / "checkpoint.safetensors"
    own = checkpoint.read_bytes()
    with safe_open(checkpoint, framework="pt") as file:
        about = file.metadata() | {"surroundings": json.dumps({"config.toml": {"size": 3, "sha256": "0"}})}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  not a mapping
    about.pop("sha256")
    write_tensors(checkpoint, save(tensors, metadata=about))  # as a sound one of another training
    assert [fault.path for fault in pm.check(run).faults] == [checkpoint]
    assert f"{checkpoint} belongs to another folder" in call(*commands["train"], run, code=1)
    checkpoint.write_bytes(own)
    assert pm.check(run).sound


def test_a_log_is_guarded_by_its_checkpoint_before_the_ledger_holds_it(stopped, tmp_path):
    root, commands = stopped
    run = shutil.copytree(root / "train", tmp_path / "train")
    forget(run, "train.jsonl")  # as after a kill between the checkpoint and its entry
    assert pm.check(run).sound
    flip(run / "train.jsonl")
    assert [fault.path for fault in pm.check(run).faults] == [run / "train.jsonl"]
    assert f"{run / 'train.jsonl'} is damaged" in call(*commands["train"], run, code=1)


def test_a_second_command_with_one_out_ends_at_once(stopped, tmp_path):
    root, commands = stopped
    run = shutil.copytree(root / "train", tmp_path / "train")
    code = "import sys; from pathlib import Path; from pose_models.exclusive import working_in\n"
    code += "with working_in(Path(sys.argv[1])): print('in', flush=True); sys.stdin.read()"
    words = [sys.executable, "-c", code, str(run)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "in\n"
        for given in ([], ["--overwrite"]):
            assert "is being worked on by another process" in call(*commands["train"], run, *given, code=1)
        other.kill()
    call(*commands["train"], run)
    assert not (run / ".lock").exists()
