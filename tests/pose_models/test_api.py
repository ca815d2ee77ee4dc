"""The public API: the lines of the documentation run as they stand, on small real data."""

import json
import os
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from types import ModuleType

import cv2
import numpy as np
import pytest
from PIL import Image

import pose_models as pm
from p3d_gen.core.errors import ConfigError, DataError, RunError
from tests.helpers.boxes import write_run

SMALL = {"backbone": "test_resnet", "weights": "none", "image_size": 64, "batch": 4, "device": "cpu", "progress": False}
CARS3D = Path(os.environ.get("P3D_DATA", "nowhere")) / "cars3d"


def pixels_of(tar, key):
    import tarfile

    with tarfile.open(tar) as file:
        return cv2.imdecode(np.frombuffer(file.extractfile(f"{key}.jpg").read(), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Shards of boxes under the category car, and a model that was trained on them until it sees their pose."""
    root = tmp_path_factory.mktemp("api")
    write_run(root / "runs" / "x", train=64, test=12, category="car")
    folder = root / "runs" / "nmm-car"
    options = SMALL | {"batch": 16, "lr": 4e-3}
    pm.train(shards=root / "runs" / "x" / "shards", category="car", steps=150, vertices=150, out=folder, **options)
    picture = pixels_of(root / "runs" / "x" / "test" / "car-00000.tar", "car-010000")
    Image.fromarray(picture).save(root / "car.png")
    return root


@pytest.fixture(scope="module")
def model(world):
    return pm.load(world / "runs" / "nmm-car", device="cpu")


@pytest.fixture
def documented(world, tmp_path, monkeypatch):
    """The files that the documentation names, small: renders, a model, photographs of cars, one of them car.jpg."""
    (tmp_path / "runs").symlink_to(world / "runs")
    annotations = json.loads((CARS3D / "annotations.json").read_text())
    few = {name: annotations[name] for name in ("00007.jpg", "03001.jpg", "03002.jpg", "03003.jpg")}
    (tmp_path / "cars3d" / "images").mkdir(parents=True)
    (tmp_path / "cars3d" / "annotations.json").write_text(json.dumps(few))
    for name in few:
        shutil.copy(CARS3D / "images" / name, tmp_path / "cars3d" / "images" / name)
    large = Image.open(CARS3D / "images" / "00007.jpg").resize((450, 330))
    large.save(tmp_path / "car.jpg")
    monkeypatch.chdir(tmp_path)


@pytest.mark.skipif(not CARS3D.exists(), reason="needs P3D_DATA with cars3d")
def test_the_lines_of_the_documentation_run_as_they_stand(documented):
    model = pm.load("runs/nmm-car")
    pose = model.predict("car.jpg", box=(40, 60, 410, 290))
    pose.azimuth_deg, pose.confidence, pose.R, pose.draw()
    table = pm.evaluate(model, pm.open_dataset("cars3d:cars3d", split="val")).table()
    trained = pm.train(shards="runs/x/shards", category="car", image_size=128, steps=100, out="runs/nmm")

    assert 0 <= pose.azimuth_deg < 360
    assert np.isfinite(pose.confidence)
    np.testing.assert_allclose(pose.R @ pose.R.T, np.eye(3), atol=1e-5)
    assert pose.draw().size == (480, 352)
    assert "Acc pi/6" in str(table)
    assert table.rows[0][-1] == "3"
    assert trained.predict("car.jpg").category == "car"


def test_a_pose_says_what_the_picture_shows(world, model, tmp_path):
    from tests.helpers.boxes import EXTENT

    truth = next(iter(pm.open_dataset(str(world / "runs" / "x" / "test"), split="val").read("car")))
    pose = model.predict(world / "car.png", box=truth.box_xyxy)
    angle = np.degrees(np.arccos(np.clip((np.trace(pose.R @ truth.cam_T_obj[:3, :3].T) - 1) / 2, -1, 1)))
    assert angle < 30
    assert (pose.category, pose.box) == ("car", truth.box_xyxy)
    assert pose.cam_T_obj.shape == (4, 4)
    assert pose.K.shape == (3, 3)
    assert pose.distance == pytest.approx(np.linalg.norm(pose.cam_T_obj[:3, 3]))
    assert pose.hypotheses[0].loss == pose.loss == min(each.loss for each in pose.hypotheses)
    assert f"azimuth {pose.azimuth_deg:.1f}" in repr(pose)
    # The drawn box lies on the object: its corners project into the box of the object.
    from p3d_gen.core import geometry

    corners = geometry.transform(pose.cam_T_obj, geometry.box_corners(EXTENT)) @ pose.K.T
    pixels = corners[:, :2] / corners[:, 2:]
    np.testing.assert_allclose([*pixels.min(0), *pixels.max(0)], truth.box_xyxy, atol=6)
    drawn = np.asarray(pose.draw()).astype(int)
    assert drawn.shape[1] == 480
    yellow = (drawn[..., 0] > 200) & (drawn[..., 1] > 180) & (drawn[..., 2] < 100)
    rows, columns = yellow.nonzero()
    scale = 480 / truth.image.shape[1]
    left, top, right, bottom = np.array(truth.box_xyxy) * scale
    assert len(rows)
    assert left - 12 <= columns.min()
    assert columns.max() <= right + 12
    assert top - 12 <= rows.min()
    assert rows.max() <= bottom + 12
    assert pose._repr_png_().startswith(b"\x89PNG")


def test_a_picture_is_a_file_a_pil_picture_or_an_array(world, model):
    array = np.asarray(Image.open(world / "car.png"))
    given = [world / "car.png", str(world / "car.png"), Image.open(world / "car.png"), array]
    azimuths = [model.predict(each).azimuth_deg for each in given]
    assert azimuths == azimuths[:1] * 4
    with pytest.raises(DataError, match=r"nowhere\.jpg: no such file"):
        model.predict("nowhere.jpg")
    with pytest.raises(DataError, match="float64"):
        model.predict(array / 255)
    with pytest.raises(ConfigError, match="knows car, not 'cat'; did you mean 'car'"):
        model.predict(array, category="cat")
    with pytest.raises(ConfigError, match="128 x 96"):
        model.predict(array, box=(300, 0, 400, 50))


def test_an_evaluation_has_a_table_and_figures(world, model, tmp_path):
    evaluation = pm.evaluate(model, pm.open_dataset(str(world / "runs" / "x" / "test"), split="val"), progress=False)
    assert set(evaluation.metrics) == {"acc_pi_6", "acc_pi_18", "median_deg", "n"}
    assert evaluation.metrics["n"] == len(evaluation.predictions) == 12
    assert evaluation.metrics["acc_pi_6"] > 0.8
    text = str(evaluation.table())
    assert "Acc pi/6" in text
    assert f"{100 * evaluation.metrics['acc_pi_6']:.1f}" in text
    assert repr(evaluation) == text
    assert evaluation._repr_markdown_().startswith("**nmm-car on ")
    assert {path.name for path in evaluation.write(tmp_path)} >= {"predictions.jsonl", "cases.png"}
    half = pm.Images(address=str(world / "runs" / "x" / "test"), part=(0, 2), corrupt=("snow",))
    assert pm.evaluate(world / "runs" / "nmm-car", half, mirror=True, progress=False).metrics["n"] < 12
    with pytest.raises(ConfigError, match="did you mean 'released'"):
        pm.evaluate(model, half, solver="relased")
    write_run(tmp_path / "other", train=1, test=1, category="bus")
    with pytest.raises(DataError, match="no model knows the category"):
        pm.evaluate(model, str(tmp_path / "other" / "test"), progress=False)


def test_one_model_for_each_category_and_one_for_all(world, tmp_path):
    write_run(world / "two", train=6, test=2, category="car")
    write_run(world / "two", train=6, test=2, category="bus", seed=1)
    given = SMALL | {"shards": [world / "two" / "shards"], "steps": 2, "vertices": 100}
    apart = pm.train(out=tmp_path / "apart", category=["car", "bus"], **given)
    together = pm.train(out=tmp_path / "together", shared=True, **given)
    assert apart.categories == together.categories == ("bus", "car")
    assert sorted(path.name for path in apart.folder.iterdir()) == ["bus", "car"]
    for model in (apart, together):
        pose = model.predict(world / "car.png")
        assert set(pose.category_losses) == {"bus", "car"}
        assert pose.category == min(pose.category_losses, key=pose.category_losses.get)
    with pytest.raises(RunError, match="already holds a model"):
        pm.train(out=tmp_path / "together", shared=True, **given)


def test_a_command_for_several_models_resumes_after_the_first(world, tmp_path):
    write_run(world / "three", train=6, test=2, category="car")
    write_run(world / "three", train=6, test=2, category="bus", seed=1)
    given = SMALL | {"shards": [world / "three" / "shards"], "steps": 2, "vertices": 100}
    options = {"out": tmp_path / "apart", "category": ["bus", "car"], **given}
    pm.train(**options)
    bus, car = tmp_path / "apart" / "bus", tmp_path / "apart" / "car"
    made = {path: path.read_bytes() for path in (bus / "model.safetensors", car / "model.safetensors")}
    shutil.rmtree(car)  # as if it had been killed then
    (bus / "checkpoint.safetensors").write_bytes(b"of a training that was killed before it could remove it")
    first = (bus / "model.safetensors").stat().st_mtime_ns
    assert pm.train(**options).categories == ("bus", "car")
    assert {path: path.read_bytes() for path in made} == made
    assert (bus / "model.safetensors").stat().st_mtime_ns == first
    assert not list(tmp_path.rglob("checkpoint.safetensors"))
    with pytest.raises(RunError, match="bus already holds a model"):
        pm.train(**options)
    shutil.rmtree(car)
    with pytest.raises(RunError, match="bus already holds a model"):
        pm.train(**options | {"seed": 1})


def test_the_classifier_predicts_and_is_evaluated_like_a_mesh(world, tmp_path):
    given = SMALL | {"shards": world / "runs" / "x" / "shards", "steps": 2, "max_stride": 16}
    model = pm.train_baseline(out=tmp_path / "general", **given)
    pose = model.predict(world / "car.png", box=(20, 10, 100, 90), mirror=True)
    assert (pose.category, len(pose.hypotheses)) == ("car", 1)
    assert pose.loss == pytest.approx(-np.log(pose.confidence))
    assert pose.draw().size[0] == 480
    # A cube under this pose fills the box.
    from p3d_gen.core import geometry

    corners = geometry.transform(pose.cam_T_obj, geometry.box_corners(np.full(3, 3**-0.5))) @ pose.K.T
    pixels = corners[:, :2] / corners[:, 2:]
    np.testing.assert_allclose([*pixels.min(0), *pixels.max(0)], (20, 10, 100, 90), atol=0.1)
    images = pm.Images(address=str(world / "runs" / "x" / "test"), limit=4)
    assert pm.evaluate(model, images, progress=False).metrics["n"] == 4
    for category in ("bus", "car"):
        write_run(tmp_path / "run", train=4, test=1, category=category)
    model = pm.train_baseline(out=tmp_path / "both", **given | {"shards": tmp_path / "run" / "shards"})
    with pytest.raises(ConfigError, match="name the category, one of bus, car"):
        model.predict(world / "car.png")
    assert model.predict(world / "car.png", category="bus").category == "bus"


def test_models_are_adapted_and_finetuned(world, model, tmp_path):
    target = pm.Images(address=str(world / "runs" / "x" / "test"), limit=6)
    quiet = {"device": "cpu", "progress": False}
    released = pm.Cc3dConfig(arm="released", top=3, steps=2, batch=2)
    adapted = pm.adapt_cc3d(
        model, target, out=tmp_path / "cc3d", config=released, watch=pm.AccuracyWatch(every=1), **quiet
    )
    assert adapted.categories == ("car",)
    assert "acc_pi_6" in (tmp_path / "cc3d" / "history.jsonl").read_text()
    config = pm.UdaConfig(epochs=1, delta=0.3, batch=2)
    assert pm.adapt_3duda(model, target, out=tmp_path / "uda", config=config, **quiet).categories == ("car",)
    few = pm.finetune(adapted, target, out=tmp_path / "few", labels=3, steps=2, batch=2, **quiet)
    assert few.predict(world / "car.png").category == "car"
    with pytest.raises(ConfigError, match="arm 'paper' replays"):
        pm.adapt_cc3d(model, target, out=tmp_path / "paper", **quiet)


def test_every_public_name_is_there_and_none_is_a_module():
    for module in walk_packages(pm.__path__, "pose_models."):
        if not module.name.endswith("pytorch3d"):
            import_module(module.name)
    modules = {module.name.rpartition(".")[2] for module in walk_packages(pm.__path__)}
    for name in pm.__all__:
        assert not isinstance(getattr(pm, name), ModuleType), name
        assert name not in modules
    assert set(pm.__all__) <= set(dir(pm))
    assert set(pm.__all__) == set(import_module("pose_models.api").__all__)
    with pytest.raises(AttributeError, match="nosuch"):
        pm.nosuch  # noqa: B018  the access is the test


def test_the_first_use_of_a_name_loads_torch_and_not_the_import():
    code = "import sys, pose_models as pm; a = 'torch' in sys.modules; pm.load; print(a, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False True\n"
