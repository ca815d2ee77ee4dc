"""What a training run is made of; saved with the run. Light to import."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from p3d_gen.files import write_json
from pose_models.data.augment import AugmentConfig

Precision = Literal["fp32", "bf16"]


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Everything that decides a training run beside its data.

    image_size: long side of the canvas in pixels. weights: safetensors file for the backbone's body; None starts
    from random weights. box_fraction: share of the pooled CAD vertices that the cuboid's sides hold (NeMo).
    vertices: aim of the cuboid's grid. neighbour_radius: vertices closer than this, in obj units, are not set
    against each other. clutter_images: how many images' clutter features the bank holds. frozen_norm: keep the
    pretrained body's BatchNorm statistics. warmup: share of the steps in which the rate rises.
    """

    category: str
    weights: str | None
    backbone: str = "resnet18"
    max_stride: int = 16
    channels: int = 128
    image_size: int = 256
    box_fill: float = 0.9
    steps: int = 400
    batch: int = 12
    lr: float = 3e-4
    head_lr: float = 1e-3
    weight_decay: float = 1e-4
    warmup: float = 0.1
    frozen_norm: bool = True
    precision: Precision = "fp32"
    seed: int = 0
    vertices: int = 1000
    box_fraction: float = 0.9999
    bank_update: Literal["visible", "batch"] = "visible"
    bank_init: Literal["smooth", "uniform"] = "smooth"
    bank_momentum: float = 0.99
    temperature: float = 0.07
    clutter_weight: float = 0.005
    clutter_term: float = 0.1
    neighbour_radius: float = 0.1
    clutter_per_image: int = 5
    clutter_images: int = 128
    augment: AugmentConfig = field(default_factory=AugmentConfig)

    def save(self, path: Path) -> None:
        """Write the configuration as JSON, atomically."""
        write_json(path, asdict(self))
