"""`pose-models adapt 3duda`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from p3d_gen.core.commandline import is_quiet
from pose_models.cli.common import chosen_images, chosen_watch
from pose_models.cli.image_options import IMAGE_KINDS, image_options
from pose_models.cli.options import (
    COUNT,
    POSITIVE,
    SEED,
    SHARE,
    camera_options,
    distance_option,
    grouped,
    model_option,
    option,
    out_option,
)
from pose_models.cli.training_options import POSE_FIELDS, adapt_config_option, run_options, watch_options

if TYPE_CHECKING:
    from pose_models.adapt.config import UdaConfig

_FIELDS = (
    "epochs", "delta", "source_quantile", "momentum", "kappa", "hypotheses", "spacing_deg", "solve_every",
    "round_images", "minimum_similar", "bank_images", "coverage", "dropped", "selective", "bank", "backbone", "augment",
    "batch", "lr", "weight_decay", "precision", "seed",
)  # fmt: skip


def _delta(_: click.Context, __: click.Parameter, text: str | None) -> float | str | None:
    """Read a cosine, or the word source."""
    try:
        return text if text is None or text == "source" else float(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is not a cosine from -1 to 1, nor the word source") from error


_OPTIONS = grouped(
    adapt_config_option,
    option("--epochs", type=COUNT, default_text="3", help="Number of epochs; with thousands of images 1 is enough."),
    option(
        "--delta",
        metavar="COSINE|source",
        callback=_delta,
        default_text="0.8",
        help="Least cosine at which the feature of a vertex is accepted; source takes the threshold of each vertex "
        "that is stored with the model.",
    ),
    option(
        "--source-quantile",
        type=click.FloatRange(0, 1, min_open=True, max_open=True),
        default_text="0.05",
        help="Share of the source's features that lie below the thresholds of --delta source.",
    ),
    option("--momentum", type=SHARE, default_text="0.96", help="Momentum of the vertex features: alpha of equation 4."),
    option(
        "--kappa", type=POSITIVE, default_text="14.3", help="Concentration of the distributions of the vertex features."
    ),
    option("--hypotheses", type=click.IntRange(1, 5), default_text="3", help="Number of poses kept for each image."),
    option(
        "--spacing-deg",
        type=click.FloatRange(0, 180, min_open=True),
        default_text="30",
        help="Least angle in degrees between the poses kept for an image.",
    ),
    option("--solve-every", type=COUNT, default_text="1", help="Number of epochs between searches for poses."),
    option(
        "--round-images",
        type=COUNT,
        default_text="600",
        help="Number of images that are searched and trained on before the next ones are searched.",
    ),
    option(
        "--minimum-similar",
        type=SHARE,
        default_text="0.05",
        help="Least share of accepted vertices, among those that a pose shows, for an image to count.",
    ),
    option(
        "--bank-images",
        type=COUNT,
        default_text="32",
        help="Number of images that count after which the vertex features move.",
    ),
    option(
        "--coverage",
        type=SHARE,
        default_text="0.8",
        help="Share of the visible vertices with an update at which the vertex features move earlier.",
    ),
    option(
        "--dropped",
        type=SHARE,
        default_text="0.2",
        help="Share of each batch, its least similar images, that the backbone is not trained on.",
    ),
    option(
        "--selective/--no-selective",
        default=None,
        default_text="selective",
        help="Accept the vertices of a pose one by one, or all of them or none.",
    ),
    option(
        "--bank/--no-bank",
        default=None,
        default_text="bank",
        help="Move the vertex features by equation 4, or keep them.",
    ),
    option(
        "--train-backbone/--no-train-backbone",
        "--backbone/--no-backbone",
        "backbone",
        old_names=["--backbone", "--no-backbone"],
        default=None,
        default_text="train-backbone",
        help="Train the backbone by equation 5, or keep it.",
    ),
    option(
        "--augment/--no-augment",
        default=None,
        default_text="no-augment",
        help="Augment the images as in the training of the source model.",
    ),
    option("--batch", type=click.IntRange(2), default_text="12", help="Number of images in a batch."),
    option("--lr", type=POSITIVE, default_text="5e-5", help="Learning rate of the backbone."),
    option("--weight-decay", type=click.FloatRange(0), default_text="1e-4", help="Weight decay of the backbone."),
    option("--seed", type=SEED, default_text="0", help="Seed of all random numbers of the adaptation."),
    option(
        "--mirror/--no-mirror",
        default=None,
        default_text="no-mirror",
        help="Estimate the pose from the mirrored image as well.",
    ),
    distance_option,
    camera_options,
    watch_options(1, "epochs"),
    run_options("no", "bf16"),
)


@click.command("3duda", epilog=IMAGE_KINDS)
@model_option("Folder of the model to adapt, which is not changed")
@image_options("--target", "Images to adapt to, whose labels are not used", "train")
@out_option("the run")
@_OPTIONS
def uda(**options: Any) -> None:
    """Adapt a neural mesh model to unlabelled images vertex by vertex, without source images: 3DUDA.

    Several poses are searched for each image. Vertices whose features look right there move the vertex features of the
    model, and these train the backbone. In a folder of several models each is adapted on its own. An interrupted run
    resumes when you repeat the command.

    \b
    Examples:
      pose-models adapt 3duda --model runs/nmm-car --target cars3d:$P3D_DATA/cars3d --out runs/nmm-car-3duda
      pose-models adapt 3duda --model runs/nmm-car --target images:photos --out runs/nmm-car-photos --delta source
    """
    from pose_models.adaptation import adapt_3duda

    adapt_3duda(
        options["model_folder"],
        chosen_images(options),
        out=options["out"],
        config=_config(options),
        watch=chosen_watch(options),
        device=options["device"],
        overwrite=options["overwrite"],
        progress=not is_quiet(),
    )


def _config(options: dict[str, Any]) -> UdaConfig:
    from p3d_gen.spec.sections import validated
    from pose_models.adapt.config import UdaConfig
    from pose_models.config import load_config

    base = load_config(UdaConfig, options["config_file"]) if options["config_file"] else UdaConfig()
    given = {name: options[name] for name in _FIELDS if options[name] is not None}
    pose = {name: options[name] for name in POSE_FIELDS if options[name] is not None}
    fields = base.model_dump() | given | {"pose": base.pose.model_dump() | pose}
    return validated(UdaConfig, fields, "this request", "configuration")
