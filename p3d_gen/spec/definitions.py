"""The definitions of a run's categories: from the manifest, from category.toml next to the CAD models, or built in."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from p3d_gen.core.categories import BUILTIN, CategoryDefinition, definition_of, own_definitions
from p3d_gen.core.errors import AssetError
from p3d_gen.spec.category_section import CategorySection
from p3d_gen.spec.scene_sections import TruncatedNormal
from p3d_gen.spec.sections import validated
from p3d_gen.spec.side_files import CATEGORY_FILE, category_file, category_keys


def define(name: str, section: CategorySection | None, model: Path | None) -> tuple[CategoryDefinition, str]:
    """Return the definition of a category, and a line that says what was assumed: "" if somebody defined it.

    section: the manifest's, if it has one. model: the file of one of its models, if there is one. AssetError for a
    category.toml that cannot be used.
    """
    definition = definition_of(name, {})
    file = category_file(model) if model else None
    beside = validated(CategorySection, category_keys(file), str(file), "category file", AssetError) if file else None
    for given in (beside, section):
        if given is not None:
            definition = given.applied(definition)
    is_defined = name in BUILTIN or file is not None or section is not None
    return definition, "" if is_defined else assumed(definition)


def assumed(definition: CategoryDefinition) -> str:
    """Return a line about the defaults of a category that nothing defines."""
    _, _, low, high = definition.elevation_deg
    return (
        f"{definition.name} is not a built-in category, and nothing defines it: assumed are no symmetry, an object "
        f"that stands, elevations from {low:g} to {high:g} degrees, and the word {definition.prompt_words[0]!r} in "
        f"prompts; [category.{definition.name}] in the manifest or {CATEGORY_FILE} next to its models changes that"
    )


def category_data(definition: CategoryDefinition) -> dict[str, Any]:
    """Return the keys of a `category.toml` that make the definition of one that nothing defines; {} for no change."""
    usual = definition_of(definition.name, {})
    data = {key: list(value) if isinstance(value, tuple) else value for key, value in vars(definition).items()}
    changed = {key: data[key] for key in data if getattr(definition, key) != getattr(usual, key)}
    if "symmetry" in changed:
        changed["symmetry"] = definition.symmetry.texts()
    if elevation := changed.pop("elevation_deg", None):
        changed["elevation"] = dict(zip(TruncatedNormal.model_fields, elevation, strict=True))
    return changed


def listing(definitions: Mapping[str, CategoryDefinition]) -> list[str]:
    """Return the definitions that are not the built-in ones, as a run records them: texts that hold JSON."""
    own = own_definitions(definitions.values())
    return [json.dumps(own[name].to_json(), ensure_ascii=False, sort_keys=True) for name in sorted(own)]


def own_words(definitions: Mapping[str, CategoryDefinition]) -> dict[str, tuple[str, ...]]:
    """Return the words in prompts of the categories that are not built in, by name."""
    own = own_definitions(definitions.values())
    return {name: own[name].prompt_words for name in sorted(own)}


def wordless(texts: Iterable[str]) -> list[str]:
    """Return recorded definitions without their words and sizes, on which no render depends."""
    return listing({name: replace(each, words=(), diagonal_m=None) for name, each in recorded(texts).items()})


def recorded(texts: Iterable[str]) -> dict[str, CategoryDefinition]:
    """Return the definitions that a run recorded, by name; the first one of each. ValueError for other texts."""
    definitions = [CategoryDefinition.from_json(json.loads(text)) for text in texts]
    return {each.name: each for each in reversed(definitions)}
