"""Backgrounds: the part of a picture or environment map that the sample's window selects, or that its camera sees."""

from __future__ import annotations

import functools
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from p3d_gen.core.colour import srgb_bytes
from p3d_gen.core.composite import resized_part
from p3d_gen.core.environment import mean_radiance, read_environment, tone_map, view_environment, view_light
from p3d_gen.core.errors import AssetError, DataError
from p3d_gen.core.pictures import read_picture
from p3d_gen.core.types import Array, Camera, Environment, Window
from p3d_gen.spec.taken import ENVIRONMENT_SUFFIXES

_MAX_FOV_RAD = np.radians(90.0)
_MAX_PITCH_RAD = np.radians(15.0)

_environment = functools.lru_cache(maxsize=16)(read_environment)


@functools.lru_cache(maxsize=64)
def _mean_radiance(path: Path) -> float:
    return mean_radiance(_environment(path))


@functools.lru_cache(maxsize=64)
def _picture(path: Path) -> NDArray[np.uint8]:
    try:
        return read_picture(path, upright=True)
    except DataError as error:
        raise AssetError(str(error)) from None


def _crop(pixels: NDArray[np.uint8], image_hw: tuple[int, int], window: Window) -> NDArray[np.uint8]:
    """Return the part of a picture that the window selects, resized to `image_hw`.

    The part has `scale` times the size of the largest one of this shape; u and v place it within the picture.
    """
    height, width = image_hw
    fit = min(pixels.shape[0] / height, pixels.shape[1] / width) * window.scale
    crop_h, crop_w = max(1, round(height * fit)), max(1, round(width * fit))
    top = int(window.v * (pixels.shape[0] - crop_h + 1))
    left = int(window.u * (pixels.shape[1] - crop_w + 1))
    return resized_part(pixels, (top, left), (crop_h, crop_w), image_hw)


def background(path: Path, image_hw: tuple[int, int], window: Window) -> NDArray[np.uint8]:
    """Return the background (H, W, 3) sRGB of a sample. An environment map is seen by a camera whose yaw is 2 pi u.

    Raise AssetError if the file cannot be read.
    """
    if path.suffix.lower() in ENVIRONMENT_SUFFIXES:
        pitch = (2 * window.v - 1) * _MAX_PITCH_RAD
        linear = view_environment(
            _environment(path), image_hw, 2 * np.pi * window.u, float(pitch), float(window.scale * _MAX_FOV_RAD)
        )
        pixels = tone_map(linear)
    else:
        pixels = _crop(_picture(path), image_hw, window)
    return np.asarray(cv2.flip(pixels, 1) if window.flip else pixels, dtype=np.uint8)  # ten times as fast as numpy


def surroundings(path: Path, light: Environment, cam_T_obj: Array, camera: Camera) -> NDArray[np.uint8]:
    """Return the view (H, W, 3) sRGB that a sample's camera has of the map that lights it, as bright as the render.

    Raise AssetError if the file cannot be read.
    """
    scale = np.float32(light.radiance / _mean_radiance(path))
    return srgb_bytes(view_light(_environment(path), light.turn_rad, cam_T_obj, camera) * scale)
