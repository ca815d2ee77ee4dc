"""Render-and-compare on perfect features: poses, batches, starts, what is free, confidence, category."""

import math

import pytest
import torch

from pose_models import geometry as g
from pose_models.bench.solve import rendered, smooth_mesh
from pose_models.data.sample import Batch
from pose_models.losses import reconstruction
from pose_models.solve import (
    PRESETS,
    Candidate,
    Scorer,
    SolveConfig,
    View,
    box_camera,
    camera_rule,
    confidence,
    infer_category,
    known_camera,
    solve,
    spread,
)
from pose_models.solve.refine import by_gradient, hypotheses
from pose_models.solve.released import grid_losses
from tests.helpers.solve_scene import HW, IMAGES

DEFAULT = SolveConfig()


def errors_deg(solutions, poses):
    return g.rotation_error_rad(solutions.R_cam_obj, poses[:, :3, :3]).rad2deg()


@pytest.mark.parametrize("refine", ["gradient", "coordinate"])
def test_perfect_features_give_the_poses(mesh, images, camera, poses, refine):
    features, clutter = images
    config = SolveConfig(refine=refine, steps=12 if refine == "gradient" else 40)
    solved = solve(mesh, clutter, features, camera, config)
    assert errors_deg(solved, poses).max() < 1.0
    assert (solved.hypotheses_loss.diff(dim=1) >= 0).all()
    assert torch.equal(solved.hypotheses_cam_T_obj[:, 0], solved.cam_T_obj)
    assert (solved.confidence > 0.9).all()


def test_perfect_features_give_the_poses_from_boxes_alone(mesh, images, boxes, poses, K):
    features, clutter = images
    rule = box_camera(boxes, mesh.outlines, mesh.spec.distance)
    solved = solve(mesh, clutter, features, rule, DEFAULT)
    assert errors_deg(solved, poses).max() < 1.0
    torch.testing.assert_close(solved.K, K, atol=0, rtol=0.03)


def test_a_batch_gives_what_each_image_gives_alone(mesh, images, poses, K, boxes):
    """Half of the batch with its camera, half with its box."""
    features, clutter = images
    mixed = K.clone()
    mixed[::2] = torch.nan
    together = solve(mesh, clutter, features, camera_rule(mesh, poses, mixed, boxes), DEFAULT)
    for i in range(IMAGES):
        one = slice(i, i + 1)
        rule = camera_rule(mesh, poses[one], mixed[one], boxes[one])
        alone = solve(mesh, clutter, features[one], rule, DEFAULT)
        torch.testing.assert_close(alone.cam_T_obj[0], together.cam_T_obj[i], atol=1e-4, rtol=0)
        torch.testing.assert_close(alone.hypotheses_loss[0], together.hypotheses_loss[i], atol=1e-5, rtol=0)
        torch.testing.assert_close(alone.confidence[0], together.confidence[i], atol=1e-4, rtol=0)


def test_cameras_must_be_as_many_as_images(mesh, images, camera):
    with pytest.raises(ValueError, match="2 feature maps, but cameras for 4"):
        solve(mesh, images[1], images[0][:2], camera, DEFAULT)


def test_the_similarity_volume_equals_the_rendered_feature_map(mesh, images, camera):
    """Scores looked up in S equal those of feature maps rendered densely and multiplied cell by cell."""
    features, clutter = images
    scorer = Scorer(mesh, clutter, features)
    R = g.random_rotations(6, torch.Generator().manual_seed(3)).float()
    cam_T_obj, K = camera(R[None])
    looked_up = scorer.losses(torch.arange(IMAGES).repeat_interleave(6), cam_T_obj.flatten(0, 1), K.flatten(0, 1))
    torch.testing.assert_close(looked_up.view(IMAGES, 6), grid_losses(scorer, cam_T_obj, K), atol=1e-5, rtol=0)


def test_the_loss_of_the_paper():
    assert reconstruction(torch.tensor([0.8, 0, 0.1, 0]), torch.tensor([0.2, 0.3, 0.4, 0.1])).item() == pytest.approx(
        0.85
    )


def test_vertices_estimate_the_loss(mesh, images, camera, poses):
    features, clutter = images
    scorer = Scorer(mesh, clutter, features)
    R = torch.cat([poses[:, :3, :3], g.random_rotations(30, torch.Generator().manual_seed(4)).float()])
    cam_T_obj, K = camera(R[None])
    exact = scorer.losses(torch.arange(IMAGES).repeat_interleave(len(R)), cam_T_obj.flatten(0, 1), K.flatten(0, 1))
    estimate = scorer.vertex_losses(cam_T_obj, K)
    off = (estimate - exact.view(IMAGES, -1)).abs()
    assert off.mean() < 0.01
    assert off.max() < 0.1
    assert torch.equal(estimate.argmin(1), torch.arange(IMAGES))


def test_starts_are_spread():
    views = g.viewpoint_grid(DEFAULT.azimuths, DEFAULT.elevations_deg, DEFAULT.thetas_deg)
    assert len(views) == 144
    R = g.rotation_cam_obj(views)
    losses = torch.rand(3, 144, generator=torch.Generator().manual_seed(5))
    chosen = spread(R, losses, 5, math.radians(30))
    assert chosen.shape == (3, 5)
    assert torch.equal(chosen[:, 0], losses.argmin(1))
    for row, loss in zip(chosen, losses, strict=True):
        apart = g.rotation_error_rad(R[row][:, None], R[row][None]).rad2deg() + 180 * torch.eye(5)
        assert apart.min() >= 30 - 0.01
        assert (loss[row].diff() >= 0).all()
    assert spread(R, losses, 5, math.pi + 0.1).shape == (3, 1)


def test_the_grid_is_scored_alike_by_all_means(mesh, images, camera):
    """Without refinement the start is the grid's best pose."""
    features, clutter = images
    found = [
        solve(mesh, clutter, features, camera, SolveConfig(grid_score=score, steps=0, starts=1)).R_cam_obj
        for score in ("cells", "maps")
    ]
    torch.testing.assert_close(found[0], found[1])


@pytest.mark.parametrize("free", [("distance",), ("principal",), ("distance", "principal")])
def test_distance_and_principal_point_are_found_where_they_are_free(mesh, images, poses, K, free):
    features, clutter = images
    distance, wrong = poses[:, :3, 3].clone(), K.clone()
    if "distance" in free:
        distance *= torch.tensor([0.94, 1.06, 1.05, 0.95])[:, None]
    if "principal" in free:
        wrong[:, :2, 2] += torch.tensor([[6.0, 0.0], [-5.0, 4.0], [0.0, -6.0], [4.0, 4.0]])
    given = mesh, clutter, features, known_camera(distance, wrong)
    fixed = solve(*given, SolveConfig(steps=20))
    found = solve(*given, SolveConfig(steps=20, free=free))
    assert (found.loss < fixed.loss).all()
    # One image shows a single side: there a turn and a shift look much alike.
    assert errors_deg(found, poses).max() < 5.0
    assert errors_deg(found, poses).median() < 1.0
    scale = found.cam_T_obj[:, 2, 3] / poses[:, 2, 3]
    shift = found.K[:, :2, 2] - K[:, :2, 2]
    assert (scale - 1).abs().median() < 0.01
    assert shift.abs().median() < 0.5


def test_what_is_free_must_have_a_name():
    with pytest.raises(ValueError, match="free"):
        SolveConfig(free=("focal",))
    with pytest.raises(ValueError, match="at least 1"):
        SolveConfig(starts=0)


def test_an_object_exactly_half_a_turn_off_is_found(mesh, images, camera, poses):
    """The error of pi is real, and the start on the right side wins."""
    half_turn = g.rot_z(torch.tensor(math.pi, dtype=torch.float64))
    R = g.random_rotations(IMAGES, torch.Generator().manual_seed(6))
    errors = g.rotation_error_rad(R @ half_turn, R)
    torch.testing.assert_close(errors, torch.full_like(errors, math.pi), atol=1e-6, rtol=0)
    back = poses[:, :3, :3] @ half_turn.float()
    scorer = Scorer(mesh, images[1], images[0])
    indices = torch.arange(IMAGES)
    ahead, behind = (hypotheses(indices, R, torch.zeros(IMAGES)) for R in (poses[:, :3, :3], back))
    assert (by_gradient(scorer, camera, ahead, DEFAULT).loss < by_gradient(scorer, camera, behind, DEFAULT).loss).all()


def test_an_object_out_of_view_has_the_loss_of_clutter_and_no_confidence(mesh, images, poses, K):
    features, clutter = images
    aside = poses[:, :3, 3] + torch.tensor([50.0, 0.0, 0.0])
    for refine in ("gradient", "coordinate"):
        solved = solve(mesh, clutter, features, known_camera(aside, K), SolveConfig(refine=refine))
        assert torch.equal(solved.loss, torch.ones(IMAGES))
        assert torch.equal(solved.confidence, torch.zeros(IMAGES))
        assert torch.isfinite(solved.cam_T_obj).all()


def test_no_image_is_no_error(mesh, images, camera):
    nothing = torch.empty(0, dtype=torch.int64)
    solved = solve(mesh, images[1], images[0][:0], camera.take(nothing), DEFAULT)
    assert solved.R_cam_obj.shape == (0, 3, 3)


def test_confidence_is_the_mean_over_cells_or_as_released_over_the_positive_ones():
    similarity = torch.tensor([0.9, 0.7, -0.2, 0.5])
    pose = torch.tensor([1, 1, 1, 2])
    torch.testing.assert_close(confidence(similarity, pose, 3), torch.tensor([0.0, 0.466667, 0.5]))
    torch.testing.assert_close(confidence(similarity, pose, 3, "positive"), torch.tensor([0.0, 0.8, 0.5]))


def test_the_category_is_the_one_whose_mesh_explains_the_features(mesh, images, poses, K, boxes):
    features, clutter = images
    other = smooth_mesh(400, 32, torch.Generator().manual_seed(9))
    theirs, _ = rendered(other, poses, K, HW, 0.0, torch.Generator().manual_seed(2))
    mixed = torch.cat([features[:2], theirs[2:]])
    height, width = 8 * HW[0], 8 * HW[1]
    batch = Batch(
        image=torch.zeros(IMAGES, 3, height, width),
        mask=torch.zeros(IMAGES, height, width),
        occluder=torch.zeros(IMAGES, height, width, dtype=torch.bool),
        cam_T_obj=poses,
        K=K,
        box_xyxy=boxes,
        category=[""] * IMAGES,
        key=[""] * IMAGES,
        subset=[""] * IMAGES,
    )
    views = [View(batch=batch, features=mixed)]
    among = [
        Candidate(category=name, mesh=of, clutter=clutter, views=views)
        for name, of in (("mine", mesh), ("other", other))
    ]
    best, solutions, losses = infer_category(among, DEFAULT)
    assert best.tolist() == [0, 0, 1, 1]
    assert errors_deg(solutions, poses).max() < 1.0
    torch.testing.assert_close(losses.amin(1), solutions.loss)


def test_the_released_schedule_finds_the_pose(mesh, images, camera, poses):
    """Its first 60 steps; the whole of it is the yardstick of `pose-models bench solve`."""
    released = PRESETS["released"]
    assert (released.steps, released.starts, released.grid_score) == (300, 1, "maps")
    features, clutter = images
    short = SolveConfig(grid_score="maps", starts=1, refine="released", steps=60)
    solved = solve(mesh, clutter, features[:2], camera.take(torch.arange(2)), short)
    assert errors_deg(solved, poses[:2]).max() < 5.0
    assert solved.hypotheses_loss.shape == (2, 1)
    start = solve(mesh, clutter, features[:2], camera.take(torch.arange(2)), SolveConfig(steps=0, starts=1))
    assert (solved.loss < start.loss).all()
    # Its camera centre is free: the distance drifts.
    assert not torch.equal(solved.cam_T_obj[:, 2, 3], poses[:2, 2, 3])
