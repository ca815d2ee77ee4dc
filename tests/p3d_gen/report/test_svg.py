"""Charts of lines and histograms: their ticks, and what they refuse."""

import numpy as np
import pytest

from p3d_gen.report.svg import Line, line_chart, paired_histograms, round_ticks


@pytest.mark.parametrize(
    ("low", "high", "whole", "ticks"),
    [
        (0.0, 0.62, False, [0, 0.2, 0.4, 0.6, 0.8]),
        (0.0, 1.0, False, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (0, 1, True, [0, 1]),
        (0, 7, True, [0, 2, 4, 6, 8]),
        (0, 1200, True, [0, 250, 500, 750, 1000, 1250]),
        (-0.3, 0.2, False, [-0.3, -0.2, -0.1, 0, 0.1, 0.2]),
    ],
)
def test_ticks_are_round_and_hold_the_range(low, high, whole, ticks):
    np.testing.assert_allclose(round_ticks(low, high, whole=whole), ticks, atol=1e-12)


def test_ticks_hold_any_range():
    rng = np.random.default_rng([1, 1])
    for _ in range(300):
        low = float(rng.normal() * 10.0 ** rng.integers(-6, 7))
        high = low + float(rng.random() * 10.0 ** rng.integers(-6, 7)) + 1e-6 * abs(low)
        ticks = round_ticks(low, high)
        slack = 1e-6 * (ticks[-1] - ticks[0])
        assert ticks[0] <= low + slack
        assert ticks[-1] >= high - slack
        assert 2 <= len(ticks) <= 7


def test_charts_of_nothing_are_refused():
    line = Line(name="a", x=np.arange(3.0), y=np.full(3, 2.0))
    assert "svg" in line_chart("constant", [line], "step")
    for lines in ([], [line] * 4, [Line(name="a", x=np.zeros(0), y=np.zeros(0))]):
        with pytest.raises(ValueError, match="give 1 to 3 lines"):
            line_chart("t", lines, "step")
    with pytest.raises(ValueError, match="one or two histograms, not 0"):
        paired_histograms("t", {}, "cosine")
