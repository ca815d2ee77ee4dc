"""Pose residuals in the stages: of a pose model that judges stylised pictures, and of a file that filters packing."""

import json

import numpy as np
import pytest

import p3d_gen as p3d
from p3d_gen.core.codecs import decode_image
from p3d_gen.core.composite import composite
from p3d_gen.core.errors import ManifestError, RunError
from p3d_gen.pack.stage import ResidualFilter, pack_shard
from p3d_gen.run.local import run_shards
from p3d_gen.run.shards import read_shard
from p3d_gen.spec.manifest import load_manifest
from p3d_gen.stylize.edges import WORLD_GREY
from p3d_gen.stylize.judge import load_judge, write_residuals
from p3d_gen.stylize.stage import stylize_shard
from p3d_gen.stylize.stylization import create_stylization
from pose_models.config import TrainConfig
from pose_models.data.cads import cad_vertices
from pose_models.data.shards import ShardSamples
from pose_models.training import LoopOptions, Sources, train
from tests.helpers import dataset_runs
from tests.helpers.commands import shard_hashes
from tests.helpers.fake_runs import fake_renders


@pytest.fixture
def packed(run):
    """A packed run."""
    fake_renders(run)
    for stage in (stylize_shard, pack_shard):
        list(run_shards(stage, str(run.root), run.all_shards(), 1, int))
    return run


@pytest.fixture
def pose_model(packed, tmp_path):
    """A pose model that has seen little; what it says does not matter here."""
    categories = packed.manifest.categories
    config = TrainConfig(
        categories=categories, backbone="test_resnet", weights="none", image_size=64, steps=2, batch=2, vertices=60
    )
    sources = Sources(
        renders=ShardSamples([packed.tar("shards", shard) for shard in packed.all_shards()]),
        cads={category: cad_vertices(packed.root / "cad", category) for category in categories},
    )
    train(config, sources, tmp_path / "pose-model", LoopOptions(cpu=True), lambda step: None)
    return tmp_path / "pose-model"


def stylized(run, name, pose_model, **changes):
    settings = run.manifest.stylize.model_copy(update={"pose_model": str(pose_model)} | changes)
    create_stylization(run, name, (settings, run.base_dir))
    return [stylize_shard(str(run.root), shard, name, "cpu") for shard in run.all_shards()]


def test_a_pose_models_residuals_are_stored_and_limit_what_stays(packed, pose_model):
    assert sum(ledger.count for ledger in stylized(packed, "judged", pose_model)) == 6
    judge, residuals = load_judge(pose_model, "cpu"), []
    for shard in packed.all_shards():
        renders = dict(read_shard(packed.tar("render", shard)))
        for key, members in read_shard(packed.tar("stylize-judged", shard)):
            made, labels = json.loads(members["stylize.json"]), json.loads(renders[key]["json"])
            assert made["pose_model"] == judge.provenance["pose_model"]
            picture, alpha = decode_image(members["stylized.png"]), decode_image(renders[key]["render.png"])[..., 3]
            seen = judge([composite(picture, alpha, np.full_like(picture, WORLD_GREY))], [labels])
            assert made["pose_residual_deg"] == pytest.approx(seen[0], abs=0.1)
            residuals.append(made["pose_residual_deg"])
    limit = float(np.median(residuals))
    ledgers = stylized(packed, "strict", pose_model, max_residual_deg=limit)
    assert sum(ledger.count for ledger in ledgers) == 3
    reasons = {failure.reason for ledger in ledgers for failure in ledger.failures}
    assert len(reasons) >= 1
    assert all(f"pose residual above {limit} degrees" in reason for reason in reasons)


def test_wrong_pose_models(packed, tmp_path):
    with pytest.raises(ManifestError, match=r"stylize\.pose_model.*no folder"):
        stylized(packed, "gone", tmp_path / "gone")
    manifest = tmp_path / "other.toml"
    manifest.write_text('categories = ["car"]\nsamples_per_category = 1\n[stylize]\nmax_residual_deg = 20\n')
    with pytest.raises(ManifestError, match="needs a pose_model"):
        load_manifest(manifest)


def test_packing_leaves_out_what_a_file_says(packed, tmp_path):
    keys = [key for shard in packed.all_shards() for key, _ in read_shard(packed.tar("shards", shard))]
    path = tmp_path / "residuals.json"
    write_residuals(path, {key: 40.0 if key == "car-000001" else 5.0 for key in keys}, folds=2, by="cad")
    residual_filter = ResidualFilter(files=(path,), max_deg=30.0)
    ledgers = [pack_shard(str(packed.root), shard, residual_filter=residual_filter) for shard in packed.all_shards()]
    assert [(f.key, f.reason) for ledger in ledgers for f in ledger.failures] == [
        ("car-000001", "pose residual of 40 degrees, above 30")
    ]
    left = {k: json.loads(m["json"]) for s in packed.all_shards() for k, m in read_shard(packed.tar("shards", s))}
    assert sorted(left) == sorted(set(keys) - {"car-000001"})
    assert {labels["pose_residual_deg"] for labels in left.values()} == {5.0}
    shard = packed.all_shards()[0]
    assert (
        pack_shard(str(packed.root), shard, residual_filter=residual_filter).seconds == ledgers[0].seconds
    )  # it was finished
    assert pack_shard(str(packed.root), shard).count == 2  # without the filter it is made again


def test_a_file_that_does_not_judge_all(packed, tmp_path):
    write_residuals(tmp_path / "residuals.json", {"car-000000": 1.0}, folds=2, by="cad")
    residual_filter = ResidualFilter(files=(tmp_path / "residuals.json",), max_deg=30.0)
    with pytest.raises(RunError, match=r"residuals\.json: there is no pose residual of car-000001"):
        pack_shard(str(packed.root), "car-00000", residual_filter=residual_filter)


def test_files_that_do_not_judge_a_category_are_refused_before_a_shard_is_made_again(tmp_path):
    """The cars were packed again; the run then held samples of two forms."""
    dataset_runs.make_assets(tmp_path)
    run = dataset_runs.packed_run(tmp_path / "run", samples=2)
    cars = {key: 1.0 for key in dataset_runs.run_samples(run) if key.startswith("car-")}
    write_residuals(tmp_path / "cars.json", cars, folds=2, by="cad")
    before, opened = shard_hashes(run.root), p3d.open_run(run.root)
    with pytest.raises(RunError, match=r"cars\.json: there is no pose residual of chair; .*give all files"):
        opened.pack(residuals=[tmp_path / "cars.json"], workers=1)
    assert shard_hashes(run.root) == before
    assert opened.pack(residuals=[tmp_path / "cars.json"], shards="0", workers=1).samples == 2
