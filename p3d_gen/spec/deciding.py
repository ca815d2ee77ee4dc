"""The part of a manifest and of its sources that decides the bytes of each stage's shards, next to the shards that the
stage reads: a change of anything else leaves them valid."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from p3d_gen.spec.definitions import wordless
from p3d_gen.spec.manifest import Manifest

# Members whose pixels a render holds only if they are asked for. The others are always there, or packing makes them.
_RENDERED = ("amodal", "depth", "normals", "nocs", "parts", "keypoints", "cuboid")
_NUMBERS = ("seed", "categories", "samples_per_category", "shard_size")
_SIZE = re.compile(r" \d+$")


def _render(values: dict[str, Any]) -> dict[str, Any]:
    sections = ("cad", "viewpoint", "camera", "render", "texture", "light", "occlusion")
    return {
        **{name: values[name] for name in (*_NUMBERS, *sections)},
        "colours": values["stylize"]["colours"],  # of realistic paint, of occluders, and of the label
        "members": [name for name in _RENDERED if name in values["output"]["members"]],
    }


def _pack(values: dict[str, Any]) -> dict[str, Any]:
    light = {"light": values["light"]} if values["background"]["draw"] == "environment" else {}
    return {**{name: values[name] for name in (*_NUMBERS, "background", "output")}, **light}


def without_size(identity: str) -> str:
    """Return the identity of an asset without the size of its file."""
    return _SIZE.sub("", identity)


def _by_content(identities: list[str], contents: Mapping[str, str]) -> list[str]:
    """Return the identities of assets with the sha256 of a file in place of its size."""
    told = []
    for identity in identities:
        name = without_size(identity)
        sha256 = contents.get(name.rpartition(".")[0])
        told.append(f"{name} {sha256}" if sha256 and name != identity else identity)
    return told


def decisive(
    stage: str, manifest: Manifest, listing: Mapping[str, list[str]], contents: Mapping[str, Mapping[str, str]]
) -> dict[str, Any]:
    """Return the part of a manifest and its sources that decides a stage's shards, as JSON.

    stage: render, stylize or shards. listing: see `Inventory.listing`. contents: kind -> id -> sha256 of the files.
    """
    values = manifest.model_dump(mode="json")
    if stage == "stylize":
        return {"seed": values["seed"]}
    is_render = stage == "render"
    return {
        "manifest": _render(values) if is_render else _pack(values),
        "sources": {
            kind: wordless(identities) if kind == "category" else _by_content(identities, contents.get(kind, {}))
            for kind, identities in listing.items()
            if (kind != "background") == is_render
        },
    }
