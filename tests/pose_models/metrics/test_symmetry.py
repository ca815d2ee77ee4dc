"""Errors of objects that look the same after turns about their axes."""

import math

import numpy as np
import pytest
import torch

from p3d_gen.core.symmetry import Symmetry, rotation_about
from pose_models.geometry import random_rotations, rot_z, rotation_cam_obj, rotation_error_rad
from pose_models.metrics import canonical_rotations, symmetric_error_rad, symmetry_error_rad

torch.set_num_threads(1)
NONE = Symmetry.NONE
BALL = Symmetry.parse(["z:0", "x:0"])
FINITE = [["z:2"], ["z:7"], ["1,2,0:3"], ["x:2", "y:2"], ["z:4", "x:2"], ["x:4", "y:4"], ["z:2", [1, 1, 1, 3]]]
ENDLESS = [["z:0"], ["z:0", "x:2"], ["y:0"], ["1,-1,2:0"], ["1,-1,2:0", "1,1,0:2"]]


def pairs(count):
    return (random_rotations(count, torch.Generator().manual_seed(seed)) for seed in (1, 2))


def of(order):
    return Symmetry.of_order(order)


def test_no_symmetry_is_the_plain_error():
    a, b = pairs(200)
    assert torch.equal(symmetric_error_rad(a, b, [NONE] * 200), rotation_error_rad(a, b))


@pytest.mark.parametrize("turns", FINITE)
def test_a_finite_symmetry_is_the_least_over_its_turns(turns):
    a, b = pairs(200)
    symmetry = Symmetry.parse(turns)
    brute = torch.stack([rotation_error_rad(a, b @ torch.tensor(turn)) for turn in symmetry.group]).amin(dim=0)
    np.testing.assert_allclose(symmetry_error_rad(a, b, symmetry), brute, atol=1e-12)


@pytest.mark.parametrize("turns", ENDLESS)
def test_a_continuous_axis_is_the_least_over_all_angles(turns):
    a, b = pairs(60)
    symmetry = Symmetry.parse(turns)
    angles = np.linspace(0, 2 * np.pi, 4001)
    steps = np.stack([rotation_about(symmetry.continuous_axis, angle) for angle in angles])
    group = torch.tensor((steps[:, None] @ symmetry.group).reshape(-1, 3, 3))
    brute = torch.stack([rotation_error_rad(R, S @ group).amin() for R, S in zip(a, b, strict=True)])
    exact = symmetry_error_rad(a, b, symmetry)
    # between two of the angles the error rises by the half step at most
    assert bool((exact <= brute + 1e-9).all())
    np.testing.assert_allclose(exact, brute, atol=math.pi / 4000, rtol=0)


@pytest.mark.parametrize("turns", [*FINITE, *ENDLESS])
def test_turns_of_the_group_change_nothing(turns):
    a, b = pairs(100)
    symmetry = Symmetry.parse(turns)
    error = symmetry_error_rad(a, b, symmetry)
    elements = list(symmetry.group)
    if symmetry.continuous_axis:
        elements += [rotation_about(symmetry.continuous_axis, angle) @ elements[-1] for angle in (0.3, 2.0, 4.5)]
    for turn in map(torch.tensor, elements):
        np.testing.assert_allclose(symmetry_error_rad(a @ turn, b, symmetry), error, atol=1e-7)
        np.testing.assert_allclose(symmetry_error_rad(a, b @ turn, symmetry), error, atol=1e-7)
        assert bool((error <= rotation_error_rad(a @ turn, b) + 1e-12).all())
    np.testing.assert_allclose(symmetry_error_rad(b, a, symmetry), error, atol=1e-7)


@pytest.mark.parametrize("turns", [[], *FINITE, *ENDLESS, ["z:0", "x:0"]])
def test_all_that_show_the_same_have_one_canonical_rotation(turns):
    a, _ = pairs(50)
    symmetry, front = Symmetry.parse(turns), rotation_cam_obj(torch.tensor([0.1, 0.05, 0.0], dtype=torch.float64))
    canonical = canonical_rotations(a, symmetry, front)
    assert symmetry_error_rad(canonical, a, symmetry).max() < 1e-6
    elements = list(symmetry.group)
    if symmetry.continuous_axis:
        elements += [rotation_about(symmetry.continuous_axis, angle) @ elements[-1] for angle in (0.3, 2.0, 4.5)]
    for turn in map(torch.tensor, elements):
        np.testing.assert_allclose(canonical_rotations(a @ turn, symmetry, front), canonical, atol=1e-9)
    for turn in map(torch.tensor, elements):
        assert bool((rotation_error_rad(canonical, front) <= rotation_error_rad(a @ turn, front) + 1e-9).all())


def test_a_sphere_has_no_error():
    a, b = pairs(20)
    assert symmetry_error_rad(a, b, BALL).tolist() == [0.0] * 20


def test_a_fine_group_tends_to_any_angle_and_order_never_hurts():
    a, b = pairs(100)
    errors = {order: symmetry_error_rad(a, b, of(order)) for order in (0, 1, 2, 4, 8, 360)}
    np.testing.assert_allclose(errors[360], errors[0], atol=math.pi / 360, rtol=0)
    for coarse, fine in ((1, 2), (2, 4), (4, 8), (8, 360), (360, 0)):
        assert bool((errors[fine] <= errors[coarse] + 1e-9).all())


def test_each_image_has_its_own_symmetry():
    a, b = pairs(6)
    mixed = [of(0), NONE, Symmetry.parse(["x:2", "y:2"]), of(2), NONE, BALL]
    alone = [symmetric_error_rad(a[i : i + 1], b[i : i + 1], [mixed[i]]) for i in range(6)]
    np.testing.assert_allclose(symmetric_error_rad(a, b, mixed), torch.cat(alone), atol=1e-12)


def test_many_dimensions_broadcast():
    a, b = pairs(5)
    for symmetry in map(Symmetry.parse, [["z:4", "x:2"], ["z:0", "x:2"], ["z:0", "x:0"], []]):
        errors = symmetry_error_rad(a[:, None], b[None], symmetry)
        assert errors.shape == (5, 5)
        np.testing.assert_allclose(errors.diagonal(), symmetry_error_rad(a, b, symmetry), atol=1e-12)


@pytest.mark.parametrize(
    ("azimuth_deg", "order", "expected_deg"),
    [(180, 2, 0), (180, 1, 180), (90, 2, 90), (90, 4, 0), (130, 2, 50), (77, 0, 0)],
)
def test_turns_about_the_objects_axis(azimuth_deg, order, expected_deg):
    views = torch.tensor([[math.radians(azimuth_deg), 0.3, 0.1], [0.0, 0.3, 0.1]], dtype=torch.float64)
    R = rotation_cam_obj(views)
    error = symmetry_error_rad(R[:1], R[1:], of(order))
    assert math.degrees(float(error)) == pytest.approx(expected_deg, abs=1e-5)


def test_precision_at_the_ends_and_without_a_pose():
    R = torch.stack(
        [torch.eye(3, dtype=torch.float64), torch.diag(torch.tensor([1.0, -1.0, -1.0], dtype=torch.float64))]
    )
    assert float(symmetry_error_rad(R[:1], R[1:], of(0))) == pytest.approx(math.pi, abs=1e-12)
    near = R[:1] @ rot_z(torch.tensor(1e-9, dtype=torch.float64))
    assert float(symmetry_error_rad(near, R[:1], of(2))) == pytest.approx(1e-9, rel=1e-3)
    nan, truth = torch.full((4, 3, 3), torch.nan, dtype=torch.float64), R[:1].expand(4, 3, 3)
    assert bool(symmetric_error_rad(nan, truth, [of(0), NONE, of(2), BALL]).isnan().all())


def test_one_symmetry_for_each_rotation_is_needed():
    a, b = pairs(3)
    with pytest.raises(ValueError, match="2 symmetries of 3 rotations"):
        symmetric_error_rad(a, b, [NONE, NONE])
