"""Viewpoints: (manifest, listed viewpoints, category, index) -> Viewpoint. Pure: no I/O, the same numbers everywhere.

A rotation is a function of three numbers in [0, 1), which set azimuth, elevation and in-plane angle by inversion of
their distribution functions. On all rotations the three are independent too: azimuth, the sine of the elevation and
theta are uniform. The numbers are either random, or the next point of a low-discrepancy sequence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from p3d_gen.core.categories import CategoryDefinition
from p3d_gen.core.geometry import cam_T_obj, viewpoint_of
from p3d_gen.core.types import Array, Viewpoint
from p3d_gen.spec.manifest import Manifest
from p3d_gen.spec.scene_sections import TruncatedNormal
from p3d_gen.spec.streams import Stream, stream

# Steps of the Kronecker sequence along azimuth, elevation and theta. The first two, powers of the reciprocal plastic
# number, cover the sphere of camera directions best; the golden ratio has no near-integer relation with them. (The
# three powers that generalise both have one, 35 x - y = 28.00001, and leave stripes on the sphere.)
_PLASTIC, _GOLDEN = 1.324717957244746, 1.618033988749895
_STEPS = np.array([1 / _PLASTIC, 1 / _PLASTIC**2, 1 / _GOLDEN])


def _uniforms(manifest: Manifest, category: str, index: int) -> Array:
    """Return three numbers in [0, 1) for one sample.

    Stratified: the Kronecker sequence at `index`, shifted as a whole (Cranley and Patterson) by a draw for the seed and
    the category. The points of any consecutive indices are those of the first indices, shifted: equally even.
    """
    if manifest.viewpoint.coverage == "random":
        return stream(manifest, Stream.ROTATION, category, index).random(3)
    shift = stream(manifest, Stream.COVERAGE, category, 0).random(3)
    return np.asarray((shift + index * _STEPS) % 1.0)


def _ends(normal: TruncatedNormal) -> tuple[float, float]:
    """Return the values of the untruncated distribution function at both ends."""
    from scipy.special import ndtr  # see `render.arrange`

    low, high = (ndtr((bound - normal.mean_deg) / normal.std_deg) for bound in (normal.min_deg, normal.max_deg))
    return float(low), float(high)


def _truncated_rad(u: float, normal: TruncatedNormal) -> float:
    """Return the quantile `u` of a truncated normal: the inverse of its distribution function between both ends."""
    from scipy.special import ndtri

    low, high = _ends(normal)
    return float(np.radians(normal.mean_deg + normal.std_deg * ndtri(low + (high - low) * u)))


def elevation_cdf(manifest: Manifest, definition: CategoryDefinition, elevation_rad: Array) -> Array:
    """Return the wanted share of a category's cameras below each elevation, for any distribution except empirical."""
    from scipy.special import ndtr

    section = manifest.viewpoint
    if section.distribution_of(definition) == "so3":
        return np.asarray((np.sin(elevation_rad) + 1) / 2)
    normal = section.elevation_of(definition)
    low, high = _ends(normal)
    z = (np.clip(np.degrees(elevation_rad), normal.min_deg, normal.max_deg) - normal.mean_deg) / normal.std_deg
    return np.asarray((ndtr(z) - low) / (high - low))


def _turned(viewpoint: Viewpoint, rng: np.random.Generator, jitter_deg: float) -> Viewpoint:
    """Turn a viewpoint about a uniformly random axis, by an angle that is normal with `jitter_deg`."""
    from scipy.spatial.transform import Rotation

    axis = rng.standard_normal(3)
    turn = Rotation.from_rotvec(axis / np.linalg.norm(axis) * np.radians(rng.normal(0, jitter_deg))).as_matrix()
    pose = cam_T_obj(viewpoint)
    pose[:3, :3] = turn @ pose[:3, :3]
    return viewpoint_of(pose)


def _empirical(manifest: Manifest, listed: Sequence[Viewpoint], category: str, index: int) -> Viewpoint:
    """Draw one of the listed viewpoints, turned a little. Stratified: each pass through the list is a new shuffle."""
    rng = stream(manifest, Stream.ROTATION, category, index)
    if manifest.viewpoint.coverage == "random":
        chosen = int(rng.integers(len(listed)))
    else:
        cycle, place = divmod(index, len(listed))
        chosen = int(stream(manifest, Stream.COVERAGE, category, cycle).permutation(len(listed))[place])
    jitter_deg = manifest.viewpoint.jitter_deg
    return _turned(listed[chosen], rng, jitter_deg) if jitter_deg else listed[chosen]


def draw_viewpoint(
    manifest: Manifest, listed: Sequence[Viewpoint], definition: CategoryDefinition, index: int
) -> Viewpoint:
    """Draw the viewpoint of sample `index` of a category. listed: the viewpoints of the manifest's viewpoint.source.

    It does not depend on samples_per_category. The distance always comes from the camera; it is 0 without that.
    """
    category = definition.name
    span = manifest.camera.of(definition).distance
    distance = float(stream(manifest, Stream.DISTANCE, category, index).uniform(*span)) if span else 0.0
    section = manifest.viewpoint
    if section.distribution == "empirical":
        return replace(_empirical(manifest, listed, category, index), distance=distance)
    u = _uniforms(manifest, category, index).tolist()
    if section.distribution_of(definition) == "so3":
        elevation, theta = float(np.arcsin(2 * u[1] - 1)), np.pi - 2 * np.pi * u[2]
    else:
        elevation, theta = _truncated_rad(u[1], section.elevation_of(definition)), _truncated_rad(u[2], section.theta)
    return Viewpoint(azimuth_rad=2 * np.pi * u[0], elevation_rad=elevation, theta_rad=theta, distance=distance)
