"""The public API, as a script or a notebook uses it."""

import importlib
import pkgutil
import subprocess
import sys
import types

import numpy as np
import pytest
from PIL import Image

import p3d_gen
import p3d_gen as p3d
from p3d_gen.core.geometry import cam_T_obj
from p3d_gen.core.types import Viewpoint
from p3d_gen.run.store import RunFolder
from tests.helpers.assets import wedge
from tests.helpers.fake_runs import fake_renders

SMALL = 'shard_size=3, camera={"image_hw": [64, 96], "focal_px": 400}, render={"samples": 1}, cad={"variants": [0, 2]}'
# The code of the documentation; only the size of the pictures and the number of shapes are smaller. It stands at the
# top of a script, without `if __name__ == "__main__"`.
SCRIPT = f"""
import p3d_gen as p3d
print("script")
manifest = p3d.Manifest(categories=["car"], samples_per_category=8, stylize={{"resolution": 128}}, {SMALL})
run = p3d.create_run("runs/x", manifest)
run.generate(workers=2, progress=True)
sample = run["car-000003"]; sample.image, sample.mask, sample.cam_T_obj, sample.K, sample.labels; sample.draw()
image, labels = p3d.render_one(cad="my.glb", category="car", azimuth_deg=30, elevation_deg=15)
image.save("one.png")
print(labels["azimuth_rad"], labels["cad_id"])
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    """The folder in which the script ran, and its process."""
    folder = tmp_path_factory.mktemp("script")
    wedge().export(folder / "my.glb")
    (folder / "script.py").write_text(SCRIPT)
    process = subprocess.run([sys.executable, "script.py"], cwd=folder, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    return folder, process


@pytest.fixture
def made(script):
    return p3d.open_run(script[0] / "runs" / "x")


@pytest.mark.blender
def test_a_script_without_a_guard_runs_once(script):
    folder, process = script
    assert process.stdout.splitlines()[0] == "script"
    assert process.stdout.count("script") == 1
    assert float(process.stdout.split()[1]) == pytest.approx(np.radians(30))
    assert "pack: 8 samples in 3 shards, 0 failed" in process.stderr
    with Image.open(folder / "one.png") as picture:
        assert (picture.mode, picture.size) == ("RGBA", (512, 512))
        alpha = np.asarray(picture)[..., 3]
    assert alpha.max() == 255
    assert alpha[0, 0] == 0


@pytest.mark.blender
def test_a_run_is_a_collection_of_samples(made):
    keys = [f"car-{i:06d}" for i in range(8)]
    assert made.keys() == keys
    assert len(made) == 8
    assert [sample.key for sample in made] == keys
    assert made.failures == ()
    assert made.manifest.samples_per_category == 8
    assert repr(made) == f"<Run {made.folder}: 8 samples of 8 renders, car>"
    assert made._repr_html_().count("<img ") == 4


@pytest.mark.blender
def test_a_sample_shows_what_its_labels_say(made):
    sample = made["car-000003"]
    assert sample.image.mode == "RGB"
    assert sample.image.size == (96, 64)
    assert (sample.mask.shape, sample.mask.dtype) == ((64, 96), bool)
    assert ((sample.depth > 0) == sample.mask).mean() > 0.99
    np.testing.assert_allclose(sample.K, [[400, 0, 48], [0, 400, 32], [0, 0, 1]], rtol=1e-6)
    view = Viewpoint(
        **{name: sample.labels[name] for name in ("azimuth_rad", "elevation_rad", "theta_rad", "distance")}
    )
    np.testing.assert_allclose(sample.cam_T_obj, cam_T_obj(view), atol=1e-5)
    drawn = sample.draw()
    assert drawn.size == sample.image.size
    assert (np.asarray(drawn) != np.asarray(sample.image)).any()
    assert sample._repr_png_().startswith(b"\x89PNG")
    with pytest.raises(p3d.DataError, match=r"car-000003 in .* has no nocs.npz, only .*output.members"):
        sample.nocs  # noqa: B018


@pytest.mark.blender
def test_a_finished_run_starts_nothing(made, monkeypatch):
    def start(*_, **__):
        raise AssertionError("a process is started")

    monkeypatch.setattr(subprocess, "Popen", start)
    results = made.generate(workers=2)
    assert [(result.name, result.samples, result.new_shards) for result in results] == [
        ("render", 8, 0),
        ("stylize", 8, 0),
        ("pack", 8, 0),
    ]
    assert [made.render().new_shards, made.stylize().new_shards, made.pack().new_shards] == [0, 0, 0]


@pytest.mark.blender
def test_a_named_stylization(made):
    assert made.stylize(name="faint", settings={"resolution": 64}, workers=1).samples == 8
    assert len(made.keys("faint")) == 8
    assert "stylized.png" in made.sample("car-000001", "faint").members
    assert made.pack(name="faint", workers=1).files["contact sheet"].name == "contact_sheet-faint.jpg"
    assert made.sample("car-000001", "faint").image.mode == "RGB"
    with pytest.raises(p3d.ManifestError, match="stepps"):
        made.stylize(name="other", settings={"stepps": 3})


@pytest.mark.blender
def test_a_report_and_a_check_of_a_run(made):
    assert made.write_report().read_text().startswith("<!doctype html>")
    verification = made.verify(workers=1)
    assert (verification.samples, verification.findings) == (8, ())


@pytest.mark.blender
def test_one_picture_has_the_labels_of_a_run(made):
    picture, labels = p3d.render_one(
        "parametric:car?variant=1",
        azimuth_deg=120,
        elevation_deg=-10,
        theta_deg=5,
        distance=4,
        image_hw=(64, 96),
        focal_px=300,
        samples=1,
        colour="red",
    )
    assert picture.size == (96, 64)
    assert labels.keys() == made["car-000000"].labels.keys() & labels.keys()
    view = Viewpoint(azimuth_rad=np.radians(120), elevation_rad=np.radians(-10), theta_rad=np.radians(5), distance=4)
    np.testing.assert_allclose(labels["cam_T_obj"], cam_T_obj(view), atol=1e-5)
    assert labels["mask_iou"] > 0.98
    assert (labels["colour"], labels["cad_id"], labels["focal_px"]) == ("red", "car_00001", pytest.approx(300))
    y, x = np.nonzero(np.asarray(picture)[..., 3])
    np.testing.assert_allclose((x.min(), y.min(), x.max() + 1, y.max() + 1), labels["bbox_xyxy"], atol=2)
    with pytest.raises(p3d.AssetError, match="stands for 3 CAD models"):
        p3d.render_one("parametric:car?variant=1..3")
    with pytest.raises(p3d.ManifestError, match=r"texture\.kind = 'shiny'"):
        p3d.render_one("parametric:car?variant=1", texture="shiny")


@pytest.fixture
def rendered(run: RunFolder):
    """A run with faked renders of all samples."""
    fake_renders(run)
    return p3d.open_run(run.root)


def test_a_sample_is_read_as_the_last_stage_left_it(rendered):
    assert "render.png" in rendered["car-000001"].members
    assert rendered["car-000001"].image.mode == "RGBA"
    assert rendered["car-000001"].draw().mode == "RGB"
    rendered.stylize(shards="0", workers=1)
    assert "survival" in rendered["car-000001"].labels
    assert rendered["car-000001"].image.mode == "RGB"
    assert [sample.image.mode for sample in rendered] == ["RGB", "RGB", "RGBA", "RGBA", "RGBA", "RGBA"]
    assert rendered.keys() == [sample.key for sample in rendered]


def test_a_new_name_needs_settings_of_its_own(rendered):
    with pytest.raises(p3d.RunError, match="nothing says how it differs from the manifest's own: give --settings"):
        rendered.stylize(name="same", shards="0", workers=1)


def test_keys_that_are_none(rendered, run):
    with pytest.raises(p3d.RunError, match="did you mean 'car'"):
        rendered["cra-000001"]
    with pytest.raises(p3d.RunError, match="they run from car-000000 to car-000002"):
        rendered["car-000003"]
    run.tar("render", "car-00001").unlink()
    with pytest.raises(p3d.RunError, match="car-000002 is not made yet"):
        rendered["car-000002"]


def test_a_run_knows_its_manifest(tmp_path, manifest_path, monkeypatch):
    created = p3d.create_run(tmp_path / "a", manifest_path)
    assert p3d.create_run(tmp_path / "a", p3d.load_manifest(manifest_path)).manifest == created.manifest
    monkeypatch.chdir(tmp_path)
    in_code = p3d.Manifest(
        categories=["car"],
        samples_per_category=3,
        cad={"source": "assets/cad"},
        texture={"source": "assets/textures"},
        background={"source": "assets/backgrounds"},
    )
    assert p3d.create_run("b", in_code).folder.name == "b"
    with pytest.raises(p3d.RunError, match="was made from another manifest"):
        p3d.create_run("b", p3d.load_manifest(str(manifest_path)))
    with pytest.raises(p3d.ConfigError, match="device = 'cdua' is not known; did you mean 'cuda'"):
        created.stylize(device="cdua")
    with pytest.raises(p3d.ManifestError, match=r"'cra' has no embedded shapes, .*; did you mean 'car'"):
        p3d.Manifest(categories=["cra"], samples_per_category=3)
    with pytest.raises(p3d.ConfigError, match="engine = 'slurm'"):
        created.render(engine="slurm")
    with pytest.raises(p3d.ConfigError, match="allow_licenses"):
        created.generate(allow_licenses=["Beerware!"])
    with pytest.raises(p3d.RunError, match=r"these are not under CC0-1\.0"):
        created.generate(allow_licenses=["CC0-1.0"])


def test_no_public_name_is_a_module():
    """An attribute of the package is its submodule of that name from the first import of the submodule on."""
    for info in pkgutil.walk_packages(p3d_gen.__path__, "p3d_gen."):
        if "bpy" in (importlib.util.find_spec(info.name).loader.get_source(info.name) or ""):
            continue  # Blender lives in processes of its own
        importlib.import_module(info.name)
    submodules = {info.name for info in pkgutil.iter_modules(p3d_gen.__path__)}
    for name in p3d.__all__:
        assert not isinstance(getattr(p3d, name), types.ModuleType), name
        assert name not in submodules
    assert set(p3d.__all__) <= set(dir(p3d))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        p3d.nothing  # noqa: B018
