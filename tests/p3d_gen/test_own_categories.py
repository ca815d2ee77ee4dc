"""Categories of one's own, end to end with Blender: mugs, a guitar and a shoe, from the models to the exports."""

import json
import subprocess

import numpy as np
import pytest
import trimesh
from click.testing import CliRunner
from scipy.io import loadmat

import p3d_gen as p3d
from p3d_gen.cli import main
from p3d_gen.core.codecs import decode_image
from p3d_gen.core.symmetry import Symmetry
from p3d_gen.dataset.folder import open_dataset
from p3d_gen.dataset.schema import label_faults
from p3d_gen.run.shards import read_shard
from p3d_gen.run.store import open_run
from tests.helpers.assets import edit
from tests.helpers.commands import BIN
from tests.helpers.own_objects import metres, write_project

pytestmark = pytest.mark.blender
ASSUMED = "shoe is not a built-in category, and nothing defines it"


def call(*arguments):
    result = CliRunner().invoke(main, list(map(str, arguments)))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    root = tmp_path_factory.mktemp("own")
    manifest = write_project(root)
    command = [BIN, "run", manifest, "--out", root / "run", "--workers", "1", "--render-device", "cpu"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    (root / "said.txt").write_text(said)
    return root


@pytest.fixture(scope="module")
def labels(project):
    run = open_run(project / "run", needs=None)
    return [json.loads(m["json"]) for shard in run.all_shards() for _, m in read_shard(run.tar("shards", shard))]


@pytest.fixture(scope="module")
def dataset(project):
    split = ["--split", "train=1"]
    assert call("dataset", "make", project / "run", "--out", project / "data", *split)[0] == 0
    return project / "data"


def test_what_nobody_defined_is_said_once(project):
    said = (project / "said.txt").read_text()
    assert said.count(ASSUMED) == 1
    assert "mug is not a built-in" not in said
    assert "guitar is not a built-in" not in said
    assert "the embedded stylizer has learned the 12 built-in categories, not mug, guitar, shoe" in said


def test_labels_carry_symmetry_and_keypoints_of_each_model(labels):
    assert [each["category"] for each in labels] == ["mug"] * 2 + ["guitar"] * 2 + ["shoe"] * 2
    symmetries = {"beaker": ["z:0", "x:2"], "cup": [], "strat": [], "left": []}
    names = {"beaker": ["rim"], "cup": ["handle", "rim"], "strat": ["bridge", "head"], "left": ["toe_tip"]}
    for each in labels:
        assert label_faults(each) == []
        expected = Symmetry.parse(symmetries[each["cad_id"]])
        assert Symmetry.of_labels(each) == expected.canonical()
        assert each["symmetry_order"] == expected.z_order
        assert each["keypoint_names"] == names[each["cad_id"]]
    for each in labels[:2] + labels[4:]:
        assert -10 <= np.degrees(each["elevation_rad"]) <= 60
        assert abs(each["theta_rad"]) < 0.3


def test_labels_carry_the_size_in_metres_if_a_file_says_it(labels):
    for each in labels:
        assert each["diagonal_m"] == pytest.approx(metres(each["cad_id"]) or 0.0, rel=1e-5)


def test_prompts_call_it_by_its_words(labels):
    words = {"mug": ("mug", "coffee mug"), "guitar": ("electric guitar",), "shoe": ("shoe",)}
    for each in labels:
        assert each["prompt"] in [f"a {each['colour']} {word}" for word in words[each["category"]]]


def test_every_command_knows_them(project):
    run = project / "run"
    status, said = call("verify", run)
    assert (status, "6 packed samples, 0 known failures" in said) == (0, True)
    assert call("report", run)[0] == 0
    page = (run / "report.html").read_text()
    assert all(name in page for name in ("mug", "guitar", "shoe"))
    for command in (["status", run], ["sheet", run], ["licenses", run], ["provenance", run, "mug-000001"]):
        assert call(*command)[0] == 0, command
    assert "mug" in call("assets", "list", project / "manifest.toml")[1]


def test_a_dataset_carries_the_definitions(dataset):
    assert call("dataset", "check", dataset)[0] == 0
    kept = json.loads((dataset / "dataset.json").read_text())["categories"]
    assert kept == {
        "guitar": {"name": "guitar", "words": ["electric guitar"], "keypoints": ["head", "bridge"], "pose": "any"},
        "mug": {"name": "mug", "words": ["mug", "coffee mug"], "keypoints": ["rim", "handle"]},
        "shoe": {"name": "shoe"},
    }
    assert {name: each.to_json() for name, each in open_dataset(dataset).definitions.items()} == kept
    assert 'config_name: "guitar"' in (dataset / "README.md").read_text()


def test_bop_is_in_true_millimetres(project, dataset, labels):
    status, said = call("export", "bop", dataset, "--out", project / "metric")
    assert status == 0
    assert "1 of 4 models have no size in metres, such as shoe/left" in said
    infos = json.loads((project / "metric" / "models" / "models_info.json").read_text())
    ids = {number: info["cad_id"] for number, info in infos.items()}
    for number, info in infos.items():
        mm = 1000 * (metres(ids[number]) or 1)
        assert np.linalg.norm([info[f"size_{axis}"] for axis in "xyz"]) == pytest.approx(mm, rel=1e-5)
        mesh = trimesh.load(project / "metric" / "models" / f"obj_{int(number):06d}.ply")
        assert np.linalg.norm(mesh.extents) == pytest.approx(mm, rel=1e-5)
    by_key = {each["key"]: each for each in labels}
    for scene in sorted((project / "metric" / "train").iterdir()):
        truths, cameras, named = (
            json.loads((scene / f"scene_{name}.json").read_text()) for name in ("gt", "camera", "gt_info")
        )
        for image, [truth] in truths.items():
            label = by_key[next(key for key in by_key if named[image][0]["key"].endswith(key))]
            mm = 1000 * (label["diagonal_m"] or 1)
            t = np.array(label["cam_T_obj"])[:3, 3] * mm
            np.testing.assert_allclose(truth["cam_t_m2c"], t, rtol=1e-6)
            depth = decode_image((scene / "depth" / f"{int(image):06d}.png").read_bytes())
            seen = depth[depth > 0] * cameras[image]["depth_scale"]
            assert np.abs(seen - t[2]).max() < 0.6 * mm  # the surface lies around the middle, within its diagonal


def test_exports(project, dataset, labels):
    for name in ("coco", "bop", "nemo", "pascal3d"):
        assert call("export", name, dataset, "--out", project / name)[0] == 0, name
    coco = json.loads((project / "coco" / "annotations" / "train.json").read_text())
    listed = [(each["id"], each["name"], each["keypoints"]) for each in coco["categories"]]
    assert listed == [
        (1, "guitar", ["head", "bridge"]),
        (2, "mug", ["rim", "handle"]),
        (3, "shoe", ["toe_tip"]),
    ]
    lengths = {1: 6, 2: 6, 3: 3}
    assert all(len(each["keypoints"]) == lengths[each["category_id"]] for each in coco["annotations"])
    info = json.loads((project / "bop" / "models" / "models_info.json").read_text()).values()
    for each in info:
        own = next(label for label in labels if label["cad_id"] == each["cad_id"])
        assert Symmetry.of_bop(each) == Symmetry.of_labels(own)
    [mat] = (project / "pascal3d" / "Annotations" / "shoe_imagenet").glob("*0.mat")
    anchors = loadmat(mat, squeeze_me=True, struct_as_record=False)["record"].objects.anchors
    assert anchors._fieldnames == ["toe_tip"]


def test_one_picture_of_ones_own_category(project):
    picture, label = p3d.render_one(
        project / "cad" / "mug" / "beaker.glb",
        image_hw=(64, 64),
        samples=1,
        texture="naive",
        light="area",
        device="cpu",
    )
    assert picture.size == (64, 64)
    assert (label["category"], Symmetry.of_labels(label).texts()) == ("mug", ["z:0", "x:2"])


def test_a_definition_that_changes_is_another_run(project):
    """The words decide prompts and no render; what decides renders makes another run, and a run is looked at as it
    was."""
    file = project / "cad" / "mug" / "category.toml"
    before = open_run(project / "run").inventory.definitions
    edit(file, ("keypoints =", "symmetry = 'z:4'\nkeypoints ="))
    with pytest.raises(p3d.RunError, match=r"the sources of .* are not those it was made from .*z:4"):
        p3d.create_run(project / "run", project / "manifest.toml").generate(workers=1)
    assert open_run(project / "run", needs=None).inventory.definitions == before
    edit(file, ("symmetry = 'z:4'\n", ""))
    assert open_run(project / "run").inventory.definitions == before
