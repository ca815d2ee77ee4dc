"""A trained model as a user has it: loaded from a folder, asked for the pose of a picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch
from PIL import Image

from p3d_gen.core.errors import ConfigError
from p3d_gen.core.types import Picture
from pose_models.data.images import Images
from pose_models.estimator import EstimateConfig, Estimator
from pose_models.loading import estimator_of, load_models, torch_device
from pose_models.pose import Pose
from pose_models.predict import as_picture, predict

Device = Literal["auto", "cpu", "cuda"]


class PoseModel:
    """A trained model, or the models of several categories in one folder.

    folder: where it was loaded from; device: where it computes; categories: those it knows, sorted;
    definitions: of each of them, with its symmetry.
    """

    def __init__(self, folder: Path, device: torch.device) -> None:
        """Load every model of a run folder; DataError if it holds none, or one cannot be read."""
        self.folder, self.device = folder, device
        self._models = load_models(folder, device)
        self.categories = tuple(sorted({name for model in self._models for name in model.spec.categories}))
        self.definitions = {
            name: model.spec.definition(name) for model in self._models for name in model.spec.categories
        }

    def __repr__(self) -> str:
        """Return folder, categories and device."""
        return f"PoseModel({str(self.folder)!r}: {', '.join(self.categories)}; on {self.device})"

    def predict(
        self,
        image: str | Path | Image.Image | Picture,
        box: Sequence[float] | None = None,
        category: str | None = None,
        mirror: bool = False,
        distance: float | None = None,
        diagonal_m: float | None = None,
    ) -> Pose:
        """Return the pose of the object in a picture: a file, a PIL picture, or an array (H, W, 3) RGB of uint8.

        box: X1, Y1, X2, Y2 of the object in pixels, None for the whole picture. category: None for the one whose mesh
        explains the picture best. mirror: use the mirrored picture as well. distance: from the camera to the object in
        box diagonals, None for the mean of the training images. diagonal_m: diagonal of the object's box in metres, by
        which distance and translation are metric too; None for that of the category's definition, if it has one.
        ConfigError or DataError for what does not fit.
        """
        return self.predict_many(
            [image], [box], category=category, mirror=mirror, distance=distance, diagonal_m=diagonal_m
        )[0]

    def predict_many(
        self,
        images: Sequence[str | Path | Image.Image | Picture],
        boxes: Sequence[Sequence[float] | None] | None = None,
        *,
        category: str | None = None,
        mirror: bool = False,
        distance: float | None = None,
        diagonal_m: float | None = None,
    ) -> list[Pose]:
        """Return the poses of several pictures, solved at once; arguments and errors as of `predict`."""
        if diagonal_m is not None and not 0 < diagonal_m < math.inf:
            raise ConfigError(f"diagonal_m {diagonal_m} must be a length in metres above 0")
        config = EstimateConfig(mirror=mirror, distance=distance)
        pictures = [as_picture(image) for image in images]
        poses: list[Pose] = predict(self._models, pictures, boxes or [None] * len(pictures), category, config)
        return [replace(pose, diagonal_m=diagonal_m or self.definitions[pose.category].diagonal_m) for pose in poses]

    def estimators(self, config: EstimateConfig) -> list[Estimator]:
        """Return an estimator for each model."""
        return [estimator_of(model, config) for model in self._models]


def load(folder: str | Path, device: Device = "auto") -> PoseModel:
    """Return the model in the output folder of a training or an adaptation, of any kind.

    A folder with several models, one for each category, is loaded as one. device "auto": a GPU if there is one.
    DataError if the folder holds no model, or it cannot be read.
    """
    return PoseModel(Path(folder), torch_device(device))


def folder_of(model: PoseModel | str | Path) -> Path:
    """Return the folder of a model that is given by it, or loaded."""
    return model.folder if isinstance(model, PoseModel) else Path(model)


def as_images(images: Images | str, split: str) -> Images:
    """Return images that are given by their address as all of its split."""
    return Images(address=images, split=split) if isinstance(images, str) else images
