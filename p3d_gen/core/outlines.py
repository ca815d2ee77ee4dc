"""The outlines of two meshes of one object, compared from all sides."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from p3d_gen.core.geometry import cam_T_obj
from p3d_gen.core.silhouette import mask_iou, silhouette
from p3d_gen.core.types import Array, Camera, Viewpoint

SIDE_PX = 256
_DISTANCE = 3.0  # in box diagonals
_FILL = 0.95  # the widest that an object can be, in widths of the picture
_BLOCK = 1 << 16  # faces that are drawn at once
_CORNER_DEG = float(np.degrees(np.arctan(np.sqrt(0.5))))
# (azimuth, elevation): the six sides of a box, and its eight corners
OUTLINE_VIEWS_DEG = (
    *((azimuth, 0.0) for azimuth in (0.0, 90.0, 180.0, 270.0)),
    *((0.0, elevation) for elevation in (-90.0, 90.0)),
    *((azimuth, elevation) for azimuth in (45.0, 135.0, 225.0, 315.0) for elevation in (-_CORNER_DEG, _CORNER_DEG)),
)
Mesh = tuple[Array, NDArray[Any]]


def outline_camera() -> Camera:
    """Return the camera of all views: an object with box diagonal 1, centred on 0, is within its picture."""
    reach = np.tan(np.arcsin(0.5 / _DISTANCE))
    return Camera(
        focal_px=float(_FILL * SIDE_PX / 2 / reach),
        principal_px=(SIDE_PX / 2, SIDE_PX / 2),
        image_hw=(SIDE_PX, SIDE_PX),
    )


def outline_poses() -> Iterator[Array]:
    """Yield cam_T_obj (4, 4) of each view."""
    for azimuth_deg, elevation_deg in OUTLINE_VIEWS_DEG:
        yield cam_T_obj(
            Viewpoint(
                azimuth_rad=float(np.radians(azimuth_deg)),
                elevation_rad=float(np.radians(elevation_deg)),
                theta_rad=0.0,
                distance=_DISTANCE,
            )
        )


def _outline(mesh: Mesh, pose: Array, camera: Camera) -> NDArray[np.bool_]:
    vertices, faces = mesh
    mask = np.zeros(camera.image_hw, bool)
    for start in range(0, len(faces), _BLOCK):
        corners = vertices[faces[start : start + _BLOCK]].reshape(-1, 3)
        mask |= silhouette(corners, np.arange(len(corners)).reshape(-1, 3), pose, camera)
    return mask


def lowest_outline_iou(mesh: Mesh, other: Mesh) -> float:
    """Return the lowest IoU between the silhouettes of two meshes from six sides and eight corners, at 256 pixels.

    mesh, other: vertices (V, 3) of an object with box diagonal 1, centred on 0, and faces (F, 3).
    """
    camera = outline_camera()
    return min(mask_iou(_outline(mesh, pose, camera), _outline(other, pose, camera)) for pose in outline_poses())
