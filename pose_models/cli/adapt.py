"""`pose-models adapt`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pose_models.cli.common import (
    Group,
    accuracy_watcher,
    chosen_images,
    progress_bar,
    run_how,
    start_or_resume,
    validated,
)
from pose_models.cli.options import (
    COUNT,
    FOLDER,
    IMAGE_KINDS,
    SHARDS,
    SHARE,
    adapt_config_option,
    distance_option,
    grouped,
    image_options,
    learning_options,
    loop_options,
    model_option,
    option,
    out_option,
    watch_options,
)

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

    from pose_models.adapt.cc3d import Observer, ReplayedSamples
    from pose_models.adapt.config import Cc3dConfig
    from pose_models.adapt.pseudo_labels import PseudoLabel
    from pose_models.config import Precision
    from pose_models.data.images import Images
    from pose_models.estimator import Estimator
    from pose_models.training import Step

_PLAN = grouped(
    option("--rounds", type=COUNT, default_text="1", help="Number of rounds of labelling and training."),
    option(
        "--mirror/--no-mirror",
        default=None,
        default_text="no-mirror",
        help="Estimate the pose from the mirrored image as well, for the pseudo-labels.",
    ),
    distance_option,
    watch_options(50, "steps"),
    loop_options(50),
)
_OWN = (
    "arm", "top", "views", "threshold", "confidence", "alpha", "rounds", "real_share", "steps", "batch", "lr",
    "head_lr",
)  # fmt: skip


@click.group(cls=Group)
def adapt() -> None:
    """Adapt trained models to unlabelled images."""


@adapt.command(epilog=IMAGE_KINDS)
@model_option("Folder of the model to adapt, which is not changed")
@image_options("--target", "Images to adapt to, whose labels are not used", "train")
@out_option("the run")
@adapt_config_option
@option(
    "--arm",
    type=click.Choice(["paper", "released"]),
    default_text="paper",
    help="Losses to train with: those of the paper, or the plain loss that its released code runs.",
)
@option(
    "--source-shards",
    multiple=True,
    help=f"Renders to replay: {SHARDS}; may be repeated.",
)
@option("--backgrounds", type=FOLDER, help="Folder of pictures to paste behind the object of replayed renders.")
@option("--top", type=COUNT, default_text="100", help="Number of pseudo-labels of each category to trust.")
@option(
    "--views",
    type=COUNT,
    default_text="1",
    help="Number of equal ranges of azimuth that the trusted pseudo-labels are taken from in turn.",
)
@option("--threshold", type=float, help="Trust every pseudo-label with at least this confidence, instead of --top.")
@option(
    "--confidence",
    type=click.Choice(["mean", "positive"]),
    default_text="mean",
    help="Confidence of a pose: the mean similarity over all cells under the mesh, or, as in the released code, over "
    "those with a positive one.",
)
@option(
    "--alpha",
    type=click.FloatRange(0),
    default_text="the value that makes L_domain as large as L_con at first",
    help="Weight of L_domain.",
)
@option("--real-share", type=SHARE, default_text="0.5", help="Share of target images in each batch.")
@learning_options
@_PLAN
def cc3d(**options: Any) -> None:
    """Train on the model's own most confident poses of unlabelled images: CC3D.

    --arm paper trains with L_con + L_rec on replayed renders and trusted target images, and with alpha L_domain on the
    latter. --arm released, which the code of the paper runs, trains with the plain loss on the trusted target images
    alone. In a folder of several models each is adapted on its own. An interrupted run resumes when you repeat the
    command.

    \b
    Examples:
      pose-models adapt cc3d --model runs/nmm-car --target cars3d:$P3D_DATA/cars3d --out runs/nmm-car-cc3d
        --source-shards runs/quickstart/shards
      pose-models adapt cc3d --model runs/nmm-car --target images:photos --out runs/nmm-car-released --arm released
    """
    _adapt_all(_config(options), options)


@adapt.command(epilog=IMAGE_KINDS)
@model_option("Folder of the model to adapt, which is not changed")
@image_options("--target", "Images to adapt to, whose labels are not used", "train")
@out_option("the run")
@option(
    "--threshold", type=float, default=0.9, show_default=True, help="Least confidence of a pseudo-label to train on."
)
@learning_options
@_PLAN
def pseudo_labels(**options: Any) -> None:
    """Train any model on all of its poses that are confident enough: the pseudo-label baseline.

    The confidence of a neural mesh model is the mean similarity over the cells under the mesh. The confidence of
    Res-General is the product of the probabilities of its three angles.

    \b
    Example:
      pose-models adapt pseudo-labels --model runs/res-general --target cars3d:$P3D_DATA/cars3d --out runs/res-pseudo
    """
    _adapt_all(_config(options | {"arm": "released", "config_file": None}), options)


def _config(options: dict[str, Any]) -> Cc3dConfig:
    from pose_models.adapt.config import Cc3dConfig
    from pose_models.config import load_config

    base = load_config(Cc3dConfig, options["config_file"]) if options["config_file"] else Cc3dConfig()
    given = {name: options[name] for name in (*_OWN, "seed") if options.get(name) is not None}
    pose = {name: options[name] for name in ("mirror", "distance") if options[name] is not None}
    return validated(Cc3dConfig, base.model_dump() | given | {"pose": base.pose.model_dump() | pose})


def _adapt_all(config: Cc3dConfig, options: dict[str, Any]) -> None:
    """Adapt each model of the folder to the target images of its categories."""
    from rich.console import Console

    from pose_models.adapt.cc3d import needs_renders
    from pose_models.adapt.source import adaptations, check_apart

    replayed = needs_renders(config)
    if replayed and not options.get("source_shards"):
        raise click.UsageError("arm 'paper' replays synthetic images: give --source-shards, or --arm released")
    for name in ("source_shards", "backgrounds"):
        if options.get(name) and not replayed:
            raise click.UsageError(f"--{name.replace('_', '-')}: no synthetic image is replayed; leave it out")
    check_apart(options["model_folder"], options["out"])
    console = Console()
    for folder, out, images in adaptations(options["model_folder"], options["out"], chosen_images(options)):
        _adapt(console, folder, out, images, config, options)


def _adapt(
    console: Console, folder: Path, out: Path, images: Images, config: Cc3dConfig, options: dict[str, Any]
) -> None:
    from pose_models.adapt.cc3d import adapt as adapt_model
    from pose_models.adapt.source import ADAPT_FILE, source_config
    from pose_models.adapt.target import Target

    start_or_resume(out, config, options["overwrite"], ADAPT_FILE)
    replay = _replay(images.categories or (), options)
    target = Target(images.read(), source_config(folder).image_size)
    how = run_how(options)
    precision: Precision = options["precision"] or "no"
    console.print(f"{folder} -> {out}: {len(target)} images of {images.name()}", highlight=False, soft_wrap=True)
    with progress_bar(console) as progress:
        watch = accuracy_watcher(folder, images, options) if options["watch"] else None
        observer = _observer(console, progress, len(target), config, watch, options)
        adapt_model(folder, target, config, out, how, replay=replay, precision=precision, observer=observer)
    console.print(f"model written to {out}", highlight=False, soft_wrap=True)


def _replay(categories: Sequence[str], options: dict[str, Any]) -> ReplayedSamples:
    """The source images and backgrounds that the options name."""
    from pose_models.adapt.cc3d import ReplayedSamples
    from pose_models.data.augment import Backgrounds
    from pose_models.data.shards import ShardSamples, shard_paths

    given = options.get("source_shards", ())
    paths = {path for shards in given for name in categories for path in shard_paths(shards, name)}
    folder = options.get("backgrounds")
    backgrounds = None if folder is None else Backgrounds(folder)
    return ReplayedSamples(shards=sorted(paths), renders=ShardSamples(sorted(paths)), backgrounds=backgrounds)


def _observer(
    console: Console,
    progress: Progress,
    count: int,
    config: Cc3dConfig,
    watch: Callable[[Estimator], Mapping[str, float]] | None,
    options: dict[str, Any],
) -> Observer:
    """Bars for labelling and training, and a line for each round."""
    from pose_models.adapt.cc3d import Observer

    label = progress.add_task("label", total=count * config.rounds, note="")
    train = progress.add_task("train", total=config.steps * config.rounds, note="")

    def on_labels(number: int, labels: Sequence[PseudoLabel], trusted: Sequence[int], alpha: float | None) -> None:
        progress.update(label, completed=number * count)
        names = [labels[i].category for i in trusted]
        shares = ", ".join(f"{names.count(name)} {name}" for name in dict.fromkeys(names))
        least = min(labels[i].confidence for i in trusted)
        weight = "" if alpha is None else f"; alpha {alpha:.3g}"
        console.print(
            f"round {number}: trusted of {len(labels)} pseudo-labels {shares}, least confidence {least:.3f}{weight}",
            highlight=False,
            soft_wrap=True,
        )

    def on_step(number: int, step: Step) -> None:
        progress.update(train, completed=(number - 1) * config.steps + step.step, note=f"loss {step.loss:.3f}")

    return Observer(
        on_image=lambda: progress.advance(label),
        on_labels=on_labels,
        on_step=on_step,
        watch=watch,
        watch_every=options["watch_every"],
    )
