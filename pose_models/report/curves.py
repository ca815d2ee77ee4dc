"""The risk-coverage curve as a picture."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from p3d_gen.core.types import Array, Picture
from pose_models.metrics.selective import RiskCoverage
from pose_models.report.draw import FAINT, INK, Colour, blank, fitted, polyline, write_texts

_LEFT, _RIGHT, _TOP, _BOTTOM, _LEGEND_LINE = 76, 32, 76, 58, 24
_WIDTH, _HEIGHT = 720, 380
_PAPER, _GRID = (255, 255, 255), (226, 228, 232)
_COLOURS: tuple[Colour, ...] = ((31, 119, 180), (214, 93, 14), (44, 140, 60), (148, 80, 170), (90, 90, 90))
_LEFT_OUT = 50
_TOPS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0)


def _shown(curve: RiskCoverage) -> tuple[Array, Array]:
    """Coverage and risk without the first images, whose risk is noise."""
    first = len(curve.risk) // _LEFT_OUT
    return curve.coverage[first:], curve.risk[first:]


def _points(coverage: Array, risk: Array, top: float) -> Array:
    return np.column_stack([_LEFT + _WIDTH * coverage, _TOP + _HEIGHT * (1 - risk / top)])


def _draw_axes(picture: Picture, top: float) -> None:
    ticks, floor = [], _TOP + _HEIGHT
    for share in np.linspace(0, 1, 6).tolist():
        x, y = _LEFT + _WIDTH * share, floor - _HEIGHT * share
        polyline(picture, np.array([[x + 0.5, _TOP], [x + 0.5, floor]]), _GRID, 1)
        polyline(picture, np.array([[_LEFT, y + 0.5], [_LEFT + _WIDTH, y + 0.5]]), _GRID, 1)
        ticks.append((x, floor + 14, f"{100 * share:.0f} %", "mm"))
        ticks.append((_LEFT - 8, y, f"{100 * top * share:.3g} %", "rm"))
    corner = [[_LEFT + 0.5, _TOP], [_LEFT + 0.5, floor + 0.5], [_LEFT + _WIDTH, floor + 0.5]]
    polyline(picture, np.array(corner), FAINT, 1)
    write_texts(picture, ticks, 13, INK)
    across = "coverage: share of the images kept, the most confident first"
    upwards = "risk: share of wrong images among those kept"
    names = (_LEFT + _WIDTH / 2, floor + 38, across, "mm"), (_LEFT, _TOP - 22, upwards, "lm")
    write_texts(picture, names, 13, FAINT)


def risk_coverage_picture(curves: Mapping[str, RiskCoverage], title: str) -> Picture:
    """Share of wrong images among the most confident, against the share that is kept; a named curve for each threshold
    or method, five at most, from a coverage of 2 % on, with their areas beneath. ValueError for none or more."""
    if not 1 <= len(curves) <= len(_COLOURS):
        raise ValueError(f"{len(curves)} curves: give 1 to {len(_COLOURS)}")
    highest = max(float(_shown(curve)[1].max()) for curve in curves.values())
    top = next(top for top in _TOPS if top >= min(highest, 1.0))
    height = _TOP + _HEIGHT + _BOTTOM + _LEGEND_LINE * len(curves) + 10
    picture = blank(height, _LEFT + _WIDTH + _RIGHT, _PAPER)
    write_texts(picture, [(_LEFT, 24, fitted(title, 18, _WIDTH), "lm")], 18, INK)
    _draw_axes(picture, top)
    for i, (name, curve) in enumerate(curves.items()):
        y = _TOP + _HEIGHT + _BOTTOM + _LEGEND_LINE * i + 8
        polyline(picture, _points(*_shown(curve), top), _COLOURS[i])
        polyline(picture, np.array([[_LEFT, y], [_LEFT + 30, y]], dtype=np.float64), _COLOURS[i], 3)
        areas = f"area {curve.aurc:.3f}, at best {curve.best_aurc:.3f}; all images: {100 * curve.risk[-1]:.1f} % wrong"
        write_texts(picture, [(_LEFT + 40, y, fitted(f"{name}: {areas}", 14, _WIDTH - 40), "lm")], 14, INK)
    return picture
