"""The slow reference: one ray at a time against every face, in double precision. For tests and as a yardstick."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pose_models.rasterise.hits import NEAR

_Array = NDArray[np.float64]


def faces_seen(points_cam: Tensor, faces: Tensor, K: Tensor, hw: tuple[int, int], *, cull: bool) -> Tensor:
    """Rasterise; a `Backend`."""
    out = np.full((len(points_cam), *hw), -1, dtype=np.int64)
    corners = points_cam[:, faces].double().cpu().numpy()
    for pose, (triangles, k) in enumerate(zip(corners, K.double().cpu().numpy(), strict=True)):
        for row, column in np.ndindex(*hw):
            ray = np.array([(column + 0.5 - k[0, 2]) / k[0, 0], (row + 0.5 - k[1, 2]) / k[1, 1], 1.0])
            out[pose, row, column] = _nearest(ray, triangles, cull)
    return torch.from_numpy(out).to(points_cam.device)


def _nearest(ray: _Array, triangles: _Array, cull: bool) -> int:
    """Return the first of the triangles (F, 3, 3) that a ray (3,) from the origin meets, -1 for none.

    Moeller and Trumbore, "Fast, Minimum Storage Ray/Triangle Intersection" (1997).
    """
    start = triangles[:, 0]
    edge_1, edge_2 = triangles[:, 1] - start, triangles[:, 2] - start
    across = np.cross(ray, edge_2)
    determinant = (edge_1 * across).sum(1)
    other = np.cross(-start, edge_1)
    with np.errstate(divide="ignore", invalid="ignore"):
        u = -(start * across).sum(1) / determinant
        v = other @ ray / determinant
        depth = (edge_2 * other).sum(1) / determinant
        met = (u >= 0) & (v >= 0) & (u + v <= 1) & (depth > NEAR)
    # A positive determinant: the corners run counter-clockwise seen along the ray.
    met &= determinant > 0 if cull else determinant != 0
    return int(np.where(met, depth, np.inf).argmin()) if met.any() else -1
