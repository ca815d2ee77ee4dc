"""Damage: every file that pose-models keeps is missed, named rightly, and never loaded; what is made again is not."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

import pose_models as pm
from pose_models.cli import main
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
    network = ["--backbone", "test_resnet"]
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
