"""Every benchmark works, at its smallest size: it prints tables, and figures in its last line. No times are checked."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from pose_models.cli import main
from pose_models.cli.bench import bench

OLD = Path(__file__).parents[1] / "data" / "v0.1.0"
SHARDS = OLD / "run" / "shards"
TESTED_ELSEWHERE = {"raster": "rasterise/test_bench.py", "adapt": "adapt/test_3duda_command.py"}
CASES = {
    "train": ("--device", "cpu", "--rounds", "1", "--batch", "2", "--image-size", "64"),
    "read": ("--shards", str(SHARDS), "--rounds", "1"),
    "predict": ("--model", str(OLD / "nmm"), "--data", f"shards:{SHARDS}", "--images", "2", "--device", "cpu"),
    "solve": ("--device", "cpu", "--images", "1"),
}
CAMERAS = ("solve", "--part", "cameras", "--images", "2", "--device", "cpu")


def test_every_benchmark_has_a_case():
    assert set(CASES) | set(TESTED_ELSEWHERE) == set(bench.commands)
    for name, file in TESTED_ELSEWHERE.items():
        assert f'"{name}"' in (Path(__file__).parent / file).read_text()


COMMANDS = [(name, *CASES[name]) for name in ("train", "read", "predict", "solve")]


@pytest.mark.parametrize("command", [*COMMANDS[:3], pytest.param(COMMANDS[3], marks=pytest.mark.slow), CAMERAS])
def test_a_benchmark_prints_tables_and_its_figures(command):
    result = CliRunner().invoke(main, ["bench", *command], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    *table, figures = result.stdout.splitlines()
    assert any("┏" in line for line in table)
    assert json.loads(figures)


def test_near_cameras_are_measured_on_images_of_their_own():
    given = ["--model", str(OLD / "nmm"), "--data", str(SHARDS)]
    result = CliRunner().invoke(main, ["bench", *CAMERAS, *given])
    assert result.exit_code == 2
    assert "makes its own images" in result.output
