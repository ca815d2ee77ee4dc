"""Temporary folders that are removed when their process ends, however it ends.

A guard, which is a small process of its own, waits for the end of the process and removes the folder. Where the guard
is killed too, as with a whole container, the next process that makes such a folder removes it: a folder that nobody
holds a lock on belongs to a dead process. Process ids would not do, because containers may share /dev/shm.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

from p3d_gen.core.errors import RunError

RAM_DISK = Path("/dev/shm")
SCRATCH_PREFIX = "p3dgen-scratch-"
# The guard's input closes when the process ends. It is a grandchild, in a session of its own: some programs kill the
# children of a process with it (Ray), or its whole group (batch systems). Ray's agents, which write their logs into the
# folder, would look for their dead cluster for a minute.
_GUARD = """exec 3<&0
{
    trap '' TERM INT HUP QUIT
    read -r line <&3
    for words in $(grep -lsE 'ray::|/ray/' /proc/[0-9]*/cmdline); do
        process="${words%/cmdline}"
        if ls -l "$process/fd" 2>/dev/null | grep -qF -- "-> $1/"; then
            kill -9 "${process#/proc/}"
        fi
    done
    rm -rf -- "$1" || { sleep 1; rm -rf -- "$1"; }
} &"""


def temporary_parent() -> Path:
    """Return the folder of temporary files: TMPDIR, or the system's. RunError if none can be written."""
    try:
        return Path(tempfile.gettempdir())
    except OSError as error:
        raise RunError(f"no temporary folder can be written ({error}): set TMPDIR to one with free space") from None


def free_bytes(folder: Path) -> int:
    """Return the free space of the disk that holds a folder, 0 if the folder cannot be written."""
    return shutil.disk_usage(folder).free if os.access(folder, os.W_OK | os.X_OK) else 0


def _open_folder(path: Path) -> int:
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)


def sweep(parent: Path) -> None:
    """Remove the folders in `parent` that this user's dead processes left."""
    for path in parent.glob(f"{SCRATCH_PREFIX}*"):
        with suppress(OSError):  # another process's, or another one removes it at the same time
            folder = _open_folder(path)
            try:
                if os.fstat(folder).st_uid == os.geteuid():
                    fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(path)
            finally:
                os.close(folder)


def _locked_folder(parent: Path) -> tuple[Path, int]:
    """Make a folder and lock it. Another process may sweep it before it is locked, so this is looked at afterwards."""
    while True:
        path = Path(tempfile.mkdtemp(prefix=SCRATCH_PREFIX, dir=parent))
        with suppress(FileNotFoundError):
            folder = _open_folder(path)
            fcntl.flock(folder, fcntl.LOCK_SH)
            if path.exists():
                return path, folder
            os.close(folder)


class ScratchFolder:
    """A new folder in `parent`, by default in the system's folder of temporary files, until `close` or the end of this
    process.

    path: the folder. RunError if it cannot be made.
    """

    def __init__(self, parent: Path | None = None) -> None:
        """Make the folder, and remove those of dead processes beside it."""
        parent = parent or temporary_parent()
        sweep(parent)
        try:
            self.path, lock = _locked_folder(parent)
        except OSError as error:
            raise RunError(
                f"no temporary folder can be made in {parent}: {error.strerror}; free some space there, or set TMPDIR "
                "to another folder"
            ) from None
        self._held: tuple[int, ...] = (lock,)
        try:
            self._start_guard()
        except BaseException:  # SIGTERM and Ctrl-C too
            self.close()
            raise

    def _start_guard(self) -> None:
        leave, stay = os.pipe()
        self._held += (stay,)
        try:
            subprocess.run(
                ["/bin/sh", "-c", _GUARD, "p3dgen-guard", str(self.path)],
                stdin=leave,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                cwd="/",
                check=True,
            )
        finally:
            os.close(leave)

    def __enter__(self) -> Path:
        """Return the path."""
        return self.path

    def __exit__(self, *_: object) -> None:
        """Remove the folder."""
        self.close()

    def close(self) -> None:
        """Remove the folder."""
        held, self._held = self._held, ()
        if held:
            shutil.rmtree(self.path, ignore_errors=True)
        for descriptor in held:
            os.close(descriptor)
