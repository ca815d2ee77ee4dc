"""Commands of the project as processes that are quickly started: a server has the modules loaded, and forks for each.

The command itself runs in a process of its own, from its arguments to its exit status, like one that was started anew.
Only the reading of the modules, seconds for torch, is done once.

`python -m p3d_gen.bench.forked MODULE PRELOADED...` is the server of the command line in MODULE. It reads requests as
JSON from stdin, a line each: `args`, `cwd`, and the files `out` and `err`. It answers with the exit status.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from p3d_gen.core.errors import DependencyError
from p3d_gen.run.processes import die_with_parent, start_child

_MODULES = {
    "p3dgen": ("p3d_gen.cli", "p3d_gen.api", "p3d_gen.verify", "p3d_gen.dataset.build", "p3d_gen.export.inputs"),
    "pose-models": ("pose_models.cli", "pose_models.api", "pose_models.learning", "pose_models.adaptation"),
}


class Server:
    """A server of the commands of one program, p3dgen or pose-models. It ends with the block."""

    def __init__(self, program: str) -> None:
        """Start it. DependencyError if the program is not installed."""
        words = [sys.executable, "-m", "p3d_gen.bench.forked", *_MODULES[program]]
        self._process = start_child(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        if self._answer() != 0:
            raise DependencyError(f"{program} cannot be started: `pip install 'p3dgen[pose]'` has it")

    def __enter__(self) -> Server:
        """Return the server."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """End the server."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def _answer(self) -> int | None:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        return int(line) if line.strip() else None

    def run(self, args: Sequence[str], cwd: Path) -> subprocess.CompletedProcess[str]:
        """Run a command in a folder; return its exit status and output."""
        assert self._process.stdin is not None
        with tempfile.NamedTemporaryFile() as out, tempfile.NamedTemporaryFile() as err:
            request = {"args": list(args), "cwd": str(cwd), "out": out.name, "err": err.name}
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
            status = self._answer()
            assert status is not None, "the server has ended"
            said, told = (Path(file.name).read_text(errors="replace") for file in (out, err))
            return subprocess.CompletedProcess(args, status, said, told)


def _become(command_line: Any, request: dict[str, Any], server: int) -> None:
    """Run a command in this process, and end it."""
    die_with_parent(server)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(os.open(request["out"], os.O_WRONLY), 1)
    os.dup2(os.open(request["err"], os.O_WRONLY), 2)
    os.chdir(request["cwd"])
    sys.argv[1:] = request["args"]
    command_line.main(request["args"])


def _serve(module: str, preloaded: Sequence[str]) -> None:
    try:
        command_line = importlib.import_module(module)
        for name in preloaded:
            importlib.import_module(name)
    except ImportError as error:
        print(error, file=sys.stderr)
        print(1, flush=True)
        return
    print(0, flush=True)
    server = os.getpid()
    for line in sys.stdin:
        child = os.fork()
        if not child:
            _become(command_line, json.loads(line), server)
            sys.exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    _serve(sys.argv[1], sys.argv[2:])
