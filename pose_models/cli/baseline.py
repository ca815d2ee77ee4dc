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
from pose_models.cli.options import POSITIVE, training_options

_OWN = ("bins", "heads", "max_stride", "optimiser", "head_lr")


@click.group()
def baseline() -> None:
    """Baselines of the papers' tables. `pose-models evaluate` tests them."""


@baseline.command()
@training_options
@click.option("--bins", type=click.IntRange(4), help="Classes of each angle.  [default: 41]")
@click.option(
    "--heads",
    type=click.Choice(["general", "category"]),
    help="One output for all categories, as in NeMo, or one for each, as in StarMap.  [default: general]",
)
@click.option(
    "--max-stride",
    type=click.Choice(["8", "16", "32"]),
    callback=lambda context, option, value: None if value is None else int(value),
    help="Where the backbone ends; --weights may end early.  [default: 32, the whole]",
)
@click.option(
    "--optimiser", type=click.Choice(["adamw", "sgd"]), help="The papers': sgd at --lr 0.01.  [default: adamw]"
)
@click.option("--head-lr", type=POSITIVE, help="Of the output.  [default: 1e-3, else 2e-3]")
def train(**options: Any) -> None:
    """Train Res-General, one network for all categories that tells azimuth, elevation and in-plane angle by bins.

    It reads what `pose-models train` reads, but needs no CAD models. A run that was stopped goes on where it was with
    the same command.

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
