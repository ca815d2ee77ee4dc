"""Error over the viewing sphere: from where the camera looks, and how wrong the poses are there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from p3d_gen.core.types import Array, Picture
from pose_models.geometry import viewpoint_of
from pose_models.prediction import Prediction
from pose_models.report.draw import FAINT, INK, Colour, blank, fitted, polyline, write_texts

AZIMUTH_STEP_DEG, ELEVATION_STEP_DEG = 15, 10
_LEFT, _RIGHT, _TOP, _AXIS, _LEGEND = 64, 24, 46, 58, 54
_CELL_W, _CELL_H = 48, 38
_FACES = {-180: "back", -90: "right", 0: "front", 90: "left", 180: "back"}
_PAPER, _EMPTY = (255, 255, 255), (238, 238, 238)
# Medians in degrees up to which a cell has a colour (ColorBrewer's RdYlBu, safe for the colour-blind), and its text.
_CLASSES: tuple[tuple[float, Colour, Colour], ...] = (
    (5, (69, 117, 180), (255, 255, 255)),
    (10, (145, 191, 219), INK),
    (20, (224, 243, 248), INK),
    (30, (255, 255, 191), INK),
    (60, (254, 224, 144), INK),
    (120, (252, 141, 89), INK),
    (np.inf, (215, 48, 39), (255, 255, 255)),
)


@dataclass(frozen=True, kw_only=True)
class SphereMap:
    """Cells between edges in degrees: azimuth (A + 1) from -180 to 180, 0 in front of the object, and elevation (E +
    1), the rows that hold images.

    count (E, A); median_deg (E, A): of the errors, NaN if there is no image.
    """

    azimuth_edges: Array
    elevation_edges: Array
    count: NDArray[np.int64]
    median_deg: Array


def sphere_map(predictions: Sequence[Prediction], errors_rad: Sequence[float]) -> SphereMap:
    """Sort the errors (N) by the true direction of the camera, whatever the in-plane angle.

    ValueError without images.
    """
    if not predictions:
        raise ValueError("no image to evaluate")
    views = torch.rad2deg(viewpoint_of(torch.from_numpy(np.stack([p.R_true for p in predictions])))).numpy()
    azimuth, elevation = (views[:, 0] + 180) % 360 - 180, views[:, 1]
    errors = np.degrees(np.nan_to_num(np.asarray(errors_rad, dtype=np.float64), nan=np.pi))
    low = np.floor(elevation.min() / ELEVATION_STEP_DEG)
    high = max(np.floor(elevation.max() / ELEVATION_STEP_DEG) + 1, low + 1)
    elevations: Array = ELEVATION_STEP_DEG * np.arange(low, high + 1, dtype=np.float64)
    azimuths = np.arange(-180.0, 181.0, AZIMUTH_STEP_DEG)
    columns = np.clip(np.digitize(azimuth, azimuths) - 1, 0, len(azimuths) - 2)
    rows = np.digitize(elevation, elevations) - 1
    count = np.zeros((len(elevations) - 1, len(azimuths) - 1), dtype=np.int64)
    np.add.at(count, (rows, columns), 1)
    median = np.full(count.shape, np.nan)
    for row, column in zip(*np.nonzero(count), strict=True):
        median[row, column] = np.median(errors[(rows == row) & (columns == column)])
    return SphereMap(azimuth_edges=azimuths, elevation_edges=elevations, count=count, median_deg=median)


def _class_of(median_deg: float) -> tuple[Colour, Colour]:
    return next((fill, text) for bound, fill, text in _CLASSES if median_deg < bound)


def _draw_cells(picture: Picture, cells: SphereMap) -> None:
    """Draw coloured cells, the highest elevation on top, with median and number of images."""
    rows, columns = cells.count.shape
    for row, column in np.ndindex(rows, columns):
        top, left = _TOP + (rows - 1 - row) * _CELL_H, _LEFT + column * _CELL_W
        median = float(cells.median_deg[row, column])
        fill, ink = _class_of(median) if cells.count[row, column] else (_EMPTY, INK)
        cell = picture[top + 1 : top + _CELL_H, left + 1 : left + _CELL_W]
        cell[:] = fill
        if cells.count[row, column]:
            middle = (_CELL_W - 1) / 2
            write_texts(cell, [(middle, 12, f"{median:.{int(median < 99.95)}f}°", "mm")], 14, ink)
            write_texts(cell, [(middle, 27, f"n {cells.count[row, column]}", "mm")], 11, ink)


def _draw_axes(picture: Picture, cells: SphereMap) -> None:
    rows = len(cells.elevation_edges) - 1
    floor = _TOP + rows * _CELL_H
    ticks = []
    for i, azimuth in enumerate(cells.azimuth_edges.tolist()):
        x = _LEFT + i * _CELL_W
        if azimuth % 45 == 0:
            ticks.append((x, floor + 12, f"{azimuth:.0f}°", "mm"))
            polyline(picture, np.array([[x + 0.5, floor], [x + 0.5, floor + 4]]), FAINT, 1)
        if azimuth in _FACES:
            ticks.append((x, floor + 28, _FACES[int(azimuth)], "mm"))
    for i, elevation in enumerate(cells.elevation_edges.tolist()):
        ticks.append((_LEFT - 6, floor - i * _CELL_H, f"{elevation:.0f}°", "rm"))
    write_texts(picture, ticks, 13, INK)
    middle = _LEFT + (len(cells.azimuth_edges) - 1) * _CELL_W / 2
    write_texts(picture, [(middle, floor + 46, "azimuth of the camera; upwards its elevation", "mm")], 12, FAINT)


def _draw_legend(picture: Picture) -> None:
    top, lower = picture.shape[0] - _LEGEND + 16, 0.0
    write_texts(picture, [(_LEFT, top + 9, "median error", "lm")], 13, INK)
    for i, (bound, fill, _) in enumerate(_CLASSES):
        left = _LEFT + 100 + i * 112
        picture[top : top + 18, left : left + 28] = fill
        name = f"{lower:.0f} to {bound:.0f}°" if np.isfinite(bound) else f"from {lower:.0f}°"
        write_texts(picture, [(left + 34, top + 9, name, "lm")], 13, INK)
        lower = bound


def sphere_picture(cells: SphereMap, title: str) -> Picture:
    """Draw the map: the median error as colour and number in each cell, the images under it; grey if there are none."""
    rows, columns = cells.count.shape
    width = _LEFT + columns * _CELL_W + _RIGHT
    picture = blank(_TOP + rows * _CELL_H + _AXIS + _LEGEND, width, _PAPER)
    write_texts(picture, [(_LEFT, 22, fitted(title, 18, width - _LEFT - _RIGHT), "lm")], 18, INK)
    _draw_cells(picture, cells)
    _draw_axes(picture, cells)
    _draw_legend(picture)
    return picture
