"""What every stage of a run has in common: finished shards, the engine that makes the others, retries, failures and
progress. The stage itself is an argument."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from p3d_gen.core.errors import RunError
from p3d_gen.run.ledgers import Failure, Ledger, forget_failures, is_whole, read_ledger, remove, stage_inputs
from p3d_gen.run.local import run_shards
from p3d_gen.run.remote import is_remote
from p3d_gen.run.selection import chosen_shards
from p3d_gen.run.stage import Stage
from p3d_gen.run.store import RunFolder
from p3d_gen.run.versions import moved

_logger = logging.getLogger(__name__)
_READERS = 8
_DAMAGED, _OUTDATED = "damaged", "outdated"


@dataclass(frozen=True, kw_only=True)
class RayCluster:
    """A Ray cluster as the engine of a stage.

    address: for example "auto" or "HOST:6379". None stands for the environment's RAY_ADDRESS; without that too, a
        cluster is started on this machine.
    cpus, gpus: processors and GPUs reserved for one shard. None stands for what the stage needs.
    """

    address: str | None = None
    cpus: float | None = None
    gpus: float | None = None


@dataclass(frozen=True, kw_only=True)
class Effort:
    """The shards to make, the engine that makes them, and the number of failed samples that is accepted.

    workers: number of shards made at the same time; None stands for as many as there is room for.
    shards: their numbers, as in "0-99,120"; "" for all.
    cluster: None for processes of this machine.
    allow_failures: number of failed samples that is not an error.
    retry_failed: make shards with failed samples again.
    check: compare the checksums of all finished shards with their ledgers.
    strict_versions: refuse to go on with a run under other versions of the software than it was made with.
    """

    workers: int | None = None
    shards: str = ""
    cluster: RayCluster | None = None
    allow_failures: int = 0
    retry_failed: bool = False
    check: bool = False
    strict_versions: bool = False


@dataclass(frozen=True, kw_only=True)
class StageSetup:
    """One stage of one run, ready to be made.

    name: for people. folder: its shards lie in RUN/<folder>. make: makes one shard.
    upstream: folders of the stages that it reads. made_from: see `ledgers.stage_inputs`.
    workers: returns the number of local processes if nobody asks for another one.
    spread: True if these share all processors for their threads; False if each has one processor.
    gpus: GPUs that Ray reserves for one shard. per_render: number of samples made from one render.
    """

    name: str
    folder: str
    make: Stage
    workers: Callable[[], int]
    upstream: tuple[str, ...] = ()
    made_from: Any = None
    spread: bool = False
    gpus: float = 0.0
    per_render: int = 1


@dataclass(frozen=True, kw_only=True)
class StageResult:
    """The state of a stage's shards after a call.

    folder: of the shards. shards: their number; new_shards: number of those that this call made.
    samples: number of samples in them. failures: the samples that could not be made.
    notes: other events and their counts, such as retries. model_share: share of the time in which a model computed.
    files: name -> path of what a user may look for.
    """

    name: str
    folder: Path
    shards: int
    new_shards: int
    samples: int
    failures: tuple[Failure, ...]
    notes: dict[str, int] = field(default_factory=dict)
    model_share: float = 0.0
    files: dict[str, Path] = field(default_factory=dict)

    def __str__(self) -> str:
        """Return the result in one line."""
        notes = "".join(f"; {event}: {count}" for event, count in sorted(self.notes.items()))
        if self.model_share:
            notes += f"; model busy {self.model_share:.0%}"
        return f"{self.name}: {self.samples} samples in {self.shards} shards, {len(self.failures)} failed{notes}"


class StageProgress(Protocol):
    """A listener to one stage at work."""

    def on_sample(self) -> None:
        """Take note of a sample that is made, or has failed."""

    def on_ledger(self, ledger: Ledger) -> None:
        """Take note of a finished shard."""

    def on_news(self, news: str) -> None:
        """Take note of something that a user should know at once."""


class Progress(Protocol):
    """A listener to a run at work."""

    def models(self, count: int) -> AbstractContextManager[Callable[[float], None]]:
        """Follow the preparation of `count` CAD models. The block calls the function with shares of models, as they
        are done."""

    def stage(self, name: str, shards: int, samples: int) -> AbstractContextManager[StageProgress]:
        """Follow a stage that makes so many shards and samples."""

    def note(self, text: str) -> None:
        """Take note of something that a user should know."""

    def done(self, result: StageResult) -> None:
        """Take note of a stage that has ended."""


class Silent:
    """A `Progress` and `StageProgress` that shows nothing, and logs what a user should know."""

    def models(self, count: int) -> AbstractContextManager[Callable[[float], None]]:
        """Follow the preparation of CAD models."""
        return nullcontext(lambda share: None)

    def stage(self, name: str, shards: int, samples: int) -> AbstractContextManager[StageProgress]:
        """Follow a stage."""
        return nullcontext(self)

    def note(self, text: str) -> None:
        """Log something that a user should know."""
        _logger.warning(text)

    def done(self, result: StageResult) -> None:
        """Log the result of a stage."""
        _logger.info(str(result))

    def on_sample(self) -> None:
        """Do nothing for a sample."""

    def on_ledger(self, ledger: Ledger) -> None:
        """Do nothing for a shard."""

    def on_news(self, news: str) -> None:
        """Log something that a user should know at once."""
        self.note(news)


def _judged(run: RunFolder, stage: StageSetup, shard: str, check: bool) -> tuple[Ledger | None, str]:
    """Return the ledger of a shard that need not be made; else None, and _DAMAGED or _OUTDATED if it is there."""
    ledger = read_ledger(run, stage.folder, shard)
    if ledger is None:
        return None, ""
    upstream = [read_ledger(run, folder, shard) for folder in stage.upstream]
    known = [each for each in upstream if each]
    if len(known) < len(upstream):
        return None, _OUTDATED
    if ledger.inputs != stage_inputs(run, stage.folder, *known, made_from=stage.made_from):
        return None, _OUTDATED
    wanted = stage.per_render * (known[-1].count if known else len(run.members_of(shard)[1]))
    if ledger.count + len(ledger.failures) != wanted or not is_whole(run, stage.folder, shard, ledger, check):
        return None, _DAMAGED
    return ledger, ""


def _is_open(run: RunFolder) -> bool:
    """Tell if it is open which models will be left out."""
    return run.manifest.cad.quarantine and not run.prepared


def finished_ledgers(
    run: RunFolder, stage: StageSetup, shards: Iterable[str], check: bool = False
) -> dict[str, Ledger]:
    """Return shard -> ledger of those shards that need not be made: they are what their ledgers say, and those of all
    that they were made from are still the right ones. check: see `ledgers.is_whole`."""
    if _is_open(run):
        return {}

    def finished(shard: str) -> Ledger | None:
        return _judged(run, stage, shard, check)[0]

    if not is_remote(run.root):
        return {ledger.shard: ledger for ledger in map(finished, shards) if ledger}
    with ThreadPoolExecutor(_READERS) as pool:  # a store under a URL takes its time for each of many small files
        return {ledger.shard: ledger for ledger in pool.map(finished, shards) if ledger}


def _forget_faulty(run: RunFolder, stage: StageSetup, shards: Iterable[str], check: bool) -> Iterator[str]:
    """Unmark those of these shards that are not what their ledgers say, so that workers make them again.

    Yield what is to be said of them, and of shards that were made from something else.
    """
    if _is_open(run):
        return
    outdated = 0
    for shard in shards:
        _, fault = _judged(run, stage, shard, check)
        outdated += fault == _OUTDATED
        if fault == _DAMAGED:
            tar = run.tar(stage.folder, shard)
            remove(tar.with_suffix(".json"))
            yield f"{tar} is not what its ledger says; it is made again"
    if outdated:
        yield f"{stage.name}: {outdated} finished shards are made again, what they were made from has changed since"


def begin(run: RunFolder, folders: Iterable[str], effort: Effort) -> None:
    """Check the numbers of the chosen shards. Forget their failures in the stages with these folders if they are to be
    made again."""
    shards = chosen_shards(run, effort.shards)
    if effort.retry_failed:
        forget_failures(run, folders, shards)


def _made(
    run: RunFolder, stage: StageSetup, shards: Sequence[str], effort: Effort, view: StageProgress
) -> Iterator[Ledger]:
    """Make the shards by the engine that the effort names; yield their ledgers as they are finished."""
    run_dir, cluster = str(run.root.absolute()), effort.cluster
    if cluster is None:
        workers = effort.workers or stage.workers()
        yield from run_shards(stage.make, run_dir, shards, workers, view.on_sample, stage.spread)
        return
    from p3d_gen.run.ray import Needs, run_shards_on_ray

    needs = Needs(cpus=1.0 if cluster.cpus is None else cluster.cpus, gpus=stage.gpus)
    for ledger in run_shards_on_ray(
        stage.make,
        run_dir,
        shards,
        address=cluster.address,
        needs=needs,
        at_once=effort.workers,
        on_news=view.on_news,
    ):
        for _ in range(ledger.count + len(ledger.failures)):
            view.on_sample()
        yield ledger


def _result(run: RunFolder, stage: StageSetup, ledgers: Sequence[Ledger], new_shards: int) -> StageResult:
    notes: Counter[str] = Counter()
    for ledger in ledgers:
        notes.update(ledger.notes)
    seconds = sum(ledger.seconds for ledger in ledgers)
    return StageResult(
        name=stage.name,
        folder=run.root / stage.folder,
        shards=len(ledgers),
        new_shards=new_shards,
        samples=sum(ledger.count for ledger in ledgers),
        failures=tuple(failure for ledger in ledgers for failure in ledger.failures),
        notes=dict(notes),
        model_share=sum(ledger.model_seconds for ledger in ledgers) / seconds if seconds else 0.0,
    )


def run_stage(run: RunFolder, stage: StageSetup, effort: Effort, progress: Progress) -> StageResult:
    """Make the chosen shards of a stage that are not finished yet, and return the state of all chosen ones.

    No engine is started if none is left. The first error of the stage itself ends it and is raised here.
    """
    shards = chosen_shards(run, effort.shards)
    ledgers = finished_ledgers(run, stage, shards, effort.check)
    left = [shard for shard in shards if shard not in ledgers]
    if left:
        for note in _forget_faulty(run, stage, left, effort.check):
            progress.note(note)
        samples = stage.per_render * sum(len(run.members_of(shard)[1]) for shard in shards)
        with progress.stage(stage.name, len(shards), samples) as view:
            for ledger in ledgers.values():
                for _ in range(ledger.count + len(ledger.failures)):
                    view.on_sample()
                view.on_ledger(ledger)
            for ledger in _made(run, stage, left, effort, view):
                view.on_ledger(ledger)
                ledgers[ledger.shard] = ledger
    return _result(run, stage, [ledgers[shard] for shard in shards], len(left))


def check_versions(run: RunFolder, stages: Iterable[StageSetup], effort: Effort, progress: Progress) -> None:
    """Say so if the software has other versions than when the run was begun, or when its shards were made.

    RunError if the effort is strict.
    """
    shards = chosen_shards(run, effort.shards)
    ledgers = [read_ledger(run, stage.folder, shard) for stage in stages for shard in shards]
    change = moved([run.origin.versions, *(ledger.made_with for ledger in ledgers if ledger)])
    if change and effort.strict_versions:
        raise RunError(
            f"{run.root} was made under other versions ({change}): install those, or leave --strict-versions out"
        )
    if change:
        progress.note(f"{run.root} goes on under other versions than before: {change}")


def unchanged_results(run: RunFolder, stages: Iterable[StageSetup], effort: Effort) -> tuple[StageResult, ...]:
    """Return the results of the stages if none of the chosen shards is left to make in any of them, else ()."""
    shards = chosen_shards(run, effort.shards)
    results = []
    for stage in stages:
        ledgers = finished_ledgers(run, stage, shards, effort.check)
        if len(ledgers) < len(shards):
            return ()
        results.append(_result(run, stage, list(ledgers.values()), 0))
    return tuple(results)


def check_failures(results: Iterable[StageResult], effort: Effort) -> None:
    """Raise RunError if more samples failed than are allowed."""
    failures = [failure for result in results for failure in result.failures]
    if len(failures) > effort.allow_failures:
        raise RunError(
            f"{len(failures)} samples failed, {effort.allow_failures} are allowed (--allow-failures); "
            f"the others are kept. The first is {failures[0].key}: {failures[0].reason}. "
            "Fix the cause and add --retry-failed to make them again"
        )
