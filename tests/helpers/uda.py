"""3DUDA of a small box model: its configurations, and what its folders hold."""

import hashlib
import json
from dataclasses import replace

import numpy as np
import torch
from click.testing import CliRunner

from pose_models.adapt.config import UdaConfig
from pose_models.cli import main
from pose_models.config import MILD, TrainConfig

CPU = torch.device("cpu")
# Mirroring is off: the box's two sides differ in colour.
SOURCE = TrainConfig(
    categories=("box",),
    backbone="test_resnet",
    weights="none",
    image_size=96,
    steps=60,
    batch=8,
    lr=3e-3,
    head_lr=3e-3,
    channels=64,
    vertices=200,
    augment=MILD.model_copy(update={"mirror": False, "hue": 0.0, "grey": 0.0, "colour": 0.1}),
)
CONFIG = UdaConfig(epochs=3, solve_every=5, bank_images=8, batch=8, lr=1e-3)


def changed(config=CONFIG, **fields):
    return UdaConfig.model_validate(config.model_dump() | fields)


def noisy(samples, seed=0):
    rng = np.random.default_rng([seed, 1])
    return [
        replace(s, image=(s.image + rng.normal(0, 80, s.image.shape)).clip(0, 255).astype(np.uint8)) for s in samples
    ]


def hashes(folder):
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file()}


def without_seconds(path):
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in path.read_text().splitlines()]


def call(*arguments, code=0):
    result = CliRunner().invoke(main, [*map(str, arguments)])
    assert result.exit_code == code, result.output
    return result.output
