"""How models stand: doubts about wrong ones and none about right ones, their pictures, and axes that users state."""

from __future__ import annotations

import json

import numpy as np
import pytest
import trimesh
from click.testing import CliRunner
from PIL import Image

from blender_assets.shapes import CATEGORIES, build
from p3d_gen.catalogue.orient import file_axes, write_axes
from p3d_gen.catalogue.orientation import Surface, disagreements, doubts, sampled
from p3d_gen.catalogue.views import LOOKS, SIDE_PX, draw_look
from p3d_gen.cli import main
from p3d_gen.core.errors import AssetError
from p3d_gen.spec.axes import axis_name, object_R_file
from p3d_gen.spec.side_files import side_file

ON_ITS_TAIL = object_R_file("y", "z")  # of a model that is upright
TO_A_SIDE = object_R_file("z", "x")
ON_ITS_HEAD = object_R_file("-z", "-y")


def surface(category, variant):
    shape = build(category, variant)
    return sampled(shape.vertices, shape.faces)


def turned(upright, turn):
    return Surface(points=upright.points @ turn.T, normals=upright.normals @ turn.T)


@pytest.mark.parametrize("category", CATEGORIES)
def test_no_doubt_about_shapes_that_stand_right(category):
    surfaces = [surface(category, variant) for variant in range(6)]
    assert [doubts(category, each) for each in surfaces] == [()] * 6
    assert disagreements(surfaces) == {}


@pytest.mark.parametrize(
    ("category", "turn", "said"),
    [
        ("car", ON_ITS_TAIL, "as high as it is long or wide, so it may not stand upright: is up right?"),
        ("car", TO_A_SIDE, "as wide as it is long, so it may look to a side: is front right?"),
        ("bottle", ON_ITS_TAIL, "as long or wide as it is high, so it may lie: is up right?"),
        ("tvmonitor", TO_A_SIDE, "as deep as it is wide, so it may look to a side: is front right?"),
        ("chair", ON_ITS_HEAD, "its back is lower than its seat, so it may stand on its head: is up right?"),
        ("chair", TO_A_SIDE, "its back is at a side, so it may look elsewhere: is front right?"),
        ("chair", object_R_file("z", "y"), "its back is in front, so it may look elsewhere: is front right?"),
    ],
)
def test_a_shape_that_contradicts_its_axes(category, turn, said):
    variants = {"tvmonitor": (1, 2), "chair": (0, 2)}.get(category, range(4))  # others are nearly symmetric
    for variant in variants:
        [doubt] = doubts(category, turned(surface(category, variant), turn))
        assert doubt.endswith(said)


def test_a_model_that_differs_from_the_others_is_found_with_the_axes_that_mend_it():
    """Whatever the axes are that its file was read with."""
    cars = [surface("car", variant) for variant in range(5)]
    for turn in (ON_ITS_TAIL, TO_A_SIDE, object_R_file("z", "y")):
        odd = disagreements([*cars[:2], turned(cars[2], turn), *cars[3:]])
        assert list(odd) == [2]
        assert odd[2].if_turned > odd[2].agreement
        for up, front in (("z", "-y"), ("y", "x")):
            # the file's vertices are those seen now, turned back by the frame that was wrong
            in_file = cars[2].points @ turn.T @ object_R_file(up, front)
            assert np.allclose(in_file @ object_R_file(*odd[2].axes(up, front)).T, cars[2].points)


@pytest.mark.parametrize("shape", [trimesh.creation.box((1, 1, 2)), trimesh.creation.cylinder(0.5, 2)])
def test_equal_models_stand_alike(shape):
    """Also if turns leave them as they are, and their triangles differ."""
    vertices, faces = shape.vertices - shape.bounds.mean(axis=0), np.asarray(shape.faces, np.int32)
    finer = shape.subdivide()
    again = sampled(finer.vertices - finer.bounds.mean(axis=0), np.asarray(finer.faces, np.int32))
    assert disagreements([sampled(vertices, faces)] * 5) == {}
    assert disagreements([*[sampled(vertices, faces)] * 4, again]) == {}


def test_axes_of_a_picture_become_axes_of_the_file():
    for up, front in (("z", "-y"), ("y", "z"), ("-x", "y")):
        assert file_axes(up, front, "z", "-y") == (up, front)
        seen = object_R_file(up, front)
        for wanted in (("x", "y"), ("-z", "x")):
            asked = tuple(axis_name(seen @ object_R_file(*wanted).T @ axis) for axis in ((0, 0, 1), (0, -1, 0)))
            assert file_axes(up, front, *asked) == wanted


def test_an_edited_side_file_keeps_all_else(tmp_path):
    path = tmp_path / "a.toml"
    write_axes(path, "y", "x")
    assert path.read_text() == 'up = "y"\nfront = "x"\n'
    path.write_text('# mine\nup = "z"\n  front="y"  # wrong\nunit = "mm"\n[parts]\nfront = "glass"\n')
    write_axes(path, "-y", "x")
    assert path.read_text() == 'up = "-y"\nfront = "x"\n# mine\nunit = "mm"\n[parts]\nfront = "glass"\n'
    stated = side_file(tmp_path / "a.obj")
    assert (stated.up, stated.front, stated.unit, stated.parts) == ("-y", "x", "mm", {"front": "glass"})
    path.write_text("categories = ['car']\nsamples_per_category = 1\n")
    with pytest.raises(AssetError, match="is a manifest, and the model beside it has its name"):
        write_axes(path, "y", "x")


def test_a_view_shows_the_model_from_where_it_says():
    """A lamp at its left shows at azimuth 90, on the right of the picture from the front, and not at azimuth 270."""
    body, lamp = trimesh.creation.box((0.4, 0.8, 0.3)), trimesh.creation.box((0.05, 0.3, 0.3))
    lamp.apply_translation((0.225, 0, 0))
    mesh = trimesh.util.concatenate([body, lamp])
    parts = np.repeat(np.array([0, 1], np.uint8), [len(body.faces), len(lamp.faces)])
    seen = {}
    for look in LOOKS:
        picture = draw_look(mesh.vertices, mesh.faces.astype(np.int32), parts, look).astype(int)
        assert picture.shape == (SIDE_PX, SIDE_PX, 3)
        warm = picture[..., 0] > picture[..., 2] + 25  # of the lamp's colour, or orange
        saturated = picture[..., 0] > picture[..., 2] + 110
        _, x = np.nonzero(warm & ~saturated)
        seen[look.title.split(":")[0]] = (len(x), x.mean() - SIDE_PX / 2 if len(x) else 0.0)
    assert seen["azimuth 90"][0] > 4 * seen["azimuth 270"][0]
    assert seen["azimuth 0"][1] > 20
    assert seen["azimuth 180"][1] < -20
    assert seen["from above"][1] > 20


def block_car(number):
    """A car of boxes: a body, a cabin towards its back, and wheels."""
    length = 1.8 + 0.1 * number
    boxes = [((0.8, length, 0.3), (0, 0, 0.3)), ((0.7, 0.9, 0.3), (0, 0.35, 0.6))]
    boxes += [((0.1, 0.3, 0.3), (x, y, 0.15)) for x in (-0.4, 0.4) for y in (-0.6, 0.6)]
    pieces = [trimesh.creation.box(size) for size, _ in boxes]
    for piece, (_, place) in zip(pieces, boxes, strict=True):
        piece.apply_translation(place)
    return trimesh.util.concatenate(pieces)


@pytest.fixture
def cars(tmp_path):
    """Three OBJ cars as most programs write them, and one that is z up."""
    folder = tmp_path / "cad" / "car"
    folder.mkdir(parents=True)
    for number in range(4):
        mesh = block_car(number)
        if number != 2:
            mesh.vertices = mesh.vertices @ object_R_file("y", "z")
        mesh.export(folder / f"m{number}.obj")
    return folder


def invoke(*words, text=None):
    result = CliRunner().invoke(main, ["assets", *map(str, words)], input=text)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


@pytest.mark.blender
def test_check_draws_all_models_and_names_the_one_that_lies(cars, tmp_path):
    out = tmp_path / "pages"
    status, said = invoke("check", cars.parent, "--out", out)
    assert status == 0
    assert "car/m2: it is 2.2 times as high as it is long or wide" in said
    assert "if up is z and front -y: are up and front right?" in said
    assert "axes of 4 models: up y, front z, assumed: the default of .obj" in said
    page = (out / "index.html").read_text()
    assert page.count("data:image/jpeg") == 4
    assert page.count('class="doubtful"') == 1
    assert "assumed: the default of .obj" in page
    with Image.open(out / "models-1.png") as sheet:
        assert sheet.height > 4 * SIDE_PX
        assert sheet.width > len(LOOKS) * SIDE_PX
    assert invoke("check", cars.parent, "--out", out)[0] == 0  # its own pages are written again
    (out / "index.html").write_text("<p>mine</p>")
    status, said = invoke("check", cars.parent, "--out", out)
    assert (status, (out / "index.html").read_text()) == (1, "<p>mine</p>")
    assert "index.html exists and was not made by this command" in said


@pytest.mark.blender
def test_orient_states_axes_for_one_model_and_for_a_folder(cars, tmp_path):
    out = tmp_path / "pages"
    assert "cad/car/m2.toml: up z, front -y" in invoke("orient", cars / "m2.obj", "--up", "z", "--front", "-y")[1]
    status, said = invoke("check", cars.parent, "--json", "--no-pictures")
    reports = json.loads(said[said.index("[\n") : said.rindex("]") + 1])
    assert (status, [report["warnings"] for report in reports]) == (0, [[]] * 4)
    assert [report["axes_from"] for report in reports][1:3] == ["assumed: the default of .obj", "stated by m2.toml"]
    assert not out.exists()
    # asked about the first model: what is shown as z and -y is right, and what is shown otherwise is asked again
    status, said = invoke("orient", cars.parent, "--out", out, text="y\nz\nz\n-y\n")
    assert status == 0
    assert said.count("Which one ought to point up") == 2
    assert (cars / "category.toml").read_text() == 'up = "-z"\nfront = "y"\n'
    assert (out / "orient.png").exists()
    status, said = invoke("orient", cars.parent, "--out", out, text="z\n")
    assert (status, "nobody answers: give the axes" in said) == (1, True)


def test_orient_refuses_what_it_cannot_state(cars):
    assert "give both --up and --front" in invoke("orient", cars, "--up", "z")[1]
    assert "lie on one axis" in invoke("orient", cars, "--up", "z", "--front", "-z")[1]
    assert "is a parametric shape, which has its own axes" in invoke("orient", "parametric:car?variant=1")[1]
