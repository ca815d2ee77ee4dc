"""Training on few labelled photographs, from a model that was trained on synthetic images or adapted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import torch

from p3d_gen.core.errors import DataError
from pose_models.adapt.config import FinetuneConfig
from pose_models.adapt.source import ADAPT_FILE, SOURCE_FILE, check_apart, load_source, write_source
from pose_models.adapt.target import described, write_record
from pose_models.config import Precision, save_config
from pose_models.data.photographs import Encoded, shrunk
from pose_models.data.sample import PoseSample, check_labelled
from pose_models.data.views import Views
from pose_models.ledger import check_files, record
from pose_models.training.loop import LoopOptions, Step, fit

LABELLED_FILE = "labelled.jsonl"


def finetune(
    folder: Path,
    labelled: Iterable[PoseSample],
    config: FinetuneConfig,
    out: Path,
    options: LoopOptions,
    *,
    precision: Precision = "no",
    on_step: Callable[[Step], None] = lambda step: None,
) -> None:
    """Train the model in `folder` only on labelled photographs, and write it to `out` as a training does, with a record
    of the images.

    An interrupted run resumes, on the CPU bit for bit as if it had not been interrupted. ValueError if there is no
    image, one of a category that the model does not know, or one without a rotation.
    """
    check_apart(folder, out)
    device = torch.device("cuda" if torch.cuda.is_available() and not options.cpu else "cpu")
    source = load_source(folder, device)
    changes = {name: getattr(config, name) for name in ("steps", "batch", "lr", "head_lr", "seed")}
    training = source.config.model_copy(update={**changes, "real_share": 1.0, "ema": 0.0, "precision": precision})
    images: list[dict[str, str]] = []

    def ready(samples: Iterable[PoseSample]) -> Iterator[PoseSample]:
        for sample in samples:
            if sample.category not in source.model.spec.categories:
                known = ", ".join(source.model.spec.categories)
                raise DataError(f"sample {sample.key} is a {sample.category!r}, but {folder} knows {known}")
            images.append(described(check_labelled(sample, "a training")))
            yield source.with_camera(shrunk(sample, training.image_size), config.distance)

    photographs = Encoded(ready(labelled))
    check_files(out)
    save_config(config, out / ADAPT_FILE)
    write_source(out, folder)
    write_record(out / LABELLED_FILE, images)
    record(out, (ADAPT_FILE, SOURCE_FILE, LABELLED_FILE))
    spec = source.model.spec
    views = Views((), photographs, spec.canvas_hw, training, None, spec.unmirrored)
    fit(source.trainee(training), views, training, out, options, on_step)
