"""`assets import` bakes what a GLB cannot hold: the new file looks like the old one."""

import subprocess
import sys

import pytest
from click.testing import CliRunner

from p3d_gen.bench.fidelity import _preparation, _request, psnr_db
from p3d_gen.blender.client import BlenderWorker
from p3d_gen.blender.passes import read_colours
from p3d_gen.blender.protocol import LooksRequest
from p3d_gen.cli import main

SIZE_PX, SAMPLES = 96, 64

pytestmark = pytest.mark.blender


@pytest.fixture(scope="module")
def worker():
    with BlenderWorker() as shared:
        yield shared


@pytest.fixture(scope="module")
def looks(worker, tmp_path_factory):
    folder = tmp_path_factory.mktemp("looks")
    worker.ask(LooksRequest(folder=folder))
    return folder


def picture(worker, model, folder):
    cad, target = folder / f"{model.stem}.npz", folder / "picture.exr"
    worker.ask(_preparation(model, cad))
    worker.ask(_request(cad, target, SIZE_PX, SAMPLES))
    return read_colours(target)


MIXED = """
import os, shutil, sys
import bpy
bpy.ops.wm.read_factory_settings(use_empty=True)
bpy.ops.mesh.primitive_cube_add()
item = bpy.context.object
plain, noisy = bpy.data.materials.new("plain"), bpy.data.materials.new("noisy")
plain.diffuse_color = (0.1, 0.5, 0.2, 1)
noisy.use_nodes = True
checker = noisy.node_tree.nodes.new("ShaderNodeTexChecker")
noisy.node_tree.links.new(checker.outputs["Color"], noisy.node_tree.nodes["Principled BSDF"].inputs["Base Color"])
item.data.materials.append(plain)
item.data.materials.append(noisy)
for face in item.data.polygons:
    face.material_index = face.index % 2
bpy.ops.wm.save_as_mainfile(filepath=sys.argv[1])
shutil.rmtree(bpy.app.tempdir)
os._exit(0)
"""


def test_a_material_without_nodes_stands_beside_a_procedural_one(worker, tmp_path):
    source = tmp_path / "mixed.blend"
    subprocess.run([sys.executable, "-c", MIXED, str(source)], check=True, capture_output=True)
    assert_same_look(worker, source, tmp_path)


@pytest.mark.parametrize(
    "model",
    [
        "blend/noise.blend",
        "blend/waves.blend",
        "blend/object_coordinates.blend",
        "glb/vertex_colours.glb",
        "blend/two_uv_sets.blend",
        "glb/pictures.glb",
    ],
)
def test_a_converted_model_looks_like_its_source(worker, looks, tmp_path, model):
    assert_same_look(worker, looks / model, tmp_path)


def assert_same_look(worker, source, tmp_path):
    out = tmp_path / "out"
    result = CliRunner().invoke(main, ["assets", "import", str(source), "--category", "thing", "--out", str(out)])
    assert result.exit_code == 0, result.output
    [made] = (out / "thing").glob("*.glb")
    (tmp_path / "new").mkdir()
    assert psnr_db(picture(worker, source, tmp_path), picture(worker, made, tmp_path / "new")) >= 30
