"""Pose residuals: laws of a judge that has learnt a coloured box, the plug-in that brings it, and the residual file."""

import hashlib
import json
import math
from importlib.metadata import EntryPoint, EntryPoints

import numpy as np
import pytest

from p3d_gen.core.errors import DependencyError, ManifestError, RunError
from p3d_gen.core.geometry import random_rotation, rot_z
from p3d_gen.core.symmetry import Symmetry
from p3d_gen.stylize import judge as plug_in
from p3d_gen.stylize.judge import load_judge, read_residuals, write_residuals
from pose_models.config import MILD, TrainConfig
from pose_models.data.cads import cad_vertices
from pose_models.data.shards import ShardSamples, entry_labels
from pose_models.judge import PoseJudge
from pose_models.training import LoopOptions, Sources, train
from tests.helpers.boxes import write_run

CONFIG = TrainConfig(
    categories=("box",),
    backbone="test_resnet",
    weights="none",
    image_size=64,
    steps=60,
    batch=8,
    lr=3e-3,
    head_lr=3e-3,
    channels=64,
    vertices=100,
    augment=MILD.model_copy(update={"mirror": False, "hue": 0.0, "grey": 0.0, "colour": 0.1}),
)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The folder of a model that tells the six sides of a box."""
    run = write_run(tmp_path_factory.mktemp("run"), test=6)
    renders = ShardSamples([run / "shards" / "box-00000.tar"])
    sources = Sources(renders=renders, cads={"box": cad_vertices(run / "cad", "box")})
    train(CONFIG, sources, run / "model", LoopOptions(cpu=True), lambda step: None)
    return run / "model"


@pytest.fixture(scope="module")
def judge(model):
    return load_judge(model, "cpu")


@pytest.fixture(scope="module")
def seen(model):
    """Pictures that the model was not trained on, and their labels."""
    samples = ShardSamples([model.parent / "test" / "box-00000.tar"])
    extra = [{"bbox_xyxy": list(s.box_xyxy), "symmetry_order": 1} for s in samples]
    return [s.image for s in samples], [entry_labels(e) | more for e, more in zip(samples.entries, extra, strict=True)]


def changed(labels, **fields):
    return [each | fields for each in labels]


def turned(labels, R):
    """The labels of objects that stand there turned by R in their own axes."""
    by = np.eye(4)
    by[:3, :3] = R
    return [each | {"cam_T_obj": (np.array(each["cam_T_obj"]) @ by).tolist()} for each in labels]


@pytest.fixture(scope="module")
def residuals(judge, seen):
    return np.array(judge(*seen))


def test_residuals_of_true_labels_are_small(residuals):
    assert np.median(residuals) < 10
    assert (residuals < 30).mean() >= 0.75
    assert ((residuals >= 0) & (residuals <= 180)).all()


def test_a_label_turned_by_60_degrees_is_off_by_60(judge, seen, residuals):
    """About any axis; to the residual of the true label, by the triangle inequality."""
    pictures, labels = seen
    frame = random_rotation(np.random.default_rng([0, 1]))
    found = np.array(judge(pictures, turned(labels, frame @ rot_z(math.radians(60)) @ frame.T)))
    assert (np.abs(found - 60) <= residuals + 0.5).all()
    assert abs(np.median(found) - 60) < 10


def test_the_label_is_not_given_away(judge, seen, residuals):
    """What the model sees does not depend on the labelled rotation: its answers to two labels are as far apart as the
    labels are, at most, and a label turned back is judged as it was."""
    pictures, labels = seen
    other = np.array(judge(pictures, turned(labels, rot_z(math.radians(180)))))
    assert (other + residuals >= 180 - 1e-2).all()


@pytest.mark.parametrize("order", [0, 3])
def test_turns_of_a_symmetric_object_are_the_same_pose(judge, seen, residuals, order):
    pictures, labels = seen
    symmetric = changed(labels, symmetry_order=order)
    plain = np.array(judge(pictures, symmetric))
    turn = 2 * math.pi / order if order else 1.0
    np.testing.assert_allclose(judge(pictures, turned(symmetric, rot_z(turn))), plain, atol=1e-3)
    assert (plain <= residuals + 1e-3).all()
    half_way = np.array(judge(pictures, turned(symmetric, rot_z(turn / 2))))
    assert (half_way > 40).mean() >= 0.5 if order else np.allclose(half_way, plain, atol=1e-3)


def test_turns_about_any_axes_are_the_same_pose(judge, seen, residuals):
    """The newer label goes before the older one, which knows turns about z only."""
    pictures, labels = seen
    box = Symmetry.parse(["x:2", "y:2", "z:2"])
    symmetric = changed(labels, symmetries=box.rows(), symmetry_order=1)
    plain = np.array(judge(pictures, symmetric))
    assert (plain <= residuals + 1e-3).all()
    for turn in box.group:
        np.testing.assert_allclose(judge(pictures, turned(symmetric, turn)), plain, atol=1e-3)
    quarter = np.array(judge(pictures, turned(symmetric, rot_z(math.pi / 2))))
    assert np.median(np.abs(quarter - 90)) < 10


def test_alone_or_in_a_batch_a_picture_is_judged_alike(judge, seen, residuals):
    pictures, labels = seen
    alone = [judge([picture], [label])[0] for picture, label in zip(pictures[:2], labels[:2], strict=True)]
    np.testing.assert_allclose(alone, residuals[:2], atol=0.1)
    assert judge(*seen) == residuals.tolist()
    assert judge([], []) == []


def test_the_model_is_named_by_the_hash_of_its_files(judge, model):
    files = {
        name: hashlib.sha256((model / name).read_bytes()).hexdigest() for name in ("model.json", "model.safetensors")
    }
    expected = hashlib.sha256(json.dumps(files, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
    assert judge.provenance == {"pose_model": expected}


def test_what_cannot_be_judged_is_named(judge, seen, model):
    pictures, labels = seen
    with pytest.raises(ManifestError, match=rf"{model} does not know .* sample box-010000, 'boxx'; did you mean 'box'"):
        judge(pictures, changed(labels, category="boxx"))
    without = [{k: v for k, v in each.items() if k != "symmetry_order"} for each in labels]
    with pytest.raises(RunError, match="labels of sample box-010000 lack symmetry_order"):
        judge(pictures, without)
    with pytest.raises(ValueError, match=r"box-010000: its picture is \(48, 128, 3\)"):
        judge([picture[::2] for picture in pictures], labels)


def test_a_folder_without_a_model_is_named(tmp_path):
    with pytest.raises(ManifestError, match=rf"{tmp_path} cannot judge poses: .* holds no model.json"):
        load_judge(tmp_path)


def test_the_installed_plug_in_is_the_pose_judge(judge):
    assert isinstance(judge, PoseJudge)


def test_without_a_plug_in_the_remedy_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr(plug_in, "entry_points", lambda **wanted: EntryPoints())
    with pytest.raises(
        DependencyError, match=r"no installed package reads pose models .* pip install 'p3dgen\[pose\]'"
    ):
        load_judge(tmp_path)
    lacking = EntryPoint(name="pose", group="p3dgen.judges", value="a_package_that_is_missing:Judge")
    monkeypatch.setattr(plug_in, "entry_points", lambda **wanted: EntryPoints([lacking]))
    with pytest.raises(DependencyError, match=r"need a package .*a_package_that_is_missing.* pip install"):
        load_judge(tmp_path)


def test_residuals_are_read_as_written(tmp_path):
    path, values = tmp_path / "residuals.json", {"car-000001": 12.25, "car-000000": 180.0}
    write_residuals(path, values, folds=5, by="cad")
    assert read_residuals(path) == values
    assert json.loads(path.read_text()) == {"schema": 1, "folds": 5, "by": "cad", "residual_deg": values}


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (None, "is not there"),
        ("{", "holds no pose residuals: Expecting"),
        ("[]", "holds no pose residuals: list indices"),
        ("{}", "it lacks 'schema'"),
        ('{"schema": 2}', "it has schema 2, this version reads 1"),
        ('{"schema": 1, "residual_deg": 3}', "holds no pose residuals"),
        ('{"schema": 1, "residual_deg": {"a": "3"}}', "the residual of a is '3', not an angle"),
        ('{"schema": 1, "residual_deg": {"a": NaN}}', "the residual of a is nan, not an angle"),
        ('{"schema": 1, "residual_deg": {"a": 181}}', "the residual of a is 181, not an angle"),
    ],
)
def test_other_files_are_refused(tmp_path, text, what):
    path = tmp_path / "residuals.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(RunError, match=what) as caught:
        read_residuals(path)
    assert str(path) in str(caught.value)
    assert "make it with `pose-models folds`" in str(caught.value)
