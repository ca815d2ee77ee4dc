"""This side of the wall: start a Blender process, send it requests, and survive its crashes and hangs."""

from __future__ import annotations

import contextlib
import logging
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from p3d_gen.blender.protocol import A, Advance, Ready, Refusal, Request, decode, decode_answer, encode
from p3d_gen.blender.system import check_blender
from p3d_gen.run.processes import start_child
from p3d_gen.run.scratch import RAM_DISK, ScratchFolder, free_bytes
from p3d_gen.run.stage import worker_number

MEMORY_MB = 4096
_logger = logging.getLogger(__name__)
_LAST_WORDS = 600
_START_S = 300.0
_GLANCE_S = 0.05  # the interval between two looks at the memory
_ROOM = 4  # files that must fit where one is written: other processes write at the same time
_MB = 2**20
_CHUNK = 2**16


class BlenderError(Exception):
    """A request that Blender refused or did not survive. After a crash the message ends with Blender's last output."""


class PatienceError(BlenderError):
    """A request that took too much time."""


class _ExcessError(BlenderError):
    """A request that took too much memory."""


class BlenderWorker:
    """A Blender process that answers one request at a time; started by the first, and again after a crash or hang.

    timeout_s: longest duration of one request; the start of the process does not count.
    memory_mb: largest resident memory of the process. A request that takes more is ended and fails.
    recycle_after: number of requests after which a fresh process is started.
    device: "AUTO", "CPU", or a backend of `blender.device.BACKENDS`. ordinal: number of the GPU, if there are several.
    """

    def __init__(
        self,
        timeout_s: float = 600.0,
        recycle_after: int = 1000,
        memory_mb: int = MEMORY_MB,
        device: str = "AUTO",
        ordinal: int = 0,
    ) -> None:
        """Start nothing yet. DependencyError if bpy, or a system library that it loads, is not installed."""
        check_blender()
        self.timeout_s = timeout_s
        self._recycle_after, self._memory_bytes = recycle_after, memory_mb * _MB
        self._device, self._ordinal = device, ordinal
        self._answered = 0
        self._closed = False
        self._process: subprocess.Popen[bytes] | None = None
        self._disk = ScratchFolder()
        self._ram: ScratchFolder | None = None
        self._told = False
        self._unread = b""

    @property
    def scratch(self) -> Path:
        """Folder for files that pass between the processes, and for Blender's own temporary files."""
        return self._disk.path

    def passing_file(self, name: str, size: int) -> Path:
        """Return the path of a file of at most `size` bytes that passes between the processes.

        It lies on the RAM disk if there is one with room for it, else in `scratch`.
        """
        free = free_bytes(RAM_DISK)
        if free >= _ROOM * size:
            self._ram = self._ram or ScratchFolder(RAM_DISK)
            return self._ram.path / name
        if not self._told and worker_number() == 0:
            self._told = True
            _logger.warning(
                "%s has %.1f MB free, too little for pictures of up to %.1f MB: they pass through %s instead, which "
                "may be slower; docker run --shm-size gives more",
                RAM_DISK,
                free / _MB,
                size / _MB,
                self.scratch.parent,
            )
        return self.scratch / name

    def __enter__(self) -> BlenderWorker:
        """Return the worker itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the worker."""
        self.close()

    def close(self) -> None:
        """End the process and remove its files."""
        self._closed = True
        self._stop()
        self._disk.close()
        if self._ram:
            self._ram.close()

    def _start(self) -> subprocess.Popen[bytes]:
        """Start a process, and wait until it is ready."""
        self._answered, self._unread = 0, b""
        self._log = self.scratch / "blender.log"
        words = (str(self._log), self._device, str(self._ordinal), str(os.getpid()))
        process = self._process = start_child(
            [sys.executable, "-m", "p3d_gen.blender.worker", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "TMPDIR": str(self.scratch)},
        )
        ready = decode(self._reply(process, _START_S, None))
        assert isinstance(ready, Ready)
        return process

    def _stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _last_words(self) -> str:
        with contextlib.suppress(FileNotFoundError):
            return self._log.read_text(errors="replace")[-_LAST_WORDS:].strip()
        return ""

    def _reply(
        self, process: subprocess.Popen[bytes], patience_s: float, memory_bytes: int | None, start: float | None = None
    ) -> bytes:
        """Return the next line of the process. BlenderError if it ends, takes too long or too much memory.

        start: when the patience began, by default now.
        """
        assert process.stdout is not None
        end = (time.monotonic() if start is None else start) + patience_s
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while b"\n" not in self._unread:
                if selector.select(max(0.0, min(_GLANCE_S, end - time.monotonic()))):
                    chunk = os.read(process.stdout.fileno(), _CHUNK)
                    if not chunk:
                        break
                    self._unread += chunk
                    continue
                if memory_bytes is not None and self.memory_bytes > memory_bytes:
                    self._stop()
                    raise _ExcessError(
                        f"Blender took more than the {memory_bytes // _MB} MB of --memory-mb within one request and "
                        "was ended: raise --memory-mb, or make the model or its pictures smaller"
                    )
                if time.monotonic() >= end:
                    self._stop()
                    raise PatienceError(f"Blender gave no answer in {patience_s:g} s: {self._last_words()}")
        line, end_of_line, rest = self._unread.partition(b"\n")
        if end_of_line:
            self._unread = rest
            return line
        code = process.wait()
        self._stop()
        raise BlenderError(f"Blender ended with status {code}: {self._last_words()}")

    @property
    def memory_bytes(self) -> int:
        """Resident memory of the process, 0 if none is running."""
        with contextlib.suppress(psutil.NoSuchProcess):
            return psutil.Process(self._process.pid).memory_info().rss if self._process is not None else 0
        return 0

    def _recycle(self) -> None:
        """End a process that is dead, has answered enough requests, or holds too much memory."""
        if self._process is None:
            return
        dead = self._process.poll() is not None
        if dead or self._answered >= self._recycle_after or self.memory_bytes > self._memory_bytes:
            self._stop()

    def _exchange(self, line: bytes, on_advance: Callable[[float], None]) -> bytes:
        """Send a line to the process, which is started if none runs, and return the line that answers it."""
        if self._closed:
            raise BlenderError("this worker is closed")
        process = self._process or self._start()
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # then there is no answer either
            process.stdin.write(line)
            process.stdin.flush()
        start = time.monotonic()
        while True:
            reply = self._reply(process, self.timeout_s, self._memory_bytes, start)
            if not isinstance(message := decode(reply), Advance):
                return reply
            on_advance(message.done)

    def ask(self, request: Request[A], on_advance: Callable[[float], None] = lambda done: None) -> A:
        """Return the answer to a request. BlenderError if it was refused, took too long or too much memory, or killed
        the process. on_advance: called with the share of the work that is done, whenever Blender tells it."""
        line = encode(request)
        self._recycle()
        fresh = self._process is None
        try:
            reply = self._exchange(line, on_advance)
        except _ExcessError:
            if fresh:
                raise
            reply = self._exchange(line, on_advance)  # earlier requests may have left something in memory
        self._answered += 1
        answer = decode_answer(reply, request)
        if isinstance(answer, Refusal):
            raise BlenderError(answer.reason)
        return answer
