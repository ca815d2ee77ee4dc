"""`pose-models baseline`."""

from __future__ import annotations

from typing import Any

import click

from pose_models.cli.common import (
    SCRATCH,
    chosen_categories,
    run_how,
    start_or_resume,
    training_config,
    training_images,
    training_progress,
)
from pose_models.cli.options import IMAGE_KINDS, POSITIVE, max_stride_option, option, training_options

_OWN = ("bins", "heads", "max_stride", "optimiser", "head_lr")


@click.group()
def baseline() -> None:
    """Train the baselines of the papers' tables."""


@baseline.command(epilog=IMAGE_KINDS)
@training_options
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
    default_text="1e-3 with --weights, else 2e-3",
    help="Largest learning rate of the output layers.",
)
def train(**options: Any) -> None:
    """Train Res-General, one network for all categories that classifies azimuth, elevation and in-plane angle.

    It reads the same data as `pose-models train`, but needs no CAD models. An interrupted run resumes when you repeat
    the command.

    \b
    Examples:
      pose-models baseline train --shards runs/quickstart/shards --out runs/res-general
      pose-models baseline train --shards runs/quickstart/shards --out runs/res50-general --backbone resnet50
        --weights hub --freeze none --optimiser sgd --lr 0.01 --head-lr 0.01 --batch 32
    """
    from rich.console import Console

    from pose_models.baselines.config import BaselineConfig
    from pose_models.baselines.training import train as train_baseline

    console, out = Console(), options["out"]
    config = training_config(BaselineConfig, chosen_categories(options), options, SCRATCH, _OWN)
    start_or_resume(out, config, options["overwrite"])
    renders, real, backgrounds = training_images(config, options)
    start = config.weights or "random weights (no --weights given)"
    console.print(
        f"{', '.join(config.categories)}: {len(renders)} renders; {config.backbone} from {start}; {config.bins} bins; "
        f"precision {config.precision}",
        highlight=False,
        soft_wrap=True,
    )
    with training_progress(console, config.steps, out) as on_step:
        train_baseline(config, renders, real, backgrounds, out, run_how(options), on_step)
