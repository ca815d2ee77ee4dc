"""Models that are files, and models in folders next to them: all are taken, and what is left out is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from p3d_gen.catalogue.collect import Wanted, collect
from p3d_gen.core.errors import AssetError
from p3d_gen.spec.layouts import recognise
from p3d_gen.spec.manifest import parse_manifest
from p3d_gen.spec.taken import take_cads, take_occluders
from tests.helpers.assets import wedge


def plant(root: Path, names: tuple[str, ...]) -> Path:
    """A folder with a wedge model at each of the names."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        wedge().export(root / name)
    return root


def manifest(**sections):
    return parse_manifest({"categories": ["chair"], "samples_per_category": 1, **sections}, "m.toml")


def chairs(tmp_path, **cad):
    return take_cads(manifest(cad={"source": "cad", **cad}), tmp_path)["chair"]


def ids_and_warnings(tmp_path, caplog, **cad):
    caplog.clear()
    found = chairs(tmp_path, **cad)
    return [asset.id for asset in found], [record.getMessage() for record in caplog.records]


def test_files_and_folders_of_one_category_are_all_its_models(tmp_path, caplog):
    root = plant(tmp_path / "cad", ("chair/b.glb", "chair/x1/model.obj", "chair/x2/deep/er/mesh.stl"))
    assert recognise(root) == "folder"
    for layout in ("auto", "folder"):
        assert ids_and_warnings(tmp_path, caplog, layout=layout) == (["b", "x1", "x2"], [])
    plant(root, ("chair/x1.ply",))
    with pytest.raises(AssetError, match=r"both get the id 'x1'; rename one of them"):
        chairs(tmp_path)
    ids, warnings = ids_and_warnings(tmp_path, caplog, quarantine=True)
    assert ids == ["b", "x1", "x2"]
    assert [("x1/model.obj is left out" in line) for line in warnings] == [True]


def test_what_belongs_to_a_file_is_no_model(tmp_path, caplog):
    root = plant(tmp_path / "cad", ("chair/a.obj", "chair/x1/model.obj"))
    for name in ("a.mtl", "a.bin", "a.fbm/wood.png", "Textures/wood.png", "parts/a.mtl"):
        (root / "chair" / name).parent.mkdir(exist_ok=True)
        (root / "chair" / name).touch()
    assert ids_and_warnings(tmp_path, caplog) == (["a", "x1"], [])
    plant(root, ("chair/Textures/ball.obj",))
    ids, (warning,) = ids_and_warnings(tmp_path, caplog)
    assert ids == ["a", "x1"]
    assert f"CAD files in {root / 'chair' / 'Textures'} are left out" in warning
    (root / "chair" / "car.usda").touch()
    (root / "chair" / "layers").mkdir()
    (root / "chair" / "layers" / "wheel.usd").touch()
    ids, warnings = ids_and_warnings(tmp_path, caplog)
    assert ids == ["a", "car", "x1"]
    assert [Path(line.split()[3]).name for line in warnings] == ["Textures", "layers"]
    for path in ("a.obj", "car.usda"):
        (root / "chair" / path).unlink()
    assert ids_and_warnings(tmp_path, caplog) == (["Textures", "layers", "x1"], [])


@pytest.mark.parametrize("names", [("a/b_x.ply", "a_b/x.ply"), ("x.ply", "x.obj")])
def test_occluders_that_share_an_id_are_named(names, tmp_path, caplog):
    plant(tmp_path / "things", names)
    asked = {"occlusion": {"source": "things", "level": "L1"}}
    with pytest.raises(AssetError, match=r"things/.*x\.\w+ and .*things/.*x\.\w+ .*; rename one of them"):
        take_occluders(manifest(**asked), tmp_path)
    quarantined = take_occluders(manifest(**asked, cad={"quarantine": True, "source": "things"}), tmp_path)
    assert len(quarantined) == 1
    assert "is left out" in caplog.text


def test_folders_that_no_category_can_be_called_by_are_named(tmp_path, caplog):
    root = plant(tmp_path / "things", ("3d-printer/x.ply", "Mug/x1/model.obj"))
    (root / "__MACOSX").mkdir()
    with pytest.raises(AssetError, match=r"holds CAD models in folders called 3d-printer, Mug; .*: rename them"):
        recognise(root)
    plant(root, ("mug/x.ply",))
    assert list(collect(str(root), Wanted()).cads) == ["mug"]
    occluders = take_occluders(manifest(occlusion={"source": "things", "level": "L1"}), tmp_path)
    assert [asset.id for asset in occluders] == ["mug_x"]
    assert [line.split(" are left out;")[0] for line in caplog.messages] == [
        f"{root}: the CAD models in 3d-printer, Mug"
    ] * 2


def test_occluders_in_folders_beside_files_are_named(tmp_path, caplog):
    root = plant(tmp_path / "things", ("c.stl", "chair/x1/model.obj"))
    occluders = take_occluders(manifest(occlusion={"source": "things", "level": "L1"}), tmp_path)
    assert [asset.id for asset in occluders] == ["c"]
    assert f"{root}: CAD models lie in it as files" in caplog.text
    assert "passed over: chair;" in caplog.text
