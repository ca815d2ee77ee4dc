"""A shard is made again if, and only if, something that decides its bytes has changed; and that is said."""

import json
import os
import shutil
from dataclasses import replace

import pytest
from click.testing import CliRunner

import p3d_gen
from p3d_gen.cli import main
from p3d_gen.core.errors import RunError
from p3d_gen.pack.stage import pack_shard
from p3d_gen.run.ledgers import read_ledger, seal, stage_inputs
from p3d_gen.run.local import run_shards
from p3d_gen.run.store import create_run, forget_runs, open_run, shared_run
from p3d_gen.spec.manifest import parse_manifest
from p3d_gen.stylize.stage import stylize_shard
from p3d_gen.stylize.stylization import open_stylization
from tests.helpers.assets import edit, save_picture
from tests.helpers.commands import STAGES, shard_hashes
from tests.helpers.fake_runs import fake_renders
from tests.helpers.records import edit_record


def invoke(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def packed(run):
    fake_renders(run)
    for stage in (stylize_shard, pack_shard):
        for _ in run_shards(stage, str(run.root), run.all_shards(), 1, int):
            pass
    return run


def ledgers(run, stage):
    return [read_ledger(run, stage, shard) for shard in run.all_shards()]


def inputs(run):
    """The hashes of the three stages, without their upstream."""
    own = open_stylization(run).made_from(run)
    return dict(
        zip(
            STAGES,
            (stage_inputs(run, "render"), stage_inputs(run, "stylize", made_from=own), stage_inputs(run, "shards")),
            strict=True,
        )
    )


CHANGES = [
    ({"seed": 4}, {"render", "stylize", "shards"}),
    ({"cad": {"stretch": 0.1}}, {"render"}),
    ({"viewpoint": {"distribution": "so3"}}, {"render"}),
    ({"camera": {"distance": [4.0, 5.0]}}, {"render"}),
    ({"render": {"samples": 2}}, {"render"}),
    ({"texture": {"roughness": [0.2, 0.3]}}, {"render"}),
    ({"light": {"strength": [1.0, 1.1]}}, {"render"}),
    ({"occlusion": {"level": "L1"}}, {"render"}),
    ({"stylize": {"colours": ["red"]}}, {"render", "stylize"}),
    ({"stylize": {"steps": 3}}, {"stylize"}),
    ({"background": {"edge": "hard"}}, {"shards"}),
    ({"background": {"draw": "disjoint"}}, {"shards"}),
    ({"background": {"per_render": 2}}, {"shards"}),
    ({"output": {"jpeg_quality": 50}}, {"shards"}),
    ({"output": {"members": ["mask"]}}, {"render", "shards"}),  # without depth
    ({"output": {"members": ["mask", "depth", "render", "stylized"]}}, {"shards"}),
]


@pytest.mark.parametrize(("change", "decided"), CHANGES, ids=[json.dumps(change) for change, _ in CHANGES])
def test_a_key_of_the_manifest_decides_the_stages_that_read_it(run, change, decided):
    values = run.manifest.model_dump(mode="json")
    for key, value in change.items():
        values[key] = values[key] | value if isinstance(value, dict) else value
    after = inputs(replace(run, manifest=parse_manifest(values, "changed")))
    assert {stage for stage, before in inputs(run).items() if after[stage] != before} == decided


def test_every_key_of_the_manifest_decides_a_stage(run):
    """Else a key could change bytes, and no shard would be made again."""
    values = run.manifest.model_dump(mode="json")
    changed = {"seed", *(key for change, _ in CHANGES for key in change)}
    assert values.keys() - changed == {"categories", "samples_per_category", "shard_size"}
    for key in ("samples_per_category", "shard_size"):
        after = inputs(replace(run, manifest=parse_manifest({**values, key: 7}, "changed")))
        assert {stage for stage, before in inputs(run).items() if after[stage] != before} == {"render", "shards"}


@pytest.mark.parametrize(
    ("file", "decided"),
    [
        ("cad/car/m0.off", {"render"}),
        ("textures/banded/banded_0001.jpg", {"render"}),
        ("backgrounds/b1.jpg", {"shards"}),
    ],
)
def test_a_source_decides_by_its_content(tmp_path, assets, manifest_path, file, decided):
    before = inputs(create_run(tmp_path / "a", manifest_path))
    (assets / file).write_bytes((assets / file).read_bytes()[::-1])  # of the same size
    after = inputs(create_run(tmp_path / "b", manifest_path))
    assert {stage for stage in STAGES if before[stage] != after[stage]} == decided


def test_a_prepared_model_decides_by_its_content(run):
    models = {"car": {"m0": {"sha256": "1"}, "m1": {"sha256": "2"}}, "chair": {}, "quarantined": {}}
    hashes = set()
    for swap in (False, True):
        if swap:
            models["car"] = {"m0": models["car"]["m1"], "m1": models["car"]["m0"]}
        run.models_file.parent.mkdir(exist_ok=True)
        run.models_file.write_text(json.dumps(models))
        hashes.add(inputs(open_run(run.root))["render"])
    assert len(hashes) == 2


def test_weights_decide_by_their_content(tmp_path, run):
    weights = tmp_path / "weights"
    weights.mkdir()
    (weights / "model_index.json").write_text("{}")
    (weights / "model.safetensors").write_bytes(b"1")
    settings = run.manifest.stylize.model_copy(update={"stylizer": "controlnet", "base": str(weights), "control": ()})
    hashes = set()
    for content in (b"1", b"2"):
        (weights / "model.safetensors").write_bytes(content)
        stylization = replace(open_stylization(run), settings=settings)
        hashes.add(stage_inputs(run, "stylize", made_from=stylization.made_from(run)))
    assert len(hashes) == 2


def test_shards_of_the_former_form_stay_valid(run, manifest_path):
    """Earlier versions let the whole manifest and all sources decide, and did not record which form they used."""
    edit_record(run.root / "run.json", without=("inputs_version",))
    old = packed(open_run(run.root))
    assert old.decisive("render") == {"manifest": old.manifest_hash, "inventory": old.inventory.listing()}
    before = {stage: ledgers(old, stage) for stage in STAGES}
    result = invoke("pack", run.root, "--workers", 1)
    assert result.exit_code == 0, result.output
    assert {stage: ledgers(old, stage) for stage in STAGES} == before
    assert "stylize" in invoke("stylize", run.root, "--workers", 1).output
    assert {stage: ledgers(old, stage) for stage in STAGES} == before
    other_output(None, manifest_path)
    refused = invoke("run", manifest_path, "--out", run.root, "--update")
    assert refused.exit_code == 1
    assert "was begun by an earlier version of p3dgen" in refused.output


def more_backgrounds(assets, manifest_path):
    save_picture(assets / "backgrounds" / "b9.jpg", 9, (200, 260))


def another_background(assets, manifest_path):
    shutil.copy(assets / "backgrounds" / "b0.jpg", assets / "backgrounds" / "b1.jpg")


def other_output(assets, manifest_path):
    manifest_path.write_text(manifest_path.read_text() + '\n[output]\nimage_format = "png"\n')


@pytest.mark.parametrize("change", [more_backgrounds, another_background, other_output])
def test_a_run_goes_on_with_what_no_render_depends_on(tmp_path, assets, manifest_path, change, capsys):
    """Law: its packed shards become those of a run that is begun with the change; its renders are not touched."""
    run = packed(create_run(tmp_path / "run", manifest_path))
    before = {stage: ledgers(run, stage) for stage in STAGES}
    change(assets, manifest_path)
    refused = invoke("render", manifest_path, "--out", run.root)
    assert refused.exit_code == 1
    assert "--update" in refused.output
    p3d_gen.create_run(run.root, manifest_path, update=True)
    assert f"{run.root} goes on with what has changed (" in capsys.readouterr().err
    result = invoke("pack", run.root, "--workers", 1)
    assert result.exit_code == 0, result.output
    assert "pack: 4 finished shards are made again, what they were made from has changed since" in result.output
    after = open_run(run.root)
    assert [ledgers(after, stage) for stage in STAGES[:2]] == [before[stage] for stage in STAGES[:2]]
    fresh = packed(create_run(tmp_path / "fresh", manifest_path))
    names = [name for name in shard_hashes(fresh.root) if "shards" in str(name)]
    assert len(names) == 4
    assert all(shard_hashes(run.root)[name] == shard_hashes(fresh.root)[name] for name in names)
    assert "nothing to do" in invoke("pack", run.root).output
    verified = invoke("verify", run.root, "--workers", 1)
    assert verified.exit_code == 0, verified.output


def test_a_run_does_not_go_on_with_what_renders_depend_on(tmp_path, run, assets, manifest_path):
    packed(run)
    before = (run.root / "run.json").read_bytes()
    text = manifest_path.read_text()
    edit(manifest_path, ("seed = 3", "seed = 4"))
    refused = invoke("run", manifest_path, "--out", run.root, "--update")
    assert "depend on what has changed (manifest.seed: 3 -> 4): choose another --out" in refused.output
    manifest_path.write_text(text)
    (assets / "textures" / "banded" / "more.jpg").write_bytes(b"1")
    refused = invoke("run", manifest_path, "--out", run.root, "--update")
    assert "depend on what has changed" in refused.output
    assert (run.root / "run.json").read_bytes() == before


def under_others(run):
    """The run as another version of numpy began it."""
    edit_record(run.root / "run.json", versions=run.origin.versions | {"numpy": "1.0.0"})


def test_other_versions_are_said_once_and_refused_if_asked(run):
    fake_renders(run)
    under_others(run)
    refused = invoke("stylize", run.root, "--workers", 1, "--strict-versions")
    assert refused.exit_code == 1
    assert "was made under other versions (numpy 1.0.0 -> " in refused.output
    assert not (run.root / "stylize").exists()
    said = invoke("stylize", run.root, "--workers", 1)
    assert said.exit_code == 0, said.output
    assert said.output.count("goes on under other versions than before: numpy 1.0.0 -> ") == 1
    finished = invoke("stylize", run.root, "--strict-versions")  # nothing is made: nothing is mixed
    assert finished.exit_code == 0, finished.output
    assert "numpy" not in finished.output


def test_the_versions_of_finished_shards_count(run):
    fake_renders(run)
    shard = run.all_shards()[0]
    ledger = seal(run, "stylize", shard, "", [], [])
    path = run.tar("stylize", shard).with_suffix(".json")
    edit_record(path, made_with=ledger.made_with | {"scipy": "0.1"})
    assert "scipy 0.1 -> " in invoke("stylize", run.root, "--workers", 1).output


def test_a_process_compares_the_sources_of_a_run_once(run):
    first = shared_run(str(run.root))
    assert shared_run(str(run.root)) is first
    assert shared_run(str(run.root), ()) is not first
    under_others(run)
    second = shared_run(str(run.root))
    assert second.origin.versions["numpy"] == "1.0.0"
    forget_runs()
    assert shared_run(str(run.root)) is not second


def test_a_worker_that_begins_compares_them_again(run, assets):
    fake_renders(run)
    for _ in run_shards(stylize_shard, str(run.root), run.all_shards(), 1, int):
        pass
    shards = run.all_shards()
    assert len(list(run_shards(pack_shard, str(run.root), shards[:1], 1, int))) == 1
    path = assets / "backgrounds" / "b1.jpg"
    path.write_bytes(path.read_bytes()[::-1])
    os.utime(path)
    with pytest.raises(RunError, match=r"b1\.jpg has another content"):
        list(run_shards(pack_shard, str(run.root), shards[1:], 1, int))
