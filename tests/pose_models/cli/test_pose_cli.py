"""The command line: help with examples, exit status, and errors that name file, value and remedy."""

import json
import subprocess
import sys

import pytest
import trimesh
from click.testing import CliRunner
from PIL import Image

from pose_models.cli import main
from tests.helpers.boxes import write_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("run"), train=4, test=4)


@pytest.fixture(scope="module")
def small():
    return ["--backbone=test_resnet", "--weights=none", "--steps=2", "--batch=2", "--image-size=64", "--device=cpu"]


@pytest.fixture(scope="module")
def trained(run, small, tmp_path_factory):
    out = tmp_path_factory.mktemp("models") / "nmm-box"
    result = call("train", "--shards", run / "shards", "--category", "box", "--out", out, "--vertices", 100, *small)
    assert result.exit_code == 0, result.output
    assert "from random weights" in result.output
    return out


def call(*words):
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.mark.parametrize(
    "command",
    [
        *(["train"], ["evaluate"], ["predict"], ["baseline", "train"], ["convert", "cars3d"]),
        *(["bench", "raster"], ["bench", "adapt"]),
    ],
)
def test_help_has_an_example(command):
    result = call(*command, "--help")
    assert result.exit_code == 0
    assert f"pose-models {' '.join(command)} " in result.output.split("Example")[1]


def test_importing_the_command_loads_nothing_heavy():
    heavy = ("torch", "timm", "cv2", "webdataset", "scipy", "accelerate", "pydantic")
    code = f"import sys, pose_models.cli; print([m for m in {heavy} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_a_finished_run_is_not_trained_over(run, trained, small, tmp_path):
    given = ["--shards", run / "shards", "--category", "box", "--vertices", 100, *small]
    again = call("train", *given, "--out", trained)
    assert again.exit_code == 1
    assert "already holds a model" in again.output
    assert "--overwrite" in again.output
    assert call("train", *given, "--out", tmp_path / "other").exit_code == 0
    (tmp_path / "other" / "model.json").unlink()
    changed = call("train", *given, "--out", tmp_path / "other", "--seed", 1)
    assert changed.exit_code == 1
    assert "another configuration (seed = 0, now 1)" in changed.output.replace("\n", "")
    assert call("train", *given, "--out", tmp_path / "other", "--seed", 1, "--overwrite").exit_code == 0


def test_evaluate_prints_tables_and_writes_a_report(run, trained, tmp_path):
    table, out = tmp_path / "table.json", tmp_path / "report"
    given = ["--model", trained, "--data", run / "test", "--device", "cpu", "--mirror"]
    tested = call("evaluate", *given, "--json", table, "--out", out)
    assert tested.exit_code == 0, tested.output
    for words in ("Acc pi/6", "chance: random rotation", "most frequent", "errors of pi/6 and more"):
        assert words in tested.output
    written = json.loads(table.read_text())
    assert written["rows"]["model"]["n"] == len(written["error_deg"]) == 4
    names = {"predictions.jsonl", "summary.json", "tables.md", "tables.tex", "cases.png", "sphere.png"}
    assert names <= {path.name for path in out.iterdir()}


def test_evaluate_under_corruption_and_occlusion(run, trained, tmp_path):
    table = tmp_path / "table.json"
    given = ["--model", trained, "--data", f"shards:{run / 'test'}", "--device", "cpu", "--limit", 2, "--json", table]
    tested = call("evaluate", *given, "--corrupt", "snow", "--corrupt", "contrast", "--severity", 2, "--occlude", "L1")
    assert tested.exit_code == 0, tested.output
    subsets = json.loads(table.read_text())["per_subset"]["model"]
    assert {name: row["n"] for name, row in subsets["groups"].items()} == {"snow": 2, "contrast": 2, "L1": 2}


def test_train_all_categories_in_one_command(tmp_path, small):
    for name in ("box", "crate"):
        write_run(tmp_path / "run", train=4, test=2, category=name)
    given = ["--shards", tmp_path / "run" / "shards", "--vertices", 100, *small]
    each = call("train", *given, "--out", tmp_path / "each")
    assert each.exit_code == 0, each.output
    assert sorted(p.name for p in (tmp_path / "each").iterdir()) == ["box", "crate"]
    shared = call("train", *given, "--out", tmp_path / "shared", "--shared")
    assert shared.exit_code == 0, shared.output
    for name in ("each", "shared"):
        table = tmp_path / f"{name}.json"
        given = ["--model", tmp_path / name, "--data", tmp_path / "run" / "test", "--device", "cpu", "--json", table]
        tested = call("evaluate", *given, "--infer-category")
        assert tested.exit_code == 0, tested.output
        assert json.loads(table.read_text())["per_category"]["model"]["groups"].keys() == {"box", "crate"}


def test_real_images_beside_renders_and_alone(run, tmp_path, small):
    folder = tmp_path / "photos"
    folder.mkdir()
    import cv2
    import numpy as np

    rows = ["image,category,azimuth_deg,elevation_deg,theta_deg"]
    for number in range(3):
        cv2.imwrite(str(folder / f"{number}.jpg"), np.full((40, 60, 3), 40 * number, np.uint8))
        rows.append(f"{number}.jpg,box,{number * 30},10,0")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    given = ["--real", f"csv:{folder / 'labels.csv'}", "--category", "box", "--vertices", 100, *small]
    beside = call("train", *given, "--shards", run / "shards", "--out", tmp_path / "beside")
    assert beside.exit_code == 0, beside.output
    assert "real_share = 0.5" in (tmp_path / "beside" / "config.toml").read_text()
    alone = call("train", *given, "--cads", run / "cad", "--out", tmp_path / "alone")
    assert alone.exit_code == 0, alone.output
    missing = call("train", *given, "--out", tmp_path / "missing")
    assert missing.exit_code == 1
    assert "give --cads with --real" in missing.output


def test_a_saved_configuration_is_a_start(run, trained, tmp_path):
    given = ["--shards", run / "shards", "--category", "box", "--config", trained / "config.toml", "--device", "cpu"]
    result = call("train", *given, "--out", tmp_path / "again", "--steps", 1)
    assert result.exit_code == 0, result.output
    text = (tmp_path / "again" / "config.toml").read_text()
    assert "vertices = 100" in text
    assert "steps = 1\n" in text


def test_the_precision_is_the_configuration_s_and_not_the_machine_s(run, trained, tmp_path):
    assert 'precision = "no"' in (trained / "config.toml").read_text()
    (tmp_path / "half.toml").write_text((trained / "config.toml").read_text().replace('"no"', '"bf16"'))
    given = ["--shards", run / "shards", "--category", "box", "--config", tmp_path / "half.toml", "--device", "cpu"]
    for words, precision in (([], "bf16"), (["--precision", "auto"], "bf16"), (["--precision", "no"], "no")):
        result = call("train", *given, "--out", tmp_path / "half", "--steps", 1, "--overwrite", *words)
        assert result.exit_code == 0, result.output
        assert f'precision = "{precision}"' in (tmp_path / "half" / "config.toml").read_text()


@pytest.mark.parametrize(
    ("change", "status", "message"),
    [
        ({"--shards": "nowhere"}, 1, "nowhere does not exist"),
        ({"--category": "car"}, 1, "categories found there: box"),
        ({"--cads": "nowhere"}, 1, "holds no CAD"),
        ({"--weights": "nowhere.safetensors"}, 1, "cannot read weights nowhere.safetensors"),
        ({"--backgrounds": "nowhere"}, 1, "no picture"),
        ({"--backbone": "levit_128", "--weights": "none"}, 1, "backbone 'levit_128' has no feature map of stride 8"),
        ({"--backbone": "resnet19"}, 1, "timm has no network 'resnet19'; did you mean 'resnet"),
        ({"--steps": "0"}, 2, "--steps"),
        ({"--precision": "fp8"}, 2, "fp8"),
        ({"--config": "nowhere.toml"}, 1, "nowhere.toml cannot be read"),
        ({"--real": "cars3d:nowhere"}, 1, "shows car, and none of box"),
        ({"--real": "csv:nowhere.csv"}, 1, "nowhere.csv"),
        ({"--real": "carz3d:nowhere"}, 1, "cars3d"),
    ],
)
def test_bad_training_input(run, tmp_path, change, status, message):
    options = {"--shards": run / "shards", "--category": "box", "--out": tmp_path / "out", "--device": "cpu"} | change
    result = call("train", *(word for pair in options.items() for word in pair))
    assert result.exit_code == status, result.output
    assert message in result.output
    assert "Traceback" not in result.output
    assert not (tmp_path / "out" / "model.json").exists()


def test_pictures_without_labels_are_no_truth(trained, small, tmp_path):
    """They trained a model on poses that are NaN, without a word."""
    (tmp_path / "box").mkdir()
    for name in ("a", "b"):
        Image.new("RGB", (64, 64), "red").save(tmp_path / "box" / f"{name}.png")
    photographs, size = f"images:{tmp_path}", ["--steps", 2, "--batch", 2, "--device", "cpu"]
    cube = trimesh.creation.box((1, 2, 1))
    (tmp_path / "cads" / "box").mkdir(parents=True)
    cube.export(tmp_path / "cads" / "box" / "c.ply")
    for words, use in (
        (["evaluate", "--model", trained, "--data", photographs, "--device", "cpu"], "an evaluation"),
        (["finetune", "--model", trained, "--real", photographs, "--labels", 1, *size], "a training"),
        (["train", "--real", photographs, "--category", "box", "--cads", tmp_path / "cads", *small], "a training"),
        (["baseline", "train", "--real", photographs, "--category", "box", *small], "a training"),
    ):
        out = tmp_path / "-".join(map(str, words[:2])).replace("/", "-")
        result = call(*words, "--out", out)
        assert result.exit_code == 1, result.output
        assert f"of 'box' has no pose: {use} needs labelled images" in result.output
        assert not (out / "model.json").exists()


def test_nothing_to_train_on_is_said(tmp_path):
    assert "give --shards, --real, or both" in call("train", "--category", "box", "--out", tmp_path / "out").output
    assert "name a --category" in call("train", "--real", "cars3d:x", "--out", tmp_path / "out").output
    assert "nosuch does not exist" in call("train", "--shards", "nosuch", "--out", tmp_path / "out").output


def test_the_baseline_is_trained_and_evaluated_like_a_model(run, small, tmp_path):
    out, table = tmp_path / "res-general", tmp_path / "table.json"
    given = ["--shards", run / "shards", "--out", out, "--max-stride", 16, *small]
    trained = call("baseline", "train", *given)
    assert trained.exit_code == 0, trained.output
    medians = []
    for decode in ("centre", "edge"):
        given = ["--model", out, "--data", run / "test", "--device", "cpu", "--json", table, "--decode", decode]
        tested = call("evaluate", *given)
        assert tested.exit_code == 0, tested.output
        medians.append(json.loads(table.read_text())["rows"]["model"]["median_deg"])
    assert medians[0] != medians[1]


def test_json_is_printed_alone_and_written_beside_the_tables(run, trained, tmp_path):
    given = ["--model", trained, "--data", run / "test", "--device", "cpu", "--limit", 2]
    printed = call("evaluate", *given, "--json")
    assert printed.exit_code == 0, printed.output
    for flag in ("--json-file", "--json"):
        written = call("evaluate", *given, flag, tmp_path / "figures.json")
        assert written.exit_code == 0, written.output
        assert "Acc pi/6" in written.stdout
        rows = [line for line in written.stdout.splitlines() if line.startswith("│")]
        assert all(row.split("│")[1].strip() for row in rows), "a row is broken into two lines"
        assert json.loads((tmp_path / "figures.json").read_text()) == json.loads(printed.stdout)
        (tmp_path / "figures.json").unlink()


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["--data", "shards:nowhere"], 1, "nowhere"),
        (["--data", "pascal4d:x"], 1, "pascal3d"),
        (["--solver", "relased"], 2, "did you mean 'released'"),
        (["--corrupt", "snwo"], 2, "did you mean 'snow'"),
        (["--occlude", "L9"], 2, "'L9' is not known; did you mean 'L"),
        (["--crop", "nmo"], 2, "did you mean 'nemo'"),
        (["--part", "2"], 2, "'2' is not a part; write I/N"),
        (["--category", "car"], 1, "car"),
    ],
)
def test_bad_evaluation_input(run, trained, words, status, message):
    given = {"--model": trained, "--data": run / "test", "--device": "cpu"} | dict([words])
    result = call("evaluate", *(word for pair in given.items() for word in pair))
    assert result.exit_code == status, result.output
    assert message in result.output
    assert "Traceback" not in result.output


def test_a_missing_or_broken_model_is_named(run, tmp_path):
    nothing = call("evaluate", "--model", tmp_path, "--data", run / "test")
    assert nothing.exit_code == 1
    assert "holds no model.json" in nothing.output
    (tmp_path / "model.json").write_text("{}")
    result = call("evaluate", "--model", tmp_path, "--data", run / "test")
    assert result.exit_code == 1
    assert str(tmp_path) in result.output.replace("\n", "")


@pytest.mark.parametrize("fits", [0, 400, 3_000, 60_000, 800_000])
def test_a_full_disk_is_one_line_and_the_command_goes_on_after_it(run, small, trained, tmp_path, fits):
    """Within configuration, log, curves, checkpoint or weights: here a limit on the size of files stands for it."""
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    given = ["--shards", run / "shards", "--category", "box", "--vertices", 100, *small, "--out", tmp_path / "model"]
    resource.setrlimit(resource.RLIMIT_FSIZE, (fits, limits[1]))
    try:
        full = call("train", *given)
        tested = call(
            "evaluate", "--model", trained, "--data", run / "test", "--device", "cpu", "--out", tmp_path / "r"
        )
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    for result in (full, tested):
        assert "Traceback" not in result.output
        assert ("free some space" in result.output) == (result.exit_code == 1)
    assert full.exit_code == 1
    assert call("train", *given).exit_code == 0
    assert (tmp_path / "model" / "model.json").is_file()
