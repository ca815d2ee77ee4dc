"""`p3dgen bench kills`: commands and their processes are killed at random moments until each command is done.

Each command is done once without a kill. Then it is repeated in another folder: killed, repeated, killed, ... until it
ends by itself, and what it has made is compared.

lost: what was finished and had to be made again, and files and samples that are not those of the command that nobody
killed. doubled: samples that are there twice. left_behind: processes, shared memory, temporary and partial files of
ours, some seconds after a command that got SIGTERM or SIGINT, or one that lost another process. What SIGKILL leaves may
be removed by the next command: it is counted when the command is done.
"""

from __future__ import annotations

import logging
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from p3d_gen.bench import show
from p3d_gen.bench.interruptible import SIGNALS, Identities, Interruptible, interruptibles
from p3d_gen.bench.traces import Traces
from p3d_gen.core.errors import RunError
from p3d_gen.run.scratch import ScratchFolder

_logger = logging.getLogger(__name__)
_GLANCE_S = 0.02
_SETTLE_S = 10.0
_END_S = 120.0  # for a command to end after a kill
_FRUITLESS = 3  # commands that end with an error though nothing was killed
_WORDS = {"worker": "spawn_main", "Blender": "p3d_gen.blender.worker", "Ray worker": "ray::"}


@dataclass(kw_only=True)
class Tally:
    """What the kills of one command have done, as descriptions."""

    kills: Counter[str] = field(default_factory=Counter)
    lost: set[str] = field(default_factory=set)
    doubled: set[str] = field(default_factory=set)
    left_behind: set[str] = field(default_factory=set)

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield all faults with their kinds."""
        for kind in ("lost", "doubled", "left_behind"):
            yield from ((kind, fault) for fault in sorted(getattr(self, kind)))


def _victims(work: Interruptible, members: Sequence[psutil.Process]) -> dict[str, list[psutil.Process]]:
    """Return the living processes of a command that may be killed, by their kinds."""
    victims: dict[str, list[psutil.Process]] = {}
    for process in members[1:]:
        try:
            words = " ".join(process.cmdline())
        except psutil.Error:
            continue
        for kind in work.victims:
            if _WORDS[kind] in words:
                victims.setdefault(kind, []).append(process)
    return victims


class _Command:
    """A command at work, in a session of its own."""

    def __init__(self, work: Interruptible, out: Path, traces: Traces) -> None:
        self._work, self._traces = work, traces
        self._log = out.with_suffix(".log")
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                work.command(out),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=traces.environment,
                start_new_session=True,
            )

    def __enter__(self) -> _Command:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()

    def ends_within(self, seconds: float) -> bool:
        """Tell if the command ends by itself within some time."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def kill(self, rng: random.Random, others: bool) -> str:
        """Kill the command, or one of its processes if `others`; return what was killed, "" if it was gone already."""
        members = self._traces.family(self.process.pid)
        victims = _victims(self._work, members) if others else {}
        kind = rng.choice([*SIGNALS, *victims])
        try:
            if kind in SIGNALS:
                self.process.send_signal(signal.Signals[kind])
            else:
                rng.choice(victims[kind]).kill()
        except psutil.NoSuchProcess:
            return ""
        return kind

    def last_words(self) -> str:
        """Return the last line that the command printed."""
        lines = self._log.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let the commands that the block starts react to SIGINT, also if this one was started in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class Trial:
    """One kind of command, killed again and again."""

    def __init__(self, work: Interruptible, folder: Path, traces: Traces, rng: random.Random) -> None:
        """Do the command once without a kill. folder: for all results. RunError if it fails."""
        self.tally = Tally()
        self._work, self._folder, self._traces, self._rng = work, folder / work.name, traces, rng
        self._folder.mkdir()
        whole = self._folder / "whole"
        start = time.monotonic()
        with _Command(work, whole, traces) as command:
            if command.process.wait():
                raise RunError(f"{work.name} fails without a kill: {command.last_words()}")
        self._seconds = time.monotonic() - start
        self._whole, self._samples = work.hashes(whole), Counter(work.samples(whole))
        self.tally.left_behind |= traces.left(_SETTLE_S)
        traces.remove()

    def kill(self, kills: int) -> None:
        """Kill the command so often. Folder after folder is made for it, until there were enough kills."""
        number = 0
        while self.tally.kills.total() < kills:
            number += 1
            self._one_folder(self._folder / f"{number}" / "whole", kills)

    def _one_folder(self, out: Path, kills: int) -> None:
        """Repeat the command until it is done, and look at all that it has made and left."""
        out.parent.mkdir()
        known: set[str] = set()
        fruitless = 0
        while fruitless < _FRUITLESS:
            before = self._work.finished(out) if out.exists() else {}
            with _Command(self._work, out, self._traces) as command:
                killed = self._kill_at_random(command, kills)
                code = command.process.returncode
            self._compare_finished(before, out)
            if "SIGKILL" not in killed:
                self.tally.left_behind |= self._traces.left(_SETTLE_S, known)
            known |= self._traces.there().keys()
            if code == 0 or (not killed and self._work.refuses(out)):
                break
            fruitless = 0 if killed else fruitless + 1
        else:
            self.tally.lost.add(f"{out}: the command fails: {command.last_words()}")
        self._compare(out)
        self.tally.left_behind |= self._traces.left(_SETTLE_S) | {f"file {path}" for path in self._work.leavings(out)}
        self._traces.remove()

    def _kill_at_random(self, command: _Command, kills: int) -> list[str]:
        """Wait for the end of a command, which comes by a kill at a random moment, unless it is done before."""
        killed: list[str] = []
        while not killed or killed[-1] not in SIGNALS:
            enough = self.tally.kills.total() >= kills
            if command.ends_within(_END_S + self._seconds if enough else self._rng.uniform(0, self._seconds)):
                return killed
            if enough:
                self.tally.lost.add(f"{command.last_words()}: the command does not end")
                return killed
            if kind := command.kill(self._rng, others=not killed):
                killed.append(kind)
                self.tally.kills[kind] += 1
                _logger.info("%s: kill %d: %s", self._work.name, self.tally.kills.total(), kind)
        if not command.ends_within(_END_S):
            self.tally.left_behind.add(f"the command, {_END_S:g} s after {killed[-1]}")
        return killed

    def _compare_finished(self, before: Identities, out: Path) -> None:
        now = self._work.finished(out) if out.exists() else {}
        for name in (name for name, identity in before.items() if now.get(name) != identity):
            self.tally.lost.add(f"{out}: {name} was finished, and is gone or made again")

    def _compare(self, out: Path) -> None:
        """Compare what was made with what the command makes without a kill."""
        made, samples = self._work.hashes(out), Counter(self._work.samples(out))
        for name, sha256 in self._whole.items():
            if made.get(name) != sha256:
                self.tally.lost.add(f"{out}: {name} is {'another one' if name in made else 'missing'}")
        for sample in self._samples - samples:
            self.tally.lost.add(f"{out}: {sample} is missing")
        for sample in samples - self._samples:
            self.tally.doubled.add(f"{out}: {sample} is there once too often")


def _table(tallies: dict[str, Tally]) -> None:
    rows = [
        (name, kind, count, len(tally.lost), len(tally.doubled), len(tally.left_behind))
        for name, tally in tallies.items()
        for kind, count in sorted(tally.kills.items())
    ]
    show("kills", ("command", "killed", "kills", "lost", "doubled", "left behind"), rows)
    faults = [(name, *fault) for name, tally in tallies.items() for fault in tally.faults()]
    if faults:
        show("faults", ("command", "kind", "fault"), faults)


def _shared_out(works: Sequence[Interruptible], kills: int, parts: Sequence[str]) -> list[tuple[Interruptible, int]]:
    """Return the commands of `parts` with their numbers of kills, and those that they need with none."""
    chosen = [work for work in works if not parts or work.name in parts]
    needed = {name for work in chosen for name in (work.name, *work.needs)}
    left, numbers = kills, {}
    for place, work in enumerate(chosen):
        share = work.share / sum(other.share for other in chosen[place:])
        numbers[work.name] = round(left * share)
        left -= numbers[work.name]
    return [(work, numbers.get(work.name, 0)) for work in works if work.name in needed]


def measure(kills: int = 200, seed: int = 0, parts: Sequence[str] = ()) -> dict[str, Any]:
    """Kill the commands of `parts`, by default of all kinds, so often in all; return the figures.

    seed: of the moments and of what is killed. The commands start at different speeds, so that the same seed does not
    kill them in the same state twice.
    """
    tallies: dict[str, Tally] = {}
    with ScratchFolder() as folder, _interruptible():
        (folder / "beside").mkdir()
        traces = Traces(folder / "beside")
        try:
            for work, share in _shared_out(interruptibles(folder), kills, parts):
                trial = Trial(work, folder, traces, random.Random(f"{seed} {work.name}"))
                tallies[work.name] = trial.tally
                trial.kill(share)
        finally:
            traces.remove()
    _table(tallies)
    return {
        "kills": sum(tally.kills.total() for tally in tallies.values()),
        "lost": sum(len(tally.lost) for tally in tallies.values()),
        "doubled": sum(len(tally.doubled) for tally in tallies.values()),
        "left_behind": sum(len(tally.left_behind) for tally in tallies.values()),
        "seed": seed,
    }
