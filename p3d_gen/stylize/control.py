"""The pictures that guide a ControlNet: edges, the render's own depth and normals, or an annotator's."""

from __future__ import annotations

import zlib
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from p3d_gen.core.codecs import decode_image, decode_normals, decode_npz, mask_bytes
from p3d_gen.core.errors import RunError
from p3d_gen.core.types import Picture
from p3d_gen.run.shards import Members
from p3d_gen.spec.stylize import Canny, Control, Stylize
from p3d_gen.stylize.annotators import annotate
from p3d_gen.stylize.edges import WORLD_GREY, canny, control_hw, on_grey, resized

# The grey of the object's farthest point in a depth picture. The background, 0, then seems a quarter of the object's
# own range behind it, so that the silhouette is visible everywhere.
_FARTHEST = 51
# The colour that the annotator gives to a wall behind the object that faces the camera.
_FACING = (128, 128, 255)


def needed_members(settings: Stylize) -> tuple[str, ...]:
    """Return the optional labels that a stylization needs in the renders, as in a manifest's `output.members`."""
    return tuple(sorted({control.image for control in settings.control} & {"depth", "normals"}))


def _member(members: Members, name: str, labels: dict[str, Any], wanted: str) -> bytes:
    if name not in members:
        raise RunError(
            f"{labels['key']} holds no {name}, which the control image {wanted!r} is made of: add {wanted!r} to "
            "output.members of the manifest and render into a new run folder, or choose 'canny'"
        )
    return members[name]


def thresholds_of(canny_settings: Canny, category: str, rgb: Picture, mask: NDArray[np.bool_]) -> tuple[int, int]:
    """Return Canny's thresholds for a sample: those of its category, or those for all categories.

    With `auto` they are (1 - sigma, 1 + sigma) times the median grey of the object, at most 255.
    """
    if not canny_settings.auto:
        own = {str(name): thresholds for name, thresholds in canny_settings.per_category.items()}
        return own.get(category, canny_settings.thresholds)
    median = float(np.median(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)[mask])) if mask.any() else float(WORLD_GREY)
    low = max(1, round((1 - canny_settings.sigma) * median))
    return low, max(low + 1, min(255, round((1 + canny_settings.sigma) * median)))


def _spread(rgb: Picture, mask: NDArray[np.bool_]) -> Picture:
    """Continue the object's colours over the whole picture: every pixel has the colour of the nearest object pixel."""
    if not mask.any():
        return np.zeros_like(rgb)
    _, nearest = cv2.distanceTransformWithLabels(
        mask_bytes(~mask), cv2.DIST_L2, cv2.DIST_MASK_PRECISE, labelType=cv2.DIST_LABEL_PIXEL
    )
    colours = np.zeros((int(nearest.max()) + 1, 3), np.uint8)
    colours[nearest[mask]] = rgb[mask]
    return np.asarray(colours[nearest])


def _object_edges(rgb: Picture, mask: NDArray[np.bool_], thresholds: tuple[int, int], resolution: int) -> Picture:
    """Return the edges within the silhouette of an object (H, W, 3), and its whole contour."""
    inside = np.where(resized(mask_bytes(mask), resolution) >= 128, np.uint8(255), np.uint8(0))
    contour = cv2.Canny(inside, 100, 200)
    return np.asarray(np.where(inside > 0, canny(_spread(rgb, mask), thresholds, resolution), 0) | contour, np.uint8)


def canny_picture(
    canny_settings: Canny, rgba: Picture, mask: NDArray[np.bool_], category: str, resolution: int
) -> Picture:
    """Return the edge map (h, w) of a render (H, W, 4). mask: the object's pixels (H, W)."""
    rgb = on_grey(rgba[..., :3], rgba[..., 3])
    thresholds = thresholds_of(canny_settings, category, rgb, mask)
    if canny_settings.ground == "world":
        return canny(rgb, thresholds, resolution, canny_settings.backend)
    return _object_edges(rgb, mask, thresholds, resolution)


def depth_picture(depth: NDArray[np.float32]) -> Picture:
    """Return a depth map as ControlNet's depth models read it: relative inverse depth (H, W).

    depth: planar z (H, W), 0 for the background. The result is (1/z - 1/z_far) / (1/z_near - 1/z_far), from 51 at the
    object's farthest point to 255 at its nearest, and 0 around the object.
    """
    mask = depth > 0
    if not mask.any():
        return np.zeros(depth.shape, np.uint8)
    inverse = 1.0 / depth[mask].astype(np.float64)
    share = (inverse - inverse.min()) / np.ptp(inverse) if np.ptp(inverse) > 0 else np.ones_like(inverse)
    picture = np.zeros(depth.shape, np.uint8)
    picture[mask] = np.rint(_FARTHEST + (255 - _FARTHEST) * share)
    return picture


def normals_picture(normals: NDArray[np.float32]) -> Picture:
    """Return normals (H, W, 3) as ControlNet's `normalbae` model reads them: (H, W, 3).

    normals: in OpenCV camera axes, 0 for the background. Red is left, green is up, blue is towards the camera:
    (1 - n) / 2, as x is right, y down and z forward here. The background is a wall that faces the camera.
    """
    colours = np.rint((1.0 - normals) * 127.5).clip(0, 255).astype(np.uint8)
    return np.where(normals.any(axis=-1, keepdims=True), colours, np.array(_FACING, np.uint8))


def _to_control_size(picture: Picture, resolution: int) -> Picture:
    """Resize a picture to the working size, without Lanczos: its ringing would add false depths and normals."""
    height, width = control_hw((picture.shape[0], picture.shape[1]), resolution)
    method = cv2.INTER_LINEAR if resolution > min(picture.shape[:2]) else cv2.INTER_AREA
    return np.asarray(cv2.resize(picture, (width, height), interpolation=method), np.uint8)


def _grey(picture: Picture) -> Picture:
    return np.dstack([picture] * 3)


def control_picture(
    control: Control, canny: Canny, members: Members, labels: dict[str, Any], resolution: int
) -> Picture:
    """Return the picture (h, w, 3) that guides one ControlNet for one rendered sample, at `control_hw` of its size.

    members, labels: those of the render. Raise RunError if the run holds no depth or normals, and for annotators the
    errors of `annotators.load_annotator`.
    """
    if control.image == "depth":
        depth = decode_npz(_member(members, "depth.npz", labels, "depth"))["depth"]
        return _grey(_to_control_size(depth_picture(depth), resolution))
    if control.image == "normals":
        normals = decode_normals(_member(members, "normals.npz", labels, "normals"))
        return _to_control_size(normals_picture(normals), resolution)
    rgba = decode_image(members["render.png"])
    if control.image == "annotator":
        picture = on_grey(rgba[..., :3], rgba[..., 3])
        return annotate(control.annotator, picture, resolution, seed=zlib.crc32(labels["key"].encode()))
    mask = decode_image(members["mask.png"]) == 255
    return _grey(canny_picture(canny, rgba, mask, labels["category"], resolution))
