"""Files on a local disk that are whole or not there, also after a power cut, and the disk's errors in words."""

from __future__ import annotations

import errno
import io
import os
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from p3d_gen.core.errors import BusyError, RunError, unwritable

if TYPE_CHECKING:
    from typing_extensions import Buffer

_PATIENCE_S = 30.0
_GLANCE_S = 0.05
_UNKNOWN_TO_THE_SYSTEM = (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EBADF)


@contextmanager
def disk_errors(path: Path, folder: str = "") -> Iterator[None]:
    """Raise RunError if the disk refuses what the block does to write `path`. folder: of a temporary file, if the bytes
    go there first."""
    try:
        yield
    except OSError as error:
        raise unwritable(path, error, folder) from error


class DiskFile(io.FileIO):
    """A file open for reading and writing, below a buffer. RunError names `path` if the disk refuses bytes, whoever
    writes them: the buffer, a tar, or a flush."""

    def __init__(self, descriptor: int, path: Path, folder: str = "") -> None:
        """Take over a descriptor. path, folder: see `disk_errors`."""
        super().__init__(descriptor, "r+b")
        self._path, self._folder = path, folder

    def write(self, content: Buffer) -> int:
        """Write bytes; returns how many."""
        with disk_errors(self._path, self._folder):
            return super().write(content)


def lock_file(file: IO[Any] | int, *, shared: bool = False, wait: bool = True) -> None:
    """Lock an open file for as long as it is open, alone or `shared` with other readers.

    BlockingIOError if another process holds it and `wait` is False. Windows has no such locks: nothing is locked there.
    """
    if sys.platform == "win32":
        return
    import fcntl

    fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))


def has_name(file: IO[Any] | int, path: Path) -> bool:
    """Tell if an open file still has this name: another process may have renamed, removed or replaced it."""
    try:
        return os.path.samestat(os.fstat(file if isinstance(file, int) else file.fileno()), path.lstat())
    except FileNotFoundError:
        return False


def sync_folder(folder: Path) -> None:
    """Make the names in a folder last through a power cut, as far as its file system can."""
    if sys.platform == "win32":
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except PermissionError:  # a folder that may be written but not listed
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _UNKNOWN_TO_THE_SYSTEM:
            raise
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, unless they are there. They last through a power cut."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


def _is_locked(descriptor: int, partial: Path) -> bool:
    """Lock an open file. Return False if another process holds it, or if it no longer has its name."""
    try:
        lock_file(descriptor, wait=False)
    except BlockingIOError:
        return False
    return has_name(descriptor, partial)


def _remove_leftover(partial: Path) -> bool:
    """Remove the file of a killed writer. Return False if its writer is alive.

    A link is removed too, and nothing is ever written through it: another user may have put it there.
    """
    try:
        status = partial.lstat()
        if stat.S_ISDIR(status.st_mode):
            raise RunError(f"{partial} is a folder, but a file is to be written there: remove it")
        if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
            partial.unlink()
            return True
        descriptor = os.open(partial, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            if not _is_locked(descriptor, partial):
                return False
            partial.unlink()
        finally:
            os.close(descriptor)
    except FileNotFoundError:
        pass
    return True


def _create(partial: Path, path: Path, patience_s: float) -> int:
    """Create and lock the file that is to become `path`; returns its descriptor.

    Another writer is waited for: also the worker of a killed run lives on for a moment.
    """
    give_up = time.monotonic() + patience_s
    while True:
        try:
            descriptor = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)  # which follows no link
        except FileExistsError:
            if _remove_leftover(partial):
                continue
        else:
            if _is_locked(descriptor, partial):  # else somebody has just looked at it, or taken it for a leftover
                return descriptor
            os.close(descriptor)
        if time.monotonic() > give_up:
            raise BusyError(f"{path} is being written by another process; wait for it or stop it")
        time.sleep(_GLANCE_S)


@contextmanager
def renamed_file(path: Path, *, patience_s: float | None = None, optional: bool = False) -> Iterator[IO[bytes]]:
    """Open `.<name>.partial`, which becomes the local `path` at the end of the block; see `files.atomic_file`.

    patience_s: seconds for which another writer is waited for; None for some.
    """
    partial = path.with_name(f".{path.name}.partial")
    with disk_errors(path):
        make_folder(path.parent)
        raw = DiskFile(_create(partial, path, _PATIENCE_S if patience_s is None else patience_s), path)
    try:
        with io.BufferedRandom(raw) as file:
            try:
                yield file
                file.flush()
                if optional and not os.fstat(raw.fileno()).st_size:
                    partial.unlink()
                    return
                with disk_errors(path):
                    os.fsync(raw.fileno())
                    partial.replace(path)
            except BaseException:
                partial.unlink(missing_ok=True)
                raw.close()  # else the buffer would try once more to write what the disk has refused
                raise
    finally:
        raw.close()
    with disk_errors(path):
        sync_folder(path.parent)


def appended_file(path: Path) -> IO[bytes]:
    """Open a file to which lines are added, and make it if it is not there. RunError if the name is that of a link."""
    with disk_errors(path):
        make_folder(path.parent)
        if path.is_symlink():
            raise RunError(f"{path} is a link, and nothing is written through links: remove it")
        return io.BufferedRandom(
            DiskFile(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o644), path)
        )
