"""`pose-models adapt 3duda`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pose_models.cli.common import (
    accuracy_watcher,
    chosen_images,
    progress_bar,
    run_device,
    start_or_resume,
    validated,
)
from pose_models.cli.options import (
    COUNT,
    FILE,
    FOLDER,
    POSITIVE,
    SHARE,
    distance_option,
    grouped,
    image_options,
    run_options,
    watch_options,
)

if TYPE_CHECKING:
    from rich.console import Console

    from pose_models.adapt.config import UdaConfig
    from pose_models.data.images import Images
    from pose_models.nmm import NeuralMeshModel

_FIELDS = (
    "epochs", "delta", "source_quantile", "momentum", "kappa", "hypotheses", "spacing_deg", "solve_every",
    "round_images", "minimum_similar", "bank_images", "coverage", "dropped", "selective", "bank", "backbone", "augment",
    "batch", "lr", "weight_decay", "precision", "seed",
)  # fmt: skip
_OPTIONS = grouped(
    click.option("--config", "config_file", type=FILE, help="Start from a run's adapt.toml; options go before it."),
    click.option("--epochs", type=COUNT, help="With thousands of images 1.  [default: 3]"),
    click.option("--delta", help="Least cosine of a trusted vertex, or 'source': its own, kept with the model."
                 "  [default: 0.8]"),
    click.option("--source-quantile", type=click.FloatRange(0, 1, min_open=True, max_open=True),
                 help="Of the source's features that --delta source leaves out.  [default: 0.05]"),
    click.option("--momentum", type=SHARE, help="alpha of equation 4.  [default: 0.96]"),
    click.option("--kappa", type=POSITIVE, help="Concentration of the vertices' distributions.  [default: 14.3]"),
    click.option("--hypotheses", type=click.IntRange(1, 5), help="Poses kept for each image.  [default: 3]"),
    click.option("--spacing-deg", type=click.FloatRange(0, 180, min_open=True), help="Between them.  [default: 30]"),
    click.option("--solve-every", type=COUNT, help="Epochs between searches for poses.  [default: 1]"),
    click.option("--round-images", type=COUNT, help="Searched and learnt from before the next are.  [default: 600]"),
    click.option("--minimum-similar", type=SHARE, help="Of those a pose shows, else none counts.  [default: 0.05]"),
    click.option("--bank-images", type=COUNT, help="After so many vertices move.  [default: 32]"),
    click.option("--coverage", type=SHARE, help="Of the vertices seen; then they move before.  [default: 0.8]"),
    click.option("--dropped", type=SHARE, help="Least similar images of a batch that are dropped.  [default: 0.2]"),
    click.option("--selective/--no-selective", default=None, help="Vertices one by one, or all of a pose or none."),
    click.option("--bank/--no-bank", default=None, help="Move the vertices, equation 4."),
    click.option("--backbone/--no-backbone", default=None, help="Train the backbone, equation 5."),
    click.option("--augment/--no-augment", default=None, help="As in the source's training.  [default: no]"),
    click.option("--batch", type=click.IntRange(2), help="[default: 12]"),
    click.option("--lr", type=POSITIVE, help="Of the backbone.  [default: 5e-5]"),
    click.option("--weight-decay", type=click.FloatRange(0), help="[default: 1e-4]"),
    click.option("--seed", type=click.IntRange(0)),
    click.option("--mirror/--no-mirror", default=None, help="Solve the mirrored image as well."),
    distance_option,
    watch_options(1, "Epochs"),
    run_options("no", "bf16"),
)  # fmt: skip


@click.command("3duda")
@click.option("--model", "model_folder", required=True, type=FOLDER, help="The --out of a training; only read.")
@image_options("--target", "train", "--image-seed")
@click.option("--out", required=True, type=FOLDER, help="Run folder to write.")
@_OPTIONS
def uda(**options: Any) -> None:
    """3DUDA: follow unlabelled images vertex by vertex, without any source image.

    Several poses are searched for each image; vertices that look like themselves there move the model's vertices, and
    these train the backbone. The target is what `pose-models evaluate --data` takes, or images:FOLDER without labels. A
    folder of several models is adapted model by model. What was stopped goes on where it was with the same command.

    \b
    Examples:
      pose-models adapt 3duda --model runs/nmm-car --target cars3d:$P3D_DATA/cars3d --out runs/nmm-car-3duda
      pose-models adapt 3duda --model runs/nmm-car --target images:photos --out runs/nmm-car-photos --delta source
    """
    from rich.console import Console

    from pose_models.adapt.source import adaptations, check_apart

    config = _config(options)
    check_apart(options["model_folder"], options["out"])
    for folder, out, images in adaptations(options["model_folder"], options["out"], chosen_images(options)):
        _adapt(Console(), folder, out, images, config, options)


def _config(options: dict[str, Any]) -> UdaConfig:
    from pose_models.adapt.config import UdaConfig
    from pose_models.config import load_config

    base = load_config(UdaConfig, options["config_file"]) if options["config_file"] else UdaConfig()
    given = {name: options[name] for name in _FIELDS if options[name] is not None}
    if "delta" in given:
        given["delta"] = _delta(given["delta"])
    pose = {name: options[name] for name in ("mirror", "distance") if options[name] is not None}
    return validated(UdaConfig, base.model_dump() | given | {"pose": base.pose.model_dump() | pose})


def _delta(text: str) -> float | str:
    try:
        return text if text == "source" else float(text)
    except ValueError as error:
        raise click.UsageError(f"--delta {text}: give a cosine from -1 to 1, or 'source'") from error


def _adapt(
    console: Console, folder: Path, out: Path, images: Images, config: UdaConfig, options: dict[str, Any]
) -> None:
    from pose_models.adapt.source import ADAPT_FILE, source_config
    from pose_models.adapt.target import Target
    from pose_models.adapt.uda3d import passes, run

    start_or_resume(out, config, options["overwrite"], ADAPT_FILE)
    target = Target(images.read(), source_config(folder).image_size)
    console.print(f"{folder} -> {out}: {len(target)} images of {images.name()}", highlight=False, soft_wrap=True)
    watch = _watch(folder, images, config, options)
    with progress_bar(console) as progress:
        task = progress.add_task("adapt", total=len(target) * passes(config), note="")

        def on_epoch(figures: dict[str, float], model: NeuralMeshModel) -> Mapping[str, float]:
            number, share = int(figures["epoch"]), figures["accepted_share"]
            done = len(target) * passes(config.model_copy(update={"epochs": number})) if number else len(target)
            progress.update(task, completed=done, note=f"epoch {number}, vertices taken {100 * share:.0f} %")
            return watch(number, model)

        run(folder, target, config, out, run_device(options["device"]), on_epoch, lambda n: progress.advance(task, n))
    console.print(f"model written to {out}", highlight=False, soft_wrap=True)


def _watch(
    folder: Path, images: Images, config: UdaConfig, options: dict[str, Any]
) -> Callable[[int, NeuralMeshModel], Mapping[str, float]]:
    """What follows the accuracy, in the epochs that are asked for."""
    from pose_models.estimator import EstimateConfig
    from pose_models.mesh_estimator import MeshEstimator

    if not options["watch"]:
        return lambda epoch, model: {}
    accuracy = accuracy_watcher(folder, images, options)
    how = EstimateConfig(mirror=config.pose.mirror, distance=config.pose.distance)

    def watch(epoch: int, model: NeuralMeshModel) -> Mapping[str, float]:
        due = epoch % options["watch_every"] == 0 or epoch == config.epochs
        return accuracy(MeshEstimator(model, how)) if due else {}

    return watch
