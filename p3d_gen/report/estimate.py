"""An estimate of the time and disk of a whole job, from a few samples made through all stages in a temporary folder.

The start-up of each stage (of Blender, of a diffusion pipeline) is separated from the time per sample: the first shard
is made twice, and the process is warm the second time. A worker starts up once and then makes its shards one after the
other; the stages follow each other. All workers are assumed to be as fast as the one that was measured, which had one
core or GPU for itself.
"""

from __future__ import annotations

import functools
import glob
import heapq
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from p3d_gen.blender.client import BlenderWorker
from p3d_gen.blender.protocol import CountGpusRequest
from p3d_gen.core.errors import RunError
from p3d_gen.pack.stage import pack_shard
from p3d_gen.render.prepare import prepare_models
from p3d_gen.render.stage import Supervision, end_blender, render_shard
from p3d_gen.run.ledgers import Failure, Ledger
from p3d_gen.run.local import one_core, run_shards
from p3d_gen.run.scratch import ScratchFolder
from p3d_gen.run.stage import Stage
from p3d_gen.run.store import RunFolder, begin_run, open_run
from p3d_gen.spec.inventory import Asset, Inventory
from p3d_gen.spec.manifest import Manifest
from p3d_gen.spec.stylize import Stylize
from p3d_gen.spec.taken import take_inventory
from p3d_gen.stylize.stage import count_gpus, stylize_shard
from p3d_gen.stylize.stylization import create_stylization

_LEAST_SHARD = 4  # a batch of the stylizer, of which a shard should hold a whole one


@dataclass(frozen=True, kw_only=True)
class Step:
    """The time and disk of one step of the job.

    name: models, render, stylize or pack. pieces: number of models or samples in each piece of work of a worker: a
    model or a shard. startup_s: seconds that a worker needs to start. item_s, item_bytes: seconds and bytes of a
    model or a sample. model_share: share of the seconds in which a diffusion pipeline computed.
    """

    name: str
    pieces: tuple[int, ...]
    startup_s: float
    item_s: float
    item_bytes: float
    model_share: float = 0.0

    @property
    def items(self) -> int:
        """Number of models or samples."""
        return sum(self.pieces)

    @property
    def bytes(self) -> float:
        """Size of all of them on disk."""
        return self.items * self.item_bytes

    def seconds(self, workers: int) -> float:
        """Return the seconds until the last worker is done."""
        return self.startup_s + self.item_s * busiest(self.pieces, workers)


@dataclass(frozen=True, kw_only=True)
class JobEstimate:
    """The time and disk of a job.

    calibrated: number of samples made for the estimate. failures: samples that could not be made. notes: remarks on the
    models.
    """

    steps: tuple[Step, ...]
    workers: int
    calibrated: int
    failures: tuple[Failure, ...]
    notes: tuple[str, ...]

    def hours(self, workers: int) -> float:
        """Return the hours of all steps, one after the other."""
        return sum(step.seconds(workers) for step in self.steps) / 3600

    def bottleneck(self, workers: int) -> Step:
        """Return the step that takes longest."""
        return max(self.steps, key=lambda step: step.seconds(workers))

    @property
    def bytes(self) -> float:
        """Size of the finished run on disk."""
        return sum(step.bytes for step in self.steps)

    def as_json(self) -> dict[str, Any]:
        """Return all figures as JSON, for programs."""
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
    """Return the number of items of the busiest worker, if each takes the next piece as soon as it is free."""
    loads = [0] * min(workers, len(pieces))
    for piece in pieces:
        heapq.heapreplace(loads, loads[0] + piece)
    return max(loads)


def _spread(assets: tuple[Asset, ...], count: int) -> list[Asset]:
    """Return at most `count` of the assets, evenly spread."""
    count = min(count, len(assets))
    return [assets[i * len(assets) // count] for i in range(count)]


def _small(manifest: Manifest, inventory: Inventory, samples: int) -> Manifest:
    """Return the manifest of the calibration: the same number of samples and at most as many models per category."""
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
    """Return the ledger of the first shard, made by a fresh process, and the ledgers of all shards made after that."""
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
    """Time a stage on the calibration's samples. alone: True if a worker has one core. Raise RunError if all fail."""
    with one_core() if alone else nullcontext():
        cold, ledgers = _made(run, stage, folder, on_sample)
    failures = [failure for ledger in ledgers for failure in ledger.failures]
    made = sum(ledger.count for ledger in ledgers)
    if not made:
        reason = failures[0].reason if failures else "no sample was handed on"
        raise RunError(f"{name}: all samples of the calibration failed, so nothing can be estimated: {reason}")
    seconds = sum(ledger.seconds for ledger in ledgers)
    size = sum(run.tar(folder, ledger.shard).stat().st_size for ledger in ledgers if ledger.count)
    step = Step(
        name=name,
        pieces=pieces,
        startup_s=max(cold.seconds - ledgers[0].seconds, 0.0),
        item_s=seconds / (run.manifest.samples_per_category * len(run.manifest.categories)),
        item_bytes=size / made,
        model_share=sum(ledger.model_seconds for ledger in ledgers) / seconds if seconds else 0.0,
    )
    return step, failures


def _stages(settings: Stylize, supervision: Supervision, device: str) -> list[tuple[str, str, Stage, bool]]:
    """Return each stage: its name, its folder, the function that makes a shard, True if a worker has one core."""
    on_gpu = settings.stylizer != "none" and device != "cpu" and count_gpus() > 0
    return [
        ("render", "render", functools.partial(render_shard, supervision=supervision), True),
        ("stylize", "stylize", functools.partial(stylize_shard, device=device), not on_gpu),
        ("pack", "shards", pack_shard, True),
    ]


def _pieces(manifest: Manifest) -> tuple[int, ...]:
    """Return the number of samples of each of the job's shards."""
    total, size = manifest.samples_per_category, manifest.shard_size
    return tuple(min(size, total - first) for _ in manifest.categories for first in range(0, total, size))


def estimate_job(
    manifest: Manifest,
    base_dir: Path,
    *,
    samples: int,
    workers: int,
    supervision: Supervision,
    device: str = "auto",
    on_sample: Callable[[int], None] = lambda total: None,
) -> JobEstimate:
    """Make about `samples` samples of a manifest, the same number per category, and estimate the whole job from them.

    base_dir: folder in which the manifest's relative paths start. workers: number of workers of the job; the
    calibration has one. device: device of stylizing. on_sample: called after each sample in each stage, with the total
    number of calls. Sizes are those of the tars and CAD files. Failed samples count as if they were made.
    Raise RunError if all samples of a stage fail.
    """
    whole = take_inventory(manifest, base_dir)
    failures: list[Failure] = []
    notes: list[str] = []
    with ScratchFolder() as folder, ExitStack() as stack:
        stack.callback(end_blender)
        run = begin_run(folder / "run", _small(manifest, whole, samples), base_dir)
        create_stylization(run)  # fails before anything is made if its weights are missing
        steps = [_models(run, whole, notes)]
        run = open_run(run.root)
        made = run.manifest.samples_per_category * len(run.manifest.categories)
        stages = _stages(manifest.stylize, supervision, device)
        tick = functools.partial(on_sample, made * len(stages))
        for name, folder_of, stage, alone in stages:
            step, failed = _step(run, name, folder_of, stage, _pieces(manifest), alone, tick)
            steps.append(step)
            failures += failed
    return JobEstimate(
        steps=tuple(steps), workers=workers, calibrated=made, failures=tuple(failures), notes=tuple(notes)
    )
