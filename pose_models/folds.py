"""K-fold consistency: every sample is judged by a pose model that was trained on the other folds.

3D-DST trains a classifier of viewpoints on all folds but one and drops the pictures of that one on which its loss is
high. Here any pose model takes its place, its answer is an angle, and whoever packs the samples chooses the limit.
Folds are split by CAD model, so that a judge has seen neither a sample nor its shape.
"""

from __future__ import annotations

import copy
import json
import shutil
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from p3d_gen.run.files import file_sha256, write_json
from p3d_gen.run.remote import place
from p3d_gen.run.store import difference
from p3d_gen.stylize.judge import By
from pose_models.config import LoopConfig
from pose_models.data.shards import ShardSamples, entry_labels
from pose_models.estimator import EstimateConfig
from pose_models.judge import residuals_deg
from pose_models.loading import load_estimators
from pose_models.nmm import MODEL_FILE

_SPLIT = 4
_MADE_FROM_FILE, _RESIDUALS_FILE = "folds.json", "residuals.json"

# Train a pose model on samples, without the CAD models of these ids, into a folder; resumable.
Train = Callable[[ShardSamples, frozenset[str], Path], object]


@dataclass(frozen=True, kw_only=True)
class Split:
    """Which fold, from 0, each sample is in, by key. by: what was shared out, CAD models or single samples.

    held_out: for each fold the ids of the CAD models that its judge must not know, none of them where `by` is "sample".
    """

    by: By
    fold_of: dict[str, int]
    held_out: tuple[frozenset[str], ...]


def split_folds(cad_of: Mapping[str, str], folds: int, seed: int) -> Split:
    """Share samples out among folds: by CAD model, the folds as equal as they can be; by sample, at random from `seed`,
    where there are fewer CAD models than folds.

    cad_of: each sample's CAD id by key. ValueError where there are fewer samples than folds.
    """
    if len(cad_of) < folds:
        raise ValueError(f"{len(cad_of)} samples cannot be split into {folds} folds: render more, or ask for fewer")
    counts = Counter(cad_of.values())
    if len(counts) < folds:
        order = np.random.default_rng([seed, _SPLIT]).permutation(len(cad_of))
        keys = sorted(cad_of)
        of_sample = {keys[number]: place % folds for place, number in enumerate(order)}
        return Split(by="sample", fold_of=of_sample, held_out=(frozenset(),) * folds)
    sizes, held_out = [0] * folds, [set[str]() for _ in range(folds)]
    # The largest first, each to the smallest fold.
    for cad, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        fold = min(range(folds), key=lambda number: sizes[number])
        sizes[fold] += count
        held_out[fold].add(cad)
    fold_of_cad = {cad: fold for fold, cads in enumerate(held_out) for cad in cads}
    return Split(
        by="cad",
        fold_of={key: fold_of_cad[cad] for key, cad in cad_of.items()},
        held_out=tuple(map(frozenset, held_out)),
    )


def sample_labels(renders: ShardSamples) -> dict[str, dict[str, Any]]:
    """The labels of all samples by key. ValueError for a key that comes twice, or labels without `symmetry_order`."""
    found: dict[str, dict[str, Any]] = {}
    for entry in renders.entries:
        if entry.key in found:
            raise ValueError(f"sample {entry.key} in shard {entry.shard} comes twice: give the shards of one run")
        found[entry.key] = entry_labels(entry)
        if "symmetry_order" not in found[entry.key]:
            raise ValueError(f"sample {entry.key} in shard {entry.shard}: its JSON lacks symmetry_order; pack it again")
    return found


def start_folds(folder: Path, config: LoopConfig, renders: ShardSamples, split: Split, overwrite: bool) -> None:
    """Make sure that `folder` is empty or holds folds of the same samples and configuration, or empty it.

    ValueError where it holds others.
    """
    made_from = {
        "config": config.model_dump(mode="json"),
        "shards": {path.name: file_sha256(path) for path in sorted({place(entry.shard) for entry in renders.entries})},
        "fold_of": split.fold_of,
    }
    path = folder / _MADE_FROM_FILE
    if overwrite and path.exists():
        shutil.rmtree(folder)
    if path.exists() and (kept := json.loads(path.read_text())) != made_from:
        raise ValueError(
            f"{folder} holds folds that were made otherwise ({difference(kept, made_from)}): choose another --out, or "
            "give --overwrite"
        )
    write_json(path, made_from)


def _part(renders: ShardSamples, keys: Collection[str]) -> ShardSamples:
    part = copy.copy(renders)
    part.entries = [entry for entry in renders.entries if entry.key in keys]
    return part


def fold_residuals(
    renders: ShardSamples,
    labels: Mapping[str, Mapping[str, Any]],
    split: Split,
    folder: Path,
    train: Train,
    device: torch.device,
    on_image: Callable[[int], None] = lambda fold: None,
) -> list[dict[str, float]]:
    """The pose residuals in degrees of each fold's samples, by key, judged by a model that `train` makes without them.

    Fold K's model and residuals are kept in `folder/fold-K`, and are not made again; `start_folds` guards the folder.
    labels: as `sample_labels`. on_image: called with the fold after each sample that was judged.
    """
    found = []
    for fold, held_out in enumerate(split.held_out):
        place = folder / f"fold-{fold}"
        path = place / _RESIDUALS_FILE
        if not path.exists():
            inside = {key for key, number in split.fold_of.items() if number == fold}
            if not (place / MODEL_FILE).exists():
                train(_part(renders, split.fold_of.keys() - inside), held_out, place)
            estimators = load_estimators(place, device, EstimateConfig())
            judged = _part(renders, inside)
            keys = [entry.key for entry in judged.entries]
            orders = [labels[key]["symmetry_order"] for key in keys]
            degrees = residuals_deg(estimators, judged, orders, partial(on_image, fold))
            write_json(path, dict(zip(keys, degrees, strict=True)))
        found.append(json.loads(path.read_text()))
    return found
