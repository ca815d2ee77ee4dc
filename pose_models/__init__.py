"""Neural mesh pose models: trained from p3d_gen's shards, evaluated on renders and on photographs.

    import pose_models as pm

    model = pm.load("runs/nmm-car")
    pose = model.predict("car.jpg", box=(40, 60, 410, 290))
    pm.evaluate(model, pm.open_dataset("cars3d:cars3d", split="val")).table()

The names are loaded at their first use: importing the package loads neither torch nor OpenCV.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pose_models.api import (
        AccuracyWatch,
        Cc3dConfig,
        Dataset,
        Evaluation,
        Hypothesis,
        Images,
        Pose,
        PoseModel,
        UdaConfig,
        adapt_3duda,
        adapt_cc3d,
        evaluate,
        finetune,
        load,
        open_dataset,
        train,
        train_baseline,
    )

__all__ = [
    "AccuracyWatch",
    "Cc3dConfig",
    "Dataset",
    "Evaluation",
    "Hypothesis",
    "Images",
    "Pose",
    "PoseModel",
    "Soundness",
    "UdaConfig",
    "adapt_3duda",
    "adapt_cc3d",
    "check",
    "evaluate",
    "finetune",
    "load",
    "open_dataset",
    "train",
    "train_baseline",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("pose_models.api"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
