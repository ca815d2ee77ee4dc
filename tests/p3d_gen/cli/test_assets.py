"""p3dgen assets: what is listed, what is found wrong with models, and that converted models are the same models."""

from __future__ import annotations

import json
import struct
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import trimesh
from click.testing import CliRunner

from blender_assets.shapes import build
from blender_assets.shapes.ply import ply_bytes, shape_of_ply
from p3d_gen.blender.client import BlenderWorker
from p3d_gen.blender.topology import is_watertight, same_way_edges
from p3d_gen.catalogue.check import prepare
from p3d_gen.catalogue.collect import Wanted, collect
from p3d_gen.catalogue.convert import convert
from p3d_gen.cli import main
from p3d_gen.cli.assets import AXES, LAYOUTS
from p3d_gen.core.categories import BUILTIN
from p3d_gen.core.errors import AssetError
from p3d_gen.run.cad_model import load_cad, materials_file
from p3d_gen.spec.inventory import Asset
from p3d_gen.spec.scene_sections import Axis, Cad
from tests.helpers.assets import save_picture, wedge


def call(*arguments: object) -> tuple[int, str]:
    """The exit status and the output of `p3dgen assets ARGUMENTS`."""
    no_pictures = ["--no-pictures"] if arguments[0] == "check" else []
    result = CliRunner().invoke(main, ["assets", *map(str, arguments), *no_pictures])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


def test_list_of_a_manifest(manifest_path, assets):
    status, output = call("list", manifest_path)
    assert status == 0
    rows = [line.split("│") for line in output.splitlines() if line.startswith("│")]
    found = {row[1].strip(): (row[2].strip(), row[3].strip()) for row in rows}
    assert found["CAD car"] == ("2", "m0, m1")
    assert found["textures"] == ("2", "banded/banded_0001, dotted/dotted_0001")
    assert found["environment maps"] == ("0", "")
    assert found["backgrounds"][0] == "3"


def test_list_of_folders_and_of_the_library(assets):
    status, output = call("list", assets / "cad")
    assert status == 0
    assert "CAD chair" in output
    status, output = call("list", "parametric")
    assert status == 0
    assert "parametric:car?variant=0" in output
    status, output = call("list", assets / "gone")
    assert status == 1
    assert "gone is not a file or folder: name a manifest" in output


def test_list_of_one_category(manifest_path, assets):
    for source in (assets / "cad", manifest_path, "parametric"):
        status, output = call("list", source, "--category", "car")
        assert status == 0
        assert "CAD car" in output
        assert "CAD chair" not in output
        assert "textures" not in output
    assert "no CAD model of bus" in call("list", assets / "cad", "--category", "bus")[1]


def test_list_takes_files_and_folders_of_a_category_and_names_what_it_passes_over(tmp_path):
    for name in ("n/c.stl", "n/chair/x1/model.obj", "cad/chair/a.glb", "cad/chair/x1/model.obj"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        wedge().export(tmp_path / name)
    status, output = call("list", tmp_path / "cad")
    assert status == 0
    assert "a, x1" in output
    assert "passed over" not in output
    status, output = call("list", tmp_path / "n")
    assert status == 0
    assert "CAD n" in output
    assert "its folders with CAD models are passed over: chair;" in " ".join(output.split())


def test_options_know_the_layouts_and_axes_of_the_manifest():
    assert get_args(Cad.model_fields["layout"].annotation) == LAYOUTS
    assert get_args(Axis) == AXES


def test_options_that_are_wrong(assets, tmp_path):
    folder = assets / "cad"
    assert "holds no CAD model of cra; it holds car, chair" in call("check", folder, "--category", "cra")[1]
    assert "use lower-case letters, digits and _" in call("check", folder, "--category", "My Cars")[1]
    for options, said in (
        (("--up", "w", "--front", "y"), "'w' is not one of 'auto', 'x', '-x'"),
        (("--up", "y"), "give both --up and --front"),
        (("--up", "y", "--front", "-y"), "lie on one axis"),
        (("--layout", "shapnet"), "did you mean 'shapenet'?"),
        (("--layout", "shapenet", "--category", "car"), "it has the layout 'folder'"),
        (("--category", "bus"), "holds no CAD model of bus; it holds car, chair"),
    ):
        status, output = call("import", folder, "--out", tmp_path / "out", *options)
        assert status != 0
        assert said in " ".join(output.replace("│", " ").split())


def test_files_and_flat_folders_take_their_category_from_the_option_or_their_folder(assets, tmp_path):
    car = assets / "cad" / "car"
    assert list(collect(str(car), Wanted()).cads) == ["car"]
    assert list(collect(str(car / "m0.off"), Wanted()).cads) == ["car"]
    assert list(collect(str(car / "m0.off"), Wanted(category="bus", up="y", front="x")).cads) == ["bus"]
    car.rename(tmp_path / "vans")
    assert list(collect(str(tmp_path / "vans"), Wanted()).cads) == ["vans"]
    assert [a.id for a in collect(str(tmp_path / "vans"), Wanted(category="car")).cads["car"]] == ["m0", "m1"]
    with pytest.raises(AssetError, match="is not of the category 'bus': leave --category out"):
        collect("parametric:car?variant=3", Wanted(category="bus"))
    with pytest.raises(AssetError, match="has none of the suffixes"):
        collect(str(assets / "backgrounds" / "b0.jpg"), Wanted())


def test_a_manifests_models(manifest_path, assets):
    found = collect(str(manifest_path), Wanted(category="car"))
    assert [asset.id for asset in found.cads["car"]] == ["m0", "m1"]
    assert found.root == assets / "cad"
    with pytest.raises(AssetError, match=r"has no category 'bus'; valid names: car, chair"):
        collect(str(manifest_path), Wanted(category="bus"))


def test_topology():
    box = trimesh.creation.box((1, 2, 3))
    assert is_watertight(box.faces)
    assert same_way_edges(box.faces) == 0
    faces = box.faces.copy()
    faces[4] = faces[4, ::-1]
    assert is_watertight(faces)
    assert same_way_edges(faces) == 3
    assert not is_watertight(faces[1:])


def sick_models(folder: Path) -> None:
    """One good model, one with a doubled face, a degenerate face, a stray vertex and a face wound the wrong way, one
    whose material library is missing, and one that is empty."""
    folder.mkdir(parents=True)
    box = trimesh.creation.box((2.0, 3.0, 1.0))
    box.export(folder / "good.off")
    faces = np.vstack([box.faces, box.faces[:1], [[0, 0, 1]]])
    faces[5] = faces[5, ::-1]
    vertices = np.vstack([box.vertices, [[9.0, 9.0, 9.0]]])
    trimesh.Trimesh(vertices, faces, process=False).export(folder / "odd.off")
    text = "mtllib gone.mtl\nv 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nusemtl skin\nf 1 2 3\nf 1 2 4\n"
    (folder / "bare.obj").write_text(text)
    (folder / "empty.off").write_text("OFF\n0 0 0\n")


@pytest.mark.blender
def test_check_reports_every_model_and_fails_for_the_broken(tmp_path):
    sick_models(tmp_path / "cad" / "car")
    (tmp_path / "cad" / "LICENSE").write_text("MIT License\n")
    status, output = call("check", tmp_path / "cad", "--json")
    assert status == 1
    assert output.rstrip().endswith("Error: 1 of 4 models cannot be used")
    reports = {report["id"]: report for report in json.loads(output[output.index("[\n") : output.rindex("]") + 1])}
    assert {report["licence"] for report in reports.values()} == {"MIT"}
    good, odd = reports["good"], reports["odd"]
    assert (good["faces"], good["vertices"], good["watertight"], good["warnings"]) == (12, 8, True, [])
    assert good["extent_xyz"] == pytest.approx(np.array([2, 3, 1]) / np.sqrt(14))
    assert (good["diagonal_m"], good["unit_from"]) == (None, "")
    assert (odd["faces"], odd["vertices"], odd["watertight"]) == (12, 8, True)
    assert odd["warnings"] == [
        "vertices of no face dropped: 1",
        "degenerate or doubled faces dropped: 2",
        "edges whose faces were wound inconsistently, repaired: 3",
    ]
    assert reports["bare"]["parts"] == ["skin"]
    assert not reports["bare"]["watertight"]
    assert any("gone.mtl" in warning for warning in reports["bare"]["warnings"])
    assert reports["empty"]["error"]


@pytest.mark.blender
def test_what_blender_cannot_read_is_named_with_a_way_out(tmp_path):
    (tmp_path / "chair").mkdir()
    files = {
        "v0.glb": (
            b"glTF" + struct.pack("<IIII", 0, 20, 0, 0),
            "GLB version must be 2; got 0",
            "export it again as GLB",
        ),
        "v1.gltf": (b'{"asset": {"version": "1.0"}}', "glTF version must be 2.0", "export it again as glTF 2"),
        "old.blend": (b"nothing", "is not supported", "save it again with Blender 4.5 or older"),
        "no.usda": (b"nothing", "unable to open", "export it again as USDA"),
    }
    for name, (content, _, _) in files.items():
        (tmp_path / "chair" / name).write_bytes(content)
    status, output = call("check", tmp_path)
    assert status == 1
    for name, (_, fault, way_out) in files.items():
        path = tmp_path / "chair" / name
        (line,) = [line for line in output.splitlines() if line.startswith(f"chair/{path.stem}: broken: {path}: ")]
        assert fault in line
        assert way_out in line


@pytest.mark.blender
def test_check_of_one_address_prints_a_table():
    status, output = call("check", "parametric:chair?variant=1")
    assert status == 0
    row = next(line for line in output.splitlines() if "chair_00001" in line)
    shape = build("chair", 1)
    assert [cell.strip() for cell in row.split("│")][4:-1] == [
        " ".join(f"{side:.3f}" for side in np.ptp(shape.vertices, axis=0)),
        "",  # no size in metres
        str(len(shape.part_names)),
        "no",
        str(len(shape.keypoints)),
        "yes",
        "CC0-1.0",
        "good",
    ]


def save_textured(path: Path) -> None:
    """The wedge, y up and front z as OBJ files are wont to be, with a picture on it and a keypoint at its nose."""
    mesh = wedge()
    turned = mesh.vertices @ np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]]).T * 20 + 7
    lines = ["mtllib skin.mtl", "usemtl skin", *(f"v {x} {y} {z}" for x, y, z in turned)]
    lines += [f"vt {x % 1} {z % 1}" for x, _, z in mesh.vertices]
    lines += [f"f {a}/{a} {b}/{b} {c}/{c}" for a, b, c in mesh.faces + 1]
    path.parent.mkdir(parents=True)
    path.write_text("\n".join(lines) + "\n")
    (path.parent / "skin.mtl").write_text("newmtl skin\nKd 0.8 0.2 0.1\nmap_Kd skin.png\n")
    save_picture(path.parent / "skin.png", 4)
    nose = turned[mesh.vertices[:, 1].argmin()].tolist()
    path.with_suffix(".keypoints.json").write_text(json.dumps({"left_front_wheel": nose, "symmetry_order": 2}))


@pytest.fixture(scope="module")
def worker():
    with BlenderWorker() as shared:
        yield shared


def converted(worker, source: Path, out: Path, **wanted: str) -> Path:
    """The new file of a source's one model."""
    cads = collect(str(source), Wanted(**wanted)).cads
    [(asset, path, error)] = convert(worker, cads, out, {}, {})
    assert not error, f"{asset.address}: {error}"
    assert path.parent == out / "car"
    return path


def prepared(worker, path, up="auto", front="auto"):
    """The normalised model of a file, and whether it has materials."""
    asset = Asset(id=path.stem, address=str(path), up=up, front=front)
    target = prepare(worker, BUILTIN["car"], asset, None)
    return load_cad(target), materials_file(target).exists()


def corners(model):
    """Position and texture coordinates of each corner, in an order that does not depend on the file."""
    table = np.hstack([model.vertices[model.faces].reshape(-1, 3), model.native_uv.reshape(-1, 2)])
    return table[np.lexsort(np.round(table, 3).T)]


@pytest.mark.blender
def test_a_model_with_materials_becomes_glb_and_stays_what_it_was(worker, tmp_path):
    source = tmp_path / "source" / "car" / "skinned.obj"
    save_textured(source)
    path = converted(worker, source, tmp_path / "out", up="y", front="z")
    assert sorted(p.name for p in path.parent.iterdir()) == ["skinned.glb", "skinned.keypoints.json", "skinned.toml"]
    assert path.with_suffix(".toml").read_text() == 'unit = "unknown"\n'  # else a GLB counts in metres
    (old, old_material), (new, new_material) = prepared(worker, source, "y", "z"), prepared(worker, path)
    assert old_material
    assert new_material
    assert new.part_names == old.part_names == ("skin",)
    assert new.symmetry_order == old.symmetry_order == 2
    assert new.keypoints["left_front_wheel"] == pytest.approx(old.keypoints["left_front_wheel"], abs=1e-5)
    assert old.native_uv.any()
    assert b"image/png" in path.read_bytes()
    assert corners(new) == pytest.approx(corners(old), abs=1e-4)


@pytest.mark.blender
def test_a_plain_model_becomes_ply_in_object_axes(worker, tmp_path):
    source = tmp_path / "source" / "car" / "plain.stl"
    source.parent.mkdir(parents=True)
    wedge().export(source)
    path = converted(worker, source, tmp_path / "out", up="z", front="x")
    assert [p.name for p in path.parent.iterdir()] == ["plain.ply"]
    new = prepared(worker, path)[0]
    assert corners(new) == pytest.approx(corners(prepared(worker, source, "z", "x")[0]), abs=1e-6)
    file = trimesh.load_mesh(path, process=False)
    assert np.linalg.norm(file.extents) == pytest.approx(1)
    assert file.bounds.sum(axis=0) == pytest.approx(0, abs=1e-6)
    assert file.extents[0] / file.extents[1] == pytest.approx(1.0 / 0.5)
    path.with_suffix(".off").touch()
    [(_, none, error)] = convert(worker, collect(str(source), Wanted()).cads, tmp_path / "out", {}, {})
    assert none is None
    assert "plain.off exists already: remove it" in error


@pytest.mark.blender
def test_a_file_written_from_a_shape_keeps_its_parts_and_keypoints(worker, tmp_path):
    shape = build("chair", 1)
    source = tmp_path / "car" / "seat.ply"
    source.parent.mkdir()
    source.write_bytes(ply_bytes(replace(shape, keypoints={})))
    copied = shape_of_ply(converted(worker, source, tmp_path / "out").read_bytes())
    assert copied.part_names == shape.part_names
    assert np.bincount(copied.face_part).tolist() == np.bincount(shape.face_part).tolist()
    assert copied.symmetry_order == shape.symmetry_order


@pytest.mark.blender
def test_import_converts_what_it_can_and_names_the_rest(tmp_path):
    source, out = tmp_path / "source" / "car", tmp_path / "out"
    source.mkdir(parents=True)
    wedge().export(source / "plain.off")
    (source / "broken.off").write_text("OFF\n0 0 0\n")
    status, output = call("import", source.parent, "parametric:car?variant=2..3", "--out", out)
    assert status == 1
    assert f"{source / 'broken.off'}: " in output
    assert output.splitlines()[-2:] == [
        f"{out}: 3 models of car",
        "Error: 1 of 4 models could not be converted; the others were",
    ]
    assert [asset.id for asset in collect(str(out), Wanted()).cads["car"]] == ["car_00002", "car_00003", "plain"]
    made, shape = shape_of_ply((out / "car" / "car_00003.ply").read_bytes()), build("car", 3)
    assert made.vertices == pytest.approx(shape.vertices, abs=1e-6)
    assert (made.part_names, list(made.keypoints)) == (shape.part_names, list(shape.keypoints))


@pytest.mark.blender
def test_import_takes_the_definition_the_size_and_the_parts_along(tmp_path):
    folder, out = tmp_path / "source" / "mug", tmp_path / "out"
    save_textured(folder / "cup.obj")
    definition = 'words = ["coffee mug"]\nsymmetry = ["x:2"]\nfill = [0.5, 0.8]\npose = "any"\n'
    elevation = "elevation = { mean_deg = 15.0, std_deg = 10.0, min_deg = 0.0, max_deg = 40.0 }\n"
    (folder / "category.toml").write_text(f'unit = "cm"\n{definition}{elevation}')
    (folder / "cup.toml").write_text('[parts]\nskin = "glass"\n')
    assert call("import", folder.parent, "--out", out)[0] == 0
    old, new = collect(str(folder.parent), Wanted()), collect(str(out), Wanted())
    assert new.definition("mug") == old.definition("mug")
    tables = []
    for source in (folder.parent, out):
        checked = CliRunner().invoke(main, ["assets", "check", str(source), "--json", "--no-pictures"])
        [report] = json.loads(checked.stdout)
        tables.append((report["diagonal_m"], report["part_kinds"]))
    assert tables[0] == (pytest.approx(tables[1][0]), {"skin": "glass"})
    assert tables[1][1] == {"skin": "glass"}
    (out / "mug" / "category.toml").write_text('pose = "upright"\n')
    status, output = call("import", folder.parent, "--out", out)
    assert status == 1
    assert "category.toml defines mug otherwise: remove it" in output


def test_import_of_two_models_of_one_name(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder / "car").mkdir(parents=True)
        wedge().export(tmp_path / folder / "car" / "01.off")
    status, output = call("import", tmp_path / "a", tmp_path / "b", "--out", tmp_path / "out")
    assert status == 1
    assert "b/car/01.off has the same name as" in output
