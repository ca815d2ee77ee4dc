"""Child processes that do not outlive this one, even if it is killed."""

from __future__ import annotations

import ctypes
import functools
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

_PR_SET_PDEATHSIG = 1


def die_with_parent(parent: int) -> None:
    """Let the kernel kill this process when its parent dies. To be called first in a child.

    parent: process id of the parent, which may be dead already. Systems other than Linux have no such setting.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


@functools.lru_cache(maxsize=1)
def _starter(process: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, "p3dgen-starter")


def start_child(command: Sequence[str], **settings: Any) -> subprocess.Popen[bytes]:
    """Start a process that calls `die_with_parent`. settings: keyword arguments of Popen.

    The kernel takes the thread that starts a child for its parent. One thread that lives as long as this process
    therefore starts all of them.
    """
    return _starter(os.getpid()).submit(lambda: subprocess.Popen[bytes](command, **settings)).result()
