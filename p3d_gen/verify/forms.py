"""The form of a sample: its members, and its labels with their types. All samples of a stage have the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

Form = tuple[tuple[str, str], ...]


def type_of(value: Any) -> str:
    """Return the type of a JSON value as readers infer it; of a list, that of its items."""
    if isinstance(value, list):
        return f"list of {' and '.join(sorted({type_of(item) for item in value})) or 'nothing'}"
    if isinstance(value, dict):
        return f"object of {', '.join(f'{key}: {type_of(item)}' for key, item in sorted(value.items()))}"
    return {type(None): "null", bool: "bool", int: "int", float: "float", str: "text"}[type(value)]


def form_of(members: Iterable[str], labels: dict[str, Any]) -> Form:
    """Return the members and labels of a sample with their types."""
    return tuple([(member, "member") for member in members] + [(key, type_of(labels[key])) for key in labels])


def untyped(form: Form) -> Iterator[str]:
    """Yield the labels that readers cannot give a type: null, empty lists, and lists of several types."""
    for name, kind in form:
        if "null" in kind or "nothing" in kind or " and " in kind:
            yield f"{name} is {kind}"


def deviation(form: Form, usual: Form) -> str:
    """Describe the differences of a form from the usual one."""
    mine, theirs = dict(form), dict(usual)
    deviations = [f"{name} is missing" for name in theirs if name not in mine]
    deviations += [f"{name} is {kind}, elsewhere there is none" for name, kind in form if name not in theirs]
    deviations += [
        f"{name} is {kind}, elsewhere {theirs[name]}" for name, kind in form if name in theirs and kind != theirs[name]
    ]
    return "; ".join(deviations[:4]) or "members or labels in another order"
