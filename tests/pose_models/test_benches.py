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


def test_every_benchmark_has_a_case():
    assert set(CASES) | set(TESTED_ELSEWHERE) == set(bench.commands)
    for name, file in TESTED_ELSEWHERE.items():
        assert f'"{name}"' in (Path(__file__).parent / file).read_text()


@pytest.mark.parametrize("name", ["train", "read", "predict", pytest.param("solve", marks=pytest.mark.slow)])
def test_a_benchmark_prints_tables_and_its_figures(name):
    result = CliRunner().invoke(main, ["bench", name, *CASES[name]], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    *table, figures = result.stdout.splitlines()
    assert any("┏" in line for line in table)
    assert json.loads(figures)
