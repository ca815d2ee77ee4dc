"""Environment maps: reading them, and seeing one through a virtual camera."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import OpenEXR
from numpy.typing import NDArray

from p3d_gen.core.colour import srgb_bytes
from p3d_gen.core.errors import AssetError
from p3d_gen.core.types import Array, Camera

_MOST_FINER = 4  # rays along the side of a pixel: as many as the pixels of the map that it covers, up to this number


def read_environment(path: Path) -> NDArray[np.float32]:
    """Read an equirectangular map (H, W, 3) in linear RGB, z up, from a Radiance .hdr or an OpenEXR file.

    Raise AssetError if the file cannot be read.
    """
    try:
        if path.suffix.lower() == ".exr":
            channels: dict[str, Any] = OpenEXR.File(str(path)).channels()
            return np.ascontiguousarray(channels["RGB" if "RGB" in channels else "RGBA"].pixels[..., :3], np.float32)
        pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    except Exception as error:  # OpenEXR raises RuntimeError and others of its own
        raise AssetError(f"{path} is not a readable environment map: {error}") from None
    if pixels is None or pixels.ndim != 3:
        raise AssetError(f"{path} is not a readable environment map")
    return np.ascontiguousarray(pixels[..., ::-1], np.float32)


def view_environment(
    pixels: NDArray[np.float32], image_hw: tuple[int, int], yaw_rad: float, pitch_rad: float, fov_rad: float
) -> NDArray[np.float32]:
    """Return the view (H, W, 3) of a map by a level pinhole camera, in linear RGB.

    yaw_rad: turn to the right. pitch_rad: turn upwards. fov_rad: horizontal field of view.
    """
    height, width = image_hw
    focal = width / 2 / np.tan(fov_rad / 2)
    x, y = np.meshgrid(np.arange(width) + 0.5 - width / 2, height / 2 - np.arange(height) - 0.5)
    forward = focal * np.cos(pitch_rad) - y * np.sin(pitch_rad)
    up: Array = focal * np.sin(pitch_rad) + y * np.cos(pitch_rad)
    return _looked_up(pixels, np.arctan2(x, forward) + yaw_rad, np.arctan2(up, np.hypot(x, forward)))


def _looked_up(pixels: NDArray[np.float32], longitude: Array, latitude: Array) -> NDArray[np.float32]:
    """Return the light (H, W, 3) of a map from directions (H, W): longitude right of the map's middle, latitude up."""
    map_h, map_w = pixels.shape[:2]
    u = (longitude / (2 * np.pi) + 0.5) % 1.0 * map_w - 0.5
    v = np.clip((0.5 - latitude / np.pi) * map_h - 0.5, 0, map_h - 1)
    seen = cv2.remap(pixels, u.astype(np.float32), v.astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    return np.asarray(seen, dtype=np.float32)


def mean_radiance(pixels: NDArray[np.float32]) -> float:
    """Return the mean radiance of an equirectangular map over the sphere: rows weigh the cosine of their latitude."""
    latitude = (np.arange(len(pixels)) + 0.5) / len(pixels) * np.pi - np.pi / 2
    return float(np.average(pixels.mean(axis=(1, 2)), weights=np.cos(latitude)))


def view_light(pixels: NDArray[np.float32], turn_rad: float, cam_T_obj: Array, camera: Camera) -> NDArray[np.float32]:
    """Return the view (H, W, 3) of a map, turned about z, by the camera of the object that it lights, in linear RGB."""
    (height, width), (px, py) = camera.image_hw, camera.principal_px
    finer = int(np.clip(np.ceil(pixels.shape[1] / (2 * np.pi * camera.focal_px)), 1, _MOST_FINER))
    x, y = np.meshgrid(*((np.arange(size * finer) + 0.5) / finer for size in (width, height)))
    rays = np.stack([x - px, y - py, np.full_like(x, camera.focal_px)], axis=-1) @ cam_T_obj[:3, :3]
    longitude = -np.arctan2(rays[..., 1], rays[..., 0]) - turn_rad  # Blender's: the middle of a map lies at +x
    seen = _looked_up(pixels, longitude, np.arctan2(rays[..., 2], np.hypot(rays[..., 0], rays[..., 1])))
    return np.asarray(cv2.resize(seen, (width, height), interpolation=cv2.INTER_AREA), dtype=np.float32)


def tone_map(linear: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return a linear picture as 8-bit sRGB, exposed so that its median luminance becomes a mid-grey."""
    median = float(np.median(linear.mean(axis=-1)))
    return srgb_bytes(linear * (0.18 / max(median, 1e-6)))
