"""The Blender process: `python -m p3d_gen.blender.worker LOG DEVICE ORDINAL` answers JSON lines on stdin until that
closes.

Blender writes about 45 lines per render to file descriptor 1, so that is turned to the log and the answers go out on
a copy of it.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


def _redirect(log: Path) -> int:
    """Send everything printed to `log`; returns a descriptor of the former stdout."""
    answers = os.dup(1)
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
    os.dup2(file, 1)
    os.dup2(file, 2)
    return answers


def main(log: Path, device: str, ordinal: int) -> None:
    """Answer requests: {"op": "prepare" | "render" | ..., ...} -> the result, or {"error": reason}."""
    with os.fdopen(_redirect(log), "w") as answers:
        import bpy  # chatty from its import on

        from p3d_gen.blender import cad, exchange, scene, timing
        from p3d_gen.blender.device import count_gpus, use_device

        bpy.ops.wm.read_factory_settings(use_empty=True)
        operations: dict[str, Callable[..., dict[str, Any]]] = {
            "prepare": cad.prepare,
            "render": scene.render,
            "survey": exchange.survey,
            "export": exchange.export,
            "time": timing.timed_render,
            "count_gpus": lambda: {"gpus": count_gpus(device)},
        }
        for line in sys.stdin:
            request = json.loads(line)
            try:
                use_device(device, ordinal)
                answer = operations[request.pop("op")](**request)
            except Exception as error:  # whatever a model or texture provokes costs this request alone
                answer = {"error": f"{type(error).__name__}: {error}"}
            answers.write(json.dumps(answer) + "\n")
            answers.flush()
    shutil.rmtree(log.parent, ignore_errors=True)  # the parent was killed, or it would have ended this process


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
