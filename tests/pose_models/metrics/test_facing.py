"""The side that an image shows, whatever the elevation and the turn in the image plane."""

import math

import pytest
import torch

from pose_models.geometry import rotation_cam_obj
from pose_models.metrics import summary
from pose_models.metrics.facing import FACINGS, facings
from pose_models.report.write import summary_tables
from tests.helpers.predictions import made_predictions


@pytest.mark.parametrize(
    ("name", "azimuths_deg"),
    [
        ("front", (0, 22, -22, 360, 338)),
        ("front quarter", (23, 67, -23, -67, 315)),
        ("side", (68, 90, 112, 270, -90)),
        ("rear quarter", (113, 157, 203, 225, -113)),
        ("rear", (158, 180, 202, -180)),
    ],
)
def test_the_side_follows_the_azimuth(name, azimuths_deg):
    views = [
        (math.radians(a), math.radians(e), math.radians(t)) for a in azimuths_deg for e in (-30, 10) for t in (0, 40)
    ]
    assert name in FACINGS
    assert facings(rotation_cam_obj(torch.tensor(views, dtype=torch.float64))) == [name] * len(views)


def test_an_evaluation_tells_the_sides_apart_in_their_order():
    predictions = made_predictions()
    result = summary(predictions, resamples=20)
    rows = summary_tables(result, "model")["facing"].rows
    assert [row[0] for row in rows] == [name for name in FACINGS if name in result.per_facing["model"].groups]
    assert sum(int(row[-1]) for row in rows) == len(predictions)
    assert result.as_dict()["per_facing"].keys() == result.as_dict()["per_category"].keys()
