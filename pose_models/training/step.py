"""One training step of a neural mesh model: its loss, and the update of vertex features and clutter bank."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from pose_models.backbone import STRIDE
from pose_models.config import TrainConfig
from pose_models.data.sample import Batch
from pose_models.look import Seen, by_category, look
from pose_models.losses import clutter_similarity, contrastive
from pose_models.nmm import NeuralMeshModel, save_model, updated_vertex_features
from pose_models.training.loop import Processes
from pose_models.training.spec import parameter_groups, training_mode

_CLUTTER = 3


def neighbours(model: NeuralMeshModel, radius: float) -> dict[str, Tensor]:
    """Return the pairs of vertices (R, R) bool at most `radius` apart, in obj units, for each category."""
    return {
        name: torch.cdist(neural.mesh.vertices, neural.mesh.vertices) <= radius for name, neural in model.meshes.items()
    }


def clutter_cells(batch: Batch, covered: Tensor) -> Tensor:
    """Return weights (B, h w): 1 for cells with a background pixel that no projected vertex covers, else 0; as in NeMo.

    covered (B, h w): cells with a projected vertex. If the mask is not known, the cells in the box count as background.
    """
    h, w = batch.mask.shape[1] // STRIDE, batch.mask.shape[2] // STRIDE
    background = F.max_pool2d(1 - batch.mask[:, None], STRIDE).flatten(1) > 0.5
    rows, columns = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
    x, y = (columns.flatten() + 0.5) * STRIDE, (rows.flatten() + 0.5) * STRIDE
    left, top, right, bottom = batch.box_xyxy.cpu()[:, :, None].unbind(1)
    in_box = ((x > left) & (x < right) & (y > top) & (y < bottom)).to(background.device)
    known = ~batch.mask.flatten(1).isnan().any(1, keepdim=True)
    return (torch.where(known, background, in_box) & ~covered).float()


def _covered_cells(pixels: Tensor, map_hw: tuple[int, int]) -> Tensor:
    """Return the cells (B, h w) bool that a projected vertex (B, R, 2) falls into."""
    cell = (pixels.nan_to_num(nan=-1.0) / STRIDE).floor()
    inside = ((cell >= 0) & (cell < cell.new_tensor([map_hw[1], map_hw[0]]))).all(-1)
    slot = (cell[..., 1] * map_hw[1] + cell[..., 0]).where(inside, 0).long()
    empty = torch.zeros(len(pixels), map_hw[0] * map_hw[1], dtype=torch.int64, device=pixels.device)
    return empty.scatter_add(1, slot, inside.long()) > 0


def drawn_cells(features: Tensor, free: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Draw features (N, D) of `count` random free cells of each image; images with fewer free cells give none."""
    usable = (free.sum(1) >= count).nonzero(as_tuple=True)[0]
    if len(usable) == 0:
        return features.new_zeros(0, features.shape[1])
    cells = torch.multinomial(free[usable].cpu(), count, generator=generator).to(features.device)
    picked = features.flatten(2).mT[usable]
    return picked.gather(1, cells[..., None].expand(-1, -1, picked.shape[2])).flatten(0, 1)


def contrast(model: NeuralMeshModel, seen: Seen, near: dict[str, Tensor], config: TrainConfig) -> Tensor:
    """Return `losses.contrastive` of the visible vertices of one category, against all vertices and the clutter bank.

    near: see `neighbours`.
    """
    others = [mesh.vertex_features for mesh in model.meshes.values() if mesh is not seen.mesh]
    return contrastive(
        seen.features[seen.visible],
        seen.visible.nonzero(as_tuple=True)[1],
        seen.mesh.vertex_features,
        model.clutter_bank(),
        near[seen.mesh.spec.category],
        temperature=config.temperature,
        clutter_weight=config.clutter_weight,
        others=torch.cat(others) if others else None,
    )


def _remember(
    model: NeuralMeshModel, views: list[Seen], noise: Tensor, images: int, config: TrainConfig, all_: Processes
) -> None:
    """Move the vertex features towards the seen ones, and fill the clutter bank; the same in all processes."""
    by_name = {seen.mesh.spec.category: seen for seen in views}
    for name, neural in model.meshes.items():
        total, count = (
            torch.zeros_like(neural.vertex_features),
            neural.vertex_features.new_zeros(neural.mesh.vertices.shape[0]),
        )
        if name in by_name:
            weight = by_name[name].visible.float()
            total, count = torch.einsum("br,brd->rd", weight, by_name[name].features.detach().float()), weight.sum(0)
        neural.vertex_features = updated_vertex_features(
            neural.vertex_features,
            all_.summed(total),
            all_.summed(count),
            images * all_.count,
            momentum=config.bank_momentum,
            form=config.bank_update,
        )
    padded = noise.new_full((images * config.clutter_per_image, noise.shape[1]), torch.nan)
    padded[: len(noise)] = noise.detach()
    everything = all_.gathered(padded)
    model.push_clutter(everything[~everything[:, 0].isnan()])


def seen_in(model: NeuralMeshModel, features: Tensor, batch: Batch) -> tuple[list[Seen], Tensor]:
    """Return the features that a batch shows of each category, and the cells (B, h w) bool with projected vertices.

    features: feature maps (B, D, h, w) of the batch.
    """
    covered = features.new_zeros(len(features), features[0, 0].numel(), dtype=torch.bool)
    views, images = [], by_category(batch)
    for name, neural in model.meshes.items():
        if (rows := images.get(name)) is not None:
            seen = look(neural, features, batch, rows, batch.cam_T_obj[rows], batch.K[rows])
            covered[rows] = _covered_cells(seen.pixels, (features.shape[2], features.shape[3]))
            views.append(seen)
    return views, covered


def training_step(
    model: NeuralMeshModel,
    features: Tensor,
    batch: Batch,
    near: dict[str, Tensor],
    config: TrainConfig,
    step: int,
    all_: Processes,
) -> tuple[Tensor, Tensor]:
    """Return the loss terms (contrastive, clutter) of a batch; update the vertex features and the clutter bank.

    features: feature maps (B, D, h, w) of the batch. step: keys the draw of clutter cells.
    """
    views, covered = seen_in(model, features, batch)
    number = int(np.random.default_rng([config.seed, _CLUTTER, step, all_.rank]).integers(2**62))
    free = clutter_cells(batch, covered)
    noise = drawn_cells(features, free, config.clutter_per_image, torch.Generator().manual_seed(number))
    counts = torch.stack([seen.visible.sum() for seen in views]).float()
    # The mean over all visible vertices of all processes; gradients are averaged over the processes.
    shares = counts * all_.count / all_.summed(counts.sum()).clamp(min=1)
    terms = torch.stack([contrast(model, seen, near, config) for seen in views])
    everywhere = torch.cat([mesh.vertex_features for mesh in model.meshes.values()])
    clutter = clutter_similarity(noise, everywhere)
    _remember(model, views, noise, len(features), config, all_)
    return (terms * shares).sum(), clutter


class MeshTrainee:
    """A neural mesh model for the training loop."""

    def __init__(self, model: NeuralMeshModel, config: TrainConfig) -> None:
        """Train `model` as `config` says."""
        self.module, self.net = model, model.net
        self._config = config
        self._near = neighbours(model, config.neighbour_radius)

    def optimiser(self) -> torch.optim.Optimizer:
        """Make AdamW."""
        return torch.optim.AdamW(parameter_groups(self.net, self._config), weight_decay=self._config.weight_decay)

    def training(self) -> None:
        """Switch to training mode; the statistics of a pretrained body stay as they are unless `freeze` is none."""
        training_mode(self.module, self.net.body, self._config)

    def loss(self, output: Tensor, batch: Batch, step: int, everyone: Processes) -> tuple[Tensor, dict[str, Tensor]]:
        """Return contrastive + `clutter_term` * clutter, and both; update vertex features and clutter bank."""
        self._near = {name: near.to(output.device) for name, near in self._near.items()}
        term, clutter = training_step(self.module, output, batch, self._near, self._config, step, everyone)
        return term + self._config.clutter_term * clutter, {"contrastive": term, "clutter": clutter}

    def save(self, folder: Path) -> None:
        """Write the model."""
        save_model(self.module, folder)
