"""Conversion of CAD models to files of the plain layout, <out>/<category>/<id>.<suffix>, normalised."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import tomli_w
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
from p3d_gen.run.shares import OnShare, unheard, whole
from p3d_gen.spec.definitions import category_data
from p3d_gen.spec.inventory import Asset
from p3d_gen.spec.layouts import CAD_SUFFIXES
from p3d_gen.spec.licences import UNKNOWN, asset_licence, is_own_ply
from p3d_gen.spec.parametric import parse_parametric
from p3d_gen.spec.side_files import CATEGORY_FILE, category_keys, model_file

_logger = logging.getLogger(__name__)
_MADE = (".ply", ".glb", ".keypoints.json", ".toml")
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


def _glb(worker: BlenderWorker, cad: Path, name: str) -> bytes:
    """Return a prepared model as GLB, and tell what is lost of its materials. name: of its new file, for the log."""
    target = worker.scratch / "model.glb"
    for line in worker.ask(ExportRequest(cad=cad, target=target)).lost:
        _logger.warning("%s: material %s", name, line)
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


def _side_file(model: CadModel, suffix: str) -> bytes:
    """Return the size and the stated kinds of parts as the content of `<id>.toml`; a GLB would count in metres."""
    unit = model.diagonal_m or ("unknown" if suffix == ".glb" else None)
    stated = ({"unit": unit} if unit else {}) | ({"parts": model.stated_kinds} if model.stated_kinds else {})
    return tomli_w.dumps(stated).encode() if stated else b""


def _write(folder: Path, name: str, suffix: str, content: bytes, model: CadModel | None = None) -> Path:
    """Write a file, and first what its format cannot hold of a model, beside it.

    Raise AssetError if a file of that name with another suffix exists already.
    """
    target = folder / f"{name}{suffix}"
    twins = [path for other in CAD_SUFFIXES if other != suffix and (path := target.with_suffix(other)).exists()]
    if twins:
        raise AssetError(f"{twins[0]} exists already: remove it, or choose another --out")
    beside = {
        folder / f"{name}.keypoints.json": _sidecar(model, folder.name, suffix) if model else b"",
        model_file(target): _side_file(model, suffix) if model else b"",
    }
    for path, text in beside.items():
        if text:
            write_bytes(path, text)
        else:
            path.unlink(missing_ok=True)
    write_bytes(target, content)
    return target


def _write_definition(folder: Path, definition: CategoryDefinition) -> None:
    """Write `category.toml`, if a category needs one. Raise AssetError if it holds another definition already."""
    path, data = folder / CATEGORY_FILE, category_data(definition)
    if data and path.exists() and category_keys(path) != data:
        raise AssetError(f"{path} defines {definition.name} otherwise: remove it, or choose another --out")
    if data and not path.exists():
        write_bytes(path, tomli_w.dumps(data).encode())


def _write_licence(model: Path, licence: str) -> None:
    """Write the licence of a new file next to it, if it is known."""
    path = model.with_name(f"{model.name}.license")
    if licence == UNKNOWN:
        path.unlink(missing_ok=True)
    else:
        write_bytes(path, f"SPDX-License-Identifier: {licence}\n".encode())


def _convert_file(
    worker: BlenderWorker,
    definition: CategoryDefinition,
    asset: Asset,
    folder: Path,
    root: Path | None,
    on_share: OnShare,
) -> Path:
    cad = prepare(worker, definition, asset, root, on_share)
    try:
        model = load_cad(cad)
        if is_own_ply(asset.path):
            return _write(folder, asset.id, ".ply", _own_ply(model))
        if materials_file(cad).exists() or model.native_uv.any():
            return _write(folder, asset.id, ".glb", _glb(worker, cad, f"{folder.name}/{asset.id}.glb"), model)
        return _write(folder, asset.id, ".ply", _plain_ply(model), model)
    finally:
        discard(cad)


def _convert(
    worker: BlenderWorker,
    definition: CategoryDefinition,
    asset: Asset,
    folder: Path,
    root: Path | None,
    on_share: OnShare,
) -> Path:
    """Write one model and its licence below `folder`, and return its file."""
    if asset.is_parametric:
        return _write(folder, asset.id, ".ply", ply_bytes(build(*parse_parametric(asset.address))))
    path = _convert_file(worker, definition, asset, folder, root, on_share)
    _write_licence(path, asset_licence(asset, root).id)
    return path


def _check_sources(cads: dict[str, tuple[Asset, ...]], out: Path) -> None:
    """Raise RunError if a file of a model that is read would be overwritten or removed."""
    sources, targets = [], []
    for category, assets in cads.items():
        for asset in assets:
            targets += [out / category / f"{asset.id}{suffix}" for suffix in _MADE]
            if not asset.is_parametric:
                keypoints = asset.path.with_name(f"{asset.path.stem}.keypoints.json")
                sources += [asset.path, keypoints, model_file(asset.path)]
    check_outputs(targets, sources, is_own=True)


def convert(
    worker: BlenderWorker,
    cads: dict[str, tuple[Asset, ...]],
    out: Path,
    roots: Mapping[str, Path | None],
    definitions: Mapping[str, CategoryDefinition],
    on_share: OnShare = unheard,
) -> Iterator[tuple[Asset, Path | None, str]]:
    """Write every model below `out`. Yield each with its new file, or with None and the reason of its failure.

    A parametric shape, or a file written from one, becomes PLY with its parts and keypoints. A model with materials or
    texture coordinates becomes GLB, any other PLY. Beside them are written what is known of keypoints, symmetry, size
    and kinds of parts, the licence as <file>.license, and category.toml for a definition that is not built in. roots:
    the source of each asset by its address, see `asset_licence`. definitions: of the categories that are not built in.
    on_share: called with shares of models as they are done, which add up to the number of models.
    Before a model is written, RunError if a source lies where its new file would, AssetError if category.toml is there
    and defines the category otherwise.
    """
    _check_sources(cads, out)
    for category in cads:
        _write_definition(out / category, definition_of(category, definitions))
    for category, assets in cads.items():
        for asset in assets:
            definition, root = definition_of(category, definitions), roots.get(asset.address)
            path, fault = None, ""
            with whole(on_share) as advance:
                try:
                    path = _convert(worker, definition, asset, out / category, root, advance)
                except (AssetError, BlenderError) as error:
                    fault = reason(error)
            yield asset, path, fault
