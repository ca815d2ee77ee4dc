"""Normals of labels: the author's in native materials, by the angle of edges in all others."""

import json

import numpy as np
import pytest
import trimesh

from p3d_gen.core.codecs import decode_image, decode_nocs, decode_normals
from p3d_gen.core.silhouette import camera_of
from p3d_gen.render.stage import render_shard
from p3d_gen.run.cad_model import NORMALS, load_cad, stretched
from p3d_gen.run.local import run_shards
from p3d_gen.run.shards import read_shard
from p3d_gen.run.store import create_run
from tests.helpers.rays import first_hits, rays_of, unit

pytestmark = pytest.mark.blender

BALL = trimesh.creation.icosphere(subdivisions=3)
LONG = (1.0, 1.0, 1.7)  # the half axes of the mirrored ball


def write_ply(path, vertices, normals, faces):
    """Write a mesh with a normal at each vertex."""
    head = ["ply", "format ascii 1.0", f"element vertex {len(vertices)}"]
    head += [f"property float {name}" for name in ("x", "y", "z", "nx", "ny", "nz")]
    head += [f"element face {len(faces)}", "property list uchar int vertex_indices", "end_header"]
    rows = [" ".join(f"{value:.9g}" for value in row) for row in np.concatenate([vertices, normals], axis=1)]
    path.parent.mkdir(parents=True)
    path.write_text("\n".join([*head, *rows, *(f"3 {a} {b} {c}" for a, b, c in faces)]) + "\n")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Write a ball with half of its faces wound inwards, one in a mirrored node, and a box with a ball's normals."""
    folder = tmp_path_factory.mktemp("models")
    faces = np.where(np.arange(len(BALL.faces))[:, None] % 2, BALL.faces, BALL.faces[:, ::-1])
    write_ply(folder / "ball" / "wound.ply", BALL.vertices, BALL.vertices, faces)
    box = trimesh.creation.box((1, 1, 1))
    write_ply(folder / "box" / "soft.ply", box.vertices, unit(box.vertices), box.faces)
    scene = trimesh.Scene()
    ball = trimesh.Trimesh(BALL.vertices, BALL.faces, vertex_normals=BALL.vertices, process=False)
    scene.add_geometry(ball, transform=np.diag([-1.0, 1.7, 1.0, 1.0]))  # y is up in the file
    (folder / "egg").mkdir()
    (folder / "egg" / "mirrored.glb").write_bytes(scene.export(file_type="glb", include_normals=True))
    return folder


def rendered(folder, models, kind):
    """Render three samples of each model; return the run and the samples by category."""
    manifest = folder / "manifest.toml"
    manifest.write_text(
        'categories = ["ball", "box", "egg"]\nsamples_per_category = 3\nshard_size = 3\n'
        f'[cad]\nsource = "{models}"\nstretch = 0.3\n[viewpoint]\ndistribution = "so3"\n'
        "[camera]\nimage_hw = [96, 96]\n[render]\nsamples = 1\ndenoise = false\n"
        f'[texture]\nkind = "{kind}"\n[output]\nmembers = ["mask", "nocs", "normals"]\n'
    )
    run = create_run(folder / "run", manifest)
    ledgers = list(run_shards(render_shard, str(run.root), run.all_shards(), 1, int))
    assert [failure for ledger in ledgers for failure in ledger.failures] == []
    found = {}
    for shard in run.all_shards():
        for _, members in read_shard(run.tar("render", shard)):
            labels = json.loads(members["json"])
            found.setdefault(labels["category"], []).append(Shot(run, labels, members))
    return run, found


class Shot:
    """The pixels of a sample: points and normals of the labels, and flat normals by rays, all (N, 3) in object axes."""

    def __init__(self, run, labels, members):
        model = load_cad(run.cad_file(labels["category"], labels["cad_id"]))
        self.stretch, pose = np.array(labels["stretch_xyz"]), np.array(labels["cam_T_obj"])
        row, column = np.nonzero(decode_image(members["mask.png"]))
        origin, directions = rays_of(pose, camera_of(labels), row, column)
        vertices = stretched(model, self.stretch)
        depth, triangle, weights = first_hits(origin, directions, vertices, model.faces)
        inner = np.isfinite(depth) & (weights.min(axis=1) > 0.1)  # the normals of a pixel are those of its whole area
        row, column, triangle = row[inner], column[inner], triangle[inner]
        a, b, c = vertices[model.faces[triangle]].transpose(1, 0, 2)
        self.flat = unit(np.cross(b - a, c - a))
        self.points = decode_nocs(members["nocs.npz"])[row, column] - 0.5
        self.normals = decode_normals(members["normals.npz"])[row, column] @ pose[:3, :3]
        # Cycles bends normals that would mirror a ray into the surface
        self.frontal = (self.flat * unit(directions[inner])).sum(axis=1) < -0.5


def angles_deg(a, b):
    return np.degrees(np.arccos(np.clip((a * b).sum(axis=-1), -1, 1)))


@pytest.fixture(scope="module")
def native(tmp_path_factory, models):
    return rendered(tmp_path_factory.mktemp("native"), models, "native")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory, models):
    return rendered(tmp_path_factory.mktemp("pictures"), models, "dtd")


@pytest.mark.parametrize(("category", "cad_id", "axes"), [("ball", "wound", (1, 1, 1)), ("egg", "mirrored", LONG)])
def test_prepared_normals_point_outwards_whatever_the_winding_and_the_sign_of_a_scale(native, category, cad_id, axes):
    run, _ = native
    model = load_cad(run.cad_file(category, cad_id))
    corners = model.vertices[model.faces]
    expected = unit(corners / np.square(axes))
    assert angles_deg(model.attributes[NORMALS].astype(float), expected).max() < 0.1
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert ((across * corners[:, 0]).sum(axis=1) > 0).all()


@pytest.mark.parametrize(("category", "axes"), [("ball", (1, 1, 1)), ("egg", LONG)])
def test_native_normals_are_those_of_the_stretched_shape(native, category, axes):
    _, found = native
    for shot in found[category]:
        assert np.ptp(shot.stretch) > 0.05
        expected = unit(shot.points / np.square(axes) / shot.stretch)
        assert np.percentile(angles_deg(shot.normals, expected)[shot.frontal], 98) < 2
        assert np.median(angles_deg(shot.normals, shot.flat)) > 0.5


def test_native_normals_of_a_box_are_its_authors(native):
    _, found = native
    for shot in found["box"]:
        expected = unit(shot.points / shot.stretch)
        assert np.median(angles_deg(shot.normals, shot.flat)) > 10
        assert (shot.normals * expected).sum(axis=1).min() > 0.5


def test_other_materials_are_smooth_below_35_degrees_only(pictures):
    run, found = pictures
    assert NORMALS in load_cad(run.cad_file("box", "soft")).attributes
    for shot in found["box"]:
        assert angles_deg(shot.normals, shot.flat).max() < 0.5
    for shot in found["ball"]:
        expected = unit(shot.points / shot.stretch)
        assert np.percentile(angles_deg(shot.normals, expected)[shot.frontal], 98) < 3
        assert np.median(angles_deg(shot.normals, expected)) < np.median(angles_deg(shot.normals, shot.flat))
