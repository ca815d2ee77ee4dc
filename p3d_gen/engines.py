"""The contract of a stage, fn(run_dir, shard), and its engines: this process, or a pool of pinned local processes."""

from __future__ import annotations

import multiprocessing as mp
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait as wait_for
from typing import Any

from p3d_gen.errors import RunError
from p3d_gen.files import Members
from p3d_gen.store import Failure, Ledger, Remarks, Run, read_ledger, seal, stage_inputs, upstream_ledger

Stage = Callable[[str, str], Ledger]
_tick: Callable[[], None] = lambda: None  # noqa: E731  replaced in every worker process
_number = 0  # replaced in every worker process


def tick() -> None:
    """Called by a stage after every sample, for the progress bar."""
    _tick()


def worker_number() -> int:
    """Which of a pool's processes this is, from 0; with several GPUs it says whose turn is which."""
    return _number


def make_shard(
    run: Run,
    stage: str,
    shard: str,
    upstream: tuple[str, ...],
    make: Callable[[Run, str, list[Failure]], Iterator[tuple[str, Members]]],
    *,
    made_from: Any = None,
    remarks: Remarks | None = None,
) -> Ledger:
    """What all stages do: return the ledger of a shard that is finished, else make its samples and seal them.

    upstream: the stages whose shards this one reads. make(run, shard, failures): yields the samples, and appends
    those that cannot be made to `failures`. made_from: see `store.stage_inputs`. remarks: which `make` may fill.
    """
    inputs = stage_inputs(run, stage, *(upstream_ledger(run, name, shard) for name in upstream), made_from=made_from)
    ledger = read_ledger(run, stage, shard)
    if ledger and ledger.inputs == inputs:
        for _ in range(ledger.count + len(ledger.failures)):
            tick()
        return ledger
    failures: list[Failure] = []
    return seal(run, stage, shard, inputs, make(run, shard, failures), failures, remarks)


def available_cores() -> list[int]:
    """The processors that this process may use."""
    return sorted(os.sched_getaffinity(0))


def _die_with_parent() -> None:
    parent = mp.parent_process()
    assert parent is not None
    wait_for([parent.sentinel])
    os._exit(1)


def _start_worker(ticks: Any, started: Any, share: int) -> None:
    """Pin this pool process to a core of its own, or to one in `share` cores, and end it when its parent is killed."""
    global _tick, _number
    _tick = lambda: ticks.put(None)  # noqa: E731
    with started.get_lock():
        _number = started.value
        started.value += 1
    cores = available_cores()
    first = _number % len(cores)
    os.sched_setaffinity(0, cores[first::share] if share else {cores[first]})
    threading.Thread(target=_die_with_parent, daemon=True).start()


def _pool(
    stage: Stage, run_dir: str, shards: Sequence[str], workers: int, on_sample: Callable[[], None], spread: bool
) -> Iterator[Ledger]:
    context = mp.get_context("spawn")  # a fork would inherit locks of Blender's and torch's threads
    ticks, started = context.SimpleQueue(), context.Value("i", 0)
    with ProcessPoolExecutor(workers, context, _start_worker, (ticks, started, workers if spread else 0)) as pool:
        pending = {pool.submit(stage, run_dir, shard) for shard in shards}
        try:
            while pending:
                done, pending = wait(pending, timeout=0.2, return_when=FIRST_COMPLETED)
                while not ticks.empty():
                    ticks.get()
                    on_sample()
                for future in done:
                    yield future.result()
        except BrokenProcessPool:
            raise RunError(
                "a worker process died (out of memory?): run the same command again with fewer --workers; "
                "finished shards are kept"
            ) from None
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def run_shards(
    stage: Stage,
    run_dir: str,
    shards: Sequence[str],
    workers: int,
    on_sample: Callable[[], None],
    spread: bool = False,
) -> Iterator[Ledger]:
    """Yield the ledger of each shard as it is finished, in any order; `on_sample` is called after every sample.

    Of several workers each has one core of its own; with `spread`, an equal share of all cores, for its threads.

    The first error of a stage stops the run and is raised here. What a shard holds does not depend on `workers`.
    """
    global _tick
    if workers > 1 and len(shards) > 1:
        yield from _pool(stage, run_dir, shards, min(workers, len(shards)), on_sample, spread)
        return
    _tick = on_sample
    for shard in shards:
        yield stage(run_dir, shard)
