"""This side of the wall: start a Blender process, send it requests, and survive its crashes and hangs."""

from __future__ import annotations

import contextlib
import os
import selectors
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil

from p3d_gen.blender.protocol import A, Refusal, Request, decode_answer, encode
from p3d_gen.blender.system import check_blender

_LAST_WORDS = 600


class BlenderError(Exception):
    """A request that Blender refused or did not survive. After a crash the message ends with Blender's last output."""


class BlenderWorker:
    """A Blender process that answers one request at a time; started by the first, and again after a crash or hang.

    timeout_s: longest duration of one request.
    recycle_after, memory_mb: number of requests, and resident memory, after which a fresh process is started.
    device: "AUTO", "CPU", or a backend of `blender.device.BACKENDS`. ordinal: number of the GPU, if there are several.
    """

    def __init__(
        self,
        timeout_s: float = 600.0,
        recycle_after: int = 1000,
        memory_mb: int = 4096,
        device: str = "AUTO",
        ordinal: int = 0,
    ) -> None:
        """Start nothing yet. DependencyError if bpy, or a system library that it loads, is not installed."""
        check_blender()
        self._timeout_s = timeout_s
        self._recycle_after, self._memory_bytes = recycle_after, memory_mb * 2**20
        self._device, self._ordinal = device, ordinal
        self._answered = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._scratch = tempfile.TemporaryDirectory(
            prefix="p3dgen-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        )

    @property
    def scratch(self) -> Path:
        """Folder for files that pass between the processes, on a RAM disk if there is one."""
        return Path(self._scratch.name)

    def __enter__(self) -> BlenderWorker:
        """Return the worker itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the worker."""
        self.close()

    def close(self) -> None:
        """End the process and remove its files."""
        self._stop()
        self._scratch.cleanup()

    def _start(self) -> subprocess.Popen[bytes]:
        self._answered = 0
        self._log = self.scratch / "blender.log"
        return subprocess.Popen(
            [sys.executable, "-m", "p3d_gen.blender.worker", str(self._log), self._device, str(self._ordinal)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def _stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _last_words(self) -> str:
        with contextlib.suppress(FileNotFoundError):
            return self._log.read_text(errors="replace")[-_LAST_WORDS:].strip()
        return ""

    def _reply(self, process: subprocess.Popen[bytes]) -> bytes:
        assert process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            if not selector.select(self._timeout_s):
                self._stop()
                raise BlenderError(f"Blender gave no answer in {self._timeout_s:g} s: {self._last_words()}")
        return process.stdout.readline()

    @property
    def memory_bytes(self) -> int:
        """Resident memory of the process, 0 if none is running."""
        return psutil.Process(self._process.pid).memory_info().rss if self._process is not None else 0

    def _recycle(self) -> None:
        """End a process that is dead, has answered enough requests, or holds too much memory."""
        if self._process is None:
            return
        dead = self._process.poll() is not None
        if dead or self._answered >= self._recycle_after or self.memory_bytes > self._memory_bytes:
            self._stop()

    def ask(self, request: Request[A]) -> A:
        """Return the answer to a request. BlenderError if it was refused, took too long, or killed the process."""
        line = encode(request)
        self._recycle()
        process = self._process = self._process or self._start()
        assert process.stdin is not None
        try:
            process.stdin.write(line)
            process.stdin.flush()
            reply = self._reply(process)
        except BrokenPipeError:
            reply = b""
        if not reply:
            code = process.wait()
            self._stop()
            raise BlenderError(f"Blender ended with status {code}: {self._last_words()}")
        self._answered += 1
        answer = decode_answer(reply, request)
        if isinstance(answer, Refusal):
            raise BlenderError(answer.reason)
        return answer
