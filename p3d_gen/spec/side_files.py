"""What a user states about CAD models next to their files.

<stem>.toml      about one model, beside its file
category.toml    in the folder of a category's models: defaults for all of them, and what the category itself is

A model's own file counts before `category.toml`, key by key. All keys may be left out.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from p3d_gen.core.errors import AssetError
from p3d_gen.spec.sections import LengthUnit, Section, Turns, metres, read_toml, validated
from p3d_gen.spec.spdx import spdx

CATEGORY_FILE = "category.toml"
_MODELS_ONLY = ("up", "front", "unit", "licence", "parts")
_DEPTH = 3  # folders from a model's own one up that may be its category's: <category>/<id>/models/model.obj
StatedAxis = Literal["x", "-x", "y", "-y", "z", "-z"]
Number = Annotated[float, Field(allow_inf_nan=False)]


class ModelDefaults(Section):
    """The keys about CAD models that both files may hold.

    up, front: axes of the file that point up and to the front, such as "z" and "-y"; both or neither.
    unit: the length that 1 in the file means: "m", "dm", "cm", "mm", "in", "ft", or a number of metres; "unknown" if
    the file says one that is not true.
    symmetry: turns that leave the shape as it is, in object axes: "z:0" for any angle about z, "x:2" for half turns
    about x, or [x, y, z, order]. An empty list states that there is none.
    licence: SPDX id, or LicenseRef-<name>.
    parts: name of a material -> the kind of surface that realistic textures give it.
    """

    up: StatedAxis | None = None
    front: StatedAxis | None = None
    unit: LengthUnit | None = None
    symmetry: Turns | None = None
    licence: str | None = None
    parts: dict[str, str] | None = None

    @model_validator(mode="after")
    def _check(self) -> ModelDefaults:
        if (self.up is None) != (self.front is None):
            raise ValueError("give both up and front, or neither")
        if self.up and self.front and self.up[-1] == self.front[-1]:
            raise ValueError(f"up {self.up!r} and front {self.front!r} lie on one axis")
        if self.licence is not None:
            spdx(self.licence)
        return self

    @property
    def unit_m(self) -> float | None:
        """Return the metres that 1 in the file means, 0 for unknown, None if that is not stated."""
        return metres(self.unit)


class ModelFile(ModelDefaults):
    """The content of <stem>.toml.

    category: the category of the model, where its folder does not say it.
    keypoints: name -> [x, y, z] in the axes and units of the model's file.
    """

    category: str | None = None
    keypoints: dict[str, tuple[Number, Number, Number]] | None = None


def model_file(model: Path) -> Path:
    """Return the place of the side file of a CAD model's file."""
    return model.with_suffix(".toml")


def category_file(model: Path) -> Path | None:
    """Return the nearest `category.toml` in the folder of a CAD model's file, or a little above it; None for none."""
    places = (folder / CATEGORY_FILE for folder in list(model.absolute().parents)[:_DEPTH])
    return next((path for path in places if path.is_file()), None)


@functools.lru_cache(maxsize=256)
def _data(path: Path, *_: int) -> dict[str, Any]:
    """Return the data of a file as its last arguments, time and size, say it is."""
    return read_toml(path, AssetError)


def _read(path: Path | None) -> dict[str, Any]:
    """Return the data of a TOML file, {} if there is none. A manifest that has a model's name is not a side file."""
    if path is None or not path.is_file():
        return {}
    about = path.stat()
    data = _data(path, about.st_mtime_ns, about.st_size)
    return {} if is_manifest(data) else data


def is_manifest(data: dict[str, Any]) -> bool:
    """Return True for the data of a manifest, which may have the name of a model beside it."""
    return "samples_per_category" in data


def category_keys(path: Path) -> dict[str, Any]:
    """Return the keys of a `category.toml` that describe the category; the defaults of its models are left out."""
    return {key: value for key, value in _read(path).items() if key not in _MODELS_ONLY}


def model_defaults(path: Path | None) -> ModelDefaults:
    """Return the defaults of a `category.toml` for its models. AssetError if one is not valid."""
    data = {key: value for key, value in _read(path).items() if key in ModelDefaults.model_fields}
    return validated(ModelDefaults, data, str(path), "category file", AssetError)


def own_file(model: Path) -> ModelFile:
    """Return what a model's own file states about it, without `category.toml`. AssetError as `side_file`."""
    path = model_file(model)
    data = {} if path.name == CATEGORY_FILE else _read(path)
    return validated(ModelFile, data, str(path), "file about a CAD model", AssetError)


def side_file(model: Path) -> ModelFile:
    """Return all that is stated about a CAD model: by its own file, and for the rest by `category.toml`.

    AssetError names the file and the keys that are not valid.
    """
    own, defaults = own_file(model), model_defaults(category_file(model))
    stated = {key: value for key in ModelDefaults.model_fields if (value := getattr(defaults, key)) is not None}
    return own.model_copy(update={key: value for key, value in stated.items() if getattr(own, key) is None})


def _states(model: Path, key: str) -> Path | None:
    if getattr(own_file(model), key) is not None:
        return model_file(model)
    path = category_file(model)
    return path if getattr(model_defaults(path), key) is not None else None


def axes_file(model: Path) -> Path | None:
    """Return the file that states the axes of a CAD model, None if neither does. AssetError as `side_file`."""
    return _states(model, "up")


def unit_file(model: Path) -> Path | None:
    """Return the file that states the unit of a CAD model, None if neither does. AssetError as `side_file`."""
    return _states(model, "unit")


def licence_file(model: Path) -> Path | None:
    """Return the file that states the licence of a CAD model, None if neither does. AssetError as `side_file`."""
    return _states(model, "licence")
