"""The CAD models that an address names: a manifest's, those of a folder or a file, or parametric shapes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from blender_assets.shapes import CATEGORIES as PARAMETRIC_CATEGORIES
from p3d_gen.core.categories import CATEGORIES, CategoryDefinition, is_name
from p3d_gen.core.errors import AssetError, did_you_mean
from p3d_gen.core.folders import visible
from p3d_gen.spec.definitions import define
from p3d_gen.spec.inventory import Asset
from p3d_gen.spec.layouts import CAD_SUFFIXES, Model, categories_of, model_id, recognise, warn_of_folders
from p3d_gen.spec.manifest import load_manifest, resolve_folder
from p3d_gen.spec.own_ids import with_own_ids
from p3d_gen.spec.parametric import PARAMETRIC, parse_parametric_range
from p3d_gen.spec.scene_sections import Cad
from p3d_gen.spec.sections import EMBEDDED
from p3d_gen.spec.side_files import side_file
from p3d_gen.spec.taken import (
    a_file,
    file_asset,
    folder_cads,
    parametric_assets,
    take_cads,
    take_definitions,
    with_max_faces,
)


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A choice among the models of a source: one category, or "" for all; the rest as in a manifest's [cad].

    max_faces: None for that of the manifest, if the source is one.
    """

    category: str = ""
    layout: str = "auto"
    up: str = "auto"
    front: str = "auto"
    max_faces: int | None = None


@dataclass(frozen=True, kw_only=True)
class Collection:
    """CAD models by category.

    root: the folder that they come from; None for parametric shapes. definitions: those of a manifest.
    """

    cads: dict[str, tuple[Asset, ...]]
    root: Path | None
    definitions: dict[str, CategoryDefinition] = field(default_factory=dict)

    def definition(self, category: str) -> CategoryDefinition:
        """Return the definition of a category: the manifest's, or that of category.toml next to its models."""
        return self.definitions.get(category) or self._defined(category)[0]

    def assumptions(self) -> list[str]:
        """Return a line about each category that nothing defines."""
        lines = (self._defined(category)[1] for category in self.cads if category not in self.definitions)
        return [line for line in lines if line]

    def _defined(self, category: str) -> tuple[CategoryDefinition, str]:
        return define(category, None, a_file(self.cads[category]))


def _category_of(path: Path, folder: Path, wanted: Wanted) -> str:
    """Return the category of a file outside a category's folder.

    It is the wanted one, or that of its side file, or the name of its folder.
    """
    category = wanted.category or side_file(path).category or folder.name
    if not is_name(category):
        raise AssetError(
            f"the category of the models in {folder} is not known, because {category!r} cannot be the name of one: add "
            "--category NAME, in lower-case letters, digits and _"
        )
    return category


def _files(paths: list[Path], folder: Path, wanted: Wanted) -> Collection:
    cads: dict[str, list[Model]] = {}
    for path in paths:
        model = Model(id=model_id(path.stem), path=path, up="auto", front="auto")
        cads.setdefault(_category_of(path, folder, wanted), []).append(model)
    return Collection(
        cads={
            category: tuple(file_asset(model, wanted.up, wanted.front, "option") for model in with_own_ids(models))
            for category, models in cads.items()
        },
        root=folder,
    )


def _is_release(flat: list[Path], root: Path, wanted: Wanted) -> bool:
    """Return True for a folder of P3D-Diffusion's models; one named after a category holds models of that alone."""
    named = (path.suffix == ".blend" and path.stem.partition("_")[0] in CATEGORIES for path in flat)
    return not wanted.category and root.resolve().name not in CATEGORIES and all(named)


def _folder(root: Path, wanted: Wanted) -> Collection:
    flat = visible(root.iterdir(), root, CAD_SUFFIXES)
    if flat and wanted.layout == "auto" and not _is_release(flat, root, wanted):
        warn_of_folders(root)
        return _files(flat, root.resolve(), wanted)
    among = (wanted.category,) if wanted.category else ()
    layout = recognise(root, among) if wanted.layout == "auto" else wanted.layout
    categories = among or categories_of(root, layout)
    cads = {name: folder_cads(root, layout, name, wanted.up, wanted.front, "option") for name in categories}
    if not cads:
        raise AssetError(f"{root} holds no CAD model of any category in the layout {layout!r}; try --layout auto")
    return Collection(cads=cads, root=root)


def _parametric(source: str, wanted: Wanted) -> Collection:
    if wanted.up != "auto":
        raise AssetError("parametric shapes have their own axes: leave --up and --front out")
    if source == PARAMETRIC.removesuffix(":"):
        categories = (wanted.category,) if wanted.category else PARAMETRIC_CATEGORIES
        first_ones = range(*Cad().variants)
        return Collection(cads={name: parametric_assets(name, first_ones) for name in categories}, root=None)
    category, variants = parse_parametric_range(source)
    if wanted.category not in ("", category):
        raise AssetError(f"{source} is not of the category {wanted.category!r}: leave --category out")
    return Collection(cads={category: parametric_assets(category, variants)}, root=None)


def _manifest(path: Path, wanted: Wanted) -> Collection:
    manifest = load_manifest(path)
    source, cads = manifest.cad.source, take_cads(manifest, path.parent)
    definitions, _ = take_definitions(manifest, cads)
    if wanted.category and wanted.category not in cads:
        raise AssetError(f"{path} has no category {wanted.category!r}{did_you_mean(wanted.category, cads)}")
    return Collection(
        cads={category: cads[category] for category in cads if wanted.category in ("", category)},
        root=None if source == EMBEDDED else resolve_folder(source, path.parent, "cad.source"),
        definitions=definitions,
    )


def _reduced(collection: Collection, max_faces: int | None) -> Collection:
    cads = {category: with_max_faces(assets, max_faces) for category, assets in collection.cads.items()}
    return replace(collection, cads=cads)


def collect(source: str, wanted: Wanted) -> Collection:
    """Return the CAD models at a source: `parametric`, a parametric address, a manifest, a folder, or a model's file.

    A folder may have any layout, or hold the files of one category itself. Raise AssetError if it holds no model.
    """
    if (wanted.up == "auto") != (wanted.front == "auto"):
        raise AssetError("give both --up and --front, or neither")
    if wanted.up != "auto" and wanted.up[-1] == wanted.front[-1]:
        raise AssetError(f"--up {wanted.up} and --front {wanted.front} lie on one axis: give two different axes")
    return _reduced(_collected(source, wanted), wanted.max_faces)


def _collected(source: str, wanted: Wanted) -> Collection:
    if source == PARAMETRIC.removesuffix(":") or source.startswith(PARAMETRIC):
        return _parametric(source, wanted)
    path = Path(source)
    if path.is_dir():
        return _folder(path, wanted)
    if path.is_file() and path.suffix == ".toml":
        return _manifest(path, wanted)
    if path.is_file() and path.suffix.lower() in CAD_SUFFIXES:
        return _files([path], path.resolve().parent, wanted)
    fault = (
        "has none of the suffixes .toml, " + ", ".join(CAD_SUFFIXES) if path.is_file() else "is not a file or folder"
    )
    raise AssetError(f"{source} {fault}: name a manifest, a folder or file of CAD models, or parametric:car?variant=17")
