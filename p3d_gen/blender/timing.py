"""What `p3dgen bench` asks of Blender: the same scenes with other settings, timed."""

from __future__ import annotations

import time
from typing import Any

import bpy

from p3d_gen.blender import scene


def timed_render(settings: dict[str, Any], write: bool, **request: Any) -> dict[str, Any]:
    """Build a sample's scene, change settings (attribute paths below the scene, as `cycles.samples`), and render it.

    write: whether the picture is written to its target. The answer's `seconds` are those of the render call alone,
    `cpu_seconds` those of all of this process's threads in it.
    """
    answer = scene.build(**request)
    for path, value in settings.items():
        owner, _, name = path.rpartition(".")
        setattr(bpy.context.scene.path_resolve(owner), name, value)
    wall, processor = time.perf_counter(), time.process_time()
    bpy.ops.render.render(write_still=write)
    return answer | {"seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - processor}
