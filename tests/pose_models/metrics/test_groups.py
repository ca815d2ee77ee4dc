"""Means over categories, bootstrap intervals, spread over seeds."""

import math

import numpy as np
import pytest
import scipy.stats
import torch

from pose_models.metrics import grouped_intervals, grouped_metrics, intervals, over_seeds, pose_metrics

torch.set_num_threads(1)


def degrees(*values):
    return torch.tensor(values, dtype=torch.float64).deg2rad()


def skewed(count, seed=0):
    """Errors in radians, most of them small, some around a half turn."""
    rng = np.random.default_rng([seed, 1])
    small, large = rng.gamma(2.0, 5.0, count), 180 - rng.gamma(2.0, 5.0, count)
    return torch.from_numpy(np.radians(np.where(rng.random(count) < 0.15, large, small)).clip(0, math.pi))


def test_means_over_groups_as_worked_by_hand():
    # car: 5, 7, 50 (2/3, 2/3, 7); bus: 20 (1, 0, 20)
    errors = degrees(5, 20, 50, 7)
    found = grouped_metrics(errors, ["car", "bus", "car", "car"])
    assert list(found.groups) == ["bus", "car"]
    assert found.groups["car"] == pose_metrics(degrees(5, 50, 7))
    assert found.pooled == pose_metrics(errors)
    assert found.pooled.median_deg == pytest.approx(13.5)
    assert found.weighted.median_deg == pytest.approx((3 * 7 + 20) / 4)
    assert found.unweighted.median_deg == pytest.approx(13.5)
    assert found.weighted.acc_pi_6 == pytest.approx(3 / 4)
    assert found.unweighted.acc_pi_6 == pytest.approx((2 / 3 + 1) / 2)
    assert found.unweighted.acc_pi_18 == pytest.approx(1 / 3)
    assert {found.mean(which).n for which in ("pooled", "weighted", "unweighted")} == {4}


def test_image_weighted_accuracies_are_those_of_all_images():
    errors = skewed(500)
    groups = [f"g{i * i % 7}" for i in range(500)]
    found = grouped_metrics(errors, groups)
    assert found.weighted.acc_pi_6 == pytest.approx(found.pooled.acc_pi_6, abs=1e-12)
    assert found.weighted.acc_pi_18 == pytest.approx(found.pooled.acc_pi_18, abs=1e-12)


def test_order_of_images_does_not_matter_and_one_group_is_its_own_mean():
    errors, groups = skewed(60), ["a", "b", "c"] * 20
    order = torch.randperm(60, generator=torch.Generator().manual_seed(0))
    assert (
        grouped_metrics(errors[order], [groups[i] for i in order.tolist()]).groups
        == grouped_metrics(errors, groups).groups
    )
    alone, ends = grouped_metrics(errors, ["a"] * 60), grouped_intervals(errors, ["a"] * 60, 0, resamples=50)
    assert alone.groups["a"] == alone.pooled == alone.weighted == alone.unweighted
    assert ends.groups["a"] == ends.pooled == ends.weighted == ends.unweighted == intervals(errors, 0, resamples=50)


def test_groups_are_one_for_each_image():
    with pytest.raises(ValueError, match="2 errors but 1 groups"):
        grouped_metrics(degrees(1, 2), ["car"])
    with pytest.raises(ValueError, match="no image"):
        grouped_metrics(torch.empty(0), [])


def test_intervals_hold_the_figure_and_depend_on_the_seed_alone():
    errors = skewed(400)
    found, figure = intervals(errors, 3), pose_metrics(errors)
    for name, (low, high) in found.as_dict().items():
        assert low < getattr(figure, name) < high
    assert intervals(errors, 3) == found
    assert intervals(errors, 4) != found


def test_intervals_of_equal_errors_have_no_width_and_nan_is_pi():
    flat = intervals(degrees(20, 20, 20), 0)
    assert (flat.acc_pi_6, flat.acc_pi_18) == ((1.0, 1.0), (0.0, 0.0))
    assert flat.median_deg == pytest.approx((20.0, 20.0))
    assert intervals(torch.tensor([math.nan]), 0).median_deg == pytest.approx((180.0, 180.0))


def test_intervals_agree_with_scipy():
    errors = skewed(300)
    ours = intervals(errors, 0, resamples=4000)
    for name, statistic in (
        ("acc_pi_6", lambda e, axis: (e < math.pi / 6).mean(axis=axis)),
        ("median_deg", lambda e, axis: np.degrees(np.median(e, axis=axis))),
    ):
        theirs = scipy.stats.bootstrap(
            (errors.numpy(),), statistic, n_resamples=4000, method="percentile", random_state=np.random.default_rng(1)
        ).confidence_interval
        width = theirs.high - theirs.low
        assert getattr(ours, name) == pytest.approx((theirs.low, theirs.high), abs=0.12 * width)


def test_intervals_cover_the_truth_as_often_as_they_say():
    truth = 0.8
    rng = np.random.default_rng([5, 1])
    held = 0
    for trial in range(200):
        errors = torch.from_numpy(np.where(rng.random(150) < truth, 0.1, 1.0))
        low, high = intervals(errors, trial, resamples=300, level=0.9).acc_pi_6
        held += low <= truth <= high
    # 0.9 with a standard error of 0.021, less the discreteness of 150 images
    assert 0.82 <= held / 200 <= 0.96


def test_means_over_groups_keep_their_sizes():
    # one sure group, one of coin flips: only the latter spreads, and the equal weights give it more
    errors = torch.cat([torch.full((300,), 0.1), torch.tensor([0.1, 1.0]).repeat(50)]).double()
    found = grouped_intervals(errors, ["sure"] * 300 + ["coin"] * 100, 0)
    assert found.groups["sure"].acc_pi_6 == (1.0, 1.0)
    width = {which: np.ptp(found.mean(which).acc_pi_6) for which in ("pooled", "weighted", "unweighted")}
    coin = np.ptp(found.groups["coin"].acc_pi_6)
    assert width["unweighted"] == pytest.approx(coin / 2)
    assert width["weighted"] == pytest.approx(coin / 4)
    assert width["pooled"] > width["weighted"]


@pytest.mark.parametrize(("resamples", "level"), [(0, 0.95), (10, 0.0), (10, 1.0)])
def test_impossible_intervals_are_refused(resamples, level):
    with pytest.raises(ValueError, match="level"):
        intervals(degrees(1), 0, resamples=resamples, level=level)


def test_spread_over_seeds():
    runs = [{"acc_pi_6": value, "median_deg": 7.0} for value in (0.90, 0.92, 0.97)]
    found = over_seeds(runs)
    assert (found["acc_pi_6"].mean, found["acc_pi_6"].std) == pytest.approx((0.93, math.sqrt(0.0013)))
    assert found["acc_pi_6"].n == 3
    assert (found["median_deg"].mean, found["median_deg"].std) == (7.0, 0.0)


def test_spread_needs_two_runs_with_the_same_figures():
    with pytest.raises(ValueError, match="at least two"):
        over_seeds([{"a": 1.0}])
    with pytest.raises(ValueError, match="different figures"):
        over_seeds([{"a": 1.0}, {"b": 1.0}])
