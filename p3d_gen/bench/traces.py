"""What commands leave behind on this machine: processes, shared memory and temporary files.

Processes are known by a variable of their environment, and by their parents if they have overwritten it. The commands
have a folder of temporary files of their own. In folders that all programs share, a new entry counts as theirs unless
another process has it open. Those of torch have a process in their names, which tells them for certain.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

import psutil

from p3d_gen.run.scratch import RAM_DISK, SCRATCH_PREFIX, temporary_parent

_MARK = "P3DGEN_BENCH_MARK"
_GLANCE_S, _END_S = 0.2, 5.0
_SHOWN_CHARS = 160
_OF_TORCH = re.compile(r"torch_(\d+)_")
_GONE = (psutil.NoSuchProcess, psutil.AccessDenied, OSError)


def _shared_entries() -> set[Path]:
    """Return what lies in /dev/shm, and the scratch folders in the system's folder of temporary files."""
    ram = set(RAM_DISK.iterdir()) if RAM_DISK.is_dir() else set()
    return ram | set(Path("/tmp").glob(f"{SCRATCH_PREFIX}*")) | set(temporary_parent().glob(f"{SCRATCH_PREFIX}*"))


def _held(process: psutil.Process, paths: Collection[Path]) -> set[Path]:
    """Return those of some files and folders that a process has open, or in its memory as semaphores are."""
    held = set()
    with suppress(*_GONE):
        for link in Path(f"/proc/{process.pid}/fd").iterdir():
            with suppress(OSError):
                held.add(link.readlink())
        maps = Path(f"/proc/{process.pid}/maps").read_text(errors="replace").splitlines()
        mapped = {line.split(None, 5)[4] for line in maps}
        held |= {path for path in paths if _inode(path) in mapped}  # a semaphore is mapped under another name
    return held & set(paths)


def _inode(path: Path) -> str:
    with suppress(OSError):
        return str(path.stat().st_ino)
    return ""


class Traces:
    """The traces of all commands that are started with its environment."""

    def __init__(self, folder: Path) -> None:
        """Note what is there before. folder: an empty one, for what the commands write beside their results."""
        self._word = secrets.token_hex(8)
        self._temporary, self._cache = folder / "tmp", folder / "cache"
        for path in (self._temporary, self._cache):
            path.mkdir()
        self._before = _shared_entries()
        self._family: set[psutil.Process] = set()

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a command, with one thread for each process."""
        own = {_MARK: self._word, "TMPDIR": str(self._temporary), "XDG_CACHE_HOME": str(self._cache)}
        return {**os.environ, **own, "OMP_NUM_THREADS": "1"}

    def _is_marked(self, process: psutil.Process) -> bool:
        with suppress(*_GONE):
            return f"{_MARK}={self._word}".encode() in Path(f"/proc/{process.pid}/environ").read_bytes()
        return False

    def family(self, pid: int) -> list[psutil.Process]:
        """Return a command's living process and all that it has started."""
        with suppress(*_GONE):
            parent = psutil.Process(pid)
            members = [parent, *parent.children(recursive=True)]
            self._family.update(members)
            return members
        return []

    def processes(self) -> list[psutil.Process]:
        """Return the living processes of the commands."""
        living = []
        for process in {*psutil.process_iter(), *self._family}:
            with suppress(*_GONE):
                known = process in self._family or self._is_marked(process)
                if known and process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                    living.append(process)
        return living

    def _may_be_ours(self, path: Path) -> bool:
        torch = _OF_TORCH.match(path.name)
        return torch is None or int(torch[1]) in {process.pid for process in self._family}

    def _files(self, processes: Collection[psutil.Process]) -> Iterator[Path]:
        yield from self._temporary.iterdir()
        yield from self._cache.rglob("*.partial")
        new = _shared_entries() - self._before
        if new:
            others = [process for process in psutil.process_iter() if process not in processes]
            free = new - {path for process in others for path in _held(process, new)}
            yield from (path for path in free if self._may_be_ours(path))

    def there(self) -> dict[str, psutil.Process | Path]:
        """Return the processes and files of the commands that are there now, by a description."""
        processes = self.processes()
        traces: dict[str, psutil.Process | Path] = {}
        for process in processes:
            with suppress(*_GONE):
                traces[f"process {process.pid}: {' '.join(process.cmdline())[:_SHOWN_CHARS]}"] = process
        return traces | {f"file {path}": path for path in self._files(processes) if os.path.lexists(path)}

    def left(self, patience_s: float, known: Collection[str] = ()) -> set[str]:
        """Return the descriptions of what is there beyond `known`, and stays there for some time."""
        end = time.monotonic() + patience_s
        left = self.there().keys() - set(known)
        while left and time.monotonic() < end:
            time.sleep(_GLANCE_S)
            left &= self.there().keys()
        return left

    def remove(self) -> None:
        """End the processes, and remove the files that are theirs for certain. The others are counted no more."""
        processes = self.processes()
        for process in processes:
            with suppress(*_GONE):
                process.kill()
        psutil.wait_procs(processes, timeout=_END_S)
        for path in self._files(()):
            if path.is_relative_to(self._temporary):
                shutil.rmtree(path, ignore_errors=True)
            if path.is_relative_to(self._temporary) or path.is_relative_to(self._cache):
                with suppress(OSError):
                    path.unlink(missing_ok=True)
        self._before |= _shared_entries()
