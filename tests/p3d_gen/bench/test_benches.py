"""Every benchmark works, at its smallest size: it prints tables, and figures in its last line. No times are checked."""

import json

import pytest
from click.testing import CliRunner

from p3d_gen.bench import render, stylize
from p3d_gen.cli import main
from p3d_gen.cli.bench import bench
from tests.helpers.assets import wedge

SETTINGS = """
stylizer = "controlnet"
base = "embedded"
control = [{ weights = "embedded" }]
negative_prompt = ""
resolution = 64
steps = 1
guidance_scale = 1.0
colours = ["red"]
"""
SLOW_PARTS = {"workers", "settings", "hidden", "survival"}
PARTS = [("render", part) for part in render.PARTS] + [("stylize", part) for part in stylize.PARTS]
CASES = [
    *(
        pytest.param((name, "--quick", "--part", part), marks=[pytest.mark.slow] if part in SLOW_PARTS else [])
        for name, part in PARTS
    ),
    ("stylize", "--quick", "--part", "colours", "--settings", "small.toml", "--picture", "grid.jpg"),
    ("pack", "--quick"),
    ("fidelity", "models", "--size", "16", "--samples", "1"),
    pytest.param(("damage", "--folder", "run", "--damage", "flip", "--one-of-each"), marks=pytest.mark.slow),
    pytest.param(("kills", "--kills", "1", "--part", "dataset"), marks=pytest.mark.slow),
]
WORDS = [case.values[0] if hasattr(case, "values") else case for case in CASES]
pytestmark = pytest.mark.blender


def test_every_benchmark_has_a_case():
    assert {words[0] for words in WORDS} == set(bench.commands)
    parts = {param.name: param for param in bench.commands["stylize"].params}["parts"].type.choices
    assert set(parts) == {*stylize.PARTS, "colours"}
    assert set(stylize.SMALLEST) == set(stylize.PARTS)
    assert set(render.SMALLEST) == set(render.PARTS)


@pytest.mark.parametrize("words", CASES, ids=lambda words: " ".join(words[:4]))
def test_a_benchmark_prints_tables_and_its_figures(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.toml").write_text(SETTINGS)
    (tmp_path / "models").mkdir()
    wedge().export(tmp_path / "models" / "wedge.ply")
    result = CliRunner().invoke(main, ["bench", *words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    *table, figures = result.stdout.splitlines()
    assert any("┏" in line for line in table)
    assert json.loads(figures)
