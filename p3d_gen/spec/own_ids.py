"""Ids of models: no two of one category, or of those that occlude, share one."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol, TypeVar

from p3d_gen.core.errors import AssetError

_logger = logging.getLogger(__name__)


class Named(Protocol):
    """A file with the id that its model has."""

    @property
    def id(self) -> str:
        """Return the id."""

    @property
    def path(self) -> Path:
        """Return the file."""


NamedT = TypeVar("NamedT", bound=Named)


def with_own_ids(named: Iterable[NamedT], quarantine: bool = False) -> Iterable[NamedT]:
    """Return models, of one category or those that occlude, of which no two share an id.

    Raise AssetError if two do; `quarantine` keeps the first of them, with a warning.
    """
    models: dict[str, NamedT] = {}
    for model in named:
        twin = models.setdefault(model.id, model).path
        if twin == model.path:
            continue
        is_twin = twin.with_suffix("") == model.path.with_suffix("")
        fault = "differ in their suffix only" if is_twin else f"both get the id {model.id!r}"
        if not quarantine:
            raise AssetError(f"{model.path} and {twin} {fault}; rename one of them")
        _logger.warning("%s is left out: it and %s %s; rename one of them", model.path, twin, fault)
    return models.values()
