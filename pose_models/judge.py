"""A trained pose model as a judge of labels: the angle between the pose that it sees and the labelled one.

The consistency filter of 3D-DST asks a classifier of viewpoints for its loss on a generated picture. Here any pose
model answers, in degrees.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from p3d_gen.core.digest import digest
from p3d_gen.core.errors import DataError, ManifestError, P3DError, RunError, did_you_mean
from p3d_gen.core.symmetry import Symmetry
from p3d_gen.run.files import file_sha256
from pose_models.data.sample import PoseSample
from pose_models.estimator import EstimateConfig, Estimator
from pose_models.evaluation import evaluate
from pose_models.ledger import MODEL_FILE
from pose_models.loading import load_estimators, model_folders
from pose_models.metrics.symmetry import symmetric_error_rad
from pose_models.nmm import WEIGHTS_FILE

_LABELS = ("key", "category", "cam_T_obj", "focal_px", "principal_px", "image_hw", "bbox_xyxy", "symmetry_order")


def residuals_deg(
    estimators: Sequence[Estimator],
    samples: Iterable[PoseSample],
    symmetries: Sequence[Symmetry],
    on_image: Callable[[], None] = lambda: None,
) -> list[float]:
    """Return the angles in degrees, [0, 180], between labelled rotations and those that the estimators find.

    An angle is 180 if no pose is found. symmetries: one for each sample, see
    `metrics.symmetry.symmetric_error_rad`. DataError if no estimator knows a category, or there is no sample.
    """
    predictions = [one.prediction for one in evaluate(estimators, samples, on_image)]
    predicted, truth = (
        torch.from_numpy(np.stack([getattr(prediction, name) for prediction in predictions]))
        for name in ("R_predicted", "R_true")
    )
    errors = symmetric_error_rad(predicted, truth, symmetries)
    degrees: list[float] = errors.nan_to_num(nan=math.pi).rad2deg().tolist()
    return degrees


def _sha256(model: Path) -> str:
    """Return one hash of all files that the models of a run folder are loaded from."""
    files = [folder / name for folder in model_folders(model) for name in (MODEL_FILE, WEIGHTS_FILE)]
    return digest({str(file.relative_to(model)): file_sha256(file) for file in files})


def _sample(picture: NDArray[np.uint8], labels: Mapping[str, Any]) -> PoseSample:
    if missing := [name for name in _LABELS if name not in labels]:
        raise RunError(f"the labels of sample {labels.get('key', '?')} lack {', '.join(missing)}: render it again")
    if picture.shape != (*labels["image_hw"], 3):
        raise DataError(f"{labels['key']}: its picture is {picture.shape}, its labels are of {labels['image_hw']}")
    (x, y), f = labels["principal_px"], labels["focal_px"]
    left, top, right, bottom = labels["bbox_xyxy"]
    return PoseSample(
        key=labels["key"],
        category=labels["category"],
        image=picture,
        mask=None,
        cam_T_obj=np.array(labels["cam_T_obj"], dtype=np.float64),
        K=np.array([[f, 0.0, x], [0.0, f, y], [0.0, 0.0, 1.0]]),
        box_xyxy=(left, top, right, bottom),
    )


class PoseJudge:
    """The models of a run folder as `p3d_gen.stylize.judge.Judge`.

    provenance: `pose_model`, one sha256 of their files. The solver has the default settings, and is given the label's
    camera, distance and box as in an evaluation on shards. It never sees the labelled rotation.
    """

    def __init__(self, model: Path, device: str = "auto") -> None:
        """Load what `pose-models train` or `baseline train` wrote to `model`. ManifestError if that is nothing."""
        name = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
        try:
            self._estimators = load_estimators(model, torch.device(name), EstimateConfig())
        except P3DError as error:
            raise ManifestError(f"{model} cannot judge poses: {error}") from error
        self._model = model
        self.categories = tuple(sorted({name for each in self._estimators for name in each.categories}))
        self.provenance = {"pose_model": _sha256(model)}

    def __call__(self, pictures: Sequence[NDArray[np.uint8]], labels: Sequence[Mapping[str, Any]]) -> list[float]:
        """Return the pose residual of each picture (H, W, 3) in degrees; errors as of the protocol."""
        samples = [_sample(picture, each) for picture, each in zip(pictures, labels, strict=True)]
        for sample in samples:
            if sample.category not in self.categories:
                raise ManifestError(
                    f"the pose model {self._model} does not know the category of sample {sample.key}, "
                    f"{sample.category!r}{did_you_mean(sample.category, self.categories)}"
                )
        if not samples:
            return []
        return residuals_deg(self._estimators, samples, [Symmetry.of_labels(each) for each in labels])
