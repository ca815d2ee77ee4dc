"""Files of viewpoints, such as the annotations of a real dataset: CSV with a header, or JSON."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable
from io import StringIO
from pathlib import Path
from typing import Any

from p3d_gen.core.errors import AssetError, did_you_mean
from p3d_gen.core.types import Viewpoint

_ANGLES = ("azimuth_deg", "elevation_deg", "theta_deg")
_OPTIONAL = "theta_deg"
_LISTED_DISTANCE = 1.0

Row = tuple[str, dict[str, Any]]


def _csv_rows(text: str, path: Path) -> list[Row]:
    reader = csv.DictReader(StringIO(text), skipinitialspace=True)
    names = reader.fieldnames or []
    for column in _ANGLES:
        if column not in names and column != _OPTIONAL:
            raise AssetError(
                f"{path}: the header {','.join(names)!r} has no column {column!r}; "
                f"name the columns {', '.join(_ANGLES)} ({_OPTIONAL} and category may be left out)"
            )
    return [(f"{path}, line {reader.line_num}", row) for row in reader]


def _json_rows(text: str, path: Path) -> list[Row]:
    try:
        data = json.loads(text)
    except ValueError as error:
        raise AssetError(f"{path} is not JSON: {error}") from None
    if isinstance(data, dict):
        rows = [(f"{path}, key {key!r}", entry) for key, entry in data.items()]
    elif isinstance(data, list):
        rows = [(f"{path}, entry {i}", entry) for i, entry in enumerate(data)]
    else:
        raise AssetError(f"{path} holds {data!r:.40}, not a list or a mapping of viewpoints")
    for where, entry in rows:
        if not isinstance(entry, dict):
            raise AssetError(f"{where}: {entry!r:.40} is not an object with the keys {', '.join(_ANGLES)}")
    return rows


def _angle_deg(where: str, row: dict[str, Any], name: str) -> float:
    """Return an angle of a row; a missing or empty theta_deg is 0."""
    value = row.get(name)
    if name == _OPTIONAL and value in (None, ""):
        return 0.0
    if name not in row:
        raise AssetError(f"{where}: there is no {name!r}{did_you_mean(name, (str(key) for key in row))}")
    try:
        angle_deg = math.nan if isinstance(value, bool) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        angle_deg = math.nan
    if not math.isfinite(angle_deg):
        raise AssetError(f"{where}: {name} = {value!r} is not a finite number; correct it or remove the entry")
    return angle_deg


def _viewpoint(where: str, row: dict[str, Any]) -> Viewpoint:
    azimuth, elevation, theta = (_angle_deg(where, row, name) for name in _ANGLES)
    if not -90 <= elevation <= 90:
        raise AssetError(f"{where}: elevation_deg = {elevation} lies outside [-90, 90]; correct it or remove the entry")
    return Viewpoint(
        azimuth_rad=math.radians(azimuth % 360),
        elevation_rad=math.radians(elevation),
        theta_rad=math.radians(math.remainder(theta, 360)),
        distance=_LISTED_DISTANCE,
    )


def _category(row: dict[str, Any]) -> str:
    """Return the category that a row is restricted to, "" for all."""
    return str(row.get("category") or "").strip()


def _of_category(path: Path, rows: list[tuple[str, Viewpoint]], category: str) -> tuple[Viewpoint, ...]:
    chosen = tuple(viewpoint for name, viewpoint in rows if name in ("", category))
    if not chosen:
        hint = did_you_mean(category, {name for name, _ in rows})
        raise AssetError(f"{path} holds no viewpoint of the category {category!r}{hint}")
    return chosen


def read_viewpoints(path: Path, categories: Iterable[str]) -> dict[str, tuple[Viewpoint, ...]]:
    """Read the viewpoints of each category, in the file's order, at distance 1: a run draws the distance of its camera.

    CSV: a header with azimuth_deg, elevation_deg and, optionally, theta_deg (0 if missing). JSON: a list of objects
    with these keys, or a mapping from names to them. A row with a `category` is used for that category only.
    Other columns and keys are ignored. Raise AssetError, which names the row, the value and the remedy.
    """
    readers = {".csv": _csv_rows, ".json": _json_rows}
    if path.suffix.lower() not in readers:
        raise AssetError(f"{path}: viewpoints are read from .csv and .json files, not from {path.suffix!r}")
    try:
        text = path.read_text(encoding="utf-8-sig")
        rows = readers[path.suffix.lower()](text, path)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise AssetError(f"{path} cannot be read as {path.suffix}: {error}") from None
    if not rows:
        raise AssetError(f"{path} holds no viewpoint: add rows with {', '.join(_ANGLES)}")
    viewpoints = [(_category(row), _viewpoint(where, row)) for where, row in rows]
    return {category: _of_category(path, viewpoints, category) for category in categories}
