"""Occluders from a folder of one's own, with Blender: prepared, recorded, drawn and named like other models."""

import json
from dataclasses import replace

import pytest
import trimesh
from click.testing import CliRunner

import p3d_gen as p3d
from p3d_gen.cli import main
from p3d_gen.core.errors import ManifestError
from p3d_gen.run.shards import read_shard
from p3d_gen.run.store import open_run
from p3d_gen.spec.manifest import Manifest, load_manifest, manifest_hash
from p3d_gen.spec.sampling import spec
from p3d_gen.spec.taken import take_inventory
from tests.helpers.assets import edit, save_picture

pytestmark = pytest.mark.blender
MANIFEST = """
categories = ["car", "chair"]
samples_per_category = 2
shard_size = 2
cad.variants = [0, 2]
texture.kind = "naive"
camera = { image_hw = [96, 96], fill = [0.5, 0.6] }
render = { samples = 1, denoise = false }
occlusion = { level = "L1", source = "things" }
background.source = "backgrounds"
output.members = ["mask", "occluders", "cuboid"]
"""


def call(*arguments):
    result = CliRunner().invoke(main, list(map(str, arguments)))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    root = tmp_path_factory.mktemp("occluded")
    for path, shape in (
        ("plant/pot.obj", trimesh.creation.cylinder(0.5, 1.0)),
        ("plant/tub.glb", trimesh.creation.box((1, 1, 1.3))),
        ("chair/stool.ply", trimesh.creation.box((1, 1.2, 1))),
    ):
        (root / "things" / path).parent.mkdir(parents=True, exist_ok=True)
        shape.export(root / "things" / path)
    for name in ("plant", "chair"):
        (root / "things" / name / "category.toml").write_text('licence = "CC0-1.0"\n')
    for number in range(2):
        save_picture(root / "backgrounds" / f"b{number}.jpg", number)
    (root / "m.toml").write_text(MANIFEST)
    p3d.create_run(root / "run", root / "m.toml").generate(device="cpu", workers=1)
    return root


def test_they_hide_the_wanted_share_and_labels_name_them(project):
    run = open_run(project / "run")
    for shard in run.all_shards():
        for _, members in read_shard(run.tar("shards", shard)):
            labels = json.loads(members["json"])
            assert 0.15 < labels["occluded_share"] < 0.45
            allowed = {"cad:plant_pot", "cad:plant_tub"} | (
                {"cad:chair_stool"} if labels["category"] == "car" else set()
            )
            assert labels["occluder"] in allowed


def test_only_the_occluder_differs_from_a_run_with_embedded_ones(project):
    manifest = load_manifest(project / "m.toml")
    occlusion = manifest.occlusion.model_copy(update={"source": "embedded"})
    plain = manifest.model_copy(update={"occlusion": occlusion})
    own, embedded = (take_inventory(each, project) for each in (manifest, plain))
    for index in range(20):
        one, other = spec(manifest, own, "car", index), spec(plain, embedded, "car", index)
        assert (bool(one.occluder.cad_id), other.occluder.cad_id) == (True, "")
        assert replace(one, occluder=None) == replace(other, occluder=None)


def test_a_manifest_without_a_folder_keeps_its_hash():
    made = {"categories": ("car",), "samples_per_category": 1}
    named = Manifest(**made, occlusion={"source": "embedded"})
    assert manifest_hash(named) == manifest_hash(Manifest(**made))
    with pytest.raises(ManifestError, match="source names occluders, but level is 'none'"):
        Manifest(**made, occlusion={"source": "things"})


def test_every_command_knows_them(project):
    run = project / "run"
    recorded = json.loads((run / "run.json").read_text())
    assert len(recorded["sha256"]["cad/_occluders"]) == 3
    assert call("verify", run)[0] == 0
    for command in (["report", run], ["status", run], ["assets", "list", project / "m.toml"]):
        assert call(*command)[0] == 0, command
    status, said = call("provenance", run, "car-000000")
    assert (status, "_occluders/" in said) == (0, True)
    assert call("licenses", run)[0] == 0
    listed = json.loads((run / "licences.json").read_text())["assets"]
    assert {"CC0-1.0"} == {each["licence"] for each in listed if each["id"].startswith("_occluders/")}
    assert call("dataset", "make", run, "--out", project / "data", "--split", "train=1")[0] == 0
    assert call("dataset", "check", project / "data")[0] == 0


def test_another_content_is_another_run(project):
    edit(project / "things" / "plant" / "pot.obj", ("v ", "v  "))
    with pytest.raises(p3d.RunError, match=r"the sources of .* (have changed|are not those)"):
        p3d.create_run(project / "run", project / "m.toml").generate(workers=1)
