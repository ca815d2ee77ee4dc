"""Timed renders with changed settings, for `p3dgen bench`."""

from __future__ import annotations

import time

import bpy

from p3d_gen.blender import scene
from p3d_gen.blender.protocol import TimedAnswer, TimedRequest


def timed_render(request: TimedRequest) -> TimedAnswer:
    """Build a sample's scene, change its settings, and time its render."""
    answer = scene.build(request.render)
    for path, value in request.settings.items():
        owner, _, name = path.rpartition(".")
        setattr(bpy.context.scene.path_resolve(owner), name, value)
    wall, processor = time.perf_counter(), time.process_time()
    bpy.ops.render.render(write_still=request.write)
    return TimedAnswer(render=answer, seconds=time.perf_counter() - wall, cpu_seconds=time.process_time() - processor)
