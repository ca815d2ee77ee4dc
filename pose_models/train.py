"""Training of one category's neural mesh model: a plain loop."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from p3d_gen.cuboid import fit_box
from p3d_gen.types import Array
from pose_models import geometry
from pose_models.backbone import STRIDE, load_weights
from pose_models.config import TrainConfig
from pose_models.data.augment import Backgrounds, augmented, collate
from pose_models.data.sample import Batch
from pose_models.data.shards import EncodedSample, decode
from pose_models.losses import clutter_similarity, contrastive
from pose_models.mesh import outline, visible
from pose_models.metrics import most_frequent_rotation
from pose_models.nmm import ModelSpec, NeuralMeshModel, sample_features, save_model, updated_vertex_features

LOG_FILE, CONFIG_FILE = "train.jsonl", "config.json"
_ORDER, _AUGMENT = 1, 2


@dataclass(frozen=True, kw_only=True)
class Step:
    """What one training step gave: its number from 1, the loss, its terms by name, and the learning rate."""

    step: int
    loss: float
    contrastive: float
    clutter: float
    lr: float


def canvas_for(boxes_xyxy: Array, long_side: int) -> tuple[int, int]:
    """Height and width of a canvas with the boxes' median shape, at most 5:3 either way, multiples of 16."""
    width, height = (boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]).T
    shape = float(np.clip(np.median(width / height), 0.6, 5 / 3))
    w, h = (long_side, long_side / shape) if shape >= 1 else (long_side * shape, long_side)
    return max(16, round(h / 16) * 16), max(16, round(w / 16) * 16)


def model_spec(config: TrainConfig, samples: Sequence[EncodedSample], cads: dict[str, Array]) -> ModelSpec:
    """The model that fits a category's CADs and training labels."""
    lower, upper = fit_box(np.concatenate(list(cads.values())), config.box_fraction)
    poses = torch.tensor([sample.labels["cam_T_obj"] for sample in samples], dtype=torch.float64)
    views = geometry.viewpoint_of(poses[:, :3, :3])
    boxes = np.array([decode(sample).box_xyxy for sample in samples])
    mode = most_frequent_rotation(poses[:, :3, :3])
    return ModelSpec(
        category=config.category,
        backbone=config.backbone,
        max_stride=config.max_stride,
        channels=config.channels,
        vertices=config.vertices,
        bank_init=config.bank_init,
        box_lower=tuple(lower.tolist()),
        box_upper=tuple(upper.tolist()),
        canvas_hw=canvas_for(boxes, config.image_size),
        box_fill=config.box_fill,
        clutter=config.clutter_images * config.clutter_per_image,
        distance=float(poses[:, :3, 3].norm(dim=1).mean()),
        elevations_rad=(float(views[:, 1].min()), float(views[:, 1].max())),
        thetas_rad=(float(views[:, 2].min()), float(views[:, 2].max())),
        mode_rotation=tuple(mode.flatten().tolist()),
    )


def batches(
    samples: Sequence[EncodedSample], spec: ModelSpec, config: TrainConfig, backgrounds: Backgrounds | None
) -> Iterator[Batch]:
    """`config.steps` batches of augmented samples: every sample once per epoch, in an order drawn for each epoch."""
    order = np.empty(0, dtype=np.int64)
    epoch = 0
    for step in range(config.steps):
        while len(order) < config.batch:
            rng = np.random.default_rng([config.seed, _ORDER, epoch])
            order, epoch = np.concatenate([order, rng.permutation(len(samples))]), epoch + 1
        chosen, order = order[: config.batch], order[config.batch :]
        views = []
        for slot, index in enumerate(chosen):
            rng = np.random.default_rng([config.seed, _AUGMENT, step, slot])
            sample = decode(samples[index])
            views.append(augmented(sample, spec.canvas_hw, spec.box_fill, config.augment, backgrounds, rng))
        yield collate(views)


def clutter_cells(batch: Batch, pixels: Tensor, map_hw: tuple[int, int]) -> Tensor:
    """Weights (B, h w): 1 for cells with a background pixel and no projected vertex (B, R, 2), else 0. As in NeMo."""
    background = F.max_pool2d(1 - batch.mask[:, None], STRIDE).flatten(1) > 0.5
    size = pixels.new_tensor([map_hw[1], map_hw[0]])
    cell = (pixels / STRIDE).floor()
    inside = ((cell >= 0) & (cell < size)).all(-1)
    slot = (cell[..., 1] * map_hw[1] + cell[..., 0]).long().where(inside, 0)
    covered = torch.zeros_like(background, dtype=torch.int64).scatter_add(1, slot, inside.long()) > 0
    return (background & ~covered).float()


def _drawn_cells(features: Tensor, free: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Features (N, D) of `count` random free cells of each image; images with fewer free cells give none."""
    usable = (free.sum(1) >= count).nonzero(as_tuple=True)[0]
    if len(usable) == 0:
        return features.new_zeros(0, features.shape[1])
    cells = torch.multinomial(free[usable], count, generator=generator).to(features.device)
    picked = features.flatten(2).mT[usable.to(features.device)]
    return picked.gather(1, cells[..., None].expand(-1, -1, picked.shape[2])).flatten(0, 1)


def training_step(
    model: NeuralMeshModel, batch: Batch, near: Tensor, config: TrainConfig, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """The two loss terms (contrastive, clutter) of a batch; updates the vertex features and the clutter bank."""
    device = model.vertex_features.device
    pose, K = batch.cam_T_obj.to(device), batch.K.to(device)
    with torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bf16"):
        features = model.net(batch.image.to(device).contiguous(memory_format=torch.channels_last))
    pixels = geometry.project(geometry.transform(pose, model.mesh.vertices), K)
    height, width = model.spec.canvas_hw
    inside = ((pixels >= 0) & (pixels < pixels.new_tensor([width, height]))).all(-1)
    seen = visible(model.mesh, geometry.camera_centre(pose)) & inside
    at_vertices = sample_features(features, pixels.nan_to_num())
    free = clutter_cells(batch, pixels.nan_to_num(nan=-1.0).cpu(), model.map_hw)
    noise = _drawn_cells(features, free, config.clutter_per_image, generator)
    labels = seen.nonzero(as_tuple=True)[1]
    term = contrastive(
        at_vertices[seen],
        labels,
        model.vertex_features,
        model.clutter_bank(),
        near,
        temperature=config.temperature,
        clutter_weight=config.clutter_weight,
    )
    clutter = clutter_similarity(noise, model.vertex_features)
    model.vertex_features = updated_vertex_features(
        model.vertex_features, at_vertices.detach(), seen, momentum=config.bank_momentum, form=config.bank_update
    )
    model.push_clutter(noise.detach())
    return term, clutter


def build(config: TrainConfig, spec: ModelSpec, cads: dict[str, Array], device: torch.device) -> NeuralMeshModel:
    """The untrained model: random weights from `config.seed`, then the body's pretrained ones where given."""
    outlines = torch.from_numpy(np.stack([outline(points) for points in cads.values()])).float()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        model = NeuralMeshModel(spec, outlines, torch.Generator().manual_seed(config.seed))
    if config.weights is not None:
        load_weights(model.net, Path(config.weights))
    placed: NeuralMeshModel = model.to(device, memory_format=torch.channels_last)
    return placed


def _optimiser(model: NeuralMeshModel, config: TrainConfig) -> tuple[torch.optim.Optimizer, Callable[[int], float]]:
    body = list(model.net.body.parameters())
    known = {id(p) for p in body}
    head = [p for p in model.net.parameters() if id(p) not in known]
    groups = [{"params": body, "lr": config.lr}, {"params": head, "lr": config.head_lr}]
    rising = max(1, round(config.warmup * config.steps))

    def rate(step: int) -> float:
        if step < rising:
            return (step + 1) / rising
        return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, config.steps - rising)))

    return torch.optim.AdamW(groups, weight_decay=config.weight_decay), rate


def train(
    config: TrainConfig,
    samples: Sequence[EncodedSample],
    cads: dict[str, Array],
    out: Path,
    *,
    backgrounds: Backgrounds | None,
    device: torch.device,
    on_step: Callable[[Step], None],
) -> NeuralMeshModel:
    """Train on decoded-on-the-fly samples and write config, log (one JSON line a step) and model to `out`."""
    spec = model_spec(config, samples, cads)
    model = build(config, spec, cads, device)
    out.mkdir(parents=True, exist_ok=True)
    config.save(out / CONFIG_FILE)
    near = torch.cdist(model.mesh.vertices, model.mesh.vertices) <= config.neighbour_radius
    optimiser, rate = _optimiser(model, config)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, rate)
    generator = torch.Generator().manual_seed(config.seed)
    model.train()
    if config.weights is not None and config.frozen_norm:
        model.net.body.eval()
    with (out / LOG_FILE).open("w") as log:
        for number, batch in enumerate(batches(samples, spec, config, backgrounds), start=1):
            term, clutter = training_step(model, batch, near, config, generator)
            loss = term + config.clutter_term * clutter
            if not torch.isfinite(loss):
                raise ValueError(f"the loss became {loss.item()} at step {number}: lower --lr (now {config.lr})")
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            step = Step(
                step=number,
                loss=loss.item(),
                contrastive=term.item(),
                clutter=clutter.item(),
                lr=schedule.get_last_lr()[0],
            )
            optimiser.step()
            schedule.step()
            log.write(json.dumps(vars(step)) + "\n")
            log.flush()
            on_step(step)
    model.eval()
    save_model(model, out)
    return model
