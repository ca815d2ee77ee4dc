"""Training against the bare backbone, and the cost of loading the images."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

import cv2
import numpy as np
import torch

from p3d_gen.bench import show
from p3d_gen.core import geometry
from p3d_gen.core.types import Camera, Viewpoint
from p3d_gen.run.scratch import ScratchFolder
from p3d_gen.run.shards import Members, write_shard
from pose_models.bench import device_name
from pose_models.bench.raster import CAR_EXTENT
from pose_models.config import TrainConfig
from pose_models.data.augment import Backgrounds
from pose_models.data.sample import Batch
from pose_models.data.shards import ShardSamples
from pose_models.data.views import Views, loader
from pose_models.training.loop import Processes
from pose_models.training.spec import build, freeze, model_spec, outlines_of
from pose_models.training.step import MeshTrainee

_IMAGES, _HW = 64, (256, 384)


def _picture(rng: np.random.Generator, hw: tuple[int, int]) -> bytes:
    coarse = rng.integers(0, 256, (hw[0] // 8, hw[1] // 8, 3), dtype=np.uint8)
    return bytes(cv2.imencode(".jpg", cv2.resize(coarse, hw[::-1], interpolation=cv2.INTER_CUBIC))[1])


def _noise(images: int) -> Iterator[tuple[str, Members]]:
    """Yield samples of noise with the masks and labels of a box seen from all sides: what they show does not matter."""
    rng = np.random.default_rng([0, 1])
    camera = Camera(focal_px=800.0, principal_px=(_HW[1] / 2, _HW[0] / 2), image_hw=_HW)
    corners = geometry.box_corners(np.array(CAR_EXTENT))
    for index in range(images):
        view = Viewpoint(azimuth_rad=float(rng.uniform(0, 6.28)), elevation_rad=0.2, theta_rad=0.0, distance=3.0)
        pose = geometry.cam_T_obj(view)
        hull = cv2.convexHull(geometry.project(geometry.transform(pose, corners), camera).astype(np.int32))
        mask = cv2.fillConvexPoly(np.zeros(_HW, np.uint8), hull, 255)
        labels = {"category": "car", "cad_id": "box", "cam_T_obj": pose.tolist(), "image_hw": list(_HW)}
        labels |= {"focal_px": camera.focal_px, "principal_px": list(camera.principal_px)}
        png = bytes(cv2.imencode(".png", mask)[1])
        members = {"jpg": _picture(rng, _HW), "mask.png": png, "json": json.dumps(labels).encode()}
        yield f"car-{index:06d}", members


@contextmanager
def _views(config: TrainConfig) -> Iterator[tuple[Views, MeshTrainee]]:
    """Make the views of a run on made-up images, and the trainee for them."""
    corners = geometry.box_corners(np.array(CAR_EXTENT))
    with ScratchFolder() as folder:
        write_shard(folder / "car-00000.tar", _noise(_IMAGES))
        (folder / "grounds").mkdir()
        for i in range(8):
            (folder / "grounds" / f"{i}.jpg").write_bytes(_picture(np.random.default_rng([i, 2]), (512, 768)))
        samples = ShardSamples([folder / "car-00000.tar"])
        cads = {"car": {"box": corners}}
        model = build(config, model_spec(config, (samples,), cads), outlines_of(cads))
        freeze(model.net, config)
        yield (
            Views(samples, (), model.spec.canvas_hw, config, Backgrounds(folder / "grounds")),
            MeshTrainee(model, config),
        )


def _per_second(work: Callable[[], object], images: int, device: torch.device) -> float:
    start = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return images / (time.perf_counter() - start)


def _best_rates(
    works: dict[str, tuple[Callable[[], object], int]], rounds: int, batch: int, device: torch.device
) -> dict[str, float]:
    """Measure each of `works`, a function and its number of batches, in turns; returns the best images a second."""
    best = dict.fromkeys(works, 0.0)
    for _ in range(rounds + 1):  # the first warms up, and counts as well: the best is kept
        for name, (work, batches) in works.items():
            best[name] = max(best[name], _per_second(work, batches * batch, device))
    return best


def figures(config: TrainConfig, device: torch.device, rounds: int, workers: int) -> dict[str, Any]:
    """Measure images a second, the best of `rounds`, taken in turns.

    Timed are: the bare feature net forward and backward; training steps on batches that are ready; training with
    loading; loading alone, in this process and in `workers` of its own.
    """
    with _views(config) as (views, trainee):
        trainee.module.to(device)
        trainee.training()
        optimiser = trainee.optimiser()
        ready = next(iter(loader(views, config, first=0, workers=0, rank=0, processes=1))).to(device)
        images = ready.image.contiguous(memory_format=torch.channels_last)
        step = iter(range(1, 10**9))

        def bare() -> None:
            trainee.net.zero_grad(set_to_none=True)
            trainee.net(images).sum().backward()

        def train(batch: Batch) -> None:
            optimiser.zero_grad(set_to_none=True)
            output = trainee.net(batch.image.contiguous(memory_format=torch.channels_last))
            trainee.loss(output, batch, next(step), Processes())[0].backward()
            optimiser.step()

        def load(count: int, workers: int, use: Callable[[Batch], object]) -> None:
            batches = loader(views, config, first=0, workers=workers, rank=0, processes=1)
            for batch in islice(batches, count):
                use(batch.to(device))

        count = 4
        works: dict[str, tuple[Callable[[], object], int]] = {
            "backbone": (bare, 1),
            "train_ready": (lambda: train(ready), 1),
            "train": (lambda: load(count, 0, train), count),
            "loading": (lambda: load(count, 0, lambda batch: None), count),
            f"loading_{workers}_workers": (lambda: load(count, workers, lambda batch: None), count),
        }
        best = _best_rates(works, rounds, config.batch, device)
    return _conclusions(best, device_name(device), config, workers)


def _conclusions(best: dict[str, float], device: str, config: TrainConfig, workers: int) -> dict[str, Any]:
    hw = f"{config.backbone}, batch {config.batch}, long side {config.image_size} px"
    show(f"training on {device}: {hw}", ["what", "images/s"], [[name, rate] for name, rate in best.items()])
    return {
        "device": device,
        "setting": hw,
        **{f"{name}_images_per_s": rate for name, rate in best.items()},
        "train_over_backbone": best["train_ready"] / best["backbone"],
        "train_with_loading_over_backbone": best["train"] / best["backbone"],
        "loading_over_train": best["loading"] / best["train_ready"],
        "loading_workers_over_train": best[f"loading_{workers}_workers"] / best["train_ready"],
    }
