"""Run a stage's `fn(run_dir, shard)` over shards: in this process, or in a pool of pinned local processes."""

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
from p3d_gen.store import Ledger

Stage = Callable[[str, str], Ledger]
_tick: Callable[[], None] = lambda: None  # noqa: E731  replaced in every worker process


def tick() -> None:
    """Called by a stage after every sample, for the progress bar."""
    _tick()


def available_cores() -> list[int]:
    """The processors that this process may use."""
    return sorted(os.sched_getaffinity(0))


def _die_with_parent() -> None:
    parent = mp.parent_process()
    assert parent is not None
    wait_for([parent.sentinel])
    os._exit(1)


def _start_worker(ticks: Any, started: Any) -> None:
    """Pin this pool process to a core of its own, and end it when its parent is killed."""
    global _tick
    _tick = lambda: ticks.put(None)  # noqa: E731
    with started.get_lock():
        cores = available_cores()
        os.sched_setaffinity(0, {cores[started.value % len(cores)]})
        started.value += 1
    threading.Thread(target=_die_with_parent, daemon=True).start()


def _pool(
    stage: Stage, run_dir: str, shards: Sequence[str], workers: int, on_sample: Callable[[], None]
) -> Iterator[Ledger]:
    context = mp.get_context("spawn")  # a fork would inherit locks of Blender's and torch's threads
    ticks, started = context.SimpleQueue(), context.Value("i", 0)
    with ProcessPoolExecutor(workers, context, _start_worker, (ticks, started)) as pool:
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
            pool.shutdown(wait=False, cancel_futures=True)


def run_shards(
    stage: Stage, run_dir: str, shards: Sequence[str], workers: int, on_sample: Callable[[], None]
) -> Iterator[Ledger]:
    """Yield the ledger of each shard as it is finished, in any order; `on_sample` is called after every sample.

    The first error of a stage stops the run and is raised here. What a shard holds does not depend on `workers`.
    """
    global _tick
    if workers > 1 and len(shards) > 1:
        yield from _pool(stage, run_dir, shards, min(workers, len(shards)), on_sample)
        return
    _tick = on_sample
    for shard in shards:
        yield stage(run_dir, shard)
