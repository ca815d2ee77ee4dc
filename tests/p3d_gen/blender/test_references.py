"""What a CAD model refers to: pipes and devices are refused before Blender waits for them, and pictures outside the
folder of models are left out."""

from __future__ import annotations

import json
import os
from itertools import product

import pytest
from PIL import Image

from p3d_gen.blender.client import BlenderError, BlenderWorker
from p3d_gen.blender.references import check_references, is_below
from p3d_gen.core.categories import BUILTIN
from p3d_gen.render.prepare import prepare_request
from p3d_gen.run.cad_model import load_cad, materials_file
from p3d_gen.spec.inventory import Asset

CORNERS = "".join(f"v {x} {y} {z}\n" for x, y, z in product((-1, 1), repeat=3))
FACES = "f 1/1 2/2 4/3\nf 5/1 7/2 8/3\nf 1/1 5/2 6/3\nf 3/1 4/2 8/3\nf 1/1 3/2 7/3\nf 2/1 6/2 8/3\n"


def obj(folder, picture, library="a.mtl"):
    """A model whose material has a picture."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "a.obj").write_text(f"mtllib {library}\nvt 0 0\nvt 1 0\nvt 1 1\n{CORNERS}usemtl a\n{FACES}")
    (folder / "a.mtl").write_text(f"newmtl a\nKd 1 1 1\nmap_Kd {picture}\n")
    return folder / "a.obj"


def gltf(folder, key):
    path = folder / "a.gltf"
    path.write_text(json.dumps({"asset": {"version": "2.0"}, key: [{"uri": "a%20pipe.png"}]}))
    return path


@pytest.mark.parametrize(
    "make",
    [
        lambda folder: obj(folder, "a pipe.png"),
        lambda folder: obj(folder, "-bm 0.5 ../car/a pipe.png"),
        lambda folder: obj(folder, "C:\\textures\\a pipe.png"),
        lambda folder: obj(folder, "/dev/zero"),
        lambda folder: obj(folder, "a.png", "a pipe.png"),
        lambda folder: gltf(folder, "images"),
        lambda folder: gltf(folder, "buffers"),
    ],
)
def test_pipes_and_devices_are_refused(tmp_path, make):
    folder = tmp_path / "car"
    folder.mkdir()
    path = make(folder)
    if path.suffix != ".obj" or "zero" not in (folder / "a.mtl").read_text():
        check_references(path)  # a missing file is another fault
        os.mkfifo(folder / "a pipe.png")
    with pytest.raises(ValueError, match=r"it refers to '.*(a pipe\.png|zero)', which is a pipe or a device"):
        check_references(path)


def test_a_model_that_is_a_pipe(tmp_path):
    os.mkfifo(tmp_path / "a.off")
    with pytest.raises(ValueError, match="it is not a file"):
        check_references(tmp_path / "a.off")


def test_links_in_a_folder_are_of_the_folder(tmp_path):
    for name in ("root/car", "disk"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "root" / "link").symlink_to("../disk")
    assert is_below(tmp_path / "root" / "link" / "x.png", tmp_path / "root")
    assert is_below(tmp_path / "root" / "car" / ".." / "x.png", tmp_path / "root")
    assert not is_below(tmp_path / "root" / ".." / "x.png", tmp_path / "root")
    assert not is_below(tmp_path / "disk" / "x.png", tmp_path / "root")
    assert not is_below(tmp_path / "root2" / "x.png", tmp_path / "root")


@pytest.mark.blender
def test_pictures_outside_the_folder_of_models_are_left_out(tmp_path):
    root = tmp_path / "cads"
    for name in ("private/x.png", "cads/textures/x.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (200, 20, 90)).save(tmp_path / name)
    said = {}
    with BlenderWorker(timeout_s=60.0) as worker:

        def prepare(picture, limit):
            path = obj(root / "car", picture)
            worker.ask(prepare_request(BUILTIN["car"], Asset(id="a", address=str(path)), tmp_path / "a.npz", limit))
            return load_cad(tmp_path / "a.npz").warnings, materials_file(tmp_path / "a.npz").read_bytes()

        for picture in ("../textures/x.png", "../../private/x.png", str(tmp_path / "private" / "x.png"), "y.png"):
            said[picture] = prepare(picture, root)[0]
        unlimited = prepare("../../private/x.png", None)[0]
        os.mkfifo(root / "car" / "pipe.png")
        with pytest.raises(BlenderError, match=r"pipe\.png', which is a pipe or a device"):
            prepare("pipe.png", root)
    inside, above, absolute, missing = said.values()
    assert inside == unlimited == ()
    assert above == absolute
    assert above[0].startswith("the picture '../../private/x.png' is left out: it lies outside the folder of models")
    assert len(missing) == 1
    assert "missing or unreadable" in missing[0]
