"""`pose-models finetune`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from p3d_gen.core.commandline import is_quiet
from pose_models.cli.common import IMAGE_OPTIONS, chosen_images
from pose_models.cli.image_options import IMAGE_KINDS, image_options
from pose_models.cli.options import distance_option, model_option, out_option
from pose_models.cli.training_options import label_seed_option, labels_option, learning_options, loop_options


@click.command(epilog=IMAGE_KINDS)
@model_option("Folder of the trained or adapted model to start from, which is not changed")
@image_options("--real", "Labelled photographs to train on", "train")
@out_option("the run")
@labels_option(required=True)
@label_seed_option
@distance_option
@learning_options
@loop_options(50)
def finetune(model_folder: Path, **options: Any) -> None:
    """Train a model further on few labelled photographs.

    With one --label-seed a smaller set of images is part of every larger one, and equals the set of
    `pose-models train --real ... --labels`, which trains from scratch. In a folder of several models each is trained
    on its own. An interrupted run resumes when you repeat the command.

    \b
    Examples:
      pose-models finetune --model runs/nmm-car --real cars3d:$P3D_DATA/cars3d --labels 20 --out runs/nmm-car-20
      pose-models finetune --model runs/nmm-car-cc3d --real cars3d:$P3D_DATA/cars3d --labels 10% --out runs/cc3d-10
    """
    from pose_models.learning import finetune as finetune_model

    images = chosen_images(options)
    given = {name: value for name, value in options.items() if name not in IMAGE_OPTIONS and value is not None}
    finetune_model(model_folder, images, progress=not is_quiet(), **given)
