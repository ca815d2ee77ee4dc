"""Contact shadows: the light of an even sky that an object takes from the ground under its box.

The ground is the plane z = lowest vertex in object axes. A patch of the object's underside, of area A and height h,
hides A h^2 / (pi (r^2 + h^2)^2) of the sky's light from a level point of the ground at the horizontal distance r: the
form factor of two parallel patches. The underside is the view from straight below.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from p3d_gen.core.colour import srgb_bytes, srgb_light
from p3d_gen.core.silhouette import ray_cast
from p3d_gen.core.types import Array, Camera
from p3d_gen.run.cad_model import CadModel, stretched

_PATCHES = 48  # cells along a side of the object's underside
_CELLS = 96  # cells along a side of the ground
_REACH = 0.75  # box diagonals of ground around the object; beyond them less than a hundredth of the sky is hidden
_GRAZING = np.sin(np.radians(5.0))  # at smaller angles a shadow on real ground is a line at most
_LEVEL = 1e-9  # rays that do not fall meet the ground far away
_BEYOND = 9.0  # cells
_FAR = 1000.0  # distance of a camera whose rays are nearly parallel


@dataclass(frozen=True, kw_only=True)
class Ground:
    """The shares of the sky's light that an object hides from the ground under it.

    hidden: shares (G, G) on the square |x|, |y| <= half, rows along y, columns along x; 0 outside of the square.
    half: half of the square's side, in object axes. z: height of the ground, in object axes.
    """

    hidden: NDArray[np.float32]
    half: float
    z: float


def _centres(half: float, count: int) -> Array:
    """Return the centres of `count` equal cells from -half to half."""
    return np.asarray((np.arange(count) + 0.5) / count * 2 * half - half)


def _underside(vertices: Array, faces: NDArray[np.int32], half: float, z: float) -> Array:
    """Return the heights (S, S) above the ground of the underside, infinite outside of it.

    Rows run along y, columns along x.
    """
    from_below = np.diag([1.0, -1.0, 1.0, 1.0])  # camera x right is x, y down is -y, forward is up
    from_below[2, 3] = _FAR - z
    camera = Camera(
        focal_px=_PATCHES * _FAR / (2 * half), principal_px=(_PATCHES / 2, _PATCHES / 2), image_hw=(_PATCHES, _PATCHES)
    )
    depth, _ = ray_cast(vertices, faces[:, ::-1], from_below, camera)
    return np.where(depth > 0, depth - _FAR, np.inf)[::-1]


def ground_of(vertices: Array, faces: NDArray[np.int32], softness: float) -> Ground:
    """Return the ground of an object with vertices (V, 3) in object axes. softness: height added to it."""
    z = float(vertices[:, 2].min())
    inner = float(np.abs(vertices[:, :2]).max())
    heights = _underside(vertices, faces, inner, z)
    row, column = np.nonzero(np.isfinite(heights))
    at, h2 = _centres(inner, _PATCHES), (heights[row, column] + softness) ** 2
    half = inner + _REACH
    along = _centres(half, _CELLS)
    dy2, dx2 = (along[:, None] - at[row]) ** 2, (along[:, None] - at[column]) ** 2
    area = (2 * inner / _PATCHES) ** 2
    hidden = [(area / np.pi * h2 / (y2 + dx2 + h2) ** 2).sum(axis=1) for y2 in dy2]
    return Ground(hidden=np.clip(hidden, 0, 1).astype(np.float32), half=half, z=z)


@functools.lru_cache(maxsize=64)
def cad_ground(model: CadModel, stretch_xyz: tuple[float, float, float], softness: float) -> Ground:
    """Return the ground of a stretched CAD model."""
    return ground_of(stretched(model, stretch_xyz), model.faces, softness)


def hidden_light(ground: Ground, cam_T_obj: Array, camera: Camera) -> NDArray[np.float32]:
    """Return the share (H, W) of light that the object takes from the ground at each pixel.

    It is 0 if the ground is not seen, as from below, and fades if the ground is seen edge-on.
    """
    height, width = camera.image_hw
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    px, py = camera.principal_px
    rays = np.stack([(x - px) / camera.focal_px, (y - py) / camera.focal_px, np.ones_like(x)], axis=-1)
    R = cam_T_obj[:3, :3]
    rays, centre = rays @ R, -R.T @ cam_T_obj[:3, 3]  # in object axes
    if centre[2] <= ground.z:
        return np.zeros((height, width), np.float32)
    reach = (ground.z - centre[2]) / np.minimum(rays[..., 2], -_LEVEL)
    cells = ((centre[:2] + reach[..., None] * rays[..., :2] + ground.half) * _CELLS / (2 * ground.half) - 0.5).clip(
        -_BEYOND, _CELLS + _BEYOND
    )
    column, row = np.moveaxis(cells.astype(np.float32), -1, 0)
    hidden = cv2.remap(ground.hidden, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    steep = np.clip(-rays[..., 2] / np.linalg.norm(rays, axis=-1) / _GRAZING, 0, 1)
    return np.asarray(hidden * steep, dtype=np.float32)


def shaded(background: NDArray[np.uint8], hidden: NDArray[np.float32], strength: float) -> NDArray[np.uint8]:
    """Return a background (H, W, 3) sRGB without the share `strength` of the light that is `hidden` (H, W)."""
    result = background.copy()
    dark = hidden > 0
    result[dark] = srgb_bytes(srgb_light(background[dark]) * (1 - strength * hidden[dark][:, None]))
    return result
