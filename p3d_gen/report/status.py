"""The progress of a run, read from its ledgers and from the files that are being written."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from p3d_gen.core.errors import DataError
from p3d_gen.core.masking import masked
from p3d_gen.run.disk import lock_file
from p3d_gen.run.ledgers import Ledger, read_ledger
from p3d_gen.run.remote import is_remote, remote_errors
from p3d_gen.run.shards import read_entries
from p3d_gen.run.store import RunFolder, open_run
from p3d_gen.stylize.stylization import stylization_names

_STREAK_SHARDS, _PAUSE_S = 50, 60.0  # shards that the rate is measured on; a longer pause begins a new streak
_GRACE_S = 15.0  # a stage that has just finished a shard is about to begin the next
_SHOWN_NEWS = 5


@dataclass(frozen=True, kw_only=True)
class Writing:
    """A shard that is being written: the number of samples that its file holds so far, and the file's size."""

    shard: str
    samples: int
    size_bytes: int


@dataclass(frozen=True, kw_only=True)
class StageStatus:
    """The progress of one stage: `render`, `stylize`, `pack`, or `stylize-NAME`, `pack-NAME` of a named stylization.

    state: `done`, `running`, `stopped` if it has begun and no process works on it, or `waiting`.
    samples: number of samples made, including those being written. planned: number of samples if none fails.
    failures: reason -> number of samples.
    rate: samples per second while the stage last ran. seconds_left: time left at that rate, for a running stage. Both
    are None if they are not known.
    """

    stage: str
    state: str
    shards_done: int
    shards: int
    samples: int
    planned: int
    failures: dict[str, int]
    rate: float | None
    seconds_left: float | None
    writing: tuple[Writing, ...]


@dataclass(frozen=True, kw_only=True)
class News:
    """A finished shard. time: the moment it was finished, in seconds since 1970."""

    time: float
    stage: str
    shard: str
    samples: int
    failed: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class RunStatus:
    """The progress of a run. models_prepared: True if its CAD models are ready. news: latest shards, newest first."""

    run: str
    models_prepared: bool
    stages: tuple[StageStatus, ...]
    news: tuple[News, ...]

    @property
    def done(self) -> bool:
        """True if there is nothing left to do."""
        return all(stage.state == "done" for stage in self.stages)


@dataclass(frozen=True, kw_only=True)
class _Finished:
    """A ledger, and the time at which it was written."""

    ledger: Ledger
    time: float


class Watch:
    """A view of a run folder for repeated looks; ledgers that have not changed are not read again."""

    def __init__(self, folder: str | Path) -> None:
        """Open a run folder, without its sources. Raise RunError if it is not one."""
        self._run = open_run(folder, needs=None)
        self._known: dict[tuple[str, str], _Finished] = {}

    def look(self) -> RunStatus:
        """Return the state of the run as it is now. Raise RunError if a ledger is damaged."""
        now = time.time()
        stages = {folder: self._finished(folder) for folder in _folders(self._run)}
        everything = sorted((each for stage in stages.values() for each in stage), key=lambda each: -each.time)
        return RunStatus(
            run=masked(str(self._run.root)),
            models_prepared=self._run.models_file.exists(),
            stages=tuple(_stage_status(self._run, folder, finished, now) for folder, finished in stages.items()),
            news=tuple(_news(each) for each in everything[:_SHOWN_NEWS]),
        )

    def _finished(self, stage: str) -> list[_Finished]:
        """Return the finished shards of a stage, in the order of the run."""
        there = _names(self._run.root / stage)
        looks = (self._ledger(stage, shard) for shard in self._run.all_shards() if f"{shard}.json" in there)
        return [finished for finished in looks if finished]

    def _ledger(self, stage: str, shard: str) -> _Finished | None:
        """Return a finished shard; None if its ledger was removed in the meantime.

        A look at each ledger is slow in an object store, so a known ledger is assumed to be unchanged there.
        """
        known, path = self._known.get((stage, shard)), self._run.tar(stage, shard).with_suffix(".json")
        if known and is_remote(path):
            return known
        try:
            with remote_errors(path):
                changed = path.stat().st_mtime
        except FileNotFoundError:
            return None
        if known is None or known.time != changed:
            ledger = read_ledger(self._run, stage, shard)
            if ledger is None:
                return None
            known = self._known[stage, shard] = _Finished(ledger=ledger, time=changed)
        return known


def _names(folder: Path) -> set[str]:
    """Return the names of a folder's files; none if it does not exist."""
    with remote_errors(folder):
        return {path.name for path in folder.iterdir()} if folder.is_dir() else set()


def _folders(run: RunFolder) -> list[str]:
    """Return the folders of the stages: of the manifest's own stylization, then of the named ones."""
    named = (f"{kind}-{name}" for name in stylization_names(run) for kind in ("stylize", "shards"))
    return ["render", "stylize", "shards", *named]


def stage_name(folder: str) -> str:
    """Return the name of the stage that fills a folder: the name of its command, and that of the stylization."""
    return folder.replace("shards", "pack", 1)


def _news(finished: _Finished) -> News:
    ledger = finished.ledger
    return News(
        time=finished.time,
        stage=stage_name(ledger.stage),
        shard=ledger.shard,
        samples=ledger.count,
        failed=len(ledger.failures),
        seconds=ledger.seconds,
    )


def _is_locked(partial: Path) -> bool:
    """Return if a process is writing a file.

    This takes a shared lock and returns it at once; a writer that arrives in this moment waits for it.
    """
    with partial.open("rb") as file:
        try:
            lock_file(file, shared=True, wait=False)
        except BlockingIOError:
            return True
    return False


def _samples_in(partial: Path) -> int:
    """Return the number of samples in a tar that is still being written."""
    keys = set[str]()
    with suppress(DataError):  # its end is not written yet
        for entry in read_entries(partial, on_foreign=lambda name: None):
            keys.add(entry.key)
    return len(keys)


def _writing(run: RunFolder, stage: str) -> tuple[Writing, ...]:
    """Return the shards of a stage that are being written now, without the remains of a killed run.

    None are seen in a remote run, because shards arrive there only when they are complete.
    """
    if is_remote(run.root):
        return ()
    writing = []
    for partial in sorted((run.root / stage).glob(".*.tar.partial")):
        try:
            if partial.is_file() and not partial.is_symlink() and _is_locked(partial):
                shard = partial.name.removeprefix(".").removesuffix(".tar.partial")
                size = partial.stat().st_size
                writing.append(Writing(shard=shard, samples=_samples_in(partial), size_bytes=size))
        except FileNotFoundError:  # it has just taken its final name
            continue
    return tuple(writing)


def _patience(run: RunFolder, latest: _Finished) -> float:
    """Return the seconds after a shard for which a stage counts as running although no next shard is seen."""
    return max(_GRACE_S, 2 * latest.ledger.seconds) if is_remote(run.root) else _GRACE_S


def _rate(finished: list[_Finished]) -> float | None:
    """Return samples per second over the latest shards without a pause between them; None if there is no shard."""
    latest = sorted(finished, key=lambda each: -each.time)[:_STREAK_SHARDS]
    if not latest:
        return None
    begin, samples = latest[0].time, 0
    for each in latest:
        if each.time < begin - _PAUSE_S:
            break
        begin = min(begin, each.time - each.ledger.seconds)
        samples += each.ledger.count + len(each.ledger.failures)
    return samples / max(latest[0].time - begin, 1e-3)


def _stage_status(run: RunFolder, folder: str, finished: list[_Finished], now: float) -> StageStatus:
    shards, writing = run.all_shards(), _writing(run, folder)
    composites = run.manifest.background.per_render if folder.startswith("shards") else 1
    planned = composites * run.manifest.samples_per_category * len(run.manifest.categories)
    failures = Counter(failure.reason for each in finished for failure in each.ledger.failures)
    samples = sum(each.ledger.count for each in finished) + sum(each.samples for each in writing)
    rate = _rate(finished)
    running = bool(writing) or any(now - each.time < _patience(run, each) for each in finished)
    state = "running" if running else "stopped" if finished else "waiting"
    if len(finished) == len(shards):
        state = "done"
    left = max(planned - samples - failures.total(), 0)
    return StageStatus(
        stage=stage_name(folder),
        state=state,
        shards_done=len(finished),
        shards=len(shards),
        samples=samples,
        planned=planned,
        failures=dict(failures.most_common()),
        rate=rate,
        seconds_left=left / rate if rate and state == "running" else None,
        writing=writing,
    )
