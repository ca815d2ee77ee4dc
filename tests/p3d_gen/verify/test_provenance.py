"""Every sample says what it was made of, under which licences, from which seeds, and by which software."""

import json
import shlex
import sys
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import pytest
from click.testing import CliRunner

from p3d_gen.cli import main
from p3d_gen.core.errors import RunError
from p3d_gen.pack.stage import pack_shard
from p3d_gen.run.files import file_sha256
from p3d_gen.run.ledgers import read_ledger
from p3d_gen.run.local import run_shards
from p3d_gen.run.shards import read_labels
from p3d_gen.run.store import create_run
from p3d_gen.run.versions import COMMAND_VARIABLE, changed, command, versions
from p3d_gen.spec.sampling import spec
from p3d_gen.spec.stylize import Control, Stylize
from p3d_gen.stylize.stage import stylize_shard
from p3d_gen.stylize.stylization import open_stylization
from p3d_gen.verify.provenance import provenance_entries, used_assets
from tests.helpers.fake_runs import fake_renders


def invoke(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def packed(tmp_path, manifest_path, assets):
    (assets / "cad" / "LICENSE").write_text("MIT")
    (assets / "backgrounds" / "licences.toml").write_text('"b0*" = "CC-BY-4.0"\n')
    run = create_run(tmp_path / "run", manifest_path)
    fake_renders(run)
    for stage in (stylize_shard, pack_shard):
        assert sum(ledger.count for ledger in run_shards(stage, str(run.root), run.all_shards(), 1, int)) == 6
    return run


def labels_of(run):
    return {key: labels for shard in run.all_shards() for key, labels in read_labels(run.tar("shards", shard))}


def test_an_entry_for_every_sample(packed, assets):
    entries = {entry["key"]: entry for entry in provenance_entries(packed, open_stylization(packed))}
    labels = labels_of(packed)
    assert list(entries) == list(labels)
    for key, entry in entries.items():
        of = labels[key]
        made_of = {each["kind"]: each for each in entry["made_of"]}
        assert set(made_of) == {"cad", "texture", "background"}
        assert made_of["cad"]["id"] == f"{of['category']}/{of['cad_id']}"
        assert made_of["texture"]["id"] == of["texture_id"]
        assert made_of["background"]["id"] == of["background_id"]
        assert made_of["background"]["sha256"] == file_sha256(assets / "backgrounds" / made_of["background"]["file"])
        assert made_of["cad"]["licence"] == "MIT"
        assert made_of["background"]["licence"] == ("CC-BY-4.0" if of["background_id"] == "b0" else "unknown")
        assert entry["licences"] == sorted({each["licence"] for each in entry["made_of"]})
        sample = spec(packed.manifest, packed.inventory, of["category"], of["index"])
        assert entry["seeds"] == {"manifest": 3, "render": sample.render_seed, "stylize": of["stylize_seed"]}
        assert entry["prompt"] == of["prompt"]
        assert set(entry["made_by"]) == {"render", "stylize", "shards"}
        assert entry["made_by"]["shards"]["versions"]["numpy"] == version("numpy")
        assert entry["made_by"]["shards"]["command"] == command()


def test_weights_that_are_used_twice_count_once(packed):
    control = Control(weights="embedded")
    settings = Stylize(stylizer="controlnet", base="embedded", control=[control, control])
    used = used_assets(packed, replace(open_stylization(packed), settings=settings))
    found = [(each.id, each.licence.id, samples) for each, samples in used if each.kind == "checkpoint"]
    assert found == [("embedded/base", "CC0-1.0", 6), ("embedded/controlnet", "CC0-1.0", 6)]


def test_the_commands(packed):
    result = invoke("provenance", packed.root)
    assert result.output.strip() == str(packed.root / "provenance.jsonl")
    lines = [json.loads(line) for line in (packed.root / "provenance.jsonl").read_text().splitlines()]
    assert len(lines) == 6
    one = invoke("provenance", packed.root, "chair-000001")
    assert json.loads(one.output) == lines[4]
    assert "they run from chair-000000 to chair-000002" in invoke("provenance", packed.root, "chair-000003").output
    listed = invoke("licenses", packed.root)
    assert listed.exit_code == 0, listed.output
    stored = json.loads((packed.root / "licences.json").read_text())
    used = used_assets(packed, open_stylization(packed))
    assert sum(stored["assets_by_licence"].values()) == len(stored["assets"]) == len(used)
    assert sum(each["samples"] for each in stored["assets"]) == 18
    refused = invoke("licences", packed.root, "--allow-licenses", "MIT,CC-BY-4.0")
    assert refused.exit_code == 1
    assert "texture: 2 with the licence unknown: banded/banded_0001, dotted/dotted_0001" in refused.output


def test_what_is_not_finished_has_none(packed):
    packed.tar("shards", "car-00001").unlink()
    for name in ("provenance", "licences"):
        assert "car-00001.tar is not there: run `p3dgen pack` first" in invoke(name, packed.root).output
    with pytest.raises(RunError, match="has no sample 'bus-000000'"):
        next(provenance_entries(packed, open_stylization(packed), "bus-000000"))


def test_ledgers_tell_the_software_and_the_command(packed, monkeypatch):
    ledger = read_ledger(packed, "shards", "car-00000")
    assert ledger.made_with == versions()
    assert ledger.command == shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
    assert changed(ledger.made_with) == ""
    assert changed({**ledger.made_with, "bpy": "4.2.0", "gone": "1"}).startswith("bpy 4.2.0 there, ")
    monkeypatch.setenv(COMMAND_VARIABLE, "p3dgen run there")
    assert command() == "p3dgen run there"
