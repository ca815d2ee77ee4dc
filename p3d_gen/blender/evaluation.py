"""The scene as Blender renders it: modifiers, instances and visibility of a render, not those of the viewport."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar, TypeVar

import bpy

T = TypeVar("T")
_SIDE_PX = 4


class _Reader(bpy.types.RenderEngine):  # type: ignore[misc]  # bpy has no types
    """A render engine that draws nothing: Blender shows the evaluated scene of a render to engines only."""

    bl_idname = "P3DGEN_READER"
    bl_label = "p3dgen reader"
    read: ClassVar[Callable[[bpy.types.Depsgraph], Any] | None] = None
    results: ClassVar[list[Any]] = []
    errors: ClassVar[list[Exception]] = []

    def render(self, depsgraph: bpy.types.Depsgraph) -> None:
        """Call the reader; Blender would only print its exception, so that is kept."""
        reader = type(self).read
        assert reader is not None
        try:
            self.results.append(reader(depsgraph))
        except Exception as error:
            self.errors.append(error)


def as_rendered(read: Callable[[bpy.types.Depsgraph], T]) -> T:
    """Return the result of `read`, called with the dependency graph of a render of the open file.

    Its objects may be used within the call only. What a file would write when it renders is switched off.
    """
    if "bl_rna" not in vars(_Reader):  # not yet registered
        bpy.utils.register_class(_Reader)
    scene, layer = bpy.context.scene, bpy.context.view_layer
    if scene.camera is None:  # Blender renders nothing without one
        scene.camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    render = scene.render
    render.engine, render.use_persistent_data, render.use_freestyle = _Reader.bl_idname, False, False
    render.use_compositing = render.use_sequencer = render.use_border = render.use_multiview = False
    render.resolution_x = render.resolution_y = _SIDE_PX
    render.resolution_percentage = 100
    _Reader.read, _Reader.results, _Reader.errors = read, [], []
    try:
        bpy.ops.render.render(scene=scene.name, layer=layer.name)
        if _Reader.errors:
            raise _Reader.errors[0]
        if not _Reader.results:
            raise ValueError("Blender cannot evaluate its scene for a render")
        result: T = _Reader.results[0]
        return result
    finally:
        _Reader.read, _Reader.results, _Reader.errors = None, [], []


def _is_seen(item: bpy.types.Object, layer: bpy.types.ViewLayer) -> bool:
    """Return False for what a camera does not see as an object: holdouts, shadow catchers, helpers of the light."""
    original = item.original
    return (
        item.visible_camera
        and not item.is_holdout
        and not item.is_shadow_catcher
        and not original.holdout_get(view_layer=layer)
        and not original.indirect_only_get(view_layer=layer)
    )


def rendered_meshes(depsgraph: bpy.types.Depsgraph) -> Iterator[bpy.types.DepsgraphObjectInstance]:
    """Yield the meshes that a camera sees, instances included. Each is valid until the next one."""
    layer = bpy.context.view_layer
    for instance in depsgraph.object_instances:
        shown = (instance.object, *((instance.parent,) if instance.is_instance and instance.parent else ()))
        if instance.show_self and instance.object.type == "MESH" and all(_is_seen(item, layer) for item in shown):
            yield instance
