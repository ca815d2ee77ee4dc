"""Predictions in files, and the summary of a list of them."""

import json
import math

import numpy as np
import pytest
import torch

from p3d_gen.core.symmetry import Symmetry
from pose_models.metrics import PoseMetrics, prediction_errors, random_rotation_metrics, summary
from pose_models.prediction import Prediction, read_predictions, write_predictions
from tests.helpers.predictions import made_predictions, predicted, rotation, unsolved

torch.set_num_threads(1)


def test_predictions_come_back_to_the_bit(tmp_path):
    written = [*made_predictions(20, subsets=("snow", "")), unsolved(category="Straße", key="weiß")]
    path = tmp_path / "predictions.jsonl"
    write_predictions(path, written)
    read = read_predictions(path)
    assert len(path.read_text().splitlines()) == len(read) == 21
    for a, b in zip(written, read, strict=True):
        for name in Prediction.__dataclass_fields__:
            np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    assert [p.solved for p in read] == [True] * 20 + [False]


def test_files_hold_neither_nan_nor_null(tmp_path):
    write_predictions(tmp_path / "p.jsonl", [unsolved()])
    text = (tmp_path / "p.jsonl").read_text()
    assert "NaN" not in text
    assert "null" not in text
    assert json.loads(text)["solved"] is False


@pytest.mark.parametrize(
    ("break_line", "message"),
    [
        (lambda line: line[:-5], "line 2: Expecting|line 2: Unterminated|line 2: .*delimiter"),
        (lambda line: line.replace('"loss"', '"lost"'), "line 2: no field 'loss'"),
        (lambda line: line.replace('"solved": true', '"solved": true, "R_true": [[1, 2], [3, 4]]'), "line 2: .*R_true"),
    ],
)
def test_broken_lines_are_named(tmp_path, break_line, message):
    path = tmp_path / "p.jsonl"
    write_predictions(path, made_predictions(3))
    lines = path.read_text().splitlines()
    lines[1] = break_line(lines[1])
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(ValueError, match=message):
        read_predictions(path)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"R_true": np.full((3, 3), np.nan)}, "R_true .* is not a rotation"),
        ({"R_true": np.diag([1.0, 1.0, -1.0])}, "R_true .* is not a rotation"),
        ({"R_predicted": 2 * np.eye(3)}, "R_predicted .* is not a rotation"),
        ({"R_predicted": np.eye(3, dtype=np.float32)}, "float64"),
        ({"R_predicted": np.where(np.eye(3) > 0, 1.0, np.nan)}, "R_predicted .* is not a rotation"),
        ({"confidence": math.nan}, "not finite"),
        ({"loss": math.inf}, "not finite"),
    ],
)
def test_what_is_no_prediction(fields, message):
    with pytest.raises(ValueError, match=f"x: .*{message}"):
        predicted("x", **({"R_true": np.eye(3), "R_predicted": np.eye(3)} | fields))


def test_errors_with_and_without_symmetry():
    turned = [predicted(c, rotation(0), rotation(180), category=c) for c in ("car", "diningtable", "bottle", "box")]
    symmetries = {name: Symmetry.of_order(order) for name, order in (("car", 1), ("diningtable", 2), ("bottle", 0))}
    np.testing.assert_allclose(np.degrees(prediction_errors(turned)), 180, atol=1e-5)
    np.testing.assert_allclose(np.degrees(prediction_errors(turned, symmetries)), [180, 0, 0, 180], atol=1e-5)
    assert math.isnan(float(prediction_errors([unsolved()])[0]))


def test_summary_rows_and_groups():
    found = summary(made_predictions(60), resamples=50)
    assert list(found.rows) == ["model", "model, symmetry-aware", "chance: random rotation"]
    assert found.rows["chance: random rotation"] == random_rotation_metrics(60)
    assert list(found.per_category["model"].groups) == ["bottle", "car", "diningtable"]
    assert found.as_dict()["symmetry_order"] == {"bottle": 0, "car": 1, "diningtable": 2}
    assert found.as_dict()["symmetries"] == {"bottle": ["z:0"], "car": [], "diningtable": ["z:2"]}
    plain, aware = found.per_category["model"], found.per_category["model, symmetry-aware"]
    assert plain.groups["car"] == aware.groups["car"]
    assert aware.groups["bottle"].acc_pi_6 == aware.groups["diningtable"].acc_pi_6 == 1.0
    assert plain.groups["bottle"].acc_pi_6 < 1.0
    assert found.confusion["none"] == pytest.approx(plain.pooled.acc_pi_6)
    assert found.confusion["front/back flip"] > 0.1
    assert sum(found.confusion_per_category["car"].values()) == pytest.approx(1)
    assert found.per_subset == found.subset_intervals == {}
    assert set(found.intervals) == set(found.rows) - {"chance: random rotation"}


def test_an_object_with_a_symmetry_of_its_own_is_not_judged_by_its_category():
    """A square bottle among round ones, and a category that nobody knows."""
    quarter, odd = (rotation(0), rotation(90)), (rotation(0), rotation(45))
    square = {"category": "bottle", "symmetry": Symmetry.parse(["z:4"])}
    own = {"category": "mug", "symmetry": Symmetry.parse(["z:0", "x:2"])}
    asked = [
        predicted("round", *odd, category="bottle"),
        predicted("square", *quarter, **square),
        predicted("square, odd", *odd, **square),
        predicted("mug", *odd, category="mug"),
        predicted("can", *odd, **own),
        predicted("can on its head", rotation(0, 20, 0), rotation(70, -20, 180), **own),
    ]
    aware = np.degrees(prediction_errors(asked, {"bottle": Symmetry.of_order(0)}))
    np.testing.assert_allclose(aware, [0, 0, 45, 45, 0, 0], atol=1e-5)
    assert "model, symmetry-aware" in summary(asked[4:], resamples=5).rows
    assert "model, symmetry-aware" not in summary(asked[3:4], resamples=5).rows


def test_predictions_keep_the_symmetry_of_their_objects(tmp_path):
    kept = [predicted(str(turns), rotation(0), rotation(9), symmetry=Symmetry.parse(turns)) for turns in ([], ["x:4"])]
    write_predictions(tmp_path / "p.jsonl", [*kept, predicted("old", rotation(0), rotation(9))])
    back = read_predictions(tmp_path / "p.jsonl")
    assert [each.symmetry for each in back] == [Symmetry.NONE, Symmetry.parse(["x:4"]), None]
    assert ["symmetries" in line for line in (tmp_path / "p.jsonl").read_text().splitlines()] == [True, True, False]


def test_summary_without_symmetry_has_no_row_for_it():
    assert list(summary(made_predictions(9, categories=("car",)), resamples=5).rows)[:2] == [
        "model",
        "chance: random rotation",
    ]


def test_an_image_without_pose_counts_as_a_half_turn():
    found = summary([*made_predictions(4, categories=("car",)), unsolved()], resamples=5)
    assert found.unsolved == 1
    assert found.errors_rad[-1] == math.pi
    assert found.confusion["other"] == 0.2


def test_most_frequent_pose_is_each_category_s_own():
    images = [
        predicted("a", rotation(10), rotation(10), category="car"),
        predicted("b", rotation(90), rotation(95), category="bus"),
    ]
    found = summary(images, mode_rotations={"car": rotation(0), "bus": rotation(90)}, resamples=5)
    row = found.per_category["chance: most frequent pose"]
    assert row.groups["car"].median_deg == pytest.approx(10)
    assert row.groups["bus"].median_deg == pytest.approx(0, abs=1e-5)
    assert list(found.rows)[-1] == "chance: most frequent pose"
    with pytest.raises(ValueError, match="'bus'"):
        summary(images, mode_rotations={"car": rotation(0)})


def test_subsets_and_their_names():
    found = summary(made_predictions(40, subsets=("snow", "fog")), resamples=20)
    assert list(found.per_subset["model"].groups) == ["fog", "snow"]
    assert found.names[:2] == ["snow/image-0000", "fog/image-0001"]
    assert set(found.subset_intervals["model"].groups) == {"fog", "snow"}
    same_key = [predicted("a", np.eye(3), np.eye(3), subset=s) for s in ("fog", "snow")]
    assert len(summary(same_key, resamples=5).names) == 2


def test_inferred_categories():
    images = [
        predicted("a", np.eye(3), np.eye(3), category_predicted="bus"),
        predicted("b", np.eye(3), np.eye(3)),
        predicted("c", rotation(0), rotation(90)),
        predicted("d", np.eye(3), np.eye(3), category="bus", category_predicted="bus"),
    ]
    found = summary(images, resamples=5)
    assert found.category_counts == {"bus": {"bus": 1}, "car": {"bus": 1, "car": 2}}
    assert found.acc_pi_6_and_category == 0.5
    assert found.as_dict()["category"]["accuracy"] == 0.75


def test_json_of_the_summary_is_plain_and_repeats():
    images = [*made_predictions(30, subsets=("snow", "fog")), unsolved(subset="fog")]
    modes = dict.fromkeys(("bottle", "car", "diningtable"), np.eye(3))
    first = json.dumps(summary(images, mode_rotations=modes, resamples=50).as_dict(), allow_nan=False)
    assert first == json.dumps(summary(images, mode_rotations=modes, resamples=50).as_dict(), allow_nan=False)
    found = json.loads(first)
    assert "null" not in first
    assert set(found["rows"]["model"]) == set(PoseMetrics.__dataclass_fields__)
    assert found["per_category"]["model"]["means"]["pooled"] == found["rows"]["model"]
    assert set(found["risk_coverage"]) == {"pi/6", "pi/18"}
    low, high = found["intervals"]["model"]["means"]["pooled"]["acc_pi_6"]
    assert low <= found["rows"]["model"]["acc_pi_6"] <= high
    assert found["error_deg"]["fog/lost"] == 180.0
    assert len(found["error_deg"]) == found["images"] == 31


def test_summary_refuses_nothing_and_twice_the_same():
    with pytest.raises(ValueError, match="no image"):
        summary([])
    with pytest.raises(ValueError, match="a was predicted more than once"):
        summary([predicted("a", np.eye(3), np.eye(3))] * 2)
