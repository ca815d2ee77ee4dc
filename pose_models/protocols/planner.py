"""From a protocol to the commands that it takes: which step is run, under which name, after which other."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click

from p3d_gen.core.errors import ConfigError, did_you_mean
from pose_models.protocols.commands import TRUE, flags, leaf_command, option_names, takes
from pose_models.protocols.manifest import (
    DATA,
    EVALUATE,
    Column,
    Options,
    Protocol,
    Row,
    Setting,
    filled,
    placeholders,
)

STEPS = "steps"
# Options that do not change the result, only where and how fast it is computed.
_WITHOUT_EFFECT = ("workers", "checkpoint-every", "definitions")  # of the last, the content decides


@dataclass(frozen=True, kw_only=True)
class ProtocolRequest:
    """The part of a protocol that a user asks for, and its data.

    manifest: the protocol's file. data: the dataset's folder; shards: folders of renders by name; cads: folder of CAD
    models, None for the one next to the first shards. seeds, categories, rows, columns, settings: the part of the
    protocol that is run, None for all. limit: images of each category that are adapted to and evaluated. changes:
    options that replace those of the protocol, "OPTION" for every command that takes it, "STEP.OPTION" for one step,
    "evaluate.OPTION".
    """

    manifest: Path
    data: Path
    shards: Mapping[str, Path] = field(default_factory=dict)
    cads: Path | None = None
    seeds: Sequence[int] | None = None
    categories: Sequence[str] | None = None
    rows: Sequence[str] | None = None
    columns: Sequence[str] | None = None
    settings: Sequence[str] | None = None
    limit: int | None = None
    changes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ProtocolJob:
    """One command to run once, however many cells need it.

    name: its folder below the run's steps. step: its name in the protocol. row: the first that needs it. command: its
    words; options: except --model, --out, --device. after: whose model it starts from. parts: the categories that it is
    run for one by one, each in a folder of its own, none for all at once. definitions: the protocol's of categories, as
    JSON, "" if it reads none.
    """

    name: str
    step: str
    row: str
    command: tuple[str, ...]
    options: Options
    after: ProtocolJob | None
    parts: tuple[str, ...] = ()
    definitions: str = ""

    @property
    def digest(self) -> str:
        """Return a hash of everything that decides the result, that of the steps before included."""
        kept = {name: value for name, value in self.options.items() if name not in _WITHOUT_EFFECT}
        before = None if self.after is None else self.after.digest
        parts = [self.command, kept, self.parts, before, *([self.definitions] if self.definitions else [])]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One seed's evaluation of a row."""

    row: str
    setting: str
    column: str
    seed: int
    job: ProtocolJob


@dataclass(frozen=True, kw_only=True)
class ProtocolPlan:
    """jobs: in an order in which each comes after the one it starts from; cells: the evaluations among them."""

    protocol: Protocol
    jobs: tuple[ProtocolJob, ...]
    cells: tuple[Cell, ...]
    settings: tuple[str, ...]
    columns: tuple[str, ...]
    rows: tuple[Row, ...]


def arguments(job: ProtocolJob, command: click.Command, steps: Path, device: str, part: str = "") -> list[str]:
    """Return the words after `pose-models` that run a job, or its `part`, with all jobs below the folder `steps`."""
    source = None if job.after is None else output(job.after, steps) / (part if job.after.parts else "")
    model = [] if source is None else ["--model", str(source)]
    options = {**job.options, **({"category": (part,)} if part else {})}
    if part and job.definitions and part not in json.loads(job.definitions):
        del options["definitions"]  # which says nothing of this part
    where = ["--device", device] if any("--device" in each.opts for each in command.params) else []
    return [*job.command, *model, *flags(command, options), "--out", str(output(job, steps) / part), *where]


def output(job: ProtocolJob, steps: Path) -> Path:
    """Return the folder that a job's command writes."""
    return steps / job.name / "run"


@dataclass(frozen=True, kw_only=True)
class _Place:
    """The place in the tables at which a job is first needed."""

    row: Row
    setting: Setting
    column: Column
    seed: int


class _Planner:
    """Jobs by name, made once each."""

    def __init__(self, protocol: Protocol, request: ProtocolRequest, main: click.Command) -> None:
        self.protocol, self.request, self.main = protocol, request, main
        self.jobs: dict[str, ProtocolJob] = {}
        self.categories = _chosen("category", request.categories, protocol.categories)
        sections = {name: each.model_dump(mode="json") for name, each in protocol.category.items()}
        self.definitions = json.dumps(sections, sort_keys=True)
        self.used: set[str] = set()

    def cell(self, row: Row, setting: str, column: str, seed: int) -> Cell:
        settings, columns = self.protocol.settings, self.protocol.columns
        place = _Place(row=row, setting=settings[setting], column=columns[column], seed=seed)
        job: ProtocolJob | None = None
        for step in row.steps:
            job = self._step(place, step, job)
        return Cell(row=row.name, setting=setting, column=column, seed=seed, job=self._evaluation(place, job))

    def _step(self, place: _Place, step: str, after: ProtocolJob | None) -> ProtocolJob:
        words = self._words(step)
        known = option_names(leaf_command(self.main, words))
        if (after is None) == ("model" in known):
            raise ConfigError(
                f"step {step!r} of row {place.row.name!r}: `{' '.join(words)}` starts "
                + ("from a model, and no step comes before it" if after is None else "afresh: put it first")
            )
        options = self.protocol.options_of(step)
        values = place.column.values
        varying: Options = {name: values[name] for name in placeholders(options) if name in values}
        if "target" in known:
            images = {**place.setting.adapt, **place.column.images}
            varying |= images
            options = {"target": f"{{{DATA}}}", **self._images(images), **options}
        if "cads" in known and "shards" not in options:
            options = {"cads": str(self._cads(step)), **options}
        if self.protocol.category.keys() & set(self.categories) and "definitions" in known:
            options = {"definitions": str(self.request.manifest), **options}
        return self._job(place, step, {**options, "seed": place.seed}, varying, after)

    def _words(self, step: str) -> tuple[str, ...]:
        return (EVALUATE,) if step == EVALUATE else tuple(self.protocol.steps[step].command.split())

    def _evaluation(self, place: _Place, after: ProtocolJob | None) -> ProtocolJob:
        images = {**place.setting.evaluate, **place.column.images}
        options = {"data": f"{{{DATA}}}", **self._images(images), **self.protocol.defaults.get(EVALUATE, {})}
        options |= place.row.evaluate
        return self._job(place, EVALUATE, options, {**images, **place.row.evaluate}, after)

    def _images(self, images: Options) -> Options:
        limit: Options = {} if self.request.limit is None else {"limit": self.request.limit}
        return {**self.protocol.images, **images, **limit}

    def _cads(self, step: str) -> Path:
        if self.request.cads is not None:
            return self.request.cads
        if not self.request.shards:
            raise ConfigError(f"step {step!r} fits a mesh to CAD models: give --cads, or --shards next to a run's cad")
        folder = next(iter(self.request.shards.values()))
        return (folder.parent if folder.name == "shards" else folder) / "cad"

    def _job(
        self, place: _Place, step: str, options: Options, varying: Options, after: ProtocolJob | None
    ) -> ProtocolJob:
        words = self._words(step)
        command = leaf_command(self.main, words)
        options = {**self._filled(step, options, place.column), **self._changes(step, command)}
        if "category" in option_names(command):
            options["category"] = tuple(self.categories)
        label = "+".join([*([] if after is None else [after.name.rpartition("/")[0]]), _label(step, varying)])
        name = f"{label}/seed{place.seed}"
        if name in self.jobs and self.jobs[name].options != options:
            raise ConfigError(f"step {step!r}: two settings or columns would share the folder {name}: let them differ")
        if name not in self.jobs:
            parts = self._parts(words, options, after)
            job = ProtocolJob(
                name=name,
                step=step,
                row=place.row.name,
                command=words,
                options=options,
                after=after,
                parts=parts,
                definitions=self.definitions if "definitions" in options else "",
            )
            _check(job, command, self.protocol)
            self.jobs[name] = job
        return self.jobs[name]

    def _parts(self, words: tuple[str, ...], options: Options, after: ProtocolJob | None) -> tuple[str, ...]:
        """Return the parts of a job: one model for each category is trained and adapted on its own, so that a finished
        one stays finished."""
        if words == (EVALUATE,):
            return ()
        if after is not None:
            return after.parts
        alone = len(self.categories) == 1 or str(options.get("shared", False)).lower() in TRUE
        return () if alone or words != ("train",) else self.categories

    def _filled(self, step: str, options: Options, column: Column) -> Options:
        values = {name: str(value) for name, value in column.values.items()}
        values[DATA] = f"{self.protocol.kind}:{self.request.data}"
        values |= {name: str(folder) for name, folder in self.request.shards.items()}
        if missing := next((name for name in placeholders(options) if name not in values), None):
            raise ConfigError(
                f"step {step!r} reads the renders {missing!r}: give --shards {missing}=FOLDER, or choose other rows"
            )
        return filled(options, values)

    def _changes(self, step: str, command: click.Command) -> Options:
        """Return the user's changes that concern a step, those of only this step last."""
        changes: Options = {}
        for own in (False, True):
            for name, value in self.request.changes.items():
                owner, dot, option = name.rpartition(".")
                if bool(dot) == own and owner in ("", step) and takes(command, option, value):
                    changes[option] = value
                    self.used.add(name)
        return changes


def _label(step: str, varying: Options) -> str:
    """Return a folder's name for a step and what it depends on in a table: evaluate.val.0of2."""
    words = [step]
    for name, value in varying.items():
        texts = [str(each) for each in value] if isinstance(value, tuple) else [str(value)]
        words += [name if value is True else f"no-{name}" if value is False else text for text in texts]
    return ".".join(re.sub(r"[^\w-]", "", w.replace("/", "of").replace("%", "pc")) if w != step else w for w in words)


def _check(job: ProtocolJob, command: click.Command, protocol: Protocol) -> None:
    """Let the command itself judge its arguments."""
    try:
        words = arguments(job, command, Path("steps"), "auto", job.parts[0] if job.parts else "")
        command.make_context(command.name, words[len(job.command) :])
    except (click.UsageError, ConfigError) as error:
        said = error.format_message() if isinstance(error, click.UsageError) else error
        raise ConfigError(f"{protocol.title}: row {job.row!r}, step {job.step!r}: {said}") from error


def _chosen(kind: str, wanted: Sequence[str] | None, known: Sequence[str]) -> tuple[str, ...]:
    """Return those of `known` that are wanted, in its order. ValueError for an unknown one."""
    for name in wanted or ():
        if name not in known:
            raise ConfigError(f"the protocol has no {kind} {name!r}{did_you_mean(name, known)}")
    return tuple(name for name in known if not wanted or name in wanted)


def _wanted(protocol: Protocol, request: ProtocolRequest) -> Iterator[tuple[Row, str, str, int]]:
    rows = _chosen("row", request.rows, [row.name for row in protocol.rows])
    columns = _chosen("column", request.columns, list(protocol.columns))
    settings = _chosen("setting", request.settings, list(protocol.settings))
    for seed in request.seeds or protocol.seeds:
        for setting in settings:
            for row in protocol.rows:
                for column in protocol.columns_of(row):
                    if row.name in rows and row.steps and column in columns:
                        yield row, setting, column, seed


def make_plan(protocol: Protocol, request: ProtocolRequest, main: click.Command) -> ProtocolPlan:
    """Plan the jobs and cells of the part of a protocol that is asked for. main: the command `pose-models`.

    ValueError for an unknown row, column, setting, category, option or command, for renders that are not given, and for
    whatever a command refuses to take.
    """
    for name in request.shards:
        if name not in protocol.shards:
            raise ConfigError(f"the protocol uses no renders {name!r}{did_you_mean(name, protocol.shards)}")
    planner = _Planner(protocol, request, main)
    cells = tuple(planner.cell(*each) for each in _wanted(protocol, request))
    if unused := next((name for name in request.changes if name not in planner.used), None):
        raise ConfigError(f"--set {unused}: no step that is run has this option")
    return ProtocolPlan(
        protocol=protocol,
        jobs=tuple(planner.jobs.values()),
        cells=cells,
        settings=_chosen("setting", request.settings, list(protocol.settings)),
        columns=_chosen("column", request.columns, list(protocol.columns)),
        rows=tuple(row for row in protocol.rows if row.name in (request.rows or [r.name for r in protocol.rows])),
    )
