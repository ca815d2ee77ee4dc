"""The sources that a manifest names, listed: its CAD models, textures, environment maps, backgrounds and viewpoints."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from fnmatch import fnmatch
from importlib.resources import files
from pathlib import Path

from blender_assets.shapes import CATEGORIES as PARAMETRIC_CATEGORIES
from p3d_gen.core.categories import CategoryDefinition, own_definitions
from p3d_gen.core.digest import digest
from p3d_gen.core.errors import AssetError, DependencyError
from p3d_gen.core.folders import files_below, visible
from p3d_gen.core.types import Viewpoint
from p3d_gen.spec.axes import AxesFrom, UnitFrom, default_axes
from p3d_gen.spec.definitions import define
from p3d_gen.spec.inventory import OCCLUDERS, Asset, Inventory
from p3d_gen.spec.layouts import (
    CAD_SUFFIXES,
    Model,
    categories_of,
    category_models,
    model_id,
    recognise,
    warn_of_folders,
)
from p3d_gen.spec.manifest import Manifest, resolve_file, resolve_folder
from p3d_gen.spec.own_ids import with_own_ids
from p3d_gen.spec.parametric import parametric_address
from p3d_gen.spec.sections import EMBEDDED
from p3d_gen.spec.side_files import ModelFile, side_file
from p3d_gen.spec.viewpoint_files import read_viewpoints

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
ENVIRONMENT_SUFFIXES = (".hdr", ".exr")


def embedded_folder(kind: str) -> Path:
    """Return the folder of the defaults that come with the package: kind `textures` or `stylizer`."""
    return Path(str(files("blender_assets"))) / kind


def blender_environments() -> Path:
    """Return the folder of the CC0 environment maps that the bpy package ships, found without importing bpy.

    Raise DependencyError if bpy is not installed or ships none.
    """
    spec = importlib.util.find_spec("bpy")
    if spec is None or spec.origin is None:
        raise DependencyError(
            "the embedded environment maps come with the package bpy, which is not installed: "
            "pip install 'p3dgen[render]' (CPython 3.11), or name a folder as source"
        )
    for folder in Path(spec.origin).parent.glob("*/datafiles/studiolights/world"):
        return folder
    raise DependencyError(f"the bpy package at {spec.origin} ships no environment maps: name a folder as source")


def _find(folder: Path, suffixes: Iterable[str], key: str) -> tuple[Asset, ...]:
    """Return the files below `folder` with one of the suffixes, sorted by id.

    Raise AssetError if there is none, or if two files have the same id.
    """
    wanted = set(suffixes)
    paths = files_below(folder, wanted)
    assets = {path.relative_to(folder).with_suffix("").as_posix(): path for path in paths}
    if not assets:
        raise AssetError(f"{key}: the folder {folder} holds no {', '.join(sorted(wanted))} file; name another folder")
    if len(assets) < len(paths):
        twins = sorted(str(path) for path in set(paths) - set(assets.values()))
        raise AssetError(f"{key}: {twins[0]} and another file differ in their suffix only; rename one of them")
    return tuple(Asset(id=name, address=str(assets[name])) for name in sorted(assets))


def parametric_assets(category: str, variants: Iterable[int]) -> tuple[Asset, ...]:
    """Return the parametric shapes of a category. Raise AssetError if the library has none of it."""
    if category not in PARAMETRIC_CATEGORIES:
        raise AssetError(
            f"the parametric library has no shapes of {category!r}, only of {', '.join(PARAMETRIC_CATEGORIES)}: "
            "name a folder of CAD models as cad.source"
        )
    return tuple(Asset(id=f"{category}_{n:05d}", address=parametric_address(category, n)) for n in variants)


def file_asset(
    model: Model,
    up: str = "auto",
    front: str = "auto",
    axes_from: AxesFrom = "manifest",
    unit_m: float | None = None,
) -> Asset:
    """Return the asset of a CAD model's file.

    up, front: unless "auto", they go before the model's side file, that before its layout, and that before its format.
    axes_from: who states them. unit_m: unless None, the manifest's unit, which goes before the side file's.
    A side file that is not valid is refused when the model is prepared: models that cannot be used may be left out.
    """
    stated = ModelFile()
    unit_from: UnitFrom = "file"
    with suppress(AssetError):
        stated = side_file(model.path)
    if unit_m is not None:
        unit_from = "manifest"
    elif stated.unit_m is not None:
        unit_m, unit_from = stated.unit_m, "side file"
    if up == "auto":
        if stated.up is not None and stated.front is not None:
            up, front, axes_from = stated.up, stated.front, "side file"
        elif model.up != "auto":
            up, front, axes_from = model.up, model.front, "layout"
        else:
            (up, front), axes_from = default_axes(model.path), "format"
    return Asset(
        id=model.id,
        address=str(model.path),
        up=up,
        front=front,
        axes_from=axes_from,
        unit_m=unit_m,
        unit_from=unit_from,
    )


def folder_cads(
    root: Path,
    layout: str,
    category: str,
    up: str,
    front: str,
    axes_from: AxesFrom = "manifest",
    unit_m: float | None = None,
    quarantine: bool = False,
) -> tuple[Asset, ...]:
    """Return the CAD models of a category in a folder, with axes and unit as in `file_asset`.

    quarantine: see `category_models`.
    """
    models = category_models(root, layout, category, quarantine)
    return tuple(file_asset(model, up, front, axes_from, unit_m) for model in models)


def _included(include: tuple[str, ...], assets: tuple[Asset, ...], key: str) -> tuple[Asset, ...]:
    """Return the assets whose id matches one of the glob patterns of `key`. Raise AssetError if none does."""
    chosen = tuple(asset for asset in assets if any(fnmatch(asset.id, glob) for glob in include))
    if not chosen:
        raise AssetError(f"{key} = {list(include)}: none of {[asset.id for asset in assets]} matches")
    return chosen


def with_max_faces(assets: tuple[Asset, ...], max_faces: int | None) -> tuple[Asset, ...]:
    """Return CAD models that are to be reduced to so many faces; as they are for None."""
    return assets if max_faces is None else tuple(replace(asset, max_faces=max_faces) for asset in assets)


def take_cads(manifest: Manifest, base_dir: Path) -> dict[str, tuple[Asset, ...]]:
    """Return the CAD models that a manifest may draw, by category. Raise AssetError if a category has none."""
    cad = manifest.cad
    if cad.source == EMBEDDED:
        if cad.up != "auto":
            raise AssetError(
                "cad.up and cad.front are for folders; embedded shapes have their own axes: leave both out"
            )
        if cad.unit is not None:
            raise AssetError("cad.unit is for folders; embedded shapes have no size in metres: leave it out")
        models = {category: parametric_assets(category, range(*cad.variants)) for category in manifest.categories}
    else:
        root = resolve_folder(cad.source, base_dir, "cad.source")
        layout = recognise(root, manifest.categories) if cad.layout == "auto" else cad.layout
        models = {
            name: folder_cads(root, layout, name, cad.up, cad.front, unit_m=cad.unit_m, quarantine=cad.quarantine)
            for name in manifest.categories
        }
    chosen = {
        category: with_max_faces(_included(cad.include, assets, "cad.include"), cad.max_faces)
        for category, assets in models.items()
    }
    occluders = take_occluders(manifest, base_dir)
    return chosen | ({OCCLUDERS: occluders} if occluders else {})


def take_occluders(manifest: Manifest, base_dir: Path) -> tuple[Asset, ...]:
    """Return the CAD models of occlusion.source, <category>_<id> of a layout with categories; () for embedded shapes.

    Raise AssetError if it holds none, or if two share an id and `cad.quarantine` does not leave one of them out.
    """
    source = manifest.occlusion.source
    if source == EMBEDDED:
        return ()
    root = resolve_folder(source, base_dir, "occlusion.source")
    quarantine = manifest.cad.quarantine
    models = [file_asset(flat_model(path)) for path in sorted(visible(root.iterdir(), root, CAD_SUFFIXES))]
    if models:
        warn_of_folders(root)
    else:
        layout = recognise(root)
        for category in categories_of(root, layout):
            assets = folder_cads(root, layout, category, "auto", "auto", quarantine=quarantine)
            models += [replace(asset, id=f"{category}_{asset.id}") for asset in assets]
    if not models:
        raise AssetError(f"occlusion.source: the folder {root} holds no CAD model; name another folder")
    return tuple(sorted(with_own_ids(models, quarantine), key=lambda asset: asset.id))


def flat_model(path: Path) -> Model:
    """Return the model of a file that lies in no layout."""
    return Model(id=model_id(path.stem), path=path, up="auto", front="auto")


def a_file(models: Iterable[Asset]) -> Path | None:
    """Return the file of one of the models, None if all are computed or not there."""
    return next((model.path for model in models if model.is_here and not model.is_parametric), None)


def take_definitions(
    manifest: Manifest, cads: Mapping[str, Sequence[Asset]]
) -> tuple[dict[str, CategoryDefinition], list[str]]:
    """Return the definitions that are not built in, and a line about each category that nothing defines.

    ConfigError if the ranges of one do not fit the manifest's camera.
    """
    pairs = {name: define(name, manifest.category.get(name), a_file(cads[name])) for name in cads if name != OCCLUDERS}
    for definition, _ in pairs.values():
        manifest.camera.of(definition)
    return own_definitions(each for each, _ in pairs.values()), [line for _, line in pairs.values() if line]


def _listed_pictures(labels: Path, splits: Iterable[str]) -> set[str]:
    """Return the ids that the list files of a folder name, one picture per line. Raise AssetError if a list is missing.

    A list is <split>1.txt, the first of DTD's ten partitions, or <split>.txt. Only one partition is used because they
    overlap: two of them would mix train and test.
    """
    ids: set[str] = set()
    for split in splits:
        path = next((path for path in (labels / f"{split}1.txt", labels / f"{split}.txt") if path.is_file()), None)
        if path is None:
            raise AssetError(
                f"texture.split: there is no {labels}/{split}1.txt or {labels}/{split}.txt; "
                "name a DTD release as texture.source, or leave texture.split out"
            )
        lines = path.read_text(encoding="utf-8-sig", errors="replace").split("\n")
        ids |= {Path(line.strip()).with_suffix("").as_posix() for line in lines if line}
    return ids


def texture_folder(manifest: Manifest, base_dir: Path) -> Path:
    """Return the folder of the textures' pictures: images/ of a DTD release, which also holds labels/."""
    source = manifest.texture.source
    root = embedded_folder("textures") if source == EMBEDDED else resolve_folder(source, base_dir, "texture.source")
    is_release = (root / "images").is_dir() and (root / "labels").is_dir()
    return root / "images" if is_release else root


def take_textures(manifest: Manifest, base_dir: Path) -> tuple[Asset, ...]:
    """Return the textures that a manifest may draw."""
    if manifest.texture.kind != "dtd":
        return ()
    folder, splits = texture_folder(manifest, base_dir), manifest.texture.split
    pictures = _find(folder, IMAGE_SUFFIXES, "texture.source")
    if not splits:
        return pictures
    labels = folder.parent / "labels"
    listed = _listed_pictures(labels, splits)
    chosen = tuple(asset for asset in pictures if asset.id in listed)
    if not chosen:
        raise AssetError(f"texture.split = {list(splits)}: {folder} holds none of the {len(listed)} listed in {labels}")
    return chosen


def light_folder(manifest: Manifest, base_dir: Path) -> Path:
    """Return the folder of the environment maps that light the object."""
    source = manifest.light.source
    return blender_environments() if source == EMBEDDED else resolve_folder(source, base_dir, "light.source")


def background_folder(manifest: Manifest, base_dir: Path) -> Path:
    """Return the folder of the backgrounds."""
    if manifest.background.draw == "environment":
        return light_folder(manifest, base_dir)
    source = manifest.background.source
    return blender_environments() if source == EMBEDDED else resolve_folder(source, base_dir, "background.source")


def take_viewpoints(manifest: Manifest, base_dir: Path) -> dict[str, tuple[Viewpoint, ...]]:
    """Return the viewpoints of a manifest's list by category; {} if it names none."""
    source = manifest.viewpoint.source
    if not source:
        return {}
    return read_viewpoints(resolve_file(source, base_dir, "viewpoint.source"), manifest.categories)


def take_environments(manifest: Manifest, base_dir: Path) -> tuple[Asset, ...]:
    """Return the environment maps that may light the object."""
    if manifest.light.kind != "hdri":
        return ()
    maps = _find(light_folder(manifest, base_dir), ENVIRONMENT_SUFFIXES, "light.source")
    return _included(manifest.light.include, maps, "light.include")


def take_backgrounds(manifest: Manifest, base_dir: Path) -> tuple[Asset, ...]:
    """Return the backgrounds that a manifest may draw."""
    if manifest.background.draw == "environment":
        return take_environments(manifest, base_dir)
    return _find(background_folder(manifest, base_dir), IMAGE_SUFFIXES + ENVIRONMENT_SUFFIXES, "background.source")


def _dealt_out(assets: tuple[Asset, ...], categories: Iterable[str]) -> dict[str, tuple[Asset, ...]]:
    """Deal out the assets to the categories, each asset to one of them; the numbers differ by one at most.

    Only the ids and the names of the categories decide, so that runs of other seeds have the same sets.
    """
    names = sorted(categories)
    if len(assets) < len(names):
        raise AssetError(
            f"background.draw = 'disjoint' needs a background for each of {len(names)} categories, and "
            f"background.source holds {len(assets)}: name a folder with more"
        )
    shuffled = sorted(assets, key=lambda asset: digest(asset.id))
    return {name: tuple(sorted(shuffled[i :: len(names)], key=lambda asset: asset.id)) for i, name in enumerate(names)}


def take_background_sets(manifest: Manifest, backgrounds: tuple[Asset, ...]) -> dict[str, tuple[Asset, ...]]:
    """Return the backgrounds of each category that has its own."""
    if manifest.background.draw == "disjoint":
        return _dealt_out(backgrounds, manifest.categories)
    sets = manifest.background.sets
    return {name: _included(globs, backgrounds, f"background.sets.{name}") for name, globs in sets.items()}


def take_inventory(manifest: Manifest, base_dir: Path) -> Inventory:
    """List every source of a manifest; its relative paths start at `base_dir`."""
    backgrounds = take_backgrounds(manifest, base_dir)
    cads = take_cads(manifest, base_dir)
    return Inventory(
        cads=cads,
        definitions=take_definitions(manifest, cads)[0],
        textures=take_textures(manifest, base_dir),
        hdris=take_environments(manifest, base_dir),
        backgrounds=backgrounds,
        viewpoints=take_viewpoints(manifest, base_dir),
        background_sets=take_background_sets(manifest, backgrounds),
    )
