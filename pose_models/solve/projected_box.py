"""The mean box that CAD models fill in an image, where they stand for it to be a given box, and derivatives of both.

Images are those of a camera with focal length 1 and its principal point at 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_NEWTON_STEPS = 8
_LEAST_DEPTH = 0.5
"""Depth of the nearest point of an outline, in box diagonals, at which the search for a place starts at least."""


@dataclass(frozen=True, kw_only=True)
class Corner:
    """A corner's place (..., 2), and its derivatives with turns about the camera's axes and with shifts along them,
    (..., 3, 2) each."""

    place: Tensor
    turns: Tensor
    shifts: Tensor


def extremes(R: Tensor, t: Tensor, outlines: Tensor) -> tuple[Tensor, Tensor]:
    """Find the points of outlines (C, N, 3), at R (..., 3, 3) and t (..., 3), that project leftmost and topmost, and
    rightmost and lowest: two (..., C, 2)."""
    with torch.no_grad():
        # Points along the last axis: the search for the extremes reads memory in order.
        points = R @ outlines.flatten(0, 1).mT + t[..., None]
        seen = (points[..., :2, :] / points[..., 2:, :]).unflatten(-1, outlines.shape[:2])
        return seen.argmin(-1).transpose(-1, -2), seen.argmax(-1).transpose(-1, -2)


def mean_corner(R: Tensor, t: Tensor, outlines: Tensor, index: Tensor) -> Tensor:
    """Return a corner (..., 2) of the mean over CADs of their boxes, for rotations (..., 3, 3) and translations (...,
    3).

    It is the mean x of the points index[..., 0] and the mean y of index[..., 1]. Differentiable, only through these
    points.
    """
    ends = []
    for axis in range(2):
        points = _points(R, outlines, index[..., axis]) + t[..., None, :]
        ends.append((points[..., axis] / points[..., 2]).mean(-1))
    return torch.stack(ends, dim=-1)


def mean_corner_slopes(R: Tensor, t: Tensor, outlines: Tensor, index: Tensor) -> Corner:
    """Return `mean_corner` with its derivatives; a turn is R -> exp(turn) R, a shift t -> t + shift."""
    places: list[Tensor] = []
    turns: list[Tensor] = []
    shifts: list[Tensor] = []
    axes = torch.eye(3).to(R)[:, None]
    for axis in range(2):
        turned = _points(R, outlines, index[..., axis])
        points = turned + t[..., None, :]
        depth = points[..., 2]
        end = points[..., axis] / depth
        places.append(end.mean(-1))
        by_turn = torch.linalg.cross(axes.expand(*R.shape[:-2], 3, 1, 3), turned[..., None, :, :])
        for slopes, moves in ((turns, by_turn), (shifts, axes)):
            slope = (moves[..., axis] - end[..., None, :] * moves[..., 2]) / depth[..., None, :]
            slopes.append(slope.mean(-1))
    place, turn, shift = (torch.stack(parts, dim=-1) for parts in (places, turns, shifts))
    return Corner(place=place, turns=turn, shifts=shift)


def _points(R: Tensor, outlines: Tensor, index: Tensor) -> Tensor:
    """Return one point of each CAD's outline, in cam axes less the translation: (..., C, 3) of index (..., C)."""
    return outlines[torch.arange(len(outlines), device=outlines.device), index] @ R.mT


def standing(R: Tensor, outlines: Tensor, box: Tensor) -> Tensor:
    """Return the translations (..., 3) at which the mean box of outlines (C, N, 3), turned by R (..., 3, 3), has the
    middle and the area of a box: its corners (..., 2, 2).

    Found by Newton's method, which converges at every distance at which the whole object is before the camera.
    """
    turned = R @ outlines.flatten(0, 1).mT
    nearest = -turned[..., 2, :].amin(-1)
    by_cad = turned[..., :2, :].unflatten(-1, outlines.shape[:2])
    extent = (by_cad.amax(-1) - by_cad.amin(-1)).mean(-1)
    size = box[..., 1, :] - box[..., 0, :]
    far = (extent.prod(-1) / size.prod(-1)).sqrt()
    depth = torch.maximum(far, nearest + _LEAST_DEPTH)
    t = torch.cat([box.mean(-2) * depth[..., None], depth[..., None]], dim=-1)
    for _ in range(_NEWTON_STEPS):
        missed, low, high = _missed(R, t, outlines, box)
        step = torch.linalg.solve_ex(_shift_slopes(low, high).mT, missed[..., None])[0].squeeze(-1)
        # A step that would put the object into the camera is cut to half of the way there.
        room = (t[..., 2] - nearest) / 2
        t = t - step * (room / step[..., 2].clamp(min=1e-9)).clamp(max=1.0)[..., None]
    return t


def standing_slopes(R: Tensor, t: Tensor, outlines: Tensor) -> Tensor:
    """Return the derivatives (..., 3, 3) of `standing`, t (..., 3), with turns of R: [..., i, :] is dt / dturn_i."""
    low, high = (mean_corner_slopes(R, t, outlines, index) for index in extremes(R, t, outlines))
    turned = _fit_slopes(low.turns, high.turns, high.place - low.place)
    return -torch.linalg.solve_ex(_shift_slopes(low, high).mT, turned.mT)[0].mT


def _missed(R: Tensor, t: Tensor, outlines: Tensor, box: Tensor) -> tuple[Tensor, Corner, Corner]:
    """Return by how much the middle and the logarithm of the area (..., 3) differ from the box's, and the corners."""
    low, high = (mean_corner_slopes(R, t, outlines, index) for index in extremes(R, t, outlines))
    middle = (low.place + high.place) / 2 - box.mean(-2)
    ratio = (high.place - low.place) / (box[..., 1, :] - box[..., 0, :])
    return torch.cat([middle, ratio.log().sum(-1, keepdim=True)], dim=-1), low, high


def _shift_slopes(low: Corner, high: Corner) -> Tensor:
    return _fit_slopes(low.shifts, high.shifts, high.place - low.place)


def _fit_slopes(d_low: Tensor, d_high: Tensor, size: Tensor) -> Tensor:
    """Return the derivatives (..., 3, 3) of the middle and the logarithm of the area, by rows one parameter each."""
    d_log_area = ((d_high - d_low) / size[..., None, :]).sum(-1, keepdim=True)
    return torch.cat([(d_low + d_high) / 2, d_log_area], dim=-1)
