"""The split of a sample, by the assets that it shows.

An asset's split is a hash of the seed and its id: runs that are added later never move it. A sample belongs to a split
if all its assets of the chosen kinds do.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, model_validator

from p3d_gen.spec.sections import Positive, Section

Kind = Literal["cad", "texture", "background", "hdri"]
KINDS: tuple[Kind, ...] = get_args(Kind)
_LABELS: dict[Kind, str] = {
    "cad": "cad_id",
    "texture": "texture_id",
    "background": "background_id",
    "hdri": "hdri_id",
}
RESERVED = {"all": "`datasets` calls all splits together so", "cad": "the folder of the models is called so"}
SplitName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]


class Recipe(Section):
    """The choices that decide a dataset, besides its samples.

    seed: of the assets' splits and of the order. shares: each split's share of the assets, in proportion. split_by: the
    kinds of assets that no two splits may share. shard_samples, shard_bytes: the largest size of a shard; a single
    sample may have more bytes than that. depth16: keeps depth in 16 bits.
    """

    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    shares: Annotated[dict[SplitName, Positive], Field(min_length=1)]
    split_by: Annotated[tuple[Kind, ...], Field(min_length=1)] = ("cad",)
    shard_samples: Annotated[int, Field(ge=1)] | None = None
    shard_bytes: Annotated[int, Field(ge=1)] | None = None
    depth16: bool = False

    @model_validator(mode="after")
    def _check(self) -> Recipe:
        if len(set(self.split_by)) < len(self.split_by):
            raise ValueError(f"a kind is named twice in {list(self.split_by)}")
        return self


def _uniform(*of: object) -> float:
    """Return a number in [0, 1) that is a function of its arguments alone."""
    digest = hashlib.sha256("\0".join(map(str, of)).encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64


def asset_ids(labels: Mapping[str, Any]) -> dict[Kind, str]:
    """Return the assets of a sample by kind, "" if it has none of that kind; a CAD model with its category."""
    ids: dict[Kind, str] = {kind: labels[label] for kind, label in _LABELS.items()}
    return ids | {"cad": f"{labels['category']}/{ids['cad']}"}


def split_of_asset(recipe: Recipe, kind: Kind, asset: str) -> str:
    """Return the split of an asset."""
    place = _uniform(recipe.seed, kind, asset) * sum(recipe.shares.values())
    for split, share in recipe.shares.items():
        place -= share
        if place < 0:
            return split
    return next(reversed(recipe.shares))


def split_of(recipe: Recipe, ids: Mapping[Kind, str]) -> str | None:
    """Return the split of a sample; None if its assets belong to several. ValueError if it has none of the kinds."""
    splits = {split_of_asset(recipe, kind, ids[kind]) for kind in recipe.split_by if ids[kind]}
    if not splits:
        raise ValueError(f"it has no {' or '.join(recipe.split_by)}")
    return splits.pop() if len(splits) == 1 else None


def place_in_order(recipe: Recipe, key: str) -> float:
    """Return a sample's place in the shuffled order, in [0, 1). Samples that are added later do not reorder others."""
    return _uniform(recipe.seed, "order", key)
