"""Frozen, validated sections of a TOML file, and errors that name the file, the key, the value and the remedy."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from p3d_gen.core.errors import ManifestError, did_you_mean

EMBEDDED = "embedded"
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Range = tuple[Positive, Positive]
Unit = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """A table of keys and values; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


T = TypeVar("T", bound=Section)


def ordered(name: str, low: float, high: float) -> None:
    """ValueError where a range's first number is the larger one."""
    if low > high:
        raise ValueError(f"{name} runs from {low} to {high}: the first number must not be the larger one")


def _inner(annotation: Any) -> Any:
    """The section that a field's values are, through containers and unions."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _inner(part)) is not None), None)


def _valid_keys(model: type[Section], path: tuple[int | str, ...]) -> list[str]:
    """The keys that the section at `path` of a file knows."""
    section: Any = model
    for step in path:
        if step in section.model_fields:
            section = _inner(section.model_fields[str(step)].annotation)
    return list(section.model_fields)


def _describe(model: type[Section], error: ErrorDetails, what: str) -> str:
    path = tuple(step for step in error["loc"] if step != "[key]")
    name = ".".join(str(step) for step in path) or f"the {what}"
    if error["type"] == "extra_forbidden":
        return f"unknown key {name!r}{did_you_mean(str(path[-1]), _valid_keys(model, path[:-1]))}"
    if error["type"] == "missing":
        return f"the key {name!r} is missing"
    if error["type"] == "value_error":
        return f"{name}: {error['ctx']['error']}"
    value = error["input"]
    hint = ""
    if error["type"] == "literal_error" and isinstance(value, str):
        hint = did_you_mean(value, re.findall(r"'(.*?)'", error["ctx"]["expected"]))
    return f"{name} = {value!r}: {error['msg'][0].lower()}{error['msg'][1:]}{hint}"


def validated(model: type[T], data: dict[str, Any], where: str, what: str) -> T:
    """A section from plain data. ManifestError lists every fault at once; `where` names the origin, `what` the kind."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        faults = "\n".join(f"  {_describe(model, fault, what)}" for fault in error.errors())
        raise ManifestError(f"{where} is not a valid {what}:\n{faults}") from None


def read_toml(path: Path) -> dict[str, Any]:
    """The data of a TOML file. ManifestError names a file that is not there or is none."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ManifestError(f"{path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ManifestError(f"{path} is not TOML: {error}") from None
