"""A job is estimated from a few samples, of which nothing is left."""

import json
import tempfile
from itertools import pairwise

import numpy as np
import pytest
from click.testing import CliRunner

from p3d_gen.cli import main
from p3d_gen.render.stage import Supervision
from p3d_gen.report.estimate import JobEstimate, Step, busiest, estimate_job
from p3d_gen.spec.manifest import load_manifest
from tests.helpers.assets import edit


def invoke(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_the_busiest_worker_has_its_share():
    """All of the work for one, no less than the largest piece for many, never more than a piece above the mean."""
    rng = np.random.default_rng([0, 1])
    for _ in range(50):
        pieces = rng.integers(1, 20, rng.integers(1, 30)).tolist()
        loads = [busiest(pieces, workers) for workers in range(1, 40)]
        assert loads[0] == sum(pieces)
        assert loads[-1] == max(pieces)
        assert all(max(sum(pieces) / n, max(pieces)) <= load for n, load in enumerate(loads, 1))
        assert all(load <= sum(pieces) / n + max(pieces) for n, load in enumerate(loads, 1))


def test_equal_shards_are_shared_evenly():
    loads = [busiest([5] * 12, workers) for workers in (1, 2, 3, 4, 12, 100)]
    assert loads == [60, 30, 20, 15, 5, 5]
    assert all(more >= fewer for more, fewer in pairwise(loads))


def step(name, **changes):
    given = {"pieces": (10, 10, 5), "startup_s": 60.0, "item_s": 2.0, "item_bytes": 1e6}
    return Step(name=name, **given | changes)


def test_time_and_disk_of_a_job():
    render, stylize = step("render"), step("stylize", pieces=(25,), item_s=3.0)
    plan = JobEstimate(steps=(render, stylize), workers=2, calibrated=4, failures=(), notes=())
    assert (render.items, render.bytes) == (25, 25e6)
    assert [render.seconds(n) for n in (1, 2, 3, 9)] == [110, 90, 80, 80]  # 15 of 25 for the busier one of two
    assert [stylize.seconds(n) for n in (1, 9)] == [135, 135]
    assert plan.hours(2) == pytest.approx((90 + 135) / 3600)
    assert (plan.bytes, plan.bottleneck(2).name) == (50e6, "stylize")
    assert json.loads(json.dumps(plan.as_json()))["hours_1"] == pytest.approx((110 + 135) / 3600)


@pytest.fixture
def scratch(tmp_path, monkeypatch):
    """Where temporary folders come to lie."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.mark.blender
def test_a_job_that_is_calibrated_as_a_whole_takes_the_disk_that_was_planned(tmp_path, manifest_path, scratch):
    result = invoke("plan", manifest_path, "--samples", 6, "--workers", 3, "--json")
    assert result.exit_code == 0, result.output
    planned = json.loads(result.stdout)
    assert not list(scratch.iterdir())
    assert {path.name for path in tmp_path.iterdir()} == {"assets", "manifest.toml", "scratch"}
    assert (planned["calibrated"], planned["workers"], planned["failures"]) == (6, 3, [])
    steps = {each["name"]: each for each in planned["steps"]}
    assert [each["items"] for each in planned["steps"]] == [4, 6, 6, 6]
    assert planned["bottleneck_1"] in steps
    assert 0 < planned["hours_n"] <= planned["hours_1"]
    assert steps["render"]["item_s"] > 0
    made = invoke("run", manifest_path, "--out", tmp_path / "run", "--workers", 1)
    assert made.exit_code == 0, made.output
    for name, folder in (("render", "render"), ("stylize", "stylize"), ("pack", "shards")):
        tars = sum(path.stat().st_size for path in (tmp_path / "run" / folder).glob("*.tar"))
        assert steps[name]["bytes"] == pytest.approx(tars)
    models = sum(path.stat().st_size for path in (tmp_path / "run" / "cad").rglob("*") if path.is_file())
    assert steps["models"]["bytes"] == pytest.approx(models)


@pytest.mark.blender
@pytest.mark.parametrize("broken", [1, 2])
def test_a_sample_that_cannot_be_made_is_told(manifest_path, assets, scratch, broken):
    """Pictures of textures that are none: of one of two, or of both."""
    for picture in sorted((assets / "textures").glob("*/*.jpg"))[:broken]:
        picture.write_bytes(b"no picture")
    result = invoke("plan", manifest_path, "--samples", 6)
    assert result.exit_code == 1
    assert "is not a readable picture" in result.stderr
    assert not list(scratch.iterdir())
    if broken == 1:
        assert "samples of the calibration could not be made" in result.stderr
        assert "the bottleneck is" in result.stdout
    else:
        assert "render: all samples of the calibration failed" in result.stderr


@pytest.mark.blender
def test_few_samples_need_few_models(manifest_path, scratch):
    """Of two models of each category one is prepared, and the sample is made of it."""
    edit(manifest_path, ("samples_per_category = 3", "samples_per_category = 300000"))
    result = invoke("plan", manifest_path, "--samples", 1, "--workers", 2)
    assert result.exit_code == 0, result.output
    assert "estimated from 2 samples" in result.output
    assert "600000" in result.output
    assert "2 workers: " in result.output


@pytest.mark.blender
def test_progress_knows_its_end(manifest_path, scratch):
    """Two samples go through three stages."""
    told = []
    loaded, how = load_manifest(manifest_path), Supervision()
    estimate_job(loaded, manifest_path.parent, samples=1, workers=1, supervision=how, on_sample=told.append)
    assert told == [6] * 6


def test_what_is_wrong_is_told_before_anything_is_made(manifest_path, scratch):
    edit(manifest_path, ('source = "assets/cad"', 'source = "assets/cars"'))
    result = invoke("plan", manifest_path)
    assert result.exit_code == 1
    assert "there is no folder" in result.stderr
    assert not list(scratch.iterdir())
