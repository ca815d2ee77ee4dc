"""A run is looked at without the models and pictures that it was made from, and finds them again after a move."""

import json
import os
import shutil
import subprocess
import sys
from itertools import product

import numpy as np
import pytest
from click.testing import CliRunner

import p3d_gen
from p3d_gen.cli import main
from p3d_gen.core.errors import ManifestError, RunError
from p3d_gen.pack.stage import pack_shard
from p3d_gen.report.sheet import write_contact_sheet
from p3d_gen.run.local import run_shards
from p3d_gen.run.store import create_run, open_run
from p3d_gen.spec.inventory import KINDS, Asset
from p3d_gen.spec.manifest import load_manifest
from p3d_gen.spec.recorded import recorded_inventory
from p3d_gen.spec.sampling import backdrop, spec
from p3d_gen.spec.stylize import Stylize
from p3d_gen.spec.taken import take_inventory
from p3d_gen.stylize.stage import stylize_shard
from p3d_gen.stylize.stylization import create_stylization, open_stylization
from tests.helpers.assets import edit
from tests.helpers.disks import read_only
from tests.helpers.fake_runs import fake_renders


def invoke(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def packed(run):
    fake_renders(run)
    for stage in (stylize_shard, pack_shard):
        for _ in run_shards(stage, str(run.root), run.all_shards(), 1, int):
            pass
    write_contact_sheet(run)
    return run


HEAD = 'categories = ["car", "chair"]\nsamples_per_category = 9\ncad = { source = "assets/cad" }\n'


@pytest.mark.parametrize(
    "sections",
    [
        "",
        '[background]\ndraw = "environment"\n[light]\nkind = "hdri"\n',
        '[background]\nsource = "assets/backgrounds"\ndraw = "disjoint"\n[texture]\nkind = "naive"\n',
        '[background]\nsource = "assets/backgrounds"\ndraw = "sets"\nsets = { car = ["b0"], chair = ["b[12]"] }\n',
    ],
)
def test_samples_are_drawn_from_what_was_recorded_as_from_the_sources(tmp_path, assets, sections):
    """Law: for all manifests, categories and indices, with and without the files."""
    path = tmp_path / "manifest.toml"
    path.write_text(HEAD + sections)
    manifest = load_manifest(path)
    real = take_inventory(manifest, tmp_path)
    there = recorded_inventory(manifest, tmp_path, real.listing())
    gone = recorded_inventory(manifest, None, real.listing())
    assert there == real
    assert gone.listing() == real.listing()
    assert gone.lacking.keys() == set(KINDS)
    for category, index in product(manifest.categories, range(9)):
        assert spec(manifest, gone, category, index) == spec(manifest, real, category, index)
        assert backdrop(manifest, gone, category, index, 1) == backdrop(manifest, real, category, index, 1)


def test_the_id_of_a_recorded_asset_is_read_back(tmp_path):
    """Law: for files of any name and computed shapes."""
    path = tmp_path / "m.toml"
    path.write_text('categories = ["car"]\nsamples_per_category = 1\n')
    manifest = load_manifest(path)
    rng = np.random.default_rng(5)
    assets = [Asset(id="a car_00001", address="parametric:car?variant=1")]
    for number in range(200):
        name = "".join(rng.choice(list("a 1.-_\u00e9("), rng.integers(1, 12)))
        file = tmp_path / f"{number}.{rng.choice(['off', 'JPG', 'hdr'])}"
        file.write_bytes(b"1" * int(rng.integers(1, 200)))
        assets.append(Asset(id=f"{name}/{number}{name}", address=str(file)))
    listing = {"cad/car": [asset.identity() for asset in assets]}
    listing |= {"texture": [], "hdri": [], "background": [], "viewpoint": []}
    known = recorded_inventory(manifest, None, listing).cads["car"]
    assert [(each.id, each.identity()) for each in known] == [(asset.id, asset.identity()) for asset in assets]


def test_looking_needs_no_sources(packed, assets):
    def looks():
        for command in ("report", "sheet", "status", "licenses", "provenance"):
            assert (result := invoke(command, packed.root)).exit_code == 0, (command, result.output)
        return invoke("verify", packed.root, "--workers", "1")

    before = looks()
    assert "not checked" not in before.output
    licences = (packed.root / "licences.json").read_bytes()
    provenance = (packed.root / "provenance.jsonl").read_bytes()
    shutil.rmtree(assets)
    after = looks()
    assert after.exit_code == 0, after.output
    assert "not checked: composites on 3 of 3 backgrounds were not made again" in after.output
    assert "there is no folder" in after.output
    assert json.loads((packed.root / "verify.json").read_text())["sound"]
    assert (packed.root / "licences.json").read_bytes() == licences
    assert (packed.root / "provenance.jsonl").read_bytes() == provenance
    opened = p3d_gen.open_run(packed.root)
    assert len(list(opened.samples())) == len(opened) == 6
    with pytest.raises(ManifestError, match=r"source = 'assets/\w+': there is no folder .*--base-dir"):
        opened.render()


def test_damage_is_found_without_the_sources(packed, assets):
    shutil.rmtree(assets)
    tar = packed.tar("shards", "car-00000")
    content = bytearray(tar.read_bytes())
    place = content.index(b'"background_id":"b') + len(b'"background_id":"b')
    content[place] = ord("7")
    tar.write_bytes(content)
    result = invoke("verify", packed.root, "--workers", "1")
    assert result.exit_code == 1
    assert "background_id is 'b7' in the run" in result.output


def test_making_says_which_source_is_missing(packed, manifest_path, assets):
    (assets / "backgrounds").rename(assets / "elsewhere")
    run = ("run", manifest_path, "--out", packed.root)
    for command in (("pack", packed.root), run, ("replay", packed.root, "car-000000")):
        result = invoke(*command)
        assert result.exit_code == 1
        assert "background.source = 'assets/backgrounds': there is no folder" in result.output
    assert invoke("stylize", packed.root).exit_code == 0  # it reads the renders only


def test_one_missing_file_is_named(packed, assets):
    (assets / "backgrounds" / "b1.jpg").unlink()
    with pytest.raises(RunError, match=r"background.*b1\.jpg"):
        open_run(packed.root)
    assert "composites on 1 of 3 backgrounds" in invoke("verify", packed.root, "--workers", "1").output


def moved(old, new):
    new.parent.mkdir(parents=True, exist_ok=True)
    return old.rename(new)


def test_a_moved_project_is_found_again(tmp_path, packed, manifest_path):
    project = tmp_path / "moved"
    project.mkdir()
    for name in ("assets", "manifest.toml", "run"):
        moved(tmp_path / name, project / name)
    assert open_run(project / "run").base_dir == project
    result = invoke("pack", project / "run")
    assert "nothing to do" in result.output, result.output
    assert create_run(project / "run", project / "manifest.toml").base_dir == project


def test_a_copied_project_takes_its_own_sources(tmp_path, packed):
    copy = tmp_path / "copy"
    shutil.copytree(tmp_path / "assets", copy / "assets")
    shutil.copytree(packed.root, copy / "run")
    assert open_run(copy / "run").base_dir == copy


def test_a_run_that_was_moved_alone_finds_its_sources(tmp_path, packed):
    assert open_run(moved(packed.root, tmp_path / "far" / "away" / "run")).base_dir == tmp_path


def test_sources_that_were_moved_alone_are_named_once(tmp_path, packed, assets):
    moved(assets, tmp_path / "far" / "assets")
    with pytest.raises(ManifestError, match="--base-dir"):
        open_run(packed.root)
    result = invoke("pack", packed.root, "--base-dir", tmp_path)
    assert result.exit_code == 1, result.output
    assert open_run(packed.root, needs=()).base_dir == tmp_path
    result = invoke("pack", packed.root, "--base-dir", tmp_path / "far")
    assert "nothing to do" in result.output, result.output
    assert open_run(packed.root).base_dir == tmp_path / "far"  # it remembers


def test_another_manifest_with_other_sources_is_refused(tmp_path, packed, assets):
    other = tmp_path / "other"
    shutil.copytree(assets, other / "assets")
    (other / "assets" / "backgrounds" / "b1.jpg").write_bytes(b"another")
    shutil.copy(tmp_path / "manifest.toml", other)
    with pytest.raises(RunError, match=r"sources of .*b1\.jpg"):
        create_run(packed.root, other / "manifest.toml")
    assert open_run(packed.root).base_dir == tmp_path


def test_a_named_stylization_moves_with_its_prompt_file(tmp_path, packed):
    (tmp_path / "prompts.txt").write_text("a {colour} {category}\n")
    settings = Stylize(stylizer="none", prompt_file="prompts.txt")
    create_stylization(packed, "words", (settings, tmp_path))
    project = tmp_path / "moved"
    project.mkdir()
    for name in ("assets", "manifest.toml", "run", "prompts.txt"):
        moved(tmp_path / name, project / name)
    run = open_run(project / "run")
    assert open_stylization(run, "words").templates == ("a {colour} {category}",)
    assert create_stylization(run, "words", (settings, project)).base_dir == project
    other = tmp_path / "other"
    other.mkdir()
    (other / "prompts.txt").write_text("another {colour} {category}\n")
    with pytest.raises(RunError, match="holds other settings"):
        create_stylization(run, "words", (settings, other))
    (project / "prompts.txt").unlink()
    assert "no file" in open_stylization(run, "words").lacking


def test_without_bpy_a_run_is_shown_and_verified(tmp_path, manifest_path):
    """The embedded environment maps, which are its backgrounds, come with bpy."""
    edit(manifest_path, ('source = "assets/backgrounds"', 'source = "embedded"'))
    run = create_run(tmp_path / "run", manifest_path)
    fake_renders(run)
    for stage in (stylize_shard, pack_shard):
        for _ in run_shards(stage, str(run.root), run.all_shards(), 1, int):
            pass
    blocker = tmp_path / "blocker"
    blocker.mkdir()
    (blocker / "sitecustomize.py").write_text("import sys\nsys.modules['bpy'] = None\n")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(blocker), *sys.path])}

    def p3dgen(*command):
        line = [sys.executable, "-c", "from p3d_gen.cli import main; main()", *map(str, command)]
        done = subprocess.run(line, env=environment, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    for command in ("report", "sheet", "licenses", "provenance"):
        status, said = p3dgen(command, run.root)
        assert status == 0, said
    status, said = p3dgen("verify", run.root, "--workers", "1")
    assert status == 0, said
    assert "not checked: composites on 8 of 8 backgrounds" in said
    status, said = p3dgen("pack", run.root)
    assert status == 1
    assert "the embedded environment maps come with the package bpy" in said


def test_a_read_only_run_is_shown_with_out(tmp_path, packed, manifest_path):
    status, said = read_only(packed.root, "pack", packed.root)
    assert (status, "nothing to do" in said) == (0, True), said
    for command, name in (
        ("report", "report.html"),
        ("sheet", "sheet.jpg"),
        ("licenses", "licences.json"),
        ("provenance", "provenance.jsonl"),
        ("verify", "verify.json"),
    ):
        status, said = read_only(packed.root, command, packed.root)
        assert status == 1, said
        assert "cannot be written" in said
        assert "--out" in said
        assert "Traceback" not in said
        status, said = read_only(packed.root, command, packed.root, "--out", tmp_path / name)
        assert status == 0, said
        assert (tmp_path / name).stat().st_size
