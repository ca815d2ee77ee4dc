"""The place of an object with a hypothesised rotation, and the camera that sees it: annotated, or taken from its
box."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pose_models import geometry
from pose_models.nmm import NeuralMesh
from pose_models.solve.config import Focals
from pose_models.solve.projected_box import extremes, mean_corner, mean_corner_slopes, standing, standing_slopes

_NEAREST = 0.55
"""Least distance that is searched, in box diagonals: the corners are half a diagonal from the middle."""


@dataclass(frozen=True, kw_only=True)
class CameraRule:
    """From rotations to poses and cameras, for each of B images; made by `known_camera`, `box_camera`, `camera_rule`.

    lens_known (B,) bool: which images have K (B, 3, 3). known (B,) bool: which of these have translation_cam (B, 3)
    too. All others have box_xyxy (B, 4), in canvas pixels, to be matched by outlines (C, N, 3): by the translation
    where K is known, else by K, with the object on the optical axis at `distance`. boxes, rays: whether there are
    images without K, and images with K but without a translation.
    focals: "one" for fx = fy in the cameras that are fitted to boxes. refit: whether these are fitted at a hypothesis'
    own distance, or keep the K of `distance`. held: whether images with K keep their distance where the search frees
    that of others.
    """

    lens_known: Tensor
    known: Tensor
    translation_cam: Tensor
    K: Tensor
    box_xyxy: Tensor
    outlines: Tensor
    distance: float
    boxes: bool
    rays: bool
    focals: Focals = "two"
    refit: bool = True
    held: bool = True

    def take(self, images: Tensor) -> CameraRule:
        """Return the rule for some of the images (N,), in the given order."""
        return replace(
            self,
            lens_known=self.lens_known[images],
            known=self.known[images],
            translation_cam=self.translation_cam[images],
            K=self.K[images],
            box_xyxy=self.box_xyxy[images],
        )

    def __call__(self, R: Tensor, log_scale: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return cam_T_obj (B, P, 4, 4) and K (B, P, 3, 3) of rotations (B, P, 3, 3), or (1, P, 3, 3), the same for
        all.

        log_scale (B, P): logarithm of the distance over the rule's; None for the rule's.
        """
        shape = len(self.known), R.shape[1], 3
        R_all = R.expand(*shape, 3)
        translation, K = self.translation_cam[:, None].expand(shape), self.K[:, None].expand(*shape, 3)
        if self.rays:
            by_box = standing(R, self.outlines, self._box_rays()[:, None])
            translation = torch.where(self._placed()[:, None, None], by_box, translation)
        if self.boxes:
            seen = self.lens_known[:, None, None]
            axis = R.new_tensor([0.0, 0.0, self.distance])
            translation = torch.where(seen, translation, axis)
            K = torch.where(seen[..., None], K, self._fitted(R, self._on_axis(R, log_scale)))
        if log_scale is not None:
            translation = translation * log_scale.exp()[..., None]
        return geometry.pose(R_all, translation), K

    def K_slopes(self, R: Tensor, log_scale: Tensor | None = None) -> Tensor:
        """Return the derivatives of K, (B, 4, 3, 3), with turns of R (B, 3, 3) about the camera's x, y and z, and with
        log_scale (B,).

        [:, i] is dK / dturn_i, for a turn R -> exp(turn) R. 0 where K is known.
        """
        if not self.boxes:
            return R.new_zeros(len(R), 4, 3, 3)
        t = self._on_axis(R, log_scale)
        low, high = (mean_corner_slopes(R, t, self.outlines, index) for index in extremes(R, t, self.outlines))
        away = t[:, 2, None, None] if self.refit else 0.0
        d_low, d_high = (torch.cat([x.turns, x.shifts[:, 2:] * away], dim=1) for x in (low, high))
        size = high.place - low.place
        corners = self.box_xyxy.unflatten(-1, (2, 2))
        focal = ((corners[:, 1] - corners[:, 0]) / size)[:, None]
        relative = -(d_high - d_low) / size[:, None]
        if self.focals == "one":
            focal, relative = _geometric_mean(focal), relative.mean(-1, keepdim=True).expand_as(relative)
        d_focal = focal * relative
        d_offset = -(d_focal * (low.place + high.place)[:, None] + focal * (d_low + d_high)) / 2
        slopes = torch.diag_embed(torch.nn.functional.pad(d_focal, (0, 1)))
        slopes = slopes + torch.nn.functional.pad(d_offset[..., None], (2, 0, 0, 1))
        return slopes.where(~self.lens_known[:, None, None, None], 0.0)

    def translation_slopes(self, R: Tensor, log_scale: Tensor | None = None) -> Tensor:
        """Return the derivatives of the translation, (B, 4, 3), with the same turns and with log_scale: [:, i] is
        dt / dturn_i, [:, 3] the translation itself, or 0 if it is held."""
        t = self(R[:, None], None if log_scale is None else log_scale[:, None])[0][:, 0, :3, 3]
        turns = t.new_zeros(len(t), 3, 3)
        if self.rays:
            at_box = standing(R, self.outlines, self._box_rays())
            scale = 1.0 if log_scale is None else log_scale.exp()[:, None, None]
            turns = turns.where(~self._placed()[:, None, None], standing_slopes(R, at_box, self.outlines) * scale)
        away = t.where(~self.lens_known[:, None], 0.0) if self.held else t
        return torch.cat([turns, away[:, None]], dim=1)

    def surprise(self, log_scale: Tensor, sigma: float) -> Tensor:
        """Return (log_scale / sigma)^2 / 2 of distances (B, ...), and 0 for images whose K or translation is known."""
        rows = self.lens_known.view(-1, *[1] * (log_scale.ndim - 1))
        return (log_scale / sigma).square().where(~rows, 0.0) / 2

    def kept_before(self, log_scale: Tensor) -> Tensor:
        """Raise log_scale (B, ...) of objects whose camera is fitted to the box, so that all of them is before it."""
        rows = self.lens_known.view(-1, *[1] * (log_scale.ndim - 1))
        return torch.where(rows, log_scale, log_scale.clamp(min=min(0.0, math.log(_NEAREST / self.distance))))

    def _on_axis(self, R: Tensor, log_scale: Tensor | None) -> Tensor:
        """Return translations (..., 3) along the optical axis, by which K is fitted."""
        axis = R.new_tensor([0.0, 0.0, self.distance])
        if log_scale is None or not self.refit:
            return axis.expand(*R.shape[:-2], 3)
        return axis * log_scale.exp()[..., None]

    def _placed(self) -> Tensor:
        """Return which images (B,) have K, but no translation."""
        return self.lens_known & ~self.known

    def _box_rays(self) -> Tensor:
        """Return the corners (B, 2, 2) of the boxes at focal length 1, as K sees them."""
        corners = self.box_xyxy.unflatten(-1, (2, 2)) - self.K[:, None, :2, 2]
        return corners / self.K.diagonal(dim1=1, dim2=2)[:, None, :2]

    def _fitted(self, R: Tensor, t: Tensor) -> Tensor:
        corners = self.box_xyxy[:, None].unflatten(-1, (2, 2))
        middle, size = corners.mean(2), corners[:, :, 1] - corners[:, :, 0]
        low, high = (mean_corner(R, t, self.outlines, index) for index in extremes(R, t, self.outlines))
        focal = size / (high - low)
        focal = _geometric_mean(focal) if self.focals == "one" else focal
        offset = middle - focal * (low + high) / 2
        diagonal = torch.nn.functional.pad(focal, (0, 1), value=1.0)
        return torch.diag_embed(diagonal) + torch.nn.functional.pad(offset[..., None], (2, 0, 0, 1))


def _geometric_mean(focal: Tensor) -> Tensor:
    """Return the one focal length, twice (..., 2), by which the box has the same area as by two (..., 2)."""
    return focal.prod(-1, keepdim=True).sqrt().expand_as(focal)


def known_camera(translation_cam: Tensor, K: Tensor) -> CameraRule:
    """Make the rule for annotated images: translations (B, 3) and K (B, 3, 3), canvas pixels, hold for every
    rotation. A search that frees the distance starts from them."""
    everywhere = torch.ones(len(K), dtype=torch.bool, device=K.device)
    return CameraRule(
        lens_known=everywhere,
        known=everywhere,
        translation_cam=translation_cam,
        K=K,
        box_xyxy=K.new_zeros(len(K), 4),
        outlines=K.new_zeros(1, 1, 3),
        distance=1.0,
        boxes=False,
        rays=False,
        held=False,
    )


def box_camera(box_xyxy: Tensor, outlines: Tensor, distance: float, focals: Focals = "two") -> CameraRule:
    """Make the rule for images of which only the objects' boxes (B, 4), in canvas pixels, are known.

    For every rotation the object stands on the optical axis at `distance`, and the principal point and the focal
    lengths are those that give the mean of the CADs' projected boxes, from `outlines` (C, N, 3), the image's box. Two
    focal lengths differ as far as the object's proportions differ from the CADs' mean, or as the distance is wrong.
    One gives the box its middle and its area.
    """
    nowhere = torch.zeros(len(box_xyxy), dtype=torch.bool, device=box_xyxy.device)
    return CameraRule(
        lens_known=nowhere,
        known=nowhere,
        translation_cam=box_xyxy.new_zeros(len(box_xyxy), 3),
        K=torch.eye(3).to(box_xyxy).repeat(len(box_xyxy), 1, 1),
        box_xyxy=box_xyxy,
        outlines=outlines,
        distance=distance,
        boxes=True,
        rays=False,
        focals=focals,
    )


def camera_rule(
    mesh: NeuralMesh,
    cam_T_obj: Tensor,
    K: Tensor,
    box_xyxy: Tensor,
    distance: float | None = None,
    focals: Focals = "two",
) -> CameraRule:
    """Make the rule for the images of a batch.

    An image with a finite annotated translation, in cam_T_obj (B, 4, 4), and a finite K (B, 3, 3) keeps them. With K
    alone the object stands where it fills its box (B, 4). Else the camera comes from the box, at `distance`, None for
    the mesh's mean training distance. Only the latter's distances are searched if the search frees them.
    """
    lens_known = torch.isfinite(K).all(-1).all(-1)
    known = lens_known & torch.isfinite(cam_T_obj[:, :3, 3]).all(-1)
    return CameraRule(
        lens_known=lens_known,
        known=known,
        translation_cam=cam_T_obj[:, :3, 3].where(known[:, None], 0.0),
        K=K.where(lens_known[:, None, None], torch.eye(3).to(K)),
        box_xyxy=box_xyxy,
        outlines=mesh.outlines,
        distance=mesh.spec.distance if distance is None else distance,
        boxes=not bool(lens_known.all()),
        rays=bool((lens_known & ~known).any()),
        focals=focals,
    )
