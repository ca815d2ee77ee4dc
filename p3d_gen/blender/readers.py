"""Read a CAD model of any format: its surface in the file's own axes and units, and its materials."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import bpy
import numpy as np

from blender_assets.shapes import Shape, build
from blender_assets.shapes.ply import is_parametric_ply, shape_of_ply
from p3d_gen.blender.cleaning import Surface, flat_normals, plain
from p3d_gen.blender.evaluation import as_rendered
from p3d_gen.blender.headers import check_extensions, fbx_unit_m, has_unit, is_y_up
from p3d_gen.blender.pieces import COLOURS, colour_material, read_scene
from p3d_gen.blender.readings import COLOUR, Reading, not_kept
from p3d_gen.blender.references import check_references, is_below, is_plain
from p3d_gen.blender.usd import pxr, unread_materials
from p3d_gen.core.symmetry import Symmetry
from p3d_gen.core.types import Array
from p3d_gen.run.cad_model import NORMALS, read_sidecar
from p3d_gen.run.mesh_text import check_obj
from p3d_gen.run.meshes import parse_look
from p3d_gen.run.unread import unread_looks
from p3d_gen.spec.parametric import PARAMETRIC, parse_parametric

_LIBRARY = re.compile(rb"^(?:\xef\xbb\xbf)?[ \t]*mtllib[ \t]+(\S[^\r\n]*)", re.MULTILINE)
_Y_UP = ("y", "z")
_Z_UP = ("z", "-y")
# Blender's importers turn files that are y up: (x, y, z) becomes (x, -z, y); this turns them back
_TO_Y_UP = np.array([[1.0, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
_AGAIN = {
    ".glb": "export it again as GLB 2",
    ".gltf": "export it again as glTF 2",
    ".fbx": "export it again as FBX 7.4, or as GLB 2",
    ".dae": "export it again as COLLADA 1.4, or as GLB 2",
    ".blend": "save it again with Blender 4.5 or older",
}
_USD = (".usd", ".usda", ".usdc", ".usdz")


@dataclass(frozen=True, kw_only=True)
class SourceModel:
    """The content of a CAD file.

    axes: up and front of the format, used unless the user states others.
    symmetry: see `CadModel`.
    materials: one per part name, None for a part without one; empty if the file has no materials at all.
    readings: what the materials read of their objects -> the attribute of the surface that holds it.
    unit: the length in the file that is 1 in the materials.
    unit_m: the metres that 1 in the surface means, None if the file does not say that. per_unit: the length in the
    surface that is 1 in the file: Blender reads FBX files in metres.
    warnings: texts about missing files, and about what cannot be kept.
    """

    surface: Surface
    axes: tuple[str, str]
    symmetry: Symmetry
    materials: tuple[bpy.types.Material | None, ...] = ()
    readings: dict[Reading, str] = field(default_factory=dict)
    unit: float = 1.0
    unit_m: float | None = None
    per_unit: float = 1.0
    warnings: tuple[str, ...] = ()

    def metres(self, stated_m: float | None) -> float | None:
        """Return the metres that 1 in the surface means. stated_m: those that 1 in the file is stated to mean."""
        return self.unit_m if stated_m is None else stated_m / self.per_unit


def reset() -> None:
    """Return Blender to its start: without data, and without permission to run a file's scripts and Python drivers."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.context.preferences.filepaths.use_scripts_auto_execute = False


def _reason(error: RuntimeError) -> str:
    """Return the message of an importer's error: the last line of a traceback, else the first line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip() and not line.startswith("Location:")]
    return (lines[-1] if "Traceback" in lines[0] else lines[0]).removeprefix("Error: ")


def open_file(path: Path) -> None:
    """Bring the file into the scene by Blender's own importer.

    ValueError carries the importer's message and the way out.
    """
    name, suffix = str(path), path.suffix.lower()
    check_references(path)
    if suffix in _USD:
        _check_layers(path)
    try:
        if suffix == ".obj":
            check_obj(path)
            bpy.ops.wm.obj_import(filepath=name, forward_axis="Y", up_axis="Z")
        elif suffix in (".glb", ".gltf"):
            check_extensions(path)
            bpy.ops.import_scene.gltf(filepath=name)
        elif suffix == ".fbx":
            bpy.ops.wm.fbx_import(filepath=name, use_anim=False)
        elif suffix == ".dae":
            bpy.ops.wm.collada_import(filepath=name, import_units=True)
        elif suffix == ".blend":
            bpy.ops.wm.open_mainfile(filepath=name, load_ui=False, use_scripts=False)
            if bpy.context.mode != "OBJECT":
                bpy.ops.object.mode_set(mode="OBJECT")
            bpy.ops.object.make_local(type="ALL")
        else:
            bpy.ops.wm.usd_import(filepath=name, apply_unit_conversion_scale=False, create_world_material=False)
    except RuntimeError as error:
        again = _AGAIN.get(suffix, f"export it again as {suffix[1:].upper()}")
        raise ValueError(f"{_reason(error).rstrip('.')}: the file is damaged, or of another version; {again}") from None
    for library in bpy.data.libraries:
        if library.is_missing:
            raise ValueError(f"it uses parts of {library.filepath!r}, which does not exist")


def _check_layers(path: Path) -> None:
    """Raise ValueError if a file that a USD model is composed of is a pipe or a device, before that is opened."""
    todo, seen, find = [path], {path}, pxr("Sdf").Layer.FindOrOpen
    while todo:
        try:
            layer = find(str(todo.pop()))
        except RuntimeError:
            continue  # the importer says what is wrong with it
        for name in layer.GetCompositionAssetDependencies() if layer else ():
            file = Path(layer.ComputeAbsolutePath(name))
            if not is_plain(file):
                raise ValueError(f"it refers to {str(file)!r}, which is a pipe, a device or a folder: put a file there")
            if file not in seen and file.exists():
                todo.append(file)
            seen.add(file)


def conversion(path: Path) -> tuple[tuple[str, str], Array]:
    """Return the axes of an opened file, up and front, and the matrix (4, 4) from Blender's world to the file's."""
    suffix = path.suffix.lower()
    if suffix == ".obj":
        return _Y_UP, np.eye(4)
    if suffix in (".fbx", ".dae"):
        return (_Y_UP, _TO_Y_UP) if is_y_up(path) else (_Z_UP, np.eye(4))
    if suffix not in _USD:
        return (_Y_UP, _TO_Y_UP) if suffix in (".glb", ".gltf") else (_Z_UP, np.eye(4))
    usd_geom = pxr("UsdGeom")
    stage = pxr("Usd").Stage.Open(str(path))
    y_up = usd_geom.GetStageUpAxis(stage) == usd_geom.Tokens.y
    root = stage.GetDefaultPrim()
    if root and root.HasCustomDataKey("Blender:generated"):  # the importer leaves out this root and its matrix
        matrix = np.array(usd_geom.XformCache().GetLocalToWorldTransform(root)).T
    else:
        matrix = _TO_Y_UP if y_up else np.eye(4)
    return (_Y_UP if y_up else _Z_UP), matrix


def _units(path: Path) -> tuple[float | None, float]:
    """Return `SourceModel.unit_m` and `per_unit`; after `_open`."""
    suffix, units = path.suffix.lower(), bpy.context.scene.unit_settings
    if suffix in (".glb", ".gltf"):
        return 1.0, 1.0
    if suffix == ".fbx":
        file_m = fbx_unit_m(path)
        return (None if file_m is None else 1.0), file_m or 1.0
    if suffix in _USD:
        usd_geom = pxr("UsdGeom")
        stage = pxr("Usd").Stage.Open(str(path))
        is_said = usd_geom.StageHasAuthoredMetersPerUnit(stage)
        return (float(usd_geom.GetStageMetersPerUnit(stage)) if is_said else None), 1.0
    if (suffix == ".blend" and units.system != "NONE") or (suffix == ".dae" and has_unit(path)):
        return float(f"{units.scale_length:.6g}"), 1.0  # Blender holds it as a 32 bit number
    return None, 1.0


def _missing_files(path: Path) -> tuple[str, ...]:
    """Return a warning for each missing file: a material library of an OBJ, or a file that a USD refers to."""
    if path.suffix.lower() in _USD:
        _, _, unresolved = pxr("UsdUtils").ComputeAllDependencies(str(path))
        return tuple(f"the file {name!r} that it refers to is not there" for name in sorted(unresolved))
    if path.suffix.lower() != ".obj":
        return ()
    names = sorted({name.decode(errors="replace").strip() for name in _LIBRARY.findall(path.read_bytes())})
    return tuple(
        f"the material library {name!r} that it names is not in {path.parent}"
        for name in names
        if not (path.parent / name).is_file()
    )


def _left_out(path: Path, root: Path | None) -> Iterator[str]:
    """Remove the pictures that are not plain files, or lie outside the folder of models, and yield warnings of them.

    What is packed into a .blend file, or unpacked by Blender from a .usdz archive, is part of the model.
    """
    for image in list(bpy.data.images):
        if not image.filepath or (path.suffix.lower() == ".blend" and image.packed_files):
            continue
        file = Path(bpy.path.abspath(image.filepath, library=image.library))
        is_inside = root is None or is_below(file, root) or is_below(file, Path(bpy.app.tempdir))
        is_there = file.exists() or image.source == "TILED"  # what is missing is said elsewhere
        if is_plain(file) and (is_inside or not is_there):
            continue
        name = os.path.relpath(file, path.parent)
        yield f"the picture {name!r} is left out: it " + (
            "lies outside the folder of models; put a copy beside the model, and name that in its material"
            if is_plain(file)
            else "is not a file, but a pipe, a device or a folder"
        )
        bpy.data.images.remove(image)


def _by_blender(path: Path, default: Symmetry, root: Path | None) -> SourceModel:
    """Read and join all meshes of a file that render, with modifiers and instances; its scripts do not run."""
    open_file(path)
    left_out = tuple(_left_out(path, root))
    shows_colours = path.suffix.lower() != ".blend"  # Blender's importers give such meshes no material
    surface, table, names = as_rendered(lambda depsgraph: read_scene(depsgraph, shows_colours))
    axes, matrix = conversion(path)
    unit_m, per_unit = _units(path)
    keypoints, symmetry = read_sidecar(path, default)
    materials = tuple(table.numbers)
    unread = (f"the colours {name} are read by no material" for name in table.unread)
    lost = [text for material in materials if material for text in not_kept(material)]
    if path.suffix.lower() in _USD:
        lost += unread_materials(path)
    return SourceModel(
        surface=replace(surface.turned(matrix), keypoints=keypoints),
        axes=axes,
        symmetry=symmetry,
        materials=materials if any(materials) else (),
        readings=names,
        unit=float(np.cbrt(abs(np.linalg.det(matrix[:3, :3])))),
        unit_m=unit_m,
        per_unit=per_unit,
        warnings=(*_missing_files(path), *left_out, *lost, *unread),
    )


def _by_trimesh(path: Path, default: Symmetry) -> SourceModel:
    mesh = parse_look(path)
    surface, colours = plain(mesh.vertices, mesh.faces), mesh.colours
    if path.suffix.lower() in (".ply", ".stl"):  # Blender shades these flat if they have no normals; it reads no OFF
        own = flat_normals(mesh.vertices, mesh.faces) if mesh.normals is None else mesh.normals[mesh.faces]
        surface = replace(surface, attributes={NORMALS: own})
    keypoints, symmetry = read_sidecar(path, default)
    materials: tuple[bpy.types.Material, ...] = ()
    if colours is not None:
        light = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
        rgba = np.concatenate([light, np.ones((len(light), 1))], axis=1).astype(np.float32)
        surface = replace(surface, attributes=surface.attributes | {COLOURS: rgba[mesh.faces]})
        materials = (colour_material(COLOURS),)
    return SourceModel(
        surface=replace(surface, keypoints=keypoints),
        axes=_Z_UP,
        symmetry=symmetry,
        materials=materials,
        readings={Reading(COLOUR, COLOURS): COLOURS} if materials else {},
        warnings=unread_looks(path),
    )


def _of_parametric(shape: Shape) -> SourceModel:
    surface = replace(
        plain(shape.vertices, shape.faces),
        face_part=shape.face_part.astype(np.int64),
        part_names=shape.part_names,
        keypoints=dict(shape.keypoints),
    )
    return SourceModel(surface=surface, axes=_Z_UP, symmetry=Symmetry.of_order(shape.symmetry_order))


def read(address: str, default: Symmetry, root: Path | None = None) -> SourceModel:
    """Read the CAD model at an address: a file, or `parametric:<category>?variant=<n>`.

    default: the symmetry of models that state none. root: the folder of models that it comes from, outside which no
    pictures are taken; None for no limit.

    ValueError names the fault of a file that cannot be used.
    """
    if address.startswith(PARAMETRIC):
        return _of_parametric(build(*parse_parametric(address)))
    path = Path(address)
    suffix = path.suffix.lower()
    if suffix == ".ply" and is_parametric_ply(content := path.read_bytes()):
        return _of_parametric(shape_of_ply(content))
    return _by_trimesh(path, default) if suffix in (".off", ".ply", ".stl") else _by_blender(path, default, root)
