"""Risk-coverage curves and their areas."""

import math

import numpy as np
import pytest
import torch

from pose_models.metrics import risk_coverage

torch.set_num_threads(1)
RIGHT, WRONG = 0.1, 3.0


def curve(errors, confidence):
    return risk_coverage(torch.tensor(errors, dtype=torch.float64), torch.tensor(confidence, dtype=torch.float64))


def random_case(count=300, seed=0):
    rng = np.random.default_rng([seed, 1])
    wrong = rng.random(count) < 0.3
    return np.where(wrong, WRONG, RIGHT).tolist(), (rng.normal(size=count) - wrong).tolist()


def test_worked_curve():
    found = curve([RIGHT, WRONG, RIGHT, WRONG], [0.9, 0.8, 0.7, 0.1])
    np.testing.assert_allclose(found.coverage, [0.25, 0.5, 0.75, 1.0])
    np.testing.assert_allclose(found.risk, [0, 1 / 2, 1 / 3, 1 / 2])
    assert found.aurc == pytest.approx((1 / 2 + 1 / 3 + 1 / 2) / 4)
    assert found.best_aurc == pytest.approx((0 + 0 + 1 / 3 + 1 / 2) / 4)
    assert [found.accuracy_at(c) for c in (0.25, 0.5, 0.6, 1.0)] == pytest.approx([1, 1 / 2, 2 / 3, 1 / 2])


def test_only_the_order_of_the_confidences_counts():
    errors, confidence = random_case()
    a, b = curve(errors, confidence), curve(errors, np.exp(confidence).tolist())
    np.testing.assert_array_equal(a.risk, b.risk)
    shuffled = np.random.default_rng([9, 1]).permutation(len(errors))
    c = curve(np.array(errors)[shuffled].tolist(), np.array(confidence)[shuffled].tolist())
    np.testing.assert_array_equal(a.risk, c.risk)


def test_full_coverage_is_the_plain_accuracy_and_areas_are_ordered():
    errors, confidence = random_case()
    wrong = np.mean(np.array(errors) == WRONG)
    found, reverse = curve(errors, confidence), curve(errors, [-c for c in confidence])
    assert found.risk[-1] == pytest.approx(wrong)
    assert found.accuracy_at(1.0) == pytest.approx(1 - wrong)
    assert found.best_aurc < found.aurc < reverse.aurc
    perfect = curve(errors, [-e for e in errors])
    assert perfect.aurc == pytest.approx(perfect.best_aurc) == pytest.approx(found.best_aurc)


def test_equal_confidences_count_as_in_random_order():
    found = curve([RIGHT, WRONG, RIGHT, RIGHT], [0.5] * 4)
    np.testing.assert_allclose(found.risk, 0.25)
    errors, confidence = random_case(40)
    rounded = np.round(confidence)
    rng = np.random.default_rng([3, 1])
    broken = [curve(errors, (rounded + 1e-6 * rng.random(40)).tolist()).risk for _ in range(2000)]
    np.testing.assert_allclose(curve(errors, rounded.tolist()).risk, np.mean(broken, axis=0), atol=0.03)


def test_nothing_wrong_and_nothing_right():
    assert curve([RIGHT] * 3, [1, 2, 3]).aurc == 0
    assert curve([WRONG] * 3, [1, 2, 3]).aurc == curve([WRONG] * 3, [1, 2, 3]).best_aurc == 1


def test_threshold_itself_and_nan_are_wrong():
    found = curve([math.pi / 6, math.nan, np.nextafter(math.pi / 6, 0)], [3, 2, 1])
    np.testing.assert_allclose(found.risk, [1, 1, 2 / 3])


def test_json_is_short_and_ends_at_full_coverage():
    errors, confidence = random_case(1234)
    found = curve(errors, confidence).as_dict()
    assert len(found["curve"]["risk"]) == len(found["curve"]["coverage"]) == 100
    assert found["curve"]["coverage"][-1] == 1.0
    assert set(found["accuracy_at_coverage"]) == {"0.5", "0.8", "0.9", "1"}
    few = curve(errors[:3], confidence[:3]).as_dict()
    assert few["curve"]["coverage"] == pytest.approx([1 / 3, 2 / 3, 1])


def test_what_is_refused():
    with pytest.raises(ValueError, match="no image"):
        curve([], [])
    with pytest.raises(ValueError, match="image 1 is not finite"):
        curve([RIGHT, RIGHT], [0.0, math.nan])
    with pytest.raises(ValueError, match="coverage 0"):
        curve([RIGHT], [0.0]).accuracy_at(0)
