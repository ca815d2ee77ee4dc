"""Evaluation: every image solved, and its pose next to the true one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from p3d_gen.core.errors import DataError, did_you_mean
from p3d_gen.core.types import Array
from pose_models.data.augment import collate, place
from pose_models.data.sample import Batch, PoseSample, check_labelled
from pose_models.estimator import Estimator
from pose_models.prediction import Prediction

_BATCH = 8


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """An image's prediction, and the pose (4, 4) and camera (3, 3) behind it on the canvas of `estimator`."""

    prediction: Prediction
    estimator: Estimator
    cam_T_obj: Array
    K: Array


def placed(samples: Sequence[PoseSample], estimator: Estimator) -> Batch:
    """Place samples on the estimator's canvas, each with its box centred."""
    return collate([place(sample, estimator.canvas_hw, estimator.box_fill) for sample in samples])


def _batches(samples: Iterable[PoseSample], size: int) -> Iterator[list[PoseSample]]:
    waiting: list[PoseSample] = []
    for sample in samples:
        waiting.append(check_labelled(sample, "an evaluation"))
        if len(waiting) == size:
            yield waiting
            waiting = []
    if waiting:
        yield waiting


def _solved(samples: Sequence[PoseSample], estimator: Estimator) -> Iterator[Evaluated]:
    estimates = estimator.estimate(placed(samples, estimator))
    poses, Ks = estimates.cam_T_obj.cpu().double().numpy(), estimates.K.cpu().double().numpy()
    for i, sample in enumerate(samples):
        prediction = Prediction(
            key=sample.key,
            category=sample.category,
            subset=sample.subset,
            R_true=sample.cam_T_obj[:3, :3],
            R_predicted=nearest_rotation(poses[i, :3, :3]),
            confidence=float(estimates.confidence[i]),
            loss=float(estimates.loss[i]),
            category_predicted=estimates.category[i],
            symmetry=sample.symmetry,
        )
        yield Evaluated(prediction=prediction, estimator=estimator, cam_T_obj=poses[i], K=Ks[i])


def nearest_rotation(R: Array) -> Array:
    """Return the rotation (3, 3) nearest to one that was rounded to float32."""
    left, _, right = np.linalg.svd(R)
    return np.asarray(left @ right)


def evaluate(
    estimators: Sequence[Estimator],
    samples: Iterable[PoseSample],
    on_image: Callable[[], None],
    *,
    infer: bool = False,
) -> list[Evaluated]:
    """Find the pose of every sample, by the first estimator that knows its category.

    infer: by all estimators; the one with the lowest loss then names the category. on_image: called after each sample.
    DataError if no estimator knows a category, a sample has no rotation, or there is none.
    """
    done: list[Evaluated] = []
    for chunk in _batches(samples, _BATCH):
        able = [[e for e in estimators if infer or sample.category in e.categories] for sample in chunk]
        if lost := next((sample for sample, some in zip(chunk, able, strict=True) if not some), None):
            known = sorted({name for each in estimators for name in each.categories})
            near = did_you_mean(lost.category, known)
            raise DataError(f"no model knows the category of sample {lost.key}, {lost.category!r}{near}")
        answers: list[list[Evaluated]] = [[] for _ in chunk]
        for estimator in estimators:
            rows = [i for i, some in enumerate(able) if (estimator in some if infer else estimator is some[0])]
            if rows:
                for row, answer in zip(rows, _solved([chunk[i] for i in rows], estimator), strict=True):
                    answers[row].append(answer)
        done += [min(each, key=lambda answer: answer.prediction.loss) for each in answers]
        for _ in chunk:
            on_image()
    if not done:
        raise DataError("no image to evaluate: check dataset, split and category")
    return done
