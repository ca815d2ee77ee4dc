"""Environment maps: reading them, and seeing one through a virtual camera."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import OpenEXR
from numpy.typing import NDArray

from p3d_gen.errors import AssetError
from p3d_gen.types import Array


def read_environment(path: Path) -> NDArray[np.float32]:
    """An equirectangular map (H, W, 3) in linear RGB, z up, from a Radiance .hdr or an OpenEXR file."""
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
    """The map (H, W, 3) seen by a level pinhole camera of horizontal field of view `fov_rad`, in linear RGB.

    yaw turns right, pitch looks up.
    """
    height, width = image_hw
    focal = width / 2 / np.tan(fov_rad / 2)
    x, y = np.meshgrid(np.arange(width) + 0.5 - width / 2, height / 2 - np.arange(height) - 0.5)
    forward = focal * np.cos(pitch_rad) - y * np.sin(pitch_rad)
    up: Array = focal * np.sin(pitch_rad) + y * np.cos(pitch_rad)
    longitude = np.arctan2(x, forward) + yaw_rad
    latitude = np.arctan2(up, np.hypot(x, forward))
    map_h, map_w = pixels.shape[:2]
    u = (longitude / (2 * np.pi) + 0.5) % 1.0 * map_w - 0.5
    v = np.clip((0.5 - latitude / np.pi) * map_h - 0.5, 0, map_h - 1)
    seen = cv2.remap(pixels, u.astype(np.float32), v.astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    return np.asarray(seen, dtype=np.float32)


def tone_map(linear: NDArray[np.float32]) -> NDArray[np.uint8]:
    """8-bit sRGB of a linear picture, exposed so that its median luminance becomes a mid-grey."""
    median = float(np.median(linear.mean(axis=-1)))
    return srgb_bytes(linear * (0.18 / max(median, 1e-6)))


def srgb_bytes(linear: NDArray[Any]) -> NDArray[np.uint8]:
    """Linear light in [0, 1], clipped, as 8-bit sRGB."""
    clipped = np.clip(linear, 0.0, 1.0)
    encoded = np.where(clipped <= 0.0031308, 12.92 * clipped, 1.055 * clipped ** (1 / 2.4) - 0.055)
    return np.asarray(np.rint(encoded * 255), dtype=np.uint8)
