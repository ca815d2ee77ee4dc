"""Charts as inline SVG for the self-contained pages.

Colours come from the page's style sheet, by class. Every chart has a name for screen readers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, count

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray

from p3d_gen.core.types import Array

_WIDTH = 360
_LEFT, _RIGHT, _TOP, _BOTTOM = 36, 14, 8, 20
_SPAN = _WIDTH - _LEFT - _RIGHT
_MOST_DOTS = 6000
_BINS, _TICKS = 24, 5
_MAP_HEIGHT, _BARS_HEIGHT = 158, 84
_FACES = ("back", "right", "front", "left", "back")
_ROW_HEIGHT, _NAME_WIDTH, _COUNT_WIDTH = 17, 84, 40
_PLANE_HEIGHT, _DOT = 190, 3
_DEGREE_STEPS = (0.5, 1.0, 2.5, 5.0, 7.5, 15.0, 30.0, 45.0, 90.0)
# Charts of lines have longer numbers on the left, and a legend.
_CURVE_LEFT, _CURVE_HEIGHT, _CURVE_BOTTOM = 44, 112, 38
_CURVE_SPAN, _FLOOR = _WIDTH - _CURVE_LEFT - _RIGHT, _TOP + _CURVE_HEIGHT
_MOST_MARKED = 60
_KINDS = ("first", "second", "third")


@dataclass(frozen=True, kw_only=True, eq=False)
class Line:
    """A named line through points x (N,), ascending, and y (N,), all finite."""

    name: str
    x: Array
    y: Array


def _svg(height: float, title: str, body: Iterable[str]) -> Markup:
    box = f"0 0 {_WIDTH} {height:g}"
    return Markup(f'<svg viewBox="{box}" role="img" aria-label="{escape(title)}">') + Markup("".join(body) + "</svg>")


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _path(kind: str, data: str) -> str:
    return f'<path class="{kind}" d="{data}"/>'


def _line(x0: float, y0: float, x1: float, y1: float, kind: str = "grid") -> str:
    return _path(kind, f"M{x0:.1f} {y0:.1f}L{x1:.1f} {y1:.1f}")


def _round_steps(least: float, unit: str = "") -> Iterator[float]:
    """Yield widths of bins and distances of ticks that read well, ascending from `least`; degrees divide 90."""
    if unit == "°":
        return (step for step in _DEGREE_STEPS if step >= least)
    steps = (factor * 10.0**power for power in count(math.floor(math.log10(least))) for factor in (1.0, 2.0, 2.5, 5.0))
    return (step for step in steps if step >= least)


def _bars(heights: Array, height: float) -> list[str]:
    """Draw bars across the plot, the tallest as high as it, and write the end of the scale next to it."""
    top, floor = max(float(heights.max(initial=0)), 1.0), _TOP + height
    width = _SPAN / max(len(heights), 1)
    gap = 1.0 if width > 4 else 0.0
    bars = [
        f"M{_LEFT + i * width:.1f} {floor:g}v{-height * value / top:.1f}h{width - gap:.1f}V{floor:g}z"
        for i, value in enumerate(heights.tolist())
        if value
    ]
    return [
        _line(_LEFT, _TOP, _WIDTH - _RIGHT, _TOP),
        _path("bar", "".join(bars)),
        _line(_LEFT, floor, _WIDTH - _RIGHT, floor, "axis"),
        _text(_LEFT - 5, _TOP + 4, f"{top:g}", "end"),
        _text(_LEFT - 5, floor + 3, "0", "end"),
    ]


def edges_of(values: Array, unit: str = "") -> Array:
    """Return the edges of at most 25 equal bins around all values, at round numbers; of five if all are the same."""
    low, high = float(values.min()), float(values.max())
    if low == high:
        return low + 0.1 * max(abs(low), 1.0) * (np.arange(6) - 2.5)
    step = next(_round_steps((high - low) / _BINS, unit))
    first, last = int(np.floor(low / step)), int(np.ceil(high / step))
    return np.asarray(np.arange(first, max(last, first + 1) + 1) * step)


def histogram(title: str, values: Array, edges: Array, unit: str = "") -> Markup:
    """Draw the counts of values between equidistant edges."""
    body = _bars(np.histogram(values, edges)[0].astype(np.float64), _BARS_HEIGHT)
    low, high, floor = float(edges[0]), float(edges[-1]), _TOP + _BARS_HEIGHT
    step = next(_round_steps((high - low) / _TICKS, unit))
    for i in range(int(np.ceil(low / step - 1e-9)), int(np.floor(high / step + 1e-9)) + 1):
        x = _LEFT + _SPAN * (i * step - low) / (high - low)
        body += [_line(x, floor, x, floor + 3, "axis"), _text(x, floor + 15, f"{i * step:.6g}{unit}", "middle")]
    return _svg(floor + _BOTTOM, title, body)


def use_bars(title: str, uses: Sequence[int]) -> Markup:
    """Draw the number of times that each of many things was used, one bar for each, the most used first."""
    body = _bars(np.sort(np.asarray(uses, dtype=np.float64))[::-1], _BARS_HEIGHT)
    y = _TOP + _BARS_HEIGHT + 15
    body += [_text(_LEFT, y, "most used", "start"), _text(_WIDTH - _RIGHT, y, f"least used of {len(uses)}", "end")]
    return _svg(_TOP + _BARS_HEIGHT + _BOTTOM, title, body)


def named_bars(title: str, counts: Mapping[str, int]) -> Markup:
    """Draw a horizontal bar for each name, with its count."""
    top, span = max(counts.values(), default=1), _WIDTH - _NAME_WIDTH - _COUNT_WIDTH
    body = []
    for i, (name, number) in enumerate(counts.items()):
        y, length = _TOP + _ROW_HEIGHT * i, span * number / max(top, 1)
        body += [
            _text(_NAME_WIDTH - 6, y + 11, name, "end"),
            _path("bar", f"M{_NAME_WIDTH} {y}h{length:.1f}v{_ROW_HEIGHT - 3}h{-length:.1f}z"),
            _text(_NAME_WIDTH + length + 5, y + 11, str(number), "start"),
        ]
    return _svg(_TOP + _ROW_HEIGHT * len(counts), title, body)


def colour_plane(title: str, lab: Array, rgb: NDArray[np.uint8]) -> Markup:
    """Draw colours (N, 3) as dots of their own colour: a* across, green to red, and b* upwards, blue to yellow."""
    reach = max(20.0, float(10 * np.ceil(np.abs(lab[:, 1:]).max(initial=0) / 10)))
    scale, x0, y0 = (_PLANE_HEIGHT / 2 - _DOT) / reach, _LEFT + _SPAN / 2, _TOP + _PLANE_HEIGHT / 2
    body = [
        _line(_LEFT, y0, _WIDTH - _RIGHT, y0, "axis"),
        _line(x0, _TOP, x0, _TOP + _PLANE_HEIGHT, "axis"),
        _text(_LEFT, y0 - 4, "green", "start"),
        _text(_WIDTH - _RIGHT, y0 - 4, "red", "end"),
        _text(x0 + 5, _TOP + 8, "yellow", "start"),
        _text(x0 + 5, _TOP + _PLANE_HEIGHT - 2, "blue", "start"),
    ]
    for (_, a, b), (red, green, blue) in zip(lab.tolist(), rgb.tolist(), strict=True):
        place = f'cx="{x0 + scale * a:.1f}" cy="{y0 - scale * b:.1f}"'
        body.append(f'<circle class="colour" {place} r="{_DOT}" fill="#{red:02x}{green:02x}{blue:02x}"/>')
    return _svg(_TOP + _PLANE_HEIGHT + _TOP, title, body)


def _map_grid() -> list[str]:
    """Draw the meridians and parallels of the map of directions, with their names."""
    body = []
    for azimuth in range(-180, 181, 45):
        x = _LEFT + _SPAN * (azimuth + 180) / 360
        body.append(_line(x, _TOP, x, _TOP + _MAP_HEIGHT, "grid" if azimuth % 90 else "axis"))
    for elevation in (-90, -60, -30, 0, 30, 60, 90):
        y = _TOP + _MAP_HEIGHT * (1 - np.sin(np.radians(elevation))) / 2
        body.append(_line(_LEFT, y, _WIDTH - _RIGHT, y, "grid" if elevation % 90 else "axis"))
        if elevation % 60 or not elevation:
            body.append(_text(_LEFT - 5, y + 3.5, f"{elevation}°", "end"))
    for i, name in enumerate(_FACES):
        x, y = _LEFT + _SPAN * i / 4, _TOP + _MAP_HEIGHT + 15
        body += [_text(x, y, f"{(180 + 90 * i) % 360}°", "middle"), _text(x, y + 13, name, "middle")]
    return body


def every(samples: int) -> int:
    """Return n if a map of directions shows one in n of so many samples."""
    return -(-samples // _MOST_DOTS)


def direction_map(title: str, azimuth_rad: Array, elevation_rad: Array) -> Markup:
    """Draw camera directions as dots, azimuth against sin(elevation): equal areas are equal solid angles."""
    step = every(len(azimuth_rad))
    x = _LEFT + _SPAN * ((azimuth_rad[::step] + np.pi) % (2 * np.pi)) / (2 * np.pi)
    y = _TOP + _MAP_HEIGHT * (1 - np.sin(elevation_rad[::step])) / 2
    size = float(np.clip(90 / np.sqrt(len(x)), 1.5, 5.0))
    dots = "".join(f"M{a:.1f} {b:.1f}h0" for a, b in zip(x.tolist(), y.tolist(), strict=True))
    body = [*_map_grid(), f'<path class="dots" style="stroke-width:{size:.2f}" d="{dots}"/>']
    return _svg(_TOP + _MAP_HEIGHT + 13 + _BOTTOM, title, body)


def round_ticks(low: float, high: float, most: int = _TICKS, *, whole: bool = False) -> Array:
    """Return at most `most` + 1 equidistant round numbers, from `low` or below to `high` or above.

    whole: integers only.
    """
    size = max(high - low, 1e-9 * max(abs(low), abs(high)), 1e-12)
    for step in _round_steps(max(size / most * (1 - 1e-9), 1.0 if whole else 0.0)):
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
        if last - first <= most and not (whole and step % 1):
            break
    return step * np.arange(first, max(last, first + 1) + 1)


def _scale(values: Array, zero: bool) -> tuple[float, float]:
    """Return the ends of a scale that holds all values; they differ even if all values are the same."""
    low, high = float(values.min()), float(values.max())
    low = min(0.0, low) if zero else low
    room = 0.1 * abs(low) or 1.0
    return (low, high) if low < high else (low - (0.0 if zero else room), high + room)


def _axes(x: Array, y: Array, x_name: str, unit: str) -> list[str]:
    """Draw grid and axes with ticks x and y; the first and the last of y are the ends of the chart."""
    body = []
    for value in y.tolist():
        at = _FLOOR - _CURVE_HEIGHT * (value - y[0]) / (y[-1] - y[0])
        text = f"{100 * value:.4g} %" if unit == "%" else f"{value:.4g}{unit}"
        body += [_line(_CURVE_LEFT, at, _WIDTH - _RIGHT, at), _text(_CURVE_LEFT - 5, at + 3.5, text, "end")]
    for value in x.tolist():
        at = _CURVE_LEFT + _CURVE_SPAN * (value - x[0]) / (x[-1] - x[0])
        body += [_line(at, _FLOOR, at, _FLOOR + 3, "axis"), _text(at, _FLOOR + 15, f"{value:.6g}", "middle")]
    body.append(_path("axis", f"M{_CURVE_LEFT} {_TOP}V{_FLOOR}H{_WIDTH - _RIGHT}"))
    body.append(_text(_WIDTH - _RIGHT, _FLOOR + 28, x_name, "end"))
    return body


def _legend(kinds: Mapping[str, str]) -> Iterator[str]:
    """Write names beneath a chart, each after a piece of the line or bar of its class."""
    y, width = _FLOOR + 28, (_CURVE_SPAN - 60) / len(kinds)
    for i, (name, kind) in enumerate(kinds.items()):
        at = round(_CURVE_LEFT + i * width, 1)
        yield _path(kind, f"M{at} {y - 8}v8h16v-8z" if kind == "bar" else f"M{at} {y - 4}h16")
        yield _text(at + 20, y, name, "start")


def line_chart(
    title: str,
    lines: Sequence[Line],
    x_name: str,
    unit: str = "",
    *,
    zero: bool = False,
    x_range: tuple[float, float] | None = None,
) -> Markup:
    """Draw one to three lines, with a dot at each point if they are few.

    unit: "%" for shares, else the text after a number. zero: the scale starts there. x_range: the least range of x that
    the chart spans, by default that of the lines. ValueError for no line, more than three, or one without points.
    """
    if not 1 <= len(lines) <= len(_KINDS) or any(not len(line.x) for line in lines):
        raise ValueError(f"{title}: give 1 to {len(_KINDS)} lines with points, not {[len(line.x) for line in lines]}")
    xs = np.concatenate([*(line.x for line in lines), x_range or ()])
    x_ticks = round_ticks(float(xs.min()), max(float(xs.max()), float(xs.min()) + 1), whole=True)
    y_ticks = round_ticks(*_scale(np.concatenate([line.y for line in lines]), zero))
    body = _axes(x_ticks, y_ticks, x_name, unit)
    for kind, line in zip(_KINDS, lines, strict=False):
        across = _CURVE_LEFT + _CURVE_SPAN * (line.x - x_ticks[0]) / (x_ticks[-1] - x_ticks[0])
        upwards = _FLOOR - _CURVE_HEIGHT * (line.y - y_ticks[0]) / (y_ticks[-1] - y_ticks[0])
        points = [f"{a:.1f} {b:.1f}" for a, b in zip(across.tolist(), upwards.tolist(), strict=True)]
        body.append(_path(f"line {kind}", "M" + "L".join(points)))
        if len(points) <= _MOST_MARKED:
            body.append(_path(f"points {kind}", "".join(f"M{point}h0" for point in points)))
    if len(lines) > 1:
        body += _legend({line.name: f"line {kind}" for kind, line in zip(_KINDS, lines, strict=False)})
    return _svg(_FLOOR + _CURVE_BOTTOM, title, body)


def paired_histograms(title: str, counts: Mapping[str, Array], x_name: str) -> Markup:
    """Draw one or two named histograms (N,) of equal bins over 0..1 on one scale.

    The last is drawn as bars, the one before it as a line. ValueError for more or none.
    """
    if not 1 <= len(counts) <= 2:
        raise ValueError(f"{title}: give one or two histograms, not {len(counts)}")
    *before, last = counts.values()
    ticks = round_ticks(0.0, max(1.0, *(float(each.max()) for each in counts.values())), whole=True)
    width, scale = _CURVE_SPAN / len(last), _CURVE_HEIGHT / ticks[-1]
    bars = (
        f"M{_CURVE_LEFT + i * width + 0.5:.1f} {_FLOOR}v{-h:.1f}h{width - 1:.1f}V{_FLOOR}z"
        for i, h in enumerate((scale * last).tolist())
    )
    body = [*_axes(np.linspace(0, 1, 6), ticks, x_name, ""), _path("bar", "".join(bars))]
    for each in before:
        tops = (f"V{_FLOOR - h:.1f}h{width:.1f}" for h in (scale * each).tolist())
        body.append(_path("line second", "".join(chain([f"M{_CURVE_LEFT} {_FLOOR}"], tops, [f"V{_FLOOR}"]))))
    body += _legend(dict(zip(counts, ("line second", "bar")[-len(counts) :], strict=True)))
    return _svg(_FLOOR + _CURVE_BOTTOM, title, body)
