"""Frozen, validated sections of a TOML file, and errors that name the file, the key, the value and the remedy."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from string import Formatter
from typing import Annotated, Any, ClassVar, Literal, TypeVar, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
)
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from p3d_gen.core.categories import check_builtin, check_name
from p3d_gen.core.errors import ConfigError, P3DError, did_you_mean
from p3d_gen.core.symmetry import Symmetry

EMBEDDED = "embedded"
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Range = tuple[Positive, Positive]
Unit = Annotated[float, Field(ge=0, le=1)]
_UNITS_M = {"m": 1.0, "dm": 0.1, "cm": 0.01, "mm": 0.001, "in": 0.0254, "ft": 0.3048, "unknown": 0.0}
LengthUnit = Annotated[
    Literal["m", "dm", "cm", "mm", "in", "ft", "unknown"] | Positive,
    Field(description='"m", "dm", "cm", "mm", "in", "ft", "unknown", or a number of metres'),
]
Category = Annotated[str, AfterValidator(check_name)]
BuiltinCategory = Annotated[str, AfterValidator(check_builtin)]
# The turns of a symmetry, as a list of texts or numbers, or one text.
Turns = Annotated[tuple[str, ...], BeforeValidator(lambda value: tuple(Symmetry.parse(value).texts()))]
_SHAPE_FAULTS = ("tuple_type", "too_short", "too_long", "missing")


class Section(BaseModel):
    """A table of keys and values; unknown keys are errors.

    later: keys that came after version 0.1.0. With their defaults they are not dumped, so that a manifest that does not
    use them keeps its hash.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    later: ClassVar[tuple[str, ...]] = ()

    @model_serializer(mode="wrap")
    def _dumped(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        values: dict[str, Any] = dump(self)
        for name in self.later:
            if getattr(self, name) == type(self).model_fields[name].get_default(call_default_factory=True):
                values.pop(name, None)
        return values


T = TypeVar("T", bound=Section)


def metres(unit: str | float | None) -> float | None:
    """Return the length of a `LengthUnit` in metres, None for None, 0 if it is stated to be unknown."""
    return _UNITS_M[unit] if isinstance(unit, str) else unit


def check_template(template: str, *fields: str) -> None:
    """Raise ValueError unless a text can be filled in, and asks only for these fields, each by its name alone.

    Formats and attributes, as in {colour:>9} or {colour.real}, are refused: a width alone could fill the memory.
    """
    valid = ", ".join(f"{{{name}}}" for name in fields)
    try:
        asked = [part[1:] for part in Formatter().parse(template) if part[1] is not None]
    except ValueError as error:
        raise ValueError(f"template {template!r}: {error}; valid fields: {valid}") from None
    for name, form, conversion in asked:
        if name not in fields or form or conversion:
            text = f"{name}{f'!{conversion}' if conversion else ''}{f':{form}' if form else ''}"
            raise ValueError(f"template {template!r}: {text!r}; valid fields: {valid}")


def ordered(name: str, low: float, high: float) -> None:
    """Raise ValueError if the first number of a range is the larger one."""
    if low > high:
        raise ValueError(f"{name} runs from {low} to {high}: the first number must not be the larger one")


def _inner(annotation: Any) -> Any:
    """Return the section that a field's values are, through containers and unions; None if they are not sections."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((section for part in get_args(annotation) if (section := _inner(part)) is not None), None)


def _look_up(model: type[Section], path: tuple[int | str, ...]) -> tuple[Any, FieldInfo | None]:
    """Return the innermost section on a path of a file, and the field that the path ends at, None for a list's item."""
    section: Any = model
    field = None
    for step in path:
        field = section.model_fields.get(str(step))
        if field is not None and (inner := _inner(field.annotation)) is not None:
            section = inner
    return section, field


def _shape(field: FieldInfo | None, error: ErrorDetails) -> str:
    """Return what a list must be made of, if a value is not a list or has the wrong length."""
    if field is not None and field.description:
        return f"must be {field.description}"
    sizes = get_args(field.annotation) if field is not None else ()
    if sizes and sizes[-1] is not Ellipsis:
        return f"must be a list of {len(sizes)} values"
    if error["type"] == "too_short":
        return f"must be a list of {error['ctx']['min_length']} values or more"
    value = error["input"]
    return "must be a list" + (f", such as {[value]}" if isinstance(value, str | int | float) else "")


def _describe(model: type[Section], error: ErrorDetails, kind: str) -> str:
    path = tuple(step for step in error["loc"] if step != "[key]")
    if error["type"] == "missing" and isinstance(path[-1], int):
        path = path[:-1]  # too short a list
    name = ".".join(str(step) for step in path) or f"the {kind}"
    value = error["input"]
    if error["type"] == "extra_forbidden":
        return f"unknown key {name!r}{did_you_mean(str(path[-1]), _look_up(model, path[:-1])[0].model_fields)}"
    if error["type"] == "value_error":
        return f"{name}: {error['ctx']['error']}"
    if error["type"] == "missing" and path == error["loc"]:
        return f"the key {name!r} is missing"
    if error["type"] in _SHAPE_FAULTS:
        return f"{name} = {value!r}: {_shape(_look_up(model, path)[1], error)}"
    if error["type"] == "literal_error" and isinstance(value, str):
        valid = re.findall(r"'(.*?)'", error["ctx"]["expected"])
        return f"{name} = {value!r} is not known{did_you_mean(value, valid)}"
    if error["type"] == "model_type":
        return f"{name} = {value!r}: must be a table of keys and values"
    return f"{name} = {value!r}: {error['msg'].replace('Input should', 'must', 1).partition(', unable')[0]}"


def _first_causes(errors: list[ErrorDetails]) -> list[ErrorDetails]:
    """Return the faults without those that only follow: a list that is too short after its wrong items were dropped."""
    return [
        error
        for error in errors
        if error["type"] != "too_short"
        or not any(len(other["loc"]) > len(error["loc"]) == _common(other["loc"], error["loc"]) for other in errors)
    ]


def _common(path: tuple[int | str, ...], other: tuple[int | str, ...]) -> int:
    """Return the number of steps that two paths have in common."""
    return next((i for i, (a, b) in enumerate(zip(path, other, strict=False)) if a != b), min(len(path), len(other)))


def list_faults(model: type[Section], invalid: ValidationError, kind: str) -> str:
    """Return all faults of the data of a section, one a line. kind: the word for what the section describes."""
    return "\n".join(f"  {_describe(model, fault, kind)}" for fault in _first_causes(invalid.errors()))


def validated(model: type[T], data: dict[str, Any], origin: str, kind: str, error: type[P3DError] = ConfigError) -> T:
    """Return a section made of plain data. Raise `error`, which lists every fault at once, if the data does not fit.

    origin: where the data stands, for the message, such as a file. kind: the word for what the section describes.
    """
    try:
        return model.model_validate(data)
    except ValidationError as invalid:
        raise error(f"{origin} is not a valid {kind}:\n{list_faults(model, invalid, kind)}") from None


def read_toml(path: Path, error: type[P3DError] = ConfigError) -> dict[str, Any]:
    """Return the data of a TOML file. Raise `error` with the file and the line if it cannot be read.

    A byte order mark, which some editors put before UTF-8 text, is passed over.
    """
    try:
        content = path.read_bytes()
        return tomllib.loads(content.decode("utf-8-sig"))
    except OSError as failure:
        raise error(f"{path} cannot be read: {failure.strerror}") from None
    except UnicodeDecodeError as fault:
        line = content[: fault.start].count(b"\n") + 1
        raise error(f"{path} is not TOML: line {line} is not UTF-8 text; save the file as UTF-8") from None
    except tomllib.TOMLDecodeError as fault:
        raise error(f"{path} is not TOML: {fault}; correct that line") from None


def load_section(model: type[T], path: Path, kind: str, error: type[P3DError] = ConfigError) -> T:
    """Return the section of a TOML file. Raise `error`, which names file, keys, values and the nearest valid keys."""
    return validated(model, read_toml(path, error), str(path), kind, error)
