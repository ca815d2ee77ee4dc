"""Load the models of a run folder, whatever their kind, as networks or as estimators."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch

from p3d_gen.core.errors import DataError, DependencyError
from pose_models.baselines.predict import BaselineEstimator
from pose_models.baselines.res_general import KIND, ResGeneral, load_baseline, model_kind
from pose_models.estimator import EstimateConfig, Estimator
from pose_models.ledger import MODEL_FILE
from pose_models.mesh_estimator import MeshEstimator
from pose_models.nmm import NeuralMeshModel, load_model

TrainedModel = NeuralMeshModel | ResGeneral


def torch_device(name: str) -> torch.device:
    """Return the device that "auto", "cpu" or "cuda" means here; DependencyError if it does not exist."""
    if name == "cuda" and not torch.cuda.is_available():
        raise DependencyError("device 'cuda': torch sees no CUDA device here; use 'cpu'")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def model_folders(folder: Path) -> list[Path]:
    """Return the folders with a model: `folder` itself, else its sub-folders; DataError if there is none."""
    if (folder / MODEL_FILE).is_file():
        return [folder]
    folders = sorted(path.parent for path in folder.glob(f"*/{MODEL_FILE}"))
    if not folders:
        raise DataError(f"{folder} holds no {MODEL_FILE}: not the --out of a finished `pose-models train`")
    return folders


def load_models(folder: Path, device: torch.device) -> list[TrainedModel]:
    """Return every model of a run folder, in evaluation mode; errors as `model_folders` and each kind's loader."""
    return [
        load_baseline(path, device) if model_kind(path) == KIND else load_model(path, device)
        for path in model_folders(folder)
    ]


def estimator_of(model: TrainedModel, config: EstimateConfig) -> Estimator:
    """Return the estimator that finds poses with a model."""
    if isinstance(model, NeuralMeshModel):
        return MeshEstimator(model, config)
    flip: Literal["probabilities", "none"] = "probabilities" if config.mirror else "none"
    return BaselineEstimator(model, decode=config.decode, flip=flip, distance=config.distance)


def load_estimators(folder: Path, device: torch.device, config: EstimateConfig) -> list[Estimator]:
    """Return an estimator for each model of a run folder; errors as `load_models`."""
    return [estimator_of(model, config) for model in load_models(folder, device)]
