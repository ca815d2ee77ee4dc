"""Agreement of every stored pose with what was rendered."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from p3d_gen.core.codecs import decode_image, decode_nocs, decode_npz
from p3d_gen.core.geometry import project, transform
from p3d_gen.core.silhouette import camera_of, mask_box, mask_iou, ray_cast
from p3d_gen.core.types import Array, Camera
from p3d_gen.run.cad_model import stretched
from p3d_gen.run.shards import Members
from p3d_gen.run.store import RunFolder


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Measures of how well a sample's stored pose and camera explain what was rendered.

    iou: of the mask and the projected mesh, without the pixels of occluders. box_px: the largest distance between an
    edge of the mask's box and the same edge of the box of the projected vertices; for an object that is hidden or cut,
    of the box of the visible part of the projected mesh. depth: the difference between the depth and that of the mesh
    along the rays, in box diagonals. nocs_px: the distance between a pixel's centre and the projection of its object
    coordinates.

    depth and nocs_px are the 99th percentile over the pixels, since a ray tracer knows only roughly where a ray meets a
    triangle that it sees edge-on. They are NaN if the run has no such label.
    """

    key: str
    iou: float
    box_px: float
    depth: float
    nocs_px: float


def _depth_error(members: Members, cast: Array, mask: NDArray[np.bool_]) -> float:
    if "depth.npz" not in members:
        return float("nan")
    both = mask & (cast > 0)
    return float(np.percentile(np.abs(decode_npz(members["depth.npz"])["depth"] - cast)[both], 99))


def _nocs_error(
    members: Members, stretch_xyz: Array, cam_T_obj: Array, camera: Camera, mask: NDArray[np.bool_]
) -> float:
    if "nocs.npz" not in members:
        return float("nan")
    points = (decode_nocs(members["nocs.npz"])[mask] - 0.5) * stretch_xyz
    row, column = np.nonzero(mask)
    pixels = project(transform(cam_T_obj, points), camera)
    return float(np.percentile(np.linalg.norm(pixels - np.stack([column, row], axis=1) - 0.5, axis=1), 99))


def measure_agreement(run: RunFolder, key: str, members: Members) -> Agreement:
    """Compare the labels of a rendered sample with its own pictures, by nothing but what is stored."""
    labels = json.loads(members["json"])
    camera, pose = camera_of(labels), np.array(labels["cam_T_obj"])
    stretch_xyz = np.array(labels["stretch_xyz"])
    model = run.load_model(labels["category"], labels["cad_id"])
    vertices = stretched(model, stretch_xyz)
    mask = decode_image(members["mask.png"]) > 0
    cast, _ = ray_cast(vertices, model.faces, pose, camera)
    projected = cast > 0
    pixels = project(transform(pose, vertices), camera)
    box = (*pixels.min(axis=0), *pixels.max(axis=0))
    if "occluders.png" in members:
        projected &= decode_image(members["occluders.png"]) == 0
    if labels["visible_share"] < 1:
        box = mask_box(projected)
    return Agreement(
        key=key,
        iou=mask_iou(projected, mask),
        box_px=float(np.abs(np.subtract(box, mask_box(mask))).max()),
        depth=_depth_error(members, cast, mask),
        nocs_px=_nocs_error(members, stretch_xyz, pose, camera, mask),
    )
