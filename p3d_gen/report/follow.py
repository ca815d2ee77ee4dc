"""The report of a run that is being made, written again as its shards are finished."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from p3d_gen.report import write_report
from p3d_gen.report.status import RunStatus, Watch, stage_name
from p3d_gen.run.store import open_run
from p3d_gen.stylize.stylization import open_stylization

_PAUSE_S = 5.0
_REST = 9  # it rests so many times longer than it writes, to take at most a tenth of a processor from the run


def _finished(status: RunStatus, stages: tuple[str, ...]) -> dict[str, int]:
    """Return the number of finished shards of these stages."""
    return {stage.stage: stage.shards_done for stage in status.stages if stage.stage in stages}


def follow_run(run_folder: str | Path, name: str = "", count: int = 120, out: Path | None = None) -> Iterator[Path]:
    """Write the report of a stylization whenever more shards are finished, until all are packed. Yield its path.

    The arguments are those of `write_report`.
    """
    watch = Watch(run_folder)
    stylization = open_stylization(open_run(run_folder, needs=None), name)
    stages = tuple(stage_name(folder) for folder in ("render", stylization.stage, stylization.packed))
    seen: dict[str, int] = {}
    while True:
        status, start = watch.look(), time.monotonic()
        finished = _finished(status, stages)
        if finished != seen and any(finished.values()):
            yield write_report(open_run(run_folder, needs=None), name, count, out)
            seen = finished
        if all(stage.state == "done" for stage in status.stages if stage.stage in stages):
            return
        time.sleep(max(_PAUSE_S, _REST * (time.monotonic() - start)))
