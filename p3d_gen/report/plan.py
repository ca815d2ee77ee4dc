"""What a whole job will take, from a few of its samples made through all stages in a folder that is removed again.

Of each stage the start-up (of Blender, of a diffusion pipeline) is told apart from what a sample takes: the first shard
is made twice, and the process is warm the second time. A worker starts up once and then makes its shards one after the
other; the stages follow each other. Workers are taken to be as fast as the one that was measured, which had one core or
GPU for itself.
"""

from __future__ import annotations

import functools
import glob
import heapq
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from p3d_gen.blender.client import BlenderWorker
from p3d_gen.blender.protocol import CountGpusRequest
from p3d_gen.core.errors import RunError
from p3d_gen.pack.stage import pack_shard
from p3d_gen.render.prepare import prepare_models
from p3d_gen.render.stage import Supervision, render_shard
from p3d_gen.run.local import one_core, run_shards
from p3d_gen.run.stage import Stage
from p3d_gen.run.store import Failure, Ledger, RunFolder, begin_run, open_run
from p3d_gen.spec.inventory import Asset, Inventory, take_inventory
from p3d_gen.spec.manifest import Manifest
from p3d_gen.spec.stylize import Stylize
from p3d_gen.stylize.stage import count_gpus, stylize_shard
from p3d_gen.stylize.stylization import create_stylization

_LEAST_SHARD = 4  # a batch of the stylizer, of which a shard should hold a whole one


@dataclass(frozen=True, kw_only=True)
class Step:
    """What one step of the job takes.

    name: models, render, stylize or pack. pieces: how many models or samples are in each piece of work that one worker
    does: a model, or a shard. startup_s: of a worker. item_s, item_bytes: of a model or a sample. model_share: of that
    time, in which a diffusion pipeline was at work.
    """

    name: str
    pieces: tuple[int, ...]
    startup_s: float
    item_s: float
    item_bytes: float
    model_share: float = 0.0

    @property
    def items(self) -> int:
        """How many models or samples there are."""
        return sum(self.pieces)

    @property
    def bytes(self) -> float:
        """What all of them take on disk."""
        return self.items * self.item_bytes

    def seconds(self, workers: int) -> float:
        """The time until the last worker is done."""
        return self.startup_s + self.item_s * busiest(self.pieces, workers)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a job takes. calibrated: how many samples were made to know; failures: those that could not be made; notes:
    what a user should know of the models."""

    steps: tuple[Step, ...]
    workers: int
    calibrated: int
    failures: tuple[Failure, ...]
    notes: tuple[str, ...]

    def hours(self, workers: int) -> float:
        """Of all steps, one after the other."""
        return sum(step.seconds(workers) for step in self.steps) / 3600

    def bottleneck(self, workers: int) -> Step:
        """The step that takes longest."""
        return max(self.steps, key=lambda step: step.seconds(workers))

    @property
    def bytes(self) -> float:
        """What the finished run takes on disk."""
        return sum(step.bytes for step in self.steps)

    def as_json(self) -> dict[str, Any]:
        """Everything, for programs."""
        n = self.workers
        steps = [
            {
                "name": step.name,
                "items": step.items,
                "startup_s": step.startup_s,
                "item_s": step.item_s,
                "item_bytes": step.item_bytes,
                "model_share": step.model_share,
                "hours_1": step.seconds(1) / 3600,
                "hours_n": step.seconds(n) / 3600,
                "bytes": step.bytes,
            }
            for step in self.steps
        ]
        return {
            "calibrated": self.calibrated,
            "workers": n,
            "steps": steps,
            "hours_1": self.hours(1),
            "hours_n": self.hours(n),
            "bytes": self.bytes,
            "bottleneck_1": self.bottleneck(1).name,
            "bottleneck_n": self.bottleneck(n).name,
            "failures": [{"key": failure.key, "reason": failure.reason} for failure in self.failures],
            "notes": list(self.notes),
        }


def busiest(pieces: Sequence[int], workers: int) -> int:
    """How many items the busiest of some workers makes, each taking the next piece as soon as it is free."""
    loads = [0] * min(workers, len(pieces))
    for piece in pieces:
        heapq.heapreplace(loads, loads[0] + piece)
    return max(loads)


def _spread(assets: tuple[Asset, ...], count: int) -> list[Asset]:
    """At most `count` of them, evenly spread."""
    count = min(count, len(assets))
    return [assets[i * len(assets) // count] for i in range(count)]


def _small(manifest: Manifest, inventory: Inventory, samples: int) -> Manifest:
    """The manifest of the calibration: equally many samples of each category, of as many models at most."""
    each = min(-(-samples // len(manifest.categories)), manifest.samples_per_category)
    ids = (cad.id for cads in inventory.cads.values() for cad in _spread(cads, each))
    include = tuple(dict.fromkeys(map(glob.escape, ids)))
    return manifest.model_copy(
        update={
            "samples_per_category": each,
            "shard_size": min(each, manifest.shard_size, max(_LEAST_SHARD, manifest.stylize.batch)),
            "cad": manifest.cad.model_copy(update={"include": include}),
        }
    )


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _models(run: RunFolder, whole: Inventory, notes: list[str]) -> Step:
    """Prepare the calibration's models with one process, and time it."""
    start = time.perf_counter()
    with BlenderWorker() as worker:
        worker.ask(CountGpusRequest())
    startup_s = time.perf_counter() - start
    start = time.perf_counter()
    notes += prepare_models(run)
    prepared = sum(len(cads) for cads in run.inventory.cads.values())
    return Step(
        name="models",
        pieces=(1,) * sum(len(cads) for cads in whole.cads.values()),
        startup_s=startup_s,
        item_s=max(time.perf_counter() - start - startup_s, 0.0) / prepared,
        item_bytes=_size(run.root / "cad") / prepared,
    )


def _made(run: RunFolder, stage: Stage, folder: str, on_sample: Callable[[], None]) -> tuple[Ledger, list[Ledger]]:
    """The ledgers of the first shard, made by a process that has just started, and of all shards made after that."""
    shards = run.all_shards()
    (cold,) = run_shards(stage, str(run.root), shards[:1], 1, lambda: None)
    run.tar(folder, shards[0]).with_suffix(".json").unlink()
    return cold, list(run_shards(stage, str(run.root), shards, 1, on_sample))


def _step(
    run: RunFolder,
    name: str,
    folder: str,
    stage: Stage,
    pieces: tuple[int, ...],
    alone: bool,
    on_sample: Callable[[], None],
) -> tuple[Step, list[Failure]]:
    """Time a stage on the calibration's samples. alone: whether a worker has one core. RunError where all fail."""
    with one_core() if alone else nullcontext():
        cold, ledgers = _made(run, stage, folder, on_sample)
    failures = [failure for ledger in ledgers for failure in ledger.failures]
    made = sum(ledger.count for ledger in ledgers)
    if not made:
        told = failures[0].reason if failures else "no sample was handed on"
        raise RunError(f"{name}: all samples of the calibration failed ({told}), so there is nothing to plan by")
    seconds = sum(ledger.seconds for ledger in ledgers)
    size = sum(run.tar(folder, ledger.shard).stat().st_size for ledger in ledgers)
    step = Step(
        name=name,
        pieces=pieces,
        startup_s=max(cold.seconds - ledgers[0].seconds, 0.0),
        item_s=seconds / (run.manifest.samples_per_category * len(run.manifest.categories)),
        item_bytes=size / made,
        model_share=sum(ledger.model_seconds for ledger in ledgers) / seconds if seconds else 0.0,
    )
    return step, failures


def _stages(settings: Stylize, how: Supervision) -> list[tuple[str, str, Stage, bool]]:
    """The name of each stage, its folder, what makes a shard of it, and whether a worker of it has one core."""
    device = "cpu" if how.device == "CPU" else "auto"
    on_gpu = settings.stylizer != "none" and device != "cpu" and count_gpus() > 0
    return [
        ("render", "render", functools.partial(render_shard, how=how), True),
        ("stylize", "stylize", functools.partial(stylize_shard, device=device), not on_gpu),
        ("pack", "shards", pack_shard, True),
    ]


def _pieces(manifest: Manifest) -> tuple[int, ...]:
    """How many samples each of the job's shards has."""
    total, size = manifest.samples_per_category, manifest.shard_size
    return tuple(min(size, total - first) for _ in manifest.categories for first in range(0, total, size))


def plan(
    manifest: Manifest,
    base_dir: Path,
    *,
    samples: int,
    workers: int,
    how: Supervision,
    on_sample: Callable[[int], None] = lambda total: None,
) -> Plan:
    """Make about that many of a manifest's samples, as many of each category, and reckon what all of them take.

    base_dir: where the manifest's relative paths start. workers: that the plan is made for; the calibration has one.
    on_sample is called after each sample in each stage, and told how often it will be. Sizes are those of the tars and
    CAD files. Failed samples are counted as if they were made. RunError where all samples of a stage fail.
    """
    whole = take_inventory(manifest, base_dir)
    failures: list[Failure] = []
    notes: list[str] = []
    with tempfile.TemporaryDirectory(prefix="p3dgen-plan-") as folder:
        run = begin_run(Path(folder) / "run", _small(manifest, whole, samples), base_dir)
        create_stylization(run)  # before anything is made: are its weights there?
        steps = [_models(run, whole, notes)]
        run = open_run(run.root)
        made = run.manifest.samples_per_category * len(run.manifest.categories)
        stages = _stages(manifest.stylize, how)
        tick = functools.partial(on_sample, made * len(stages))
        for name, folder_of, stage, alone in stages:
            step, failed = _step(run, name, folder_of, stage, _pieces(manifest), alone, tick)
            steps.append(step)
            failures += failed
    return Plan(steps=tuple(steps), workers=workers, calibrated=made, failures=tuple(failures), notes=tuple(notes))
