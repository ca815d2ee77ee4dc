"""The Blender process, `python -m p3d_gen.blender.worker LOG DEVICE ORDINAL PARENT`: it answers requests until stdin
closes.

Blender writes about 45 lines per render to file descriptor 1. Therefore that is redirected to the log, and the answers
are written to a copy of it. The first line says that the process is ready. The process ends with its parent.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from p3d_gen.run.processes import die_with_parent


def _redirect(log: Path) -> int:
    """Redirect all that is printed to `log`; returns a descriptor of the former stdout."""
    answers = os.dup(1)
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
    os.dup2(file, 1)
    os.dup2(file, 2)
    return answers


def main(log: Path, device: str, ordinal: int) -> None:
    """Answer the requests of `protocol` until stdin closes."""
    with os.fdopen(_redirect(log), "wb") as answers:
        # Blender believes it, but programs that start others in another folder leave it as it is.
        os.environ["PWD"] = str(Path.cwd())
        import bpy  # prints from its import on

        from p3d_gen.blender import cad, exchange, imported, looks, protocol, scene, timing
        from p3d_gen.blender.device import count_gpus, use_device

        bpy.ops.wm.read_factory_settings(use_empty=True)

        def send(message: protocol.Message) -> None:
            answers.write(protocol.encode(message))
            answers.flush()

        def advance(done: float) -> None:
            send(protocol.Advance(done))

        operations: dict[type[protocol.Message], Any] = {  # a request -> the function that takes and answers it
            protocol.PrepareRequest: lambda request: cad.prepare(request, advance),
            protocol.RenderRequest: scene.render,
            protocol.SurveyRequest: exchange.survey,
            protocol.ExportRequest: exchange.export,
            protocol.ImportRequest: imported.render,
            protocol.LooksRequest: looks.write,
            protocol.TimedRequest: timing.timed_render,
            protocol.CountGpusRequest: lambda _: protocol.CountGpusAnswer(gpus=count_gpus(device)),
        }
        send(protocol.Ready())
        for line in sys.stdin.buffer:
            try:
                use_device(device, ordinal)
                request = protocol.decode(line)
                send(operations[type(request)](request))
            except Exception as error:  # a bad model or texture fails its own request only
                send(protocol.Refusal(f"{type(error).__name__}: {error}"))


if __name__ == "__main__":
    die_with_parent(int(sys.argv[4]))
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
