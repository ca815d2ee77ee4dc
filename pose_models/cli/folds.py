"""`pose-models folds`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from p3d_gen.core.commandline import is_quiet, print_wide
from p3d_gen.core.errors import ConfigError
from pose_models.cli.options import FILE, cads_option, option
from pose_models.cli.training_options import shard_training_options, vertices_option

if TYPE_CHECKING:
    from pose_models.baselines.config import BaselineConfig
    from pose_models.config import TrainConfig
    from pose_models.training.assembly import TrainingData

_LIMIT_DEG = 30.0
_FIELDS = (
    "weights", "freeze", "backbone", "steps", "batch", "image_size", "lr", "ema", "seed", "precision",
)  # fmt: skip


@click.command()
@option("--out", required=True, type=FILE, help="JSON file to write; the models are stored next to it.")
@shard_training_options
@cads_option
@option(
    "--folds",
    "count",
    type=click.IntRange(2),
    default=5,
    show_default=True,
    help="Number of parts; each is judged by a model that was trained on the others.",
)
@option(
    "--judge",
    type=click.Choice(["mesh", "res-general"]),
    default="mesh",
    show_default=True,
    help="Model that judges: a neural mesh model, or a classifier of viewpoints as in 3D-DST.",
)
@vertices_option
def folds(**options: Any) -> None:
    """Judge every sample of a category by a model trained without it: the consistency filter of 3D-DST.

    Samples are split by CAD model, so that no judge has seen the shape. The result is, by sample key, the angle between
    the labelled pose and the pose that the judge finds. A large angle means that the picture lost its label, or that
    the judge is weak. The models are stored next to OUT. An interrupted run resumes when you repeat the command.

    \b
    Examples:
      pose-models folds --shards runs/quickstart/shards --category car --out runs/car-residuals.json
      pose-models folds --shards runs/quickstart/shards --category car --out runs/car-residuals.json --folds 10
        --judge res-general --backbone resnet50 --weights hub --steps 5000
    """
    from pose_models.folds import judge_in_folds
    from pose_models.learning import loop_options
    from pose_models.training.assembly import TrainingData

    out = options["out"]
    data = TrainingData(shards=options["shards"], cads=options["cads"], backgrounds=options["backgrounds"])
    config = _config(data, options)
    loop = loop_options(options["device"], options["workers"], options["checkpoint_every"])
    parts = judge_in_folds(
        config, data, out, options["count"], loop, overwrite=options["overwrite"], progress=not is_quiet()
    )
    _print_table(config.categories[0], [list(part.values()) for part in parts])
    click.echo(f"{sum(map(len, parts))} residuals written to {out}")


def _config(data: TrainingData, options: dict[str, Any]) -> TrainConfig | BaselineConfig:
    from pose_models.baselines.config import BaselineConfig
    from pose_models.config import TrainConfig
    from pose_models.training.assembly import SCRATCH, SCRATCH_MESH, chosen_categories, training_config

    categories = chosen_categories(data, options["categories"])
    if len(categories) > 1:
        raise ConfigError(f"folds judge one category: name one --category of {', '.join(categories)}")
    fields = {name: options[name] for name in _FIELDS}
    given = {name: options[name] for name in ("augment", "mirror")} | {"file": options["config_file"]}
    if options["judge"] == "mesh":
        fields["vertices"] = options["vertices"]
        return training_config(TrainConfig, data, categories, fields, scratch=SCRATCH_MESH, **given)
    return training_config(BaselineConfig, data, categories, fields, scratch=SCRATCH, **given)


def _print_table(category: str, parts: Sequence[Sequence[float]]) -> None:
    import numpy as np

    from pose_models.report.tables import Table, rich_table

    named = {f"fold {fold}": part for fold, part in enumerate(parts)}
    named["all"] = [degrees for part in parts for degrees in part]
    rows = []
    for name, degrees in named.items():
        median, tail = np.quantile(degrees, [0.5, 0.9])
        above = 100 * np.mean(np.array(degrees) > _LIMIT_DEG)
        rows.append((name, str(len(degrees)), f"{median:.1f}", f"{tail:.1f}", f"{above:.1f}"))
    header = ("", "samples", "median (deg)", "90th percentile (deg)", f"above {_LIMIT_DEG:g} deg (%)")
    print_wide(rich_table(Table(title=f"pose residuals of {category}", header=header, rows=tuple(rows))))
