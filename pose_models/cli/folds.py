"""`pose-models folds`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from p3d_gen.core.errors import DataError
from pose_models.cli.common import (
    SCRATCH,
    chosen_categories,
    progress_bar,
    run_device,
    run_how,
    training_config,
    training_images,
)
from pose_models.cli.options import FILE, cads_option, option, shard_training_options, vertices_option

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

    from p3d_gen.core.types import Array
    from pose_models.config import LoopConfig
    from pose_models.data.augment import Backgrounds
    from pose_models.data.shards import ShardSamples
    from pose_models.folds import Split, Train
    from pose_models.training import Step

_LIMIT_DEG = 30.0
# The judges learn from what they judge alone.
_NO_PHOTOGRAPHS: dict[str, Any] = {"real": (), "real_share": None, "real_distance": None, "labels": None}


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
    from rich.console import Console

    from p3d_gen.stylize.judge import write_residuals
    from pose_models.folds import fold_residuals, sample_labels, split_folds, start_folds

    console, out = Console(), options["out"]
    options |= _NO_PHOTOGRAPHS
    config = _config(options)
    renders, _, backgrounds = training_images(config, options)
    labels = sample_labels(renders)
    split = split_folds({key: each["cad_id"] for key, each in labels.items()}, options["count"], config.seed)
    _print_split(console, config, renders, split, len({each["cad_id"] for each in labels.values()}))
    folder = out.with_name(f"{out.stem}-folds")
    start_folds(folder, config, renders, split, options["overwrite"])
    with progress_bar(console) as progress:
        train = _trainer(config, options, backgrounds, progress)
        task = progress.add_task("judge", total=len(renders), note="")
        device = run_device(options["device"])
        found = fold_residuals(renders, labels, split, folder, train, device, lambda fold: progress.advance(task))
        progress.update(task, completed=len(renders))
    everything = {key: degrees for part in found for key, degrees in part.items()}
    write_residuals(out, everything, folds=options["count"], by=split.by)
    _print_table(console, config.categories[0], [list(part.values()) for part in found])
    console.print(f"{len(everything)} residuals written to {out}", highlight=False, soft_wrap=True)


def _config(options: dict[str, Any]) -> LoopConfig:
    from pose_models.baselines.config import BaselineConfig
    from pose_models.config import TrainConfig

    categories = chosen_categories(options)
    if len(categories) > 1:
        raise click.UsageError(f"name one --category of {', '.join(categories)}")
    if options["judge"] == "mesh":
        return training_config(TrainConfig, categories, options, SCRATCH | {"vertices": 300}, ("vertices",))
    return training_config(BaselineConfig, categories, options, SCRATCH)


def _trainer(config: LoopConfig, options: dict[str, Any], backgrounds: Backgrounds | None, progress: Progress) -> Train:
    """The training of one fold, for either kind of judge."""
    from pose_models.baselines.config import BaselineConfig
    from pose_models.baselines.training import train as train_baseline
    from pose_models.config import TrainConfig
    from pose_models.training import Sources
    from pose_models.training import train as train_mesh

    how = run_how(options)
    cads = _cads(config.categories[0], options) if isinstance(config, TrainConfig) else {}

    def train(renders: ShardSamples, held_out: frozenset[str], folder: Path) -> None:
        task = progress.add_task(folder.name, total=config.steps, note="")

        def on_step(step: Step) -> None:
            progress.update(task, completed=step.step, note=f"loss {step.loss:.3f}")

        if isinstance(config, BaselineConfig):
            train_baseline(config, renders, (), backgrounds, folder, how, on_step)
            return
        assert isinstance(config, TrainConfig)
        if unknown := sorted(held_out - cads.keys()):
            raise DataError(f"--cads {options['cads']} holds no {unknown[0]!r}: give the cad folder of the shards' run")
        known = {id_: cad for id_, cad in cads.items() if id_ not in held_out}
        sources = Sources(renders=renders, cads={config.categories[0]: known}, backgrounds=backgrounds)
        train_mesh(config, sources, folder, how, on_step)

    return train


def _cads(category: str, options: dict[str, Any]) -> dict[str, Array]:
    """Vertices of every CAD model by id: from --cads, else from the run that the shards belong to."""
    from pose_models.data.cads import cad_vertices
    from pose_models.data.shards import shard_paths

    runs = {path.parent.parent for shards in options["shards"] for path in shard_paths(shards, category)}
    if not options["cads"] and len(runs) > 1:
        raise click.UsageError("give the shards of one run: the same CAD id may name another shape in the next")
    return cad_vertices(options["cads"] or runs.pop() / "cad", category)


def _print_split(console: Console, config: LoopConfig, renders: ShardSamples, split: Split, cads: int) -> None:
    way = "by CAD model" if split.by == "cad" else f"by sample, as {cads} CAD models are fewer than the folds"
    console.print(
        f"{config.categories[0]}: {len(renders)} samples of {cads} CAD models in {len(split.held_out)} folds, {way}; "
        f"each judge {config.steps} steps, {config.backbone} from {config.weights or 'random weights'}",
        highlight=False,
        soft_wrap=True,
    )


def _print_table(console: Console, category: str, parts: Sequence[Sequence[float]]) -> None:
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
    console.print(rich_table(Table(title=f"pose residuals of {category}", header=header, rows=tuple(rows))))
