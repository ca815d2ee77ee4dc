"""Models in their own materials look as their authors made them, and labels are those of the first surface."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from p3d_gen.blender.client import BlenderWorker
from p3d_gen.blender.passes import read_passes
from p3d_gen.core.silhouette import mask_iou, ray_cast
from p3d_gen.render.prepare import prepare_model
from p3d_gen.render.stage import ShardRenderer
from p3d_gen.run.cad_model import load_cad
from p3d_gen.run.store import open_run
from p3d_gen.spec.inventory import Asset
from p3d_gen.spec.sampling import spec

pytestmark = pytest.mark.blender
HELPERS = Path(__file__).parents[2] / "helpers"


@pytest.fixture(scope="module")
def worker():
    with BlenderWorker(timeout_s=120) as blender:
        yield blender


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with the files of blender_looks.py."""
    folder = tmp_path_factory.mktemp("made")
    subprocess.run([sys.executable, str(HELPERS / "blender_looks.py"), str(folder)], check=True, capture_output=True)
    return folder


def prepared(run, worker, source):
    asset = Asset(id=source.stem, address=str(source))
    assert prepare_model(run, worker, "car", asset) == ""
    return asset, load_cad(run.cad_file("car", asset.id))


def seen(run, worker, source, samples=4):
    """The passes of a sample of a model in its own materials, its model, and the answer about its scene."""
    asset, model = prepared(run, worker, source)
    sample = spec(run.manifest, run.inventory, "car", 0)
    wide = replace(sample.camera, focal_px=250.0)  # all of a cube is seen
    sample = replace(sample, cad_id=asset.id, texture_id="", camera=wide)
    request = ShardRenderer(open_run(run.root), worker, "car").request(sample, model)
    request = replace(request, native=True, texture=None, samples=samples, labels=("normals", "nocs", "parts"))
    answer = worker.ask(request)
    return read_passes(request.target, answer.see_through), model, answer


def mean_rgb(passes):
    return passes.rgba[passes.mask & (passes.rgba[..., 3] > 200)][:, :3].mean(axis=0)


GREEN = "face_attribute.blend colours.glb location.blend position.blend property.blend group.blend object.blend"


@pytest.mark.parametrize("name", [*GREEN.split(), "generated.blend"])
def test_a_material_reads_of_its_object_what_it_read_before(run, worker, made, name):
    """Each of these models is green in Blender, and red or black where the reading is lost."""
    passes, model, answer = seen(run, worker, made / name)
    red, green, blue = mean_rgb(passes)
    assert green > 2 * max(red, blue)
    assert model.attributes
    assert not answer.see_through


def test_what_is_not_kept_is_named(run, worker, made):
    _, model = prepared(run, worker, made / "tangent.blend")
    assert model.warnings == ("the material 'look' reads radial tangents, which is not kept",)
    _, model = prepared(run, worker, made / "face_attribute.blend")
    assert model.warnings == ("the colours 'red' of 'Cube' are read by no material",)


def test_what_no_camera_sees_is_left_out_and_nothing_is_written(run, worker, made):
    _, model = prepared(run, worker, made / "hidden.blend")
    assert len(model.faces) == 12
    assert not (made / "written").exists()


@pytest.mark.parametrize("name", ["alpha", "transmission", "grille"])
def test_labels_are_those_of_the_first_surface_whatever_light_it_lets_through(run, worker, made, name):
    passes, model, answer = seen(run, worker, made / f"{name}.blend", samples=16)
    pose = np.array(answer.cam_T_obj)
    vertices = model.vertices * spec(run.manifest, run.inventory, "car", 0).stretch_xyz
    depth, face = ray_cast(vertices, model.faces, pose, answer.camera)
    assert answer.see_through
    assert mask_iou(depth > 0, passes.mask) > 0.98
    both = passes.mask & (depth > 0)
    assert np.percentile(np.abs(passes.depth - depth)[both], 99) < 1e-3
    assert (passes.parts[both] == 1 + model.face_part[face[both]]).mean() > 0.99
    alpha = passes.rgba[..., 3][passes.mask]
    assert (alpha < 128).mean() > 0.2  # the background is seen through it
    assert (alpha > 250).mean() > 0.1  # and what lies behind it, and is not see-through


def test_glass_keeps_its_own_colour(run, worker, made):
    """Where little light is held back, a pixel does not take the colour of the nearest opaque one."""
    passes, _, _ = seen(run, worker, made / "alpha.blend", samples=64)
    faint = passes.mask & (passes.rgba[..., 3] < 60)
    red, green, _ = passes.rgba[faint][:, :3].mean(axis=0)
    assert red < 1.3 * green
