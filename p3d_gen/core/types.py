"""Frozen data that crosses stages. Names state directions and units; the frames are those of `geometry`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Picture = NDArray[np.uint8]
"""The pixels (H, W, 3) of an RGB picture in 8-bit sRGB."""


@dataclass(frozen=True, kw_only=True)
class Viewpoint:
    """A PASCAL3D+ viewpoint: the place of the camera on a sphere around the object, and its roll.

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
        """Return the 3x3 intrinsic matrix: homogeneous pixels = K @ points in OpenCV camera axes."""
        x, y = self.principal_px
        return np.array([[self.focal_px, 0.0, x], [0.0, self.focal_px, y], [0.0, 0.0, 1.0]])


@dataclass(frozen=True, kw_only=True)
class Lamp:
    """A square area lamp that faces the object's origin.

    position: (x, y, z) in the object's axes. size: side length. irradiance: radiometric flux per area, in W per square
    unit, that arrives at a surface at the origin that faces the lamp.
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
class Sun:
    """The light of a clear day.

    azimuth_rad, elevation_rad: direction of the sun in the object's axes; azimuth 0 is at -y, as for a camera.
    irradiance: radiometric flux per area, in W per square unit, that arrives at a surface that faces the sun.
    sky_radiance: mean radiance of the sky.
    """

    azimuth_rad: float
    elevation_rad: float
    irradiance: float
    sky_radiance: float


@dataclass(frozen=True, kw_only=True)
class Material:
    """A physically based surface for one part of the CAD; part "" is the whole object.

    base_rgb: linear RGB, replaced by the sample's texture if it has one.
    roughness, metallic, coat (weight of a clear coat): inputs of Blender's principled surface, in [0, 1].
    emission: radiance relative to base_rgb.
    alpha: the share of what is behind the surface that it hides.
    """

    part: str
    base_rgb: tuple[float, float, float]
    roughness: float
    metallic: float
    coat: float
    emission: float
    alpha: float = 1.0


# Before the id of a CAD model of one's own, in the label `occluder`.
OWN_OCCLUDER = "cad:"


@dataclass(frozen=True, kw_only=True)
class Occluder:
    """A second object in front of the sample's own, which hides the share `hides` of its silhouette in the frame.

    category, variant: the parametric shape. cad_id: the CAD model instead, "" for a shape.
    turn: rotation (3, 3), row by row, to camera axes.
    depth: depth of its centre as a share of the object's distance.
    size: its first projected size, relative to the object's.
    direction_rad: direction in the picture in which it is pushed until it hides no more than wanted.
    materials: materials of its parts.
    """

    category: str
    variant: int
    turn: tuple[float, ...]
    depth: float
    size: float
    direction_rad: float
    hides: float
    materials: tuple[Material, ...]
    cad_id: str = ""

    @property
    def address(self) -> str:
        """Return the text by which labels name it."""
        if self.cad_id:
            return f"{OWN_OCCLUDER}{self.cad_id}"
        return f"parametric:{self.category}?variant={self.variant}"


@dataclass(frozen=True, kw_only=True)
class Truncation:
    """A shift of the object in a direction of the picture until the frame cuts off the share `cuts` of it."""

    direction_rad: float
    cuts: float


@dataclass(frozen=True, kw_only=True)
class Window:
    """The part of a background that is seen: u, v in [0, 1) place it, scale in (0, 1] is its size, flip mirrors it."""

    u: float
    v: float
    scale: float
    flip: bool


@dataclass(frozen=True, kw_only=True)
class Backdrop:
    """The background of one composite of a sample: the part `window` of the background `background_id`.

    environment: the sample's own light, if that is the background, as its camera sees it; the window is not used then.
    """

    background_id: str
    window: Window
    environment: Environment | None


@dataclass(frozen=True, kw_only=True)
class Framing:
    """The place of the object in the frame, which is solved for once its shape is known.

    solved: the number that follows from the others; `none` if focal length and distance are both given, `fit` if the
        focal length is only lowered for an object that would leave the frame.
    fill: share of the way from the principal point to an edge of the frame that the box around the object takes; not
        used if nothing is solved.
    offset: shares in [-1, 1] of the free space to the right (negative: to the left) and below (negative: above) by
        which the object stands off its place.
    """

    solved: Literal["focal", "distance", "fit", "none"]
    fill: float
    offset: tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class RenderSpec:
    """One sample with every number resolved, so that no stage draws anything.

    stretch_xyz: factors along the CAD's axes.
    viewpoint, camera: a distance or focal length that is solved for by the framing is 0.
    framing: the place of the object in the frame; None for an object on the optical axis of a given camera.
    texture_id: the picture on the object, "" for none.
    materials: one for the whole object (part ""), or one for each part; empty if the CAD's own materials are used.
    lamps, environment, sun: the light; exactly one of them is given.
    background_id, background_window: background of the first composite.
    colour: colour of the paint, if the object is painted.
    render_seed: seed of the path tracer, for this sample alone.
    """

    key: str
    category: str
    index: int
    cad_id: str
    stretch_xyz: tuple[float, float, float]
    viewpoint: Viewpoint
    camera: Camera
    framing: Framing | None = None
    truncation: Truncation | None
    occluder: Occluder | None
    texture_id: str
    materials: tuple[Material, ...]
    lamps: tuple[Lamp, ...]
    environment: Environment | None
    sun: Sun | None
    background_id: str
    background_window: Window
    colour: str
    render_seed: int
