"""Errors of objects that look the same after a turn about z."""

import math

import numpy as np
import pytest
import torch

from pose_models.geometry import random_rotations, rot_z, rotation_cam_obj, rotation_error_rad
from pose_models.metrics import symmetric_error_rad

torch.set_num_threads(1)


def pairs(count):
    return (random_rotations(count, torch.Generator().manual_seed(seed)) for seed in (1, 2))


def orders(value, count):
    return torch.full((count,), value, dtype=torch.int64)


def test_order_1_is_the_plain_error():
    a, b = pairs(200)
    np.testing.assert_allclose(symmetric_error_rad(a, b, orders(1, 200)), rotation_error_rad(a, b), atol=1e-7)


@pytest.mark.parametrize("order", [2, 3, 4, 7])
def test_turns_of_the_group_change_nothing(order):
    a, b = pairs(200)
    error = symmetric_error_rad(a, b, orders(order, 200))
    for k in range(order):
        turn = rot_z(torch.tensor(2 * math.pi * k / order, dtype=torch.float64))
        np.testing.assert_allclose(symmetric_error_rad(a @ turn, b, orders(order, 200)), error, atol=1e-7)
        np.testing.assert_allclose(symmetric_error_rad(a, b @ turn, orders(order, 200)), error, atol=1e-7)
        assert bool((error <= rotation_error_rad(a @ turn, b) + 1e-12).all())
    np.testing.assert_allclose(symmetric_error_rad(b, a, orders(order, 200)), error, atol=1e-7)


def test_any_angle_is_the_least_over_all_angles():
    a, b = pairs(100)
    turns = rot_z(torch.linspace(0, 2 * math.pi, 20_001, dtype=torch.float64))
    brute = torch.stack([rotation_error_rad(R, S @ turns).amin() for R, S in zip(a, b, strict=True)])
    found = symmetric_error_rad(a, b, orders(0, 100))
    # between two of the angles the error rises by the half step at most
    assert bool((found <= brute + 1e-9).all())
    np.testing.assert_allclose(found, brute, atol=math.pi / 20_000, rtol=0)


def test_a_fine_group_tends_to_any_angle_and_order_never_hurts():
    a, b = pairs(100)
    errors = {order: symmetric_error_rad(a, b, orders(order, 100)) for order in (0, 1, 2, 4, 8, 1024)}
    np.testing.assert_allclose(errors[1024], errors[0], atol=math.pi / 1024, rtol=0)
    for coarse, fine in ((1, 2), (2, 4), (4, 8), (8, 1024), (1024, 0)):
        assert bool((errors[fine] <= errors[coarse] + 1e-9).all())


def test_each_image_has_its_own_order():
    a, b = pairs(6)
    mixed = torch.tensor([0, 1, 2, 2, 1, 0])
    alone = [symmetric_error_rad(a[i : i + 1], b[i : i + 1], mixed[i : i + 1]) for i in range(6)]
    np.testing.assert_allclose(symmetric_error_rad(a, b, mixed), torch.cat(alone), atol=1e-7)


@pytest.mark.parametrize(
    ("order", "predicted", "error_deg"),
    [(0, (250, 10, 0), 0), (0, (250, 40, 0), 30), (2, (180, 0, 0), 0), (2, (90, 0, 0), 90), (2, (200, 0, 0), 20)],
)
def test_worked_cases(order, predicted, error_deg):
    views = torch.tensor([predicted, (0, 10 if order == 0 else 0, 0)], dtype=torch.float64).deg2rad()
    R = rotation_cam_obj(views)
    error = symmetric_error_rad(R[:1], R[1:], torch.tensor([order]))
    assert math.degrees(float(error)) == pytest.approx(error_deg, abs=1e-6)


def test_upside_down_is_pi_to_full_precision_and_nan_stays():
    R = rotation_cam_obj(torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.0, math.pi]], dtype=torch.float64))
    assert float(symmetric_error_rad(R[:1], R[1:], torch.tensor([0]))) == pytest.approx(math.pi, abs=1e-12)
    nan = torch.full((3, 3, 3), math.nan, dtype=torch.float64)
    truth = random_rotations(3, torch.Generator().manual_seed(0))
    assert bool(symmetric_error_rad(nan, truth, torch.tensor([0, 1, 2])).isnan().all())


def test_negative_order_is_refused():
    R = torch.eye(3, dtype=torch.float64)[None]
    with pytest.raises(ValueError, match="0 for any angle"):
        symmetric_error_rad(R, R, torch.tensor([-1]))
