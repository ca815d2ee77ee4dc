"""The accuracy of a model on labelled images, for watching an adaptation that never sees these labels."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from p3d_gen.core.errors import ConfigError
from pose_models.data.photographs import Encoded, shrunk
from pose_models.data.sample import PoseSample
from pose_models.estimator import Estimator
from pose_models.evaluation import evaluate
from pose_models.metrics import pose_metrics, prediction_errors


def watcher(samples: Iterable[PoseSample], long_side: int) -> Callable[[Estimator], dict[str, float]]:
    """Return a function that measures acc_pi_6, acc_pi_18 and median_deg of a model on these images. They are kept
    `shrunk` to `long_side`.

    ValueError if there is no image, or one without a rotation.
    """
    kept = Encoded(_labelled(sample, long_side) for sample in samples)
    if not len(kept):
        raise ConfigError("--watch finds no image to watch: leave it out")

    def watch(estimator: Estimator) -> dict[str, float]:
        evaluated = evaluate([estimator], kept, lambda: None)
        figures = pose_metrics(prediction_errors([one.prediction for one in evaluated])).as_dict()
        return {name: figures[name] for name in ("acc_pi_6", "acc_pi_18", "median_deg")}

    return watch


def _labelled(sample: PoseSample, long_side: int) -> PoseSample:
    if not np.isfinite(sample.cam_T_obj[:3, :3]).all():
        raise ConfigError(f"--watch needs labels, and image {sample.key} has none: leave it out")
    return shrunk(sample, long_side)
