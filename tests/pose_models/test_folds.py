"""K-fold residuals: how samples are shared out, what a judge has seen, and that a killed command goes on."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner

from p3d_gen.core import geometry as g
from p3d_gen.core.types import Camera, Viewpoint
from p3d_gen.run.files import read_sealed
from p3d_gen.stylize.judge import read_residuals
from pose_models.cli import main
from pose_models.data.shards import ShardSamples, entry_labels
from pose_models.folds import fold_residuals, sample_labels, split_folds
from pose_models.nmm import load_model
from pose_models.training import loop
from pose_models.training.checkpoint import save_checkpoint
from tests.helpers.boxes import EXTENT, draw_box, labels, write_tar

CPU = torch.device("cpu")
CAMERA = Camera(focal_px=480.0, principal_px=(66.0, 47.0), image_hw=(96, 128))
CADS = {f"box_{number:02d}": np.array([1.0, 1.0 + 0.1 * number, 1.0]) for number in range(3)}
SMALL = [
    "--backbone=test_resnet",
    "--weights=none",
    "--steps=6",
    "--batch=4",
    "--image-size=64",
    "--device=cpu",
    "--checkpoint-every=2",
]


def sample(index, cad_id):
    rng = np.random.default_rng([index, 1])
    view = Viewpoint(azimuth_rad=rng.uniform(0, 2 * np.pi), elevation_rad=0.2, theta_rad=0.0, distance=5.0)
    image, mask = draw_box(g.cam_T_obj(view), CAMERA, rng)
    key = f"box-{index:06d}"
    own = labels(key, view, CAMERA) | {"cad_id": cad_id, "symmetry_order": 1}
    return [
        (f"{key}.png", cv2.imencode(".png", image[..., ::-1])[1].tobytes()),
        (f"{key}.json", json.dumps(own).encode()),
        (f"{key}.mask.png", cv2.imencode(".png", mask)[1].tobytes()),
    ]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Two shards of twelve samples, four of each of three CAD models."""
    run = tmp_path_factory.mktemp("run")
    for shard in range(2):
        files = [file for i in range(6 * shard, 6 * shard + 6) for file in sample(i, f"box_{i % 3:02d}")]
        write_tar(run / "shards" / f"box-{shard:05d}.tar", files)
    (run / "cad" / "box").mkdir(parents=True)
    for name, stretch in CADS.items():
        np.savez(run / "cad" / "box" / f"{name}.npz", vertices=g.box_corners(EXTENT * stretch))
    return run


@pytest.fixture(scope="module")
def renders(run):
    return ShardSamples(sorted((run / "shards").glob("*.tar")))


def call(run, out, *words):
    given = ["folds", "--shards", run / "shards", "--category", "box", "--folds", 3, "--out", out, *SMALL, *words]
    return CliRunner().invoke(main, [str(word) for word in given])


@pytest.fixture(scope="module")
def whole(run, tmp_path_factory):
    out = tmp_path_factory.mktemp("whole") / "residuals.json"
    result = call(run, out, "--vertices", 100)
    assert result.exit_code == 0, result.output
    return out, result.output


@pytest.mark.parametrize("folds", [2, 5, 7])
@pytest.mark.parametrize("seed", [0, 1])
def test_folds_are_disjoint_by_cad_cover_all_samples_and_are_of_like_size(folds, seed):
    rng = np.random.default_rng([seed, 1])
    cad_of = {f"car-{i:06d}": f"cad_{rng.integers(12):02d}" for i in range(200)}
    split = split_folds(cad_of, folds, seed)
    assert split.by == "cad"
    assert split.fold_of.keys() == cad_of.keys()
    assert {(cad, split.fold_of[key]) for key, cad in cad_of.items()} == {
        (cad, fold) for fold, cads in enumerate(split.held_out) for cad in cads
    }
    assert sum(map(len, split.held_out)) == len(set(cad_of.values()))
    sizes = Counter(split.fold_of.values())
    assert sizes.keys() == set(range(folds))
    assert max(sizes.values()) - min(sizes.values()) <= max(Counter(cad_of.values()).values())


def test_with_fewer_cads_than_folds_samples_are_shared_out():
    cad_of = {f"car-{i:06d}": f"cad_{i % 4}" for i in range(43)}
    split = split_folds(cad_of, 5, 0)
    assert split.by == "sample"
    assert split.fold_of.keys() == cad_of.keys()
    assert sorted(Counter(split.fold_of.values()).values()) == [8, 8, 9, 9, 9]
    assert split.held_out == (frozenset(),) * 5
    assert split == split_folds(dict(reversed(cad_of.items())), 5, 0)
    assert split != split_folds(cad_of, 5, 1)
    with pytest.raises(ValueError, match="43 samples cannot be split into 44 folds"):
        split_folds(cad_of, 44, 0)


def test_every_sample_is_judged_by_a_model_that_has_not_seen_its_cad(whole, run):
    out, output = whole
    data = json.loads(out.read_text())
    assert (data["schema"], data["folds"], data["by"]) == (1, 3, "cad")
    found = read_residuals(out)
    assert sorted(found) == [f"box-{i:06d}" for i in range(12)]
    folder = out.parent / "residuals-folds"
    assert sorted(path.name for path in folder.iterdir()) == ["fold-0", "fold-1", "fold-2", "folds.json"]
    parts = [read_sealed(folder / f"fold-{k}" / "residuals.json") for k in range(3)]
    assert {key: degrees for part in parts for key, degrees in part.items()} == found
    for k, part in enumerate(parts):
        assert len({int(key[-6:]) % 3 for key in part}) == 1
        assert load_model(folder / f"fold-{k}", CPU).spec.meshes[0].cads == 2
    for words in ("12 samples of 3 CAD models in 3 folds, by CAD model", "median", "90th percentile", "above 30"):
        assert words in output
    assert f"12 residuals written to {out}" in output


def test_judges_train_on_the_other_folds_alone(renders, tmp_path, whole):
    found = sample_labels(renders)
    split = split_folds({key: each["cad_id"] for key, each in found.items()}, 3, 0)
    seen = {}

    def borrowed(part, held_out, folder):
        seen[folder.name] = {e.key for e in part.entries}, {entry_labels(e)["cad_id"] for e in part.entries}, held_out
        folder.mkdir(parents=True)
        for name in ("model.json", "model.safetensors"):
            (folder / name).write_bytes((whole[0].parent / "residuals-folds" / folder.name / name).read_bytes())

    judged = []
    parts = fold_residuals(renders, found, split, tmp_path, borrowed, CPU, judged.append)
    assert judged == [0] * 4 + [1] * 4 + [2] * 4
    assert {k: v for part in parts for k, v in part.items()} == read_residuals(whole[0])
    for part, (keys, cads, held_out) in zip(parts, seen.values(), strict=True):
        assert keys == found.keys() - part.keys()
        assert not cads & held_out
    assert len(renders.entries) == 12


def test_a_stopped_command_goes_on_to_the_same_file(run, tmp_path, whole, monkeypatch):
    """Stopped in the middle of the second fold's training."""
    out, kept = tmp_path / "residuals.json", []

    def keep_and_stop(folder, *args, **more):
        save_checkpoint(folder, *args, **more)
        kept.append(folder.name)
        if folder.name == "fold-1":
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(loop, "save_checkpoint", keep_and_stop)
        assert call(run, out, "--vertices", 100).exit_code == 130
    assert kept == ["fold-0", "fold-0", "fold-1"]
    assert not out.exists()
    folder = tmp_path / "residuals-folds"
    assert (folder / "fold-1" / "checkpoint.safetensors").exists()
    before = (folder / "fold-0" / "model.safetensors").stat().st_mtime_ns
    assert call(run, out, "--vertices", 100).exit_code == 0
    assert out.read_bytes() == whole[0].read_bytes()
    assert (folder / "fold-0" / "model.safetensors").stat().st_mtime_ns == before


@pytest.mark.slow
def test_a_killed_command_goes_on_to_the_same_file(run, tmp_path, whole):
    out = tmp_path / "residuals.json"
    code = "import torch; torch.set_num_threads(1); from pose_models.cli import main; main()"
    given = ["folds", "--shards", run / "shards", "--category", "box", "--folds", 3, "--vertices", 100, "--out", out]
    command = [sys.executable, "-c", code, *map(str, given), *SMALL]
    killed = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    folder = tmp_path / "residuals-folds"
    while not (folder / "fold-1" / "checkpoint.safetensors").exists() and killed.poll() is None:
        time.sleep(0.005)
    os.kill(killed.pid, signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    assert not out.exists()
    assert call(run, out, "--vertices", 100).exit_code == 0
    assert out.read_bytes() == whole[0].read_bytes()


def test_finished_folds_are_kept_and_others_are_not_taken_for_them(run, whole):
    out, _ = whole
    before = out.read_bytes()
    out.unlink()
    models = sorted(out.parent.rglob("model.safetensors"))
    stamps = [path.stat().st_mtime_ns for path in models]
    assert call(run, out, "--vertices", 100).exit_code == 0
    assert out.read_bytes() == before
    assert [path.stat().st_mtime_ns for path in models] == stamps
    other = call(run, out, "--vertices", 120)
    assert other.exit_code == 1
    assert "or other samples (config.vertices: 100 -> 120)" in " ".join(other.output.split())
    assert "--overwrite" in other.output


def test_a_classifier_of_viewpoints_can_judge_by_sample(run, tmp_path):
    out = tmp_path / "residuals.json"
    given = ["folds", "--shards", str(run / "shards"), "--out", str(out), "--folds", "4", "--judge", "res-general"]
    result = CliRunner().invoke(main, [*given, *SMALL, "--steps", "2"])
    assert result.exit_code == 0, result.output
    assert "4 folds, by sample, as 3 CAD models are fewer than the folds" in result.output
    assert json.loads(out.read_text())["by"] == "sample"
    assert len(read_residuals(out)) == 12


def test_what_cannot_be_split_is_named(run, renders, tmp_path):
    with pytest.raises(ValueError, match="comes twice: give the shards of one run"):
        sample_labels(ShardSamples([run / "shards" / "box-00000.tar"] * 2))
    bare = tmp_path / "box-00000.tar"
    files = [(name, data.replace(b'"symmetry_order"', b'"other"')) for name, data in sample(0, "box_00")]
    write_tar(bare, files)
    with pytest.raises(ValueError, match=r"sample box-000000 .* lacks symmetry_order; pack it again"):
        sample_labels(ShardSamples([bare]))
    write_tar(tmp_path / "two" / "car-00000.tar", sample(0, "box_00"))
    write_tar(tmp_path / "two" / "boat-00000.tar", sample(0, "box_00"))
    result = CliRunner().invoke(main, ["folds", "--shards", str(tmp_path / "two"), "--out", str(tmp_path / "r.json")])
    assert result.exit_code == 1
    assert "name one --category of boat, car" in result.output


def test_cads_of_another_run_are_named(run, tmp_path):
    (tmp_path / "cad" / "box").mkdir(parents=True)
    np.savez(tmp_path / "cad" / "box" / "other.npz", vertices=g.box_corners(EXTENT))
    result = call(run, tmp_path / "residuals.json", "--cads", tmp_path / "cad")
    assert result.exit_code == 1
    assert "holds no 'box_00': give the cad folder of the shards' run" in " ".join(result.output.split())


def test_help_has_an_example_and_no_photographs():
    result = CliRunner().invoke(main, ["folds", "--help"])
    assert "pose-models folds " in result.output.split("Example")[1]
    assert "--real" not in result.output
    assert result.output.count("--out ") >= 1
    assert "JSON file to write" in result.output
