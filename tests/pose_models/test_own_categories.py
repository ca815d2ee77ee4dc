"""Categories that nobody built in, from CAD models to poses: a mug with a handle, and a can that stands anyhow."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

import p3d_gen as p3d
import pose_models as pm
from p3d_gen.core.categories import CATEGORIES, CategoryDefinition
from p3d_gen.core.errors import ConfigError, DataError
from p3d_gen.core.symmetry import Symmetry, rotation_about
from p3d_gen.dataset.build import make_dataset
from p3d_gen.dataset.source_runs import open_sources
from p3d_gen.dataset.splits import Recipe
from pose_models.baselines.config import BaselineConfig
from pose_models.baselines.res_general import load_baseline
from pose_models.baselines.training import BaselineTrainee
from pose_models.categories import training_definitions
from pose_models.cli import main
from pose_models.data.shards import ShardSamples, entry_labels, read_shard, shard_entries
from pose_models.estimator import EstimateConfig
from pose_models.evaluation import placed
from pose_models.loading import estimator_of
from pose_models.metrics import symmetry_error_rad
from pose_models.prediction import read_predictions
from pose_models.training.assembly import TrainingData, training_cads
from tests.helpers.boxes import write_run
from tests.helpers.mugs import write_mugs

CAN = Symmetry.parse(["z:0", "x:2"])
SMALL = {"backbone": "test_resnet", "weights": "none", "image_size": 64, "batch": 4, "device": "cpu", "progress": False}
MANIFEST = """
seed = 4
categories = ["can", "mug"]
samples_per_category = 6
shard_size = 6
[cad]
source = "models"
[camera]
image_hw = [64, 80]
focal_px = 300
distance = [4, 5]
[render]
samples = 1
denoise = false
[texture]
kind = "naive"
[category.can]
symmetry = ["z:0", "x:2"]
pose = "any"
"""
CATEGORY = """
words = ["coffee mug"]
diagonal_m = 0.15
elevation = { mean_deg = 15, std_deg = 10, min_deg = 0, max_deg = 40 }
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A run of both categories, and models of both kinds that have learnt next to nothing."""
    root = tmp_path_factory.mktemp("own")
    write_mugs(root / "models" / "mug", range(3))
    write_mugs(root / "models" / "can", range(2), handle=False)
    (root / "models" / "mug" / "category.toml").write_text(CATEGORY)
    (root / "m.toml").write_text(MANIFEST)
    p3d.create_run(root / "run", root / "m.toml").generate(device="cpu", workers=1)
    pm.train(out=root / "nmm", shards=root / "run", shared=True, steps=4, vertices=150, **SMALL)
    pm.train_baseline(out=root / "res", shards=root / "run", max_stride=16, steps=4, **SMALL)
    return root


def written(folder):
    return json.loads((folder / "model.json").read_text())


def test_samples_tell_the_symmetry_of_their_shapes(world):
    for name, symmetry in (("can", CAN), ("mug", Symmetry.NONE)):
        [shard] = (world / "run" / "shards").glob(f"{name}-*.tar")
        samples = list(read_shard(shard))
        assert len(samples) == 6
        assert all(sample.symmetry == symmetry for sample in samples)


@pytest.mark.parametrize("kind", ["nmm", "res"])
def test_a_model_carries_what_it_knows_of_its_categories(world, kind):
    assert written(world / kind)["unmirrored"] == ["mug"]
    assert [each["name"] for each in written(world / kind)["definitions"]] == ["can", "mug"]
    model = pm.load(world / kind, device="cpu")
    assert model.definitions["can"].symmetry.canonical() == CAN
    assert model.definitions["can"].pose == "any"
    assert model.definitions["mug"].words == ("coffee mug",)
    assert (model.definitions["mug"].diagonal_m, model.definitions["can"].diagonal_m) == (0.15, None)


@pytest.mark.parametrize("kind", ["nmm", "res"])
def test_an_evaluation_forgives_turns_that_nobody_can_see(world, kind, tmp_path):
    found = pm.evaluate(world / kind, f"shards:{world / 'run'}", progress=False)
    assert found.summary.symmetries == {"can": CAN, "mug": Symmetry.NONE}
    plain, aware = (found.summary.per_category[row].groups for row in ("model", "model, symmetry-aware"))
    assert plain["mug"] == aware["mug"]
    assert aware["can"].median_deg <= plain["can"].median_deg
    assert found.as_dict()["symmetries"] == {"can": ["z:0", "x:2"], "mug": []}
    assert {path.name for path in found.write(tmp_path)} >= {"predictions.jsonl"}
    assert {each.symmetry for each in read_predictions(tmp_path / "predictions.jsonl")} == {CAN, Symmetry.NONE}


def test_a_classifier_learns_one_of_the_poses_that_show_the_same(world):
    """The loss does not change where cans are turned as nobody can see."""
    model = load_baseline(world / "res", torch.device("cpu"))
    trainee = BaselineTrainee(model, BaselineConfig(categories=("can", "mug")))
    samples = list(ShardSamples(sorted((world / "run" / "shards").glob("*.tar"))))
    batch = placed(samples, estimator_of(model, EstimateConfig()))
    output = model(batch.image)
    cans = torch.tensor([name == "can" for name in batch.category])[:, None, None]
    turn = torch.tensor(CAN.group[1] @ rotation_about((0.0, 0.0, 1.0), 0.8)).float()
    turned = batch.cam_T_obj.clone()
    turned[:, :3, :3] = torch.where(cans, turned[:, :3, :3] @ turn, turned[:, :3, :3])
    everything = batch.cam_T_obj.clone()
    everything[:, :3, :3] = everything[:, :3, :3] @ turn
    first, second, other = (
        trainee.loss(output, replace(batch, cam_T_obj=poses), 1, None)[0].item()
        for poses in (batch.cam_T_obj, turned, everything)
    )
    assert first == pytest.approx(second, abs=1e-6)
    assert first != pytest.approx(other, abs=1e-3)


def test_a_prediction_names_the_category_and_no_pose_twice(world):
    model = pm.load(world / "nmm", device="cpu")
    [shard] = (world / "run" / "shards").glob("can-*.tar")
    pictures = [sample.image for sample in read_shard(shard)]
    for pose in model.predict_many(pictures, [None] * len(pictures), category="can"):
        R = np.stack([each.R for each in pose.hypotheses])
        between = symmetry_error_rad(*(torch.from_numpy(x) for x in (R[:, None], R[None])), CAN).rad2deg().numpy()
        assert (between + 180 * np.eye(len(R))).min() >= 2 - 1e-3
    assert model.predict(pictures[0]).category in ("can", "mug")
    with pytest.raises(ConfigError, match="knows can, mug, not 'mugs'; did you mean 'mug'"):
        model.predict(pictures[0], category="mugs")


@pytest.mark.parametrize("kind", ["nmm", "res"])
def test_where_the_size_is_known_a_pose_is_metric(world, kind, tmp_path):
    """That of the category's definition, or the one that is given; without either there are box diagonals alone."""
    model = pm.load(world / kind, device="cpu")
    [shard] = (world / "run" / "shards").glob("mug-*.tar")
    picture = next(read_shard(shard)).image
    for options, diagonal_m in (
        ({"category": "mug"}, 0.15),
        ({"category": "mug", "diagonal_m": 0.3}, 0.3),
        ({"category": "can", "diagonal_m": 2.0}, 2.0),
    ):
        pose = model.predict(picture, **options)
        assert pose.distance_m == pytest.approx(pose.distance * diagonal_m)
        np.testing.assert_allclose(pose.translation_m, pose.cam_T_obj[:3, 3] * diagonal_m)
        fields = pose.as_dict()
        assert fields["distance_m"] == pytest.approx(np.linalg.norm(fields["translation_m"]))
        assert fields["hypotheses"][0]["translation_m"] == fields["translation_m"]
    bare = model.predict(picture, category="can")
    assert (bare.distance_m, bare.translation_m, "distance_m" in bare.as_dict()) == (None, None, False)
    with pytest.raises(ConfigError, match="length in metres above 0"):
        model.predict(picture, category="can", diagonal_m=-1)
    Image.fromarray(picture).save(tmp_path / "a.png")
    command = ["predict", tmp_path / "a.png", "--model", world / kind, "--category", "can", "--out", tmp_path / "out"]
    done = CliRunner().invoke(main, [*map(str, command), "--diagonal-m", "0.12", "--device", "cpu"])
    assert done.exit_code == 0, done.output
    assert " m away, " in done.stdout
    fields = json.loads((tmp_path / "out" / "a.json").read_text())
    np.testing.assert_allclose(fields["translation_m"], np.array(fields["cam_T_obj"])[:3, 3] * 0.12)


def test_mirrored_pictures_of_a_handle_are_refused(world):
    [shard] = (world / "run" / "shards").glob("mug-*.tar")
    picture = next(read_shard(shard)).image
    for kind in ("nmm", "res"):
        with pytest.raises(ConfigError, match=r"--mirror: .* 'mug' differ"):
            pm.load(world / kind, device="cpu").predict(picture, category="mug", mirror=True)
    config = pm.UdaConfig.model_validate({"epochs": 1, "pose": {"mirror": True}})
    given = {"out": world / "bad", "config": config, "device": "cpu", "progress": False}
    with pytest.raises(ConfigError, match=r"--mirror: .* 'mug' differ"):
        pm.adapt_3duda(world / "nmm", f"shards:{world / 'run'}", **given)


def test_adaptation_and_finetuning_keep_the_definitions(world, tmp_path):
    target = f"shards:{world / 'run'}"
    usual = {"device": "cpu", "progress": False}
    pm.adapt_3duda(world / "nmm", target, out=tmp_path / "uda", config=pm.UdaConfig(epochs=1, batch=2), **usual)
    paper = pm.Cc3dConfig.model_validate({"rounds": 1, "steps": 2, "batch": 2})
    pm.adapt_cc3d(
        world / "nmm", target, out=tmp_path / "cc3d", config=paper, source_shards=str(world / "run" / "shards"), **usual
    )
    pm.finetune(world / "nmm", target, out=tmp_path / "few", labels=4, steps=2, batch=2, **usual)
    pm.finetune(world / "res", target, out=tmp_path / "few-res", labels=4, steps=2, batch=2, **usual)
    for folder in ("uda", "cc3d", "few", "few-res"):
        for name in ("definitions", "unmirrored"):
            assert written(tmp_path / folder)[name] == written(world / "nmm")[name]


def test_folds_judge_an_own_category(world, tmp_path):
    words = ["train", "--shards", world / "run", "--category", "can", "--folds", 2, "--out", tmp_path / "r.json"]
    more = ["--backbone=test_resnet", "--weights=none", "--image-size=64", "--steps=2", "--batch=2", "--device=cpu"]
    done = CliRunner().invoke(main, ["folds", *map(str, words[1:] + more), "--vertices", "100"])
    assert done.exit_code == 0, done.output
    residuals = json.loads((tmp_path / "r.json").read_text())
    assert len(residuals["residual_deg"]) == 6


def test_a_dataset_of_the_run_tells_them_too(world, tmp_path):
    [can, mug] = training_definitions([world / "run"], None, ["can", "mug"])
    assert (can.symmetry.canonical(), can.pose, mug.words) == (CAN, "any", ("coffee mug",))
    make_dataset(tmp_path / "set", open_sources([str(world / "run")]), Recipe(shares={"whole": 1.0}))
    assert training_definitions([tmp_path / "set"], None, ["can", "mug"]) == (can, mug)


def test_a_training_knows_no_shape_that_its_dataset_holds_out(world, tmp_path):
    """A dataset keeps the models of all its splits in one folder; the mesh is fitted to those of the split."""
    make_dataset(tmp_path / "set", open_sources([str(world / "run")]), Recipe(seed=1, shares={"train": 1, "val": 1}))
    known = {}
    for split in ("train", "val"):
        folder = tmp_path / "set" / split
        labels = [entry_labels(entry) for tar in folder.glob("mug-*.tar") for entry in shard_entries(tar)]
        shown = {f"{tmp_path / 'set'}/{each['cad_id']}" for each in labels}
        known[split] = training_cads(TrainingData(shards=(str(folder),)), ("mug",))["mug"].keys()
        assert known[split] == shown != set()
    assert known["train"].isdisjoint(known["val"])
    both = TrainingData(shards=tuple(str(tmp_path / "set" / split) for split in known))
    assert len(training_cads(both, ("mug",))["mug"]) == 3
    by_background = Recipe(shares={"train": 1, "val": 1}, split_by=("background",))
    make_dataset(tmp_path / "mixed", open_sources([str(world / "run")]), by_background)
    [one, *_] = sorted((tmp_path / "mixed").glob("*/mug-*.tar"))
    assert len(training_cads(TrainingData(shards=(str(one),)), ("mug",))["mug"]) == 3


# What is known of a category


def run_json(folder, *definitions):
    folder.mkdir()
    texts = [json.dumps(each.to_json()) for each in definitions]
    (folder / "run.json").write_text(json.dumps({"sources": {"category": texts}}))
    return folder


def own(**fields):
    return CategoryDefinition(name="box", **fields)


def test_photographs_take_the_definition_next_to_the_models(tmp_path):
    (tmp_path / "box").mkdir()
    (tmp_path / "box" / "category.toml").write_text('symmetry = ["x:2", "y:2"]\n')
    [box] = training_definitions([], tmp_path, ["box", "car"])
    assert box == own(symmetry=Symmetry.parse(["x:2", "y:2"]))
    # what the run was made with comes first
    run = run_json(tmp_path / "run", own(symmetry=Symmetry.parse(["z:4"])))
    assert training_definitions([run], tmp_path, ["box"]) == (own(symmetry=Symmetry.parse(["z:4"])),)


def test_what_nothing_defines_is_said(tmp_path, caplog):
    with caplog.at_level("INFO"):
        [box] = training_definitions([tmp_path / "old"], tmp_path, ["box", "car"])
    assert box == own()
    assert "box: neither the shards' run nor category.toml next to the CAD models defines it" in caplog.text


def test_runs_that_disagree_are_refused(tmp_path):
    first = run_json(tmp_path / "a", own(symmetry=Symmetry.parse(["x:2", "y:2"])))
    alike = run_json(tmp_path / "b", own(symmetry=Symmetry.parse(["z:2", "x:2"]), words=("crate",)))
    other = run_json(tmp_path / "c", own(symmetry=Symmetry.parse(["z:2"])))
    assert training_definitions([first, alike], None, ["box"])[0].words == ()
    with pytest.raises(DataError, match=r"a and .*c define 'box' with another symmetry or pose"):
        training_definitions([first, alike, other], None, ["box"])


@pytest.mark.parametrize("content", ["{", '{"sources": {"category": ["{}"]}}', '{"sources": {"category": [3]}}'])
def test_a_damaged_run_is_named(tmp_path, content):
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(DataError, match=str(tmp_path)):
        training_definitions([tmp_path], None, ["box"])


def test_a_definition_of_a_newer_version_is_named(world, tmp_path):
    for name in ("model.json", "model.safetensors"):
        (tmp_path / name).write_bytes((world / "nmm" / name).read_bytes())
    spec = written(world / "nmm")
    spec["definitions"][0]["flavour"] = "tea"
    (tmp_path / "model.json").write_text(json.dumps(spec))
    with pytest.raises(DataError, match=r"model.json: .*'can' has the unknown key 'flavour'"):
        pm.load(tmp_path, device="cpu")


def test_names_of_categories_are_free(tmp_path):
    """One model of the twelve, of which one is called train, and of names that modules of torch have for themselves."""
    names = sorted({*CATEGORIES, "type", "keys", "half", "forward", "parameters"})
    for name in names:
        run = write_run(tmp_path / "run", train=2, test=1, category=name)
    shards, target = str(run / "shards"), f"shards:{run / 'test'}"
    pm.train(out=tmp_path / "nmm", shards=shards, shared=True, steps=2, vertices=60, **SMALL)
    pm.train_baseline(out=tmp_path / "res", shards=shards, max_stride=16, steps=2, **SMALL)
    usual = {"device": "cpu", "progress": False}
    pm.adapt_3duda(tmp_path / "nmm", target, out=tmp_path / "uda", config=pm.UdaConfig(epochs=2, batch=8), **usual)
    paper = pm.Cc3dConfig.model_validate({"rounds": 1, "steps": 2, "batch": 8})
    pm.adapt_cc3d(tmp_path / "nmm", target, out=tmp_path / "cc3d", config=paper, source_shards=shards, **usual)
    pm.finetune(tmp_path / "nmm", target, out=tmp_path / "few", labels=1, steps=2, batch=8, **usual)
    for folder in ("nmm", "res", "uda", "cc3d", "few"):
        model = pm.load(tmp_path / folder, device="cpu")
        assert model.categories == tuple(names)
        assert pm.evaluate(model, target, progress=False).metrics["n"] == len(names)
    sample = next(read_shard(run / "test" / "forward-00000.tar"))
    assert model.predict(sample.image, sample.box_xyxy, "forward").category == "forward"


def test_a_file_defines_what_a_run_does_not(world, tmp_path):
    run = write_run(tmp_path / "run", train=2, test=1)
    (tmp_path / "m.toml").write_text('categories = ["box"]\n[category.box]\nsymmetry = ["z:4"]\n')
    given = {"shards": str(run / "shards"), "definitions": tmp_path / "m.toml", "steps": 1, **SMALL}
    for train in (pm.train, pm.train_baseline):
        model = train(out=tmp_path / train.__name__, **given)
        assert model.definitions["box"].symmetry == Symmetry.parse("z:4")
    (tmp_path / "mug.toml").write_text("[category.mug]\ndiagonal_m = 0.2\n")  # over what the run says, key by key
    given |= {"shards": str(world / "run"), "category": "mug", "definitions": tmp_path / "mug.toml"}
    mug = pm.train(out=tmp_path / "mug", **given).definitions["mug"]
    assert (mug.words, mug.diagonal_m) == (("coffee mug",), 0.2)
    both = {**given, "category": ("can", "mug"), "out": tmp_path / "both"}  # a model each, of which one is defined
    assert pm.train(**both).definitions["mug"].diagonal_m == 0.2
    with pytest.raises(ConfigError, match=r"m.toml has no section \[category.mug\]; valid names: box; add it"):
        pm.train(out=tmp_path / "none", **{**given, "definitions": tmp_path / "m.toml"})


HELD_OUT = """
seed = {seed}
categories = ["mug"]
samples_per_category = {samples}
shard_size = 50
[cad]
source = "{models}"
[camera]
image_hw = [96, 112]
focal_px = 380
distance = [4, 5]
[render]
samples = 4
[texture]
kind = "naive"
"""


@pytest.mark.slow
def test_the_poses_of_mugs_that_were_never_seen_are_found(tmp_path):
    for name, samples, seeds in (("train", 200, range(8)), ("test", 60, range(20, 24))):
        models = write_mugs(tmp_path / f"models-{name}" / "mug", seeds).parent
        text = HELD_OUT.format(seed=seeds[0], samples=samples, models=models)
        (tmp_path / f"{name}.toml").write_text(text)
        p3d.create_run(tmp_path / name, tmp_path / f"{name}.toml").generate(device="cpu", workers=1)
    options = SMALL | {"image_size": 96, "batch": 16, "steps": 300, "lr": 4e-3, "vertices": 300}
    model = pm.train(out=tmp_path / "nmm", shards=tmp_path / "train", **options)
    found = pm.evaluate(model, f"shards:{tmp_path / 'test'}", progress=False)
    assert found.metrics["acc_pi_6"] > 0.75
