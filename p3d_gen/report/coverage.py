"""The evenness with which a set of viewpoints covers the directions that a camera can look from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from p3d_gen.core.categories import CategoryDefinition
from p3d_gen.core.types import Array
from p3d_gen.spec.manifest import Manifest
from p3d_gen.spec.viewpoints import elevation_cdf

_CELL_SAMPLES, _MOST_ROWS = 10, 18
_EXPECTED_TO_COMPARE = 5


@dataclass(frozen=True, kw_only=True)
class Evenness:
    """Camera directions counted in cells that share the sphere's area equally.

    hit: number of cells with a sample. fullest, emptiest: their number of samples as a multiple of the number that the
    manifest's distribution expects, among cells that expect at least 5; NaN if there is none, or no expectation.
    """

    cells: int
    hit: int
    fullest: float
    emptiest: float


def evenness(manifest: Manifest, definition: CategoryDefinition, azimuth_rad: Array, elevation_rad: Array) -> Evenness:
    """Count samples in 2 r x r cells of azimuth and sine of elevation, with about 10 samples in each."""
    rows = int(np.clip(np.sqrt(len(azimuth_rad) / (2 * _CELL_SAMPLES)), 1, _MOST_ROWS))
    columns, sines = 2 * rows, np.linspace(-1, 1, rows + 1)
    turns = azimuth_rad % (2 * np.pi) / (2 * np.pi)
    counts = np.histogram2d(turns, np.sin(elevation_rad), (columns, rows), ((0, 1), (-1, 1)))[0]
    ratios = np.array([np.nan])
    if manifest.viewpoint.distribution != "empirical":
        shares = np.diff(elevation_cdf(manifest, definition, np.arcsin(sines)))
        expected = np.tile(shares * len(azimuth_rad) / columns, (columns, 1))
        compared = expected >= _EXPECTED_TO_COMPARE
        if compared.any():
            ratios = counts[compared] / expected[compared]
    return Evenness(
        cells=counts.size, hit=int(np.count_nonzero(counts)), fullest=float(ratios.max()), emptiest=float(ratios.min())
    )
