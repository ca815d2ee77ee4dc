"""Running a plan: one process for each command, its output in a log, finished steps passed over."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import click

from p3d_gen.core.errors import RunError
from p3d_gen.run.disk import appended_file, lock_file
from p3d_gen.run.files import read_record, sealed_json, write_bytes
from p3d_gen.run.processes import start_child
from pose_models.ledger import is_finished
from pose_models.protocols.commands import leaf_command
from pose_models.protocols.planner import STEPS, ProtocolJob, arguments, output

LOG_FILE, RECORD_FILE = "log.txt", "step.json"
# Runs the words after `pose-models`, all output into an open file, a lock held; returns the exit status.
Call = Callable[[Sequence[str], IO[bytes], int], int]
_TAIL = 12
_PATIENCE_S = 10.0  # of SIGTERM, before SIGKILL
# The same interpreter, wherever its scripts are installed. The first argument is the id of its parent.
_PROGRAM = (
    "import sys; from p3d_gen.run.processes import die_with_parent; die_with_parent(int(sys.argv.pop(1)));"
    "from pose_models.cli import main; main(prog_name='pose-models')"
)


@dataclass(frozen=True, kw_only=True)
class Done:
    """A finished job, what it took, and whether it had been finished before."""

    job: ProtocolJob
    seconds: float
    before: bool


def record_of(job: ProtocolJob, steps: Path) -> dict[str, Any]:
    """Read the record that an earlier run left of a job, {} if there is none. RunError if it ran with other options."""
    path = steps / job.name / RECORD_FILE
    if not path.is_file():
        return {}
    record: dict[str, Any] = read_record(path, "remove its folder, and the step is run again")
    if record["digest"] != job.digest:
        raise RunError(
            f"{path.parent} was made with other options, or from a model with other options, see {RECORD_FILE} there: "
            "choose another --out, or remove the folder"
        )
    return record


def by_process(words: Sequence[str], log: IO[bytes], lock: int) -> int:
    """Run a command in a process of its own, a `Call`.

    The process ends with this one. It holds the lock as well, because not every system ends it with a killed parent.
    """
    process = start_child(
        [sys.executable, "-c", _PROGRAM, str(os.getpid()), *words],
        stdout=log,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        pass_fds=(lock,),
        env={**os.environ, "COLUMNS": "160"},
    )
    try:
        return process.wait()
    except BaseException:
        process.terminate()
        try:
            process.wait(_PATIENCE_S)
        finally:
            process.kill()
        raise


def run_jobs(
    jobs: Sequence[ProtocolJob],
    main: click.Command,
    out: Path,
    device: str,
    on_start: Callable[[ProtocolJob], None],
    *,
    on_failure: Callable[[ProtocolJob, RunError], None] | None = None,
    call: Call = by_process,
) -> Iterator[Done]:
    """Run what is not finished yet, in order; yields every job when it is finished.

    main: the command `pose-models`. An interrupted job resumes by its own command. on_failure: called for a job that
    failed, and the jobs that do not start from it are run nevertheless; without it a failure is an error. RunError
    naming row, step and log if a job fails, was made with other options, or is still running.
    """
    steps = out / STEPS
    lost: set[str] = set()
    for job in jobs:
        if job.after is not None and job.after.name in lost:
            lost.add(job.name)
            continue
        record = record_of(job, steps)
        if record.get("finished"):
            yield Done(job=job, seconds=record["seconds"], before=True)
            continue
        on_start(job)
        try:
            seconds = _run(job, main, steps, device, record, call)
        except RunError as error:
            if on_failure is None:
                raise
            on_failure(job, error)
            lost.add(job.name)
            continue
        yield Done(job=job, seconds=seconds, before=False)


def _run(job: ProtocolJob, main: click.Command, steps: Path, device: str, record: dict[str, Any], call: Call) -> float:
    folder = steps / job.name
    command = leaf_command(main, job.command)
    calls = [(part, arguments(job, command, steps, device, part)) for part in job.parts or ("",)]
    note = {"row": job.row, "step": job.step, "digest": job.digest, "commands": [words for _, words in calls]}
    seconds = float(record.get("seconds", 0.0))
    with _locked(folder) as lock:
        write_bytes(folder / RECORD_FILE, sealed_json({**note, "finished": False, "seconds": seconds}))
        for part, words in calls:
            # A model's last file is its json: a process that was killed after it has nothing left to do.
            if not is_finished(output(job, steps) / part):
                start = time.monotonic()
                _logged(job, words, folder / LOG_FILE, lock, call)
                seconds += time.monotonic() - start
        write_bytes(folder / RECORD_FILE, sealed_json({**note, "finished": True, "seconds": seconds}))
    return seconds


@contextmanager
def _locked(folder: Path) -> Iterator[int]:
    """Lock the folder. The job's process holds the lock too, so that it also reveals an orphan at work."""
    folder.mkdir(parents=True, exist_ok=True)
    with appended_file(folder / ".lock") as file:
        try:
            lock_file(file, wait=False)
        except BlockingIOError:
            raise RunError(f"{folder} is being worked on by another process: wait for it or stop it") from None
        yield file.fileno()


def _logged(job: ProtocolJob, words: Sequence[str], log: Path, lock: int, call: Call) -> None:
    with appended_file(log) as file:
        file.write(f"$ pose-models {' '.join(words)}\n".encode())
        file.flush()
        status = call(words, file, lock)
    if status:
        said = "\n".join(f"  {line}" for line in log.read_text(errors="replace").splitlines()[-_TAIL:])
        raise RunError(
            f"row {job.row!r}, step {job.step!r} failed with exit status {status}; fix the cause and repeat "
            f"the command to resume. The end of {log}:\n{said}"
        )
