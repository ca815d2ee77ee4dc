"""`p3dgen bench render`: the render stage against the ray tracer alone, and cost and quality of its settings."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from p3d_gen.bench import show
from p3d_gen.bench.quality import settings
from p3d_gen.bench.scenes import SIDE_PX, SMALLEST_PX, Scenes, render_all, square, temporary_run
from p3d_gen.blender.client import BlenderWorker
from p3d_gen.blender.passes import read_passes
from p3d_gen.core.categories import CATEGORIES
from p3d_gen.render.prepare import ensure_models, prepare_models
from p3d_gen.render.stage import render_shard
from p3d_gen.run.local import available_cores, one_core
from p3d_gen.run.store import RunFolder

Figures = dict[str, Any]


def _seconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def stage_over_bare(rounds: int = 4, per_round: int = 6, side_px: int = SIDE_PX) -> Figures:
    """Measure the whole stage, from the manifest to sealed shards, against the bare render calls of the same scenes.

    They take turns on one core, at the default quality. Bare calls render no label passes and write no file.
    """
    with (
        one_core(),
        temporary_run(["car"], rounds * per_round, per_round, camera=square(side_px)) as run,
        BlenderWorker() as worker,
    ):
        scenes = Scenes(run, worker)
        shards = run.shards("car")
        render_shard(str(run.root), shards[0])  # starts the stage's Blender
        run.tar("render", shards[0]).unlink()
        rows, stage, bare = [], 0.0, 0.0
        for shard in shards:
            stage_s = _seconds(lambda: render_shard(str(run.root), shard))  # noqa: B023  called at once
            requests = [replace(scenes.request("car", index), labels=()) for index in run.members_of(shard)[1]]
            bare_s = sum(scenes.render(request, {}).seconds for request in requests)
            rows.append((shard, stage_s / per_round, bare_s / per_round, stage_s / bare_s))
            stage, bare = stage + stage_s, bare + bare_s
    show(
        f"whole stage against bpy.ops.render.render, {side_px} px, seconds per image",
        ("shard", "stage", "bare", "ratio"),
        rows,
    )
    return {"stage_over_bare": stage / bare, "stage_s_per_image": stage / (rounds * per_round)}


def workers(images: int = 32, shard_size: int = 4, calls: int = 8, side_px: int = SIDE_PX) -> Figures:
    """Measure two pinned processes against one, and against one process with two threads, without their start."""

    camera = square(side_px)

    def rate(count: int) -> float:
        """Return the images per second from the first image of each process to the last."""
        ticks: list[float] = []
        with temporary_run(["car"], images, shard_size, camera=camera) as run:
            ensure_models(run.root)
            on_sample = lambda: ticks.append(time.perf_counter())  # noqa: E731
            render_all(run, count, on_sample)
        return (len(ticks) - count) / (ticks[-1] - ticks[count - 1])

    with one_core():
        one = rate(1)
    two = rate(2)
    with temporary_run(["car"], calls, calls, camera=camera) as run, BlenderWorker() as worker:
        scenes = Scenes(run, worker)
        threads = {
            count: sum(scenes.render(scenes.request("car", i), {"render.threads": count}).seconds for i in range(calls))
            for count in (1, 2)
        }
    show(
        "processes and threads",
        ("workers", "images per second"),
        [
            ("one worker on one core", one),
            ("two pinned workers", two),
            ("one process, one thread, render call alone", calls / threads[1]),
            ("one process, two threads, render call alone", calls / threads[2]),
        ],
    )
    return {"workers2_over_1": two / one, "threads2_over_1": threads[1] / threads[2]}


# The changed settings for each light, by their path below Blender's scene.
_CASES: dict[str, dict[str, dict[str, Any]]] = {
    "area": {
        "the stage's settings": {},
        "no denoiser": {"cycles.use_denoising": False},
        "denoiser's prefilter FAST": {"cycles.denoising_prefilter": "FAST"},
        "denoiser's quality HIGH, prefilter ACCURATE": {
            "cycles.denoising_prefilter": "ACCURATE",
            "cycles.denoising_quality": "HIGH",
        },
        "whole frame, no border": {"render.use_border": False},
    },
    "hdri": {
        "the stage's settings": {},
        "importance map 512": {"world.cycles.sample_map_resolution": 512},
        "importance map AUTOMATIC": {"world.cycles.sampling_method": "AUTOMATIC"},
    },
    "sun": {"the stage's settings": {}, "importance map AUTOMATIC": {"world.cycles.sampling_method": "AUTOMATIC"}},
}


def hidden_seconds(repeats: int = 3, side_px: int = SIDE_PX) -> Figures:
    """Measure the cost of single settings: each render call against the stage's own, in turns. Seconds per image."""
    rows: list[tuple[str, str, float, float]] = []
    for light, cases in _CASES.items():
        sections = {"camera": square(side_px), "light": {"kind": light}}
        with temporary_run(["car"], 1, 1, **sections) as run, BlenderWorker() as worker:
            scenes = Scenes(run, worker)
            request = scenes.request("car", 0)
            scenes.render(request, {})
            seconds = np.array(
                [[scenes.render(request, changes).seconds for changes in cases.values()] for _ in range(repeats)]
            ).min(axis=0)
        rows += [(light, name, float(s), float(s - seconds[0])) for name, s in zip(cases, seconds, strict=True)]
    show("cost of settings", ("light", "settings", "seconds", "more than the stage's"), rows)
    return {f"extra_s {light}, {name}": more for light, name, _, more in rows if more}


def memory(renders: int = 500, side_px: int = 96) -> Figures:
    """Measure the growth of one Blender process over many small renders: the slope of a straight line, in MB each."""
    categories = ("car", "chair", "aeroplane")
    each = -(-renders // len(categories))
    sections = {"camera": square(side_px), "light": {"kind": "hdri"}, "render": {"samples": 1}}
    with (
        temporary_run(categories, each, each, **sections) as run,
        BlenderWorker(recycle_after=10 * renders) as worker,
    ):
        scenes = Scenes(run, worker)
        resident = []
        for index in range(each):
            for category in categories:
                worker.ask(scenes.request(category, index))
                resident.append(worker.memory_bytes / 2**20)
    settled = np.array(resident[len(resident) // 5 :])  # before this, the caches of textures and maps fill
    slope = float(np.polyfit(np.arange(len(settled)), settled, 1)[0])
    show(
        f"resident memory of one worker over {len(resident)} renders, MB",
        ("after the first", "after a fifth", "at the end", "slope per render"),
        [(resident[0], settled[0], settled[-1], slope)],
    )
    return {"rss_slope_mb_per_render": slope, "rss_mb": resident[-1]}


def cold_start(images: int = 20, categories: Sequence[str] = CATEGORIES, side_px: int = SIDE_PX) -> Figures:
    """Measure categories from nothing: preparation of the models and rendering, on all cores."""
    cores = len(available_cores())
    with temporary_run(categories, images, images, camera=square(side_px)) as run:
        models_s = _seconds(lambda: prepare_models(run, cores))
        render_s = _seconds(lambda: render_all(run, cores))
        with one_core(), BlenderWorker() as worker:
            phases = _phases(run, worker)
    total, made = models_s + render_s, images * len(categories)
    show(
        f"{len(categories)} categories x {images} images from a cold start on {cores} cores, seconds",
        ("models", "render", "total", "images per core-hour"),
        [(models_s, render_s, total, made / cores / total * 3600)],
    )
    whole = sum(phases.values())
    show(
        "time of the steps of an image, one core",
        ("phase", "seconds", "share"),
        [(n, s, s / whole) for n, s in phases.items()],
    )
    return {
        "cold_start_s": total,
        "cold_start_models_s": models_s,
        "images_per_core_hour": made / cores / total * 3600,
        **{f"phase_s {name}": seconds for name, seconds in phases.items()},
    }


def _phases(run: RunFolder, worker: BlenderWorker) -> dict[str, float]:
    """Return the mean seconds of each step of an image, over one image of every category."""
    scenes = Scenes(run, worker)
    categories = run.manifest.categories
    worker.ask(scenes.request(categories[0], 0))
    totals: dict[str, float] = {}

    def add(name: str, since: float, less: float = 0.0) -> None:
        totals[name] = totals.get(name, 0.0) + (time.perf_counter() - since - less) / len(categories)

    for category in categories:
        start = time.perf_counter()
        request = scenes.request(category, 1)
        add("specs and requests", start)
        start = time.perf_counter()
        answer = scenes.render(request, {}, write=True)
        add("scene and picture file", start, less=answer.seconds)
        totals["render call"] = totals.get("render call", 0.0) + answer.seconds / len(categories)
        start = time.perf_counter()
        passes = read_passes(request.target, answer.render.see_through)
        add("reading the passes", start)
        start = time.perf_counter()
        scenes.members(category, 1, answer.render, passes)
        add("checks, labels, encoding", start)
    return totals


PARTS: dict[str, Callable[..., Figures]] = {
    "stage": stage_over_bare,
    "workers": workers,
    "settings": settings,
    "hidden": hidden_seconds,
    "memory": memory,
    "cold": cold_start,
}
# The arguments with which each part measures as little as possible.
SMALLEST: dict[str, dict[str, Any]] = {
    "stage": {"rounds": 1, "per_round": 1, "side_px": SMALLEST_PX},
    "workers": {"images": 4, "shard_size": 1, "calls": 1, "side_px": SMALLEST_PX},
    "settings": {"side_px": SMALLEST_PX},
    "hidden": {"repeats": 1, "side_px": SMALLEST_PX},
    "memory": {"renders": 9, "side_px": SMALLEST_PX},
    "cold": {"images": 2, "categories": ("car",), "side_px": SMALLEST_PX},
}
