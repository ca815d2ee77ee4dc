"""An epoch of an adaptation against an epoch of training on the same images."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch

from p3d_gen.bench import show
from p3d_gen.run.scratch import ScratchFolder
from pose_models.adapt.config import UdaConfig
from pose_models.adapt.pseudo_labels import LABELS_FILE, PseudoLabel, PseudoLabelled, pseudo_labels
from pose_models.adapt.source import load_source
from pose_models.adapt.target import Target
from pose_models.adapt.uda3d import Adaptation
from pose_models.bench import device_name, seconds
from pose_models.data.images import Images
from pose_models.data.views import Views
from pose_models.estimator import EstimateConfig
from pose_models.training.loop import LoopOptions, fit


def figures(folder: Path, images: Images, device: torch.device) -> dict[str, Any]:
    """Measure the seconds for all target images with the model of a run folder.

    Timed are: an epoch of 3DUDA that keeps its poses, and one that searches them; pseudo-labels, which CC3D makes once
    a round; an epoch of the model's training on these labels.

    ValueError if the folder holds no neural mesh model, or one that does not know a category of the images.
    """
    source = load_source(folder, device)
    target = Target(images.read(), source.config.image_size)
    adaptation = Adaptation(folder, target, UdaConfig(solve_every=2), device)
    adaptation.epoch(0)
    took = {
        "uda_kept_poses": seconds(lambda: adaptation.epoch(2), device, 0),
        "uda_searched_poses": seconds(lambda: adaptation.epoch(3), device, 0),
    }
    with ScratchFolder() as place:
        estimator = source.estimator(EstimateConfig())
        labels: list[PseudoLabel] = []

        def label() -> None:
            (place / LABELS_FILE).unlink(missing_ok=True)
            labels[:] = pseudo_labels(target, estimator, place / LABELS_FILE)

        took["labels"] = seconds(label, device, 0)
        labelled = PseudoLabelled(target, labels, range(len(labels)), source, None)
        steps = math.ceil(len(target) / source.config.batch)
        training = source.config.model_copy(update={"steps": steps, "real_share": 1.0, "ema": 0.0})
        views = Views((), labelled, source.model.spec.canvas_hw, training, None)
        trainee, options = source.trainee(training), LoopOptions(cpu=device.type == "cpu")
        took["training"] = seconds(
            lambda: fit(trainee, views, training, place / "run", options, lambda step: None), device, 0
        )
    return _conclusions(took, len(target), device_name(device))


def _conclusions(took: dict[str, float], images: int, device: str) -> dict[str, Any]:
    train = took["training"]
    rows = [[name, images / each, each / train] for name, each in took.items()]
    show(f"epochs of {images} images on {device}", ["what", "images/s", "over training"], rows)
    return {
        "device": device,
        "images": images,
        **{f"{name}_s": each for name, each in took.items()},
        "uda_over_training": took["uda_searched_poses"] / train,
        "uda_kept_poses_over_training": took["uda_kept_poses"] / train,
        "cc3d_over_training": (took["labels"] + train) / train,
    }
