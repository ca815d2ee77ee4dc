"""K-fold consistency: every sample is judged by a pose model that was trained on the other folds.

3D-DST trains a classifier of viewpoints on all folds except one, and drops the pictures of that fold on which its loss
is high. Here any pose model can be the judge, its answer is an angle, and the limit is chosen when the samples are
packed. Folds are split by CAD model, so that a judge has seen neither a sample nor its shape.
"""

from __future__ import annotations

import copy
import logging
import shutil
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import Progress

from p3d_gen.core.errors import ConfigError, DataError, RunError
from p3d_gen.core.symmetry import Symmetry
from p3d_gen.core.types import Array
from p3d_gen.run.files import file_sha256, read_record, sealed_json, write_bytes
from p3d_gen.run.record import difference
from p3d_gen.run.remote import place
from p3d_gen.stylize.judge import By, write_residuals
from pose_models.baselines.config import BaselineConfig
from pose_models.baselines.training import train as train_baseline
from pose_models.config import LoopConfig, TrainConfig
from pose_models.data.augment import Backgrounds
from pose_models.data.cads import cad_vertices
from pose_models.data.shards import ShardSamples, entry_labels, shard_paths
from pose_models.estimator import EstimateConfig
from pose_models.judge import residuals_deg
from pose_models.ledger import is_finished
from pose_models.loading import load_estimators, torch_device
from pose_models.progress import progress_bar
from pose_models.training import LoopOptions, Sources, Step
from pose_models.training import train as train_mesh
from pose_models.training.assembly import TrainingData, category_definitions, known_categories, training_images

_SPLIT = 4
_log = logging.getLogger(__name__)
_REMEDY = "choose another --out, or give --overwrite"
_MADE_FROM_FILE, _RESIDUALS_FILE = "folds.json", "residuals.json"

# Train a pose model on samples, without the CAD models of these ids, into a folder; resumable.
Train = Callable[[ShardSamples, frozenset[str], Path], object]


@dataclass(frozen=True, kw_only=True)
class FoldSplit:
    """The folds of samples.

    by: unit that was shared out, "cad" or "sample". fold_of: the fold, from 0, of each sample by key. held_out: for
    each fold the ids of the CAD models that its judge must not know; empty if `by` is "sample".
    """

    by: By
    fold_of: dict[str, int]
    held_out: tuple[frozenset[str], ...]


def split_folds(cad_of: Mapping[str, str], folds: int, seed: int) -> FoldSplit:
    """Share samples out among folds of sizes as equal as possible.

    They are shared out by CAD model; if there are fewer CAD models than folds, by sample, at random from `seed`.
    cad_of: each sample's CAD id by key. ConfigError if there are fewer samples than folds.
    """
    if len(cad_of) < folds:
        raise ConfigError(f"{len(cad_of)} samples cannot be split into {folds} folds: render more, or ask for fewer")
    counts = Counter(cad_of.values())
    if len(counts) < folds:
        order = np.random.default_rng([seed, _SPLIT]).permutation(len(cad_of))
        keys = sorted(cad_of)
        of_sample = {keys[number]: place % folds for place, number in enumerate(order)}
        return FoldSplit(by="sample", fold_of=of_sample, held_out=(frozenset(),) * folds)
    sizes, held_out = [0] * folds, [set[str]() for _ in range(folds)]
    # The largest first, each to the smallest fold.
    for cad, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        fold = min(range(folds), key=lambda number: sizes[number])
        sizes[fold] += count
        held_out[fold].add(cad)
    fold_of_cad = {cad: fold for fold, cads in enumerate(held_out) for cad in cads}
    return FoldSplit(
        by="cad",
        fold_of={key: fold_of_cad[cad] for key, cad in cad_of.items()},
        held_out=tuple(map(frozenset, held_out)),
    )


def sample_labels(renders: ShardSamples) -> dict[str, dict[str, Any]]:
    """Read the labels of all samples, by key. DataError for a key that comes twice, or without `symmetry_order`."""
    labels: dict[str, dict[str, Any]] = {}
    for entry in renders.entries:
        if entry.key in labels:
            raise DataError(f"sample {entry.key} in shard {entry.shard} comes twice: give the shards of one run")
        labels[entry.key] = entry_labels(entry)
        if "symmetry_order" not in labels[entry.key]:
            raise DataError(f"sample {entry.key} in shard {entry.shard}: its JSON lacks symmetry_order; pack it again")
    return labels


def start_folds(folder: Path, config: LoopConfig, renders: ShardSamples, split: FoldSplit, overwrite: bool) -> None:
    """Make sure that `folder` is empty or holds folds of the same samples and configuration.

    overwrite: empty it first. RunError if it holds others.
    """
    made_from = {
        "config": config.model_dump(mode="json"),
        "shards": {path.name: file_sha256(path) for path in sorted({place(entry.shard) for entry in renders.entries})},
        "fold_of": split.fold_of,
    }
    path = folder / _MADE_FROM_FILE
    if overwrite and path.exists():
        shutil.rmtree(folder)
    if path.exists() and (kept := read_record(path, _REMEDY)) != made_from:
        raise RunError(
            f"{folder} holds folds of another configuration or other samples ({difference(kept, made_from)}): choose "
            "another --out, or give --overwrite"
        )
    write_bytes(path, sealed_json(made_from))


def _part(renders: ShardSamples, keys: Collection[str]) -> ShardSamples:
    part = copy.copy(renders)
    part.entries = [entry for entry in renders.entries if entry.key in keys]
    return part


def fold_residuals(
    renders: ShardSamples,
    labels: Mapping[str, Mapping[str, Any]],
    split: FoldSplit,
    folder: Path,
    train: Train,
    device: torch.device,
    on_image: Callable[[int], None] = lambda fold: None,
) -> list[dict[str, float]]:
    """Return the pose residuals in degrees of each fold's samples, by key.

    A fold is judged by a model that `train` makes without it. Fold K's model and residuals are kept in `folder/fold-K`,
    and are not made again; `start_folds` guards the folder. labels: see `sample_labels`. on_image: called with the fold
    after each sample that was judged.
    """
    residuals = []
    for fold, held_out in enumerate(split.held_out):
        place = folder / f"fold-{fold}"
        path = place / _RESIDUALS_FILE
        if not path.exists():
            inside = {key for key, number in split.fold_of.items() if number == fold}
            if not is_finished(place):
                train(_part(renders, split.fold_of.keys() - inside), held_out, place)
            estimators = load_estimators(place, device, EstimateConfig())
            judged = _part(renders, inside)
            keys = [entry.key for entry in judged.entries]
            symmetries = [Symmetry.of_labels(labels[key]) for key in keys]
            degrees = residuals_deg(estimators, judged, symmetries, partial(on_image, fold))
            write_bytes(path, sealed_json(dict(zip(keys, degrees, strict=True))))
        residuals.append(read_record(path, "remove it, and the fold is judged again"))
    return residuals


def judge_in_folds(
    config: TrainConfig | BaselineConfig,
    data: TrainingData,
    out: Path,
    folds: int,
    options: LoopOptions,
    *,
    overwrite: bool = False,
    progress: bool = True,
) -> list[dict[str, float]]:
    """Judge every sample of the shards of one category, and write the pose residuals to the JSON file `out`.

    Returns the residuals in degrees by key, for each fold. The models are kept beside `out`; an interrupted run resumes
    when it is called again. ConfigError, DataError or RunError as `training_images`, `split_folds` and `start_folds`.
    """
    category = config.categories[0]
    renders, _, backgrounds = training_images(config, data)
    labels = sample_labels(renders)
    cad_of = {key: each["cad_id"] for key, each in labels.items()}
    split, cads = split_folds(cad_of, folds, config.seed), len(set(cad_of.values()))
    _log.info(
        "%s: %d samples of %d CAD models in %d folds, %s; each judge %d steps, %s from %s",
        category, len(renders), cads, folds,
        "by CAD model" if split.by == "cad" else f"by sample, as {cads} CAD models are fewer than the folds",
        config.steps, config.backbone, config.weights or "random weights",
    )  # fmt: skip
    folder = out.with_name(f"{out.stem}-folds")
    start_folds(folder, config, renders, split, overwrite)
    device = torch_device("cpu" if options.cpu else "auto")
    with progress_bar(progress) as bar:
        train = _trainer(config, data, backgrounds, options, bar)
        task = bar.add_task("judge", total=len(renders), note="")
        parts = fold_residuals(renders, labels, split, folder, train, device, lambda fold: bar.advance(task))
        bar.update(task, completed=len(renders))
    write_residuals(out, {k: degrees for part in parts for k, degrees in part.items()}, folds=folds, by=split.by)
    return parts


def _trainer(
    config: TrainConfig | BaselineConfig,
    data: TrainingData,
    backgrounds: Backgrounds | None,
    options: LoopOptions,
    bar: Progress,
) -> Train:
    """Return the training of one fold, for either kind of judge."""
    cads = _cads(config.categories[0], data) if isinstance(config, TrainConfig) else {}

    def train(renders: ShardSamples, held_out: frozenset[str], folder: Path) -> None:
        task = bar.add_task(folder.name, total=config.steps, note="")

        def on_step(step: Step) -> None:
            bar.update(task, completed=step.step, note=f"loss {step.loss:.3f}")

        if isinstance(config, BaselineConfig):
            facts = known_categories(data, config.categories)
            train_baseline(config, renders, (), backgrounds, folder, options, on_step, facts)
            return
        if unknown := sorted(held_out - cads.keys()):
            raise DataError(f"--cads {data.cads} holds no {unknown[0]!r}: give the cad folder of the shards' run")
        known = {id_: cad for id_, cad in cads.items() if id_ not in held_out}
        sources = Sources(
            renders=renders,
            cads={config.categories[0]: known},
            backgrounds=backgrounds,
            definitions=category_definitions(data, config.categories),
        )
        train_mesh(config, sources, folder, options, on_step)

    return train


def _cads(category: str, data: TrainingData) -> dict[str, Array]:
    """Return the vertices of every CAD model by id: from `data.cads`, else from the run that the shards belong to."""
    runs = {path.parent.parent for shards in data.shards for path in shard_paths(shards, category)}
    if data.cads is None and len(runs) > 1:
        raise ConfigError("give the shards of one run: the same CAD id may name another shape in the next")
    return cad_vertices(data.cads or runs.pop() / "cad", category)
