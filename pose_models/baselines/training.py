"""Training of Res-General from renders and labelled photographs, in the loop that trains the neural mesh models."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from p3d_gen.core.errors import DataError, did_you_mean
from p3d_gen.core.types import Array
from pose_models.backbone import input_statistics
from pose_models.baselines.bins import bins_of, viewpoints_of
from pose_models.baselines.config import BaselineConfig
from pose_models.baselines.predict import CUBE
from pose_models.baselines.res_general import BaselineSpec, ResGeneral, save_baseline
from pose_models.categories import KnownCategories
from pose_models.config import RANDOM
from pose_models.data.augment import Backgrounds
from pose_models.data.photographs import Photographs
from pose_models.data.sample import Batch, PoseSample
from pose_models.data.views import Views
from pose_models.geometry import rotation_cam_obj, viewpoint_of
from pose_models.metrics import canonical_rotations, most_frequent_rotation
from pose_models.pretrained import load_weights
from pose_models.training.loop import LoopOptions, Processes, Step, fit
from pose_models.training.spec import freeze, parameter_groups, training_mode

_MOMENTUM = 0.9
_COUNTED = 1000
_ANGLES = ("azimuth", "elevation", "theta")


def build(
    config: BaselineConfig, mode_rotations: Mapping[str, Tensor], known: KnownCategories | None = None
) -> ResGeneral:
    """Make the untrained model: random weights from `config.seed`, then the body's pretrained ones if given.

    mode_rotations: each category's most frequent training rotation (3, 3). known: facts about the categories.
    """
    mean, std = input_statistics(config.backbone, config.weights)
    spec = BaselineSpec(
        backbone=config.backbone,
        max_stride=config.max_stride,
        bins=config.bins,
        heads=config.heads,
        categories=config.categories,
        mode_rotations=tuple(tuple(mode_rotations[name].flatten().tolist()) for name in config.categories),
        canvas_hw=(config.image_size, config.image_size),
        box_fill=config.box_fill,
        weights=config.weights or RANDOM,
        mean=mean,
        std=std,
        **vars(known or KnownCategories()),
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        model = ResGeneral(spec)
    if config.weights:
        _fill(model, config)
    placed: ResGeneral = model.to(memory_format=torch.channels_last)
    return placed


def _fill(net: nn.Module, config: BaselineConfig) -> None:
    try:
        load_weights(net, config.backbone, config.weights)
    except DataError as error:
        raise DataError(f"{error}, or, if the file ends early, a --max-stride below {config.max_stride}") from error
    freeze(net, config)


class BaselineTrainee:
    """Res-General for the training loop."""

    def __init__(self, model: ResGeneral, config: BaselineConfig) -> None:
        """Train `model` as `config` says."""
        self.module, self.net = model, model
        self._config = config
        # The built-in categories are learned as in the papers, whatever their symmetry.
        # In the middle of bins, so that rounding does not change the bin of a target.
        middle = viewpoints_of(bins_of(torch.zeros(3), config.bins), config.bins, "centre")
        self._front = rotation_cam_obj(middle)
        self._symmetries = {each.name: each.symmetry.canonical() for each in model.spec.definitions}

    def optimiser(self) -> torch.optim.Optimizer:
        """Make AdamW or SGD."""
        if self._config.optimiser == "sgd":
            return torch.optim.SGD(
                parameter_groups(self.net, self._config), momentum=_MOMENTUM, weight_decay=self._config.weight_decay
            )
        return torch.optim.AdamW(parameter_groups(self.net, self._config), weight_decay=self._config.weight_decay)

    def training(self) -> None:
        """Switch to training mode; the statistics of a pretrained body stay as they are unless `freeze` is none."""
        training_mode(self.module, self.net.body, self._config)

    def loss(self, output: Tensor, batch: Batch, step: int, everyone: Processes) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the mean cross-entropy of the three angles' bins, and that of each angle.

        Of the poses that show the same, by the symmetry of a category of one's own, one is the target.
        """
        scores = self.net.chosen(output, batch.category)
        true = bins_of(viewpoint_of(self._targets(batch)), self._config.bins)
        losses = F.cross_entropy(scores.flatten(0, 1), true.flatten(), reduction="none").view(-1, 3).mean(0)
        return losses.mean(), dict(zip(_ANGLES, losses, strict=True))

    def _targets(self, batch: Batch) -> Tensor:
        R = batch.cam_T_obj[:, :3, :3].clone()
        for name in set(batch.category) & self._symmetries.keys():
            rows = [i for i, category in enumerate(batch.category) if category == name]
            R[rows] = canonical_rotations(R[rows], self._symmetries[name], self._front)
        return R

    def save(self, folder: Path) -> None:
        """Write the model."""
        save_baseline(self.module, folder)


def _note(sample: PoseSample, rotations: dict[str, list[Array]]) -> None:
    """Note the rotation of a sample. DataError if its category is not one to train on."""
    if sample.category not in rotations:
        raise DataError(f"sample {sample.key} is a {sample.category!r}{did_you_mean(sample.category, rotations)}")
    rotations[sample.category].append(sample.cam_T_obj[:3, :3])


def _noted(samples: Iterable[PoseSample], rotations: dict[str, list[Array]]) -> Iterator[PoseSample]:
    """Yield the samples, and note their rotations."""
    for sample in samples:
        _note(sample, rotations)
        yield sample


def _mode_rotations(rotations: Mapping[str, list[Array]], renders: Sequence[PoseSample]) -> dict[str, Tensor]:
    """Return each category's most frequent rotation, of photographs and of up to `_COUNTED` renders.

    More renders are read until all categories have one. DataError if a category has no image.
    """
    counted = {name: list(some[:_COUNTED]) for name, some in rotations.items()}
    for number, index in enumerate(np.random.default_rng(0).permutation(len(renders)), start=1):
        _note(renders[int(index)], counted)
        if number >= _COUNTED and all(counted.values()):
            break
    if missing := next((name for name, some in counted.items() if not some), None):
        raise DataError(f"no image of category {missing!r} among those to train on: choose by --category")
    return {name: most_frequent_rotation(torch.from_numpy(np.stack(some))) for name, some in counted.items()}


def train(
    config: BaselineConfig,
    renders: Sequence[PoseSample],
    real: Iterable[PoseSample],
    backgrounds: Backgrounds | None,
    out: Path,
    options: LoopOptions,
    on_step: Callable[[Step], None],
    known: KnownCategories | None = None,
) -> ResGeneral:
    """Train Res-General and write it, its configuration and its log to `out`; see `training.loop.fit`.

    known: facts about the categories. DataError if a category has no image, ConfigError if the loss becomes non-finite
    or a source that is to be used holds no image.
    """
    rotations: dict[str, list[Array]] = {name: [] for name in config.categories}
    # Only rotations are learned: where a photograph has no camera, that of a cube stands in.
    outlines = dict.fromkeys(config.categories, CUBE[None].float())
    photographs = Photographs(_noted(real, rotations), outlines, config.real_distance, config.image_size)
    model = build(config, _mode_rotations(rotations, renders), known)
    views = Views(renders, photographs, model.spec.canvas_hw, config, backgrounds, model.spec.unmirrored)
    fit(BaselineTrainee(model, config), views, config, out, options, on_step)
    return model
