"""How far a run has come, from its ledgers and the files that are being written; nothing of the run is touched."""

from __future__ import annotations

import tarfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from p3d_gen.run.files import lock_file
from p3d_gen.run.remote import is_remote, remote_errors
from p3d_gen.run.store import Ledger, RunFolder, open_run, read_ledger
from p3d_gen.stylize.stylization import stylization_names

_STREAK_SHARDS, _PAUSE_S = 50, 60.0  # what the rate is taken from, and the pause that begins a new streak
_GRACE_S = 15.0  # a stage that has just finished a shard is about to begin the next
_SHOWN_NEWS = 5


@dataclass(frozen=True, kw_only=True)
class Writing:
    """A shard that is being written: how many of its samples are in the file so far, and the file's size."""

    shard: str
    samples: int
    size_bytes: int


@dataclass(frozen=True, kw_only=True)
class StageStatus:
    """How far one stage has come.

    state: `done`, `running`, `stopped` where it has begun and nobody is at work, or `waiting`. samples: made, those
    being written included; planned: what all shards make if none fails. failures: reason -> samples.
    rate: samples per second while it last was at work; seconds_left: at that rate, of a stage that runs. Both are None
    where they are not known.
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
    """A finished shard. time: when, in seconds since 1970."""

    time: float
    stage: str
    shard: str
    samples: int
    failed: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class RunStatus:
    """How far a run has come. models_prepared: whether its CAD models are. news: the latest shards, newest first."""

    run: str
    models_prepared: bool
    stages: tuple[StageStatus, ...]
    news: tuple[News, ...]

    @property
    def done(self) -> bool:
        """Whether there is nothing left to do."""
        return all(stage.state == "done" for stage in self.stages)


@dataclass(frozen=True, kw_only=True)
class _Finished:
    """A ledger, and when it was written."""

    ledger: Ledger
    time: float


class Watch:
    """Looks at a run folder again and again; ledgers that have not changed are not read again."""

    def __init__(self, folder: str | Path) -> None:
        """RunError where that is no run folder. The sources of the run are not looked at."""
        self._run = open_run(folder, look_at_sources=False)
        self._known: dict[tuple[str, str], _Finished] = {}

    def look(self) -> RunStatus:
        """The state of the run as it is now. RunError where a ledger is damaged."""
        now = time.time()
        found = {stage: self._finished(stage) for stage in _stages(self._run)}
        everything = sorted((each for stage in found.values() for each in stage), key=lambda each: -each.time)
        return RunStatus(
            run=str(self._run.root),
            models_prepared=self._run.models_file.exists(),
            stages=tuple(_stage_status(self._run, stage, finished, now) for stage, finished in found.items()),
            news=tuple(_news(each) for each in everything[:_SHOWN_NEWS]),
        )

    def _finished(self, stage: str) -> list[_Finished]:
        """The finished shards of a stage, in the order of the run."""
        there = _names(self._run.root / stage)
        looks = (self._ledger(stage, shard) for shard in self._run.all_shards() if f"{shard}.json" in there)
        return [finished for finished in looks if finished]

    def _ledger(self, stage: str, shard: str) -> _Finished | None:
        """What is known of a shard; None where its ledger has been taken away in between. In a store of objects a look
        at each one takes its time, so there a known one is taken to be as it was."""
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
    """The names of a folder's files; none where there is no folder."""
    with remote_errors(folder):
        return {path.name for path in folder.iterdir()} if folder.is_dir() else set()


def _stages(run: RunFolder) -> list[str]:
    """The stages of the manifest's own stylization, then those of the ones with a name."""
    named = (f"{kind}-{name}" for name in stylization_names(run) for kind in ("stylize", "shards"))
    return ["render", "stylize", "shards", *named]


def _news(finished: _Finished) -> News:
    ledger = finished.ledger
    return News(
        time=finished.time,
        stage=ledger.stage,
        shard=ledger.shard,
        samples=ledger.count,
        failed=len(ledger.failures),
        seconds=ledger.seconds,
    )


def _is_locked(partial: Path) -> bool:
    """Whether a writer is at work on a file. A shared lock is asked for and given back at once: a writer that comes in
    this very moment waits for it."""
    with partial.open("rb") as file:
        try:
            lock_file(file, shared=True, wait=False)
        except BlockingIOError:
            return True
    return False


def _samples_in(partial: Path) -> int:
    """How many samples a tar holds that is still being written."""
    keys = set()
    try:
        with tarfile.open(partial, "r:") as tar:
            for info in tar:
                keys.add(info.name.partition(".")[0])
    except tarfile.ReadError:  # its end is not written yet
        pass
    return len(keys)


def _writing(run: RunFolder, stage: str) -> tuple[Writing, ...]:
    """The shards of a stage that are being written now; what a killed run left is not. Nothing of it is seen where the
    run is remote: shards arrive there when they are whole."""
    if is_remote(run.root):
        return ()
    found = []
    for partial in sorted((run.root / stage).glob(".*.tar.partial")):
        try:
            if _is_locked(partial):
                shard = partial.name.removeprefix(".").removesuffix(".tar.partial")
                size = partial.stat().st_size
                found.append(Writing(shard=shard, samples=_samples_in(partial), size_bytes=size))
        except FileNotFoundError:  # it has just taken its final name
            continue
    return tuple(found)


def _patience(run: RunFolder, latest: _Finished) -> float:
    """For how many seconds after a shard a stage counts as running, although no next one is seen."""
    return max(_GRACE_S, 2 * latest.ledger.seconds) if is_remote(run.root) else _GRACE_S


def _rate(finished: list[_Finished]) -> float | None:
    """Samples per second, over the latest shards without a pause between them; None where there is no shard."""
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


def _stage_status(run: RunFolder, stage: str, finished: list[_Finished], now: float) -> StageStatus:
    shards, writing = run.all_shards(), _writing(run, stage)
    composites = run.manifest.background.per_render if stage.startswith("shards") else 1
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
        stage=stage,
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
