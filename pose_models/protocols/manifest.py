"""A protocol as TOML: which rows a paper's table has, how commands of `pose-models` make each, what was printed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from p3d_gen.core.errors import ManifestError, did_you_mean
from p3d_gen.spec.category_section import CategorySection
from p3d_gen.spec.sections import Section, load_section

Value = bool | int | float | str | tuple[str | int | float, ...]
Options = dict[str, Value]
Number = float | tuple[float, float]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
DATA, EVALUATE = "data", "evaluate"
_PLACEHOLDER = re.compile(r"\{([\w-]+)\}")


class Paper(Section):
    """The place of the published figures."""

    name: str
    table: str


class Published(Section):
    """Printed figures of a row, in percent and degrees, a pair for a range; left out where they are not known.

    column: for which of the protocol's columns; group: for which part of the benchmark, "" for all of it.
    """

    column: str = ""
    group: str = ""
    acc_pi_6: Number | None = None
    acc_pi_18: Number | None = None
    median_deg: Number | None = None


class Setting(Section):
    """The images that are adapted to and evaluated, as image options of the commands (split, part, ...)."""

    adapt: Options = Field(default_factory=dict)
    evaluate: Options = Field(default_factory=dict)


class Column(Section):
    """A column of a table: what varies over it.

    values: fill in {NAME} in the options of the steps. images: image options that are added wherever the protocol
    adapts or evaluates (corrupt, occlude, ...).
    """

    values: dict[str, str | int] = Field(default_factory=dict)
    images: Options = Field(default_factory=dict)


class StepSection(Section):
    """One command of `pose-models` with its options, without their dashes. The run fills in what it knows: --model (of
    the step before), --out, --seed, --category, --device, the images that are adapted to, --cads with photographs."""

    command: str
    options: Options = Field(default_factory=dict)


class Row(Section):
    """A row of the table: a chain of steps, each of which starts from the model of the one before, and an evaluation.

    quoted: instead of steps, why the row is not run here. columns: those that the row has, all by default. evaluate:
    options of its evaluation. Equal beginnings of chains are run once.
    """

    name: str
    steps: tuple[str, ...] = ()
    quoted: str = ""
    columns: tuple[str, ...] | None = None
    evaluate: Options = Field(default_factory=dict)
    published: tuple[Published, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> Row:
        if bool(self.steps) == bool(self.quoted):
            raise ValueError(f"row {self.name!r} needs steps, or the reason why it is quoted, and not both")
        places = [(each.column, each.group) for each in self.published]
        if twice := next((place for place in places if places.count(place) > 1), None):
            raise ValueError(f"row {self.name!r} has two published entries for column {twice[0]!r}, group {twice[1]!r}")
        return self


class Protocol(Section):
    """A table of a paper, and how to make it again.

    kind: of the dataset, as in KIND:PATH. categories: of the table. category: definitions, as in the manifest of a run,
    that replace those of the renders' runs, key by key. seeds: of every row. shards: names of the folders of renders
    that the steps use as {NAME}; {data} is the dataset. groups: parts of the benchmark with figures of their
    own. images: image options of all adaptations and evaluations (crop, ...). defaults: options by command, which go
    before nothing else; those of a step go before them. settings, columns, rows: by name; each row is run in every
    setting and each of its columns.
    """

    title: str
    paper: Paper | None = None
    kind: str
    categories: Annotated[tuple[str, ...], Field(min_length=1)]
    category: dict[str, CategorySection] = Field(default_factory=dict)
    seeds: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)] = (0, 1, 2)
    shards: tuple[Name, ...] = ()
    groups: tuple[str, ...] = ()
    images: Options = Field(default_factory=dict)
    notes: tuple[str, ...] = ()
    settings: Annotated[dict[str, Setting], Field(min_length=1)]
    columns: Annotated[dict[str, Column], Field(min_length=1)] = Field(default_factory=lambda: {"": Column()})
    defaults: dict[str, Options] = Field(default_factory=dict)
    steps: dict[Name, StepSection]
    rows: Annotated[tuple[Row, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _check(self) -> Protocol:
        for kind, names in (("row", [row.name for row in self.rows]), ("category", list(self.categories))):
            if twice := next((name for name in names if names.count(name) > 1), None):
                raise ValueError(f"the {kind} {twice!r} is there twice")
        for name in self.category:
            if name not in self.categories:
                raise ValueError(f"[category.{name}] is not one of categories{did_you_mean(name, self.categories)}")
        if EVALUATE in self.steps:
            raise ValueError(f"a step may not be called {EVALUATE!r}: every row ends in that one")
        for row in self.rows:
            self._check_row(row)
        return self

    def _check_row(self, row: Row) -> None:
        for name in row.steps:
            if name not in self.steps:
                raise ValueError(f"row {row.name!r} has an unknown step {name!r}{did_you_mean(name, self.steps)}")
        for name in (*(row.columns or ()), *(each.column for each in row.published if each.column)):
            if name not in self.columns:
                raise ValueError(f"row {row.name!r} names an unknown column {name!r}{did_you_mean(name, self.columns)}")
        for name in (each.group for each in row.published if each.group):
            if name not in self.groups:
                raise ValueError(f"row {row.name!r} names an unknown group {name!r}{did_you_mean(name, self.groups)}")
        for column in self.columns_of(row):
            known = {DATA, *self.shards, *self.columns[column].values}
            for step in row.steps:
                for name in placeholders(self.options_of(step)):
                    if name not in known:
                        raise ValueError(f"step {step!r} names {{{name}}}, which is unknown in column {column!r}")

    def columns_of(self, row: Row) -> tuple[str, ...]:
        """Return the columns that a row has."""
        return tuple(self.columns) if row.columns is None else row.columns

    def options_of(self, step: str) -> Options:
        """Return the options of a step over the defaults of its command."""
        return {**self.defaults.get(self.steps[step].command, {}), **self.steps[step].options}


def placeholders(options: Options) -> list[str]:
    """Find the names in braces in the options' texts, in order."""
    texts = [part for value in options.values() for part in (value if isinstance(value, tuple) else (value,))]
    return [name for text in texts if isinstance(text, str) for name in _PLACEHOLDER.findall(text)]


def filled(options: Options, values: dict[str, str]) -> Options:
    """Replace every {NAME} in the options by its value."""

    def fill(value: str | int | float) -> str | int | float:
        return _PLACEHOLDER.sub(lambda match: values[match[1]], value) if isinstance(value, str) else value

    return {
        name: tuple(map(fill, value)) if isinstance(value, tuple) else fill(value) for name, value in options.items()
    }


def load_protocol(path: Path) -> Protocol:
    """Load the protocol of a TOML file. ManifestError names the file, the key, the value and the nearest valid key."""
    return load_section(Protocol, path, "protocol", ManifestError)
