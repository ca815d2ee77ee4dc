"""Any folder of pictures with a table of their labels: a CSV file, one object a row.

    image           the picture, relative to the CSV file
    category        e.g. car
    azimuth_deg, elevation_deg, theta_deg
                    the PASCAL3D+ viewpoint: azimuth 0 looks at the object's front, 90 at its +x side; theta turns the
                    picture's content counter-clockwise
  and, where they are known (an empty cell or a missing column says that they are not),
    distance, principal_x, principal_y, focal_px
                    camera centre to object centre, in box diagonals of the object; where the object's centre projects,
                    and the focal length, in pixels: all four or none
    x1, y1, x2, y2  the object's box in pixels, continuous coordinates; without them the object fills the picture
    mask            a grey picture of the same size, white on the object, relative to the CSV file
    subset          the part of a benchmark that the row belongs to
    split           train, val, ...: where the column is there, only the rows of the wanted split are read
Pixels are those that are stored: a turn in a picture's EXIF data is ignored.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from p3d_gen.core.errors import ConfigError, DataError, did_you_mean
from p3d_gen.core.geometry import meets_picture
from p3d_gen.core.pictures import read_picture
from pose_models.data.pictures import read_mask
from pose_models.data.sample import PoseSample
from pose_models.data.viewpoint import UNKNOWN, camera_matrix, pose_of

_ANGLES = ("azimuth_deg", "elevation_deg", "theta_deg")
_NEEDED = ("image", "category", *_ANGLES)
_CAMERA = ("distance", "principal_x", "principal_y", "focal_px")
_BOX = ("x1", "y1", "x2", "y2")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")  # they would spoil tables, and terminals obey some
_OPTIONAL = (*_CAMERA, *_BOX, "mask", "subset", "split")


@dataclass(frozen=True)
class _Row:
    table: Path
    line: int
    cells: dict[str, str]

    @property
    def where(self) -> str:
        return f"{self.table}, line {self.line}"

    def number(self, column: str) -> float:
        text = self.cells.get(column, "")
        if not text:
            return UNKNOWN
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise DataError(f"{self.where}: {column} is {text!r}, which is not a finite number")
        return value

    def numbers(self, columns: tuple[str, ...]) -> tuple[float, ...] | None:
        """Return the numbers of columns that belong together, None if all are empty."""
        values = tuple(self.number(column) for column in columns)
        known = [math.isfinite(value) for value in values]
        if any(known) and not all(known):
            raise DataError(f"{self.where}: give all of {', '.join(columns)}, or none")
        return values if all(known) else None


def _check_header(path: Path, header: list[str]) -> None:
    valid = (*_NEEDED, *_OPTIONAL)
    missing = [name for name in _NEEDED if name not in header]
    if missing:
        raise DataError(f"{path}, line 1: the columns {', '.join(missing)} are missing; found {', '.join(header)}")
    for name in header:
        if name not in valid:
            raise DataError(f"{path}, line 1: unknown column {name!r}{did_you_mean(name, valid)}")
        if header.count(name) > 1:
            raise DataError(f"{path}, line 1: the column {name!r} is there twice")


def _rows(path: Path, split: str) -> list[_Row]:
    rows = []
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            table = csv.reader(file, strict=True)
            header = [name.strip() for name in next(table, [])]
            _check_header(path, header)
            for values in table:
                where = f"{path}, line {table.line_num}"
                if not any(value.strip() for value in values):
                    continue
                if len(values) != len(header):
                    raise DataError(f"{where}: {len(values)} cells, the header has {len(header)}")
                cells = {name: value.strip() for name, value in zip(header, values, strict=True)}
                empty = [name for name in _NEEDED if not cells[name]]
                if empty:
                    raise DataError(f"{where}: {', '.join(empty)} may not be empty")
                if spoilt := [name for name, cell in cells.items() if _CONTROL.search(cell)]:
                    raise DataError(f"{where}: {', '.join(spoilt)} holds a line break or another control character")
                rows.append(_Row(path, table.line_num, cells))
    except (OSError, csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {path}: {error}; it must be a CSV file in UTF-8") from error
    return _of_split(path, rows, split)


def _of_split(path: Path, rows: list[_Row], split: str) -> list[_Row]:
    splits = {row.cells["split"] for row in rows if "split" in row.cells}
    kept = [row for row in rows if row.cells.get("split", split) == split]
    if rows and not kept:
        raise ConfigError(f"{path} has no row of split {split!r}{did_you_mean(split, splits)}")
    if not kept:
        raise DataError(f"{path} has no rows below its header")
    return kept


def _sample(row: _Row) -> PoseSample:
    cells, folder = row.cells, row.table.parent
    try:
        image = read_picture(folder / cells["image"], upright=False)
        hw = (image.shape[0], image.shape[1])
        mask = read_mask(folder / cells["mask"], hw) if cells.get("mask") else None
    except DataError as error:
        raise DataError(f"{row.where}: {error}") from error
    left, top, right, bottom = row.numbers(_BOX) or (0.0, 0.0, float(hw[1]), float(hw[0]))
    if not meets_picture((left, top, right, bottom), hw):
        raise DataError(
            f"{row.where}: the box {left, top, right, bottom} is empty or lies off {cells['image']}, which has "
            f"{hw[1]} x {hw[0]} pixels: x1 < x2 and y1 < y2 in its pixels are needed"
        )
    distance, x, y, focal = row.numbers(_CAMERA) or [UNKNOWN] * 4
    if distance <= 0 or focal <= 0:
        raise DataError(f"{row.where}: distance {distance} and focal_px {focal} must be positive")
    azimuth, elevation, theta = (row.number(name) for name in _ANGLES)
    return PoseSample(
        key=f"{cells['image'].replace('.', '_').replace('/', '_')}-{row.line}",
        category=cells["category"],
        image=image,
        mask=mask,
        cam_T_obj=pose_of(azimuth, elevation, theta, distance),
        K=camera_matrix(focal, (x, y), hw),
        box_xyxy=(left, top, right, bottom),
        subset=cells.get("subset", ""),
    )


def csv_folder(path: Path, split: str) -> tuple[tuple[str, ...], Callable[[str], Iterator[PoseSample]]]:
    """Open a CSV file as described above: its categories, and the reader of a category's samples.

    ValueError naming file, line, value and remedy.
    """
    rows = _rows(path, split)

    def read(category: str) -> Iterator[PoseSample]:
        return (_sample(row) for row in rows if row.cells["category"] == category)

    return tuple(sorted({row.cells["category"] for row in rows})), read
