"""The contents of a manifest's sources: the CAD models, textures, environment maps and backgrounds of a run."""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import astuple, dataclass, field, replace
from pathlib import Path

from blender_assets.shapes import LIBRARY_VERSION
from p3d_gen.core.categories import CategoryDefinition, definition_of
from p3d_gen.core.digest import digest
from p3d_gen.core.errors import AssetError
from p3d_gen.core.types import Viewpoint
from p3d_gen.spec import definitions
from p3d_gen.spec.axes import FORMER_OBJ_AXES, AxesFrom, UnitFrom
from p3d_gen.spec.parametric import PARAMETRIC

# What the CAD models of occlusion.source are listed under, beside the categories: no category may have this name.
OCCLUDERS = "_occluders"
# The kinds of sources, as a run records them.
KINDS = ("cad", "texture", "hdri", "background", "viewpoint")


@dataclass(frozen=True, kw_only=True)
class Asset:
    """One CAD model, texture, environment map or background of a source.

    id: path below the source without the suffix, with '/' between parts, or the name of a parametric shape.
    address: path of a file, or `parametric:<category>?variant=<n>`; "" for a file that a run was made from and that is
    not there any more.
    up, front: axes of a CAD; "auto" stands for those that its file says. axes_from: who states them.
    unit_m: the metres that 1 in a CAD's file is stated to mean, 0 if that is stated to be unknown; None stands for what
    its file says.
    unit_from: who states it, the manifest or a side file.
    max_faces: the number to which a CAD's faces are reduced, None to keep all.
    recorded: the identity of a file that is not there any more, as its run records it.
    """

    id: str
    address: str
    up: str = "auto"
    front: str = "auto"
    axes_from: AxesFrom = "format"
    unit_m: float | None = None
    unit_from: UnitFrom = "file"
    max_faces: int | None = None
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

        The run records the content besides, see `run.record`.
        """
        if self.recorded:
            return self.recorded
        if self.is_parametric:
            return f"{self.id} {self.address} version {LIBRARY_VERSION}"
        return f"{self.id}{self.path.suffix} {self.path.stat().st_size}{self._stated_axes()}{self._stated_unit()}"

    def _stated_unit(self) -> str:
        """Return the part of the identity that the unit is: where the manifest and the file do not decide it."""
        return f" unit {self.unit_m:g}m" if self.unit_from == "side file" else ""

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

    cads: by category, and under OCCLUDERS those that stand in front of the objects.
    hdris: environment maps that light the scene; empty if lamps or the sun do.
    viewpoints: those of viewpoint.source for each category, at distance 1; empty if there is no such list.
    background_sets: the backgrounds of each category that has its own.
    definitions: those of the categories that are not built in, by name.
    lacking: kind -> reason, of the sources that are not there, or not as the run that they belong to records them.
    """

    cads: dict[str, tuple[Asset, ...]]
    textures: tuple[Asset, ...]
    hdris: tuple[Asset, ...]
    backgrounds: tuple[Asset, ...]
    viewpoints: dict[str, tuple[Viewpoint, ...]] = field(default_factory=dict)
    background_sets: dict[str, tuple[Asset, ...]] = field(default_factory=dict)
    definitions: dict[str, CategoryDefinition] = field(default_factory=dict)
    lacking: dict[str, str] = field(default_factory=dict)

    def definition(self, category: str) -> CategoryDefinition:
        """Return the definition of a category."""
        return definition_of(category, self.definitions)

    @functools.cached_property
    def background_files(self) -> dict[str, Path]:
        """Return the files of those backgrounds that are there, by id."""
        return {asset.id: asset.path for asset in self.backgrounds if asset.is_here}

    def backgrounds_of(self, category: str) -> tuple[Asset, ...]:
        """Return the backgrounds of a category's samples."""
        return self.background_sets.get(category, self.backgrounds)

    def by_kind(self) -> dict[str, tuple[Asset, ...]]:
        """Return the assets by kind; those of CAD models are cad/<category>."""
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
            for kind, assets in self.by_kind().items()
        }

    def listing(self) -> dict[str, list[str]]:
        """Return the assets' identities by kind: the part of a shard's inputs that its sources are."""
        listing = {kind: [asset.identity() for asset in assets] for kind, assets in self.by_kind().items()}
        own = definitions.listing(self.definitions)
        return listing | {"viewpoint": viewpoint_listing(self.viewpoints)} | ({"category": own} if own else {})

    def without(self, kind: str, ids: Collection[str], reason: str) -> Inventory:
        """Return the inventory without some files of a kind, whose assets stay. reason: why they cannot be used."""
        assets = {
            section: tuple(
                replace(asset, address="", recorded=asset.identity()) if section == kind and asset.id in ids else asset
                for asset in listed
            )
            for section, listed in self.by_kind().items()
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


def viewpoint_listing(viewpoints: Mapping[str, Sequence[Viewpoint]]) -> list[str]:
    """Return the identity of each category's viewpoints."""
    return [
        f"{category} {len(listed)} {digest([astuple(viewpoint) for viewpoint in listed])}"
        for category, listed in viewpoints.items()
    ]
