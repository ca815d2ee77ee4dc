"""A packed shard of which every sample has failed: no tar, and everything that reads a run goes on."""

import json

import pytest

from p3d_gen import api
from p3d_gen.core.errors import RunError
from p3d_gen.dataset.build import make_dataset
from p3d_gen.dataset.source_runs import open_sources
from p3d_gen.dataset.splits import Recipe
from p3d_gen.export.inputs import open_input
from p3d_gen.run.ledgers import Failure, read_ledger, seal
from p3d_gen.stylize.stylization import open_stylization
from p3d_gen.verify.provenance import used_assets, write_provenance
from pose_models.data.shards import ShardSamples, shard_paths
from tests.helpers.dataset_runs import make_assets, packed_run, samples_of


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The first of two car shards has no samples."""
    root = tmp_path_factory.mktemp("runs")
    make_assets(root)
    run = packed_run(root / "a", samples=8)
    shard = run.tar("shards", "car-00000")
    failures = [Failure(key=key, reason="no background") for key in samples_of([shard])]
    seal(run, "shards", "car-00000", read_ledger(run, "shards", "car-00000").inputs, [], failures)
    assert not shard.exists()
    return run


def left(run):
    return [shard for shard in run.all_shards() if shard != "car-00000"]


def test_it_is_finished_and_verified(run):
    opened = api.open_run(run.root)
    result = opened.pack(allow_failures=5, workers=1)
    assert (result.new_shards, result.samples, len(result.failures)) == (0, 11, 5)
    assert result.files["contact sheet"].exists()
    findings = opened.verify(workers=1).findings
    assert not [each for each in findings if each.shard == "car-00000" and each.stage == "shards"]


def test_its_samples_are_said_to_have_failed(run):
    opened = api.open_run(run.root)
    assert len(opened) == len(list(opened)) == len(opened.keys()) == 11
    with pytest.raises(RunError, match="car-000001 could not be made: no background"):
        opened.sample("car-000001")
    assert opened.write_report().exists()


def test_others_get_the_other_shards(run, tmp_path):
    paths = [run.tar("shards", shard) for shard in left(run)]
    expected = samples_of(paths)
    summary = make_dataset(tmp_path / "d", open_sources([str(run.root)]), Recipe(shares={"whole": 1.0}))
    assert summary["splits"]["whole"]["samples"] == len(expected) == 11
    assert open_input(run.root).splits["train"] == paths
    stylization = open_stylization(run)
    path = write_provenance(api.open_run(run.root)._run, stylization)
    keys = [json.loads(line)["key"] for line in path.read_text().splitlines()]
    assert keys == list(expected)
    assert used_assets(run, stylization)
    assert len(ShardSamples(shard_paths(str(run.root), "car"))) == 3


def test_without_any_sample_there_is_no_contact_sheet(tmp_path):
    make_assets(tmp_path)
    run = packed_run(tmp_path / "a", samples=2)
    for shard in run.all_shards():
        failures = [Failure(key=key, reason="no background") for key in samples_of([run.tar("shards", shard)])]
        seal(run, "shards", shard, read_ledger(run, "shards", shard).inputs, [], failures)
    assert not run_samples_there(run)
    opened = api.open_run(run.root)
    assert opened.pack(allow_failures=4, workers=1).files == {"shards": run.root / "shards"}
    with pytest.raises(RunError, match="4 samples failed"):
        opened.pack(workers=1)


def run_samples_there(run):
    return [shard for shard in run.all_shards() if run.tar("shards", shard).exists()]
