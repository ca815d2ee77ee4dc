"""SPDX ids of licences, and the licences that free texts name."""

from __future__ import annotations

import re

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

_CC_ADDRESS = re.compile(r"creativecommons\.org/licenses/(by(?:-nc)?(?:-nd|-sa)?)/(\d\.\d)", re.IGNORECASE)
_CC_NAME = re.compile(r"\bCC[ -](BY(?:[ -]NC)?(?:[ -](?:ND|SA))?)[ -]v?(\d\.\d)", re.IGNORECASE)
_CC_ZERO = re.compile(r"creativecommons\.org/publicdomain/zero/1\.0|\bCC[ -]?0\b", re.IGNORECASE)


def spdx(text: str) -> str:
    """Return an SPDX expression in its canonical spelling. Raise ValueError if it is not one."""
    try:
        return str(canonicalize_license_expression(text))
    except InvalidLicenseExpression as error:
        raise ValueError(
            f"{text!r} is not an SPDX id ({error}); write LicenseRef-<name> for a licence that has none"
        ) from None


def named_licence(text: str) -> str:
    """Return the SPDX id of the licence that a free text names, "" if it names none that is known.

    It is an id itself, or holds the name or the address of a Creative Commons licence.
    """
    try:
        return spdx(text.strip())
    except ValueError:
        pass
    if match := _CC_ADDRESS.search(text) or _CC_NAME.search(text):
        return spdx(f"CC-{match[1].replace(' ', '-')}-{match[2]}")
    return "CC0-1.0" if _CC_ZERO.search(text) else ""
