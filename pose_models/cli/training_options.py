"""Options of the commands that train, or adapt, a model."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from p3d_gen.core.errors import ConfigError, DataError
from pose_models.cli.options import (
    COUNT,
    DISTANCE,
    FILE,
    FOLDER,
    POSITIVE,
    SEED,
    SHARDS,
    SHARE,
    Decorator,
    device_option,
    grouped,
    is_planned,
    option,
    out_option,
)

# Weights that are no files, and the default backbone; a test compares them with `config`, which loads pydantic.
WEIGHTS = ("imagenet", "hub", "none")
BACKBONE = "tf_efficientnet_lite0"
# Those of `adapt.config.PoseConfig`.
POSE_FIELDS = ("mirror", "distance", "focals", "free_distance")


def _check_backbone(context: click.Context, _: click.Parameter, name: str | None) -> str | None:
    """Refuse an unknown network before anything is read."""
    if name is not None and not is_planned(context):
        from pose_models.backbone import check_backbone

        check_backbone(name)
    return name


def _check_weights(context: click.Context, _: click.Parameter, name: str | None) -> str | None:
    """Refuse a file that is not there before anything is read."""
    if name not in (None, "", *WEIGHTS) and not Path(name).is_file() and not is_planned(context):
        raise DataError(f"cannot read weights {name}: no such file; give a .safetensors file, imagenet, hub or none")
    return name


def _labels(context: click.Context, _: click.Parameter, text: str | None) -> str | None:
    """Refuse anything that is neither a number nor a percentage."""
    if text is not None and not is_planned(context):
        from pose_models.data.label_budget import parse_labels

        try:
            parse_labels(text)
        except ConfigError as error:
            raise click.BadParameter(str(error)) from error
    return text


adapt_config_option = option(
    "--config",
    "config_file",
    type=FILE,
    help="Start from the adapt.toml of an earlier run; options that are given replace its values.",
)
vertices_option = option(
    "--vertices",
    type=click.IntRange(50),
    default_text="500, or 300 with --weights none",
    help="Number of vertices of the neural mesh, approximately.",
)
backbone_option = partial(
    option,
    "--backbone",
    metavar="NAME",
    callback=_check_backbone,
    default_text=BACKBONE,
    help="Network of timm that computes the features.",
)
freeze_option = partial(
    option,
    "--freeze",
    type=click.Choice(["none", "norm", "stem", "body"]),
    default_text="stem",
    help="Part of a pretrained backbone that is not trained: none of it, its BatchNorm statistics, all up to stride 4, "
    "or all of it.",
)
labels_option = partial(
    option,
    "--labels",
    metavar="N|P%",
    callback=_labels,
    help="Use only this number, or this percentage, of the labelled images of each category.",
)
label_seed_option = option(
    "--label-seed",
    type=SEED,
    default_text="that of --seed",
    help="Seed that chooses the labelled images; with one seed, a smaller set is part of every larger one.",
)


def max_stride_option(default: str) -> Decorator:
    """Return the option that says how deep the backbone is used."""
    return option(
        "--max-stride",
        type=click.Choice(["8", "16", "32"]),
        callback=lambda context, parameter, value: None if value is None else int(value),
        default_text=default,
        help="Stride in pixels of the coarsest feature map of the backbone that is used; later layers are left out.",
    )


def run_options(*precisions: str) -> Decorator:
    """Return the options of every command that computes a model and writes it to --out."""
    return grouped(
        option(
            "--precision",
            type=click.Choice([*precisions, "auto"]),
            metavar=f"[{'|'.join(precisions)}]",
            callback=lambda context, parameter, value: None if value == "auto" else value,
            default_text="no, else that of --config",
            help="Number format in which the layers of the network compute; no leaves them in float32.",
        ),
        option("--overwrite", is_flag=True, help="Delete the run that the folder holds, and start again."),
        device_option,
    )


def loop_options(checkpoint_every: int) -> Decorator:
    """Return the options of the training loop. None of them changes the result, except the precision."""
    return grouped(
        option(
            "--workers",
            type=click.IntRange(0),
            default=0,
            show_default=True,
            help="Number of data-loading processes; 0 loads in the main process.",
        ),
        option(
            "--checkpoint-every",
            type=COUNT,
            default=checkpoint_every,
            show_default=True,
            help="Number of steps between checkpoints.",
        ),
        run_options("no", "bf16", "fp16"),
    )


def watch_options(every: int, unit: str) -> Decorator:
    """Return the options that record the accuracy during an adaptation; `unit` is that of --watch-every."""
    return grouped(
        option(
            "--watch",
            is_flag=True,
            help="Record the accuracy during the adaptation by the target's labels, which nothing else reads.",
        ),
        option(
            "--watch-every",
            type=COUNT,
            default=every,
            show_default=True,
            help=f"Number of {unit} between records of the accuracy.",
        ),
        option(
            "--watch-limit",
            type=COUNT,
            default=200,
            show_default=True,
            help="Number of images of each category that the recorded accuracy is measured on.",
        ),
    )


# Of every command that trains on renders.
shard_training_options = grouped(
    option("--shards", multiple=True, help=f"Renders to train on: {SHARDS}; may be repeated."),
    option(
        "--category",
        "categories",
        metavar="NAME",
        multiple=True,
        default_text="all in the shards",
        help="Category to train on, such as car; may be repeated.",
    ),
    option(
        "--config",
        "config_file",
        type=FILE,
        help="Start from the config.toml of an earlier run; options that are given replace its values.",
    ),
    option(
        "--weights",
        metavar="imagenet|hub|none|FILE",
        callback=_check_weights,
        default_text="imagenet",
        help="Weights that the backbone starts from: imagenet for those that come with the default backbone, hub for "
        "those of timm, none for random ones, or a .safetensors file.",
    ),
    freeze_option(),
    backbone_option(),
    option("--backgrounds", type=FOLDER, help="Folder of pictures; one is pasted behind the object at every step."),
    option("--steps", type=COUNT, default_text="1200, or 600 with --weights none", help="Number of training steps."),
    option(
        "--batch",
        type=click.IntRange(2),
        default_text="12",
        help="Number of images in a batch, over all processes together.",
    ),
    option(
        "--image-size",
        type=click.IntRange(32),
        default_text="256, or 128 with --weights none",
        help="Long side of the network's input in pixels.",
    ),
    option(
        "--lr",
        type=POSITIVE,
        default_text="3e-4, or 2e-3 with --weights none",
        help="Largest learning rate of the backbone.",
    ),
    option(
        "--ema",
        type=click.FloatRange(0, 1, max_open=True),
        default_text="0",
        help="Decay of the running average of the weights, which is saved instead of the last ones; 0 for none.",
    ),
    option(
        "--augment",
        type=click.Choice(["strong", "mild"]),
        default_text="strong, or mild with --weights none",
        help="Strength of the augmentation: strong for use on photographs, mild for use on renders.",
    ),
    option(
        "--mirror/--no-mirror",
        default=None,
        default_text="mirror",
        help="Mirror half of the training images, with their labels.",
    ),
    option("--seed", type=SEED, default_text="0", help="Seed of all random numbers of the training."),
    loop_options(200),
)
# Of those that train on photographs too, and write a run folder.
training_options = grouped(
    out_option("configuration, log, curves and model"),
    shard_training_options,
    option(
        "--real",
        metavar="KIND:PATH",
        multiple=True,
        help="Labelled photographs to train on, of the split train; the kinds are listed below; may be repeated.",
    ),
    option(
        "--real-share",
        type=SHARE,
        default_text="0.5 with --shards, else 1",
        help="Share of photographs in each batch.",
    ),
    option(
        "--real-distance",
        type=DISTANCE,
        default_text="3",
        help="Distance from camera to object in box diagonals, for photographs without an annotated one.",
    ),
    labels_option(),
    label_seed_option,
)
# Of those that train a trained model further.
learning_options = grouped(
    option("--steps", type=COUNT, default_text="200", help="Number of training steps."),
    option("--batch", type=click.IntRange(2), default_text="12", help="Number of images in a batch."),
    option("--lr", type=POSITIVE, default_text="1e-4", help="Largest learning rate of the backbone."),
    option("--head-lr", type=POSITIVE, default_text="1e-4", help="Largest learning rate of all other layers."),
    option("--seed", type=SEED, default_text="0", help="Seed of all random numbers of the training."),
)
