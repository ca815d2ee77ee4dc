"""The released inference of NeMo and its successors: full rendered feature maps, one image at a time. A yardstick."""

from __future__ import annotations

import torch
from torch import Tensor

from pose_models import geometry
from pose_models.losses import reconstruction
from pose_models.rasterise import rasterise, render_features
from pose_models.solve.cameras import CameraRule
from pose_models.solve.config import SolveConfig
from pose_models.solve.refine import Hypotheses
from pose_models.solve.scoring import Scorer, in_cells

_LR, _BETAS, _FALL, _FALL_EVERY = 0.05, (0.4, 0.6), 0.2, 100
_MAPS_AT_ONCE = 16


def grid_losses(scorer: Scorer, cam_T_obj: Tensor, K: Tensor) -> Tensor:
    """Return losses (B, P) of poses (B, P, 4, 4) under K (B, P, 3, 3), each from its full feature map."""
    rows = []
    for image in range(len(K)):
        parts = zip(cam_T_obj[image].split(_MAPS_AT_ONCE), K[image].split(_MAPS_AT_ONCE), strict=True)
        rows.append(torch.cat([map_losses(scorer, image, *part) for part in parts]))
    return torch.stack(rows)


def map_losses(scorer: Scorer, image: int, cam_T_obj: Tensor, K: Tensor) -> Tensor:
    """Return the losses (P,) of poses (P, 4, 4) of one image, as `Scorer.losses`, from full feature maps;
    differentiable in the poses."""
    mesh = scorer.mesh
    points = geometry.transform(cam_T_obj, mesh.vertices)
    hits = rasterise(points, mesh.faces, in_cells(K), scorer.hw, cull=True)
    maps = render_features(hits, mesh.faces, scorer.vertex_features, len(K), scorer.hw)
    similarity = (maps * scorer.features[image]).sum(1).flatten(1)
    covered = torch.zeros_like(similarity, dtype=torch.bool)
    covered[hits.pose, hits.pixel] = True
    # A cell without mesh shows clutter: there the maximum must not take the map's empty 0.
    return reconstruction(similarity.masked_fill(~covered, -torch.inf), scorer.clutter[image].expand_as(similarity))


def by_adam(scorer: Scorer, rule: CameraRule, start: Hypotheses, config: SolveConfig) -> Hypotheses:
    """Refine each hypothesis alone by `config.steps` steps of Adam, on the camera's centre in R^3, so that the distance
    drifts, and on the in-plane angle. The camera stays that of the rule's distance.

    The last pose counts, better or not.
    """
    rows = torch.arange(len(start.loss), device=start.loss.device).split(1)
    done = [_descend(scorer, rule.take(start.images[row]), start.take(row), config.steps) for row in rows]
    return Hypotheses(**{name: torch.cat([vars(one)[name] for one in done]) for name in vars(start)})


def _descend(scorer: Scorer, rule: CameraRule, start: Hypotheses, steps: int) -> Hypotheses:
    image = int(start.images)
    distance = rule(start.R[:, None])[0][:, 0, :3, 3].norm(dim=-1)
    view = geometry.viewpoint_of(start.R)
    # The camera looks along R's last row: its centre lies that far behind the object.
    centre = (-distance[:, None] * start.R[:, 2]).requires_grad_()
    theta = view[:, 2].clone().requires_grad_()
    optimiser = torch.optim.Adam([centre, theta], lr=_LR, betas=_BETAS)
    schedule = torch.optim.lr_scheduler.StepLR(optimiser, _FALL_EVERY, _FALL)

    def placed() -> Hypotheses:
        x, y, z = centre.unbind(-1)
        far = centre.norm(dim=-1)
        R = geometry.rotation_cam_obj(torch.stack([torch.atan2(x, -y), torch.asin(z / far), theta], dim=-1))
        scale = torch.log(far / distance)
        return Hypotheses(images=start.images, R=R, log_scale=scale, shift_px=start.shift_px, loss=start.loss)

    with torch.enable_grad():
        for _ in range(steps):
            # The images' indices are into the batch; the rule holds only this image.
            loss = map_losses(scorer, image, *placed().cameras_of(rule))
            optimiser.zero_grad()
            loss.sum().backward()
            optimiser.step()
            schedule.step()
    last = placed()
    loss = map_losses(scorer, image, *last.cameras_of(rule))
    return Hypotheses(**{name: value.detach() for name, value in (vars(last) | {"loss": loss}).items()})
