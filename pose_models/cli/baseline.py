"""`pose-models baseline`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from p3d_gen.core.commandline import Group, is_quiet
from pose_models.cli.image_options import IMAGE_KINDS
from pose_models.cli.options import POSITIVE, definitions_option, option
from pose_models.cli.training_options import max_stride_option, training_options


@click.group(cls=Group)
def baseline() -> None:
    """Train the baselines of the papers' tables."""


@baseline.command(epilog=IMAGE_KINDS)
@training_options
@definitions_option
@option("--bins", type=click.IntRange(4), default_text="41", help="Number of classes of each angle.")
@option(
    "--heads",
    type=click.Choice(["general", "category"]),
    default_text="general",
    help="Outputs of the network: one for all categories as in NeMo, or one for each as in StarMap.",
)
@max_stride_option("32, the whole backbone")
@option(
    "--optimizer",
    "--optimiser",
    "optimiser",
    old_names=["--optimiser"],
    type=click.Choice(["adamw", "sgd"]),
    default_text="adamw",
    help="Optimizer of the training; the papers use sgd with --lr 0.01.",
)
@option(
    "--head-lr",
    type=POSITIVE,
    default_text="1e-3, or 2e-3 with --weights none",
    help="Largest learning rate of the output layers.",
)
def train(categories: tuple[str, ...], config_file: Path | None, **options: Any) -> None:
    """Train Res-General, one network for all categories that classifies azimuth, elevation and in-plane angle.

    It reads the same data as `pose-models train`, but needs no CAD models. An interrupted run resumes when you repeat
    the command.

    \b
    Examples:
      pose-models baseline train --shards runs/quickstart/shards --out runs/res-general
      pose-models baseline train --shards runs/quickstart/shards --out runs/res50-general --backbone resnet50
        --weights hub --freeze none --optimiser sgd --lr 0.01 --head-lr 0.01 --batch 32
    """
    from pose_models.learning import train_baseline

    train_baseline(category=categories, config=config_file, progress=not is_quiet(), **options)
