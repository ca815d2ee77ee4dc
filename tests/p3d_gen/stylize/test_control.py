"""Control pictures: edges, exact depth and normals, and the annotators of controlnet_aux."""

import importlib.util
import sys

import cv2
import numpy as np
import pytest
import torch
import trimesh

from p3d_gen.core.codecs import encode_normals, encode_npz, encode_png, mask_bytes
from p3d_gen.core.errors import DependencyError, ManifestError, RunError
from p3d_gen.core.geometry import cam_T_obj, transform
from p3d_gen.core.silhouette import ray_cast
from p3d_gen.core.types import Camera, Viewpoint
from p3d_gen.spec.stylize import Canny, Control, Stylize
from p3d_gen.stylize import annotators
from p3d_gen.stylize.annotators import annotate, load_annotator
from p3d_gen.stylize.control import (
    canny_picture,
    control_picture,
    depth_picture,
    needed_members,
    normals_picture,
    thresholds_of,
)
from p3d_gen.stylize.edges import WORLD_GREY, canny, control_hw, resized

HW, RESOLUTION = (96, 144), 128
CAMERA = Camera(focal_px=250.0, principal_px=(72.0, 48.0), image_hw=HW)
LABELS = {"key": "car-000003", "category": "car"}


@pytest.fixture(scope="module", autouse=True)
def _package():
    """Import the package as the stage does: it warns about much that is not used here."""
    load_annotator("canny")


@pytest.fixture(scope="module")
def sample():
    """A ball shaded in stripes, a little to the left, and its members as a render has them."""
    ball = trimesh.creation.icosphere(4, 0.5)
    vertices, faces = np.asarray(ball.vertices), np.asarray(ball.faces)
    pose = cam_T_obj(Viewpoint(azimuth_rad=0.3, elevation_rad=0.2, theta_rad=0.0, distance=4.0))
    pose[0, 3] = -0.2
    depth, face = ray_cast(vertices, faces, pose, CAMERA)
    mask = depth > 0
    a, b, c = transform(pose, vertices)[faces].transpose(1, 0, 2)
    normals = np.cross(b - a, c - a)
    normals = (normals / np.linalg.norm(normals, axis=1, keepdims=True))[face].astype(np.float32)
    rgb = np.where(np.indices(HW)[0][..., None] // 8 % 2 == 0, [200, 60, 40], [40, 160, 220])
    members = {
        "render.png": encode_png(np.dstack([rgb * mask[..., None], mask * 255]).astype(np.uint8)),
        "mask.png": encode_png(mask_bytes(mask)),
        "depth.npz": encode_npz(depth=depth.astype(np.float32)),
        "normals.npz": encode_normals(normals, mask),
    }
    return members, mask, depth


def picture(sample, canny_settings=None, **control):
    return control_picture(Control(**control), canny_settings or Canny(), sample[0], LABELS, RESOLUTION)


def test_every_control_picture_has_the_working_size(sample):
    for image in ("canny", "depth", "normals"):
        made = picture(sample, image=image)
        assert made.shape == (*control_hw(HW, RESOLUTION), 3)
        assert made.dtype == np.uint8
        np.testing.assert_array_equal(made, picture(sample, image=image))


def test_resize_rule_is_that_of_the_annotators_for_any_size():
    from controlnet_aux.util import resize_image

    rng = np.random.default_rng([0, 1])
    for _ in range(60):
        height, width, resolution = (int(n) for n in rng.integers(40, 400, 3))
        noise = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        np.testing.assert_array_equal(resized(noise, resolution), resize_image(noise, resolution))


# --- edges ---


def test_world_ground_is_the_released_recipe(sample):
    _, mask, _ = sample
    rgba = np.dstack([np.full((*HW, 3), 180, np.uint8), mask_bytes(mask)])
    on_grey = np.where(mask[..., None], np.uint8(180), np.uint8(WORLD_GREY)) * np.ones(3, np.uint8)
    made = canny_picture(Canny(thresholds=(50, 100)), rgba, mask, "car", RESOLUTION)
    np.testing.assert_array_equal(made, canny(on_grey, (50, 100), RESOLUTION))


@pytest.mark.parametrize("colour", [0, WORLD_GREY, 255])
def test_object_ground_has_the_whole_contour_whatever_the_colour(sample, colour):
    _, mask, _ = sample
    rgba = np.dstack([np.full((*HW, 3), colour, np.uint8), mask_bytes(mask)])
    edges = canny_picture(Canny(ground="object"), rgba, mask, "car", RESOLUTION)
    inside = resized(mask_bytes(mask), RESOLUTION) >= 128
    boundary = inside & (cv2.erode(mask_bytes(inside), np.ones((3, 3), np.uint8)) == 0)
    near_edge = cv2.dilate(edges, np.ones((3, 3), np.uint8)) > 0
    assert near_edge[boundary].all()
    near_boundary = cv2.dilate(mask_bytes(boundary), np.ones((5, 5), np.uint8)) > 0
    assert (edges[~near_boundary] == 0).all()  # a plain object has no other edges
    world = canny_picture(Canny(), rgba, mask, "car", RESOLUTION)
    assert world.any() == (colour != WORLD_GREY)


def test_object_ground_leaves_out_what_is_not_the_object(sample):
    _, mask, _ = sample
    y, x = np.indices(HW)
    occluder = (abs(x - 20) < 8) & (abs(y - 80) < 8) & ~mask
    rgba = np.dstack([np.where(occluder[..., None], 255, 128) * np.ones(3, int), mask_bytes(mask | occluder)])
    there = cv2.dilate(resized(mask_bytes(occluder), RESOLUTION), np.ones((5, 5), np.uint8)) > 0
    there &= resized(mask_bytes(mask), RESOLUTION) == 0
    assert canny_picture(Canny(), rgba.astype(np.uint8), mask, "car", RESOLUTION)[there].any()
    assert not canny_picture(Canny(ground="object"), rgba.astype(np.uint8), mask, "car", RESOLUTION)[there].any()


@pytest.mark.parametrize("ground", ["world", "object"])
def test_backends_agree_on_either_ground(sample, ground):
    ours, theirs = (picture(sample, Canny(ground=ground, backend=b)) for b in ("opencv", "controlnet_aux"))
    assert ours.any()
    np.testing.assert_array_equal(ours, theirs)


def test_thresholds():
    grey = np.full((4, 4, 3), 100, np.uint8)
    mask = np.ones((4, 4), bool)
    some = Canny(thresholds=(10, 20), per_category={"car": (30, 40)})
    assert thresholds_of(some, "car", grey, mask) == (30, 40)
    assert thresholds_of(some, "bus", grey, mask) == (10, 20)
    auto = Canny(auto=True, sigma=0.33, per_category={"car": (30, 40)})
    assert thresholds_of(auto, "car", grey, mask) == (67, 133)
    assert thresholds_of(auto, "car", grey * 0 + 250, mask) == (167, 255)
    assert thresholds_of(auto, "car", grey * 0, mask) == (1, 2)


def test_the_median_rule_looks_at_the_object_alone():
    rgb = np.zeros((4, 4, 3), np.uint8)
    rgb[:2] = 200
    top = np.indices((4, 4))[0] < 2
    assert thresholds_of(Canny(auto=True, sigma=0.1), "car", rgb, top) == (180, 220)


# --- depth and normals ---


def test_depth_is_relative_inverse_depth(sample):
    _, mask, depth = sample
    made = depth_picture(depth.astype(np.float32))
    assert (made[~mask] == 0).all()
    assert made[mask].min() == 51
    assert made[mask].max() == 255
    assert mask.ravel()[made.argmax()]
    assert made.ravel()[np.where(mask, depth, np.inf).argmin()] == 255
    inverse = 1 / depth[mask]
    share = (inverse - inverse.min()) / np.ptp(inverse)
    np.testing.assert_allclose(made[mask], 51 + 204 * share, atol=0.51)
    np.testing.assert_array_equal(depth_picture((depth * 7).astype(np.float32)), made)


def test_depth_of_a_wall_and_of_nothing():
    wall = np.zeros((5, 6), np.float32)
    wall[1:3, 2:4] = 3.0
    np.testing.assert_array_equal(depth_picture(wall), (wall > 0) * 255)
    assert not depth_picture(np.zeros((5, 6), np.float32)).any()


def test_red_is_left_green_is_up_blue_is_front():
    left, up, front, nothing = [-1, 0, 0], [0, -1, 0], [0, 0, -1], [0, 0, 0]
    made = normals_picture(np.array([[left, up, front, nothing]], np.float32))
    assert made.tolist() == [[[255, 128, 128], [128, 255, 128], [128, 128, 255], [128, 128, 255]]]


def test_normals_of_a_ball(sample):
    _, mask, _ = sample
    made = picture(sample, image="normals").astype(int)
    inside = resized(mask_bytes(mask), RESOLUTION) > 250
    y, x = np.nonzero(inside)
    red, green, blue = made[inside].T
    assert np.corrcoef(red, x)[0, 1] < -0.9
    assert np.corrcoef(green, y)[0, 1] < -0.9
    assert blue.min() > 100
    outside = cv2.dilate(mask_bytes(inside), np.ones((9, 9), np.uint8)) == 0
    assert (made[outside] == [128, 128, 255]).all()


def test_labels_that_a_run_must_hold(sample):
    several = (Control(image="normals"), Control(image="depth"), Control(), Control(image="depth"))
    assert needed_members(Stylize(control=several)) == ("depth", "normals")
    assert needed_members(Stylize()) == ()
    members = {name: sample[0][name] for name in ("render.png", "mask.png")}
    for image in ("depth", "normals"):
        with pytest.raises(RunError, match=rf"car-000003 holds no {image}\.npz.*output\.members"):
            control_picture(Control(image=image), Canny(), members, LABELS, RESOLUTION)


# --- annotators ---


def test_annotator_without_weights_is_the_package_s_own(sample):
    made = picture(sample, image="annotator", annotator="canny")
    np.testing.assert_array_equal(made, picture(sample, Canny(thresholds=(100, 200), backend="controlnet_aux")))


def test_what_an_annotator_draws_depends_on_the_sample_alone(sample):
    np.random.seed(1)  # noqa: NPY002
    first = picture(sample, image="annotator", annotator="shuffle")
    drawn = np.random.random()  # noqa: NPY002
    np.random.seed(1)  # noqa: NPY002
    assert np.random.random() == drawn  # noqa: NPY002
    np.testing.assert_array_equal(picture(sample, image="annotator", annotator="shuffle"), first)
    other = control_picture(
        Control(image="annotator", annotator="shuffle"), Canny(), sample[0], LABELS | {"key": "car-000004"}, RESOLUTION
    )
    assert (other != first).any()
    assert first.shape == (*control_hw(HW, RESOLUTION), 3)


def test_annotator_with_weights_of_a_folder(sample, tmp_path):
    from controlnet_aux.lineart import Generator

    torch.set_num_threads(1)
    torch.manual_seed(0)
    for name in ("sk_model.pth", "sk_model2.pth"):
        torch.save(Generator(3, 1, 3).state_dict(), tmp_path / name)
    made = picture(sample, image="annotator", annotator=f"lineart_realistic@{tmp_path}")
    assert made.shape == (*control_hw(HW, RESOLUTION), 3)
    assert np.ptp(made) > 0


def test_unknown_annotator():
    with pytest.raises(ManifestError, match=r"'softedge_hedd'.*did you mean 'softedge_hed'"):
        load_annotator("softedge_hedd")


def test_annotator_without_its_weights(tmp_path):
    with pytest.raises(DependencyError, match=r"weights cannot be loaded from .*hf download lllyasviel/Annotators"):
        load_annotator(f"softedge_hed@{tmp_path}")
    for folder in (tmp_path / "gone", "relative"):
        with pytest.raises(ManifestError, match=r"is not the absolute path of a folder"):
            load_annotator(f"softedge_hed@{folder}")


def test_annotator_without_its_package(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DependencyError, match="needs the package mediapipe: pip install mediapipe"):
        load_annotator("mediapipe_face")


def test_controlnet_aux_that_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "controlnet_aux.processor", None)
    annotators._known.cache_clear()
    load_annotator.cache_clear()
    with pytest.raises(DependencyError, match=r"controlnet_aux cannot be imported.*'opencv'"):
        annotate("canny", np.zeros((64, 64, 3), np.uint8), 64)
