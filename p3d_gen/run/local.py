"""The local engine: shards are made in this process, or in a pool of pinned local processes."""

from __future__ import annotations

import functools
import multiprocessing as mp
import os
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.connection import wait as wait_for
from types import ModuleType
from typing import Any

from p3d_gen.core.errors import BusyError, RunError
from p3d_gen.run.ledgers import Ledger
from p3d_gen.run.remote import in_this_process_only
from p3d_gen.run.stage import Stage, enter
from p3d_gen.run.turns import Turns

_GLANCE_S = 0.2


def available_cores() -> list[int]:
    """Return the processors that this process may use; all of them if the system cannot tell."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def _pin(cores: Collection[int]) -> None:
    """Keep this process, and those it starts, on these processors. macOS has no such setting: nothing is pinned."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)


def _end_with(life: Connection) -> None:
    """End this process when the other end of a pipe is closed, by its owner's will or death."""
    wait_for([life])
    os._exit(1)


def _start_worker(ticks: Any, started: Any, life: Connection, share: int) -> None:
    """Pin this pool process to a core of its own, or to one in `share` cores, and end it when `life` is closed."""
    with started.get_lock():
        number = started.value
        started.value += 1
    enter(functools.partial(ticks.put, None), number)
    cores = available_cores()
    first = number % len(cores)
    _pin(cores[first::share] if share else [cores[first]])
    threading.Thread(target=_end_with, args=(life,), daemon=True).start()


@contextmanager
def _without_main_module() -> Iterator[None]:
    """Keep the processes that the block starts from importing the main module: a script without the guard
    `if __name__ == "__main__"` would start its work again in each of them. A stage lives in a module of its own."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _pool(
    stage: Stage, run_dir: str, shards: Sequence[str], workers: int, on_sample: Callable[[], None], spread: bool
) -> Iterator[Ledger]:
    context = mp.get_context("spawn")  # a fork would inherit locks of Blender's and torch's threads
    ticks, started = context.SimpleQueue(), context.Value("i", 0)
    theirs, life = context.Pipe(duplex=False)
    settings = (ticks, started, theirs, workers if spread else 0)
    with theirs, life, ProcessPoolExecutor(workers, context, _start_worker, settings) as pool:
        turns, pending = Turns(shards), dict[Future[Ledger], str]()
        try:
            while turns or pending:
                while len(pending) < 2 * workers and (shard := turns.next()):
                    with _without_main_module():
                        pending[pool.submit(stage, run_dir, shard)] = shard
                if not pending:
                    time.sleep(_GLANCE_S)
                done, _ = wait(pending, timeout=_GLANCE_S, return_when=FIRST_COMPLETED)
                while not ticks.empty():
                    ticks.get()
                    on_sample()
                for future in done:
                    shard = pending.pop(future)
                    try:
                        yield future.result()
                    except BusyError:
                        turns.put_off(shard)
        except BrokenProcessPool:
            raise RunError(
                "a worker process died (out of memory?): run the same command again with fewer --workers; "
                "finished shards are kept"
            ) from None
        except (KeyboardInterrupt, GeneratorExit):
            life.close()  # nobody waits for the shards that they are making
            raise
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

    Of several workers each has one core of its own; with `spread`, an equal share of all cores, for its threads. A run
    in memory:// is seen by this process alone, so that it makes the shards itself.

    Shards that another process is making are put off until it is done or gone. The first error of a stage stops the run
    and is raised here. What a shard holds does not depend on `workers`.
    """
    if workers > 1 and len(shards) > 1 and not in_this_process_only(run_dir):
        yield from _pool(stage, run_dir, shards, min(workers, len(shards)), on_sample, spread)
        return
    enter(on_sample)
    turns = Turns(shards)
    while turns:
        if (shard := turns.next()) is None:
            time.sleep(_GLANCE_S)
            continue
        try:
            yield stage(run_dir, shard)
        except BusyError:
            turns.put_off(shard)


@contextmanager
def one_core() -> Iterator[None]:
    """Run the block, and the processes that it starts, on one processor, as a pool's worker is."""
    cores = available_cores()
    _pin(cores[:1])
    try:
        yield
    finally:
        _pin(cores)
