"""The dataset card: README.md with the metadata by which the Hugging Face Hub and `datasets` know the splits."""

from __future__ import annotations

from typing import Any

from p3d_gen.dataset.markdown import markdown
from p3d_gen.dataset.schema import MEMBERS
from p3d_gen.spec.licences import UNKNOWN

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
_LARGE = "1M<n<10M"


def _license(licences: dict[str, int]) -> str:
    """Return the card's licence: that of all assets, `other` for several, `unknown` if not all are known."""
    if not licences or UNKNOWN in licences:
        return UNKNOWN
    return next(iter(licences)).lower() if len(licences) == 1 else "other"


def dataset_card(summary: dict[str, Any]) -> str:
    """Return the card of a dataset, from its dataset.json: one configuration for all categories, and one for each."""
    splits = summary["splits"]
    total = sum(split["samples"] for split in splits.values())
    facts = {
        "total": total,
        "size": next((name for below, name in _SIZES if total < below), _LARGE),
        "categories": sorted({name for split in splits.values() for name in split["categories"]}),
        "meanings": MEMBERS,
        "license": _license(summary["licences"]),
    }
    return markdown("card.md.j2", summary | facts)
