"""Categories as a model knows them: the definitions of those that are not built in travel in its folder."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from p3d_gen.core.categories import BUILTIN, CategoryDefinition, definition_of, own_definitions
from p3d_gen.core.errors import AssetError, ConfigError, DataError, did_you_mean
from p3d_gen.core.symmetry import Symmetry
from p3d_gen.run.files import read_sealed
from p3d_gen.spec.category_section import CategorySection
from p3d_gen.spec.definitions import recorded
from p3d_gen.spec.sections import read_toml, validated
from p3d_gen.spec.side_files import CATEGORY_FILE, category_keys

_log = logging.getLogger(__name__)
_RUN, _DATASET = "run.json", "dataset.json"


@dataclass(frozen=True, kw_only=True)
class KnownCategories:
    """The part of a model's specification that tells about its categories.

    unmirrored: categories of shapes whose left and right differ, so that a mirrored picture shows no pose of them.
    definitions: those of categories that are not built in as they are.
    """

    unmirrored: tuple[str, ...] = ()
    definitions: tuple[CategoryDefinition, ...] = ()

    def definition(self, category: str) -> CategoryDefinition:
        """Return the definition of a category."""
        return definition_of(category, {each.name: each for each in self.definitions})

    def symmetry(self, category: str) -> Symmetry:
        """Return the symmetry of a category's shapes."""
        return self.definition(category).symmetry.canonical()


def spec_fields(spec: Any) -> dict[str, Any]:
    """Return the fields of a specification for JSON; those of `KnownCategories` only where they hold something.

    Older versions of this package do not know them.
    """
    fields: dict[str, Any] = asdict(spec)
    fields["definitions"] = [each.to_json() for each in spec.definitions]
    return {name: value for name, value in fields.items() if value or name not in KnownCategories.__dataclass_fields__}


def known_fields(path: Path, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of `KnownCategories` of a specification that was read from `path`. DataError naming it."""
    try:
        definitions = tuple(CategoryDefinition.from_json(each) for each in fields.get("definitions", ()))
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    return {"unmirrored": tuple(fields.get("unmirrored", ())), "definitions": definitions}


def _record(path: Path) -> Any:
    """Return the JSON of a file, None if it is not there. DataError if it is damaged."""
    try:
        return read_sealed(path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}; make the run or dataset again") from error


def _recorded(root: Path) -> dict[str, CategoryDefinition]:
    """Return the definitions that a run or dataset carries, {} for older ones and for a folder of tars alone."""
    try:
        if isinstance(run := _record(root / _RUN), dict):
            return recorded(run.get("sources", {}).get("category", []))
        if isinstance(dataset := _record(root / _DATASET), dict):
            found = [CategoryDefinition.from_json(each) for each in dataset.get("categories", {}).values()]
            return {each.name: each for each in found}
    except (ValueError, AttributeError, TypeError) as error:
        if isinstance(error, DataError) and str(root) in str(error):
            raise
        raise DataError(f"{root}: its definitions of categories cannot be read: {error}") from error
    return {}


def _beside(cads: Path, category: str) -> CategoryDefinition | None:
    """Return the definition in the category.toml of a folder CADS/CATEGORY, None if there is none."""
    path = cads / category / CATEGORY_FILE
    if not path.is_file():
        return None
    section = validated(CategorySection, category_keys(path), str(path), "category file", AssetError)
    return section.applied(definition_of(category, {}))


def check_defines(path: Path, categories: Sequence[str]) -> None:
    """Raise ConfigError if a file as of `stated_definitions` defines none of the categories that are trained on."""
    sections = stated_definitions(path)
    if not sections:
        raise ConfigError(f"{path} has no sections [category.NAME]: add [category.{categories[0]}]")
    if not sections.keys() & set(categories):
        raise ConfigError(
            f"{path} has no section [category.{categories[0]}]{did_you_mean(categories[0], sections)}; add it"
        )


def stated_definitions(path: Path) -> dict[str, CategorySection]:
    """Return the sections [category.NAME] of a TOML file, such as a manifest or a protocol, by name.

    ConfigError naming the file if it cannot be read, or a section is not valid.
    """
    tables = read_toml(path).get("category", {})
    if not isinstance(tables, dict):
        raise ConfigError(f"{path}: category = {tables!r} is no section: write [category.NAME]")
    return {
        name: validated(CategorySection, table, f"{path}: [category.{name}]", "category")
        for name, table in tables.items()
    }


def training_definitions(
    roots: Iterable[Path], cads: Path | None, categories: Sequence[str], file: Path | None = None
) -> tuple[CategoryDefinition, ...]:
    """Return the definitions of categories to train on, without those that are built in as they are.

    roots: the runs and datasets that the shards belong to, which come first; then CADS/CATEGORY/category.toml. file: a
    file as of `stated_definitions`, whose keys replace those of either. What nothing defines has no symmetry, and
    stands. DataError if two runs say otherwise of a category, or one is damaged.
    """
    stated = {} if file is None else stated_definitions(file)
    known: dict[str, tuple[CategoryDefinition, Path]] = {}
    for root in roots:
        for name, definition in _recorded(root).items():
            first, where = known.setdefault(name, (definition, root))
            if (first.symmetry.canonical(), first.pose) != (definition.symmetry.canonical(), definition.pose):
                raise DataError(
                    f"{where} and {root} define {name!r} with another symmetry or pose: train on runs that agree"
                )
    chosen = []
    for name in categories:
        beside = None if cads is None or name in known else _beside(cads, name)
        if name not in {*known, *stated} and beside is None and name not in BUILTIN:
            _log.info(
                "%s: neither the shards' run nor category.toml next to the CAD models defines it; assumed are no "
                "symmetry, and an object that stands", name,
            )  # fmt: skip
        definition = known[name][0] if name in known else beside or definition_of(name, {})
        chosen.append(stated[name].applied(definition) if name in stated else definition)
    return tuple(own_definitions(chosen).values())
