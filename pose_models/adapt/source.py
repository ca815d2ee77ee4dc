"""The trained model that an adaptation starts from, and its further training. Its folder is only read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from p3d_gen.core.errors import ConfigError, DataError, did_you_mean
from p3d_gen.run.files import file_sha256, read_record, write_json
from pose_models.adapt.config import PoseConfig
from pose_models.baselines.config import BaselineConfig
from pose_models.baselines.predict import CUBE
from pose_models.baselines.res_general import KIND, ResGeneral, load_baseline, model_kind
from pose_models.baselines.training import BaselineTrainee
from pose_models.config import TrainConfig, load_config
from pose_models.data.datasets import open_dataset
from pose_models.data.images import Images
from pose_models.data.photographs import with_camera
from pose_models.data.sample import PoseSample
from pose_models.estimator import EstimateConfig, Estimator
from pose_models.ledger import check_files
from pose_models.loading import estimator_of, model_folders
from pose_models.nmm import WEIGHTS_FILE, NeuralMeshModel, load_model
from pose_models.solve import ConfidenceForm, SolveConfig
from pose_models.training.loop import CONFIG_FILE, Trainee
from pose_models.training.spec import freeze
from pose_models.training.step import MeshTrainee

ADAPT_FILE, SOURCE_FILE = "adapt.toml", "source.json"
_ANOTHER = "choose another --out, or give --overwrite"


@dataclass(frozen=True, kw_only=True)
class SourceModel:
    """A trained model and the configuration of its training."""

    model: NeuralMeshModel | ResGeneral
    config: TrainConfig | BaselineConfig

    def estimator(self, settings: EstimateConfig) -> Estimator:
        """Return an estimator of poses by this model."""
        return estimator_of(self.model, settings)

    def trainee(self, config: TrainConfig | BaselineConfig) -> Trainee:
        """Prepare the model for the training loop; the parts that `config.freeze` names are kept as they are."""
        if config.weights:
            freeze(self.model if isinstance(self.model, ResGeneral) else self.model.net, config)
        if isinstance(self.model, ResGeneral):
            assert isinstance(config, BaselineConfig)
            return BaselineTrainee(self.model, config)
        assert isinstance(config, TrainConfig)
        return MeshTrainee(self.model, config)

    def with_camera(self, sample: PoseSample, distance: float | None) -> PoseSample:
        """Fill in the sample's camera at `distance` if it is not known.

        None: the distance at which the model looks for the object; Res-General, which learns only rotations, sees a
        cube there.
        """
        if isinstance(self.model, ResGeneral):
            return with_camera(sample, CUBE[None].float(), self.config.real_distance)
        neural = self.model.neural_mesh(sample.category)
        return with_camera(sample, neural.outlines.cpu(), distance or neural.spec.distance)


def estimate_config(pose: PoseConfig, confidence: ConfidenceForm = "mean") -> EstimateConfig:
    """Return the settings of the estimator that searches an adaptation's target images for poses."""
    return EstimateConfig(
        solve=SolveConfig().by_camera(pose.focals, free_distance=pose.free_distance),
        mirror=pose.mirror,
        distance=pose.distance,
        confidence=confidence,
    )


def source_config(folder: Path) -> TrainConfig | BaselineConfig:
    """Load the configuration of the training that wrote the model in a run folder.

    ValueError naming the file if there is none.
    """
    path = folder / CONFIG_FILE
    check_files(folder, CONFIG_FILE)
    return load_config(BaselineConfig, path) if model_kind(folder) == KIND else load_config(TrainConfig, path)


def load_source(folder: Path, device: torch.device) -> SourceModel:
    """Load the model of a run folder, in evaluation mode, and its configuration.

    ValueError naming the file if one of them cannot be read.
    """
    config = source_config(folder)
    load = load_baseline if isinstance(config, BaselineConfig) else load_model
    return SourceModel(model=load(folder, device), config=config)


def adaptations(folder: Path, out: Path, images: Images) -> list[tuple[Path, Path, Images]]:
    """List the adaptations of the models in a folder that know a category of the images. For each: its folder, its run
    folder, and its images.

    One model is adapted into `out`, several into sub-folders of it. ValueError for a category that no model knows.
    """
    shown = open_dataset(images.address, split=images.split, categories=images.categories).categories
    known = {path: source_config(path).categories for path in model_folders(folder)}
    everything = sorted({name for names in known.values() for name in names})
    if unknown := next((name for name in shown if name not in everything), None):
        raise DataError(
            f"{folder} does not know {unknown!r} of {images.address}{did_you_mean(unknown, everything)}; "
            "choose by --category"
        )
    runs = []
    for path, names in known.items():
        if common := tuple(name for name in shown if name in names):
            runs.append((path, out if path == folder else out / path.name, replace(images, categories=common)))
    return runs


def check_apart(source: Path, out: Path) -> None:
    """Raise ConfigError if one of the two folders holds the other: the source is never written."""
    inner, outer = source.resolve(), out.resolve()
    if inner == outer or inner in outer.parents or outer in inner.parents:
        raise ConfigError(f"{out} and the model's folder {source} lie in one another: choose another --out")


def write_source(out: Path, source: Path, shards: Sequence[Path] = ()) -> None:
    """Write which model a run starts from, and which source shards it reads too.

    ValueError if the run in `out` started from others.
    """
    path = out / SOURCE_FILE
    entry = {
        "model": str(source.resolve()),
        "weights_sha256": file_sha256(source / WEIGHTS_FILE),
        "shards": [str(shard) for shard in shards],
    }
    if path.is_file() and (kept := read_record(path, _ANOTHER)) != entry:
        name = next(name for name in entry if kept.get(name) != entry[name])
        raise ConfigError(
            f"{path}: the run started from another {name} ({kept.get(name)}, now {entry[name]}): {_ANOTHER}"
        )
    write_json(path, entry)
