"""Adaptation to unlabelled images as a user asks for it: from a model and images to an adapted model in a folder."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.progress import Progress

from p3d_gen.core.errors import ConfigError
from pose_models.adapt import cc3d, uda3d
from pose_models.adapt.cc3d import Observer, ReplayedSamples
from pose_models.adapt.config import Cc3dConfig, UdaConfig
from pose_models.adapt.pseudo_labels import PseudoLabel
from pose_models.adapt.source import ADAPT_FILE, adaptations, check_apart, estimate_config, source_config
from pose_models.adapt.target import Target
from pose_models.adapt.watching import watcher
from pose_models.config import Precision
from pose_models.data.augment import Backgrounds
from pose_models.data.images import Images
from pose_models.data.shards import ShardSamples, shard_paths
from pose_models.estimator import Estimator
from pose_models.exclusive import working_in
from pose_models.learning import Paths, loop_options, several
from pose_models.loading import torch_device
from pose_models.mesh_estimator import MeshEstimator
from pose_models.model import Device, PoseModel, as_images, folder_of, load
from pose_models.nmm import NeuralMeshModel
from pose_models.progress import progress_bar
from pose_models.training import Step
from pose_models.training.assembly import left_to_make, start_or_resume

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class AccuracyWatch:
    """The accuracy of an adaptation on its way, by the target's labels, which are not used otherwise.

    every: steps of CC3D, or epochs of 3DUDA, between two measurements; limit: number of images of each category.
    """

    every: int
    limit: int = 200

    def accuracy(self, folder: Path, images: Images) -> Callable[[Estimator], dict[str, float]]:
        """Return the function that measures a model; it reads the target images again, with their labels."""
        few = min(images.limit or self.limit, self.limit)
        return watcher(replace(images, limit=few).read(), source_config(folder).image_size)


def adapt_cc3d(
    model: PoseModel | str | Path,
    target: Images | str,
    *,
    out: str | Path,
    config: Cc3dConfig | None = None,
    source_shards: Paths = (),
    backgrounds: str | Path | None = None,
    watch: AccuracyWatch | None = None,
    precision: Precision = "no",
    device: Device = "auto",
    workers: int = 0,
    checkpoint_every: int = 50,
    overwrite: bool = False,
    progress: bool = True,
) -> PoseModel:
    """Train a model on its own most confident poses of unlabelled images (CC3D); return what was written to `out`.

    target: the images, as `Images` or the address of a train split. source_shards: synthetic images that arm "paper"
    replays, as folders or globs, with `backgrounds` behind their objects. A folder of several models is adapted model
    by model. An interrupted run resumes when it is called again.
    ConfigError, DataError or RunError for what does not fit, cannot be read, or is already there.
    """
    config = config or Cc3dConfig()
    replayed = cc3d.needs_renders(config)
    if replayed and not source_shards:
        raise ConfigError("arm 'paper' replays synthetic images: give --source-shards, or --arm released")
    for name, value in (("--source-shards", source_shards), ("--backgrounds", backgrounds)):
        if value and not replayed:
            raise ConfigError(f"{name}: no synthetic image is replayed; leave it out")
    options = loop_options(device, workers, checkpoint_every)
    source = folder_of(model)
    check_apart(source, Path(out))
    runs = adaptations(source, Path(out), as_images(target, "train"))
    left = left_to_make({place: config for _, place, _ in runs}, overwrite, ADAPT_FILE)
    for folder, place, images in (run for run in runs if run[1] in left):
        with working_in(place):
            start_or_resume(place, config, overwrite, ADAPT_FILE)
            replay = _replayed(images.categories or (), several(source_shards), backgrounds)
            pictures = Target(images.read(), source_config(folder).image_size)
            _log.info("%s -> %s: %d images of %s", folder, place, len(pictures), images.name())
            with progress_bar(progress) as bar:
                accuracy = None if watch is None else watch.accuracy(folder, images)
                observer = _observer(bar, len(pictures), config, accuracy, watch)
                cc3d.adapt(
                    folder, pictures, config, place, options, replay=replay, precision=precision, observer=observer
                )
            _log.info("model written to %s", place)
    return load(out, device)


def _replayed(categories: Sequence[str], shards: Sequence[str], backgrounds: str | Path | None) -> ReplayedSamples:
    """Return the source images of some categories, and the backgrounds for them."""
    paths = sorted({path for folder in shards for name in categories for path in shard_paths(folder, name)})
    pictures = None if backgrounds is None else Backgrounds(Path(backgrounds))
    return ReplayedSamples(shards=paths, renders=ShardSamples(paths), backgrounds=pictures)


def _observer(
    bar: Progress,
    count: int,
    config: Cc3dConfig,
    accuracy: Callable[[Estimator], Mapping[str, float]] | None,
    watch: AccuracyWatch | None,
) -> Observer:
    """Return what moves the bars of labelling and training, and logs a line for each round."""
    label = bar.add_task("label", total=count * config.rounds, note="")
    train = bar.add_task("train", total=config.steps * config.rounds, note="")

    def on_labels(number: int, labels: Sequence[PseudoLabel], trusted: Sequence[int], alpha: float | None) -> None:
        bar.update(label, completed=number * count)
        names = [labels[i].category for i in trusted]
        shares = ", ".join(f"{names.count(name)} {name}" for name in dict.fromkeys(names))
        least = min(labels[i].confidence for i in trusted)
        weight = "" if alpha is None else f"; alpha {alpha:.3g}"
        _log.info(
            "round %d: trusted of %d pseudo-labels %s, least confidence %.3f%s",
            number, len(labels), shares, least, weight,
        )  # fmt: skip

    def on_step(number: int, step: Step) -> None:
        bar.update(train, completed=(number - 1) * config.steps + step.step, note=f"loss {step.loss:.3f}")

    return Observer(
        on_image=lambda: bar.advance(label),
        on_labels=on_labels,
        on_step=on_step,
        watch=accuracy,
        watch_every=1 if watch is None else watch.every,
    )


def adapt_3duda(
    model: PoseModel | str | Path,
    target: Images | str,
    *,
    out: str | Path,
    config: UdaConfig | None = None,
    watch: AccuracyWatch | None = None,
    device: Device = "auto",
    overwrite: bool = False,
    progress: bool = True,
) -> PoseModel:
    """Adapt a neural mesh model to unlabelled images vertex by vertex (3DUDA); return what was written to `out`.

    target: the images, as `Images` or the address of a train split; no source image is read. A folder of several models
    is adapted model by model. An interrupted run resumes when it is called again.
    ConfigError, DataError or RunError for what does not fit, cannot be read, or is already there.
    """
    config, placed = config or UdaConfig(), torch_device(device)
    source = folder_of(model)
    check_apart(source, Path(out))
    runs = adaptations(source, Path(out), as_images(target, "train"))
    left = left_to_make({place: config for _, place, _ in runs}, overwrite, ADAPT_FILE)
    for folder, place, images in (run for run in runs if run[1] in left):
        with working_in(place):
            start_or_resume(place, config, overwrite, ADAPT_FILE)
            pictures = Target(images.read(), source_config(folder).image_size)
            _log.info("%s -> %s: %d images of %s", folder, place, len(pictures), images.name())
            with progress_bar(progress) as bar:
                on_epoch, on_images = _epochs(bar, len(pictures), config, _measured(folder, images, config, watch))
                uda3d.run(folder, pictures, config, place, placed, on_epoch, on_images)
            _log.info("model written to %s", place)
    return load(out, device)


def _epochs(
    bar: Progress, count: int, config: UdaConfig, measure: Callable[[int, NeuralMeshModel], Mapping[str, float]]
) -> tuple[uda3d.OnEpoch, Callable[[int], None]]:
    """Return what is called after each epoch and after each batch, to move a bar and to measure the model."""
    task = bar.add_task("adapt", total=count * uda3d.passes(config), note="")

    def on_epoch(figures: dict[str, float], model: NeuralMeshModel) -> Mapping[str, float]:
        number, share = int(figures["epoch"]), figures["accepted_share"]
        done = count * uda3d.passes(config.model_copy(update={"epochs": number})) if number else count
        bar.update(task, completed=done, note=f"epoch {number}, vertices taken {100 * share:.0f} %")
        return measure(number, model)

    return on_epoch, lambda images: bar.advance(task, images)


def _measured(
    folder: Path, images: Images, config: UdaConfig, watch: AccuracyWatch | None
) -> Callable[[int, NeuralMeshModel], Mapping[str, float]]:
    """Return what measures the model after an epoch, if that epoch is watched."""
    if watch is None:
        return lambda epoch, model: {}
    accuracy, every = watch.accuracy(folder, images), watch.every
    estimate = estimate_config(config.pose)

    def measure(epoch: int, model: NeuralMeshModel) -> Mapping[str, float]:
        due = epoch % every == 0 or epoch == config.epochs
        return accuracy(MeshEstimator(model, estimate)) if due else {}

    return measure
