"""Judgements of a trained pose model about pictures and their labels: residuals, and the files that hold them.

Pose models are plug-ins: a package offers one as the entry point `pose` of the group `p3dgen.judges`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from p3d_gen.core.errors import DependencyError, RunError
from p3d_gen.run.files import write_json

GROUP, NAME = "p3dgen.judges", "pose"
SCHEMA = 1
By = Literal["cad", "sample"]


class Judge(Protocol):
    """A trained pose model that judges pictures. provenance: record of the model, stored next to its residuals."""

    provenance: dict[str, str]

    def __call__(self, pictures: Sequence[NDArray[np.uint8]], labels: Sequence[Mapping[str, Any]]) -> list[float]:
        """Return the pose residual of each picture (H, W, 3), in degrees within [0, 180].

        It is the geodesic angle between the labelled rotation and the one that the model predicts, the smallest over
        the turns of the label's `symmetries`. The picture shows the stylized object, on grey or as it is packed;
        camera, box and distance are those of the label. Raise ManifestError if the model does not know a category,
        RunError if a label is missing.
        """


def load_judge(model: Path, device: str = "auto") -> Judge:
    """Load the pose model in a folder with the installed plug-in.

    device: `auto` for a GPU if there is one, or torch's name of a device. Raise DependencyError if no plug-in is
    installed or it lacks a package, ManifestError if the folder holds no model.
    """
    plug_in = next(iter(entry_points(group=GROUP, name=NAME)), None)
    if plug_in is None:
        raise DependencyError(
            f"{model}: no installed package reads pose models (entry point {NAME!r} of {GROUP!r}): "
            "pip install 'p3dgen[pose]'; repeat it for a checkout that was installed before"
        )
    try:
        judge: Judge = plug_in.load()(model, device)
    except ImportError as error:
        raise DependencyError(f"{model}: pose models need a package ({error}): pip install 'p3dgen[pose]'") from None
    return judge


def write_residuals(path: Path, residual_deg: Mapping[str, float], *, folds: int, by: By) -> None:
    """Write the pose residuals of samples by key, atomically.

    folds, by: number of folds of the judges' trainings, and the unit that was split.
    """
    write_json(path, {"schema": SCHEMA, "folds": folds, "by": by, "residual_deg": dict(sorted(residual_deg.items()))})


def _checked(key: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 180 or math.isnan(value):
        raise ValueError(f"the residual of {key} is {value!r}, not an angle from 0 to 180 degrees")
    return float(value)


def read_residuals(path: Path) -> dict[str, float]:
    """Read the pose residuals in degrees, by key, that `pose-models folds` wrote. Raise RunError for other files."""
    remedy = "make it with `pose-models folds`"
    try:
        data = json.loads(path.read_text())
        if (schema := data["schema"]) != SCHEMA:
            raise ValueError(f"it has schema {schema}, this version reads {SCHEMA}")
        return {key: _checked(key, value) for key, value in data["residual_deg"].items()}
    except FileNotFoundError:
        raise RunError(f"{path} is not there: {remedy}") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        fault = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        raise RunError(f"{path} holds no pose residuals: {fault}; {remedy}") from None
