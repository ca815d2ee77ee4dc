"""Run folders know what they were made from."""

import json
import os
import re
from collections import Counter
from dataclasses import replace

import pytest

from p3d_gen.core.errors import AssetError, ManifestError, RunError
from p3d_gen.run.files import sealed_json, unsealed
from p3d_gen.run.ledgers import Failure, Remarks, forget_failures, read_ledger, seal, stage_command, stage_inputs
from p3d_gen.run.record import difference
from p3d_gen.run.store import create_run, open_run
from tests.helpers.commands import STAGES
from tests.helpers.records import edit_record, unseal

SAMPLES = [("car-000000", {"json": b"{}"})]
NO_CONTENTS = '{"schema_version": 4, "manifest": {}, "base_dir": "", "sources": {}, "sha256": [1]}'


def sealed(run, stage="render", failures=()):
    return seal(run, stage, "car-00000", stage_inputs(run, stage), SAMPLES, list(failures))


def test_shards_cover_every_sample_once(run):
    assert run.all_shards() == ["car-00000", "car-00001", "chair-00000", "chair-00001"]
    assert [list(run.members_of(s)[1]) for s in run.shards("car")] == [[0, 1], [2]]


def test_opening_again_gives_the_same_run(run, manifest_path):
    assert open_run(run.root) == run
    assert create_run(run.root, manifest_path) == run


def test_another_manifest(run, manifest_path):
    manifest_path.write_text(manifest_path.read_text().replace("seed = 3", "seed = 4"))
    with pytest.raises(RunError, match=r"made from another manifest.*seed: 3 -> 4.*another --out"):
        create_run(run.root, manifest_path)


def test_all_differences_of_two_manifests_are_named(run, manifest_path):
    text = manifest_path.read_text().replace("seed = 3", "seed = 4")
    manifest_path.write_text(re.sub(r"samples_per_category = \d+", "samples_per_category = 9", text))
    with pytest.raises(RunError, match=r"\(samples_per_category: 3 -> 9, seed: 3 -> 4\)"):
        create_run(run.root, manifest_path)


def test_only_the_first_of_many_differences_are_named():
    assert difference({"a": 1, "b": {"c": 2}}, {"a": 1, "b": {"c": 3}}) == "b.c: 2 -> 3"
    told = difference(dict.fromkeys("abcdefgh", 0), dict.fromkeys("abcdefgh", 1))
    assert told == "a: 0 -> 1, b: 0 -> 1, c: 0 -> 1, d: 0 -> 1, e: 0 -> 1, f: 0 -> 1 and 2 more"


def test_changed_sources(run, assets):
    (assets / "backgrounds" / "b3.jpg").write_bytes((assets / "backgrounds" / "b2.jpg").read_bytes())
    with pytest.raises(RunError, match=r"sources of .*background: .*b3"):
        open_run(run.root)


def test_a_source_edited_to_the_same_size(run, assets):
    path = assets / "backgrounds" / "b2.jpg"
    before, times = path.read_bytes(), path.stat()
    path.write_bytes(before[::-1])
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    with pytest.raises(RunError, match=r"sources of .* have changed since it was begun: .*b2\.jpg has another content"):
        open_run(run.root)
    assert open_run(run.root, needs=()).inventory.lacking.keys() == {"background"}
    path.write_bytes(before)
    assert open_run(run.root).inventory == run.inventory


def test_a_run_that_recorded_no_contents_is_opened(run, assets):
    """Version 0.1.0 knew its sources by their names and sizes alone."""
    path = run.root / "run.json"
    content = json.loads(path.read_text())
    assert list(content["sha256"]["background"]) == [asset.id for asset in run.inventory.backgrounds]
    unseal(path, without=("sha256",))
    background = assets / "backgrounds" / "b2.jpg"
    background.write_bytes(background.read_bytes()[::-1])
    assert open_run(run.root).inventory == run.inventory


def test_folders_that_are_no_runs(tmp_path, manifest_path):
    with pytest.raises(RunError, match=r"holds no run\.json"):
        open_run(tmp_path)
    with pytest.raises(RunError, match="is not empty and not a run folder"):
        create_run(tmp_path, manifest_path)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"schema_version": 1}', NO_CONTENTS])
def test_damaged_run_json(run, content):
    (run.root / "run.json").write_text(content)
    with pytest.raises((RunError, ManifestError), match=r"run\.json"):
        open_run(run.root)


def test_another_schema(run):
    path = run.root / "run.json"
    old = unsealed(path.read_bytes()) | {"schema_version": 99}
    old["manifest"]["a key that was given up"] = 1
    edit_record(path, **old)
    with pytest.raises(RunError, match="schema version 99"):
        open_run(run.root)


def test_ledger_round_trip(run):
    failures = (Failure(key="car-000001", reason="why"),)
    ledger = seal(
        run, "render", "car-00000", "", SAMPLES, list(failures), Remarks(notes=Counter(again=2), model_seconds=0.5)
    )
    assert ledger.count == 1
    assert (ledger.notes, ledger.model_seconds) == ({"again": 2}, 0.5)
    assert read_ledger(run, "render", "car-00000") == ledger
    assert read_ledger(run, "render", "car-00001") is None


def test_a_ledger_without_its_tar_counts_for_nothing(run):
    sealed(run)
    run.tar("render", "car-00000").unlink()
    assert read_ledger(run, "render", "car-00000") is None


@pytest.mark.parametrize("name", ["run.json", "render/car-00000.json"])
def test_no_bit_of_a_record_changes_unnoticed(run, name):
    sealed(run)
    content = (run.root / name).read_bytes()
    assert sealed_json(unsealed(content)) == content
    for place in range(len(content) - 1):  # the last byte is the end of the last line
        for bit in range(8):
            flipped = content[:place] + bytes([content[place] ^ 1 << bit]) + content[place + 1 :]
            with pytest.raises(ValueError):  # noqa: PT011  whatever JSON says
                unsealed(flipped)
            with pytest.raises(ValueError):  # noqa: PT011
                unsealed(content[:place])


def test_a_ledger_in_the_place_of_another_is_none(run):
    sealed(run)
    path = run.tar("render", "car-00000").with_suffix(".json")
    path.rename(run.tar("render", "car-00001").with_suffix(".json"))
    with pytest.raises(RunError, match=r"car-00001.json is not a ledger \(it is that of render/car-00000\)"):
        read_ledger(run, "render", "car-00001")


def test_damaged_ledger(run):
    sealed(run)
    run.tar("render", "car-00000").with_suffix(".json").write_text('{"count": 1}')
    with pytest.raises(RunError, match="is not a ledger"):
        read_ledger(run, "render", "car-00000")


def test_inputs_follow_everything_that_decides_the_bytes(run):
    ledger = sealed(run)
    hashes = {
        stage_inputs(run, "render"),
        stage_inputs(run, "stylize"),
        stage_inputs(run, "stylize", ledger),
        stage_inputs(run, "stylize", replace(ledger, sha256="0")),
        stage_inputs(replace(run, manifest=run.manifest.model_copy(update={"seed": 4})), "render"),
        stage_inputs(replace(run, prepared_sha256={"car/m0.npz": "0"}), "render"),
        stage_inputs(replace(run, inventory=replace(run.inventory, textures=())), "render"),
        stage_inputs(run, "stylize", ledger, made_from={"steps": 2}),
    }
    assert len(hashes) == 8


def test_forgetting_failures(run):
    sealed(run, failures=[Failure(key="car-000001", reason="why")])
    sealed(run, stage="stylize")
    forget_failures(run, STAGES, run.all_shards()[1:])
    assert read_ledger(run, "render", "car-00000") is not None
    forget_failures(run, STAGES, run.all_shards())
    assert read_ledger(run, "render", "car-00000") is None
    assert read_ledger(run, "stylize", "car-00000") is not None


def test_forgetting_the_failures_of_one_stage(run):
    for stage in ("render", "stylize", "stylize-other"):
        sealed(run, stage=stage, failures=[Failure(key="car-000001", reason="why")])
    forget_failures(run, ["stylize-other"], run.all_shards())
    assert [stage for stage in ("render", "stylize", "stylize-other") if read_ledger(run, stage, "car-00000")] == [
        "render",
        "stylize",
    ]


def test_commands_of_stages():
    stages = ("render", "stylize", "shards", "stylize-a-b", "shards-a-b")
    assert [stage_command(stage) for stage in stages] == [
        "p3dgen render",
        "p3dgen stylize",
        "p3dgen pack",
        "p3dgen stylize --name a-b",
        "p3dgen pack --name a-b",
    ]


def edited(manifest_path, old, new):
    manifest_path.write_text(manifest_path.read_text().replace(old, new))
    return manifest_path


@pytest.mark.parametrize(
    ("old", "new", "error", "said"),
    [
        ('"assets/cad"', '"assets/cads"', ManifestError, r"cad\.source = 'assets/cads': there is no folder"),
        ('"car", "chair"', '"car", "bus"', AssetError, r"no CAD model of 'bus' in the layout 'folder'"),
        ('"assets/backgrounds"', '"assets/textures/banded/empty"', AssetError, r"background\.source: the folder"),
        ('"assets/cad"', '"assets/cad"\ninclude = ["x*"]', AssetError, r"cad\.include.*m0"),
    ],
)
def test_missing_sources_make_no_run(tmp_path, assets, manifest_path, old, new, error, said):
    (assets / "textures" / "banded" / "empty").mkdir()
    with pytest.raises(error, match=said):
        create_run(tmp_path / "run", edited(manifest_path, old, new))
    assert not (tmp_path / "run").exists()


def test_two_files_of_one_name(tmp_path, assets, manifest_path):
    (assets / "cad" / "car" / "m0.ply").touch()
    with pytest.raises(AssetError, match=r"m0\.ply and .*m0\.off differ in their suffix only"):
        create_run(tmp_path / "run", manifest_path)
