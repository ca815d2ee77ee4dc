"""`pose-models train`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from p3d_gen.core.commandline import is_quiet
from pose_models.cli.image_options import IMAGE_KINDS
from pose_models.cli.options import cads_option, definitions_option, option
from pose_models.cli.training_options import max_stride_option, training_options, vertices_option


@click.command(epilog=IMAGE_KINDS)
@training_options
@cads_option
@definitions_option
@option(
    "--shared",
    is_flag=True,
    help="Train one backbone for all categories, instead of one model for each in OUT/CATEGORY.",
)
@option(
    "--merge",
    type=click.Choice(["sum", "resnetext"]),
    default_text="sum",
    help="Layers that merge the backbone's feature maps; resnetext are those of the papers.",
)
@max_stride_option("16")
@vertices_option
@option(
    "--bank-update",
    type=click.Choice(["visible", "batch"]),
    default_text="visible",
    help="Divide the update of a vertex feature by the number of images that see the vertex, or by the batch size as "
    "in the released code.",
)
def train(categories: tuple[str, ...], config_file: Path | None, **options: Any) -> None:
    """Train neural mesh models, one for each category or one for all.

    An interrupted run resumes when you repeat the command. Start it by `accelerate launch` to use several processes,
    GPUs or machines.

    \b
    Examples:
      pose-models train --shards runs/quickstart/shards --category car --out runs/nmm-car
      pose-models train --shards runs/quickstart/shards --shared --out runs/nmm
    """
    from pose_models.learning import train as train_models

    train_models(category=categories, config=config_file, progress=not is_quiet(), **options)
