"""`p3dgen bench stylize`: the stage against the bare pipeline, and the gain by its settings.

A GPU is measured with Stable Diffusion 1.5 and ControlNet 1.1 at 512 x 512, the CPU with a small architecture of the
same shape. Both have random weights.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from p3d_gen.bench import show
from p3d_gen.bench.architectures import SD15, SMALL, Architecture, save_random, settings_of
from p3d_gen.bench.scenes import SMALLEST_PX, square, temporary_run
from p3d_gen.bench.survival import embedded
from p3d_gen.core.categories import CATEGORIES
from p3d_gen.core.codecs import decode_image
from p3d_gen.core.errors import RunError
from p3d_gen.render.stage import render_shard
from p3d_gen.run.scratch import ScratchFolder
from p3d_gen.run.shards import read_shard
from p3d_gen.run.store import RunFolder
from p3d_gen.spec.stylize import Speed, Stylize
from p3d_gen.stylize.diffusion import DiffusionStylizer, PictureRequest, device_of
from p3d_gen.stylize.pipeline import load_pipeline
from p3d_gen.stylize.stage import count_gpus, stylize_shard
from p3d_gen.stylize.stylization import create_stylization

Figures = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class _Place:
    """The device of the benchmark.

    device: torch's name. size: the model that fits it. best, batch: its fastest settings and batch. stage_steps: number
    of denoising steps with which the stage is measured.
    """

    device: str
    size: Architecture
    best: Speed
    batch: int
    stage_steps: int

    @property
    def title(self) -> str:
        """Return the model and the device in words."""
        return f"{self.size.name}, {self.size.side_px} px, on the {'GPU' if self.device == 'cuda' else 'CPU'}"


def _place(smallest: bool = False) -> _Place:
    if smallest:
        return replace(_place(), size=replace(SMALL, side_px=SMALLEST_PX), best=Speed(), batch=1, stage_steps=1)
    if count_gpus():
        return _Place(
            device="cuda",
            size=SD15,
            best=Speed(dtype="float16", channels_last=True, compile=True),
            batch=16,
            stage_steps=30,
        )
    return _Place(device="cpu", size=SMALL, best=Speed(channels_last=True), batch=4, stage_steps=8)


@contextmanager
def _weights(place: _Place) -> Iterator[Path]:
    with ScratchFolder() as folder:
        save_random(place.size, folder, place.device)
        yield folder


def _bare_calls(run: RunFolder, shard: str, settings: Stylize) -> list[dict[str, Any]]:
    """Return the arguments with which a user would call the pipeline for the samples of a shard, batch by batch."""
    import torch

    samples = [members for _, members in read_shard(run.tar("stylize-bench", shard))]
    asked = [json.loads(members["stylize.json"]) for members in samples]
    edges = [Image.fromarray(np.dstack([decode_image(members["edges.png"])] * 3)) for members in samples]
    return [
        {
            "prompt": [each["prompt"] for each in asked[start : start + settings.batch]],
            "negative_prompt": [each["negative_prompt"] for each in asked[start : start + settings.batch]],
            "image": edges[start : start + settings.batch],
            "num_inference_steps": settings.steps,
            "guidance_scale": settings.guidance_scale,
            "generator": [
                torch.Generator("cpu").manual_seed(each["stylize_seed"])
                for each in asked[start : start + settings.batch]
            ],
            "output_type": "np",
        }
        for start in range(0, len(samples), settings.batch)
    ]


def stage_over_pipeline(rounds: int = 2, per_round: int = 16, smallest: bool = False) -> Figures:
    """Measure the whole stage, from render shards to sealed sidecar shards, against bare calls of the same pipeline.

    Both have the same inputs in the same batches, take turns, and use pipelines that are loaded and warm.
    """
    import torch

    place = _place(smallest)
    per_round = per_round if smallest else max(per_round, 4 * place.batch)
    camera = square(place.size.side_px)
    with (
        _weights(place) as folder,
        temporary_run(["car"], (rounds + 1) * per_round, per_round, camera=camera, render={"samples": 1}) as run,
    ):
        settings = settings_of(place.size, folder, place.best, batch=place.batch, steps=place.stage_steps, retries=0)
        create_stylization(run, "bench", (settings, folder))
        pipeline, _ = load_pipeline(settings, folder, device_of(place.device))
        torch.set_num_threads(1)  # as in the stage
        rows, stage_s, bare_s, model_s = [], 0.0, 0.0, 0.0
        for shard in run.shards("car"):
            render_shard(str(run.root), shard)
            start = time.perf_counter()
            ledger = stylize_shard(str(run.root), shard, "bench", place.device)
            stage = time.perf_counter() - start
            calls = _bare_calls(run, shard, settings)
            start = time.perf_counter()
            for arguments in calls:
                pipeline(**arguments)
            bare = time.perf_counter() - start
            if shard == run.shards("car")[0]:
                continue  # the first shard loads and warms both
            if ledger.failures:
                raise RunError(f"the random weights make no pictures: {ledger.failures[0].reason}")
            rows.append((shard, stage / per_round, bare / per_round, stage / bare))
            stage_s, bare_s, model_s = stage_s + stage, bare_s + bare, model_s + ledger.model_seconds
    show(
        f"whole stage against the bare pipeline, {place.stage_steps} steps, batches of {place.batch}, {place.title}, "
        "seconds per image",
        ("shard", "stage", "pipeline", "ratio"),
        rows,
    )
    show("the model's share of the stage", ("model busy",), [(model_s / stage_s,)])
    return {"stage_over_pipeline": stage_s / bare_s, "model_busy": model_s / stage_s, "stage_model": place.title}


def _requests(size: Architecture, count: int) -> list[PictureRequest]:
    """Return requests with edges of noise: their content does not matter for speed."""
    rng = np.random.default_rng([0, 1])
    shape = (size.side_px, size.side_px)
    return [
        PictureRequest(
            controls=(np.dstack([np.where(rng.random(shape) < 0.1, 255, 0).astype(np.uint8)] * 3),),
            init=np.zeros((*shape, 3), np.uint8),
            prompt=f"{colour} car",
            negative_prompt="lowres, worst quality",
            seed=seed,
        )
        for seed, colour in zip(range(count), ["red", "blue", "green", "white"] * count, strict=False)
    ]


def _rate(work: Callable[[], int], repeats: int = 2) -> float:
    """Return the images per second of the fastest call after a warm-up. work: returns the number of its images."""
    rates = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        made = work()
        rates.append(made / (time.perf_counter() - start))
    return max(rates[1:])


def _of_stylizer(place: _Place, settings: Stylize, folder: Path) -> float:
    model = DiffusionStylizer(settings, folder, place.device)
    requests = _requests(place.size, settings.batch)
    return _rate(lambda: len(model(requests, (place.size.side_px,) * 2)))


def _of_defaults(place: _Place, folder: Path, steps: int) -> float:
    """Return the rate of diffusers by itself: single precision, its own scheduler, one picture per call."""
    import torch
    from diffusers import ControlNetModel, StableDiffusionControlNetPipeline

    single = {"dtype": torch.float32}  # the default of transformers is the stored precision
    controlnet = ControlNetModel.from_pretrained(folder / "controlnet", **single)
    pipeline = StableDiffusionControlNetPipeline.from_pretrained(folder / "base", controlnet=controlnet, **single)
    pipeline.to(place.device).set_progress_bar_config(disable=True)
    (request,) = _requests(place.size, 1)
    edges = Image.fromarray(request.controls[0])
    return _rate(lambda: len(pipeline(request.prompt, edges, num_inference_steps=steps).images))


def speed(steps: int = 30, few: int = 4, smallest: bool = False) -> Figures:
    """Measure the images per second of the released recipe, of diffusers by itself, and of the stage's best settings.

    The best settings are measured with the recipe's number of steps, and with few.
    """
    place = _place(smallest)
    with _weights(place) as folder:
        released = settings_of(place.size, folder, Speed(dtype="float32"), batch=1, steps=steps)
        best = settings_of(place.size, folder, place.best, batch=place.batch, steps=steps)
        # few steps need no second pass without the prompt: their adaptation has learned it
        short = best.model_copy(update={"steps": few, "scheduler": "lcm", "guidance_scale": 1.0})
        rates = {
            f"released: float32, batch 1, {steps} steps of DDIM": _of_stylizer(place, released, folder),
            f"diffusers by itself: batch 1, {steps} steps": _of_defaults(place, folder, steps),
            f"best: {_best_settings(place)}, {steps} steps of DDIM": _of_stylizer(place, best, folder),
            f"best: {_best_settings(place)}, {few} steps of LCM": _of_stylizer(place, short, folder),
        }
    first, default, equal, fewer = rates.values()
    show(
        f"{place.title}",
        ("settings", "images/s", "over released"),
        [(name, rate, rate / first) for name, rate in rates.items()],
    )
    return {
        "images_per_s_released": first,
        "images_per_s_diffusers": default,
        "images_per_s_best": equal,
        f"images_per_s_best_{few}_steps": fewer,
        "speedup_over_released": equal / first,
        f"speedup_over_released_{few}_steps": fewer / first,
        "speed_model": place.title,
    }


def _best_settings(place: _Place) -> str:
    flags = [name for name, value in place.best.model_dump().items() if value is True]
    dtype = "float32" if place.best.dtype == "auto" else place.best.dtype
    return ", ".join([dtype, f"batch {place.batch}", *flags])


def survival(samples_each: int = 8, categories: Sequence[str] = CATEGORIES) -> Figures:
    """Measure how well label survival separates true labels from corrupted ones."""
    return {"survival": embedded(samples_each, categories)}


PARTS: dict[str, Callable[..., Figures]] = {
    "stage": stage_over_pipeline,
    "speed": speed,
    "survival": survival,
}
# The arguments with which each part measures as little as possible.
SMALLEST: dict[str, dict[str, Any]] = {
    "stage": {"rounds": 1, "per_round": 1, "smallest": True},
    "speed": {"steps": 2, "few": 1, "smallest": True},
    "survival": {"samples_each": 1, "categories": ("car", "chair")},
}
