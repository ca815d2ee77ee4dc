"""The three stages of a run as `run.pipeline` takes them: their shards, processes and devices."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Literal

from p3d_gen.core.errors import ConfigError
from p3d_gen.pack.stage import ResidualFilter, pack_shard
from p3d_gen.pack.stage import made_from as packed_from
from p3d_gen.render.prepare import models_to_prepare
from p3d_gen.render.stage import Supervision, render_shard
from p3d_gen.render.stage import count_gpus as count_render_gpus
from p3d_gen.run.local import available_cores
from p3d_gen.run.pipeline import Effort, RayCluster, StageSetup
from p3d_gen.run.store import RunFolder
from p3d_gen.stylize.stage import count_gpus as count_stylize_gpus
from p3d_gen.stylize.stage import stylize_shard
from p3d_gen.stylize.stylization import Stylization
from p3d_gen.stylize.weights import are_light

Engine = Literal["local", "ray"] | RayCluster


def effort_of(
    workers: int | None,
    shards: str,
    engine: Engine,
    allow_failures: int,
    retry_failed: bool,
    strict_versions: bool,
    check: bool = False,
) -> Effort:
    """Return the effort that a call asks for. ConfigError if it names an engine that is not known."""
    if engine not in ("local", "ray") and not isinstance(engine, RayCluster):
        raise ConfigError(f"engine = {engine!r}: use 'local', 'ray' or a RayCluster")
    cluster = RayCluster() if engine == "ray" else engine if isinstance(engine, RayCluster) else None
    return Effort(
        workers=workers,
        shards=shards,
        cluster=cluster,
        allow_failures=allow_failures,
        retry_failed=retry_failed,
        check=check,
        strict_versions=strict_versions,
    )


def supervision_of(
    device: str, sample_timeout_s: float, recycle_after: int, memory_mb: int, prepare_timeout_s: float
) -> Supervision:
    """Return the settings of the Blender processes that a call asks for. device: in small letters."""
    return Supervision(
        timeout_s=sample_timeout_s,
        recycle_after=recycle_after,
        memory_mb=memory_mb,
        device=device.upper(),
        prepare_timeout_s=prepare_timeout_s,
    )


def core_count() -> int:
    """Return the number of processors that this process may use."""
    return len(available_cores())


def _ray_gpus(effort: Effort, default: float) -> float:
    """Return the GPUs that Ray reserves for one shard: those that the cluster states, else the stage's default."""
    return default if effort.cluster is None or effort.cluster.gpus is None else effort.cluster.gpus


def render_setup(supervision: Supervision, effort: Effort) -> StageSetup:
    """Return the stage that renders: a process for each GPU, or for each processor if there is no GPU."""
    return StageSetup(
        name="render",
        folder="render",
        make=functools.partial(render_shard, supervision=supervision),
        workers=lambda: count_render_gpus(supervision) or core_count(),
        gpus=_ray_gpus(effort, 0.0),
    )


def stylize_setup(run: RunFolder, stylization: Stylization, device: str, effort: Effort) -> StageSetup:
    """Return the stage that stylizes: a process for each GPU; without one a single process, or one for each processor
    if the pipeline is light. device: "auto", "cpu" or "cuda"."""
    setup = StageSetup(
        name=stylization.stage,
        folder=stylization.stage,
        upstream=("render",),
        made_from=stylization.made_from(run),
        make=functools.partial(stylize_shard, name=stylization.name, device=device),
        workers=core_count,
    )
    if stylization.settings.stylizer == "none":
        return setup

    def workers() -> int:
        gpus = 0 if device == "cpu" else count_stylize_gpus()
        if device == "cuda" and not gpus:
            raise ConfigError("device = 'cuda': torch finds no GPU on this machine; use 'auto' or 'cpu'")
        light = are_light(stylization.settings, stylization.base_dir)  # else each process takes gigabytes
        return gpus or (core_count() if light else 1)

    return replace(setup, workers=workers, spread=True, gpus=_ray_gpus(effort, float(device != "cpu")))


def pack_setup(run: RunFolder, stylization: Stylization, residual_filter: ResidualFilter | None) -> StageSetup:
    """Return the stage that packs: a process for each processor."""
    return StageSetup(
        name="pack",
        folder=stylization.packed,
        upstream=("render", stylization.stage),
        made_from=packed_from(run, residual_filter),
        make=functools.partial(pack_shard, name=stylization.name, residual_filter=residual_filter),
        workers=core_count,
        per_render=run.manifest.background.per_render,
    )


def models_left(run: RunFolder) -> bool:
    """Return True if a CAD model of the run is still to be prepared."""
    return not run.prepared or bool(models_to_prepare(run))
