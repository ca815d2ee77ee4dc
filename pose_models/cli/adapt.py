"""`pose-models adapt`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from p3d_gen.core.commandline import Group, is_quiet
from pose_models.cli.common import chosen_images, chosen_watch
from pose_models.cli.image_options import IMAGE_KINDS, image_options
from pose_models.cli.options import (
    COUNT,
    FOLDER,
    SHARDS,
    SHARE,
    camera_options,
    distance_option,
    grouped,
    model_option,
    option,
    out_option,
)
from pose_models.cli.training_options import (
    POSE_FIELDS,
    adapt_config_option,
    learning_options,
    loop_options,
    watch_options,
)

if TYPE_CHECKING:
    from pose_models.adapt.config import Cc3dConfig

_PLAN = grouped(
    option("--rounds", type=COUNT, default_text="1", help="Number of rounds of labelling and training."),
    option(
        "--mirror/--no-mirror",
        default=None,
        default_text="no-mirror",
        help="Estimate the pose from the mirrored image as well, for the pseudo-labels.",
    ),
    distance_option,
    camera_options,
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
    _adapt(_config(options), options)


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
    _adapt(_config(options | {"arm": "released", "config_file": None}), options)


def _config(options: dict[str, Any]) -> Cc3dConfig:
    from p3d_gen.spec.sections import validated
    from pose_models.adapt.config import Cc3dConfig
    from pose_models.config import load_config

    base = load_config(Cc3dConfig, options["config_file"]) if options["config_file"] else Cc3dConfig()
    given = {name: options[name] for name in (*_OWN, "seed") if options.get(name) is not None}
    pose = {name: options[name] for name in POSE_FIELDS if options[name] is not None}
    fields = base.model_dump() | given | {"pose": base.pose.model_dump() | pose}
    return validated(Cc3dConfig, fields, "this request", "configuration")


def _adapt(config: Cc3dConfig, options: dict[str, Any]) -> None:
    from pose_models.adaptation import adapt_cc3d

    adapt_cc3d(
        options["model_folder"],
        chosen_images(options),
        out=options["out"],
        config=config,
        source_shards=options.get("source_shards", ()),
        backgrounds=options.get("backgrounds"),
        watch=chosen_watch(options),
        precision=options["precision"] or "no",
        device=options["device"],
        workers=options["workers"],
        checkpoint_every=options["checkpoint_every"],
        overwrite=options["overwrite"],
        progress=not is_quiet(),
    )
