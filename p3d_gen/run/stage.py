"""The contract of a stage, fn(run_dir, shard) -> ledger, which every engine calls in processes of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from p3d_gen.run.ledgers import (
    Failure,
    Ledger,
    Remarks,
    claimed,
    is_whole,
    read_ledger,
    seal,
    stage_inputs,
    upstream_ledger,
)
from p3d_gen.run.shards import Members
from p3d_gen.run.store import RunFolder, forget_runs

Stage = Callable[[str, str], Ledger]
_tick: Callable[[], None] = lambda: None  # noqa: E731  replaced by the engine
_number = 0  # replaced by the engine


def enter(on_sample: Callable[[], None], number: int = 0) -> None:
    """Set what `tick` and `worker_number` do in this process; called by an engine in each of its processes."""
    global _tick, _number
    forget_runs()
    _tick, _number = on_sample, number


def tick() -> None:
    """Count a sample in the progress table; called by a stage after every sample."""
    _tick()


def worker_number() -> int:
    """Return the number of this process among those of the engine, from 0. With several GPUs it decides which one is
    used."""
    return _number


def make_shard(
    run: RunFolder,
    stage: str,
    shard: str,
    upstream: tuple[str, ...],
    make: Callable[[RunFolder, str, list[Failure]], Iterator[tuple[str, Members]]],
    *,
    made_from: Any = None,
    remarks: Remarks | None = None,
) -> Ledger:
    """Do the common work of all stages: return the ledger of a finished shard, else make its samples and seal them.

    BusyError if another process is making the shard.

    upstream: the stages whose shards this one reads. make(run, shard, failures): yields the samples, and appends those
    that cannot be made to `failures`. made_from: see `ledgers.stage_inputs`. remarks: filled by `make`.
    """
    inputs = stage_inputs(run, stage, *(upstream_ledger(run, name, shard) for name in upstream), made_from=made_from)

    def finished() -> Ledger | None:
        ledger = read_ledger(run, stage, shard)
        return ledger if ledger and ledger.inputs == inputs and is_whole(run, stage, shard, ledger) else None

    ledger = finished()
    if ledger is None:
        with claimed(run, stage, shard) as record:
            ledger = finished()  # by another process in the meantime
            if ledger is None:
                failures: list[Failure] = []
                return seal(run, stage, shard, inputs, make(run, shard, failures), failures, remarks, record)
    for _ in range(ledger.count + len(ledger.failures)):
        tick()
    return ledger
