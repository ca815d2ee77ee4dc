"""What the USD library that comes with Blender says about a file, and Blender's importer does not."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import bpy

_SURFACE = "UsdPreviewSurface"  # the importer reads this one, and nodes of USD's own above it; MaterialX is another set
_OWN = "Usd"


def pxr(module: str) -> Any:
    """Import a module of the USD library that comes with Blender."""
    bpy.utils.expose_bundled_modules()
    return import_module(f"pxr.{module}")


def _kind(shader: Any) -> str:
    return str(shader.GetShaderId() or shader.GetPrim().GetName())


def _kinds(shader: Any) -> Iterator[str]:
    """Yield the kinds of a shader and of all from which its inputs come, through graphs of nodes too."""
    shade = pxr("UsdShade")
    todo, seen = [shader], {shader.GetPath()}
    while todo:
        each = todo.pop()
        yield _kind(each)
        for socket in each.GetInputs():
            for attribute in shade.Utils.GetValueProducingAttributes(socket, True):
                above = shade.Shader(attribute.GetPrim())
                if above and above.GetPath() not in seen:
                    seen.add(above.GetPath())
                    todo.append(above)


def _unread(material: Any) -> list[str]:
    """Return the kinds of a material's shaders that Blender's importer does not read."""
    surface = material.ComputeSurfaceSource()[0]
    if surface and _kind(surface) == _SURFACE:
        return sorted({kind for kind in _kinds(surface) if not kind.startswith(_OWN)})
    contexts = {":".join(output.GetFullName().split(":")[1:-1]) for output in material.GetSurfaceOutputs()}
    surfaces = [material.ComputeSurfaceSource(context)[0] for context in contexts]
    return sorted({_kind(each) for each in surfaces if each})


def unread_materials(path: Path) -> Iterator[str]:
    """Yield a line about each material in use of which Blender's importer leaves out the surface or nodes."""
    usd, shade = pxr("Usd"), pxr("UsdShade")
    stage = usd.Stage.Open(str(path))  # prims live as long as it
    prims = list(usd.PrimRange.Stage(stage, usd.TraverseInstanceProxies()))
    bound, _ = shade.MaterialBindingAPI.ComputeBoundMaterials(prims)
    used = {str(each.GetPath()): each for each in bound if each}
    for path_in_file in sorted(used):
        if kinds := _unread(used[path_in_file]):
            yield (
                f"the material {path_in_file.rpartition('/')[2]!r} needs {', '.join(kinds)}, which is not read: "
                f"export it with a {_SURFACE} and baked pictures, or as GLB"
            )
