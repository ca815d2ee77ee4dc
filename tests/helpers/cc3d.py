"""CC3D of a small box model: its configurations, runs, and what their folders hold."""

import json

import torch

from pose_models.adapt.cc3d import ReplayedSamples, adapt
from pose_models.adapt.config import Cc3dConfig
from pose_models.adapt.target import Target
from pose_models.config import MILD, TrainConfig
from pose_models.data.shards import ShardSamples
from pose_models.training import LoopOptions

CPU = torch.device("cpu")
OPTIONS = LoopOptions(cpu=True)
# Mirroring is off: the box's two sides differ in colour.
AUGMENT = MILD.model_copy(update={"mirror": False, "hue": 0.0, "grey": 0.0, "colour": 0.1})
CONFIG = TrainConfig(
    categories=("box",),
    backbone="test_resnet",
    weights="none",
    image_size=64,
    steps=60,
    batch=8,
    lr=3e-3,
    head_lr=3e-3,
    channels=64,
    vertices=100,
    augment=AUGMENT,
)
SMALL = {"steps": 3, "batch": 4, "top": 4, "lr": 1e-3, "head_lr": 1e-3}


def renders_of(run):
    return ShardSamples([run / "shards" / "box-00000.tar"])


def target_of(run, count=6):
    return Target(list(ShardSamples([run / "test" / "box-00000.tar"]))[:count], 64)


def adapted(run, out, source=None, **fields):
    config = Cc3dConfig(**SMALL | fields)
    adapt(
        source or run / "source", target_of(run), config, out, OPTIONS, replay=ReplayedSamples(renders=renders_of(run))
    )
    return out


def weights(folder):
    return (folder / "model.safetensors").read_bytes()


def history(folder):
    return [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
