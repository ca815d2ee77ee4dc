"""Models with too many faces: what cad.max_faces leaves of them, and what it says about the loss."""

import numpy as np
import pytest
import trimesh
from scipy.spatial import ConvexHull

from p3d_gen.blender.client import BlenderWorker
from p3d_gen.core.geometry import project, transform
from p3d_gen.core.outlines import lowest_outline_iou, outline_camera, outline_poses
from p3d_gen.render.prepare import prepare_model
from p3d_gen.run.cad_model import NORMALS, load_cad
from p3d_gen.run.store import create_run
from p3d_gen.spec.inventory import Asset
from p3d_gen.spec.manifest import Manifest, manifest_hash

FACES = 20_480


@pytest.fixture(scope="module")
def worker():
    with BlenderWorker(timeout_s=120) as blender:
        yield blender


@pytest.fixture(scope="module")
def sphere(tmp_path_factory):
    """A sphere of two materials, with texture coordinates and normals: a GLB of 20,480 faces."""
    ball = trimesh.creation.icosphere(subdivisions=5)
    assert len(ball.faces) == FACES
    front = ball.triangles_center[:, 2] > 0
    scene = trimesh.Scene()
    for name, own in (("hull", front), ("deck", ~front)):
        part = trimesh.Trimesh(ball.vertices, ball.faces[own], process=False)
        part.remove_unreferenced_vertices()
        colour = [200, 40, 40, 255] if name == "hull" else [40, 40, 200, 255]
        part.visual = trimesh.visual.TextureVisuals(
            uv=part.vertices[:, :2] * 0.25 + 0.5,
            material=trimesh.visual.material.PBRMaterial(name=name, baseColorFactor=colour),
        )
        scene.add_geometry(part, node_name=name, geom_name=name)
    path = tmp_path_factory.mktemp("sphere") / "sphere.glb"
    scene.export(path)
    return path


def prepared(run, worker, path, max_faces):
    asset = Asset(id=f"sphere_{max_faces}", address=str(path), max_faces=max_faces)
    assert prepare_model(run, worker, "car", asset) == ""
    return load_cad(run.cad_file("car", asset.id))


def hull_mask(vertices, cam_T_obj, camera):
    """The silhouette of a convex mesh: the hull of its projected vertices."""
    equations = ConvexHull(project(transform(cam_T_obj, vertices), camera)).equations
    column, row = np.meshgrid(np.arange(camera.image_hw[1]) + 0.5, np.arange(camera.image_hw[0]) + 0.5)
    points = np.stack([column, row, np.ones_like(row)], axis=-1)
    return (points @ equations.T <= 0).all(axis=-1)


def test_a_sphere_keeps_its_parts_textures_normals_and_says_its_loss(run, worker, sphere):
    whole, reduced = prepared(run, worker, sphere, None), prepared(run, worker, sphere, 2000)
    assert len(whole.faces) == FACES
    assert whole.decimation is None
    assert 1900 < len(reduced.faces) <= 2000
    assert reduced.part_names == whole.part_names == ("hull", "deck")
    np.testing.assert_allclose(np.linalg.norm(np.ptp(reduced.vertices, axis=0)), 1.0)
    corners = reduced.vertices[reduced.faces]
    is_behind = corners[..., 1].mean(axis=1) > 0
    assert (is_behind == (reduced.face_part == 1)).mean() > 0.98  # each half kept its material
    normals = corners / np.linalg.norm(corners, axis=-1, keepdims=True)
    assert ((normals * reduced.attributes[NORMALS]).sum(axis=-1) > 0.98).all()
    assert np.ptp(reduced.uv) > 0.9
    radius = np.linalg.norm(whole.vertices, axis=1).mean()
    expected = corners[..., 0] / radius * 0.25 + 0.5
    np.testing.assert_allclose(reduced.native_uv[..., 0], expected, atol=0.02)
    camera = outline_camera()
    ious = []
    for pose in outline_poses():
        a, b = (hull_mask(model.vertices, pose, camera) for model in (whole, reduced))
        ious.append((a & b).sum() / (a | b).sum())
    assert len(ious) == 14
    assert reduced.decimation.faces_before == FACES
    assert 0.98 < reduced.decimation.silhouette_iou < 1.0
    assert reduced.decimation.silhouette_iou == pytest.approx(min(ious), abs=0.003)
    assert [text for text in reduced.warnings if "cad.max_faces" in text] == [
        reduced.decimation.said(len(reduced.faces))
    ]


def test_a_loss_that_shows_is_warned_of(run, worker, sphere):
    coarse = prepared(run, worker, sphere, 100)
    assert coarse.decimation.silhouette_iou < 0.98
    assert "raise cad.max_faces" in " ".join(coarse.warnings)


def test_a_model_with_few_faces_is_the_same_byte_by_byte(run, worker, sphere):
    for max_faces in (None, FACES):
        prepared(run, worker, sphere, max_faces)
    files = [run.cad_file("car", f"sphere_{max_faces}").read_bytes() for max_faces in (None, FACES)]
    assert files[0] == files[1]


def test_the_outlines_of_a_shrunk_box_agree_by_the_ratio_of_areas():
    box = trimesh.creation.box((0.5, 0.5, 0.5))
    whole = np.array(box.vertices), np.array(box.faces)
    for size in (1.0, 0.9):
        iou = lowest_outline_iou(whole, (whole[0] * size, whole[1]))
        assert size**2 - 0.03 < iou <= size**2 + 0.01 * (size < 1)
    assert lowest_outline_iou(whole, (whole[0] + (0.1, 0, 0), whole[1])) < 0.8


def test_max_faces_belongs_to_what_renders_are_made_from(tmp_path, manifest_path):
    text = manifest_path.read_text()
    plain = create_run(tmp_path / "plain", manifest_path)
    manifest_path.write_text(text.replace("[cad]", "[cad]\nmax_faces = 100"))
    reduced = create_run(tmp_path / "reduced", manifest_path)
    assert manifest_hash(plain.manifest) != manifest_hash(reduced.manifest)
    assert plain.decisive("render") != reduced.decisive("render")
    without = Manifest(categories=["car"], samples_per_category=1)
    assert "max_faces" not in without.model_dump()["cad"]
    assert {asset.max_faces for asset in reduced.inventory.cads["car"]} == {100}
