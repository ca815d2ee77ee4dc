"""Label survival: what the score says of true labels, of false ones, and of pictures that show nothing."""

import json
from itertools import pairwise

import cv2
import numpy as np
import pytest
import trimesh

from blender_assets.shapes import build
from p3d_gen.bench import survival as bench
from p3d_gen.bench.survival import MIRRORED, SWAPPED, TRUE, Label, corrupted, measure, separation
from p3d_gen.core.codecs import encode_png
from p3d_gen.core.errors import RunError
from p3d_gen.core.geometry import cam_T_obj, project, transform
from p3d_gen.core.silhouette import ray_cast
from p3d_gen.core.symmetry import Symmetry
from p3d_gen.core.types import Camera, Viewpoint
from p3d_gen.run.cad_model import CadModel, save_cad
from p3d_gen.run.files import compact_json
from p3d_gen.run.shards import write_shard
from p3d_gen.stylize.survival import Survival, expected_edges, survival

CAMERA = Camera(focal_px=560.0, principal_px=(80.0, 80.0), image_hw=(160, 160))
# Shapes without a symmetry about z.
SHAPES = ("aeroplane", "bus", "car", "chair", "motorbike", "sofa")
FALSE = ["rotated_15", "azimuth_15", "rotated_30", "azimuth_30", "rotated_90", "azimuth_90", MIRRORED, SWAPPED]


def view(rng):
    return Viewpoint(
        azimuth_rad=rng.uniform(0, 2 * np.pi),
        elevation_rad=rng.uniform(-0.1, 0.5),
        theta_rad=rng.uniform(-0.1, 0.1),
        distance=rng.uniform(3.5, 4.5),
    )


def label_of(category, variant, pose):
    mesh = build(category, variant)
    return Label(vertices=mesh.vertices, faces=mesh.faces, cam_T_obj=pose), mesh.face_part


def noise(rng, hw, cells, strength):
    coarse = rng.uniform(-strength, strength, (hw[0] // cells + 1, hw[1] // cells + 1, 3)).astype(np.float32)
    return cv2.resize(coarse, hw[::-1], interpolation=cv2.INTER_CUBIC)


def shaded(label, face_part, camera, rng):
    """A picture without Blender: every part in a colour, darker where it faces the lamp less, with a blotchy texture,
    before a blotchy background; smoothed and grainy as a stylizer's pictures are."""
    _, face = ray_cast(label.vertices, label.faces, label.cam_T_obj, camera)
    a, b, c = transform(label.cam_T_obj, label.vertices)[label.faces].transpose(1, 0, 2)
    normals = np.cross(b - a, c - a)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    lamp = np.array([-0.5, -0.7, -0.5])
    colours = rng.uniform(60, 255, (int(face_part.max()) + 1, 3))[face_part]
    colours *= 0.35 + 0.65 * np.abs(normals @ lamp / np.linalg.norm(lamp))[:, None]
    around = rng.uniform(40, 200, 3) + noise(rng, camera.image_hw, 20, 40)
    picture = np.where((face >= 0)[..., None], colours[face] + noise(rng, camera.image_hw, 10, 25), around)
    picture = cv2.GaussianBlur(picture, (0, 0), 0.7) + rng.normal(0, 4, picture.shape)
    return picture.clip(0, 255).astype(np.uint8)


def judged(picture, label, camera=CAMERA):
    return survival(picture, expected_edges(label.vertices, label.faces, label.cam_T_obj, camera))


@pytest.fixture(scope="module")
def pictures():
    """Two pictures of every shape with their true labels."""
    found = []
    for number, category in enumerate(SHAPES):
        for variant in range(2):
            rng = np.random.default_rng([1, 1, number, variant])
            label, face_part = label_of(category, variant, cam_T_obj(view(rng)))
            found.append((category, label, shaded(label, face_part, CAMERA, rng)))
    return found


@pytest.fixture(scope="module")
def judgements(pictures):
    """The survival of every picture under its true label and under each false one, by the label's name."""
    found = {}
    for number, (category, label, picture) in enumerate(pictures):
        rng = np.random.default_rng([2, 1, number])
        other, _ = label_of(SHAPES[(SHAPES.index(category) + 2) % len(SHAPES)], number % 4, label.cam_T_obj)
        for name, each in {TRUE: label, **corrupted(label, other, rng)}.items():
            found.setdefault(name, []).append(judged(picture, each))
    return found


def scores(judgements, name):
    return [found.score for found in judgements[name]]


# --- laws ---


def test_everything_lies_between_nothing_and_one(judgements):
    for found in (survived for survivals in judgements.values() for survived in survivals):
        parts = found.edge_precision, found.edge_recall, found.silhouette
        assert all(0 <= value <= 1 for value in parts)
        assert found.score == pytest.approx(np.mean(parts))


@pytest.mark.parametrize("name", FALSE)
def test_true_labels_score_above_false_ones(judgements, name):
    """The mean, and the area under the ROC curve: a score that does not separate is none."""
    true, false = scores(judgements, TRUE), scores(judgements, name)
    assert np.mean(true) > 2 * np.mean(false)
    least = 0.9 if name.endswith("15") else 0.95
    assert separation(true, false)["auc"] >= least


def test_the_more_a_label_is_turned_the_less_survives(judgements):
    for kind in ("rotated", "azimuth"):
        means = [np.mean(scores(judgements, name)) for name in (TRUE, *(f"{kind}_{a}" for a in bench.ANGLES_DEG))]
        assert all(more > less - 0.02 for more, less in pairwise(means))


def test_brightness_and_contrast_do_not_matter(pictures):
    for _, label, picture in pictures[::2]:
        found = judged(picture, label)
        for changed in (picture // 2, picture // 2 + 128, 255 - picture):
            assert judged(changed, label).score == pytest.approx(found.score, abs=0.03)


def test_grain_and_blur_cost_some_and_a_fading_picture_costs_more(pictures):
    def mean(change):
        return np.mean([judged(change(picture), label).score for _, label, picture in pictures[::2]])

    def fading(share):
        rng = np.random.default_rng([3, 1])
        return lambda picture: cv2.addWeighted(
            picture, 1 - share, rng.integers(0, 256, picture.shape, dtype=np.uint8), share, 0
        )

    assert mean(lambda picture: picture) > mean(fading(0.3)) > mean(fading(0.6)) > mean(fading(1.0))


def test_noise_and_flat_pictures_show_nothing(pictures):
    rng = np.random.default_rng([4, 1])
    for _, label, picture in pictures[::2]:
        assert judged(rng.integers(0, 256, picture.shape, dtype=np.uint8), label).score < 0.05
        coarse = cv2.resize(rng.integers(0, 256, (20, 20, 3), dtype=np.uint8), (160, 160))
        assert judged(coarse, label).score < 0.15
        assert judged(np.full_like(picture, 90), label) == Survival(
            edge_precision=0.0, edge_recall=0.0, silhouette=0.0, score=0.0
        )


def test_what_lies_far_from_the_object_does_not_matter(pictures):
    rng = np.random.default_rng([5, 1])
    _, label, picture = pictures[1]
    expected = expected_edges(label.vertices, label.faces, label.cam_T_obj, CAMERA)
    far = cv2.dilate(expected.mask.astype(np.uint8), np.ones((71, 71), np.uint8)) == 0
    assert far.any()
    changed = np.where(far[..., None], rng.integers(0, 256, picture.shape, dtype=np.uint8), picture)
    assert survival(changed, expected) == survival(picture, expected)


def test_the_size_of_the_picture_does_not_matter(pictures):
    """Judged at twice the size, which is above the working size, with a camera of twice the focal length."""
    large = Camera(focal_px=2240.0, principal_px=(320.0, 320.0), image_hw=(640, 640))
    working = Camera(focal_px=896.0, principal_px=(128.0, 128.0), image_hw=(256, 256))
    for _, label, picture in pictures[::2]:
        big = cv2.resize(picture, (640, 640), interpolation=cv2.INTER_CUBIC)
        there = cv2.resize(big, (256, 256), interpolation=cv2.INTER_AREA)
        assert judged(big, label, large).score == pytest.approx(judged(there, label, working).score, abs=0.02)


# --- what is expected ---

BOX = trimesh.creation.box((0.5, 0.7, 0.5))
CORNER = cam_T_obj(Viewpoint(azimuth_rad=0.7, elevation_rad=0.6, theta_rad=0.0, distance=3.5))


def test_edges_of_a_box_lie_where_its_edges_are_seen_and_run_along_them():
    vertices, faces = np.asarray(BOX.vertices), np.asarray(BOX.faces)
    expected = expected_edges(vertices, faces, CORNER, CAMERA)
    pixels = project(transform(CORNER, vertices), CAMERA)
    edges = np.array([(i, j) for i in range(8) for j in range(i) if (vertices[i] != vertices[j]).sum() == 1])
    assert len(edges) == 12
    start, along = pixels[edges[:, 0]], pixels[edges[:, 1]] - pixels[edges[:, 0]]
    seen = expected.contour | expected.inner
    for row, column in np.argwhere(seen):
        to = np.array([column + 0.5, row + 0.5]) - start
        share = np.clip((to * along).sum(axis=1) / (along**2).sum(axis=1), 0, 1)
        away = np.linalg.norm(to - share[:, None] * along, axis=1)
        nearest = away.argmin()
        assert away[nearest] < 1.5
        if 0.25 < share[nearest] < 0.75:
            normal = np.arctan2(along[nearest, 0], -along[nearest, 1])
            assert np.cos(expected.doubled_rad[row, column] - 2 * normal) > 0.95
    assert expected.inner.sum() > 60  # three of its edges meet in front
    np.testing.assert_array_equal(expected.doubled_rad[~seen], 0)


def test_a_ball_has_a_round_contour_and_nothing_inside():
    ball = trimesh.creation.icosphere(4, 0.5)
    expected = expected_edges(np.asarray(ball.vertices), np.asarray(ball.faces), CORNER, CAMERA)
    assert not expected.inner[cv2.dilate(expected.contour.astype(np.uint8), np.ones((3, 3), np.uint8)) == 0].any()
    radius = np.hypot(*(np.argwhere(expected.contour) + 0.5 - 80).T)
    np.testing.assert_allclose(radius, radius.mean(), atol=1)


def test_one_body_before_another_has_an_occluding_contour():
    far, near = trimesh.creation.box((0.6, 0.01, 0.6)), trimesh.creation.box((0.2, 0.01, 0.2))
    near.apply_translation((0, -0.3, 0))
    both = trimesh.util.concatenate([far, near])
    pose = cam_T_obj(Viewpoint(azimuth_rad=0.0, elevation_rad=0.0, theta_rad=0.0, distance=4.0))
    expected = expected_edges(np.asarray(both.vertices), np.asarray(both.faces), pose, CAMERA)
    width = round(0.2 * CAMERA.focal_px / 3.695)
    assert abs(expected.inner.sum() - 4 * width) < 12


def test_nothing_is_expected_where_the_frame_or_an_occluder_cuts_the_object():
    ball = trimesh.creation.icosphere(3, 0.5)
    vertices, faces = np.asarray(ball.vertices), np.asarray(ball.faces)
    aside = Camera(focal_px=560.0, principal_px=(0.0, 80.0), image_hw=(160, 160))
    cut = expected_edges(vertices, faces, CORNER, aside)
    middle = slice(60, 100)
    assert cut.mask[middle, 0].all()
    assert not cut.contour[middle, :5].any()
    hidden = np.indices((160, 160))[1] < 80
    half = expected_edges(vertices, faces, CORNER, CAMERA, hidden)
    assert not half.mask[hidden].any()
    assert not half.contour[:, :82].any()
    assert half.contour[:, 84:].any()


def test_a_label_that_puts_nothing_in_the_picture_is_not_shown():
    ball = trimesh.creation.icosphere(2, 0.5)
    away = Camera(focal_px=560.0, principal_px=(900.0, 80.0), image_hw=(160, 160))
    expected = expected_edges(np.asarray(ball.vertices), np.asarray(ball.faces), CORNER, away)
    assert not expected.mask.any()
    noisy = np.random.default_rng([6, 1]).integers(0, 256, (160, 160, 3), dtype=np.uint8)
    assert survival(noisy, expected).score == 0


def test_behind_the_camera():
    inside = cam_T_obj(Viewpoint(azimuth_rad=0.0, elevation_rad=0.0, theta_rad=0.0, distance=0.1))
    with pytest.raises(ValueError, match="behind the camera"):
        expected_edges(np.asarray(BOX.vertices), np.asarray(BOX.faces), inside, CAMERA)


# --- the benchmark ---


def test_separation():
    assert separation([3.0, 4.0], [1.0, 2.0]) == {"auc": 1.0, "kept_at_5_percent_false": 1.0}
    assert separation([1.0, 2.0], [3.0, 4.0]) == {"auc": 0.0, "kept_at_5_percent_false": 0.0}
    assert separation([1.0, 2.0], [1.0, 2.0])["auc"] == 0.5


def test_corrupted_labels_are_turned_by_what_their_names_say(pictures):
    _, label, _ = pictures[0]
    false = corrupted(label, None, np.random.default_rng([7, 1]))
    assert SWAPPED not in false
    for name, each in false.items():
        relative = label.cam_T_obj[:3, :3].T @ each.cam_T_obj[:3, :3]
        angle = np.degrees(np.arccos(np.clip((np.trace(relative) - 1) / 2, -1, 1)))
        if name == MIRRORED:
            assert angle >= 20
        else:
            assert angle == pytest.approx(int(name.split("_")[1]), abs=1e-6)
        if name.startswith("azimuth"):
            np.testing.assert_allclose(relative[2], [0, 0, 1], atol=1e-12)
        np.testing.assert_array_equal(each.cam_T_obj[:3, 3], label.cam_T_obj[:3, 3])
    front = Viewpoint(azimuth_rad=0.05, elevation_rad=0.1, theta_rad=0.0, distance=4.0)
    facing = Label(vertices=label.vertices, faces=label.faces, cam_T_obj=cam_T_obj(front))
    assert MIRRORED not in corrupted(facing, None, np.random.default_rng([7, 1]))


@pytest.fixture
def run_dir(tmp_path):
    """What is read of a run: renders of cars and bottles, their models, and a stylization that kept one of each."""
    for category in ("bottle", "car"):
        rng = np.random.default_rng([8, 1])
        mesh = build(category, 0)
        model = CadModel(
            vertices=mesh.vertices,
            faces=mesh.faces.astype(np.int32),
            uv=np.zeros((len(mesh.faces), 3, 2), np.float32),
            native_uv=np.zeros((len(mesh.faces), 3, 2), np.float32),
            face_part=mesh.face_part.astype(np.uint8),
            part_names=mesh.part_names,
            keypoints={},
            symmetry=Symmetry.of_order(0 if category == "bottle" else 1),
        )
        save_cad(tmp_path / "cad" / category / "one.npz", model)
        renders, stylized = [], []
        for index in range(2):
            pose = cam_T_obj(view(rng))
            label, face_part = label_of(category, 0, pose)
            picture = shaded(label, face_part, CAMERA, rng)
            alpha = np.uint8(255) * (ray_cast(mesh.vertices, mesh.faces, pose, CAMERA)[0] > 0)
            labels = {
                "cad_id": "one",
                "stretch_xyz": [1.0, 1.0, 1.0],
                "cam_T_obj": pose.tolist(),
                "focal_px": CAMERA.focal_px,
                "principal_px": list(CAMERA.principal_px),
                "image_hw": list(CAMERA.image_hw),
            }
            key = f"{category}-{index:06d}"
            renders.append((key, {"render.png": encode_png(np.dstack([picture, alpha])), "json": compact_json(labels)}))
            stylized.append((key, {"stylized.png": encode_png(picture)}))
        write_shard(tmp_path / "render" / f"{category}-00000.tar", renders)
        write_shard(tmp_path / "stylize-warm" / f"{category}-00000.tar", stylized[1:])
    return tmp_path


def test_measure_of_renders_and_of_a_stylization(run_dir, capsys):
    renders = measure(run_dir)
    kinds = {"render on grey", "render in an environment"}
    assert set(renders) == kinds | {f"{kind} (symmetric shapes)" for kind in kinds}
    stylized = measure(run_dir, "warm")
    assert set(stylized) == {"stylize-warm", "stylize-warm (symmetric shapes)"}
    for samples, summaries in ((2, renders), (1, stylized)):
        for summary in summaries.values():
            assert summary["samples"] == samples
            assert summary["rotated_90"]["auc"] == summary["swapped"]["auc"] == 1.0
            assert summary["true_mean"] > 0.3
    json.dumps(renders, allow_nan=False)
    assert "swapped" in capsys.readouterr().out


def test_measure_of_nothing(run_dir, tmp_path):
    with pytest.raises(RunError, match="p3dgen stylize"):
        measure(run_dir, "cold")
    with pytest.raises(RunError, match="p3dgen render"):
        measure(tmp_path / "nowhere")


@pytest.mark.slow
@pytest.mark.blender
def test_separation_on_renders():
    """Renders of all categories, in realistic materials and with prior noise."""
    for name, summaries in bench.embedded(samples_each=4).items():
        for kind, summary in summaries.items():
            if "symmetric" in kind:
                continue
            print(name, kind, {label: round(found["auc"], 3) for label, found in summary.items() if label in FALSE})
            for label in FALSE:
                assert summary[label]["auc"] >= (0.85 if label.endswith("15") else 0.95), (name, kind, label)
