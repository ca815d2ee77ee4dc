"""Rasterisation of many poses of one mesh at once, into small maps of the face that each pixel sees.

A backend answers only which face each pixel sees (`Backend`). Barycentrics and depths are computed once for all
backends (`Hits`), and from them feature maps and scores.
"""

from __future__ import annotations

import torch
from torch import Tensor

from p3d_gen.core.errors import ConfigError, did_you_mean
from pose_models.rasterise import pytorch3d, reference, zbuffer
from pose_models.rasterise.features import render_features, similarity_scores
from pose_models.rasterise.hits import NEAR, Backend, Hits, face_map, hits_of

__all__ = ["BACKENDS", "NEAR", "Backend", "Hits", "face_map", "rasterise", "render_features", "similarity_scores"]

BACKENDS: dict[str, Backend] = {
    "zbuffer": zbuffer.faces_seen,
    "pytorch3d": pytorch3d.faces_seen,
    "reference": reference.faces_seen,
}


def rasterise(
    points_cam: Tensor, faces: Tensor, K: Tensor, hw: tuple[int, int], *, cull: bool, backend: str = "zbuffer"
) -> Hits:
    """Find the nearest face at each pixel centre (i + 0.5, j + 0.5) of an (h, w) map, for P poses of one mesh.

    points_cam (P, V, 3): the mesh in cam axes, float32 or float64; faces (F, 3) int64; K (P, 3, 3) in pixels of the
    map, without skew. cull: leave out faces seen from behind (clockwise); equal for closed meshes seen from outside,
    and faster. Equal depths go to the lower face index. P, F and the number of hits may be 0. Barycentrics and depth
    are differentiable in `points_cam` and `K`; which face is seen is not. ValueError for other types or shapes and for
    an unknown backend; DependencyError for one that is not installed.
    """
    _check(points_cam, faces, K, hw)
    if backend not in BACKENDS:
        raise ConfigError(f"unknown rasteriser backend {backend!r}{did_you_mean(backend, BACKENDS)}")
    with torch.no_grad():
        seen = BACKENDS[backend](points_cam.detach(), faces, K.detach(), hw, cull=cull)
    return hits_of(seen, points_cam, faces, K)


def _check(points_cam: Tensor, faces: Tensor, K: Tensor, hw: tuple[int, int]) -> None:
    if points_cam.dtype not in (torch.float32, torch.float64) or K.dtype != points_cam.dtype:
        raise ValueError(
            f"points_cam is {points_cam.dtype} and K {K.dtype}: both must be float32 or both float64; half precision "
            "is off by whole pixels, so convert before"
        )
    if points_cam.ndim != 3 or points_cam.shape[-1] != 3 or K.shape != (len(points_cam), 3, 3):
        raise ValueError(
            f"points_cam {tuple(points_cam.shape)} and K {tuple(K.shape)} must be (P, V, 3) and (P, 3, 3): one camera "
            "for each pose (K.expand(P, 3, 3) where all have the same)"
        )
    if faces.ndim != 2 or faces.shape[-1] != 3 or faces.dtype != torch.int64:
        raise ValueError(f"faces {tuple(faces.shape)} {faces.dtype} must be (F, 3) int64")
    if min(hw) < 1:
        raise ValueError(f"hw {hw}: a map needs at least one row and one column")
