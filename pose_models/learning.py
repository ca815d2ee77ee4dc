"""Training as a user asks for it: from shards and photographs to a model in a folder."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from p3d_gen.spec.sections import validated
from pose_models.adapt.config import FinetuneConfig
from pose_models.adapt.finetune import finetune as _finetune_model
from pose_models.adapt.source import ADAPT_FILE, adaptations, check_apart
from pose_models.baselines.config import BaselineConfig, Heads
from pose_models.baselines.training import train as _train_baseline
from pose_models.config import Precision, TrainConfig
from pose_models.data.images import Images
from pose_models.data.label_budget import LabelBudget, labelled_samples, parse_labels
from pose_models.data.sample import PoseSample
from pose_models.exclusive import working_in
from pose_models.loading import torch_device
from pose_models.model import Device, PoseModel, as_images, folder_of, load
from pose_models.progress import training_progress
from pose_models.training import Sources
from pose_models.training import train as _train_mesh
from pose_models.training.assembly import (
    SCRATCH,
    SCRATCH_MESH,
    TrainingData,
    category_definitions,
    chosen_categories,
    known_categories,
    left_to_make,
    start_or_resume,
    training_cads,
    training_config,
    training_images,
)
from pose_models.training.loop import LoopOptions

Paths = str | Path | Sequence[str | Path]
_log = logging.getLogger(__name__)


def several(values: Paths | None) -> tuple[str, ...]:
    """Return one value, several or None as a tuple of texts."""
    if values is None:
        return ()
    return (str(values),) if isinstance(values, str | Path) else tuple(map(str, values))


def _path(value: str | Path | None) -> Path | None:
    return None if value is None else Path(value)


def loop_options(device: Device, workers: int, checkpoint_every: int) -> LoopOptions:
    """Return how a loop runs; DependencyError if there is no such device."""
    return LoopOptions(cpu=torch_device(device).type == "cpu", workers=workers, checkpoint_every=checkpoint_every)


def train(
    *,
    out: str | Path,
    shards: Paths = (),
    category: Paths | None = None,
    shared: bool = False,
    real: Paths = (),
    labels: str | int | None = None,
    label_seed: int | None = None,
    cads: str | Path | None = None,
    definitions: str | Path | None = None,
    backgrounds: str | Path | None = None,
    config: str | Path | None = None,
    weights: str | None = None,
    freeze: Literal["none", "norm", "stem", "body"] | None = None,
    backbone: str | None = None,
    merge: Literal["sum", "resnetext"] | None = None,
    max_stride: int | None = None,
    vertices: int | None = None,
    bank_update: Literal["visible", "batch"] | None = None,
    steps: int | None = None,
    batch: int | None = None,
    image_size: int | None = None,
    lr: float | None = None,
    ema: float | None = None,
    augment: Literal["strong", "mild"] | None = None,
    mirror: bool | None = None,
    real_share: float | None = None,
    real_distance: float | None = None,
    seed: int | None = None,
    precision: Precision | None = None,
    device: Device = "auto",
    workers: int = 0,
    checkpoint_every: int = 200,
    overwrite: bool = False,
    progress: bool = True,
) -> PoseModel:
    """Train neural mesh models from rendered shards, labelled photographs, or both; return what was written to `out`.

    An interrupted training resumes when it is called again. The options are those of `pose-models train`:

    shards: runs, folders with CATEGORY-*.tar, or patterns of tars. real: addresses of photographs, `KIND:PATH`. See
        `training.assembly.TrainingData` for these, `labels`, `label_seed`, `cads`, `definitions` and `backgrounds`.
    category: one or several, None for all that the shards hold. shared: one backbone for all categories; otherwise each
        of several categories has a model of its own, in OUT/CATEGORY.
    config: the config.toml of a run to start from. All options that are None take its values, else the defaults of
        `config.TrainConfig`, which documents them; with weights "none" those of a small training from random weights.
    workers: processes that load images. checkpoint_every: steps. overwrite: begin again in a folder that holds a run.

    ConfigError, DataError or RunError for what does not fit, cannot be read, or is already there.
    """
    fields = {
        "weights": weights, "freeze": freeze, "backbone": backbone, "merge": merge, "max_stride": max_stride,
        "vertices": vertices, "bank_update": bank_update, "steps": steps, "batch": batch, "image_size": image_size,
        "lr": lr, "ema": ema, "real_share": real_share, "real_distance": real_distance, "seed": seed,
        "precision": precision,
    }  # fmt: skip
    options = loop_options(device, workers, checkpoint_every)
    data = _training_data(shards, real, labels, label_seed, cads, definitions, backgrounds)
    names = chosen_categories(data, several(category))
    groups = [names] if shared or len(names) == 1 else [(name,) for name in names]
    runs = {
        Path(out) if len(groups) == 1 else Path(out) / group[0]: training_config(
            TrainConfig, data, group, fields, scratch=SCRATCH_MESH, file=_path(config), augment=augment, mirror=mirror
        )
        for group in groups
    }
    left = left_to_make(runs, overwrite)
    for group, (folder, run) in zip(groups, runs.items(), strict=True):
        if folder not in left:
            continue
        with working_in(folder):
            start_or_resume(folder, run, overwrite)
            renders, photographs, pictures = training_images(run, data)
            models = training_cads(data, group)
            _log.info(
                "%s: %d renders, %d CADs; %s from %s; precision %s",
                ", ".join(group), len(renders), sum(map(len, models.values())), run.backbone, _start(run),
                run.precision,
            )  # fmt: skip
            known = category_definitions(data, group)
            sources = Sources(renders=renders, real=photographs, cads=models, backgrounds=pictures, definitions=known)
            with training_progress(run.steps, progress) as on_step:
                _train_mesh(run, sources, folder, options, on_step)
            _log.info("model written to %s", folder)
    return load(out, device)


def train_baseline(
    *,
    out: str | Path,
    shards: Paths = (),
    category: Paths | None = None,
    real: Paths = (),
    labels: str | int | None = None,
    label_seed: int | None = None,
    definitions: str | Path | None = None,
    backgrounds: str | Path | None = None,
    config: str | Path | None = None,
    weights: str | None = None,
    freeze: Literal["none", "norm", "stem", "body"] | None = None,
    backbone: str | None = None,
    max_stride: int | None = None,
    bins: int | None = None,
    heads: Heads | None = None,
    optimiser: Literal["adamw", "sgd"] | None = None,
    steps: int | None = None,
    batch: int | None = None,
    image_size: int | None = None,
    lr: float | None = None,
    head_lr: float | None = None,
    ema: float | None = None,
    augment: Literal["strong", "mild"] | None = None,
    mirror: bool | None = None,
    real_share: float | None = None,
    real_distance: float | None = None,
    seed: int | None = None,
    precision: Precision | None = None,
    device: Device = "auto",
    workers: int = 0,
    checkpoint_every: int = 200,
    overwrite: bool = False,
    progress: bool = True,
) -> PoseModel:
    """Train Res-General, one network that classifies the viewpoint, and return what was written to `out`.

    The options are those of `train`, except that no CAD models are needed; bins, heads, max_stride and optimiser are
    documented by `baselines.config.BaselineConfig`. Errors as of `train`.
    """
    fields = {
        "weights": weights, "freeze": freeze, "backbone": backbone, "max_stride": max_stride, "bins": bins,
        "heads": heads, "optimiser": optimiser, "steps": steps, "batch": batch, "image_size": image_size, "lr": lr,
        "head_lr": head_lr, "ema": ema, "real_share": real_share, "real_distance": real_distance, "seed": seed,
        "precision": precision,
    }  # fmt: skip
    options = loop_options(device, workers, checkpoint_every)
    data = _training_data(shards, real, labels, label_seed, None, definitions, backgrounds)
    names = chosen_categories(data, several(category))
    run = training_config(
        BaselineConfig, data, names, fields, scratch=SCRATCH, file=_path(config), augment=augment, mirror=mirror
    )
    with working_in(Path(out)):
        start_or_resume(Path(out), run, overwrite)
        renders, photographs, pictures = training_images(run, data)
        _log.info(
            "%s: %d renders; %s from %s; %d bins; precision %s",
            ", ".join(names), len(renders), run.backbone, _start(run), run.bins, run.precision,
        )  # fmt: skip
        with training_progress(run.steps, progress) as on_step:
            known = known_categories(data, names)
            _train_baseline(run, renders, photographs, pictures, Path(out), options, on_step, known)
        _log.info("model written to %s", out)
    return load(out, device)


def _training_data(
    shards: Paths,
    real: Paths,
    labels: str | int | None,
    label_seed: int | None,
    cads: str | Path | None,
    definitions: str | Path | None,
    backgrounds: str | Path | None,
) -> TrainingData:
    return TrainingData(
        shards=several(shards),
        real=several(real),
        labels=None if labels is None else str(labels),
        label_seed=label_seed,
        cads=_path(cads),
        definitions=_path(definitions),
        backgrounds=_path(backgrounds),
    )


def _start(config: TrainConfig | BaselineConfig) -> str:
    return config.weights or "random weights"


def finetune(
    model: PoseModel | str | Path,
    real: Images | str,
    *,
    out: str | Path,
    labels: str | int,
    label_seed: int | None = None,
    distance: float | None = None,
    steps: int = 200,
    batch: int = 12,
    lr: float = 1e-4,
    head_lr: float = 1e-4,
    seed: int = 0,
    precision: Precision = "no",
    device: Device = "auto",
    workers: int = 0,
    checkpoint_every: int = 50,
    overwrite: bool = False,
    progress: bool = True,
) -> PoseModel:
    """Train a model further on few labelled photographs, and return what was written to `out`.

    real: the photographs, as `Images` or the address of a train split. labels: number "N" or share "P%" of those of
    each category that are used, drawn by label_seed, None for the seed. The other options are documented by
    `adapt.config.FinetuneConfig`. A folder of several models is trained model by model. An interrupted run resumes when
    it is called again. ConfigError, DataError or RunError for what does not fit, cannot be read, or is already there.
    """
    options = loop_options(device, workers, checkpoint_every)
    budget = parse_labels(str(labels))
    config = validated(
        FinetuneConfig,
        {
            "labels": str(labels), "label_seed": seed if label_seed is None else label_seed, "distance": distance,
            "steps": steps, "batch": batch, "lr": lr, "head_lr": head_lr, "seed": seed,
        },
        "this request",
        "configuration",
    )  # fmt: skip
    source = folder_of(model)
    check_apart(source, Path(out))
    runs = adaptations(source, Path(out), as_images(real, "train"))
    left = left_to_make({place: config for _, place, _ in runs}, overwrite, ADAPT_FILE)
    for folder, place, images in (run for run in runs if run[1] in left):
        with working_in(place):
            start_or_resume(place, config, overwrite, ADAPT_FILE)
            labelled = _labelled(images, budget, config.label_seed)
            _log.info("%s -> %s: %s of %s", folder, place, config.labels, images.name())
            with training_progress(config.steps, progress) as on_step:
                _finetune_model(folder, labelled, config, place, options, precision=precision, on_step=on_step)
            _log.info("model written to %s", place)
    return load(out, device)


def _labelled(images: Images, budget: LabelBudget, seed: int) -> Iterator[PoseSample]:
    """Yield the labelled images of every category."""

    def read(category: str) -> Iterator[PoseSample]:
        return replace(images, categories=(category,)).read()

    for name in images.categories or ():
        yield from labelled_samples(read, images.name(), budget, seed, name)
