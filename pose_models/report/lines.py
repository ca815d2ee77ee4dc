"""Charts as inline SVG: lines over the epochs or steps of a run, and two histograms on one scale. Colours come from the
page's style sheet, by class; every chart is named for screen readers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from p3d_gen.core.types import Array

_WIDTH, _HEIGHT = 360, 112
_LEFT, _RIGHT, _TOP, _AXIS, _LEGEND = 44, 14, 8, 20, 18
_SPAN = _WIDTH - _LEFT - _RIGHT
_TICKS, _MOST_DOTS = 5, 60
_KINDS = ("first", "second", "third")
_ENVIRONMENT = Environment(loader=PackageLoader("pose_models.report", "."), autoescape=True, undefined=StrictUndefined)

Shape = tuple[str, str]
Text = tuple[str, float, float, str, str]


@dataclass(frozen=True, kw_only=True, eq=False)
class Line:
    """A named line through points x (N,), ascending, and y (N,), all finite."""

    name: str
    x: Array
    y: Array


def _svg(title: str, height: float, paths: Sequence[Shape], texts: Sequence[Text]) -> Markup:
    template = _ENVIRONMENT.get_template("lines.svg.j2")
    return Markup(template.render(title=title, width=_WIDTH, height=height, paths=paths, texts=texts))


def round_ticks(low: float, high: float, most: int = _TICKS, *, whole: bool = False) -> Array:
    """At most `most` + 1 equidistant round numbers from `low` or below to `high` or above; `whole`: integers alone."""
    size = max(high - low, 1e-9 * max(abs(low), abs(high)), 1e-12)
    power = 10.0 ** math.floor(math.log10(size / most))
    steps = [factor * power for factor in (1.0, 2.0, 2.5, 5.0, 10.0, 20.0)]

    def ends(step: float) -> tuple[int, int]:
        return math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)

    usable = (step for step in steps if not whole or (step >= 1 and step == round(step)))
    step = next(step for step in usable if ends(step)[1] - ends(step)[0] <= most)
    first, last = ends(step)
    return step * np.arange(first, max(last, first + 1) + 1)


def _value(value: float, unit: str) -> str:
    """A number of the chart as it is written beside it."""
    return f"{100 * value:.4g} %" if unit == "%" else f"{value:.4g}{unit}"


def _frame(x: Array, y: Array, x_name: str, unit: str) -> tuple[list[Shape], list[Text]]:
    """Grid and axes with ticks x and y, the first and last of y at the ends of the chart."""
    floor, paths, texts = _TOP + _HEIGHT, list[Shape](), list[Text]()
    for value in y.tolist():
        at = round(floor - _HEIGHT * (value - y[0]) / (y[-1] - y[0]), 1)
        paths.append(("grid", f"M{_LEFT} {at}H{_WIDTH - _RIGHT}"))
        texts.append(("tick", _LEFT - 5, at + 3.5, "end", _value(value, unit)))
    for value in x.tolist():
        at = round(_LEFT + _SPAN * (value - x[0]) / (x[-1] - x[0]), 1)
        paths.append(("axis", f"M{at} {floor}v3"))
        texts.append(("tick", at, floor + 15, "middle", f"{value:.6g}"))
    paths.append(("axis", f"M{_LEFT} {_TOP}V{floor}H{_WIDTH - _RIGHT}"))
    texts.append(("name", _WIDTH - _RIGHT, floor + 28, "end", x_name))
    return paths, texts


def _legend(names: Sequence[str]) -> tuple[list[Shape], list[Text]]:
    """Names of the lines beneath a chart, each after a piece of its line."""
    paths, texts, y, width = list[Shape](), list[Text](), _TOP + _HEIGHT + 28, (_SPAN - 60) / max(len(names), 1)
    for i, name in enumerate(names):
        at = round(_LEFT + i * width, 1)
        paths.append((f"line {_KINDS[i]}", f"M{at} {y - 4}h16"))
        texts.append(("name", at + 20, y, "start", name))
    return paths, texts


def _range(values: Array, zero: bool) -> tuple[float, float]:
    """Ends of a scale that holds all values; not empty where they are all the same."""
    low, high = float(values.min()), float(values.max())
    low = min(0.0, low) if zero else low
    room = 0.1 * abs(low) or 1.0
    return (low, high) if low < high else (low - (0.0 if zero else room), high + room)


def line_chart(
    title: str,
    lines: Sequence[Line],
    x_name: str,
    unit: str = "",
    *,
    zero: bool = False,
    x_range: tuple[float, float] | None = None,
) -> Markup:
    """One to three lines; each point a dot too where they are few. `unit`: "%" for shares, else what follows a number;
    `zero`: whether the scale starts there; `x_range`: what the chart spans at least, else what the lines do.

    ValueError for no line, more than three, or one without points.
    """
    if not 1 <= len(lines) <= len(_KINDS) or any(not len(line.x) for line in lines):
        raise ValueError(f"{title}: give 1 to {len(_KINDS)} lines with points, not {[len(line.x) for line in lines]}")
    xs = np.concatenate([*(line.x for line in lines), x_range or ()])
    x_ticks = round_ticks(float(xs.min()), max(float(xs.max()), float(xs.min()) + 1), whole=True)
    y_ticks = round_ticks(*_range(np.concatenate([line.y for line in lines]), zero))
    paths, texts = _frame(x_ticks, y_ticks, x_name, unit)
    for kind, line in zip(_KINDS, lines, strict=False):
        across = _LEFT + _SPAN * (line.x - x_ticks[0]) / (x_ticks[-1] - x_ticks[0])
        upwards = _TOP + _HEIGHT * (1 - (line.y - y_ticks[0]) / (y_ticks[-1] - y_ticks[0]))
        points = [f"{a:.1f} {b:.1f}" for a, b in zip(across.tolist(), upwards.tolist(), strict=True)]
        paths.append((f"line {kind}", "M" + "L".join(points)))
        if len(points) <= _MOST_DOTS:
            paths.append((f"points {kind}", "".join(f"M{point}h0" for point in points)))
    if len(lines) > 1:
        more = _legend([line.name for line in lines])
        paths, texts = paths + more[0], texts + more[1]
    return _svg(title, _TOP + _HEIGHT + _AXIS + _LEGEND, paths, texts)


def paired_histograms(title: str, counts: dict[str, Array], x_name: str) -> Markup:
    """One or two named histograms (N,) of equal bins over 0..1 on one scale: the first as a line, the last as bars, a
    single one as bars. ValueError for more or none."""
    if not 1 <= len(counts) <= 2:
        raise ValueError(f"{title}: give one or two histograms, not {len(counts)}")
    *before, last = counts.values()
    ticks = round_ticks(0.0, max(1.0, *(float(each.max()) for each in counts.values())), whole=True)
    paths, texts = _frame(np.linspace(0, 1, 6), ticks, x_name, "")
    floor, width = _TOP + _HEIGHT, _SPAN / len(last)
    heights = (_HEIGHT * last / ticks[-1]).tolist()
    bars = (f"M{_LEFT + i * width + 0.5:.1f} {floor}v{-h:.1f}h{width - 1:.1f}V{floor}z" for i, h in enumerate(heights))
    paths.append(("bar", "".join(bars)))
    names = [("bar", list(counts)[-1])]
    for each in before:
        tops = [f"V{floor - h:.1f}h{width:.1f}" for h in (_HEIGHT * each / ticks[-1]).tolist()]
        paths.append(("line second", f"M{_LEFT} {floor}" + "".join(tops) + f"V{floor}"))
        names.insert(0, ("line second", next(iter(counts))))
    for i, (kind, name) in enumerate(names):
        at, y = round(_LEFT + i * _SPAN / 3, 1), floor + 28
        paths.append((kind, f"M{at} {y - 8}v8h16v-8z" if kind == "bar" else f"M{at} {y - 4}h16"))
        texts.append(("name", at + 20, y, "start", name))
    return _svg(title, floor + _AXIS + _LEGEND, paths, texts)
