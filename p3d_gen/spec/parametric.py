"""Addresses of parametric shapes: `parametric:<category>?variant=<n>`, or `?variant=<first>..<last>` for several."""

from __future__ import annotations

import re

from p3d_gen.core.errors import AssetError

PARAMETRIC = "parametric:"


def parametric_address(category: str, variant: int) -> str:
    """Return the address of a parametric shape."""
    return f"{PARAMETRIC}{category}?variant={variant}"


def parse_parametric_range(address: str) -> tuple[str, range]:
    """Return the category and the variants of an address: one number, or the first and the last, as `?variant=0..31`.

    Raise AssetError if it is not such an address.
    """
    match = re.fullmatch(PARAMETRIC + r"(\w+)\?variant=(\d+)(?:\.\.(\d+))?", address)
    if not match or (match[3] is not None and int(match[3]) < int(match[2])):
        raise AssetError(
            f"{address!r} is not an address of parametric shapes: write {parametric_address('car', 17)} for one shape, "
            f"{PARAMETRIC}car?variant=0..31 for several"
        )
    return match[1], range(int(match[2]), int(match[3] or match[2]) + 1)


def parse_parametric(address: str) -> tuple[str, int]:
    """Return the category and the variant of the address of one parametric shape. Raise AssetError if it is not one."""
    category, variants = parse_parametric_range(address)
    if len(variants) > 1:
        raise AssetError(
            f"{address!r} stands for {len(variants)} shapes, but one is needed: write ?variant={variants[0]}"
        )
    return category, variants[0]
