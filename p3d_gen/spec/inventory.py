"""What a manifest's sources hold: the CAD models, textures, environment maps and backgrounds a run draws from."""

from __future__ import annotations

import functools
import importlib.util
import re
from collections.abc import Iterable
from dataclasses import astuple, dataclass, field
from fnmatch import fnmatch
from importlib.resources import files
from pathlib import Path

from blender_assets.shapes import CATEGORIES as PARAMETRIC_CATEGORIES
from blender_assets.shapes import LIBRARY_VERSION
from p3d_gen.core.digest import digest
from p3d_gen.core.errors import AssetError, DependencyError
from p3d_gen.core.types import Viewpoint
from p3d_gen.spec.layouts import models, recognise
from p3d_gen.spec.manifest import Manifest, resolve_file, resolve_folder
from p3d_gen.spec.sections import EMBEDDED
from p3d_gen.spec.viewpoint_files import read_viewpoints

PARAMETRIC = "parametric:"
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
ENVIRONMENT_SUFFIXES = (".hdr", ".exr")


@dataclass(frozen=True, kw_only=True)
class Asset:
    """One thing that a source offers.

    id: its path below the source without the suffix, '/' between parts, or the name of a parametric shape.
    address: of a file, or `parametric:<category>?variant=<n>`.
    up, front: a CAD's axes as the manifest or its layout states them; "auto" leaves them to the file format.
    """

    id: str
    address: str
    up: str = "auto"
    front: str = "auto"

    @property
    def is_parametric(self) -> bool:
        """Whether it is computed by `blender_assets.shapes` rather than read from a file."""
        return self.address.startswith(PARAMETRIC)

    @property
    def path(self) -> Path:
        """The file; ValueError for a parametric shape, which has none."""
        if self.is_parametric:
            raise ValueError(f"{self.address} is computed, no file holds it")
        return Path(self.address)

    def identity(self) -> str:
        """What a resumed run compares: a file's id, suffix and size, or a shape's address and library version."""
        if self.is_parametric:
            return f"{self.id} {self.address} version {LIBRARY_VERSION}"
        return f"{self.id}{self.path.suffix} {self.path.stat().st_size}"


@dataclass(frozen=True, kw_only=True)
class Inventory:
    """All assets that a manifest may draw, each list sorted by id. `hdris` is empty where lamps light the scene.

    viewpoints: those of viewpoint.source for each category, at distance 1; empty where they are drawn without a list.
    background_sets: the backgrounds of each category, where it has its own.
    """

    cads: dict[str, tuple[Asset, ...]]
    textures: tuple[Asset, ...]
    hdris: tuple[Asset, ...]
    backgrounds: tuple[Asset, ...]
    viewpoints: dict[str, tuple[Viewpoint, ...]] = field(default_factory=dict)
    background_sets: dict[str, tuple[Asset, ...]] = field(default_factory=dict)

    @functools.cached_property
    def background_files(self) -> dict[str, Path]:
        """The files of all backgrounds by id."""
        return {asset.id: asset.path for asset in self.backgrounds}

    def backgrounds_of(self, category: str) -> tuple[Asset, ...]:
        """The backgrounds that a category's samples are drawn on."""
        return self.background_sets.get(category, self.backgrounds)

    def listing(self) -> dict[str, list[str]]:
        """Kind -> the assets' identities, by which a resumed run knows that its sources are the same."""
        kinds = {
            **{f"cad/{category}": assets for category, assets in self.cads.items()},
            "texture": self.textures,
            "hdri": self.hdris,
            "background": self.backgrounds,
        }
        viewpoints = [
            f"{category} {len(listed)} {digest([astuple(viewpoint) for viewpoint in listed])}"
            for category, listed in self.viewpoints.items()
        ]
        listing = {kind: [asset.identity() for asset in assets] for kind, assets in kinds.items()}
        return listing | {"viewpoint": viewpoints}


def embedded_folder(kind: str) -> Path:
    """The folder of the defaults that come with the package: kind `textures` or `stylizer`."""
    return Path(str(files("blender_assets"))) / kind


def blender_environments() -> Path:
    """The folder of the CC0 environment maps that the bpy package ships, found without importing bpy."""
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
    """The files below `folder` with one of the suffixes, sorted by id; AssetError for none, or two of one id."""
    wanted = set(suffixes)
    paths = [path for path in folder.glob("**/*") if path.suffix.lower() in wanted and path.is_file()]
    assets = {path.relative_to(folder).with_suffix("").as_posix(): path for path in sorted(paths)}
    if not assets:
        raise AssetError(f"{key}: the folder {folder} holds no {', '.join(sorted(wanted))} file; name another folder")
    if len(assets) < len(paths):
        twins = sorted(str(path) for path in set(paths) - set(assets.values()))
        raise AssetError(f"{key}: {twins[0]} has the name of another file but for its suffix; rename one of them")
    return tuple(Asset(id=name, address=str(assets[name])) for name in sorted(assets))


def parametric_address(category: str, variant: int) -> str:
    """The address of a parametric shape."""
    return f"{PARAMETRIC}{category}?variant={variant}"


def parse_parametric_range(address: str) -> tuple[str, range]:
    """The category and variants of an address: one number, or the first and the last, as in `?variant=0..31`.

    AssetError where it is no such address.
    """
    match = re.fullmatch(PARAMETRIC + r"(\w+)\?variant=(\d+)(?:\.\.(\d+))?", address)
    if not match or (match[3] is not None and int(match[3]) < int(match[2])):
        raise AssetError(
            f"{address!r} is no address of parametric shapes: write {parametric_address('car', 17)} for one of them, "
            f"{PARAMETRIC}car?variant=0..31 for several"
        )
    return match[1], range(int(match[2]), int(match[3] or match[2]) + 1)


def parse_parametric(address: str) -> tuple[str, int]:
    """The category and the variant of a parametric shape's address; AssetError where it is none, or of several."""
    category, variants = parse_parametric_range(address)
    if len(variants) > 1:
        raise AssetError(f"{address!r} stands for {len(variants)} shapes, where one is wanted")
    return category, variants[0]


def parametric_assets(category: str, variants: Iterable[int]) -> tuple[Asset, ...]:
    """The parametric shapes of a category; AssetError where the library has no maker for it."""
    if category not in PARAMETRIC_CATEGORIES:
        raise AssetError(
            f"the parametric library has no shapes of {category!r}, only of {', '.join(PARAMETRIC_CATEGORIES)}: "
            "name a folder of CAD models as cad.source"
        )
    return tuple(Asset(id=f"{category}_{n:05d}", address=parametric_address(category, n)) for n in variants)


def folder_cads(root: Path, layout: str, category: str, up: str, front: str) -> tuple[Asset, ...]:
    """The CAD models of a category in a folder; `up` and `front`, unless "auto", go before those of the layout."""
    return tuple(
        Asset(
            id=model.id,
            address=str(model.path),
            up=model.up if up == "auto" else up,
            front=model.front if front == "auto" else front,
        )
        for model in models(root, layout, category)
    )


def _included(include: tuple[str, ...], found: tuple[Asset, ...], key: str) -> tuple[Asset, ...]:
    """The assets whose id matches one of the glob patterns that `key` gives; AssetError where none does."""
    chosen = tuple(asset for asset in found if any(fnmatch(asset.id, glob) for glob in include))
    if not chosen:
        raise AssetError(f"{key} = {list(include)}: none of {[asset.id for asset in found]} matches")
    return chosen


def take_cads(manifest: Manifest, base_dir: Path) -> dict[str, tuple[Asset, ...]]:
    """The CAD models that a manifest may draw, by category; AssetError where a category has none."""
    cad = manifest.cad
    if cad.source == EMBEDDED:
        if cad.up != "auto":
            raise AssetError("cad.up and cad.front are for folders; the embedded shapes have their own: leave both out")
        found = {category: parametric_assets(category, range(*cad.variants)) for category in manifest.categories}
    else:
        root = resolve_folder(cad.source, base_dir, "cad.source")
        layout = recognise(root, manifest.categories) if cad.layout == "auto" else cad.layout
        found = {name: folder_cads(root, layout, name, cad.up, cad.front) for name in manifest.categories}
    return {category: _included(cad.include, assets, "cad.include") for category, assets in found.items()}


def _listed_pictures(labels: Path, splits: Iterable[str]) -> set[str]:
    """The ids that a folder's list files name, a picture per line: <split>1.txt, the first of DTD's ten partitions and
    the one in use, or <split>.txt. The partitions overlap, so two of them would mix train and test."""
    ids: set[str] = set()
    for split in splits:
        path = next((path for path in (labels / f"{split}1.txt", labels / f"{split}.txt") if path.is_file()), None)
        if path is None:
            raise AssetError(
                f"texture.split: there is no {labels}/{split}1.txt or {labels}/{split}.txt; "
                "name a DTD release as texture.source, or leave texture.split out"
            )
        ids |= {Path(line.strip()).with_suffix("").as_posix() for line in path.read_text().split("\n") if line}
    return ids


def texture_folder(manifest: Manifest, base_dir: Path) -> Path:
    """The folder of the textures' pictures: of a DTD release, which holds images/ and labels/, that is images/."""
    source = manifest.texture.source
    root = embedded_folder("textures") if source == EMBEDDED else resolve_folder(source, base_dir, "texture.source")
    is_release = (root / "images").is_dir() and (root / "labels").is_dir()
    return root / "images" if is_release else root


def _textures(manifest: Manifest, base_dir: Path) -> tuple[Asset, ...]:
    if manifest.texture.kind != "dtd":
        return ()
    folder, splits = texture_folder(manifest, base_dir), manifest.texture.split
    found = _find(folder, IMAGE_SUFFIXES, "texture.source")
    if not splits:
        return found
    labels = folder.parent / "labels"
    listed = _listed_pictures(labels, splits)
    chosen = tuple(asset for asset in found if asset.id in listed)
    if not chosen:
        raise AssetError(f"texture.split = {list(splits)}: {folder} holds none of the {len(listed)} listed in {labels}")
    return chosen


def light_folder(manifest: Manifest, base_dir: Path) -> Path:
    """The folder of the environment maps that light the object."""
    source = manifest.light.source
    return blender_environments() if source == EMBEDDED else resolve_folder(source, base_dir, "light.source")


def background_folder(manifest: Manifest, base_dir: Path) -> Path:
    """The folder of the backgrounds."""
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
    found = _find(light_folder(manifest, base_dir), ENVIRONMENT_SUFFIXES, "light.source")
    return _included(manifest.light.include, found, "light.include")


def _backgrounds(manifest: Manifest, base_dir: Path) -> tuple[Asset, ...]:
    if manifest.background.draw == "environment":
        return _environments(manifest, base_dir)
    return _find(background_folder(manifest, base_dir), IMAGE_SUFFIXES + ENVIRONMENT_SUFFIXES, "background.source")


def _dealt_out(found: tuple[Asset, ...], categories: Iterable[str]) -> dict[str, tuple[Asset, ...]]:
    """The assets, each to one category, as many to each but for one: by their ids and the categories' names alone, so
    that runs of other seeds have the same sets."""
    names = sorted(categories)
    if len(found) < len(names):
        raise AssetError(
            f"background.draw = 'disjoint' needs a background for each of {len(names)} categories, and "
            f"background.source holds {len(found)}: name a folder with more"
        )
    shuffled = sorted(found, key=lambda asset: digest(asset.id))
    return {name: tuple(sorted(shuffled[i :: len(names)], key=lambda asset: asset.id)) for i, name in enumerate(names)}


def _background_sets(manifest: Manifest, found: tuple[Asset, ...]) -> dict[str, tuple[Asset, ...]]:
    if manifest.background.draw == "disjoint":
        return _dealt_out(found, manifest.categories)
    sets = manifest.background.sets
    return {name: _included(globs, found, f"background.sets.{name}") for name, globs in sets.items()}


def take_inventory(manifest: Manifest, base_dir: Path) -> Inventory:
    """List every source of a manifest; `base_dir` is where its relative paths start."""
    backgrounds = _backgrounds(manifest, base_dir)
    return Inventory(
        cads=take_cads(manifest, base_dir),
        textures=_textures(manifest, base_dir),
        hdris=_environments(manifest, base_dir),
        backgrounds=backgrounds,
        viewpoints=_viewpoints(manifest, base_dir),
        background_sets=_background_sets(manifest, backgrounds),
    )
