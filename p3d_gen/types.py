"""Frozen data that crosses stages. Directions and units are in the names; frames are those of `geometry`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Viewpoint:
    """A PASCAL3D+ viewpoint: where the camera stands on a sphere around the object, and its roll.

    azimuth_rad: 0 looks at the object's front (camera at -y), pi/2 puts the camera at +x.
    elevation_rad: angle above the object's xy plane, in [-pi/2, pi/2].
    theta_rad: in-plane rotation; positive turns the picture's content counter-clockwise.
    distance: camera centre to object origin, in units of the object's bounding-box diagonal.
    """

    azimuth_rad: float
    elevation_rad: float
    theta_rad: float
    distance: float


@dataclass(frozen=True, kw_only=True)
class Camera:
    """A pinhole camera with square pixels and no distortion.

    focal_px: focal length in pixels.
    principal_px: (x, y) of the principal point; x to the right, y down; pixel (i, j) has its centre at
        (i + 0.5, j + 0.5), so the middle of an image of width W lies at W / 2.
    image_hw: (height, width) in pixels.
    """

    focal_px: float
    principal_px: tuple[float, float]
    image_hw: tuple[int, int]

    @property
    def K(self) -> Array:
        """The 3x3 intrinsic matrix: homogeneous pixels = K @ points in OpenCV camera axes."""
        x, y = self.principal_px
        return np.array([[self.focal_px, 0.0, x], [0.0, self.focal_px, y], [0.0, 0.0, 1.0]])


@dataclass(frozen=True, kw_only=True)
class Lamp:
    """A square area lamp that faces the object's origin.

    position: (x, y, z) in the object's axes. size: side length. irradiance: radiometric flux per area that it
    gives a surface at the origin that faces it, in W per square unit.
    """

    position: tuple[float, float, float]
    size: float
    irradiance: float


@dataclass(frozen=True, kw_only=True)
class Environment:
    """An environment map as light: its id, its turn about the object's z axis, and its mean radiance."""

    hdri_id: str
    turn_rad: float
    radiance: float


@dataclass(frozen=True, kw_only=True)
class Window:
    """Which part of a background is seen: u, v in [0, 1) place it, scale in (0, 1] is its size, flip mirrors it."""

    u: float
    v: float
    scale: float
    flip: bool


@dataclass(frozen=True, kw_only=True)
class RenderSpec:
    """One sample with every number resolved, so that no stage draws anything.

    roughness and metallic, in [0, 1], are those of Blender's principled surface.
    texture_id is "" for an untextured object. Exactly one of `lamps` and `environment` is given.
    stylize_seed and render_seed seed the stylizer's noise and the path tracer for this sample alone.
    """

    key: str
    category: str
    index: int
    cad_id: str
    viewpoint: Viewpoint
    camera: Camera
    texture_id: str
    roughness: float
    metallic: float
    lamps: tuple[Lamp, ...]
    environment: Environment | None
    background_id: str
    background_window: Window
    colour: str
    prompt: str
    stylize_seed: int
    render_seed: int
