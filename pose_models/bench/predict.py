"""Predicting poses of pictures: images a second, and the shares of placing, network and solver."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import torch

from p3d_gen.bench import show
from p3d_gen.core.errors import DataError
from pose_models.bench import device_name, seconds
from pose_models.data.augment import collate, place
from pose_models.data.images import Images
from pose_models.estimator import EstimateConfig
from pose_models.nmm import load_model
from pose_models.predict import predict
from pose_models.solve import views_of


@torch.no_grad()
def figures(folder: Path, images: Images, count: int, device: torch.device, at_least_s: float) -> dict[str, Any]:
    """Measure `images_per_second` and `solve_over_network`, the seconds of the solver over those of the network.

    The first `count` images of the first category that the model knows are given at once, decoded, each with its box.
    DataError if there is none.
    """
    model = load_model(folder, device)
    spec = model.spec
    category = next((each.category for each in images.read() if each.category in spec.categories), None)
    if category is None:
        raise DataError(f"{images.name()} shows none of {', '.join(spec.categories)}, which the model knows")
    samples = list(islice((each for each in images.read() if each.category == category), count))
    pictures, boxes = [each.image for each in samples], [each.box_xyxy for each in samples]
    batch = collate([place(each, spec.canvas_hw, spec.box_fill) for each in samples]).to(device)

    def predicted() -> object:
        return predict([model], pictures, boxes, category, EstimateConfig())

    whole = seconds(predicted, device, at_least_s)
    placing = seconds(lambda: [place(each, spec.canvas_hw, spec.box_fill) for each in samples], device, at_least_s)
    network = seconds(lambda: views_of(model, batch, mirror=False), device, at_least_s)
    parts = {"placing": placing, "network": network, "solver": whole - placing - network}
    size = f"{spec.canvas_hw[0]} x {spec.canvas_hw[1]} pixels"
    show(
        f"predict: {len(samples)} images at once, {size}; {device_name(device)}",
        ("part", "ms an image", "share"),
        [(name, 1e3 * took / len(samples), took / whole) for name, took in {**parts, "whole": whole}.items()],
    )
    return {
        "images_per_second": len(samples) / whole,
        "solve_over_network": parts["solver"] / network,
        "images": len(samples),
        "device": device_name(device),
        **{f"{name}_s": took for name, took in parts.items()},
    }
