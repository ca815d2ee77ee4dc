"""`pose-models finetune`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pose_models.cli.common import chosen_images, run_how, start_or_resume, training_progress, validated
from pose_models.cli.options import (
    IMAGE_KINDS,
    distance_option,
    image_options,
    label_seed_option,
    labels_option,
    learning_options,
    loop_options,
    model_option,
    out_option,
)

if TYPE_CHECKING:
    from rich.console import Console

    from pose_models.adapt.config import FinetuneConfig
    from pose_models.config import Precision
    from pose_models.data.images import Images


@click.command(epilog=IMAGE_KINDS)
@model_option("Folder of the trained or adapted model to start from, which is not changed")
@image_options("--real", "Labelled photographs to train on", "train")
@out_option("the run")
@labels_option(required=True)
@label_seed_option
@distance_option
@learning_options
@loop_options(50)
def finetune(**options: Any) -> None:
    """Train a model further on few labelled photographs.

    With one --label-seed a smaller set of images is part of every larger one, and equals the set of
    `pose-models train --real ... --labels`, which trains from scratch. In a folder of several models each is trained
    on its own. An interrupted run resumes when you repeat the command.

    \b
    Examples:
      pose-models finetune --model runs/nmm-car --real cars3d:$P3D_DATA/cars3d --labels 20 --out runs/nmm-car-20
      pose-models finetune --model runs/nmm-car-cc3d --real cars3d:$P3D_DATA/cars3d --labels 10% --out runs/cc3d-10
    """
    from rich.console import Console

    from pose_models.adapt.config import FinetuneConfig
    from pose_models.adapt.source import adaptations, check_apart

    seed = options["seed"] or 0
    label_seed = seed if options["label_seed"] is None else options["label_seed"]
    names = ("labels", "distance", "steps", "batch", "lr", "head_lr")
    given = {name: options[name] for name in names if options[name] is not None}
    config = validated(FinetuneConfig, given | {"label_seed": label_seed, "seed": seed})
    check_apart(options["model_folder"], options["out"])
    console = Console()
    for folder, out, images in adaptations(options["model_folder"], options["out"], chosen_images(options)):
        _finetune(console, folder, out, images, config, options)


def _finetune(
    console: Console, folder: Path, out: Path, images: Images, config: FinetuneConfig, options: dict[str, Any]
) -> None:
    from pose_models.adapt.finetune import finetune as train_further
    from pose_models.adapt.source import ADAPT_FILE
    from pose_models.data.label_budget import labelled_samples, parse_labels

    start_or_resume(out, config, options["overwrite"], ADAPT_FILE)
    labels = parse_labels(config.labels)
    labelled = (
        sample
        for name in images.categories or ()
        for sample in labelled_samples(
            lambda category: replace(images, categories=(category,)).read(),
            images.name(),
            labels,
            config.label_seed,
            name,
        )
    )
    console.print(f"{folder} -> {out}: {config.labels} of {images.name()}", highlight=False, soft_wrap=True)
    precision: Precision = options["precision"] or "no"
    with training_progress(console, config.steps, out) as on_step:
        train_further(folder, labelled, config, out, run_how(options), precision=precision, on_step=on_step)
