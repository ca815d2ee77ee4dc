"""Training of neural mesh models from renders and labelled photographs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch.utils.data import ConcatDataset

from p3d_gen.core.categories import CategoryDefinition
from p3d_gen.core.types import Array
from pose_models.config import TrainConfig
from pose_models.data.augment import Backgrounds
from pose_models.data.photographs import Photographs
from pose_models.data.sample import PoseSample
from pose_models.data.views import Views
from pose_models.nmm import NeuralMeshModel, load_model
from pose_models.training.identity import cads_identity
from pose_models.training.loop import LoopOptions, Step, fit
from pose_models.training.source_similarity import SIMILARITY_FILE, write_source_similarity
from pose_models.training.spec import build, model_spec, outlines_of
from pose_models.training.step import MeshTrainee

__all__ = ["LoopOptions", "Sources", "Step", "train"]


@dataclass(frozen=True, kw_only=True)
class Sources:
    """The material of a training: rendered samples, labelled photographs, the CAD models of each category (vertices by
    id), backgrounds for samples that have a mask, and definitions of categories as in `KnownCategories`."""

    renders: Sequence[PoseSample] = ()
    real: Iterable[PoseSample] = ()
    cads: Mapping[str, Mapping[str, Array]]
    backgrounds: Backgrounds | None = None
    definitions: tuple[CategoryDefinition, ...] = ()


def train(
    config: TrainConfig, sources: Sources, out: Path, options: LoopOptions, on_step: Callable[[Step], None]
) -> NeuralMeshModel:
    """Train a neural mesh model and write it, its configuration and its log to `out`; see `training.loop.fit`.

    The similarity of its source features to their vertices is written last, see `training.source_similarity`.
    DataError if a category has no image, ConfigError if the loss becomes non-finite or a source that is to be used
    holds no image.
    """
    outlines = outlines_of(sources.cads)
    real = Photographs(sources.real, outlines, config.real_distance, config.image_size)
    spec = model_spec(config, (sources.renders, real), sources.cads, sources.definitions)
    model = build(config, spec, outlines)
    views = Views(sources.renders, real, spec.canvas_hw, config, sources.backgrounds, spec.unmirrored)

    def more() -> Sequence[str]:
        shares = ((sources.renders, 1 - config.real_share), (real, config.real_share))
        used = ConcatDataset([source for source, share in shares if share > 0])
        # As it was saved: the one in memory may still compute in half precision.
        write_source_similarity(load_model(out, model.clutter.device), used, out)
        return (SIMILARITY_FILE,)

    fit(MeshTrainee(model, config), views, config, out, options, on_step, cads_identity(sources.cads), more)
    return model
