"""Metrics, chance rows and confusions."""

import math

import numpy as np
import pytest
import torch

from pose_models.geometry import random_rotations, rotation_cam_obj, rotation_error_rad
from pose_models.metrics import confusions, most_frequent_rotation, pose_metrics, random_rotation_metrics


def rotations(*views_deg):
    return rotation_cam_obj(torch.tensor(views_deg, dtype=torch.float64).deg2rad())


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
