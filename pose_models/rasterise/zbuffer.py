"""The default backend: a z-buffer in plain torch, for any triangle mesh, on any device.

For each face the pixels of its bounding box are candidates; those inside compete in one `scatter_reduce` for the
smallest key (depth, face). Poses and faces are one long list: nothing loops over either.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from pose_models.rasterise.hits import NEAR, edge_weights, homogeneous

_FACE_BITS = 32
_EMPTY = torch.iinfo(torch.int64).max
_MARGIN_PX = 1e-3
_CHUNK = {"cpu": 1 << 16}
_LARGE_CHUNK = 1 << 22
"""Candidates handled at once: bounds the memory, and on the CPU keeps the work in the cache."""


class _Boxes(NamedTuple):
    """T faces that may be seen, and the pixels that may see them.

    pose, face (T,) int64; left, top, width, height (T,) of the points' type: a box of pixels, never empty.
    """

    pose: Tensor
    face: Tensor
    left: Tensor
    top: Tensor
    width: Tensor
    height: Tensor


def faces_seen(points_cam: Tensor, faces: Tensor, K: Tensor, hw: tuple[int, int], *, cull: bool) -> Tensor:
    """Rasterise; a `Backend`. Depths are compared in single precision; equal ones go to the lower face index."""
    parts = torch.stack(homogeneous(points_cam, K))
    kinds = _boxes_in_front(parts, faces, hw, cull), _boxes_across_near(parts, faces, hw)
    boxes = _Boxes(*(torch.cat(pair) for pair in zip(*kinds, strict=True)))
    buffer = torch.full((len(K) * hw[0] * hw[1],), _EMPTY, dtype=torch.int64, device=parts.device)
    for chunk in _chunks(boxes):
        _draw(buffer, chunk, parts, faces, hw, cull)
    return torch.where(buffer == _EMPTY, -1, buffer & ((1 << _FACE_BITS) - 1)).view(-1, *hw)


def _boxes_in_front(parts: Tensor, faces: Tensor, hw: tuple[int, int], cull: bool) -> _Boxes:
    """Return the boxes of the faces that lie wholly before the near plane; parts (3, P, V) as by `homogeneous`."""
    z = parts[2]
    # Not a number behind the near plane: a face with such a corner has no width below.
    pixels = parts[:2] * torch.where(z > NEAR, 1 / z, torch.nan)
    u, v = ([part.index_select(1, corner) for corner in faces.unbind(1)] for part in pixels)
    area = (u[1] - u[0]) * (v[2] - v[0]) - (u[2] - u[0]) * (v[1] - v[0])
    (left, right), (top, bottom) = (_pixel_range(x, size) for x, size in ((u, hw[1]), (v, hw[0])))
    width, height = right - left + 1, bottom - top + 1
    keep = (area < 0 if cull else area != 0) & (width > 0) & (height > 0)
    pose, face = keep.nonzero(as_tuple=True)
    index = pose * len(faces) + face
    return _Boxes(pose, face, *(x.flatten().index_select(0, index) for x in (left, top, width, height)))


def _pixel_range(positions: list[Tensor], size: int) -> tuple[Tensor, Tensor]:
    """Return first and last of `size` pixels whose centres lie between the least and the largest of three positions."""
    a, b, c = positions
    low = torch.minimum(torch.minimum(a, b), c).sub_(0.5 + _MARGIN_PX).ceil_().clamp_(min=0)
    high = torch.maximum(torch.maximum(a, b), c).sub_(0.5 - _MARGIN_PX).floor_().clamp_(max=size - 1)
    return low, high


def _boxes_across_near(parts: Tensor, faces: Tensor, hw: tuple[int, int]) -> _Boxes:
    """Return the boxes of the faces with corners on both sides of the near plane.

    What is seen of one has no bounding box, so all pixels are candidates, unless the corners lie beyond one side of the
    image together.
    """
    near = parts[2] > NEAR
    a, b, c = (near.index_select(1, corner) for corner in faces.unbind(1))
    pose, face = ((a | b | c) & ~(a & b & c)).nonzero(as_tuple=True)
    u, v, z = parts[:, pose[:, None], faces[face]].unbind(0)
    height, width = hw
    beyond = torch.stack([u < 0, v < 0, u > width * z, v > height * z]).all(-1).any(0)
    pose, face = pose[~beyond], face[~beyond]
    box = (torch.full_like(pose, value, dtype=parts.dtype) for value in (0, 0, width, height))
    return _Boxes(pose, face, *box)


def _chunks(boxes: _Boxes) -> Iterator[_Boxes]:
    """Split the boxes into parts with at most a chunk of pixels, and those of one box more."""
    ends = (boxes.width.long() * boxes.height.long()).cumsum(0)
    pixels = int(ends[-1]) if len(ends) else 0
    chunk = _CHUNK.get(ends.device.type, _LARGE_CHUNK)
    marks = torch.tensor(range(chunk, pixels, chunk), dtype=torch.int64, device=ends.device)
    splits = torch.searchsorted(ends, marks).tolist()
    for first, last in zip([0, *splits], [*splits, len(ends)], strict=True):
        yield _Boxes(*(part[first:last] for part in boxes))


def _draw(buffer: Tensor, boxes: _Boxes, parts: Tensor, faces: Tensor, hw: tuple[int, int], cull: bool) -> None:
    """Lower each pixel's key in `buffer` (P h w,) to that of the nearest of these faces that covers it."""
    box, column, row = _candidates(boxes)
    corners = faces.T.index_select(1, boxes.face) + boxes.pose * parts.shape[2]
    gathered = parts.flatten(1).index_select(1, corners.flatten()).view(9, -1).index_select(1, box).view(3, 3, -1)
    u, v, z = gathered.unbind(0)
    weights, depths = edge_weights((u, v, z), column + 0.5, row + 0.5)
    inside = torch.maximum(torch.maximum(weights[0], weights[1]), weights[2]) <= 0
    if not cull:
        inside |= torch.minimum(torch.minimum(weights[0], weights[1]), weights[2]) >= 0
    total = weights[0] + weights[1] + weights[2]
    depth = (weights[0] * depths[0] + weights[1] * depths[1] + weights[2] * depths[2]) / total
    chosen = (inside & (depth > NEAR)).nonzero().squeeze(1)
    box = box.index_select(0, chosen)
    row, column = row.index_select(0, chosen).long(), column.index_select(0, chosen).long()
    slot = (boxes.pose.index_select(0, box) * hw[0] + row) * hw[1] + column
    # Positive floats keep their order when their bits are read as integers.
    bits = depth.index_select(0, chosen).float().view(torch.int32).long()
    buffer.scatter_reduce_(0, slot, (bits << _FACE_BITS) | boxes.face.index_select(0, box), "amin")


def _candidates(boxes: _Boxes) -> tuple[Tensor, Tensor, Tensor]:
    """Return index of the box, column and row (N,) of all pixels of all boxes."""
    count = boxes.width.long() * boxes.height.long()
    box = torch.repeat_interleave(count)
    start = (count.cumsum(0) - count).index_select(0, box)
    within = (torch.arange(len(box), device=box.device) - start).double()
    width = boxes.width.index_select(0, box)
    # Half a pixel off an integer the quotient cannot be rounded across one.
    down = ((within + 0.5) / width).floor()
    across = (within - down * width).to(width.dtype)
    return box, boxes.left.index_select(0, box) + across, boxes.top.index_select(0, box) + down.to(width.dtype)
