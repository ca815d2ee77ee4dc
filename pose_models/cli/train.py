"""`pose-models train`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

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
from pose_models.cli.options import (
    IMAGE_KINDS,
    cads_option,
    max_stride_option,
    option,
    training_options,
    vertices_option,
)

if TYPE_CHECKING:
    from rich.console import Console

    from p3d_gen.core.types import Array

_OWN = ("merge", "max_stride", "vertices", "bank_update")


@click.command(epilog=IMAGE_KINDS)
@training_options
@cads_option
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
def train(**options: Any) -> None:
    """Train neural mesh models, one for each category or one for all.

    An interrupted run resumes when you repeat the command. Start it by `accelerate launch` to use several processes,
    GPUs or machines.

    \b
    Examples:
      pose-models train --shards runs/quickstart/shards --category car --out runs/nmm-car
      pose-models train --shards runs/quickstart/shards --shared --out runs/nmm
    """
    from rich.console import Console

    console = Console()
    categories = chosen_categories(options)
    if options["shared"] or len(categories) == 1:
        _train(console, categories, options["out"], options)
        return
    for category in categories:
        _train(console, (category,), options["out"] / category, options)


def _train(console: Console, categories: tuple[str, ...], out: Path, options: dict[str, Any]) -> None:
    from pose_models.config import TrainConfig
    from pose_models.training import Sources
    from pose_models.training import train as train_model

    config = training_config(TrainConfig, categories, options, SCRATCH | {"vertices": 300}, _OWN)
    start_or_resume(out, config, options["overwrite"])
    renders, real, backgrounds = training_images(config, options)
    cads = _cads(categories, options)
    start = config.weights or "random weights (no --weights given)"
    console.print(
        f"{', '.join(categories)}: {len(renders)} renders, {sum(map(len, cads.values()))} CADs; {config.backbone} from "
        f"{start}; precision {config.precision}",
        highlight=False,
        soft_wrap=True,
    )
    sources = Sources(renders=renders, real=real, cads=cads, backgrounds=backgrounds)
    with training_progress(console, config.steps, out) as on_step:
        train_model(config, sources, out, run_how(options), on_step)


def _cads(categories: tuple[str, ...], options: dict[str, Any]) -> dict[str, dict[str, Array]]:
    """Vertices of every CAD model, by category and id: from --cads, else from the runs that the shards belong to."""
    from pose_models.data.cads import cad_vertices
    from pose_models.data.shards import shard_paths

    if options["cads"]:
        return {name: cad_vertices(options["cads"], name) for name in categories}
    if not options["shards"]:
        raise click.UsageError("give --cads beside --real: the mesh is fitted to the category's CAD models")
    found: dict[str, dict[str, Array]] = {}
    for name in categories:
        paths = [path for shards in options["shards"] for path in shard_paths(shards, name)]
        runs = sorted({path.parent.parent for path in paths})
        found[name] = {f"{run}/{id_}": cad for run in runs for id_, cad in cad_vertices(run / "cad", name).items()}
    return found
