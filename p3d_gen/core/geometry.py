"""The one page of conventions: viewpoints, poses, projection, and the frames of other tools.

Frames
    obj      the CAD's own axes: z up, front at -y, centred on the bounding box, box diagonal 1.
    cam      OpenCV camera axes: x right, y down, z forward. `cam_T_obj` maps obj to cam: p_cam = cam_T_obj @ p_obj.
    gl       OpenGL/Blender camera axes: x right, y up, z towards the viewer. R_gl = diag(1, -1, -1) @ R_cam.
    pytorch3d  x left, y up, z forward, row vectors, object axes (x, z, -y).
Pixels are continuous: pixel (i, j) covers [i, i+1) x [j, j+1), x to the right and y down.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from p3d_gen.core.types import Array, Camera, Viewpoint

GL_FROM_CV = np.diag([1.0, -1.0, -1.0])
BLENDER_SENSOR_MM = 32.0
_PYTORCH3D_OBJECT_AXES = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
_PYTORCH3D_FLIP = np.diag([-1.0, 1.0, -1.0])
_POLE = 1.0 - 1e-12


def _rot_x(angle_rad: float) -> Array:
    c, s = np.cos(angle_rad), np.sin(angle_rad)
    return np.array([[1.0, 0.0, 0.0], [0.0, c, -s], [0.0, s, c]])


def rot_z(angle_rad: float) -> Array:
    """Return the 3x3 rotation by `angle_rad` about z, counter-clockwise seen from +z."""
    c, s = np.cos(angle_rad), np.sin(angle_rad)
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])


def camera_centre(viewpoint: Viewpoint) -> Array:
    """Return the camera centre (3,) in obj axes: d (cos e sin a, -cos e cos a, sin e)."""
    a, e = viewpoint.azimuth_rad, viewpoint.elevation_rad
    return viewpoint.distance * np.array([np.cos(e) * np.sin(a), -np.cos(e) * np.cos(a), np.sin(e)])


def rotation_gl(viewpoint: Viewpoint) -> Array:
    """Return the PASCAL3D+ rotation label, from obj to gl camera axes: R_gl = Rz(theta) Rx(e - pi/2) Rz(-a)."""
    tilt = _rot_x(viewpoint.elevation_rad - np.pi / 2)
    return np.asarray(rot_z(viewpoint.theta_rad) @ tilt @ rot_z(-viewpoint.azimuth_rad))


def cam_T_obj(viewpoint: Viewpoint) -> Array:
    """Return the 4x4 pose of the object in OpenCV camera axes; its translation is (0, 0, distance)."""
    pose = np.eye(4)
    pose[:3, :3] = GL_FROM_CV @ rotation_gl(viewpoint)
    pose[2, 3] = viewpoint.distance
    return pose


def viewpoint_of(pose_cam_T_obj: Array) -> Viewpoint:
    """Return the viewpoint of a 4x4 pose: azimuth in [0, 2 pi), theta in (-pi, pi], theta 0 at the poles.

    The distance is the norm of the translation. The rotation alone defines the angles. A translation off the optical
    axis is not part of a PASCAL3D+ viewpoint: the principal point carries it.
    """
    R = GL_FROM_CV @ pose_cam_T_obj[:3, :3]
    elevation = float(np.arcsin(np.clip(R[2, 2], -1.0, 1.0)))
    if abs(R[2, 2]) < _POLE:
        azimuth, theta = np.arctan2(R[2, 0], -R[2, 1]), np.arctan2(-R[0, 2], R[1, 2])
    else:
        azimuth, theta = np.arctan2(R[0, 1], R[0, 0]), 0.0
    return Viewpoint(
        azimuth_rad=float(azimuth % (2 * np.pi)),
        elevation_rad=elevation,
        theta_rad=float(theta),
        distance=float(np.linalg.norm(pose_cam_T_obj[:3, 3])),
    )


def transform(pose: Array, points: Array) -> Array:
    """Map points (N, 3) by a 4x4 rigid transform."""
    return np.asarray(points @ pose[:3, :3].T + pose[:3, 3])


def project(points_cam: Array, camera: Camera) -> Array:
    """Return the pixel coordinates (N, 2), x then y, of points (N, 3) in cam axes; NaN if z <= 0."""
    z = points_cam[:, 2:]
    pixels = points_cam[:, :2] * camera.focal_px / np.where(z > 0, z, np.nan) + np.array(camera.principal_px)
    return np.asarray(pixels, dtype=np.float64)


def box_corners(extent_xyz: Array) -> Array:
    """Return the corners (8, 3) of a box of size `extent_xyz` centred on the origin.

    In the number i of a corner, bit 0 stands for +x, bit 1 for +y, bit 2 for +z.
    """
    signs = np.array([[(i >> axis & 1) - 0.5 for axis in range(3)] for i in range(8)])
    return np.asarray(signs * extent_xyz)


def blender_matrix_world(pose_cam_T_obj: Array) -> Array:
    """Return Blender's camera `matrix_world` (4x4) for a pose, with the object at the world origin in obj axes."""
    matrix = np.eye(4)
    R_gl = GL_FROM_CV @ pose_cam_T_obj[:3, :3]
    matrix[:3, :3] = R_gl.T
    matrix[:3, 3] = -pose_cam_T_obj[:3, :3].T @ pose_cam_T_obj[:3, 3]
    return matrix


def cam_T_world_of_blender(matrix_world: Array) -> Array:
    """Return the 4x4 transform from Blender's world to OpenCV camera axes: diag(1, -1, -1, 1) inv(matrix_world)."""
    return np.asarray(np.diag([1.0, -1.0, -1.0, 1.0]) @ np.linalg.inv(matrix_world))


def pytorch3d_R_T(pose_cam_T_obj: Array) -> tuple[Array, Array]:
    """Return PyTorch3D's (R, T) of a pose: x_p3d = (x, z, -y)_obj @ R + T, with x left, y up, z forward."""
    R_gl = GL_FROM_CV @ pose_cam_T_obj[:3, :3]
    t_gl = GL_FROM_CV @ pose_cam_T_obj[:3, 3]
    return _PYTORCH3D_OBJECT_AXES @ R_gl.T @ _PYTORCH3D_FLIP, _PYTORCH3D_FLIP @ t_gl


def blender_lens_mm(focal_px: float, image_hw: tuple[int, int]) -> float:
    """Return Blender's focal length in mm for a 32 mm sensor, fit AUTO: the sensor spans the longer image side."""
    return focal_px * BLENDER_SENSOR_MM / max(image_hw)


def focal_px_of_blender(lens_mm: float, image_hw: tuple[int, int]) -> float:
    """Return the focal length in pixels of Blender's in mm: the inverse of `blender_lens_mm`."""
    return lens_mm * max(image_hw) / BLENDER_SENSOR_MM


def rotation_error_rad(R_a: Array, R_b: Array) -> float:
    """Return the geodesic angle between two 3x3 rotations, in [0, pi]: 2 asin(|R_a - R_b|_F / (2 sqrt 2)).

    It is exact near pi too.
    """
    chord = np.linalg.norm(R_a - R_b) / (2.0 * np.sqrt(2.0))
    return float(2.0 * np.arcsin(min(1.0, float(chord))))


def random_rotation(rng: np.random.Generator) -> Array:
    """Draw a 3x3 rotation uniformly on SO(3) (Haar), from a normalised Gaussian quaternion."""
    w, x, y, z = (q := rng.standard_normal(4)) / np.linalg.norm(q)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def hflip(pose_cam_T_obj: Array, camera: Camera) -> tuple[Array, Camera]:
    """Return pose and camera of the horizontally mirrored picture of an object that is symmetric in its x.

    R(-a, e, -theta) = diag(-1, 1, 1) R diag(-1, 1, 1), and the principal point moves to W - px.
    """
    mirror = np.diag([-1.0, 1.0, 1.0, 1.0])
    x, y = camera.principal_px
    width = camera.image_hw[1]
    flipped = Camera(focal_px=camera.focal_px, principal_px=(width - x, y), image_hw=camera.image_hw)
    return mirror @ pose_cam_T_obj @ mirror, flipped


@dataclass(frozen=True, kw_only=True)
class Crop:
    """A resize to `resized_hw`, followed by a crop of size `out_hw`.

    top, left: first pixel of the crop in the resized image. Parts outside of the image are padded with zeros.
    """

    resized_hw: tuple[int, int]
    top: int
    left: int
    out_hw: tuple[int, int]


def distance_crop(
    image_hw: tuple[int, int],
    principal_px: tuple[float, float],
    distance: float,
    target_distance: float,
    out_hw: tuple[int, int],
) -> Crop:
    """Return the crop of NeMo and its successors: the object centred, scaled as if it were `target_distance` away."""
    if distance <= 0 or target_distance <= 0:
        raise ValueError(f"distances must be positive, got {distance} and target {target_distance}")
    s = distance / target_distance
    centre_x, centre_y = int(principal_px[0] * s), int(principal_px[1] * s)
    return Crop(
        resized_hw=(int(image_hw[0] * s), int(image_hw[1] * s)),
        top=centre_y - out_hw[0] // 2,
        left=centre_x - out_hw[1] // 2,
        out_hw=out_hw,
    )


def meets_picture(box_xyxy: Sequence[float], image_hw: Sequence[int]) -> bool:
    """Return if a box is not empty and has a part in a picture of this size; False if one of its numbers is NaN."""
    left, top, right, bottom = box_xyxy
    height, width = image_hw
    return max(left, 0) < min(right, width) and max(top, 0) < min(bottom, height)
