"""A repaired source is taken without mixing two contents; what a sample was made from is known for good."""

import json
import shutil

import pytest
from click.testing import CliRunner

from p3d_gen.cli import main
from p3d_gen.pack.stage import pack_shard
from p3d_gen.run.files import file_sha256
from p3d_gen.run.ledgers import Failure, read_ledger, seal, stage_inputs
from p3d_gen.run.local import run_shards
from p3d_gen.run.record import read_record
from p3d_gen.run.shards import read_labels
from p3d_gen.run.store import create_run, open_run
from p3d_gen.stylize.stage import stylize_shard
from tests.helpers.assets import save_picture
from tests.helpers.commands import shard_hashes
from tests.helpers.fake_runs import fake_renders


def invoke(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def packed(root, manifest_path):
    run = create_run(root, manifest_path)
    fake_renders(run)
    for stage in (stylize_shard, pack_shard):
        for _ in run_shards(stage, str(run.root), run.all_shards(), 1, int):
            pass
    return run


def states(run):
    """What is known of each packed shard's files, also when they were written."""
    return {
        shard: (run.tar("shards", shard).with_suffix(".json").stat().st_ino, read_ledger(run, "shards", shard))
        for shard in run.all_shards()
    }


@pytest.fixture
def failed(tmp_path, assets, manifest_path):
    """A run with a background that cannot be read, and the number of samples that failed for it."""
    (assets / "backgrounds" / "b0.jpg").write_bytes(b"no picture")
    run = packed(tmp_path / "run", manifest_path)
    assert sum(len(ledger.failures) for _, ledger in states(run).values()) > 0
    assert any(not ledger.failures for _, ledger in states(run).values())
    return run


def test_a_repaired_picture_is_taken(tmp_path, assets, manifest_path, failed):
    """Law: the run becomes one that is begun with the repaired picture, and sound shards are not made again."""
    save_picture(assets / "backgrounds" / "b0.jpg", 1, (200, 260))  # of another size
    before = states(failed)
    refused = invoke("pack", failed.root, "--workers", 1)
    assert refused.exit_code == 1
    assert "b0.jpg" in refused.output
    result = invoke("pack", failed.root, "--retry-failed", "--workers", 1)
    assert result.exit_code == 0, result.output
    assert "repaired since samples failed for them: b0.jpg" in result.output
    after = states(open_run(failed.root))
    assert [shard for shard in after if after[shard] == before[shard]] == [
        shard for shard, (_, ledger) in before.items() if not ledger.failures
    ]
    assert shard_hashes(failed.root) == shard_hashes(packed(tmp_path / "fresh", manifest_path).root)
    assert "nothing to do" in invoke("pack", failed.root).output
    assert invoke("verify", failed.root, "--workers", 1).exit_code == 0
    origin = read_record(failed.root).origin
    assert origin.contents["background"]["b0"] == file_sha256(assets / "backgrounds" / "b0.jpg")
    assert origin.first_contents["background"]["b0"] != origin.contents["background"]["b0"]


def test_a_repair_that_is_none_fails_again_and_may_be_repaired_again(assets, failed):
    path = assets / "backgrounds" / "b0.jpg"
    first = read_record(failed.root).origin.first_contents
    path.write_bytes(b"no picture either")
    assert invoke("pack", failed.root, "--retry-failed", "--workers", 1).exit_code == 1
    save_picture(path, 1, (200, 260))
    assert invoke("pack", failed.root, "--retry-failed", "--workers", 1).exit_code == 0
    assert read_record(failed.root).origin.first_contents == first


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("backgrounds/b2.jpg", "b2.jpg (background) has another content than when {run} was begun, and samples in"),
        ("textures/banded/banded_0001.jpg", "banded_0001.jpg (texture) has another content than when {run} was begun"),
        ("cad/car/m0.off", "only pictures can be repaired"),
    ],
)
def test_other_contents_are_never_mixed(assets, manifest_path, failed, file, said):
    save_picture(assets / "backgrounds" / "b0.jpg", 1, (200, 260))
    path = assets / file
    path.write_bytes(path.read_bytes() + b" ")
    before, record = states(failed), (failed.root / "run.json").read_bytes()
    refused = invoke("run", manifest_path, "--out", failed.root, "--retry-failed", "--workers", 1)
    assert refused.exit_code == 1
    assert said.format(run=failed.root) in refused.output
    assert "put the former one back, or choose another --out" in refused.output
    assert (states(failed), (failed.root / "run.json").read_bytes()) == (before, record)


def test_a_picture_that_no_failure_names_is_no_repair(run, assets, manifest_path):
    seal(run, "render", "car-00000", stage_inputs(run, "render"), [], [Failure(key="car-000000", reason="a timeout")])
    save_picture(assets / "backgrounds" / "b1.jpg", 7, (200, 260))
    refused = invoke("run", manifest_path, "--out", run.root, "--retry-failed")
    assert refused.exit_code == 1
    assert "no sample failed for it" in refused.output


def test_a_new_picture_is_no_repair(assets, failed):
    save_picture(assets / "backgrounds" / "b9.jpg", 1, (200, 260))
    refused = invoke("pack", failed.root, "--retry-failed")
    assert refused.exit_code == 1
    assert "are not those it was made from" in refused.output


def test_every_sample_knows_the_content_of_its_sources(tmp_path, assets, manifest_path):
    run = packed(tmp_path / "run", manifest_path)
    sha256 = {path.relative_to(assets).as_posix(): file_sha256(path) for path in assets.rglob("*") if path.is_file()}
    checked = 0
    for shard in run.all_shards():
        render, pack = (read_ledger(run, stage, shard).sources for stage in ("render", "shards"))
        for _, labels in read_labels(run.tar("shards", shard)):
            category = labels["category"]
            assert render[f"cad/{category}"][labels["cad_id"]] == sha256[f"cad/{category}/{labels['cad_id']}.off"]
            assert render["texture"][labels["texture_id"]] == sha256[f"textures/{labels['texture_id']}.jpg"]
            assert pack["background"][labels["background_id"]] == sha256[f"backgrounds/{labels['background_id']}.jpg"]
            checked += 1
    assert checked == 6
    assert read_ledger(run, "stylize", "car-00000").sources == {}


def test_provenance_tells_what_samples_were_made_from_then(tmp_path, assets, manifest_path):
    """Backgrounds may change, see --update: a stylization that was packed before has the former ones."""
    run = packed(tmp_path / "run", manifest_path)
    assert invoke("provenance", run.root).exit_code == 0
    before = (run.root / "provenance.jsonl").read_bytes()
    for path in (assets / "backgrounds").iterdir():
        save_picture(path, 8, (200, 260))
    assert invoke("provenance", run.root).exit_code == 0
    assert (run.root / "provenance.jsonl").read_bytes() == before


def test_licences_are_known_when_the_sources_are_gone(tmp_path, assets, manifest_path):
    for name in ("cad", "textures"):
        (assets / name / "LICENSE").write_text("SPDX-License-Identifier: CC-BY-4.0\n")
    (assets / "backgrounds" / "licences.toml").write_text('"b0.jpg" = "CC0-1.0"\n"*" = "MIT"\n')
    run = packed(tmp_path / "run", manifest_path)
    words = ("--split", "train=1", "--out")
    assert invoke("dataset", "make", run.root, *words, tmp_path / "before").exit_code == 0
    assert invoke("provenance", run.root, "--out", tmp_path / "before.jsonl").exit_code == 0
    shutil.rmtree(assets)
    result = invoke("dataset", "make", run.root, *words, tmp_path / "after")
    assert result.exit_code == 0, result.output
    before, card = ((tmp_path / name / "README.md").read_text() for name in ("before", "after"))
    assert card == before.replace("before", "after")
    assert "unknown" not in card
    assert "CC-BY-4.0" in card
    assert invoke("provenance", run.root, "--out", tmp_path / "after.jsonl").exit_code == 0
    assert (tmp_path / "after.jsonl").read_bytes() == (tmp_path / "before.jsonl").read_bytes()
    told = json.loads((tmp_path / "after.jsonl").read_text().splitlines()[0])
    assert "CC-BY-4.0" in told["licences"]
