"""The answer of a pose model for one image, next to the truth: the source of metrics, tables and pictures."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from p3d_gen.core.errors import DataError
from p3d_gen.core.symmetry import Symmetry
from p3d_gen.core.types import Array
from p3d_gen.run.files import write_bytes

_ROTATION_TOLERANCE = 1e-3
_TEXTS = ("key", "category", "subset", "category_predicted")


@dataclass(frozen=True, kw_only=True, eq=False)
class Prediction:
    """One evaluated image.

    key, category, subset as in `PoseSample`. R_true, R_predicted (3, 3) float64: rotations from obj to cam axes; all
    NaN if no pose was found, which counts as an error of pi. confidence: higher is surer. loss: the solver's.
    category_predicted: the given category if it is not inferred. symmetry: as in `PoseSample`.
    DataError for a matrix that is not a rotation, or a value that is not finite.
    """

    key: str
    category: str
    subset: str
    R_true: Array
    R_predicted: Array
    confidence: float
    loss: float
    category_predicted: str
    symmetry: Symmetry | None = None

    def __post_init__(self) -> None:
        """Refuse values that would spoil a table later, when the image can no longer be named."""
        _check_rotation(self.key, "R_true", self.R_true)
        if self.solved:
            _check_rotation(self.key, "R_predicted", self.R_predicted)
        if not (math.isfinite(self.confidence) and math.isfinite(self.loss)):
            remedy = "give an image without a pose the least confidence and the greatest loss"
            raise DataError(f"{self.key}: confidence {self.confidence}, loss {self.loss} are not finite; {remedy}")

    @property
    def solved(self) -> bool:
        """True if a pose was found."""
        return not bool(np.isnan(self.R_predicted).all())


def _check_rotation(key: str, name: str, R: Array) -> None:
    if R.shape != (3, 3) or R.dtype != np.float64:
        raise DataError(f"{key}: {name} is {R.dtype} {R.shape}; give float64 (3, 3)")
    off = float(np.abs(R @ R.T - np.eye(3)).max())
    # written so that NaN fails too
    if not (off < _ROTATION_TOLERANCE and np.linalg.det(R) > 0):
        raise DataError(f"{key}: {name} {R.tolist()} is not a rotation")


def _fields(prediction: Prediction) -> dict[str, Any]:
    shown = prediction.R_predicted if prediction.solved else np.zeros((3, 3))
    symmetries = {} if prediction.symmetry is None else {"symmetries": prediction.symmetry.rows()}
    return {name: getattr(prediction, name) for name in _TEXTS} | {
        "R_true": prediction.R_true.tolist(),
        "R_predicted": shown.tolist(),
        "solved": prediction.solved,
        "confidence": float(prediction.confidence),
        "loss": float(prediction.loss),
        **symmetries,
    }


def write_predictions(path: Path, predictions: Sequence[Prediction]) -> None:
    """Write one JSON object a line, atomically; every float is kept to the bit.

    If no pose was found, `solved` is false and R_predicted all zeros. RunError if the file cannot be written.
    """
    lines = [json.dumps(_fields(prediction), allow_nan=False) + "\n" for prediction in predictions]
    write_bytes(path, "".join(lines).encode())


def _parsed(line: str) -> Prediction:
    fields = json.loads(line)
    R_predicted = np.array(fields["R_predicted"], dtype=np.float64)
    return Prediction(
        **{name: str(fields[name]) for name in _TEXTS},
        R_true=np.array(fields["R_true"], dtype=np.float64),
        R_predicted=R_predicted if fields["solved"] else np.full((3, 3), np.nan),
        confidence=float(fields["confidence"]),
        loss=float(fields["loss"]),
        symmetry=Symmetry.of_labels(fields) if "symmetries" in fields else None,
    )


def _read(path: Path) -> Iterator[Prediction]:
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        try:
            yield _parsed(line)
        except (ValueError, KeyError, TypeError) as error:
            fault = f"no field {error}" if isinstance(error, KeyError) else str(error)
            raise DataError(f"{path} line {number}: {fault}; write the file again by evaluating") from error


def is_predictions(path: Path) -> bool:
    """Return if a file begins as those of `write_predictions` do."""
    try:
        with path.open(encoding="utf-8") as file:
            _parsed(file.readline())
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return True


def read_predictions(path: Path) -> list[Prediction]:
    """Read the predictions of `write_predictions`. DataError names a line that is not a prediction."""
    return list(_read(path))
