"""The sources of a run as it records them, with their files as far as they are there unchanged."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from p3d_gen.core.errors import P3DError
from p3d_gen.core.types import Viewpoint
from p3d_gen.spec import definitions
from p3d_gen.spec.axes import FORMER_OBJ_AXES
from p3d_gen.spec.inventory import KINDS, OCCLUDERS, Asset, Inventory, viewpoint_listing
from p3d_gen.spec.manifest import Manifest
from p3d_gen.spec.parametric import PARAMETRIC
from p3d_gen.spec.sections import EMBEDDED
from p3d_gen.spec.taken import (
    take_background_sets,
    take_backgrounds,
    take_cads,
    take_definitions,
    take_environments,
    take_textures,
    take_viewpoints,
)

_RECORDED_SHAPE = re.compile(rf"(?P<id>.+) (?P<address>{PARAMETRIC}\S+) version \d+")
_RECORDED_FILE = re.compile(
    r"(?P<id>.+)\.(?P<suffix>\w+) \d+"
    r"(?P<axes> up (?P<up>-?[xyz]) front (?P<front>-?[xyz]))?(?P<unit> unit \S+m)?"
)


def cad_names(manifest: Manifest) -> tuple[str, ...]:
    """Return the names under which a run's CAD models are listed: its categories, and its own occluders."""
    return (*manifest.categories, *([OCCLUDERS] if manifest.occlusion.source != EMBEDDED else []))


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
        there = take_viewpoints(manifest, base_dir)
    except (P3DError, OSError) as error:
        return {}, str(error)
    reason = _lacking("viewpoint", recorded, viewpoint_listing(there))
    return ({} if reason else there), reason


def _assets_only(listing: Mapping[str, Sequence[str]]) -> dict[str, tuple[Asset, ...]]:
    others = ("viewpoint", "category")
    return {section: tuple(map(_recorded_asset, texts)) for section, texts in listing.items() if section not in others}


def _changed_definitions(manifest: Manifest, cads: Mapping[str, tuple[Asset, ...]], recorded: Sequence[str]) -> str:
    """Return the reason if the categories are defined otherwise than a run recorded, "" if they are not."""
    try:
        there = definitions.listing(take_definitions(manifest, cads)[0])
    except (P3DError, OSError) as error:
        return str(error)
    changed = sorted(set(there) ^ set(recorded))
    return f"the definition of a category: {changed[0]}" if changed else ""


def _inventory(
    manifest: Manifest,
    assets: Mapping[str, tuple[Asset, ...]],
    viewpoints: dict[str, tuple[Viewpoint, ...]],
    own: Sequence[str],
    lacking: dict[str, str],
) -> Inventory:
    """Return an inventory of the assets of each section of a listing. own: definitions of categories there."""
    return Inventory(
        cads={name: assets[f"cad/{name}"] for name in cad_names(manifest)},
        textures=assets["texture"],
        hdris=assets["hdri"],
        backgrounds=assets["background"],
        viewpoints=viewpoints,
        background_sets=take_background_sets(manifest, assets["background"]),
        definitions=definitions.recorded(own),
        lacking=lacking,
    )


def recorded_inventory(manifest: Manifest, base_dir: Path | None, listing: Mapping[str, Sequence[str]]) -> Inventory:
    """Return the inventory of a run as its `listing` records it, with the files as far as they are there unchanged.

    Samples are drawn from it as from the sources themselves, except from lists of viewpoints that are not there.
    base_dir: None if no file is to be looked for. ValueError or KeyError if it is not a listing of this manifest.
    """
    own = listing.get("category", [])
    if base_dir is None:
        reasons = dict.fromkeys(KINDS, "its files were not looked for")
        return _inventory(manifest, _assets_only(listing), {}, own, reasons)
    models = functools.cache(lambda: take_cads(manifest, base_dir))
    takes: dict[str, Callable[[], Iterable[Asset]]] = {
        **{f"cad/{name}": functools.partial(lambda name: models()[name], name) for name in cad_names(manifest)},
        "texture": lambda: take_textures(manifest, base_dir),
        "hdri": lambda: take_environments(manifest, base_dir),
        "background": lambda: take_backgrounds(manifest, base_dir),
    }
    assets, reasons = dict[str, tuple[Asset, ...]](), dict[str, str]()
    for section, take in takes.items():
        assets[section], reasons[section] = _as_recorded(section, listing[section], take)
    viewpoints, reasons["viewpoint"] = _recorded_viewpoints(manifest, base_dir, listing["viewpoint"])
    if not any(reasons[f"cad/{name}"] for name in cad_names(manifest)):
        reasons["cad"] = _changed_definitions(manifest, models(), own)
    lacking = {section.partition("/")[0]: reason for section, reason in reasons.items() if reason}
    return _inventory(manifest, assets, viewpoints, own, lacking)
