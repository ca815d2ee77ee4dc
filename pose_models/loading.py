"""Load the models of a run folder, whatever they are."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch

from pose_models.estimator import EstimateConfig, Estimator
from pose_models.mesh_estimator import MeshEstimator
from pose_models.nmm import MODEL_FILE, load_model


def model_folders(folder: Path) -> list[Path]:
    """The models of a run folder: itself, or its sub-folders where each holds one. ValueError where there is none."""
    if (folder / MODEL_FILE).is_file():
        return [folder]
    found = sorted(path.parent for path in folder.glob(f"*/{MODEL_FILE}"))
    if not found:
        raise ValueError(f"{folder} holds no {MODEL_FILE}: not the --out of a finished `pose-models train`")
    return found


def load_estimators(folder: Path, device: torch.device, config: EstimateConfig) -> list[Estimator]:
    """An estimator for each model in a run folder; errors as `model_folders` and the model's own loader."""
    return [_load(path, device, config) for path in model_folders(folder)]


def _load(folder: Path, device: torch.device, config: EstimateConfig) -> Estimator:
    from pose_models.baselines.predict import BaselineEstimator
    from pose_models.baselines.res_general import KIND, load_baseline, model_kind

    if model_kind(folder) == KIND:
        flip: Literal["probabilities", "none"] = "probabilities" if config.mirror else "none"
        return BaselineEstimator(load_baseline(folder, device), decode=config.decode, flip=flip)
    return MeshEstimator(load_model(folder, device), config)
