"""`pose-models finetune`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pose_models.cli.common import chosen_images, run_how, start_or_resume, training_progress
from pose_models.cli.options import FOLDER, distance_option, image_options, learning_options, loop_options

if TYPE_CHECKING:
    from rich.console import Console

    from pose_models.adapt.config import FinetuneConfig
    from pose_models.config import Precision
    from pose_models.data.images import Images


@click.command()
@click.option("--model", "model_folder", required=True, type=FOLDER, help="A trained or adapted model; only read.")
@image_options("--real", "train", "--image-seed")
@click.option("--out", required=True, type=FOLDER, help="Run folder to write.")
@click.option("--labels", required=True, help="N or P%: only so many images of each category are used.")
@click.option("--label-seed", type=click.IntRange(0), help="Smaller sets lie in larger ones.  [default: --seed]")
@distance_option
@learning_options
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@loop_options(50)
def finetune(**options: Any) -> None:
    """Train a model further on few labelled photographs: a synthetic one, or one that was adapted.

    For one --label-seed the images of a smaller number are among those of a larger, and the same as those of
    `pose-models train --real ... --labels`, which trains from scratch. A folder of several models is trained model by
    model. What was stopped goes on where it was with the same command.

    \b
    Examples:
      pose-models finetune --model runs/nmm-car --real cars3d:$P3D_DATA/cars3d --labels 20 --out runs/nmm-car-20
      pose-models finetune --model runs/nmm-car-cc3d --real cars3d:$P3D_DATA/cars3d --labels 10% --out runs/cc3d-10
    """
    from rich.console import Console

    from pose_models.adapt.config import FinetuneConfig
    from pose_models.adapt.source import adaptations, check_apart
    from pose_models.data.label_budget import parse_labels

    parse_labels(options["labels"])
    seed = options["seed"] if options["label_seed"] is None else options["label_seed"]
    names = ("distance", "steps", "batch", "lr", "head_lr")
    given = {name: options[name] for name in names if options[name] is not None}
    config = FinetuneConfig(labels=options["labels"], label_seed=seed, seed=options["seed"], **given)
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
