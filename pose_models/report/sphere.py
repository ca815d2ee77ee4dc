"""Error over the viewing sphere: from where the camera looks, and how wrong the poses are there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from p3d_gen.core.types import Array
from pose_models.geometry import viewpoint_of
from pose_models.prediction import Prediction

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

AZIMUTH_STEP_DEG, ELEVATION_STEP_DEG = 15, 10
_DPI, _CELL_INCHES, _MARGIN_INCHES, _TITLE_WIDTH = 120, (0.44, 0.36), (1.0, 1.9), 90
_FACES = {-180: "back", -90: "right", 0: "front", 90: "left", 180: "back"}
_EMPTY = "#eeeeee"
# Medians in degrees between which a cell has a colour (ColorBrewer's RdYlBu, safe for the colour-blind).
_BOUNDS = (0, 5, 10, 20, 30, 60, 120, 180)
_COLOURS = ("#4575b4", "#91bfdb", "#e0f3f8", "#ffffbf", "#fee090", "#fc8d59", "#d73027")
_DARK = (_COLOURS[0], _COLOURS[-1])


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


def _write_cells(axes: Axes, cells: SphereMap) -> None:
    """Write the median and the number of images into each cell that has some."""
    middles = [edges[:-1] + np.diff(edges) / 2 for edges in (cells.elevation_edges, cells.azimuth_edges)]
    for row, column in zip(*np.nonzero(cells.count), strict=True):
        median = float(cells.median_deg[row, column])
        colour = _COLOURS[min(int(np.digitize(median, _BOUNDS)), len(_COLOURS)) - 1]
        ink = "white" if colour in _DARK else "#1e2228"
        x, y = middles[1][column], middles[0][row]
        texts = (f"{median:.{int(median < 99.95)}f}°", 4, 8), (f"n {cells.count[row, column]}", -6, 6)
        for text, shift, size in texts:
            style: dict[str, Any] = {"ha": "center", "va": "center", "color": ink, "fontsize": size}
            axes.annotate(text, (x, y), (0, shift), textcoords="offset points", **style)


def sphere_figure(cells: SphereMap, title: str) -> Figure:
    """Draw the map: the median error as colour and number in each cell, the images under it; grey if there are none."""
    from matplotlib.colors import BoundaryNorm, ListedColormap
    from matplotlib.figure import Figure

    rows, columns = cells.count.shape
    size = _CELL_INCHES[0] * columns + _MARGIN_INCHES[0], _CELL_INCHES[1] * rows + _MARGIN_INCHES[1]
    figure = Figure(figsize=size, dpi=_DPI, layout="constrained")
    axes = figure.add_subplot(facecolor=_EMPTY)
    norm = BoundaryNorm(_BOUNDS, len(_COLOURS), clip=True)
    mesh = axes.pcolormesh(
        cells.azimuth_edges, cells.elevation_edges, cells.median_deg, cmap=ListedColormap(_COLOURS), norm=norm
    )
    axes.hlines(cells.elevation_edges, -180, 180, color="white", linewidth=1)
    axes.vlines(cells.azimuth_edges, *cells.elevation_edges[[0, -1]], color="white", linewidth=1)
    _write_cells(axes, cells)
    axes.set_title(fill(title, _TITLE_WIDTH), loc="left", fontsize=12)
    ticks = range(-180, 181, 45)
    axes.set_xticks(ticks, [f"{azimuth}°\n{_FACES.get(azimuth, '')}" for azimuth in ticks])
    axes.set_yticks(cells.elevation_edges, [f"{elevation:.0f}°" for elevation in cells.elevation_edges])
    axes.set_xlabel("azimuth of the camera")
    axes.set_ylabel("elevation")
    axes.spines[:].set_visible(False)
    bar = figure.colorbar(mesh, ax=axes, location="bottom", spacing="uniform", aspect=60, shrink=0.7)
    bar.set_label("median error")
    bar.set_ticks(_BOUNDS, labels=[f"{bound}°" for bound in _BOUNDS])
    return figure
