"""Label truth with Blender itself: every label of a render against mesh, pose and rays, for every category."""

import json

import numpy as np
import pytest

from p3d_gen.blender.client import BlenderWorker
from p3d_gen.blender.protocol import LooksRequest
from p3d_gen.core.categories import BUILTIN, CATEGORIES
from p3d_gen.core.codecs import decode_image, decode_nocs, decode_normals, decode_npz
from p3d_gen.core.cuboid import facing
from p3d_gen.core.geometry import box_corners, project, transform
from p3d_gen.core.silhouette import camera_of, mask_box, ray_cast
from p3d_gen.render.annotations import HIDDEN, OUTSIDE, VISIBLE
from p3d_gen.render.stage import cuboid_of, render_shard
from p3d_gen.run.cad_model import load_cad, stretched
from p3d_gen.run.local import run_shards
from p3d_gen.run.shards import read_shard
from p3d_gen.run.store import create_run
from p3d_gen.verify import measure_agreement

pytestmark = pytest.mark.blender

MEMBERS = ["mask", "amodal", "occluders", "depth", "normals", "nocs", "parts", "keypoints", "cuboid", "render"]
DEPTH_TOLERANCE = 1e-3  # box diagonals, for 99 of 100 pixels
NOCS_TOLERANCE_PX = 0.1  # for 99 of 100 pixels


def run_of(folder, text):
    manifest = folder / "manifest.toml"
    manifest.write_text(text)
    run = create_run(folder / "run", manifest)
    ledgers = list(run_shards(render_shard, str(run.root), run.all_shards(), 1, int))
    assert [failure for ledger in ledgers for failure in ledger.failures] == []
    return run


class Shot:
    """A rendered sample, decoded, and what rays through its pixels meet."""

    def __init__(self, run, key, members):
        self.key, self.members = key, members
        self.labels = json.loads(members["json"])
        self.model = load_cad(run.cad_file(self.labels["category"], self.labels["cad_id"]))
        self.vertices = stretched(self.model, self.labels["stretch_xyz"])
        self.pose, self.camera = np.array(self.labels["cam_T_obj"]), camera_of(self.labels)
        self.mask = decode_image(members["mask.png"]) == 255
        self.amodal = decode_image(members["amodal.png"]) == 255
        self.occluders = (
            decode_image(members["occluders.png"]) == 255 if "occluders.png" in members else np.zeros_like(self.mask)
        )
        self.depth, self.face = ray_cast(self.vertices, self.model.faces, self.pose, self.camera)


@pytest.fixture(scope="module")
def shots(tmp_path_factory):
    """Two samples of every category: stretched, in any pose, some cut by the frame, some behind something else."""
    run = run_of(
        tmp_path_factory.mktemp("truth"),
        f"categories = {list(CATEGORIES)}\nsamples_per_category = 2\nshard_size = 2\n"
        "[cad]\nstretch = 0.2\nvariants = [0, 2]\n"
        '[viewpoint]\ndistribution = "so3"\n[camera]\nimage_hw = [160, 192]\nfocal_px = 800\n'
        '[occlusion]\nlevel = "L1"\ntruncation = [0.0, 0.3]\nprobability = 0.5\n'
        f'[render]\nsamples = 1\ndenoise = false\n[texture]\nkind = "realistic"\n[output]\nmembers = {MEMBERS}\n',
    )
    return run, [
        Shot(run, key, members) for shard in run.all_shards() for key, members in read_shard(run.tar("render", shard))
    ]


def test_there_is_everything(shots):
    _, found = shots
    assert len(found) == 2 * len(CATEGORIES)
    assert any(shot.labels["occluder"] for shot in found)
    assert any(shot.labels["truncated_share"] > 0.05 for shot in found)
    assert any(shot.labels["visible_share"] == 1 for shot in found)
    assert len({tuple(shot.labels["stretch_xyz"]) for shot in found}) == len(found)
    assert len({tuple(sorted(shot.labels)) for shot in found}) == 1
    assert len({tuple(shot.members) for shot in found}) == 1


def test_mask_depth_and_coordinates(shots):
    run, found = shots
    for shot in found:
        agree = measure_agreement(run, shot.key, shot.members)
        assert agree.iou >= 0.98
        assert agree.depth <= DEPTH_TOLERANCE
        assert agree.nocs_px <= NOCS_TOLERANCE_PX
        assert shot.labels["mask_iou"] == pytest.approx(agree.iou)
        assert (decode_npz(shot.members["depth.npz"])["depth"][~shot.mask] == 0).all()
        assert (decode_nocs(shot.members["nocs.npz"])[~shot.mask] == 0).all()


def test_amodal_and_visible_masks(shots):
    _, found = shots
    for shot in found:
        labels = shot.labels
        assert (shot.amodal == (shot.depth > 0)).all()
        assert not (shot.mask & shot.occluders).any()
        assert (shot.mask & ~shot.amodal).sum() <= 0.02 * shot.mask.sum()
        assert labels["occluded_share"] == pytest.approx((shot.amodal & shot.occluders).sum() / shot.amodal.sum())
        if labels["occluder"]:
            assert 0.2 <= labels["occluded_share"] <= 0.4
        else:
            assert labels["occluded_share"] == 0
        np.testing.assert_allclose(labels["bbox_xyxy"], mask_box(shot.mask))
        whole = (1 - labels["truncated_share"]) * (1 - labels["occluded_share"])
        assert labels["visible_share"] == pytest.approx(whole, abs=0.02)
        x0, y0, x1, y1 = labels["amodal_bbox_xyxy"]
        pixels = project(transform(shot.pose, shot.vertices), shot.camera)
        low, high = pixels.min(axis=0), pixels.max(axis=0)
        assert (np.array([x0, y0]) > low - 1).all()
        assert (np.array([x1, y1]) < high + 1).all()
        np.testing.assert_allclose([x0, y0, x1, y1], [*low, *high], atol=4)  # antennas are thinner than a pixel


def test_normals_face_the_camera_and_follow_the_surface(shots):
    _, found = shots
    for shot in found:
        normals = decode_normals(shot.members["normals.npz"])
        assert (normals[~shot.mask] == 0).all()
        seen = shot.mask & (shot.face >= 0)
        np.testing.assert_allclose(np.linalg.norm(normals[seen], axis=-1), 1, atol=1e-3)
        corners = transform(shot.pose, shot.vertices)[shot.model.faces[shot.face[seen]]]
        flat = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        flat /= np.linalg.norm(flat, axis=1, keepdims=True)
        # of either side of a triangle, the camera sees the one that is turned to it
        cosine = np.abs((flat * normals[seen]).sum(axis=1))
        angle_deg = np.degrees(np.arccos(np.clip(cosine, 0, 1)))
        assert np.median(angle_deg) < 12
        assert np.percentile(angle_deg, 80) < 35  # smooth shading, and pixels of several faces
        towards = (normals[seen] * corners.mean(axis=1)).sum(axis=1) < 0
        assert towards.mean() > 0.95


def test_parts_are_the_faces_materials(shots):
    _, found = shots
    for shot in found:
        parts = decode_image(shot.members["parts.png"])
        assert shot.labels["part_names"] == list(shot.model.part_names)
        assert (parts[~shot.mask] == 0).all()
        seen = shot.mask & (shot.face >= 0)
        assert (parts[seen] == shot.model.face_part[shot.face[seen]] + 1).mean() > 0.97


def test_keypoints_and_their_visibility(shots):
    _, found = shots
    states = []
    for shot in found:
        labels = shot.labels
        assert labels["keypoint_names"] == sorted(BUILTIN[labels["category"]].keypoints)
        points = np.array([shot.model.keypoints[name] for name in labels["keypoint_names"]]) * labels["stretch_xyz"]
        np.testing.assert_allclose(labels["keypoints_xyz"], points)
        in_camera = transform(shot.pose, points)
        pixels = project(in_camera, shot.camera)
        np.testing.assert_allclose(labels["keypoints_xy"], pixels)
        height, width = shot.camera.image_hw
        for (x, y), z, state in zip(pixels, in_camera[:, 2], labels["keypoints_visibility"], strict=True):
            states.append(state)
            if not (0 <= x < width and 0 <= y < height):
                assert state == OUTSIDE
                continue
            column, row = int(x), int(y)
            if shot.occluders[row, column]:
                assert state == HIDDEN
            elif shot.depth[row, column] == 0 or shot.depth[row, column] > z - 0.02:
                assert state == VISIBLE
            elif shot.depth[row, column] < z - 0.04:
                assert state == HIDDEN
    assert set(states) == {OUTSIDE, HIDDEN, VISIBLE}


def test_cuboid_vertices(shots):
    run, found = shots
    for shot in found:
        cuboid = cuboid_of(run, shot.labels["category"])
        member = decode_npz(shot.members["cuboid.npz"])
        pixels = project(transform(shot.pose, cuboid.vertices), shot.camera)
        np.testing.assert_allclose(member["pixels"], pixels, atol=1e-2)
        visible = member["visible"]
        centre = -shot.pose[:3, :3].T @ shot.pose[:3, 3]
        height, width = shot.camera.image_hw
        within = ((pixels >= 0) & (pixels < (width, height))).all(axis=1)
        may = facing(cuboid, centre) & within
        assert not (visible & ~may).any()
        column, row = np.clip(pixels.astype(int), 0, (width - 1, height - 1)).T
        hidden = may & ~visible
        assert shot.occluders[row, column][hidden].all()
        assert not shot.occluders[row, column][visible].any()
        with np.load(run.root / "cad" / f"{shot.labels['category']}.cuboid.npz") as kept:
            np.testing.assert_array_equal(kept["vertices"], cuboid.vertices)


def test_three_dimensional_box(shots):
    _, found = shots
    for shot in found:
        extent = np.ptp(shot.vertices, axis=0)
        np.testing.assert_allclose(shot.labels["object_extent_xyz"], extent)
        corners = project(transform(shot.pose, box_corners(extent)), shot.camera)
        np.testing.assert_allclose(shot.labels["bbox3d_xy"], corners)


FAR = "image_hw = [256, 320]\nfill = [0.8, 1.0]"  # from 5 box diagonals
NEAR = "image_hw = [256, 320]\nfill = [0.5, 1.0]\nfov_deg = [25, 100]\noffset = 1.0"


def write_looks(folder):
    """Models of all formats, each format a category: glass, cut-outs, colours of vertices, modifiers, ..."""
    folder.mkdir()
    with BlenderWorker() as worker:
        worker.ask(LooksRequest(folder=folder))
    return sorted(path.name for path in folder.iterdir())


def truth_of(run):
    """The agreement of every sample's mask, depth and coordinates with its mesh, (N, 3)."""
    found = [
        measure_agreement(run, key, members)
        for shard in run.all_shards()
        for key, members in read_shard(run.tar("render", shard))
    ]
    return np.array([(agree.iou, agree.depth, agree.nocs_px) for agree in found])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "camera"),
    [("embedded", FAR), ("embedded", NEAR), ("real", FAR), ("own", NEAR)],
    ids=["embedded", "near", "real", "own"],
)
def test_label_truth_over_600_images(tmp_path, request, source, camera):
    """600 images in any pose: of the parametric library, of real CAD models, and of own ones in their materials."""
    categories, folder, texture = list(CATEGORIES), "embedded", "naive"
    if source == "real":
        folder = request.getfixturevalue("data_dir") / "cad_pascal3d"
    elif source == "own":
        folder, texture = tmp_path / "looks", "native"
        categories = write_looks(folder)
    each = -(-600 // len(categories))
    run = run_of(
        tmp_path,
        f"categories = {categories}\nsamples_per_category = {each}\nshard_size = {each}\n"
        f'[cad]\nsource = "{folder}"\nstretch = 0.1\n'
        f'[viewpoint]\ndistribution = "so3"\n[camera]\n{camera}\n'
        f'[render]\nsamples = 1\ndenoise = false\n[texture]\nkind = "{texture}"\n'
        '[output]\nmembers = ["mask", "depth", "nocs"]\n',
    )
    iou, depth, nocs_px = truth_of(run).T
    first, median = np.percentile(iou, [1, 50])
    print(
        f"{source}: {len(iou)}, mask IoU worst {iou.min():.4f}, 1st percentile {first:.4f}, median {median:.4f}; "
        f"depth {depth.max():.1e}; coordinates {nocs_px.max():.3f} px"
    )
    assert len(iou) == each * len(categories)
    assert iou.min() >= 0.98
    assert first >= 0.99
    assert median >= 0.999
    assert depth.max() <= DEPTH_TOLERANCE
    assert nocs_px.max() <= NOCS_TOLERANCE_PX


def test_near_cameras_and_off_centre_objects(tmp_path):
    run = run_of(
        tmp_path,
        'categories = ["car", "chair", "bicycle"]\nsamples_per_category = 4\nshard_size = 4\n'
        '[viewpoint]\ndistribution = "so3"\n'
        "[camera]\nimage_hw = [160, 192]\nfill = [0.5, 1.0]\nfov_deg = [40, 100]\noffset = 1.0\n"
        f"[render]\nsamples = 1\ndenoise = false\n[output]\nmembers = {MEMBERS[:2] + MEMBERS[3:6]}\n",
    )
    shots = [
        Shot(run, key, members) for shard in run.all_shards() for key, members in read_shard(run.tar("render", shard))
    ]
    assert len(shots) == 12
    assert min(shot.labels["distance"] for shot in shots) < 1
    assert max(abs(shot.pose[0, 3]) for shot in shots) > 0.1
    for shot in shots:
        agree = measure_agreement(run, shot.key, shot.members)
        assert agree.iou >= 0.98
        assert agree.depth <= DEPTH_TOLERANCE
        assert agree.nocs_px <= NOCS_TOLERANCE_PX
        assert shot.labels["truncated_share"] == 0
        assert shot.camera.principal_px == (96, 80)
        assert np.linalg.norm(shot.pose[:3, 3]) == pytest.approx(shot.labels["distance"], abs=1e-5)
