"""Preparation of a run's CAD models: once, by several processes, through kills, and with models that are broken."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest

import p3d_gen.render.prepare as cads
from p3d_gen.blender.client import BlenderError
from p3d_gen.core.errors import AssetError, RunError
from p3d_gen.core.symmetry import Symmetry
from p3d_gen.render.prepare import ensure_models, models_to_prepare, prepare_model, prepare_models
from p3d_gen.run.cad_model import CadModel, load_cad, materials_file, save_cad
from p3d_gen.run.files import file_sha256
from p3d_gen.run.ledgers import stage_inputs
from p3d_gen.run.store import create_run, open_run
from p3d_gen.spec.sampling import spec
from tests.helpers.assets import wedge

MODEL = CadModel(
    vertices=np.array(wedge().vertices),
    faces=np.array(wedge().faces, np.int32),
    uv=np.zeros((24, 3, 2), np.float32),
    native_uv=np.ones((24, 3, 2), np.float32),
    face_part=np.zeros(24, np.uint8),
    part_names=("paint",),
    keypoints={"left_front_light": np.array([0.1, 0.2, 0.3])},
    symmetry=Symmetry.of_order(2),
    warnings=("a picture is missing",),
    stated_kinds={"paint": "glass"},
)


class FakeWorker:
    """Stands for Blender: `said` holds what it does for a source's name, the last item again and again."""

    said: ClassVar[dict[str, list[str]]] = {}
    asked: ClassVar[list[str]] = []
    pause_s = 0.0

    def __init__(self, timeout_s=0, memory_mb=0):
        self.timeout_s = timeout_s

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def ask(self, request, on_advance=None):
        name = str(request.target).rsplit("/cad/")[1].removesuffix(".npz")
        self.asked.append(name)
        time.sleep(self.pause_s)
        said = self.said.get(name, [""])
        if reason := said.pop(0) if len(said) > 1 else said[0]:
            raise BlenderError(reason)
        save_cad(request.target, MODEL)


@pytest.fixture
def fake(monkeypatch):
    monkeypatch.setattr(cads, "BlenderWorker", FakeWorker)
    monkeypatch.setattr(FakeWorker, "said", {})
    monkeypatch.setattr(FakeWorker, "asked", [])
    return FakeWorker


@pytest.fixture
def lenient(tmp_path, manifest_path):
    """A run that leaves out what it cannot use."""
    text = manifest_path.read_text()
    manifest_path.write_text(text.replace('source = "assets/cad"', 'source = "assets/cad"\nquarantine = true'))
    return create_run(tmp_path / "lenient", manifest_path)


def names(run):
    return [f"{category}/{cad.id}" for category, assets in run.inventory.cads.items() for cad in assets]


def test_round_trip(tmp_path):
    save_cad(tmp_path / "a.npz", MODEL)
    save_cad(tmp_path / "b.npz", MODEL)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    again = load_cad(tmp_path / "a.npz")
    for name, value in vars(MODEL).items():
        if name == "keypoints":
            np.testing.assert_equal(again.keypoints, value)
        else:
            np.testing.assert_array_equal(getattr(again, name), value)
        assert type(getattr(again, name)) is type(value)
        if isinstance(value, np.ndarray):
            assert getattr(again, name).dtype == value.dtype


def test_a_model_without_keypoints(tmp_path):
    save_cad(tmp_path / "a.npz", CadModel(**{**vars(MODEL), "keypoints": {}, "part_names": ("",), "warnings": ()}))
    again = load_cad(tmp_path / "a.npz")
    assert (again.keypoints, again.part_names, again.warnings) == ({}, ("",), ())


@pytest.mark.parametrize("workers", [1, 3])
def test_models_are_prepared_once(run, fake, workers):
    ticks = []
    notes = prepare_models(run, workers, ticks.append)
    assert sorted(fake.asked) == names(run) == ["car/m0", "car/m1", "chair/m0", "chair/m1"]
    assert notes == [f"{name}: a picture is missing" for name in names(run)]
    assert prepare_models(run, workers, ticks.append) == notes
    assert len(fake.asked) == 4
    assert sum(ticks) == 8
    listed = json.loads(run.models_file.read_text())
    assert list(listed) == ["car", "chair", "quarantined", "checksum"]
    assert listed["car"]["m0"] == {
        "vertices": 16,
        "faces": 24,
        "part_names": ["paint"],
        "has_materials": False,
        "has_keypoints": True,
        "symmetry_order": 2,
        "symmetry": ["z:2"],
        "warnings": ["a picture is missing"],
        "sha256": file_sha256(run.cad_file("car", "m0")),
    }
    assert open_run(run.root).prepared
    run.cad_file("car", "m0").unlink()
    assert prepare_models(run, workers) == ["car/m0 was missing or damaged, and is prepared again", *notes]
    assert fake.asked[4:] == ["car/m0"]


class Shapes(FakeWorker):
    """Stands for Blender: every model is another one, and its materials are other bytes each time, as Blender's are."""

    written = 0

    def ask(self, request, on_advance=None):
        super().ask(request, on_advance)
        height = 1.0 + 0.1 * len(request.target.parent.name) + 0.01 * int(request.target.stem[1:])
        save_cad(request.target, replace(MODEL, vertices=MODEL.vertices * (1.0, 1.0, height)))
        Shapes.written += 1
        materials_file(request.target).write_bytes(b"materials %d" % Shapes.written)


@pytest.fixture
def shapes(fake, monkeypatch):
    monkeypatch.setattr(cads, "BlenderWorker", Shapes)
    return fake


def swapped(first, second):
    kept = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(kept)


DAMAGES = {
    "swapped": swapped,
    "copied": lambda first, second: first.write_bytes(second.read_bytes()),
    "cut": lambda first, _: os.truncate(first, 5),
    "emptied": lambda first, _: os.truncate(first, 0),
    "flipped": lambda first, _: first.write_bytes(first.read_bytes()[:-1] + b"?"),
    "gone": lambda first, _: first.unlink(),
}


def use(run, category, cad_id):
    run.load_model(category, cad_id)
    run.local_model(category, cad_id)


@pytest.mark.parametrize("suffix", [".npz", ".blend"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_models_are_not_used_and_prepared_again(run, shapes, damage, suffix):
    prepare_models(run)
    run = open_run(run.root)
    assert not models_to_prepare(run)
    before = {path: path.read_bytes() for path in (run.root / "cad").rglob("*.npz")}
    models = [("car", "m0"), ("chair", "m1")]
    for each in models:
        use(run, *each)
    files = [run.cad_file(*each).with_suffix(suffix) for each in models]
    DAMAGES[damage](*files)
    damaged = models if damage == "swapped" else models[:1]
    for (category, cad_id), file in zip(damaged, files, strict=False):
        with pytest.raises(RunError, match=f"{file} .*; delete it, and `p3dgen render`"):
            use(run, category, cad_id)
    assert [(category, cad.id) for category, cad in models_to_prepare(run)] == damaged
    notes = prepare_models(run)
    again = ["/".join(each) for each in damaged]
    assert notes[: len(again)] == [f"{name} was missing or damaged, and is prepared again" for name in again]
    assert shapes.asked[4:] == again
    assert {path: path.read_bytes() for path in before} == before
    for each in models:
        use(open_run(run.root), *each)
    assert not models_to_prepare(open_run(run.root))


def test_a_model_that_comes_out_differently_is_not_used(run, shapes, monkeypatch):
    prepare_models(run)
    path = run.cad_file("car", "m0")
    path.unlink()
    monkeypatch.setattr(cads, "BlenderWorker", FakeWorker)
    for _ in range(2):
        with pytest.raises(RunError, match=rf"{path} was not what .*models\.json says, and comes out differently now"):
            prepare_models(run)
    with pytest.raises(RunError, match="its content has changed"):
        open_run(run.root).load_model("car", "m0")


def test_models_of_version_0_1_0_have_no_checksums(run, shapes):
    prepare_models(run)
    listed = json.loads(run.models_file.read_text())
    del listed["checksum"]
    for category in ("car", "chair"):
        for fact in listed[category].values():
            del fact["sha256"], fact["materials_sha256"]
    run.models_file.write_text(json.dumps(listed, indent=2) + "\n")
    written, run = run.models_file.read_bytes(), open_run(run.root)
    assert not models_to_prepare(run)
    swapped(run.cad_file("car", "m0"), run.cad_file("car", "m1"))
    use(run, "car", "m0")
    os.truncate(run.cad_file("car", "m0"), 1000)
    with pytest.raises(RunError, match=r"m0\.npz cannot be read as a prepared CAD model .*; delete it, and"):
        use(run, "car", "m0")
    run.cad_file("car", "m0").unlink()
    prepare_models(run)
    assert run.models_file.read_bytes() == written


def test_what_fails_is_tried_again_once(run, fake):
    fake.said |= {"car/m0": ["Blender ended with status -11", ""]}
    prepare_models(run)
    assert fake.asked.count("car/m0") == 2
    fake.said |= {"car/m1": ["first", "Blender gave no answer", "third"]}
    run.cad_file("car", "m1").unlink()
    assert prepare_model(run, fake(), "car", run.inventory.cads["car"][1]) == "Blender gave no answer"


def test_all_broken_models_are_listed(run, fake):
    fake.said |= {"car/m1": ["it has no faces"], "chair/m0": ["it is flat"]}
    with pytest.raises(AssetError, match=r"(?s)cannot be used.*car/m1\.off: it has.*chair/m0\.off: it is flat") as e:
        prepare_models(run)
    assert "cad.quarantine = true" in str(e.value)
    assert not run.models_file.exists()
    assert not open_run(run.root).prepared


def test_a_full_disk_is_not_the_models_fault(lenient, fake):
    fake.said |= {"car/m1": ["RunError: car/m1.npz cannot be written: no space left"]}
    with pytest.raises(RunError, match="cannot be written: no space"):
        prepare_models(lenient)
    assert fake.asked.count("car/m1") == 1
    assert not lenient.models_file.exists()


def test_quarantine(lenient, fake):
    fake.said |= {"car/m1": ["it has no faces"]}
    assert prepare_models(lenient)[0] == "car/m1 is left out: it has no faces"
    written = lenient.models_file.read_bytes()
    assert json.loads(written)["quarantined"] == {"car/m1": "it has no faces"}
    run = open_run(lenient.root)
    assert names(run) == ["car/m0", "chair/m0", "chair/m1"]
    assert {spec(run.manifest, run.inventory, "car", i).cad_id for i in range(8)} == {"m0"}
    count = len(fake.asked)
    prepare_models(run)
    assert len(fake.asked) == count  # it is not tried for ever
    run.models_file.unlink()
    prepare_models(open_run(run.root))
    assert run.models_file.read_bytes() == written


def test_a_category_without_any_model(lenient, fake):
    fake.said |= {"car/m0": ["flat"], "car/m1": ["empty"]}
    with pytest.raises(AssetError, match=r"(?s)no CAD model of 'car' can be used.*m0\.off: flat.*m1\.off: empty"):
        prepare_models(lenient)
    assert not lenient.models_file.exists()


def test_no_shard_is_made_before_it_is_known_what_is_left_out(run, lenient, fake):
    with pytest.raises(RunError, match=r"models\.json is not there.*run `p3dgen render` first"):
        stage_inputs(lenient, "render")
    ensure_models(lenient.root)
    with pytest.raises(RunError, match=r"models\.json is not there"):
        stage_inputs(lenient, "render")  # opened before: its inventory may be too long
    before = stage_inputs(open_run(lenient.root), "render")
    lenient.models_file.unlink()
    fake.said |= {"car/m1": ["it has no faces"]}
    lenient.cad_file("car", "m1").unlink()
    ensure_models(lenient.root)
    assert stage_inputs(open_run(lenient.root), "render") != before
    assert stage_inputs(run, "render")  # where nothing can be left out, it need not be known


def test_several_processes_at_once(run, fake, monkeypatch):
    """One prepares, the others wait and find everything done."""
    monkeypatch.setattr(FakeWorker, "pause_s", 0.05)
    threads = [threading.Thread(target=ensure_models, args=(run.root,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(fake.asked) == names(run)
    assert open_run(run.root).prepared


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"quarantined": []}', '{"quarantined": {"car/m0": 1}}'])
def test_a_damaged_list_of_models(run, content):
    run.models_file.parent.mkdir()
    run.models_file.write_text(content)
    with pytest.raises(RunError, match=r"models\.json is not a list of models.*delete it"):
        open_run(run.root)


@pytest.mark.blender
def test_killed_in_the_middle(lenient, tmp_path, manifest_path, assets):
    """Whatever was there when the process was killed, the same models and the same list come out."""
    (assets / "cad" / "car" / "m1.off").write_text("OFF\n3 1 0\n0 0 0\n0 0 0\n0 0 0\n3 0 1 2\n")
    killed, whole = (create_run(tmp_path / name, manifest_path) for name in ("killed", "whole"))
    command = (
        "import sys; from pathlib import Path; from p3d_gen.render.prepare import ensure_models\n"
        "ensure_models(Path(sys.argv[1]))"
    )
    with subprocess.Popen([sys.executable, "-c", command, str(killed.root)], start_new_session=True) as process:
        while not killed.cad_file("car", "m0").exists():
            time.sleep(0.005)
            assert process.poll() is None
        os.killpg(process.pid, signal.SIGKILL)
    assert not killed.models_file.exists()
    prepare_models(killed, workers=2)
    prepare_models(whole)
    assert killed.models_file.read_bytes() == whole.models_file.read_bytes()
    assert list(json.loads(whole.models_file.read_text())["quarantined"]) == ["car/m1"]
    for name in names(open_run(whole.root)):
        assert killed.cad_file(*name.split("/")).read_bytes() == whole.cad_file(*name.split("/")).read_bytes()
    assert not [path for path in (killed.root / "cad").rglob("*partial*") if "m1" not in path.name]
