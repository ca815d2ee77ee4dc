"""Metrics, chance rows and confusions."""

import math

import numpy as np
import pytest
import torch

from pose_models.geometry import random_rotations, rotation_cam_obj, rotation_error_rad
from pose_models.metrics import (
    confusions,
    haar_share_below,
    most_frequent_rotation,
    pose_metrics,
    random_rotation_metrics,
)

torch.set_num_threads(1)


def rotations(*views_deg):
    return rotation_cam_obj(torch.tensor(views_deg, dtype=torch.float64).deg2rad())


def error_deg(a, b):
    return math.degrees(float(rotation_error_rad(*rotations(a, b))))


def test_error_is_a_metric_that_no_common_turn_changes():
    a, b, c, turn = (random_rotations(200, torch.Generator().manual_seed(i)) for i in range(4))
    error = rotation_error_rad(a, b)
    np.testing.assert_allclose(error, rotation_error_rad(b, a), atol=1e-7)
    np.testing.assert_allclose(error, rotation_error_rad(turn @ a, turn @ b), atol=1e-7)
    np.testing.assert_allclose(error, rotation_error_rad(a @ turn, b @ turn), atol=1e-7)
    assert bool((error <= rotation_error_rad(a, c) + rotation_error_rad(c, b) + 1e-12).all())
    np.testing.assert_allclose(rotation_error_rad(a, a), torch.zeros(200, dtype=torch.float64), atol=1e-7)


def test_error_of_mirrored_pictures_is_the_same():
    view, other = (25.0, 12.0, 7.0), (-140.0, 35.0, -20.0)
    mirrored = [(-a, e, -t) for a, e, t in (view, other)]
    assert error_deg(*mirrored) == pytest.approx(error_deg(view, other), abs=1e-9)


@pytest.mark.parametrize("turned", [(10, 0, 0), (0, 10, 0), (0, 0, 10)])
def test_one_angle_off_by_10_degrees_is_an_error_of_10_degrees(turned):
    assert error_deg((0, 0, 0), turned) == pytest.approx(10.0, abs=1e-9)


def test_worked_errors():
    assert error_deg((0, 0, 0), (10, 10, 10)) == pytest.approx(16.786508, abs=1e-6)
    assert error_deg((0, 90, 0), (90, 90, 0)) == pytest.approx(90.0, abs=1e-9)


def test_half_turns_are_real_and_pi():
    axes = torch.nn.functional.normalize(torch.randn(50, 3, generator=torch.Generator().manual_seed(0)).double(), dim=1)
    half_turns = 2 * axes[:, :, None] * axes[:, None] - torch.eye(3, dtype=torch.float64)
    start = random_rotations(50, torch.Generator().manual_seed(1))
    error = rotation_error_rad(start, start @ half_turns)
    assert error.is_floating_point()
    # the chord is flat there: an ulp of it is 1e-8 rad
    np.testing.assert_allclose(error, torch.full_like(error, math.pi), atol=1e-7, rtol=0)
    assert float(rotation_error_rad(torch.eye(3), torch.diag(torch.tensor([-1.0, -1.0, 1.0])))) == pytest.approx(
        math.pi
    )


def test_haar_shares():
    assert haar_share_below(math.pi / 6) == pytest.approx(0.0075117, abs=5e-8)
    assert haar_share_below(math.pi / 18) == pytest.approx(0.0002816, abs=5e-8)
    assert (haar_share_below(0.0), haar_share_below(math.pi)) == (0.0, 1.0)


def test_thresholds_are_strict_and_nan_is_a_half_turn():
    errors = torch.tensor([0.0, math.pi / 18, math.pi / 6, math.nan], dtype=torch.float64)
    found = pose_metrics(errors)
    assert (found.acc_pi_6, found.acc_pi_18, found.n) == (0.5, 0.25, 4)
    assert found.median_deg == pytest.approx(20.0)
    assert pose_metrics(torch.tensor([math.nan])).median_deg == pytest.approx(180.0)
    with pytest.raises(ValueError, match="no image"):
        pose_metrics(torch.empty(0))


def test_a_half_turn_is_counted_as_pi():
    error = rotation_error_rad(*rotations((0, 0, 0), (180, 0, 0)))
    found = pose_metrics(error[None])
    assert (found.acc_pi_6, found.acc_pi_18) == (0.0, 0.0)
    assert found.median_deg == pytest.approx(180.0, abs=1e-5)


def test_chance_row_equals_sampling():
    exact = random_rotation_metrics(7)
    assert exact.acc_pi_6 == pytest.approx(0.0075117, abs=1e-7)
    assert exact.n == 7
    R = random_rotations(40_000, torch.Generator().manual_seed(0))
    sampled = pose_metrics(rotation_error_rad(R, rotations((40, 10, 5))))
    assert sampled.acc_pi_6 == pytest.approx(exact.acc_pi_6, abs=0.002)
    assert sampled.median_deg == pytest.approx(exact.median_deg, abs=1.0)


def test_most_frequent_rotation_is_the_middle_of_the_largest_cluster():
    R = rotations((0, 0, 0), (100, 0, 0), (122, 0, 0), (144, 0, 0), (200, 0, 0), (201, 0, 0))
    assert torch.equal(most_frequent_rotation(R), R[2])


@pytest.mark.parametrize(
    ("predicted", "name"),
    [
        ((45, 12, 0), "none"),
        ((220, 10, 0), "front/back flip"),
        ((-40, 5, 0), "side mirror"),
        ((135, 10, 0), "quarter turn"),
        ((-58, 10, 0), "side mirror"),
        ((40, 10, 90), "other"),
    ],
)
def test_confusions(predicted, name):
    shares = confusions(rotations(predicted), rotations((45, 10, 0)))
    assert shares[name] == 1.0
    assert sum(shares.values()) == pytest.approx(1.0)


def test_confusion_shares_are_of_all_images():
    shares = confusions(rotations((0, 0, 0), (180, 0, 0)), rotations((0, 0, 0), (0, 0, 0)))
    assert (shares["none"], shares["front/back flip"]) == (0.5, 0.5)
    assert np.isclose(sum(shares.values()), 1.0)
