"""Charts as inline SVG. Colours come from the page's style sheet, by class; every chart is named for screen readers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

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


def _svg(height: float, title: str, body: Iterable[str]) -> Markup:
    box = f"0 0 {_WIDTH} {height:g}"
    return Markup(f'<svg viewBox="{box}" role="img" aria-label="{escape(title)}">') + Markup("".join(body) + "</svg>")


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _line(x0: float, y0: float, x1: float, y1: float, kind: str = "grid") -> str:
    return f'<path class="{kind}" d="M{x0:.1f} {y0:.1f}L{x1:.1f} {y1:.1f}"/>'


def _bars(heights: Array, height: float) -> list[str]:
    """Bars side by side across the plot, the tallest as high as it; the scale's end is written beside it."""
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
        f'<path class="bar" d="{"".join(bars)}"/>',
        _line(_LEFT, floor, _WIDTH - _RIGHT, floor, "axis"),
        _text(_LEFT - 5, _TOP + 4, f"{top:g}", "end"),
        _text(_LEFT - 5, floor + 3, "0", "end"),
    ]


def _round_steps(unit: str) -> list[float]:
    """Widths of bins and distances of ticks, ascending, that read well; degrees divide a right angle."""
    if unit == "°":
        return [0.5, 1.0, 2.5, 5.0, 7.5, 15.0, 30.0, 45.0, 90.0]
    return [factor * 10.0**power for power in range(-6, 7) for factor in (1.0, 2.0, 2.5, 5.0)]


def edges_of(values: Array, unit: str = "") -> Array:
    """The edges of at most 25 equal bins around all values, at round numbers; of five where all are the same."""
    low, high = float(values.min()), float(values.max())
    if low == high:
        return low + 0.1 * max(abs(low), 1.0) * (np.arange(6) - 2.5)
    step = next(step for step in _round_steps(unit) if step >= (high - low) / _BINS)
    first, last = int(np.floor(low / step)), int(np.ceil(high / step))
    return np.asarray(np.arange(first, max(last, first + 1) + 1) * step)


def histogram(title: str, values: Array, edges: Array, unit: str = "") -> Markup:
    """Counts of values between equidistant edges."""
    body = _bars(np.histogram(values, edges)[0].astype(np.float64), _BARS_HEIGHT)
    low, high, floor = float(edges[0]), float(edges[-1]), _TOP + _BARS_HEIGHT
    step = next(step for step in _round_steps(unit) if step >= (high - low) / _TICKS)
    for i in range(int(np.ceil(low / step - 1e-9)), int(np.floor(high / step + 1e-9)) + 1):
        x = _LEFT + _SPAN * (i * step - low) / (high - low)
        body += [_line(x, floor, x, floor + 3, "axis"), _text(x, floor + 15, f"{i * step:.6g}{unit}", "middle")]
    return _svg(floor + _BOTTOM, title, body)


def use_bars(title: str, uses: Sequence[int]) -> Markup:
    """How often each of many things was used, one bar for each, the most used first."""
    body = _bars(np.sort(np.asarray(uses, dtype=np.float64))[::-1], _BARS_HEIGHT)
    y = _TOP + _BARS_HEIGHT + 15
    body += [_text(_LEFT, y, "most used", "start"), _text(_WIDTH - _RIGHT, y, f"least used of {len(uses)}", "end")]
    return _svg(_TOP + _BARS_HEIGHT + _BOTTOM, title, body)


def named_bars(title: str, counts: Mapping[str, int]) -> Markup:
    """A horizontal bar for each name, with its count."""
    top, span = max(counts.values(), default=1), _WIDTH - _NAME_WIDTH - _COUNT_WIDTH
    body = []
    for i, (name, count) in enumerate(counts.items()):
        y, length = _TOP + _ROW_HEIGHT * i, span * count / max(top, 1)
        body += [
            _text(_NAME_WIDTH - 6, y + 11, name, "end"),
            f'<path class="bar" d="M{_NAME_WIDTH} {y}h{length:.1f}v{_ROW_HEIGHT - 3}h{-length:.1f}z"/>',
            _text(_NAME_WIDTH + length + 5, y + 11, str(count), "start"),
        ]
    return _svg(_TOP + _ROW_HEIGHT * len(counts), title, body)


def colour_plane(title: str, lab: Array, rgb: NDArray[np.uint8]) -> Markup:
    """Colours as dots of their own colour (N, 3): a* across, from green to red, b* up, from blue to yellow."""
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


def _grid() -> list[str]:
    """Meridians and parallels of the map of directions, with their names."""
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


def every(count: int) -> int:
    """Of how many samples a map of directions shows one."""
    return -(-count // _MOST_DOTS)


def direction_map(title: str, azimuth_rad: Array, elevation_rad: Array) -> Markup:
    """Camera directions as dots, azimuth against the sine of the elevation: equal areas are equal solid angles."""
    step = every(len(azimuth_rad))
    x = _LEFT + _SPAN * ((azimuth_rad[::step] + np.pi) % (2 * np.pi)) / (2 * np.pi)
    y = _TOP + _MAP_HEIGHT * (1 - np.sin(elevation_rad[::step])) / 2
    size = float(np.clip(90 / np.sqrt(len(x)), 1.5, 5.0))
    dots = "".join(f"M{a:.1f} {b:.1f}h0" for a, b in zip(x.tolist(), y.tolist(), strict=True))
    body = [*_grid(), f'<path class="dots" style="stroke-width:{size:.2f}" d="{dots}"/>']
    return _svg(_TOP + _MAP_HEIGHT + 13 + _BOTTOM, title, body)
