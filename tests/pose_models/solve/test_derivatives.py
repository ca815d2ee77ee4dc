"""Derivatives of losses and of box cameras, in double precision, at poses away from the answer."""

import pytest
import torch

from pose_models import geometry as g
from pose_models.bench.solve import smooth_mesh
from pose_models.solve import Scorer, SolveConfig, box_camera, known_camera
from pose_models.solve.refine import by_gradient, hypotheses, image_motion
from pose_models.solve.released import map_losses
from tests.helpers.solve_scene import IMAGES


@pytest.fixture
def at(mesh, images, camera, boxes, poses):
    exact = smooth_mesh(400, 32, torch.Generator().manual_seed(0)).double()
    features, clutter = (x.double() for x in images)
    turn = g.rotation_about(torch.tensor([[0.6, 0.0, 0.8]]), torch.tensor([0.12]))
    R = (turn @ poses[:, :3, :3]).double()
    known = known_camera(poses[:, :3, 3].double(), camera.K.double())
    boxed = box_camera(boxes.double(), exact.outlines, exact.spec.distance)
    start = hypotheses(torch.arange(IMAGES), R, torch.zeros(IMAGES, dtype=torch.float64))
    return Scorer(exact, clutter, features), {"known": known, "box": boxed}, start


@pytest.mark.parametrize("rule", ["known", "box"])
def test_gradient_equals_finite_differences(at, rule):
    scorer, rules, start = at
    config = SolveConfig(free=("distance", "principal"))
    camera = rules[rule]
    cam_T_obj, K = start.cameras(camera)
    slopes = camera.K_slopes(start.R) if rule == "box" else None
    linear = scorer.linearised(start.images, cam_T_obj, K, image_motion(cam_T_obj, K, slopes, config))
    torch.testing.assert_close(linear.loss, scorer.losses(start.images, cam_T_obj, K))
    assert (torch.linalg.eigvalsh(linear.hessian) > 0).all()
    step = 1e-7
    for parameter in range(6):
        ends = []
        for sign in (1, -1):
            moved = moved_by(start, parameter, sign * step)
            ends.append(scorer.losses(start.images, *moved.cameras(camera)))
        slope = (ends[0] - ends[1]) / (2 * step)
        torch.testing.assert_close(linear.gradient[:, parameter], slope, atol=2e-6, rtol=1e-4)


def moved_by(start, parameter, amount):
    R, log_scale, shift = start.R, start.log_scale.clone(), start.shift_px.clone()
    if parameter < 3:
        axis = torch.eye(3, dtype=R.dtype)[parameter : parameter + 1]
        R = g.rotation_about(axis, torch.tensor([amount], dtype=R.dtype)) @ R
    elif parameter == 3:
        log_scale += amount
    else:
        shift[:, parameter - 4] += amount
    return type(start)(images=start.images, R=R, log_scale=log_scale, shift_px=shift, loss=start.loss)


def test_gradient_equals_that_through_rendered_maps(at):
    """The published way, differentiating whole feature maps, has the same gradient."""
    scorer, rules, start = at
    camera = rules["known"]
    cam_T_obj, K = start.cameras(camera)
    linear = scorer.linearised(start.images, cam_T_obj, K, image_motion(cam_T_obj, K, None, SolveConfig()))
    generators = torch.linalg.cross(torch.eye(3)[:, None], torch.eye(3)[None]).mT.double()
    turn = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    R = torch.linalg.matrix_exp((turn[:, None, None] * generators).sum(0)) @ start.R[0]
    loss = map_losses(scorer, 0, g.pose(R, cam_T_obj[0, :3, 3])[None], K[:1])
    torch.testing.assert_close(torch.autograd.grad(loss.sum(), turn)[0], linear.gradient[0], atol=1e-9, rtol=1e-6)


def test_refinement_never_raises_the_loss(at):
    scorer, rules, start = at
    before = scorer.losses(start.images, *start.cameras(rules["known"]))
    after = by_gradient(scorer, rules["known"], start, SolveConfig())
    assert (after.loss < before).all()
    torch.testing.assert_close(after.loss, scorer.losses(after.images, *after.cameras(rules["known"])))


def test_box_camera_changes_as_its_slopes_say(mesh, boxes, poses):
    rule = box_camera(boxes.double(), mesh.outlines.double(), mesh.spec.distance)
    R = poses[:, :3, :3].double()
    slopes = rule.K_slopes(R)
    for i, axis in enumerate(torch.eye(3, dtype=torch.float64)):
        turns = [g.rotation_about(axis[None], torch.tensor([angle]).double()) @ R for angle in (1e-6, -1e-6)]
        plus, minus = (rule(turn[:, None])[1][:, 0] for turn in turns)
        torch.testing.assert_close(slopes[:, i], (plus - minus) / 2e-6, atol=1e-3, rtol=1e-6)


def test_box_camera_gives_the_mean_projected_outline_the_box(mesh):
    corners = mesh.outlines[0]
    outlines = torch.stack([corners, corners * torch.tensor([0.8, 1.0, 0.7])])
    box = torch.tensor([[20.0, 30.0, 220.0, 130.0], [10.0, 5.0, 60.0, 45.0]])
    R = g.random_rotations(30, torch.Generator().manual_seed(1)).float()
    pose, cameras = box_camera(box, outlines, 5.0)(R[None])
    assert cameras.shape == (2, 30, 3, 3)
    pixels = torch.stack([g.project(g.transform(pose, points), cameras) for points in outlines])
    low, high = pixels.amin(-2).mean(0), pixels.amax(-2).mean(0)
    torch.testing.assert_close(torch.cat([low, high], -1), box[:, None].expand(2, 30, 4), atol=1e-2, rtol=0)
    torch.testing.assert_close(pose[..., :3, 3], torch.tensor([0.0, 0.0, 5.0]).expand(2, 30, 3))
