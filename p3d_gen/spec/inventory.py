"""The contents of a manifest's sources: the CAD models, textures, environment maps and backgrounds of a run."""

from __future__ import annotations

import functools
import importlib.util
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import astuple, dataclass, field, replace
from fnmatch import fnmatch
from importlib.resources import files
from pathlib import Path

from blender_assets.shapes import CATEGORIES as PARAMETRIC_CATEGORIES
from blender_assets.shapes import LIBRARY_VERSION
from p3d_gen.core.digest import digest
from p3d_gen.core.errors import AssetError, DependencyError, P3DError
from p3d_gen.core.folders import files_below
from p3d_gen.core.types import Viewpoint
from p3d_gen.spec.axes import FORMER_OBJ_AXES, AxesFrom, default_axes
from p3d_gen.spec.layouts import Model, category_models, recognise
from p3d_gen.spec.manifest import Manifest, resolve_file, resolve_folder
from p3d_gen.spec.parametric import PARAMETRIC, parametric_address
from p3d_gen.spec.sections import EMBEDDED
from p3d_gen.spec.side_files import ModelFile, side_file
from p3d_gen.spec.viewpoint_files import read_viewpoints

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
ENVIRONMENT_SUFFIXES = (".hdr", ".exr")
# The kinds of sources, as a run records them.
KINDS = ("cad", "texture", "hdri", "background", "viewpoint")
_RECORDED_SHAPE = re.compile(rf"(?P<id>.+) (?P<address>{PARAMETRIC}\S+) version \d+")
_RECORDED_FILE = re.compile(r"(?P<id>.+)\.(?P<suffix>\w+) \d+(?P<axes> up (?P<up>-?[xyz]) front (?P<front>-?[xyz]))?")


@dataclass(frozen=True, kw_only=True)
class Asset:
    """One CAD model, texture, environment map or background of a source.

    id: path below the source without the suffix, with '/' between parts, or the name of a parametric shape.
    address: path of a file, or `parametric:<category>?variant=<n>`; "" for a file that a run was made from and that is
    not there any more.
    up, front: axes of a CAD; "auto" stands for those that its file says. axes_from: who states them.
    recorded: the identity of a file that is not there any more, as its run records it.
    """

    id: str
    address: str
    up: str = "auto"
    front: str = "auto"
    axes_from: AxesFrom = "format"
    recorded: str = ""

    @property
    def is_parametric(self) -> bool:
        """Return True if `blender_assets.shapes` computes it, False if it is read from a file."""
        return self.address.startswith(PARAMETRIC)

    @property
    def is_here(self) -> bool:
        """Return False for a file that a run was made from and that is not there any more."""
        return not self.recorded

    @property
    def path(self) -> Path:
        """Return the file. Raise ValueError for a parametric shape, which has none, AssetError if it is not there."""
        if self.is_parametric:
            raise ValueError(f"{self.address} is computed; there is no file of it")
        if not self.is_here:
            raise AssetError(f"the file that was recorded as {self.recorded!r} is not there any more: bring it back")
        return Path(self.address)

    def identity(self) -> str:
        """Return the text in a shard's inputs: id, suffix and size of a file, or address and version of a shape.

        The run records the content besides, see `run.store`.
        """
        if self.recorded:
            return self.recorded
        if self.is_parametric:
            return f"{self.id} {self.address} version {LIBRARY_VERSION}"
        return f"{self.id}{self.path.suffix} {self.path.stat().st_size}{self._stated_axes()}"

    def _stated_axes(self) -> str:
        """Return the part of the identity that the axes are: where neither manifest, layout nor file decide them.

        Version 0.1.0 took a plain OBJ as z up, and its runs name no axes.
        """
        is_plain_obj = self.axes_from == "format" and self.path.suffix.lower() == ".obj" and self.up != "auto"
        if self.axes_from == "side file" or (is_plain_obj and (self.up, self.front) != FORMER_OBJ_AXES):
            return f" up {self.up} front {self.front}"
        return ""


@dataclass(frozen=True, kw_only=True)
class Inventory:
    """All assets that a manifest may draw, each list sorted by id.

    hdris: environment maps that light the scene; empty if lamps or the sun do.
    viewpoints: those of viewpoint.source for each category, at distance 1; empty if there is no such list.
    background_sets: the backgrounds of each category that has its own.
    lacking: kind -> reason, of the sources that are not there, or not as the run that they belong to records them.
    """

    cads: dict[str, tuple[Asset, ...]]
    textures: tuple[Asset, ...]
    hdris: tuple[Asset, ...]
    backgrounds: tuple[Asset, ...]
    viewpoints: dict[str, tuple[Viewpoint, ...]] = field(default_factory=dict)
    background_sets: dict[str, tuple[Asset, ...]] = field(default_factory=dict)
    lacking: dict[str, str] = field(default_factory=dict)

    @functools.cached_property
    def background_files(self) -> dict[str, Path]:
        """Return the files of those backgrounds that are there, by id."""
        return {asset.id: asset.path for asset in self.backgrounds if asset.is_here}

    def backgrounds_of(self, category: str) -> tuple[Asset, ...]:
        """Return the backgrounds of a category's samples."""
        return self.background_sets.get(category, self.backgrounds)

    def _kinds(self) -> dict[str, tuple[Asset, ...]]:
        return {
            **{f"cad/{category}": assets for category, assets in self.cads.items()},
            "texture": self.textures,
            "hdri": self.hdris,
            "background": self.backgrounds,
        }

    def files(self) -> dict[str, dict[str, Path]]:
        """Return those of the assets' files that are there, kind -> id -> path, without computed shapes."""
        return {
            kind: {asset.id: asset.path for asset in assets if asset.is_here and not asset.is_parametric}
            for kind, assets in self._kinds().items()
        }

    def listing(self) -> dict[str, list[str]]:
        """Return the assets' identities by kind: the part of a shard's inputs that its sources are."""
        listing = {kind: [asset.identity() for asset in assets] for kind, assets in self._kinds().items()}
        return listing | {"viewpoint": _viewpoint_listing(self.viewpoints)}

    def without(self, kind: str, ids: Collection[str], reason: str) -> Inventory:
        """Return the inventory without some files of a kind, whose assets stay. reason: why they cannot be used."""
        assets = {
            section: tuple(
                replace(asset, address="", recorded=asset.identity()) if section == kind and asset.id in ids else asset
                for asset in listed
            )
            for section, listed in self._kinds().items()
        }
        backgrounds = {asset.id: asset for asset in assets["background"]}
        return replace(
            self,
            cads={category: assets[f"cad/{category}"] for category in self.cads},
            textures=assets["texture"],
            hdris=assets["hdri"],
            backgrounds=assets["background"],
            background_sets={
                category: tuple(backgrounds[asset.id] for asset in listed)
                for category, listed in self.background_sets.items()
            },
            lacking={kind.partition("/")[0]: reason, **self.lacking},
        )


def _viewpoint_listing(viewpoints: Mapping[str, Sequence[Viewpoint]]) -> list[str]:
    return [
        f"{category} {len(listed)} {digest([astuple(viewpoint) for viewpoint in listed])}"
        for category, listed in viewpoints.items()
    ]


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


def file_asset(model: Model, up: str = "auto", front: str = "auto", axes_from: AxesFrom = "manifest") -> Asset:
    """Return the asset of a CAD model's file.

    up, front: unless "auto", they go before the model's side file, that before its layout, and that before its format.
    axes_from: who states them. A side file that is not valid is refused when the model is prepared: models that cannot
    be used may be left out.
    """
    if up == "auto":
        stated = ModelFile()
        with suppress(AssetError):
            stated = side_file(model.path)
        if stated.up is not None and stated.front is not None:
            up, front, axes_from = stated.up, stated.front, "side file"
        elif model.up != "auto":
            up, front, axes_from = model.up, model.front, "layout"
        else:
            (up, front), axes_from = default_axes(model.path), "format"
    return Asset(id=model.id, address=str(model.path), up=up, front=front, axes_from=axes_from)


def folder_cads(
    root: Path, layout: str, category: str, up: str, front: str, axes_from: AxesFrom = "manifest"
) -> tuple[Asset, ...]:
    """Return the CAD models of a category in a folder, with axes as in `file_asset`."""
    return tuple(file_asset(model, up, front, axes_from) for model in category_models(root, layout, category))


def _included(include: tuple[str, ...], assets: tuple[Asset, ...], key: str) -> tuple[Asset, ...]:
    """Return the assets whose id matches one of the glob patterns of `key`. Raise AssetError if none does."""
    chosen = tuple(asset for asset in assets if any(fnmatch(asset.id, glob) for glob in include))
    if not chosen:
        raise AssetError(f"{key} = {list(include)}: none of {[asset.id for asset in assets]} matches")
    return chosen


def take_cads(manifest: Manifest, base_dir: Path) -> dict[str, tuple[Asset, ...]]:
    """Return the CAD models that a manifest may draw, by category. Raise AssetError if a category has none."""
    cad = manifest.cad
    if cad.source == EMBEDDED:
        if cad.up != "auto":
            raise AssetError(
                "cad.up and cad.front are for folders; embedded shapes have their own axes: leave both out"
            )
        models = {category: parametric_assets(category, range(*cad.variants)) for category in manifest.categories}
    else:
        root = resolve_folder(cad.source, base_dir, "cad.source")
        layout = recognise(root, manifest.categories) if cad.layout == "auto" else cad.layout
        models = {name: folder_cads(root, layout, name, cad.up, cad.front) for name in manifest.categories}
    return {category: _included(cad.include, assets, "cad.include") for category, assets in models.items()}


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


def _textures(manifest: Manifest, base_dir: Path) -> tuple[Asset, ...]:
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


def _viewpoints(manifest: Manifest, base_dir: Path) -> dict[str, tuple[Viewpoint, ...]]:
    source = manifest.viewpoint.source
    if not source:
        return {}
    return read_viewpoints(resolve_file(source, base_dir, "viewpoint.source"), manifest.categories)


def _environments(manifest: Manifest, base_dir: Path) -> tuple[Asset, ...]:
    if manifest.light.kind != "hdri":
        return ()
    maps = _find(light_folder(manifest, base_dir), ENVIRONMENT_SUFFIXES, "light.source")
    return _included(manifest.light.include, maps, "light.include")


def _backgrounds(manifest: Manifest, base_dir: Path) -> tuple[Asset, ...]:
    if manifest.background.draw == "environment":
        return _environments(manifest, base_dir)
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


def _background_sets(manifest: Manifest, backgrounds: tuple[Asset, ...]) -> dict[str, tuple[Asset, ...]]:
    if manifest.background.draw == "disjoint":
        return _dealt_out(backgrounds, manifest.categories)
    sets = manifest.background.sets
    return {name: _included(globs, backgrounds, f"background.sets.{name}") for name, globs in sets.items()}


def take_inventory(manifest: Manifest, base_dir: Path) -> Inventory:
    """List every source of a manifest; its relative paths start at `base_dir`."""
    backgrounds = _backgrounds(manifest, base_dir)
    return Inventory(
        cads=take_cads(manifest, base_dir),
        textures=_textures(manifest, base_dir),
        hdris=_environments(manifest, base_dir),
        backgrounds=backgrounds,
        viewpoints=_viewpoints(manifest, base_dir),
        background_sets=_background_sets(manifest, backgrounds),
    )


def _recorded_asset(text: str) -> Asset:
    """Return the asset of an identity, without its file. Raise ValueError for any other text."""
    if shape := _RECORDED_SHAPE.fullmatch(text):
        return Asset(id=shape["id"], address=shape["address"], recorded=text)
    if file := _RECORDED_FILE.fullmatch(text):
        return Asset(id=file["id"], address="", recorded=text)
    raise ValueError(f"{text!r} is not a recorded asset")


def _lacking(kind: str, recorded: Sequence[str], there: Iterable[str]) -> str:
    """Return the reason why a kind of sources is not what was recorded; "" if it is."""
    told = list(there)
    if told == list(recorded):
        return ""
    gone = [text for text in recorded if text not in set(told)]
    come = [text for text in told if text not in set(recorded)]
    parts = [f"{len(listed)} {name} ({listed[0]})" for name, listed in (("gone", gone), ("new", come)) if listed]
    return f"{kind}: {', '.join(parts) or 'they stand in another order'}"


def _as_formerly(recorded: Sequence[str], asset: Asset) -> Asset:
    """Return an asset with the axes that version 0.1.0 took for it, if a run of that version recorded it."""
    if not asset.address.lower().endswith(".obj") or asset.identity() in recorded:
        return asset
    up, front = FORMER_OBJ_AXES
    former = replace(asset, up=up, front=front, axes_from="format")
    return former if former.identity() in recorded else asset


def _as_recorded(
    section: str, recorded: Sequence[str], take: Callable[[], Iterable[Asset]]
) -> tuple[tuple[Asset, ...], str]:
    """Return the recorded assets, with the files of those that are there unchanged; and the reason if some are not."""
    there: dict[str, Asset] = {}
    try:
        there = {asset.identity(): asset for asset in map(functools.partial(_as_formerly, recorded), take())}
        reason = _lacking(section, recorded, there)
    except (P3DError, OSError) as error:
        reason = str(error)
    return tuple(there.get(text) or _recorded_asset(text) for text in recorded), reason


def _recorded_viewpoints(
    manifest: Manifest, base_dir: Path, recorded: Sequence[str]
) -> tuple[dict[str, tuple[Viewpoint, ...]], str]:
    """Return the listed viewpoints and "", or none and the reason if their list is not there or was changed."""
    try:
        there = _viewpoints(manifest, base_dir)
    except (P3DError, OSError) as error:
        return {}, str(error)
    reason = _lacking("viewpoint", recorded, _viewpoint_listing(there))
    return ({} if reason else there), reason


def _assets_only(listing: Mapping[str, Sequence[str]]) -> dict[str, tuple[Asset, ...]]:
    return {section: tuple(map(_recorded_asset, texts)) for section, texts in listing.items() if section != "viewpoint"}


def _inventory(
    manifest: Manifest,
    assets: Mapping[str, tuple[Asset, ...]],
    viewpoints: dict[str, tuple[Viewpoint, ...]],
    lacking: dict[str, str],
) -> Inventory:
    """Return an inventory of the assets of each section of a listing."""
    return Inventory(
        cads={name: assets[f"cad/{name}"] for name in manifest.categories},
        textures=assets["texture"],
        hdris=assets["hdri"],
        backgrounds=assets["background"],
        viewpoints=viewpoints,
        background_sets=_background_sets(manifest, assets["background"]),
        lacking=lacking,
    )


def recorded_inventory(manifest: Manifest, base_dir: Path | None, listing: Mapping[str, Sequence[str]]) -> Inventory:
    """Return the inventory of a run as its `listing` records it, with the files as far as they are there unchanged.

    Samples are drawn from it as from the sources themselves, except from lists of viewpoints that are not there.
    base_dir: None if no file is to be looked for. ValueError or KeyError if it is not a listing of this manifest.
    """
    if base_dir is None:
        return _inventory(manifest, _assets_only(listing), {}, dict.fromkeys(KINDS, "its files were not looked for"))
    models = functools.cache(lambda: take_cads(manifest, base_dir))
    takes: dict[str, Callable[[], Iterable[Asset]]] = {
        **{f"cad/{name}": functools.partial(lambda name: models()[name], name) for name in manifest.categories},
        "texture": lambda: _textures(manifest, base_dir),
        "hdri": lambda: _environments(manifest, base_dir),
        "background": lambda: _backgrounds(manifest, base_dir),
    }
    assets, reasons = {}, {}
    for section, take in takes.items():
        assets[section], reasons[section] = _as_recorded(section, listing[section], take)
    viewpoints, reasons["viewpoint"] = _recorded_viewpoints(manifest, base_dir, listing["viewpoint"])
    lacking = {section.partition("/")[0]: reason for section, reason in reasons.items() if reason}
    return _inventory(manifest, assets, viewpoints, lacking)
