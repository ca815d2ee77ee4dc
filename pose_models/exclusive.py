"""A folder that one process works in at a time: two trainings into one folder would mix their models."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from p3d_gen.core.errors import BusyError
from p3d_gen.run.disk import appended_file, has_name, lock_file

LOCK_FILE = ".lock"
_RANKS = ("RANK", "PMI_RANK", "OMPI_COMM_WORLD_RANK", "MV2_COMM_WORLD_RANK")  # of a process in `accelerate launch`


@contextmanager
def working_in(folder: Path) -> Iterator[None]:
    """Keep other processes out of a folder, which is made if needed, until the block ends.

    Of processes that train together, the first one does it. A folder that is empty afterwards is removed. BusyError if
    another process works there.
    """
    if next((rank for name in _RANKS if (rank := os.environ.get(name))), "0") != "0":
        yield
        return
    made = [each for each in (folder, *folder.parents) if not each.exists()]
    path = folder / LOCK_FILE
    with appended_file(path) as file:
        try:
            lock_file(file, wait=False)
        except BlockingIOError:
            file_is_ours = False
        else:
            file_is_ours = has_name(file, path)  # else it was removed in this moment by the process that had it
        if not file_is_ours:
            raise BusyError(f"{folder} is being worked on by another process: wait for it, or choose another --out")
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
            with suppress(OSError):
                for each in made:
                    each.rmdir()


def empty(folder: Path) -> None:
    """Remove everything in a folder, except its lock."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != LOCK_FILE:
            path.unlink()
