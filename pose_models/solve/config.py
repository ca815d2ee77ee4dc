"""The search for poses: the grid, the starts, their refinement, and the presets by name."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from p3d_gen.core.errors import ConfigError

Free = Literal["distance", "principal"]
Focals = Literal["one", "two"]
Refine = Literal["gradient", "coordinate", "released"]
GridScore = Literal["vertices", "cells", "maps"]


@dataclass(frozen=True, kw_only=True)
class SolveConfig:
    """The pose grid and its refinement.

    Grid: `azimuths` steps around, with elevations and in-plane angles in degrees (NeMo: 12, 4 and 3, so 144 poses).
    grid_score: "cells", the loss itself; "vertices", an estimate of it that needs no rasterising; "maps", the loss from
    full rendered feature maps, as released. The best `starts` that lie at least `spacing_deg` apart are refined.
    refine: "gradient", damped Gauss-Newton steps on SO(3), at most `steps`, until they turn by less than `final_deg`;
    "coordinate", a search without gradients, at most `steps` rounds; "released", `steps` steps of Adam on the
    camera's centre and in-plane angle, one image at a time, on full feature maps.
    free: what is searched besides the rotation; the camera rule's value is the start. A camera that is fitted to a box
    is fitted again at each distance. This has a log-normal prior around that of the rule; `distance_sigma` is the
    standard deviation of its logarithm, 1 for a factor of e either way, and `refine` weighs it against the cells. The
    grid takes the best of `grid_scales` times the rule's distance.
    focals: "one" fits fx = fy to a box, "two" both.
    symmetry: of poses that show the same because of the category's symmetry, search one only.
    """

    azimuths: int = 12
    elevations_deg: tuple[float, ...] = (-30.0, 0.0, 30.0, 60.0)
    thetas_deg: tuple[float, ...] = (-30.0, 0.0, 30.0)
    grid_score: GridScore = "vertices"
    starts: int = 3
    spacing_deg: float = 30.0
    refine: Refine = "gradient"
    steps: int = 20
    final_deg: float = 0.1
    free: tuple[Free, ...] = ()
    distance_sigma: float = 1.0
    grid_scales: tuple[float, ...] = (0.25, 0.5, 1.0, 2.0)
    focals: Focals = "two"
    symmetry: bool = True

    def by_camera(self, focals: Focals, *, free_distance: bool) -> SolveConfig:
        """Return the search with so many focal lengths in cameras that are fitted to boxes, and a free distance or
        not."""
        free: tuple[Free, ...] = tuple(name for name in self.free if name != "distance")
        return replace(self, focals=focals, free=(*free, "distance") if free_distance else free)

    def __post_init__(self) -> None:
        """Refuse a configuration that searches nothing."""
        if min(self.azimuths, len(self.elevations_deg), len(self.thetas_deg), self.starts) < 1 or self.steps < 0:
            raise ConfigError(f"{self} searches nothing: azimuths, elevations, thetas and starts must be at least 1")
        if len(set(self.free)) < len(self.free) or set(self.free) - {"distance", "principal"}:
            raise ConfigError(f"free is {self.free}: name 'distance' and 'principal' at most once each")
        if self.focals not in ("one", "two"):
            raise ConfigError(f"focals is {self.focals!r}: name 'one' or 'two'")
        if not (self.distance_sigma > 0 and 1.0 in self.grid_scales and min(self.grid_scales) > 0):
            raise ConfigError(f"{self}: distance_sigma and grid_scales must be above 0, and 1 is one of the scales")


PRESETS = {
    "default": SolveConfig(),
    "released": SolveConfig(grid_score="maps", starts=1, refine="released", steps=300, symmetry=False),
}
"""By name: the default, and the schedule of the code released with NeMo and P3D-Diffusion."""
