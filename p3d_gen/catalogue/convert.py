"""Conversion of CAD models to files of the plain layout, <out>/<category>/<id>.<suffix>, normalised."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import trimesh

from blender_assets.shapes import Shape, build
from blender_assets.shapes.ply import ply_bytes
from p3d_gen.blender.client import BlenderError, BlenderWorker
from p3d_gen.blender.protocol import ExportRequest
from p3d_gen.catalogue.check import discard, prepare, reason
from p3d_gen.core.categories import CategoryDefinition, definition_of
from p3d_gen.core.errors import AssetError
from p3d_gen.core.outputs import check_outputs
from p3d_gen.core.symmetry import Symmetry
from p3d_gen.run.cad_model import CadModel, load_cad, materials_file
from p3d_gen.run.files import write_bytes
from p3d_gen.spec.inventory import Asset
from p3d_gen.spec.layouts import CAD_SUFFIXES
from p3d_gen.spec.licences import UNKNOWN, asset_licence, is_own_ply
from p3d_gen.spec.parametric import parse_parametric

# GLB is y up, front z; object axes are z up, front -y
_GLB_FROM_OBJECT = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])


def _own_ply(model: CadModel) -> bytes:
    shape = Shape(
        vertices=model.vertices,
        faces=model.faces.astype(np.int64),
        face_part=model.face_part.astype(np.int16),
        part_names=model.part_names,
        keypoints=model.keypoints,
        symmetry_order=model.symmetry_order,
    )
    return ply_bytes(shape)


def _plain_ply(model: CadModel) -> bytes:
    mesh = trimesh.Trimesh(model.vertices, model.faces, process=False)
    return bytes(mesh.export(file_type="ply", vertex_normal=False))


def _glb(worker: BlenderWorker, cad: Path) -> bytes:
    target = worker.scratch / "model.glb"
    worker.ask(ExportRequest(cad=cad, target=target))
    return target.read_bytes()


def _sidecar(model: CadModel, category: str, suffix: str) -> bytes:
    """Return keypoints and symmetry as the JSON of `<id>.keypoints.json`, in the axes of the new file.

    Empty if the model has only the defaults.
    """
    turn = _GLB_FROM_OBJECT if suffix == ".glb" else np.eye(3)
    entries: dict[str, object] = {name: (turn @ point).tolist() for name, point in model.keypoints.items()}
    symmetry = model.symmetry.canonical()
    if symmetry != definition_of(category, {}).symmetry.canonical():
        is_about_z = symmetry == Symmetry.of_order(model.symmetry_order).canonical()
        entries |= {"symmetry_order": model.symmetry_order} if is_about_z else {"symmetry": symmetry.texts()}
    return (json.dumps(entries, indent=2) + "\n").encode() if entries else b""


def _write(folder: Path, name: str, suffix: str, content: bytes, sidecar: bytes = b"") -> Path:
    """Write a model, keypoints first. Raise AssetError if a file of that name with another suffix exists already."""
    target = folder / f"{name}{suffix}"
    twins = [path for other in CAD_SUFFIXES if other != suffix and (path := target.with_suffix(other)).exists()]
    if twins:
        raise AssetError(f"{twins[0]} exists already: remove it, or choose another --out")
    notes = folder / f"{name}.keypoints.json"
    if sidecar:
        write_bytes(notes, sidecar)
    else:
        notes.unlink(missing_ok=True)
    write_bytes(target, content)
    return target


def _write_licence(model: Path, licence: str) -> None:
    """Write the licence of a new file next to it, if it is known."""
    path = model.with_name(f"{model.name}.license")
    if licence == UNKNOWN:
        path.unlink(missing_ok=True)
    else:
        write_bytes(path, f"SPDX-License-Identifier: {licence}\n".encode())


def _convert_file(
    worker: BlenderWorker, definition: CategoryDefinition, asset: Asset, folder: Path, root: Path | None
) -> Path:
    cad = prepare(worker, definition, asset, root)
    try:
        model = load_cad(cad)
        if is_own_ply(asset.path):
            return _write(folder, asset.id, ".ply", _own_ply(model))
        if materials_file(cad).exists() or model.native_uv.any():
            return _write(folder, asset.id, ".glb", _glb(worker, cad), _sidecar(model, definition.name, ".glb"))
        return _write(folder, asset.id, ".ply", _plain_ply(model), _sidecar(model, definition.name, ".ply"))
    finally:
        discard(cad)


def _check_sources(cads: dict[str, tuple[Asset, ...]], out: Path) -> None:
    """Raise RunError if a file of a model that is read would be overwritten or removed."""
    sources, targets = [], []
    for category, assets in cads.items():
        for asset in assets:
            targets += [out / category / f"{asset.id}{suffix}" for suffix in (".ply", ".glb", ".keypoints.json")]
            if not asset.is_parametric:
                sources += [asset.path, asset.path.with_name(f"{asset.path.stem}.keypoints.json")]
    check_outputs(targets, sources, is_own=True)


def convert(
    worker: BlenderWorker,
    cads: dict[str, tuple[Asset, ...]],
    out: Path,
    roots: Mapping[str, Path | None],
    definitions: Mapping[str, CategoryDefinition],
) -> Iterator[tuple[Asset, Path | None, str]]:
    """Write every model below `out`. Yield each with its new file, or with None and the reason of its failure.

    A parametric shape, or a file written from one, becomes PLY with its parts and keypoints. A model with materials or
    texture coordinates becomes GLB, any other PLY. Keypoints from a file next to the model are copied, and so is its
    licence, as <file>.license, if the source states one. roots: the source of each asset by its address, see
    `asset_licence`. definitions: of the categories that are not built in. RunError before anything is written if a
    source lies where its new file would.
    """
    _check_sources(cads, out)
    for category, assets in cads.items():
        for asset in assets:
            folder, definition = out / category, definition_of(category, definitions)
            try:
                if asset.is_parametric:
                    path = _write(folder, asset.id, ".ply", ply_bytes(build(*parse_parametric(asset.address))))
                else:
                    path = _convert_file(worker, definition, asset, folder, roots.get(asset.address))
                    _write_licence(path, asset_licence(asset, roots.get(asset.address)).id)
                yield asset, path, ""
            except (AssetError, BlenderError) as error:
                yield asset, None, reason(error)
