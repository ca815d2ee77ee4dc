"""Draws of materials: one for the whole object, or a physically based one for each part."""

from __future__ import annotations

import colorsys
from collections.abc import Collection
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from PIL import ImageColor

from p3d_gen.core.categories import CategoryDefinition
from p3d_gen.core.types import Material

RGB = tuple[float, float, float]
Range = tuple[float, float]

_GREY: RGB = (0.4, 0.4, 0.4)


class _Kind(NamedTuple):
    """The linear base colours that a part is drawn from, and the ranges of its other properties."""

    colours: tuple[RGB, ...]
    roughness: Range
    metallic: Range = (0.0, 0.0)
    coat: Range = (0.0, 0.0)
    emission: float = 0.0


_KINDS = {
    "glass": _Kind(((0.02, 0.025, 0.03), (0.01, 0.04, 0.02), (0.05, 0.02, 0.008), (0.03, 0.05, 0.06)), (0.02, 0.12)),
    "rubber": _Kind(((0.012, 0.012, 0.012), (0.025, 0.024, 0.023)), (0.6, 0.9)),
    "metal": _Kind(
        ((0.56, 0.57, 0.58), (0.76, 0.75, 0.72), (0.2, 0.2, 0.21), (0.63, 0.5, 0.28)), (0.15, 0.45), (0.9, 1.0)
    ),
    "light": _Kind(((0.85, 0.85, 0.8), (0.9, 0.82, 0.6)), (0.05, 0.2), coat=(0.5, 1.0), emission=0.3),
    "taillight": _Kind(((0.45, 0.01, 0.01), (0.3, 0.005, 0.01)), (0.05, 0.2), coat=(0.5, 1.0), emission=0.15),
    "plastic": _Kind(
        ((0.02, 0.02, 0.02), (0.08, 0.08, 0.085), (0.3, 0.3, 0.3), (0.7, 0.7, 0.68)), (0.3, 0.7), coat=(0.0, 0.2)
    ),
    "wood": _Kind(
        ((0.28, 0.13, 0.05), (0.12, 0.05, 0.02), (0.45, 0.27, 0.12), (0.55, 0.4, 0.24)), (0.35, 0.7), coat=(0.0, 0.5)
    ),
    "fabric": _Kind(
        ((0.3, 0.27, 0.22), (0.05, 0.06, 0.09), (0.25, 0.06, 0.05), (0.07, 0.13, 0.2), (0.1, 0.12, 0.06)), (0.8, 1.0)
    ),
}
_GLASS_ALPHA = 0.3
# Colours that CSS names as few people would: its brown is a red, its purple a magenta, its orange nearly yellow.
_NAMED = {"brown": "#6e3e1c", "purple": "#6a1fa8", "orange": "#f06a10"}


def takes_colour(part: str, colourable: Collection[str]) -> bool:
    """Return True if a part of a category's shapes has the sample's colour.

    Paint has it, parts with unknown names, and the category's `colourable` parts: the main ones of shapes without
    paint.
    """
    return part not in _KINDS or part in colourable


def colour_rgb(name: str) -> tuple[int, int, int]:
    """Return the sRGB bytes of a CSS colour name (a few are redefined) or of #rrggbb. Raise ValueError for others."""
    r, g, b = ImageColor.getrgb(_NAMED.get(name, name))[:3]
    return r, g, b


def is_colour(name: str) -> bool:
    """Return True for the names of colours that are known: those of CSS, and #rrggbb."""
    try:
        colour_rgb(name)
    except ValueError:
        return False
    return True


def _linear(encoded: float) -> float:
    return encoded / 12.92 if encoded <= 0.04045 else float(((encoded + 0.055) / 1.055) ** 2.4)


def _paint_rgb(rng: np.random.Generator, colour: str) -> RGB:
    """Draw the linear colour of a lacquer of the named colour: less pure than on a screen, and with its own shade."""
    r, g, b = colour_rgb(colour)
    hue, saturation, value = colorsys.rgb_to_hsv(r / 255, g / 255, b / 255)
    hue = (hue + rng.uniform(-0.015, 0.015)) % 1.0
    mixed = colorsys.hsv_to_rgb(hue, saturation * rng.uniform(0.7, 0.95), 0.02 + value * rng.uniform(0.6, 0.95))
    return _linear(mixed[0]), _linear(mixed[1]), _linear(mixed[2])


def _paint(rng: np.random.Generator, colour: str) -> Material:
    return Material(
        part="",
        base_rgb=_paint_rgb(rng, colour),
        roughness=float(rng.uniform(0.2, 0.5)),
        metallic=float(rng.uniform(0.0, 0.6)),
        coat=float(rng.uniform(0.3, 1.0)),
        emission=0.0,
    )


def _part_rgb(rng: np.random.Generator, part: str) -> RGB:
    colours = _KINDS[part].colours
    r, g, b = colours[int(rng.integers(len(colours)))]
    shade = float(rng.uniform(0.7, 1.3))
    return min(1.0, r * shade), min(1.0, g * shade), min(1.0, b * shade)


def _part(rng: np.random.Generator, part: str, base_rgb: RGB) -> Material:
    kind = _KINDS[part]
    return Material(
        part=part,
        base_rgb=base_rgb,
        roughness=float(rng.uniform(*kind.roughness)),
        metallic=float(rng.uniform(*kind.metallic)),
        coat=float(rng.uniform(*kind.coat)),
        emission=kind.emission,
    )


def _clear(material: Material) -> Material:
    """Let light through a part of glass, the more the smoother it is; no other part changes."""
    alpha = _GLASS_ALPHA + 2 * material.roughness
    return replace(material, alpha=alpha) if material.part == "glass" else material


def realistic(rng: np.random.Generator, colour: str, definition: CategoryDefinition) -> tuple[Material, ...]:
    """Draw a material for every part that a category's shapes may have.

    The parts that `takes_colour` have the colour. Part "" stands for paint and for parts with unknown names.
    """
    drawn = [_paint(rng, colour)]
    for part in _KINDS:
        base_rgb = _paint_rgb(rng, colour) if takes_colour(part, definition.colourable) else _part_rgb(rng, part)
        drawn.append(_part(rng, part, base_rgb))
    return tuple(map(_clear, drawn) if definition.glass == "clear" else drawn)


def plain(rng: np.random.Generator, roughness: Range, metallic: Range) -> Material:
    """Draw one grey material for the whole object; a texture replaces its colour."""
    return Material(
        part="",
        base_rgb=_GREY,
        roughness=float(rng.uniform(*roughness)),
        metallic=float(rng.uniform(*metallic)),
        coat=0.0,
        emission=0.0,
    )
