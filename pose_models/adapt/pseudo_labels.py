"""Pseudo-labels: the poses that a model finds in unlabelled images, and which of them are trusted (CC3D)."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from p3d_gen.core.errors import ConfigError, DataError, did_you_mean
from p3d_gen.core.types import Array
from p3d_gen.run.files import write_bytes
from pose_models.adapt.source import SourceModel
from pose_models.adapt.target import Target
from pose_models.data.sample import PoseSample
from pose_models.estimator import Estimator
from pose_models.evaluation import nearest_rotation, placed
from pose_models.geometry import viewpoint_of
from pose_models.ledger import check_files, record

LABELS_FILE = "pseudo_labels.jsonl"
PREFIX = "target/"
_BATCH = 8
_KEEP_EVERY = 15 * _BATCH  # images


@dataclass(frozen=True, kw_only=True, eq=False)
class PseudoLabel:
    """The pose that a model estimates for an unlabelled image.

    key, subset, category as in `PoseSample`; R_cam_obj (3, 3) float64. confidence: S_conf of CC3D (equation 6), or
    whatever the model gives. distance: in box diagonals where it is searched, else None.
    """

    key: str
    subset: str
    category: str
    R_cam_obj: Array
    confidence: float
    distance: float | None = None


def pseudo_labels(
    target: Target,
    estimator: Estimator,
    progress: Path,
    on_image: Callable[[], None] = lambda: None,
    *,
    with_distance: bool = False,
) -> list[PseudoLabel]:
    """Estimate the pose of every target image, in their order, `with_distance` if the estimator searches that.

    A stopped run resumes from the file `progress`, a file of `write_labels`. ValueError for a category that the model
    does not know.
    """
    check_files(progress.parent)
    labels = read_labels(progress) if progress.is_file() else []
    for entry in target.record:
        if entry["category"] not in estimator.categories:
            near = did_you_mean(entry["category"], estimator.categories)
            raise DataError(f"the model does not know the category of {entry['key']}, {entry['category']!r}{near}")
    for _ in labels:
        on_image()
    for start in range(len(labels), len(target), _BATCH):
        if start and start % _KEEP_EVERY == 0:
            write_labels(progress, labels, ())
            record(progress.parent, (), growing=(progress.name,))
        samples = [target[i] for i in range(start, min(start + _BATCH, len(target)))]
        estimates = estimator.estimate(placed(samples, estimator))
        poses = estimates.cam_T_obj.cpu().double().numpy()
        for sample, pose, confidence in zip(samples, poses, estimates.confidence.tolist(), strict=True):
            labels.append(
                PseudoLabel(
                    key=sample.key,
                    subset=sample.subset,
                    category=sample.category,
                    R_cam_obj=nearest_rotation(pose[:3, :3]),
                    confidence=confidence,
                    distance=float(pose[2, 3]) if with_distance else None,
                )
            )
            on_image()
    return labels


def _in_turn(labels: Sequence[PseudoLabel], order: Sequence[int], views: int) -> list[int]:
    """Order labels by their rank among those of the same view; equal ranks keep their order.

    A view is one of so many equal ranges of azimuth, the first centred on the object's front.
    """
    rotations = torch.tensor(np.array([labels[i].R_cam_obj for i in order]))
    view = (viewpoint_of(rotations)[:, 0] * views / (2 * math.pi)).round().long() % views
    seen: Counter[int] = Counter()
    ranks = []
    for each in view.tolist():
        ranks.append(seen[each])
        seen[each] += 1
    return [order[i] for i in sorted(range(len(order)), key=ranks.__getitem__)]


def trusted(labels: Sequence[PseudoLabel], *, top: int, threshold: float | None, views: int = 1) -> list[int]:
    """Choose the labels to learn from.

    Their numbers are ordered by category, in the order in which categories first come, then by falling confidence;
    equals keep their order.

    Without a threshold the `top` most confident of each category (CC3D: 100), all where it has no more; of several
    `views`, equal ranges of azimuth, the most confident of each in turn. With a threshold all that are at least so
    confident. ValueError if none is.
    """
    order = sorted(range(len(labels)), key=lambda i: -labels[i].confidence)
    chosen = []
    for category in dict.fromkeys(label.category for label in labels):
        own = [i for i in order if labels[i].category == category]
        if threshold is None:
            kept = frozenset(_in_turn(labels, own, views)[:top])
            chosen += [i for i in own if i in kept]
        else:
            chosen += [i for i in own if labels[i].confidence >= threshold]
    if not chosen:
        best = max(label.confidence for label in labels)
        raise ConfigError(
            f"no pseudo-label is as confident as {threshold:g}; the surest of {len(labels)} has {best:.3f}: "
            "give a lower --threshold"
        )
    return chosen


def write_labels(path: Path, labels: Sequence[PseudoLabel], chosen: Sequence[int]) -> None:
    """Write pseudo-labels, one JSON object a line, with whether they are trusted."""
    kept = frozenset(chosen)
    lines = []
    for number, label in enumerate(labels):
        names = {"key": label.key, "subset": label.subset, "category": label.category}
        entry = {**names, "R_cam_obj": label.R_cam_obj.tolist(), "confidence": label.confidence}
        entry |= {} if label.distance is None else {"distance": label.distance}
        lines.append(json.dumps(entry | {"trusted": number in kept}) + "\n")
    write_bytes(path, "".join(lines).encode())


def read_labels(path: Path) -> list[PseudoLabel]:
    """Read a file of `write_labels`, exact to the last bit."""
    labels = []
    try:
        lines = path.read_text().splitlines()
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}; give --overwrite to start again") from error
    for number, line in enumerate(lines, start=1):
        try:
            entry = json.loads(line)
            del entry["trusted"]
            labels.append(PseudoLabel(**entry | {"R_cam_obj": np.array(entry["R_cam_obj"])}))
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path} line {number} is damaged: {error!r}; give --overwrite to start again") from error
    return labels


class PseudoLabelled(Sequence[PoseSample]):
    """Target images with their pseudo-labels, to train on; their keys begin with `PREFIX`, so that no source image has
    the same.

    Translation and K are the annotated ones; where there are none, those by which the object fills its box. identity:
    a digest of the images and their poses.
    """

    def __init__(
        self,
        target: Target,
        labels: Sequence[PseudoLabel],
        chosen: Sequence[int],
        source: SourceModel,
        distance: float | None,
    ) -> None:
        """Take the images of the numbers `chosen`; distance as in `SourceModel.with_camera`, for labels without
        one."""
        self._target, self._kept = target, []
        digest = hashlib.sha256()
        for number in chosen:
            label = labels[number]
            sample = source.with_camera(_with_rotation(target[number], label.R_cam_obj), label.distance or distance)
            self._kept.append((number, sample.cam_T_obj, sample.K))
            place = () if label.distance is None else (label.distance,)
            digest.update(repr((target.record[number], label.R_cam_obj.tolist(), *place)).encode())
        self.identity = digest.hexdigest()

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._kept)

    def __getitem__(self, index: Any) -> Any:
        """Return the sample of a number."""
        number, cam_T_obj, K = self._kept[index]
        sample = self._target[number]
        return replace(sample, key=PREFIX + sample.key, cam_T_obj=cam_T_obj, K=K)


def _with_rotation(sample: PoseSample, R_cam_obj: Array) -> PoseSample:
    cam_T_obj = sample.cam_T_obj.copy()
    cam_T_obj[:3, :3] = R_cam_obj
    return replace(sample, cam_T_obj=cam_T_obj)
