"""Labels in degrees, as benchmarks state them, as poses and cameras."""

from __future__ import annotations

import math

import numpy as np

from p3d_gen.core import geometry
from p3d_gen.core.types import Array, Camera, Viewpoint

UNKNOWN = math.nan


def pose_of(azimuth_deg: float, elevation_deg: float, theta_deg: float, distance: float = UNKNOWN) -> Array:
    """Return cam_T_obj (4, 4) of a PASCAL3D+ viewpoint; its translation is (0, 0, distance), NaN if that is
    `UNKNOWN`."""
    viewpoint = Viewpoint(
        azimuth_rad=math.radians(azimuth_deg),
        elevation_rad=math.radians(elevation_deg),
        theta_rad=math.radians(theta_deg),
        distance=distance,
    )
    pose = geometry.cam_T_obj(viewpoint)
    if math.isnan(distance):
        pose[:3, 3] = np.nan
    return pose


def camera_matrix(focal_px: float, principal_px: tuple[float, float], image_hw: tuple[int, int]) -> Array:
    """Return K (3, 3); all NaN if the focal length or the principal point is `UNKNOWN`."""
    if not math.isfinite(focal_px + sum(principal_px)):
        return np.full((3, 3), np.nan)
    return Camera(focal_px=focal_px, principal_px=principal_px, image_hw=image_hw).K
