"""Symmetry of a shape: the turns that leave it as it is, about any axes, and the group that they generate.

A closed group of turns is finite, or all turns about one axis (with or without half turns that reverse that axis), or
all turns there are: a sphere. A box has half turns about x, y and z; a cylinder any turn about z and a half turn
about x; a cube quarter turns about x and y. Axes are in the object's frame: z up, front at -y.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np

from p3d_gen.core.errors import ConfigError
from p3d_gen.core.geometry import rot_z
from p3d_gen.core.types import Array

MOST_ORDER = 360
_MOST_ELEMENTS = 2 * MOST_ORDER
_SAME = 1e-6
_AXES = {"x": (1.0, 0.0, 0.0), "y": (0.0, 1.0, 0.0), "z": (0.0, 0.0, 1.0)}
_TEXT = re.compile(r"\s*(?P<axis>[^:]+?)\s*:\s*(?P<order>\d+)\s*")
_REMEDY = (
    "give axis:order, such as 'z:0' (any angle), 'x:2' (half turns) or '1,1,0:3', or four numbers [x, y, z, order]"
)


def _whole(value: float) -> float | int:
    return int(value) if value.is_integer() else value


@dataclass(frozen=True)
class Turn:
    """Turns by 2 pi / order about an axis, which is made a unit vector; order 0 stands for any angle, 1 for none."""

    axis: tuple[float, float, float]
    order: int

    def __post_init__(self) -> None:
        """Check and normalise. ConfigError for an axis that is not three finite numbers, or an order that is none."""
        length = math.hypot(*self.axis) if len(self.axis) == 3 else 0.0
        if not 1e-9 < length < 1e9:
            raise ConfigError(f"symmetry axis {list(self.axis)}: give three finite numbers that are not all 0")
        if self.order not in range(MOST_ORDER + 1):
            raise ConfigError(
                f"symmetry order {self.order}: give n for turns by 1/n of a circle, up to {MOST_ORDER}, or 0"
            )
        x, y, z = (float(value) / length for value in self.axis)
        object.__setattr__(self, "axis", (x, y, z))
        object.__setattr__(self, "order", int(self.order))

    @staticmethod
    def parse(value: object) -> Turn:
        """Read 'z:2', '-x:4', '1,1,0:3', or [x, y, z, order]. ConfigError for anything else."""
        if isinstance(value, str):
            return _turn_of_text(value)
        if isinstance(value, Sequence) and len(value) == 4 and all(_is_number(each) for each in value):
            x, y, z, order = value
            if order == int(order):
                return Turn((x, y, z), int(order))
        raise ConfigError(f"symmetry {value!r} is not a turn: {_REMEDY}")

    def __str__(self) -> str:
        """Return the text that `parse` reads."""
        named = [name for name, axis in _AXES.items() if axis == self.axis]
        return f"{named[0] if named else ','.join(f'{_whole(value)!r}' for value in self.axis)}:{self.order}"

    def rotation(self, steps: int = 1) -> Array:
        """Return the rotation (3, 3) by `steps` times 2 pi / order."""
        return rotation_about(self.axis, 2 * np.pi * steps / self.order)


def _three(values: Array) -> tuple[float, float, float]:
    x, y, z = values.tolist()
    return x, y, z


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _turn_of_text(text: str) -> Turn:
    match = _TEXT.fullmatch(text)
    if match:
        name = match["axis"].lower()
        if (axis := _AXES.get(name.lstrip("+-"))) and len(name) <= 2:
            sign = -1.0 if name.startswith("-") else 1.0
            return Turn((sign * axis[0], sign * axis[1], sign * axis[2]), int(match["order"]))
        try:
            x, y, z = (float(part) for part in re.split(r"[,\s]+", name))
        except ValueError:
            pass
        else:
            return Turn((x, y, z), int(match["order"]))
    raise ConfigError(f"symmetry {text!r} is not a turn: {_REMEDY}")


def rotation_about(axis: Sequence[float], angle_rad: float) -> Array:
    """Return the rotation (3, 3) about a unit axis, counter-clockwise seen from its tip."""
    if tuple(axis) == _AXES["z"]:
        return rot_z(angle_rad)
    x, y, z = axis
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    return np.asarray(np.eye(3) + np.sin(angle_rad) * cross + (1 - np.cos(angle_rad)) * (cross @ cross))


def _parallel(a: Sequence[float], b: Sequence[float]) -> bool:
    return bool(np.linalg.norm(np.cross(a, b)) < _SAME)


def _perpendicular(a: Sequence[float], b: Sequence[float]) -> bool:
    return abs(float(np.dot(a, b))) < _SAME


def _half_turn_across(axis: Sequence[float]) -> Turn:
    """Return the half turn about the part of x across an axis, of y where the axis is x."""
    other = np.array(_AXES["y" if _parallel(axis, _AXES["x"]) else "x"])
    return Turn(_three(other - np.dot(other, axis) * np.array(axis)), 2)


def _closed(turns: Sequence[Turn]) -> Array:
    """Return all products (S, 3, 3) of turns, the identity first. ConfigError if they do not come to an end."""
    if len(turns) == 1:
        return np.stack([turns[0].rotation(step) for step in range(turns[0].order)])
    elements = np.eye(3)[None]
    generators: list[Array] = []
    for turn in turns:
        if not _inside(turn.rotation(), elements):
            generators.append(turn.rotation())
            elements = _products(elements, generators)
        if len(elements) > _MOST_ELEMENTS:
            names = ", ".join(str(each) for each in turns)
            raise ConfigError(f"symmetry {names}: no finite shape has all of these turns; correct an axis or an order")
    return elements


def _inside(rotation: Array, elements: Array) -> bool:
    return bool(np.abs(elements - rotation).max(axis=(1, 2)).min() < _SAME)


def _products(elements: Array, generators: Sequence[Array]) -> Array:
    """Return all products of elements and generators, or somewhat more than the most elements of a finite group."""
    done = 0
    while done < len(elements) <= _MOST_ELEMENTS:
        for generator in generators:
            if not _inside(product := elements[done] @ generator, elements):
                elements = np.concatenate([elements, product[None]])
        done += 1
    return elements


def _axes_of(rotations: Array) -> Array:
    """Return unit axes (N, 3) of rotations that are not the identity; the last number that is not 0 is positive."""
    _, vectors = np.linalg.eigh(rotations + rotations.transpose(0, 2, 1))
    axes = vectors[:, :, 2].round(9)
    seen = np.abs(axes) > _SAME
    last = 2 - seen[:, ::-1].argmax(axis=1)
    return np.asarray(axes * np.sign(np.take_along_axis(axes, last[:, None], axis=1)) + 0.0)


def _turns_of(elements: Array) -> list[Turn]:
    """Return one turn for each axis of a finite group: the highest orders first, z before y before x."""
    axes = _axes_of(elements[1:])
    same = np.abs(axes[:, None] - axes[None]).max(axis=2) < _SAME
    turns = [Turn(_three(axes[i]), int(row.sum()) + 1) for i, row in enumerate(same) if not row[:i].any()]
    return sorted(turns, key=lambda turn: (-turn.order, *(-round(value, 6) for value in reversed(turn.axis))))


@dataclass(frozen=True)
class _Group:
    """A closed group: elements (S, 3, 3), times all turns about `axis` if there is one; or all turns of a sphere."""

    elements: Array
    axis: tuple[float, float, float] | None = None
    sphere: bool = False


@lru_cache(maxsize=256)
def _group(turns: tuple[Turn, ...]) -> _Group:
    identity = np.eye(3)[None]
    endless = [turn for turn in turns if turn.order == 0]
    finite = [turn for turn in turns if turn.order > 1]
    if not endless:
        group = _Group(_closed(finite) if finite else identity)
    else:
        axis = endless[0].axis
        beside = [turn for turn in (*endless[1:], *finite) if not _parallel(turn.axis, axis)]
        if not beside:
            group = _Group(identity, axis)
        elif all(turn.order == 2 and _perpendicular(turn.axis, axis) for turn in beside):
            group = _Group(np.stack([np.eye(3), _half_turn_across(axis).rotation()]), axis)
        else:
            group = _Group(identity, sphere=True)
    group.elements.flags.writeable = False
    return group


@lru_cache(maxsize=256)
def _canonical(turns: tuple[Turn, ...]) -> Symmetry:
    group = _group(turns)
    if group.sphere:
        return Symmetry((Turn(_AXES["z"], 0), Turn(_AXES["x"], 0)))
    if group.axis is not None:
        [upward] = _axes_of(rotation_about(group.axis, np.pi / 2)[None])
        axis = Turn(_three(upward), 0)
        return Symmetry((axis, _half_turn_across(axis.axis)) if len(group.elements) > 1 else (axis,))
    chosen: list[Turn] = []
    reached = 1
    for turn in _turns_of(group.elements):
        if reached < len(group.elements) and (size := len(_closed([*chosen, turn]))) > reached:
            chosen.append(turn)
            reached = size
    return Symmetry(tuple(chosen))


@dataclass(frozen=True)
class Symmetry:
    """Turns that leave a shape as it is, and all that follow from them; no turn stands for no symmetry."""

    turns: tuple[Turn, ...] = ()

    NONE: ClassVar[Symmetry]

    def __post_init__(self) -> None:
        """Check that the turns generate a closed group. ConfigError if they do not."""
        _group(self.turns)

    @staticmethod
    def parse(value: object) -> Symmetry:
        """Read a list of turns as TOML and JSON have it, or one turn as text; 'none' and [] mean no symmetry.

        ConfigError for anything else.
        """
        if isinstance(value, str):
            return Symmetry.NONE if value.strip().lower() in ("", "none") else Symmetry((Turn.parse(value),))
        if isinstance(value, Iterable) and not isinstance(value, Mapping | bytes):
            return Symmetry(tuple(Turn.parse(each) for each in value))
        raise ConfigError(f"symmetry {value!r} is not a list of turns: {_REMEDY}")

    @staticmethod
    def of_order(order: int) -> Symmetry:
        """Return the symmetry of turns about z only, as `symmetry_order` has it: 1 for none, 0 or very many for any."""
        return Symmetry.NONE if order == 1 else Symmetry((Turn(_AXES["z"], order if order <= MOST_ORDER else 0),))

    @staticmethod
    def of_labels(labels: Mapping[str, Any]) -> Symmetry:
        """Return the symmetry in a sample's labels: `symmetries`, or the older `symmetry_order`; KeyError without."""
        if "symmetries" in labels:
            return Symmetry.parse(labels["symmetries"]).canonical()
        return Symmetry.of_order(labels["symmetry_order"])

    @staticmethod
    def of_bop(info: Mapping[str, Any]) -> Symmetry:
        """Return the symmetry in a model's entry of BOP's models_info.json; offsets of its axes are left out."""
        turns = [Turn(tuple(each["axis"]), 0) for each in info.get("symmetries_continuous", [])]
        elements = [np.array(each, dtype=float).reshape(4, 4)[:3, :3] for each in info.get("symmetries_discrete", [])]
        return Symmetry((*turns, *_turns_of(np.stack([np.eye(3), *elements])))).canonical()

    @property
    def group(self) -> Array:
        """Return the turns (S, 3, 3), the identity first, closed under product and read-only.

        With a `continuous_axis` the whole symmetry is their product with all turns about it; S is then 1, or 2 if a
        half turn reverses that axis. A sphere has the identity only.
        """
        return _group(self.turns).elements

    @property
    def continuous_axis(self) -> tuple[float, float, float] | None:
        """Return the unit axis of turns by any angle; None if there is none, and for a sphere."""
        return _group(self.turns).axis

    @property
    def is_sphere(self) -> bool:
        """Return if every turn leaves the shape as it is."""
        return _group(self.turns).sphere

    @property
    def is_none(self) -> bool:
        """Return if only the whole turn leaves the shape as it is."""
        group = _group(self.turns)
        return len(group.elements) == 1 and group.axis is None and not group.sphere

    @property
    def z_order(self) -> int:
        """Return the label `symmetry_order`: the number of turns about z, 1 for none, 0 for any angle."""
        if self.is_sphere:
            return 0
        if self.continuous_axis is not None:
            if _parallel(self.continuous_axis, _AXES["z"]):
                return 0
            return 1 + sum(_perpendicular(self.continuous_axis, _AXES["z"]) for _ in self.group[1:])
        return sum(bool(element[2, 2] > 1 - _SAME) for element in self.group)

    def canonical(self) -> Symmetry:
        """Return the few turns that stand for this group, the same ones however it was written."""
        return _canonical(self.turns)

    def turned(self, rotation: Array) -> Symmetry:
        """Return the symmetry of the shape after a rotation (3, 3), such as from a file's axes to the object's."""
        axes = [(rotation @ np.array(turn.axis)).round(12) + 0.0 for turn in self.turns]
        return Symmetry(tuple(Turn(_three(a), turn.order) for a, turn in zip(axes, self.turns, strict=True)))

    def texts(self) -> list[str]:
        """Return the turns as TOML has them: what `parse` reads."""
        return [str(turn) for turn in self.turns]

    def rows(self) -> list[list[float]]:
        """Return the label `symmetries`: [x, y, z, order] of each turn, all floats.

        No symmetry is one turn of order 1. The list is never empty, so that tools which infer types from the first
        sample see the same type in all.
        """
        turns = self.canonical().turns or (Turn(_AXES["z"], 1),)
        return [[*turn.axis, float(turn.order)] for turn in turns]

    def bop(self) -> dict[str, Any]:
        """Return the entries of BOP's models_info.json, for a model that is turned about its origin."""
        entries: dict[str, Any] = {}
        axes = [turn.axis for turn in self.canonical().turns if turn.order == 0]
        if axes:
            entries["symmetries_continuous"] = [
                {"axis": [_whole(value) for value in axis], "offset": [0, 0, 0]} for axis in axes
            ]
        if len(self.group) > 1:
            poses = np.tile(np.eye(4), (len(self.group) - 1, 1, 1))
            poses[:, :3, :3] = self.group[1:]
            entries["symmetries_discrete"] = poses.reshape(-1, 16).tolist()
        return entries


Symmetry.NONE = Symmetry()
