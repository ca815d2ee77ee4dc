"""Refinement of hypotheses, all images' and all starts' in one batch."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from pose_models import geometry
from pose_models.backbone import STRIDE
from pose_models.rasterise import Hits
from pose_models.solve.cameras import CameraRule
from pose_models.solve.config import SolveConfig
from pose_models.solve.scoring import Linearised, Scorer, in_cells

_FIRST_DAMPING, _MOST_DAMPING = 1e-2, 1e3
_MOST_TURN_RAD, _MOST_LOG_STEP = math.radians(15.0), 0.25
_FIRST_STEP_RAD, _LAST_STEP_RAD = math.radians(8.0), math.radians(0.5)


@dataclass(frozen=True, kw_only=True)
class Hypotheses:
    """Q hypotheses. images (Q,) int64: the image of each; R (Q, 3, 3); log_scale (Q,): logarithm of the distance over
    the camera rule's; shift_px (Q, 2): principal point less the camera rule's, canvas pixels; loss (Q,)."""

    images: Tensor
    R: Tensor
    log_scale: Tensor
    shift_px: Tensor
    loss: Tensor

    def take(self, rows: Tensor) -> Hypotheses:
        """Return some of the hypotheses."""
        return Hypotheses(**{name: value[rows] for name, value in vars(self).items()})

    def put(self, rows: Tensor, other: Hypotheses, better: Tensor) -> Hypotheses:
        """Replace those `rows` by `other` where that is `better`, (N,) bool."""
        rows, where = rows[better], better.nonzero().squeeze(1)
        fields = vars(self).items()
        return Hypotheses(**{name: value.index_copy(0, rows, vars(other)[name][where]) for name, value in fields})

    def cameras(self, rule: CameraRule) -> tuple[Tensor, Tensor]:
        """Return cam_T_obj (Q, 4, 4) and K (Q, 3, 3) of the hypotheses."""
        return self.cameras_of(rule.take(self.images))

    def cameras_of(self, rule: CameraRule) -> tuple[Tensor, Tensor]:
        """Return the same by a rule that holds for the hypotheses themselves, one after the other."""
        cam_T_obj, K = (x.squeeze(1) for x in rule(self.R[:, None], self.log_scale[:, None]))
        return cam_T_obj, K + torch.nn.functional.pad(self.shift_px[..., None], (2, 0, 0, 1))


def hypotheses(images: Tensor, R: Tensor, loss: Tensor, log_scale: Tensor | None = None) -> Hypotheses:
    """Make hypotheses that stand where the camera rule puts them, or at `log_scale` (Q,) of its distance."""
    nothing = torch.zeros_like(loss)
    scale = nothing if log_scale is None else log_scale
    return Hypotheses(images=images, R=R, log_scale=scale, shift_px=nothing[:, None].expand(-1, 2), loss=loss)


def by_gradient(scorer: Scorer, rule: CameraRule, start: Hypotheses, config: SolveConfig) -> Hypotheses:
    """Refine by damped Gauss-Newton steps in the tangent space of SO(3) and of the free parameters.

    A step that raises the loss is taken back and shortened. It may raise it by one cell's worth: at the silhouette
    cells come and go whole, which the gradient does not see, and which would hide the last degree from the rest.
    """
    now = start
    at = _linearise(scorer, rule, now, config)
    now = Hypotheses(**vars(now) | {"loss": at.loss})
    damping = torch.full_like(now.loss, _FIRST_DAMPING)
    rows = torch.arange(len(now.loss), device=now.loss.device)
    for _ in range(config.steps):
        step = _damped_step(at, damping)
        tried = _moved(now.take(rows), step, config, rule)
        there = _linearise(scorer, rule, tried, config)
        tried = Hypotheses(**vars(tried) | {"loss": there.loss})
        better = there.loss < at.loss + at.grain
        now = now.put(rows, tried, better)
        damping = torch.where(better, damping / 4, damping * 8)
        at = _either(better, there, at)
        going = (step[:, :3].norm(dim=1) > math.radians(config.final_deg)) & (damping < _MOST_DAMPING)
        keep = going.nonzero().squeeze(1)
        if len(keep) == 0:
            break
        rows, damping = rows[keep], damping[keep]
        at = Linearised(**{name: value[keep] for name, value in vars(at).items()})
    return now


def _either(better: Tensor, there: Linearised, here: Linearised) -> Linearised:
    shapes = {name: better.view(-1, *[1] * (value.ndim - 1)) for name, value in vars(here).items()}
    return Linearised(**{name: torch.where(shapes[name], vars(there)[name], vars(here)[name]) for name in shapes})


def _damped_step(at: Linearised, damping: Tensor) -> Tensor:
    """Return the step -(H + damping diag H)^-1 gradient, (Q, n), with its turn cut to a trusted size; 0 if the mesh
    is out of view."""
    diagonal = at.hessian.diagonal(dim1=1, dim2=2)
    floor = 1e-6 * diagonal.amax(1, keepdim=True) + 1e-12
    matrix = at.hessian + torch.diag_embed(damping[:, None] * diagonal + floor)
    step = -torch.linalg.solve(matrix, at.gradient)
    turn = step[:, :3].norm(dim=1, keepdim=True)
    return step * (_MOST_TURN_RAD / turn.clamp(min=_MOST_TURN_RAD))


def _moved(of: Hypotheses, step: Tensor, config: SolveConfig, rule: CameraRule) -> Hypotheses:
    """Move hypotheses by a step (Q, n): a turn about the camera's axes, then log distance and principal point if
    free."""
    angle = step[:, :3].norm(dim=1)
    turn = geometry.rotation_about(step[:, :3] / angle.clamp(min=1e-12)[:, None], angle)
    rest = step[:, 3:]
    log_scale, shift_px = of.log_scale, of.shift_px
    if "distance" in config.free:
        log_scale = log_scale + rest[:, 0].clamp(-_MOST_LOG_STEP, _MOST_LOG_STEP)
        log_scale, rest = rule.take(of.images).kept_before(log_scale), rest[:, 1:]
    if "principal" in config.free:
        shift_px = shift_px + rest
    return Hypotheses(images=of.images, R=turn @ of.R, log_scale=log_scale, shift_px=shift_px, loss=of.loss)


def _linearise(scorer: Scorer, rule: CameraRule, at: Hypotheses, config: SolveConfig) -> Linearised:
    own = rule.take(at.images)
    cam_T_obj, K = at.cameras_of(own)
    slopes = own.K_slopes(at.R, at.log_scale) if rule.boxes else None
    moving = rule.rays or "distance" in config.free
    shifts = own.translation_slopes(at.R, at.log_scale) if moving else None
    linear = scorer.linearised(at.images, cam_T_obj, K, image_motion(cam_T_obj, K, slopes, config, shifts))
    return _with_prior(linear, own, at.log_scale, config, scorer.cells) if "distance" in config.free else linear


def _with_prior(at: Linearised, rule: CameraRule, log_scale: Tensor, config: SolveConfig, cells: int) -> Linearised:
    """Add minus the logarithm of the distance's prior, and its derivatives, in shares of the image's cells.

    The loss of a cell is minus the logarithm of its likelihood at concentration 1: neighbouring cells see much of the
    same, so that together they know less than their number at the training's concentration would say.
    """
    # The one-dimensional slope and curvature follow from the value at 1.
    curvature = 2 * rule.surprise(torch.ones_like(log_scale), config.distance_sigma) / cells
    gradient, hessian = at.gradient.clone(), at.hessian.clone()
    gradient[:, 3] += curvature * log_scale
    hessian[:, 3, 3] += curvature
    loss = at.loss + curvature * log_scale.square() / 2
    return Linearised(loss=loss, grain=at.grain, gradient=gradient, hessian=hessian)


def image_motion(
    cam_T_obj: Tensor,
    K: Tensor,
    K_slopes: Tensor | None,
    config: SolveConfig,
    translation_slopes: Tensor | None = None,
) -> Callable[[Hits, Tensor], Tensor]:
    """Return, for `Scorer.linearised`, the motion (H, n, 2), in cells, of the mesh's points at hits, for a unit of each
    parameter: turns about the camera's axes through the object's origin, then log distance and principal point (canvas
    pixels) if free.

    K_slopes (Q, 4, 3, 3): dK / dturn and dK / dlog distance; translation_slopes (Q, 4, 3): of
    the translation. None where there is no change but by the distance, which moves the object along its ray.
    """
    k = in_cells(K)
    k_slopes = None if K_slopes is None else in_cells(K_slopes)

    def motion(hits: Hits, pixels: Tensor) -> Tensor:
        focal = k[hits.pose][:, [0, 1], [0, 1]]
        ray = (pixels - k[hits.pose][:, :2, 2]) / focal
        point = hits.depth[:, None] * torch.nn.functional.pad(ray, (0, 1), value=1.0)
        translation = cam_T_obj[hits.pose, :3, 3]
        moves = [torch.linalg.cross(axis, point - translation) for axis in torch.eye(3).to(point).unsqueeze(1)]
        if "distance" in config.free:
            moves.append(translation)
        in_space = torch.stack(moves, dim=1)
        if translation_slopes is not None:
            own = translation_slopes[hits.pose, : in_space.shape[1]]
            in_space = torch.cat([in_space[:, :3] + own[:, :3], own[:, 3:]], dim=1)
        on_plane = (in_space[..., :2] - ray[:, None] * in_space[..., 2:]) / hits.depth[:, None, None]
        on_plane = on_plane * focal[:, None]
        if k_slopes is not None:
            change = k_slopes[hits.pose, : on_plane.shape[1]]
            on_plane = on_plane + (change[:, :, [0, 1], [0, 1]] * ray[:, None] + change[:, :, :2, 2])
        if "principal" in config.free:
            on_plane = torch.cat([on_plane, (torch.eye(2) / STRIDE).to(point).expand(len(point), 2, 2)], dim=1)
        return on_plane

    return motion


def by_coordinates(scorer: Scorer, rule: CameraRule, start: Hypotheses, config: SolveConfig) -> Hypotheses:
    """Search without gradients: turns either way about the camera's three axes and the object's z are tried, the best
    is kept, and the step is halved if none is better.

    Only the rotation is searched.
    """
    now = start
    step = torch.full_like(now.loss, _FIRST_STEP_RAD)
    for _ in range(config.steps):
        rows = (step >= _LAST_STEP_RAD).nonzero().squeeze(1)
        if len(rows) == 0:
            break
        here = now.take(rows)
        axes = torch.cat([torch.eye(3).to(here.R).expand(len(rows), 3, 3), here.R[:, None, :, 2]], dim=1)
        axes = torch.cat([axes, -axes], dim=1)
        tries = geometry.rotation_about(axes, step[rows, None].expand(axes.shape[:2])) @ here.R[:, None]
        count = tries.shape[1]
        images = here.images.repeat_interleave(count)
        scales = here.log_scale.repeat_interleave(count)
        every = hypotheses(images, tries.flatten(0, 1), now.loss.new_zeros(len(images)), scales)
        tried, which = scorer.losses(images, *every.cameras(rule)).view(len(rows), count).min(dim=1)
        better = tried < here.loss
        best = tries[torch.arange(len(rows), device=rows.device), which]
        now = now.put(rows, hypotheses(here.images, best, tried, here.log_scale), better)
        step[rows] = torch.where(better, step[rows], step[rows] / 2)
    return now
