"""The report of a run that is at work, written again as its shards are finished."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from p3d_gen.report import write_report
from p3d_gen.report.status import RunStatus, Watch
from p3d_gen.run.store import open_run
from p3d_gen.stylize.stylization import open_stylization

_PAUSE_S = 5.0
_REST = 9  # so much longer than it writes it rests: the report takes a tenth of a processor from the run at most


def _finished(status: RunStatus, stages: tuple[str, ...]) -> dict[str, int]:
    """The finished shards of these stages."""
    return {stage.stage: stage.shards_done for stage in status.stages if stage.stage in stages}


def follow_run(run_folder: str | Path, name: str = "", count: int = 120) -> Iterator[Path]:
    """Write the report of the stylization of that name whenever shards have been finished since, and yield its path
    each time, until all are packed. Arguments as for `write_report`."""
    watch = Watch(run_folder)
    what = open_stylization(open_run(run_folder), name)
    stages = ("render", what.stage, what.packed)
    seen: dict[str, int] = {}
    while True:
        status, start = watch.look(), time.monotonic()
        finished = _finished(status, stages)
        if finished != seen and any(finished.values()):
            yield write_report(open_run(run_folder), name, count)
            seen = finished
        if all(stage.state == "done" for stage in status.stages if stage.stage in stages):
            return
        time.sleep(max(_PAUSE_S, _REST * (time.monotonic() - start)))
