"""The model that fits the CADs and the training labels, before its first step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from p3d_gen.core.categories import CategoryDefinition
from p3d_gen.core.cuboid import fit_box
from p3d_gen.core.errors import DataError
from p3d_gen.core.types import Array
from pose_models import geometry
from pose_models.backbone import BackboneSpec, FeatureNet, input_statistics, stem
from pose_models.config import RANDOM, LoopConfig, TrainConfig
from pose_models.data.sample import PoseSample
from pose_models.data.symmetric import unmirrored
from pose_models.mesh import outline
from pose_models.metrics import most_frequent_rotation
from pose_models.nmm import MeshSpec, ModelSpec, NeuralMeshModel
from pose_models.pretrained import load_weights

_COUNTED = 1000  # largest number of samples from which the statistics of poses and boxes are made


def outlines_of(cads: Mapping[str, Mapping[str, Array]]) -> dict[str, Tensor]:
    """Return extreme points (C, N, 3) of each category's CAD models."""
    return {
        category: torch.from_numpy(np.stack([outline(points) for points in models.values()])).float()
        for category, models in cads.items()
    }


def canvas_for(boxes_xyxy: Array, long_side: int) -> tuple[int, int]:
    """Return height and width of a canvas with the boxes' median shape, at most 5:3 either way, multiples of 16."""
    width, height = (boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]).T
    shape = float(np.clip(np.median(width / height), 0.6, 5 / 3))
    w, h = (long_side, long_side / shape) if shape >= 1 else (long_side * shape, long_side)
    return max(16, round(h / 16) * 16), max(16, round(w / 16) * 16)


def _counted(samples: Sequence[PoseSample]) -> list[PoseSample]:
    """Return samples spread evenly over a source."""
    return [samples[i] for i in np.linspace(0, len(samples) - 1, min(len(samples), _COUNTED)).astype(int)]


def _mesh_spec(
    config: TrainConfig, category: str, samples: Sequence[PoseSample], cads: Mapping[str, Array]
) -> MeshSpec:
    if not samples:
        raise DataError(f"no image of category {category!r} among those to train on: choose by --category")
    lower, upper = fit_box(np.concatenate(list(cads.values())), config.box_fraction)
    poses = torch.from_numpy(np.stack([sample.cam_T_obj for sample in samples]))
    views = geometry.viewpoint_of(poses[:, :3, :3])
    return MeshSpec(
        category=category,
        vertices=config.vertices,
        box_lower=tuple(lower.tolist()),
        box_upper=tuple(upper.tolist()),
        cads=len(cads),
        distance=float(poses[:, :3, 3].norm(dim=1).mean()),
        elevations_rad=(float(views[:, 1].min()), float(views[:, 1].max())),
        thetas_rad=(float(views[:, 2].min()), float(views[:, 2].max())),
        mode_rotation=tuple(most_frequent_rotation(poses[:, :3, :3]).flatten().tolist()),
    )


def model_spec(
    config: TrainConfig,
    samples: Sequence[Sequence[PoseSample]],
    cads: Mapping[str, Mapping[str, Array]],
    definitions: tuple[CategoryDefinition, ...] = (),
) -> ModelSpec:
    """Make the spec for sources of samples and each category's CAD models. DataError if a category has no image.

    definitions: as in `KnownCategories`.
    """
    counted = [sample for source in samples if len(source) for sample in _counted(source)]
    boxes = np.array([sample.box_xyxy for sample in counted])
    meshes = [
        _mesh_spec(config, category, [s for s in counted if s.category == category], cads[category])
        for category in config.categories
    ]
    mean, std = input_statistics(config.backbone, config.weights)
    return ModelSpec(
        backbone=BackboneSpec(
            name=config.backbone,
            max_stride=config.max_stride,
            merge=config.merge,
            width=config.width,
            channels=config.channels,
            weights=config.weights or RANDOM,
            mean=mean,
            std=std,
        ),
        bank_init=config.bank_init,
        canvas_hw=canvas_for(boxes, config.image_size),
        box_fill=config.box_fill,
        clutter=config.clutter_images * config.clutter_per_image,
        meshes=tuple(meshes),
        unmirrored=unmirrored({name: cads[name].values() for name in config.categories}),
        definitions=definitions,
    )


def build(config: TrainConfig, spec: ModelSpec, outlines: dict[str, Tensor]) -> NeuralMeshModel:
    """Make the untrained model: random weights from `config.seed`, then the body's pretrained ones if given."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        model = NeuralMeshModel(spec, outlines, torch.Generator().manual_seed(config.seed))
    if config.weights:
        load_weights(model.net, config.backbone, config.weights)
        freeze(model.net, config)
    placed: NeuralMeshModel = model.to(memory_format=torch.channels_last)
    return placed


def freeze(net: FeatureNet, config: LoopConfig) -> None:
    """Keep the weights that `config.freeze` names as they are."""
    for module in [net.body] if config.freeze == "body" else stem(net) if config.freeze == "stem" else []:
        module.requires_grad_(False)


def parameter_groups(net: nn.Module, config: LoopConfig) -> list[dict[str, Any]]:
    """Return the optimiser's groups for a net of body and head: the head, and the body at its own rate if it learns."""
    groups = [{"params": list(net.head.parameters()), "lr": config.head_lr}]
    if body := [p for p in net.body.parameters() if p.requires_grad]:
        groups.append({"params": body, "lr": config.lr})
    return groups


def training_mode(module: nn.Module, body: nn.Module, config: LoopConfig) -> None:
    """Switch to training mode; the statistics of a pretrained body stay as they are unless `freeze` is none."""
    module.train()
    if config.weights and config.freeze != "none":
        body.eval()
