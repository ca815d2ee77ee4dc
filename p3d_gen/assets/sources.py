"""What a manifest's sources hold: the CAD models, textures, environment maps and backgrounds a run draws from."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatch
from importlib.resources import files
from pathlib import Path

from p3d_gen.errors import AssetError, DependencyError
from p3d_gen.manifest import EMBEDDED, Manifest, resolve_folder

CAD_SUFFIXES = (".off", ".obj", ".ply", ".stl", ".glb", ".gltf", ".blend")
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
ENVIRONMENT_SUFFIXES = (".hdr", ".exr")


@dataclass(frozen=True, kw_only=True)
class Asset:
    """A file of a source. id: its path below the source without the suffix, '/' between parts."""

    id: str
    path: Path


@dataclass(frozen=True, kw_only=True)
class Inventory:
    """All assets that a manifest may draw, each list sorted by id. `hdris` is empty where lamps light the scene."""

    cads: dict[str, tuple[Asset, ...]]
    textures: tuple[Asset, ...]
    hdris: tuple[Asset, ...]
    backgrounds: tuple[Asset, ...]

    def listing(self) -> dict[str, list[str]]:
        """Kind -> 'id size' of every file: the identity by which a resumed run knows that its sources are the same."""
        kinds = {
            **{f"cad/{category}": assets for category, assets in self.cads.items()},
            "texture": self.textures,
            "hdri": self.hdris,
            "background": self.backgrounds,
        }
        return {kind: [f"{a.id}{a.path.suffix} {a.path.stat().st_size}" for a in kinds[kind]] for kind in kinds}


def embedded_folder(kind: str) -> Path:
    """The folder of the defaults that come with the package: kind `cad` or `textures`."""
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


def _find(folder: Path, suffixes: Iterable[str], pattern: str, key: str) -> tuple[Asset, ...]:
    """The files of `folder` that match, sorted by id; AssetError where there is none or two share an id."""
    wanted = set(suffixes)
    paths = [path for path in folder.glob(pattern) if path.suffix.lower() in wanted and path.is_file()]
    assets = {path.relative_to(folder).with_suffix("").as_posix(): path for path in sorted(paths)}
    if not assets:
        raise AssetError(f"{key}: the folder {folder} holds no {', '.join(sorted(wanted))} file at {pattern}")
    if len(assets) < len(paths):
        twins = sorted(str(path) for path in set(paths) - set(assets.values()))
        raise AssetError(f"{key}: {twins[0]} has the name of another file but for its suffix; rename one of them")
    return tuple(Asset(id=name, path=assets[name]) for name in sorted(assets))


def _cads(manifest: Manifest, base_dir: Path, category: str) -> tuple[Asset, ...]:
    cad = manifest.cad
    root = embedded_folder("cad") if cad.source == EMBEDDED else resolve_folder(cad.source, base_dir, "cad.source")
    if not (root / category).is_dir():
        raise AssetError(f"cad.source: there is no folder {root / category} for the category {category!r}")
    found = _find(root / category, CAD_SUFFIXES, "*", "cad.source")
    chosen = tuple(asset for asset in found if any(fnmatch(asset.id, glob) for glob in cad.include))
    if not chosen:
        raise AssetError(f"cad.include = {list(cad.include)}: none of {[asset.id for asset in found]} matches")
    if dotted := [asset for asset in chosen if "." in asset.id]:
        raise AssetError(f"{dotted[0].path}: a CAD's name must hold no dot before its suffix; rename it")
    return chosen


def _textures(manifest: Manifest, base_dir: Path) -> tuple[Asset, ...]:
    if manifest.texture.kind == "naive":
        return ()
    source = manifest.texture.source
    root = embedded_folder("textures") if source == EMBEDDED else resolve_folder(source, base_dir, "texture.source")
    return _find(root, IMAGE_SUFFIXES, "*/*", "texture.source")


def _hdris(manifest: Manifest, base_dir: Path) -> tuple[Asset, ...]:
    if manifest.light.kind == "area":
        return ()
    source = manifest.light.source
    root = blender_environments() if source == EMBEDDED else resolve_folder(source, base_dir, "light.source")
    return _find(root, ENVIRONMENT_SUFFIXES, "**/*", "light.source")


def _backgrounds(manifest: Manifest, base_dir: Path) -> tuple[Asset, ...]:
    source = manifest.background.source
    root = blender_environments() if source == EMBEDDED else resolve_folder(source, base_dir, "background.source")
    return _find(root, IMAGE_SUFFIXES + ENVIRONMENT_SUFFIXES, "**/*", "background.source")


def take_inventory(manifest: Manifest, base_dir: Path) -> Inventory:
    """List every source of a manifest; `base_dir` is where its relative paths start."""
    return Inventory(
        cads={category: _cads(manifest, base_dir, category) for category in manifest.categories},
        textures=_textures(manifest, base_dir),
        hdris=_hdris(manifest, base_dir),
        backgrounds=_backgrounds(manifest, base_dir),
    )
