"""The risk-coverage curve as a picture."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import fill
from typing import TYPE_CHECKING

from p3d_gen.core.types import Array
from pose_models.metrics.selective import RiskCoverage

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito's colours, which the colour-blind tell apart.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#595959")
_SIZE_INCHES, _DPI, _TITLE_WIDTH = (7.6, 4.6), 120, 80
_LEFT_OUT = 50
_LEAST_TOP = 0.05


def _shown(curve: RiskCoverage) -> tuple[Array, Array]:
    """Return coverage and risk without the first images, whose risk is noise."""
    first = len(curve.risk) // _LEFT_OUT
    return curve.coverage[first:], curve.risk[first:]


def risk_coverage_figure(curves: Mapping[str, RiskCoverage], title: str) -> Figure:
    """Plot the share of wrong images among the most confident ones against the share that is kept.

    One to five named curves, each for a threshold or a method. A curve starts at a coverage of 2 %; the legend states
    its area. ValueError for another number of curves.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import PercentFormatter

    if not 1 <= len(curves) <= len(_COLOURS):
        raise ValueError(f"{len(curves)} curves: give 1 to {len(_COLOURS)}")
    figure = Figure(figsize=_SIZE_INCHES, dpi=_DPI, layout="constrained")
    axes = figure.add_subplot()
    highest = _LEAST_TOP
    for colour, (name, curve) in zip(_COLOURS, curves.items(), strict=False):
        coverage, risk = _shown(curve)
        areas = f"area {curve.aurc:.3f}, at best {curve.best_aurc:.3f}; all images: {100 * curve.risk[-1]:.1f} % wrong"
        axes.plot(coverage, risk, color=colour, linewidth=1.8, clip_on=False, zorder=3, label=f"{name}: {areas}")
        highest = max(highest, float(risk.max()))
    axes.set_title(fill(title, _TITLE_WIDTH), loc="left", fontsize=12)
    axes.set_xlabel("coverage: share of the images kept, the most confident first")
    axes.set_ylabel("risk: share of wrong images")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.05 * highest)
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.grid(color="#e2e4e8")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower left", frameon=False, fontsize=9)
    return figure
