"""CAD models of every format, what is kept of them, and what bad ones cost."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from blender_assets.shapes import build
from blender_assets.shapes.ply import ply_bytes
from p3d_gen.blender.client import BlenderWorker
from p3d_gen.core.symmetry import Symmetry
from p3d_gen.render.prepare import prepare_model
from p3d_gen.run.cad_model import load_cad, materials_file, read_sidecar
from p3d_gen.spec.inventory import Asset
from tests.helpers.assets import save_picture, wedge
from tests.helpers.commands import BIN

pytestmark = pytest.mark.blender
METRES = float(np.linalg.norm(wedge().extents))  # of the wedge's diagonal, whose numbers are metres
HELPERS = Path(__file__).parents[2] / "helpers"
Y_UP = np.array([[1, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]])  # (x, y, z) becomes (x, z, -y)


@pytest.fixture(scope="module")
def worker():
    with BlenderWorker(timeout_s=120) as blender:
        yield blender


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with the files of blender_files.py."""
    folder = tmp_path_factory.mktemp("made")
    np.savez(folder / "wedge.npz", vertices=wedge().vertices, faces=wedge().faces)
    subprocess.run([sys.executable, str(HELPERS / "blender_files.py"), str(folder)], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def look():
    """The answers of blender_look.py about a file."""
    command = [sys.executable, str(HELPERS / "blender_look.py")]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:

        def ask(operation, path):
            process.stdin.write(json.dumps({"operation": operation, "path": str(path)}) + "\n")
            process.stdin.flush()
            return json.loads(process.stdout.readline())

        yield ask


def prepared(run, worker, source, category="car", **axes):
    """The prepared model of a source, and its npz."""
    asset = Asset(id=Path(str(source)).stem.replace("?", "_"), address=str(source), **axes)
    assert prepare_model(run, worker, category, asset) == ""
    path = run.cad_file(category, asset.id)
    return load_cad(path), path


def reason(run, worker, source):
    asset = Asset(id=Path(source).stem, address=str(source))
    said = prepare_model(run, worker, "car", asset)
    assert not run.cad_file("car", asset.id).exists()
    return said


def export(path, mesh):
    """Write a mesh; trimesh itself leaves the files of a .gltf open."""
    if path.suffix != ".gltf":
        mesh.export(path)
        return
    for name, content in trimesh.exchange.gltf.export_gltf(trimesh.Scene(mesh)).items():
        (path.parent / name).write_bytes(content)


def expected(mesh):
    """`mesh` normalised."""
    return (mesh.vertices - mesh.bounds.mean(axis=0)) / np.linalg.norm(mesh.extents)


def check_wedge(model):
    assert np.linalg.norm(np.ptp(model.vertices, axis=0)) == pytest.approx(1.0)
    np.testing.assert_allclose(model.vertices.min(axis=0), -model.vertices.max(axis=0), atol=1e-9)
    ours = trimesh.Trimesh(model.vertices, model.faces, process=False)
    true = trimesh.Trimesh(expected(wedge()), wedge().faces, process=False)
    np.testing.assert_allclose(ours.bounds, true.bounds, atol=1e-6)
    np.testing.assert_allclose(ours.triangles_center.mean(axis=0), true.triangles_center.mean(axis=0), atol=1e-6)
    assert ours.is_watertight
    assert ours.volume == pytest.approx(true.volume, rel=1e-5)  # positive: wound outwards


@pytest.mark.parametrize("suffix", [".off", ".obj", ".ply", ".stl", ".glb", ".gltf"])
def test_every_format_gives_the_same_normalised_model(run, worker, tmp_path, suffix):
    mesh = wedge()
    if suffix in (".obj", ".glb", ".gltf"):
        mesh.apply_transform(Y_UP)  # these have y up and front z
    export(tmp_path / f"model{suffix}", mesh)
    model, path = prepared(run, worker, tmp_path / f"model{suffix}")
    check_wedge(model)
    assert (model.part_names, model.keypoints, model.symmetry_order) == (("",), {}, 1)
    assert (model.face_part == 0).all()
    assert (model.native_uv == 0).all()
    assert not materials_file(path).exists()


OF_BLENDER = [
    "model.blend",
    *(f"model.usd{end}" for end in ("", "a", "c", "z")),
    "yup.usda",
    "yup.fbx",
    "zup.fbx",
    "zup.dae",
]


@pytest.mark.parametrize("name", OF_BLENDER)
def test_files_of_blender(run, worker, made, name):
    model, path = prepared(run, worker, made / name)
    check_wedge(model)
    assert (model.part_names, model.warnings) == (("paint",), ())
    assert model.diagonal_m == pytest.approx(METRES, rel=1e-5)  # also of those that count in centimetres
    assert materials_file(path).exists()


@pytest.mark.parametrize("name", ["a.off", "a.obj", "a.ply", "a.stl", "a.glb"])
def test_a_size_in_metres_is_that_of_a_stated_unit_or_of_a_format_that_has_one(run, worker, tmp_path, name):
    export(tmp_path / name, wedge())
    said, inches = (prepared(run, worker, tmp_path / name, unit_m=unit_m)[0] for unit_m in (None, 0.0254))
    assert said.diagonal_m == (pytest.approx(METRES, rel=1e-6) if name.endswith("glb") else None)
    assert inches.diagonal_m == pytest.approx(0.0254 * METRES, rel=1e-6)


def test_a_stated_unit_is_that_of_the_file_whatever_blender_reads(run, worker, tmp_path, made):
    """The FBX file says that it counts in centimetres, the DAE file in metres."""
    for name, unit_m, metres in (("zup.fbx", 0.001, METRES / 10), ("zup.dae", 0.001, METRES / 1000)):
        model, _ = prepared(run, worker, made / name, unit_m=unit_m)
        assert model.diagonal_m == pytest.approx(metres, rel=1e-5)
    stated, unsaid = tmp_path / "inches.dae", tmp_path / "unsaid.dae"
    content = (made / "zup.dae").read_text()
    unit = '<unit name="meter" meter="1"/>'
    assert unit in content
    stated.write_text(content.replace(unit, '<unit name="inch" meter="0.0254"/>'))
    unsaid.write_text(content.replace(unit, ""))
    assert prepared(run, worker, stated)[0].diagonal_m == pytest.approx(0.0254 * METRES, rel=1e-5)
    assert prepared(run, worker, unsaid)[0].diagonal_m is None


def test_kinds_that_a_side_file_states_lie_in_the_prepared_model(run, worker, tmp_path, made):
    (tmp_path / "model.blend").write_bytes((made / "model.blend").read_bytes())
    (tmp_path / "model.toml").write_text('parts = { paint = "wood" }\n')
    assert prepared(run, worker, tmp_path / "model.blend")[0].stated_kinds == {"paint": "wood"}


def test_uv_fill_the_unit_square_and_doubles_are_merged(run, worker, tmp_path):
    mesh = wedge()
    doubled = trimesh.util.concatenate([mesh, trimesh.Trimesh(mesh.vertices, mesh.faces[:, ::-1], process=False)])
    doubled.export(tmp_path / "doubled.off")
    model, _ = prepared(run, worker, tmp_path / "doubled.off")
    assert model.uv.shape == (len(mesh.faces), 3, 2)
    assert model.uv.min() >= -1e-6
    assert model.uv.max() <= 1 + 1e-6
    a, b = model.uv[:, 1] - model.uv[:, 0], model.uv[:, 2] - model.uv[:, 0]
    assert np.abs(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum() / 2 > 0.2  # of the square is used


def test_broken_winding_is_mended(run, worker, tmp_path):
    mesh = wedge()
    mesh.faces[::3] = mesh.faces[::3, ::-1]
    mesh.export(tmp_path / "wound.off")
    check_wedge(prepared(run, worker, tmp_path / "wound.off")[0])


@pytest.mark.parametrize("suffix", [".off", ".obj", ".glb"])
def test_stated_axes(tmp_path, worker, run, suffix):
    """They are those of the file itself, whatever its importer does."""
    mesh = wedge()
    mesh.apply_transform([[0, 0, 1, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]])  # z -> x, x -> y, y -> z
    mesh.export(tmp_path / f"turned{suffix}")
    check_wedge(prepared(run, worker, tmp_path / f"turned{suffix}", up="x", front="-z")[0])


def test_stated_axes_of_usd(run, worker, made):
    (made / "stated.usda").write_bytes((made / "yup.usda").read_bytes())
    check_wedge(prepared(run, worker, made / "stated.usda", up="y", front="z")[0])


def test_a_scene_is_what_renders(run, worker, made, look):
    """Modifiers and instances count, cameras, lamps and what its author hides from renders do not."""
    model, path = prepared(run, worker, made / "scene.blend")
    assert len(model.faces) == 4 * 4
    np.testing.assert_allclose(np.ptp(model.vertices, axis=0), np.array([6, 4, 1]) / np.sqrt(53), atol=1e-6)
    assert sorted(model.part_names) == ["", "blue"]
    assert np.bincount(model.face_part)[model.part_names.index("blue")] == 12
    found = look("materials", materials_file(path))
    assert [material["name"][:4] for material in found] == ["000:", "001:"]
    assert found[model.part_names.index("blue")]["base_colour"] == [0, 0, 1, 1]
    assert found[model.part_names.index("")]["base_colour"] == pytest.approx([0.8, 0.8, 0.8, 1])


def corner_uv(vertices, faces, uv):
    """(face centre, corner) -> texture coordinates."""
    return {
        (*np.round(vertices[face].mean(axis=0), 4), *np.round(vertices[v], 4)): tuple(np.round(at.astype(float), 4))
        for face, corners in zip(faces, uv, strict=True)
        for v, at in zip(face, corners, strict=True)
    }


def write_obj(path, mtl="wedge.mtl", picture="green.png"):
    """The wedge, its body in red and its nose textured, each corner with texture coordinates of its own."""
    mesh = wedge()
    turned = wedge().apply_transform(Y_UP).vertices
    uv = np.round(np.random.default_rng([5, 1]).uniform(size=(len(mesh.faces), 3, 2)), 3)
    lines = [f"mtllib {mtl}", *(f"v {x} {y} {z}" for x, y, z in turned)]
    lines += [f"vt {u} {v}" for u, v in uv.reshape(-1, 2)]
    for i, (a, b, c) in enumerate(mesh.faces + 1):
        lines += [f"usemtl {('red', 'skin')[i // 12]}", f"f {a}/{3 * i + 1} {b}/{3 * i + 2} {c}/{3 * i + 3}"]
    path.write_text("\n".join(lines))
    (path.parent / "wedge.mtl").write_text(f"newmtl red\nKd 1 0 0\nnewmtl skin\nKd 0.2 0.4 0.6\nmap_Kd {picture}\n")
    return corner_uv(expected(mesh), mesh.faces, uv)


def test_obj_keeps_materials_textures_and_texture_coordinates(run, worker, look, tmp_path):
    true_uv = write_obj(tmp_path / "wedge.obj")
    save_picture(tmp_path / "green.png", 1)
    model, path = prepared(run, worker, tmp_path / "wedge.obj")
    check_wedge(model)
    assert (model.part_names, model.warnings) == (("red", "skin"), ())
    centres = model.vertices[model.faces].mean(axis=1)
    nose = expected(wedge())[wedge().faces[12:]].mean(axis=1)
    assert {tuple(c) for c in centres[model.face_part == 1].round(4)} == {tuple(c) for c in nose.round(4)}
    assert corner_uv(model.vertices, model.faces, model.native_uv) == true_uv
    (tmp_path / "green.png").unlink()  # the library needs no other file
    red, skin = look("materials", materials_file(path))
    assert (red["name"], red["base_colour"], red["pictures_wh"]) == ("000:red", [1, 0, 0, 1], [])
    assert (skin["name"], skin["pictures_wh"]) == ("001:skin", [[96, 64]])
    assert sum(skin["first_pixels"][0]) > 0  # decoded
    # next to the library, wherever that lies: nothing tells of the machine that it was made on
    assert skin["picture_paths"] == ["//green.png", str(path.parent / "green.png")]


def test_glb_keeps_its_material_and_texture(run, worker, look, tmp_path):
    mesh = wedge().apply_transform(Y_UP)
    uv = np.round(np.random.default_rng([6, 1]).uniform(size=(len(mesh.vertices), 2)), 3)
    save_picture(tmp_path / "skin.png", 2, (8, 16))
    with Image.open(tmp_path / "skin.png") as picture:
        material = trimesh.visual.material.PBRMaterial(
            name="skin", baseColorFactor=[255, 0, 128, 255], baseColorTexture=picture
        )
        mesh.visual = trimesh.visual.TextureVisuals(uv=uv, material=material)
        mesh.export(tmp_path / "skin.glb")
    model, path = prepared(run, worker, tmp_path / "skin.glb")
    check_wedge(model)
    assert corner_uv(model.vertices, model.faces, model.native_uv) == corner_uv(
        expected(wedge()), mesh.faces, uv[mesh.faces]
    )
    [skin] = look("materials", materials_file(path))
    assert (skin["name"], skin["pictures_wh"]) == ("000:skin", [[16, 8]])
    assert any(factor == pytest.approx([1, 0, 128 / 255, 1], abs=1e-3) for factor in skin["factors"])


@pytest.mark.parametrize(
    ("mtl", "picture", "said"),
    [
        ("gone.mtl", "green.png", r"material library 'gone\.mtl' that it names is not in"),
        ("wedge.mtl", "gone.png", r"gone\.png' of the material 'skin' is missing"),
        ("wedge.mtl", "cut.png", r"cut\.png' of the material 'skin' is missing or unreadable"),
    ],
)
def test_what_materials_lack_is_a_warning(run, worker, look, tmp_path, mtl, picture, said):
    write_obj(tmp_path / "model.obj", mtl, picture)
    (tmp_path / "cut.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")
    model, path = prepared(run, worker, tmp_path / "model.obj")
    check_wedge(model)
    [warning] = model.warnings
    assert re.search(said, warning)
    if mtl != "gone.mtl":
        _, skin = look("materials", materials_file(path))
        assert (skin["base_colour"][2], skin["pictures_wh"]) == (pytest.approx(0.6), [])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty.off", b""),
        ("text.obj", b"this is no model\n"),
        ("cut.off", b"OFF\n8 12 0\n0 0 0\n"),
        ("index.off", b"OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 7\n"),
        ("flat.off", b"OFF\n3 1 0\n0 0 0\n0 0 0\n0 0 0\n3 0 1 2\n"),
        ("nan.off", b"OFF\n3 1 0\nnan 0 0\n1 0 0\n0 1 0\n3 0 1 2\n"),
        ("points.ply", b"ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nend_header\n0\n"),
        ("nan.obj", b"v 0 0 0\nv nan 0 0\nv 0 1 0\nv 0 0 1\nf 1 2 3\nf 1 3 4\n"),
        ("hole.obj", b"v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nf 1 2 3\nf 1 3 5\n"),
        ("bad.glb", b"glTFxxxx"),
        ("bad.gltf", b"{"),
        ("bad.blend", b"BLENDER?"),
        ("bad.usda", b"#usda 1.0\ndef {{"),
        ("bad.usdc", b"PXR-USDC"),
        ("bad.usdz", b"PK"),
    ],
)
def test_broken_models_have_a_reason(run, worker, tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    said = reason(run, worker, tmp_path / name)
    assert len(said) > 15
    assert "\n" not in said
    (tmp_path / "good.off").write_text(wedge().export(file_type="off"))
    prepared(run, worker, tmp_path / "good.off")  # the process lives on


@pytest.mark.parametrize("text", ["OFF4 2 0", "OFF\n# a comment\n4 2 0"])
def test_unusual_heads_of_off(run, worker, tmp_path, text):
    (tmp_path / "odd.off").write_text(text + "\n0 0 0\n1 0 0\n1 1 0\n0 1 0.5\n3 0 1 2\n3 0 2 3\n")
    assert len(prepared(run, worker, tmp_path / "odd.off")[0].faces) == 2


def test_parametric_shapes(run, worker, tmp_path):
    """By address or as a PLY of ours: parts, keypoints and symmetry are theirs."""
    shape = build("car", 17)
    (tmp_path / "ours.ply").write_bytes(ply_bytes(shape))
    for source in ("parametric:car?variant=17", tmp_path / "ours.ply"):
        model, path = prepared(run, worker, source)
        assert model.part_names == shape.part_names
        assert model.symmetry_order == shape.symmetry_order
        assert model.keypoints.keys() == shape.keypoints.keys()
        for name, point in shape.keypoints.items():
            np.testing.assert_allclose(model.keypoints[name], point, atol=1e-6)
        assert len(model.faces) == pytest.approx(len(shape.faces), rel=0.05)
        assert not materials_file(path).exists()


def test_sidecars_go_along(run, worker, tmp_path, made):
    """Keypoints are given in the file's own axes and units."""
    corner = wedge().vertices[3]
    true = expected(wedge())[3]
    y_up = Y_UP[:3, :3] @ corner
    wedge().export(tmp_path / "a.off")
    wedge().apply_transform(Y_UP).export(tmp_path / "b.glb")
    in_centimetres = (made / "yup.usda").read_text()
    (tmp_path / "c.usda").write_text(in_centimetres)
    (tmp_path / "d.usda").write_text(
        in_centimetres.replace("dictionary Blender", "dictionary Other")
    )  # another program's
    for name, point in (("a.off", corner), ("b.glb", y_up), ("c.usda", 100 * y_up), ("d.usda", 100 * y_up)):
        sidecar = {"left_front_light": list(point), "symmetry_order": 2}
        (tmp_path / name).with_suffix(".keypoints.json").write_text(json.dumps(sidecar))
        model, _ = prepared(run, worker, tmp_path / name)
        np.testing.assert_allclose(model.keypoints["left_front_light"], true, atol=1e-6)
        assert model.symmetry_order == 2


def test_keypoints_of_fbx_and_dae_are_in_metres_in_the_axes_of_the_file(run, worker, tmp_path, made):
    corner, true = wedge().vertices[3], expected(wedge())[3]
    for name, point in (("yup.fbx", Y_UP[:3, :3] @ corner), ("zup.fbx", corner), ("zup.dae", corner)):
        (tmp_path / name).write_bytes((made / name).read_bytes())
        x, y, z = point.tolist()
        (tmp_path / name).with_suffix(".toml").write_text(f"keypoints.left_front_light = [{x}, {y}, {z}]\n")
        model, _ = prepared(run, worker, tmp_path / name)
        np.testing.assert_allclose(model.keypoints["left_front_light"], true, atol=1e-5)


@pytest.mark.parametrize("extension", ["EXT_meshopt_compression", "KHR_texture_basisu"])
def test_a_compression_that_blender_cannot_read(run, worker, tmp_path, extension):
    data = {"asset": {"version": "2.0"}, "extensionsUsed": [extension], "extensionsRequired": [extension]}
    (tmp_path / "packed.gltf").write_text(json.dumps(data))
    said = reason(run, worker, tmp_path / "packed.gltf")
    assert (
        f"it needs the glTF extension {extension}, which Blender cannot read: write it without, by `gltf-transf" in said
    )


def test_a_side_file_that_is_wrong_refuses_its_model(run, worker, tmp_path):
    wedge().export(tmp_path / "a.off")
    (tmp_path / "a.toml").write_text('up = "z"\n')
    assert "a.toml is not a valid file about a CAD model" in reason(run, worker, tmp_path / "a.off")
    (tmp_path / "a.toml").write_text("keypoints.handle = [0, 0]\n")
    assert "a.toml is not a valid file about a CAD model" in reason(run, worker, tmp_path / "a.off")


def test_keypoints_have_any_names_and_a_slip_is_told(run, worker, tmp_path):
    wedge().export(tmp_path / "a.off")
    (tmp_path / "a.toml").write_text("[keypoints]\nleft_front_ligth = [0, 0, 0]\nleft_mirror = [0, 0, 0.1]\n")
    model, _ = prepared(run, worker, tmp_path / "a.off")
    assert sorted(model.keypoints) == ["left_front_ligth", "left_mirror"]
    assert model.warnings == (
        "the keypoint 'left_front_ligth' is not one of the category's, but nearly 'left_front_light': correct it if "
        "that is meant",
    )


def test_a_keypoint_in_other_units(run, worker, tmp_path):
    wedge().export(tmp_path / "a.off")
    (tmp_path / "a.keypoints.json").write_text('{"left_front_light": [50, 0, 0]}')
    assert "'left_front_light' lies far outside" in reason(run, worker, tmp_path / "a.off")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", r"a\.keypoints\.json: "),
        ("[]", r"a\.keypoints\.json: it is not a JSON object"),
        ('{"symmetry": ["z"]}', "symmetry 'z' is not a turn"),
        ('{"symmetry": ["z:2"], "symmetry_order": 2}', "it has both 'symmetry' and 'symmetry_order'"),
        ('{"left_front_light": [0, 0]}', r"'left_front_light' is \[0, 0\], not three finite numbers"),
        ('{"left_front_light": [0, 0, NaN]}', "not three finite numbers"),
        ('{"left_front_light": [0, 0, "1"]}', "not three finite numbers"),
        ('{"symmetry_order": -1}', "'symmetry_order' is -1"),
        ('{"symmetry_order": true}', "'symmetry_order' is True"),
    ],
)
def test_wrong_sidecars(tmp_path, content, said):
    (tmp_path / "a.keypoints.json").write_text(content)
    with pytest.raises(ValueError, match=said):
        read_sidecar(tmp_path / "a.off", Symmetry.NONE)


def test_the_symmetry_is_the_models_or_else_the_categorys(tmp_path):
    box, cylinder = Symmetry.parse(["x:2", "y:2", "z:2"]), Symmetry.parse("z:0")
    assert read_sidecar(tmp_path / "a.off", box) == ({}, box)
    for stated in ('{"symmetry_order": 0}', '{"symmetry": "z:0"}', '{"symmetry": ["z:0"]}'):
        (tmp_path / "a.keypoints.json").write_text(stated)
        assert read_sidecar(tmp_path / "a.off", box) == ({}, cylinder)


def test_nothing_in_a_blend_file_runs(run, worker, look, made):
    """Neither when it is prepared nor, with permission, from the material library that is written."""
    marker = made / "marker"
    model, path = prepared(run, worker, made / "evil.blend")
    assert model.part_names == ("evil",)
    assert not marker.exists()
    assert look("run", materials_file(path)) == {"materials": ["000:evil"]}
    assert not marker.exists()
    look("run", made / "evil.blend")
    assert set(marker.read_text().split()) == {"module", "register", "handler", "driver"}  # so it would have shown


@pytest.mark.parametrize("name", ["model.blend", "model.usda", "wedge.obj"])
def test_a_relative_path_starts_at_the_folder_of_the_process(made, name):
    """Programs that start others in another folder leave PWD as it is."""
    write_obj(made / "wedge.obj", "none.mtl")
    command = [BIN, "assets", "check", name, "--category", "car"]
    done = subprocess.run(command, cwd=made, env={**os.environ, "PWD": "/"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_real_models(run, worker, data_dir):
    """Nearly all of their edges between two faces are then passed in opposite directions."""
    for source in sorted((data_dir / "cad_pascal3d").glob("*/*.off")):
        asset = Asset(id=f"{source.parent.name}-{source.stem}", address=str(source))
        assert prepare_model(run, worker, source.parent.name, asset) == ""
        model = load_cad(run.cad_file(source.parent.name, asset.id))
        edges = trimesh.Trimesh(model.vertices, model.faces, process=False).edges
        _, number, count = np.unique(np.sort(edges, axis=1), axis=0, return_inverse=True, return_counts=True)
        turns = np.bincount(number.reshape(-1), np.where(edges[:, 0] < edges[:, 1], 1, -1))
        assert (turns[count == 2] == 0).mean() > 0.99, source
        assert len(np.unique(np.sort(model.faces, axis=1), axis=0)) == len(model.faces)
