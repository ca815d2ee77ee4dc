"""Derivatives of losses and of box cameras, in double precision, at poses away from the answer."""

from dataclasses import replace

import pytest
import torch

from pose_models import geometry as g
from pose_models.bench.solve import smooth_mesh
from pose_models.solve import Scorer, SolveConfig, box_camera, camera_rule, known_camera
from pose_models.solve.refine import by_gradient, hypotheses, image_motion
from pose_models.solve.released import map_losses
from tests.helpers.solve_scene import IMAGES


@pytest.fixture
def at(mesh, images, camera, boxes, poses):
    exact = smooth_mesh(400, 32, torch.Generator().manual_seed(0)).double()
    features, clutter = (x.double() for x in images)
    turn = g.rotation_about(torch.tensor([[0.6, 0.0, 0.8]]), torch.tensor([0.12]))
    R = (turn @ poses[:, :3, :3]).double()
    K, nowhere = camera.K.double(), torch.full_like(poses, torch.nan).double()
    rules = {
        "known": known_camera(poses[:, :3, 3].double(), K),
        "box": box_camera(boxes.double(), exact.outlines, exact.spec.distance),
        "box, one focal length": box_camera(boxes.double(), exact.outlines, exact.spec.distance, "one"),
        "lens": replace(camera_rule(exact, nowhere, K, boxes.double()), held=False),
    }
    log_scale = torch.linspace(-0.02, 0.03, IMAGES, dtype=torch.float64)
    start = hypotheses(torch.arange(IMAGES), R, torch.zeros(IMAGES, dtype=torch.float64), log_scale)
    return Scorer(exact, clutter, features), rules, start


@pytest.mark.parametrize("rule", ["known", "box", "box, one focal length", "lens"])
def test_gradient_equals_finite_differences(at, rule):
    scorer, rules, start = at
    config = SolveConfig(free=("distance", "principal"))
    camera = rules[rule]
    cam_T_obj, K = start.cameras(camera)
    slopes = camera.K_slopes(start.R, start.log_scale), camera.translation_slopes(start.R, start.log_scale)
    motion = image_motion(cam_T_obj, K, slopes[0], config, slopes[1])
    linear = scorer.linearised(start.images, cam_T_obj, K, motion)
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


def turned(R, axis, angle):
    return g.rotation_about(torch.eye(3, dtype=R.dtype)[axis : axis + 1], torch.tensor([angle], dtype=R.dtype)) @ R


@pytest.mark.parametrize("focals", ["one", "two"])
@pytest.mark.parametrize("distance", [5.0, 0.8])
def test_box_camera_changes_as_its_slopes_say(mesh, boxes, poses, focals, distance):
    rule = box_camera(boxes.double(), mesh.outlines.double(), distance, focals)
    R, log_scale = poses[:, :3, :3].double(), torch.linspace(-0.1, 0.3, IMAGES, dtype=torch.float64)
    slopes = rule.K_slopes(R, log_scale)
    for i in range(4):
        turns = [turned(R, i, angle) if i < 3 else R for angle in (1e-6, -1e-6)]
        scales = [log_scale + (angle if i == 3 else 0) for angle in (1e-6, -1e-6)]
        plus, minus = (rule(R[:, None], s[:, None])[1][:, 0] for R, s in zip(turns, scales, strict=True))
        torch.testing.assert_close(slopes[:, i], (plus - minus) / 2e-6, atol=1e-3, rtol=1e-6)


@pytest.mark.parametrize("depth", [5.0, 1.0])
def test_a_place_changes_as_its_slopes_say(mesh, poses, depth):
    """The object stands off the optical axis of a known lens."""
    rule, R, _ = behind_a_lens(mesh.double(), poses, depth)
    mesh.float()
    slopes = rule.translation_slopes(R)
    for i in range(3):
        plus, minus = (rule(turned(R, i, angle)[:, None])[0][:, 0, :3, 3] for angle in (1e-6, -1e-6))
        torch.testing.assert_close(slopes[:, i], (plus - minus) / 2e-6, atol=1e-7, rtol=1e-5)


def behind_a_lens(mesh, poses, depth):
    """The rule for objects at a depth, off the axis, whose lens and boxes are known; true rotations and
    translations."""
    K = torch.tensor([[300.0, 0, 100], [0, 300, 80], [0, 0, 1]]).double().expand(IMAGES, 3, 3)
    R = poses[:, :3, :3].double()
    t = depth * torch.tensor([[0.3, -0.2, 1.0], [0.0, 0.0, 1.0], [-0.4, 0.1, 1.0], [0.2, 0.5, 1.0]]).double()
    pixels = g.project(g.transform(g.pose(R, t), mesh.outlines[0]), K)
    box = torch.cat([pixels.amin(1), pixels.amax(1)], dim=1)
    nowhere = torch.full((IMAGES, 4, 4), torch.nan, dtype=torch.float64)
    return camera_rule(mesh, nowhere, K, box), R, t


@pytest.mark.parametrize("depth", [0.7, 0.8, 1.0, 2.0, 30.0])
def test_with_a_known_lens_the_box_tells_the_place(mesh, poses, depth):
    rule, R, t = behind_a_lens(mesh.double(), poses, depth)
    mesh.float()
    cam_T_obj, K = rule(R[:, None])
    torch.testing.assert_close(cam_T_obj[:, 0, :3, 3], t, atol=1e-8, rtol=1e-8)
    assert torch.equal(K[:, 0], rule.K)


def test_with_a_known_lens_every_rotation_has_a_place_with_the_box(mesh, poses):
    rule, _, _ = behind_a_lens(mesh.double(), poses, 0.8)
    R = g.random_rotations(200, torch.Generator().manual_seed(3))
    cam_T_obj, K = rule(R[None])
    pixels = g.project(g.transform(cam_T_obj, mesh.outlines[0].double()), K)
    mesh.float()
    low, high = pixels.amin(-2), pixels.amax(-2)
    box = rule.box_xyxy[:, None].expand(-1, 200, -1)
    torch.testing.assert_close((low + high) / 2, (box[..., :2] + box[..., 2:]) / 2, atol=1e-6, rtol=0)
    torch.testing.assert_close((high - low).prod(-1), (box[..., 2:] - box[..., :2]).prod(-1), atol=0, rtol=1e-6)
    assert (pixels.isfinite()).all()


def test_one_focal_length_gives_the_box_its_middle_and_its_area(mesh):
    box = torch.tensor([[20.0, 30.0, 220.0, 130.0], [10.0, 5.0, 60.0, 45.0]])
    R = g.random_rotations(30, torch.Generator().manual_seed(1)).float()
    log_scale = torch.linspace(-0.2, 0.4, 60).view(2, 30)
    pose, cameras = box_camera(box, mesh.outlines, 1.2, "one")(R[None], log_scale)
    assert torch.equal(cameras[..., 0, 0], cameras[..., 1, 1])
    torch.testing.assert_close(pose[..., 2, 3], 1.2 * log_scale.exp())
    pixels = g.project(g.transform(pose, mesh.outlines[0]), cameras)
    low, high = pixels.amin(-2), pixels.amax(-2)
    torch.testing.assert_close((low + high) / 2, ((box[:, :2] + box[:, 2:]) / 2)[:, None].expand(2, 30, 2))
    area = (box[:, 2:] - box[:, :2]).prod(-1)[:, None].expand(2, 30)
    torch.testing.assert_close((high - low).prod(-1), area)


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
