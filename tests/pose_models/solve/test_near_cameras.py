"""Poses of near objects: what knowing the lens, or solving the distance, takes off the errors of a fixed distance."""

import math

import pytest
import torch

from pose_models.bench.cameras import METHODS, Method, errors, near_scene, solved
from pose_models.solve import SolveConfig, camera_rule, solve

IMAGES = 12
FIXED, ONE, FREE, KNOWN = (
    "two focals, mean distance",
    "one focal, mean distance",
    "one focal, free distance",
    "known focal",
)


@pytest.fixture(scope="module", params=[0.8, 1.13, 2.0])
def near(request):
    scene = near_scene(IMAGES, request.param, vertices=400)
    return {name: errors(solved(scene, METHODS[name]), scene) for name in (FIXED, ONE, FREE, KNOWN)}


def test_a_known_lens_and_a_free_distance_beat_a_fixed_distance(near):
    for better in (FREE, KNOWN):
        for worse in (FIXED, ONE):
            assert near[better]["median_deg"] < near[worse]["median_deg"] / 3
            assert abs(near[better]["bias_x_deg"]) < abs(near[worse]["bias_x_deg"]) / 3
            assert near[better]["translation"] < near[worse]["translation"] / 10


def test_a_fixed_distance_that_is_too_far_tilts_near_objects(near):
    """Their upper sides are turned away, with either number of focal lengths."""
    assert near[FIXED]["bias_x_deg"] < -1.0
    assert near[ONE]["bias_x_deg"] < -1.0


def test_the_true_distance_needs_no_lens():
    scene = near_scene(IMAGES, 1.0, vertices=400)
    for focals in ("one", "two"):
        solution = solved(scene, Method(config=SolveConfig(focals=focals), at_truth=True))
        assert errors(solution, scene)["median_deg"] < 0.5


def test_the_prior_holds_the_distance_where_images_do_not_tell_it():
    """A narrow one keeps the mean distance, a wide one leaves the image to say."""
    scene = near_scene(4, 2.0, vertices=400)
    free = {"focals": "one", "free": ("distance",), "grid_scales": (1.0,)}
    depths = {
        sigma: solved(scene, Method(config=SolveConfig(distance_sigma=sigma, **free))).cam_T_obj[:, 2, 3]
        for sigma in (1e-3, 0.2, 100.0)
    }
    torch.testing.assert_close(depths[1e-3], torch.full((4,), 5.0), atol=0.05, rtol=0)
    off = {sigma: float((depth / 2.0).log().abs().median()) for sigma, depth in depths.items()}
    assert off[100.0] < off[0.2] < off[1e-3]


def test_the_search_stays_before_the_camera():
    scene = near_scene(4, 0.8, vertices=400)
    config = SolveConfig(focals="one", free=("distance",), grid_scales=(0.01, 1.0), distance_sigma=100.0)
    solution = solved(scene, Method(config=config))
    assert (solution.hypotheses_cam_T_obj[..., 2, 3] > 0.5).all()


def test_a_free_distance_leaves_known_cameras_as_they_are():
    """Of an image that is annotated, and of one whose lens is known, next to one with a box."""
    scene = near_scene(3, 2.0, vertices=400)
    poses, K = scene.cam_T_obj.clone(), scene.K.clone()
    poses[1:], K[2] = torch.nan, torch.nan
    rule = camera_rule(scene.mesh, poses, K, scene.box_xyxy)
    config = SolveConfig().by_camera("one", free_distance=True)
    solution = solve(scene.mesh, scene.clutter, scene.features, rule, config)
    places, lenses = solution.cam_T_obj[:, :3, 3], solution.K
    torch.testing.assert_close(places[0], scene.cam_T_obj[0, :3, 3])
    torch.testing.assert_close(lenses[:2], scene.K[:2])
    torch.testing.assert_close(places[1], rule(solution.R_cam_obj[:, None])[0][1, 0, :3, 3])
    assert abs(float(places[2, 2]) - 2.0) < 0.3


def test_a_distance_is_surprising_only_where_a_box_gives_the_camera():
    scene = near_scene(3, 2.0, vertices=400)
    poses, K = scene.cam_T_obj.clone(), scene.K.clone()
    poses[1:], K[2] = torch.nan, torch.nan
    rule = camera_rule(scene.mesh, poses, K, scene.box_xyxy)
    log_scale = torch.full((3,), math.log(2.0))
    expected = torch.tensor([0.0, 0.0, (math.log(2.0) / 0.5) ** 2 / 2])
    torch.testing.assert_close(rule.surprise(log_scale, 0.5), expected)


def test_settings_of_the_distance_and_of_the_focal_lengths_are_checked():
    with pytest.raises(ValueError, match="focals is 'three': name 'one' or 'two'"):
        SolveConfig(focals="three")
    for wrong in ({"distance_sigma": 0.0}, {"grid_scales": (0.5,)}, {"grid_scales": (1.0, 0.0)}):
        with pytest.raises(ValueError, match="above 0"):
            SolveConfig(**wrong)
