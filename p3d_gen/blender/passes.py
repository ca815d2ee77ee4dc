"""The layers of one render, from Blender's multilayer EXR."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import OpenEXR
from numpy.typing import NDArray

from p3d_gen.core.colour import srgb_bytes
from p3d_gen.core.errors import RunError

OBJECT_INDEX, OCCLUDER_INDEX = 1, 2
_SOLID = np.float32(0.5)
_LEAST_ALPHA = np.float32(1 / 255)


@dataclass(frozen=True, kw_only=True)
class Passes:
    """The layers of one render, each (H, W) or (H, W, 3), of the surface at each pixel's centre.

    rgba: straight 8-bit sRGB.
    index: OBJECT_INDEX, OCCLUDER_INDEX, or 0 if neither covers the pixel's centre.
    depth: planar z in box diagonals, of object and occluder.
    normals: in world axes, towards the viewer, averaged over the pixel. None unless requested.
    positions: in object axes. None unless requested.
    parts: 1 + the part's number. None unless requested.
    """

    rgba: NDArray[np.uint8]
    index: NDArray[np.uint8]
    depth: NDArray[np.float32]
    normals: NDArray[np.float32] | None
    positions: NDArray[np.float32] | None
    parts: NDArray[np.uint8] | None

    @property
    def mask(self) -> NDArray[np.bool_]:
        """Mask (H, W) of the visible object."""
        return np.equal(self.index, OBJECT_INDEX)

    @property
    def occluders(self) -> NDArray[np.bool_]:
        """Mask (H, W) of the visible occluder."""
        return np.equal(self.index, OCCLUDER_INDEX)


def _straight(
    premultiplied: NDArray[np.float32], alpha: NDArray[np.float32], own: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Return straight colours (H, W, 3).

    The denoiser spreads a little light past the silhouette. Therefore a pixel that is covered by less than half takes
    the colour of the nearest pixel that is covered by more, except those of `own` (H, W), which lie on a surface that
    lets light through. A pixel that is not covered is black.
    """
    solid = (alpha >= _SOLID) | (own & (alpha >= _LEAST_ALPHA))
    if not solid.any():
        return np.zeros_like(premultiplied)
    from scipy.ndimage import distance_transform_edt  # see `render.arrange`: not needed to say "nothing to do"

    nearest = distance_transform_edt(~solid, return_distances=False, return_indices=True)
    colours = premultiplied / np.maximum(alpha, np.where(own, _LEAST_ALPHA, _SOLID))[..., None]
    return np.where(alpha[..., None] > 0, colours[tuple(nearest)], np.float32(0))


def _eight_bit(colours: NDArray[np.float32], own: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Convert linear premultiplied colours (H, W, 4) to straight sRGB, within the box of non-zero alpha only.

    own: see `_straight`.
    """
    alpha = np.clip(colours[..., 3], 0.0, 1.0)
    rgba = np.zeros(colours.shape, np.uint8)
    rows, columns = (np.flatnonzero(alpha.any(axis=axis)) for axis in (1, 0))
    if rows.size:
        box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        rgba[(*box, slice(3))] = srgb_bytes(_straight(colours[(*box, slice(3))], alpha[box], own[box]))
        rgba[(*box, 3)] = np.rint(alpha[box] * 255)
    return rgba


def _layers(path: Path) -> dict[str, NDArray[np.float32]]:
    try:
        channels: dict[str, Any] = OpenEXR.File(str(path), separate_channels=True).channels()
    except Exception as error:  # OpenEXR raises several types of its own
        raise RunError(f"Blender did not write a complete picture to {path} ({error}): is the disk full?") from None
    return {name.partition(".")[2]: channel.pixels for name, channel in channels.items()}


def read_colours(path: Path) -> NDArray[np.float32]:
    """Read the linear premultiplied colours (H, W, 4) of Blender's multilayer EXR. RunError as `read_passes`."""
    layers = _layers(path)
    return np.stack([layers[f"Combined.{channel}"] for channel in "RGBA"], axis=-1)


def read_passes(path: Path, see_through: bool = False) -> Passes:
    """Read the passes of Blender's multilayer EXR, whose colours are linear and premultiplied.

    see_through: of the answer to the request.
    RunError if the file is missing or truncated: Blender itself reports no error when it cannot write.
    """
    layers = _layers(path)

    def stacked(name: str, axes: str) -> NDArray[np.float32] | None:
        return np.stack([layers[f"{name}.{axis}"] for axis in axes], axis=-1) if f"{name}.{axes[0]}" in layers else None

    colours = stacked("Combined", "RGBA")
    assert colours is not None
    index = layers["IndexOB.X"].astype(np.uint8)
    return Passes(
        rgba=_eight_bit(colours, (index > 0) & see_through),
        index=index,
        depth=np.where(index > 0, layers["Depth.Z"], 0.0).astype(np.float32),
        normals=stacked("Normal", "XYZ"),
        positions=stacked("Position", "XYZ"),
        parts=layers["IndexMA.X"].astype(np.uint8) if "IndexMA.X" in layers else None,
    )
