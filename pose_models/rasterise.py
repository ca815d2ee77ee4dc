"""Which face each pixel of a small map sees: a z-buffer in plain torch, for any triangle mesh.

A pixel's ray is d = ((x - px) / fx, (y - py) / fy, 1). For a triangle A, B, C in cam axes the three numbers
d.(BxC), d.(CxA), d.(AxB) have one sign exactly where the ray meets it; over their sum they are the
perspective-correct barycentrics, and det(A, B, C) over their sum is the depth. No division by a vertex' depth.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_NEAR = 1e-6
_FACE_BITS = 32


@dataclass(frozen=True, kw_only=True)
class Hits:
    """The pixels that see a mesh, one row for each, ordered by pose and then by pixel.

    pose (H,) int64: index of the pose; pixel (H,) int64: row * width + column; face (H,) int64;
    barycentrics (H, 3): weights of the face's vertices, they sum to 1; depth (H,): z in cam axes.
    """

    pose: Tensor
    pixel: Tensor
    face: Tensor
    barycentrics: Tensor
    depth: Tensor


def face_map(hits: Hits, poses: int, hw: tuple[int, int]) -> Tensor:
    """Face index (poses, h, w) int64 that each pixel sees; -1 where it sees none."""
    out = torch.full((poses * hw[0] * hw[1],), -1, dtype=torch.int64, device=hits.face.device)
    out[hits.pose * hw[0] * hw[1] + hits.pixel] = hits.face
    return out.view(poses, *hw)


def rasterise(points_cam: Tensor, faces: Tensor, K: Tensor, hw: tuple[int, int], *, cull: bool) -> Hits:
    """The nearest face at each pixel centre (i + 0.5, j + 0.5) of an (h, w) map, for P poses of one mesh.

    points_cam (P, V, 3): the mesh in cam axes; faces (F, 3); K (P, 3, 3) in pixels of the map, without skew.
    cull: leave out faces seen from behind (clockwise); equal for closed meshes seen from outside, and faster.
    Equal depths go to the lower face index. Differentiable in `points_cam` through barycentrics and depth.
    """
    corners = points_cam[:, faces]  # P F 3 3
    a, b, c = corners.unbind(2)
    planes = torch.stack([torch.linalg.cross(b, c), torch.linalg.cross(c, a), torch.linalg.cross(a, b)], dim=2)
    volume = (a * planes[:, :, 0]).sum(-1)
    with torch.no_grad():
        keep = volume < 0 if cull else volume != 0
        pose, face = (keep & (corners[..., 2] > _NEAR).any(-1)).nonzero(as_tuple=True)
        row, column, tri = _candidates(corners[pose, face], K[pose], hw)
        pose, face = pose[tri], face[tri]
        weights = _weights(planes[pose, face], K[pose], row, column)
        total = weights.sum(-1)
        depth = volume[pose, face] / total
        inside = ((weights * total.sign()[:, None]) >= 0).all(-1) & (depth > _NEAR)
        pose, face, row, column, depth = (v[inside] for v in (pose, face, row, column, depth))
        slot, face = _nearest(pose * (hw[0] * hw[1]) + row * hw[1] + column, face, depth, len(K) * hw[0] * hw[1])
        pose, pixel = slot // (hw[0] * hw[1]), slot % (hw[0] * hw[1])
    weights = _weights(planes[pose, face], K[pose], pixel // hw[1], pixel % hw[1])
    total = weights.sum(-1)
    return Hits(
        pose=pose, pixel=pixel, face=face, barycentrics=weights / total[:, None], depth=volume[pose, face] / total
    )


def _weights(planes: Tensor, K: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """d.(BxC), d.(CxA), d.(AxB) (N, 3) of pixel rays and triangles, from their planes (N, 3, 3)."""
    x = (column + 0.5 - K[:, 0, 2]) / K[:, 0, 0]
    y = (row + 0.5 - K[:, 1, 2]) / K[:, 1, 1]
    return planes[..., 0] * x[:, None] + planes[..., 1] * y[:, None] + planes[..., 2]


def _candidates(corners: Tensor, K: Tensor, hw: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
    """Pixels (row, column) inside each triangle's bounding box, and the triangle's index; corners (T, 3, 3).

    A triangle that crosses the near plane has no bounding box: all pixels are its candidates.
    """
    z = corners[..., 2]
    front = (z > _NEAR).all(-1)
    z = z.clamp(min=_NEAR)
    bounds = []
    for axis, size in ((1, hw[0]), (0, hw[1])):
        position = corners[..., axis] / z * K[:, axis, axis, None] + K[:, axis, 2, None] - 0.5
        low = torch.where(front, position.amin(-1).ceil(), 0).clamp(0, size)
        high = torch.where(front, position.amax(-1).floor(), size - 1).clamp(-1, size - 1)
        bounds.append((low.long(), (high.long() - low.long() + 1).clamp(min=0)))
    (top, height), (left, width) = bounds
    count = height * width
    tri = torch.repeat_interleave(torch.arange(len(corners), device=corners.device), count)
    within = torch.arange(len(tri), device=corners.device) - (count.cumsum(0) - count)[tri]
    return top[tri] + within // width[tri], left[tri] + within % width[tri], tri


def _nearest(slot: Tensor, face: Tensor, depth: Tensor, slots: int) -> tuple[Tensor, Tensor]:
    """For each filled slot, in rising order, its nearest face: a z-buffer on the key (depth bits, face)."""
    # Positive floats keep their order when their bits are read as integers.
    key = (depth.float().contiguous().view(torch.int32).long() << _FACE_BITS) | face
    empty = torch.iinfo(torch.int64).max
    buffer = torch.full((slots,), empty, dtype=torch.int64, device=key.device)
    buffer.scatter_reduce_(0, slot, key, "amin")
    filled = (buffer != empty).nonzero(as_tuple=True)[0]
    return filled, buffer[filled] & ((1 << _FACE_BITS) - 1)
