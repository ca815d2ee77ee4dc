"""Options that several commands have."""

from __future__ import annotations

import copy
import importlib.util
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from p3d_gen.core.errors import ConfigError, DataError, DependencyError, did_you_mean

if TYPE_CHECKING:
    from click.types import OptionHelpExtra

FOLDER = click.Path(path_type=Path, file_okay=False)
FILE = click.Path(path_type=Path, dir_okay=False)
COUNT, POSITIVE, SHARE = click.IntRange(1), click.FloatRange(0, min_open=True), click.FloatRange(0, 1)
SEED = click.IntRange(0)
_PACKAGES = ("torch", "timm", "safetensors", "accelerate")
Command = Callable[..., Any]
Decorator = Callable[[Command], Command]

# Valid names, kept here because their modules load torch and cv2; a test compares them with these modules.
SOLVERS = ("default", "released")
CROPS = ("nemo", "nemo-2021", "p3d-diffusion", "objectnet3d")
OCCLUSION_LEVELS = ("L1", "L2", "L3")
CORRUPTIONS = (
    *("gaussian_noise", "shot_noise", "impulse_noise", "defocus_blur", "glass_blur", "motion_blur", "zoom_blur"),
    *("snow", "frost", "fog", "brightness", "contrast", "elastic_transform", "pixelate", "jpeg_compression"),
    *("speckle_noise", "gaussian_blur", "spatter", "saturate"),
)
SHARDS = "a run, a folder of shards, or a pattern such as 'runs/x/shards/car-*.tar', at a path or a URL"
IMAGE_KINDS = """\b
Images are named as KIND:PATH, with one of these kinds:
  shards:PATH             shards of p3dgen: a run, a folder of shards, or a pattern
  cars3d:PATH             real cars, the folder that `pose-models convert cars3d` writes
  pascal3d:PATH           PASCAL3D+ release 1.1
  objectnet3d:PATH        ObjectNet3D
  ood-cv:PATH             OOD-CV
  occluded-pascal3d:PATH  Occluded-PASCAL3D+
  csv:PATH                a table of labels beside its pictures
  images:PATH             pictures without labels, in PATH/CATEGORY/
KIND: may be left out for shards and for a file that ends in .csv."""


class Option(click.Option):
    """An option whose help states a default that the command works out, and hides its old names."""

    def __init__(
        self, *declarations: Any, default_text: str = "", old_names: Sequence[str] = (), **attributes: Any
    ) -> None:
        """default_text: the default as the help states it; old_names: names that stay valid but are not listed."""
        super().__init__(*declarations, **attributes)
        self._default_text, self._old_names = default_text, frozenset(old_names)

    def _without_old_names(self) -> Option:
        shown = copy.copy(self)
        shown.opts = [name for name in self.opts if name not in self._old_names]
        shown.secondary_opts = [name for name in self.secondary_opts if name not in self._old_names]
        return shown

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Return the names and the help, without old names."""
        return super(Option, self._without_old_names()).get_help_record(ctx)

    def get_help_extra(self, ctx: click.Context) -> OptionHelpExtra:
        """Return what stands in brackets after the help."""
        extra = super().get_help_extra(ctx)
        if self._default_text:
            extra["default"] = self._default_text
        return extra

    def get_error_hint(self, ctx: click.Context | None) -> str:
        """Return the names of the option for an error message."""
        return super(Option, self._without_old_names()).get_error_hint(ctx)


option = partial(click.option, cls=Option)


class Choice(click.Choice[str]):
    """One of several names; the error suggests the nearest one."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name."""
        if value not in self.choices:
            self.fail(f"{value!r} is not known{did_you_mean(str(value), self.choices)}", param, ctx)
        return super().convert(value, param, ctx)


def grouped(*options: Decorator) -> Decorator:
    """Return several options as one decorator, in the order in which the help lists them."""

    def decorate(command: Command) -> Command:
        for each in reversed(options):
            command = each(command)
        return command

    return decorate


def _is_planned(context: click.Context) -> bool:
    """Return if a protocol only checks the words of this command, which then loads nothing heavy."""
    return context.parent is None


def _check_device(context: click.Context, _: click.Parameter, name: str) -> str:
    """Refuse to start without the packages, or on a GPU that is not there, before anything is read."""
    missing = [package for package in _PACKAGES if importlib.util.find_spec(package) is None]
    if missing and not _is_planned(context):
        raise DependencyError(f"{', '.join(missing)}: not installed; run `pip install 'p3dgen[pose]'`")
    if name == "cuda":
        import torch

        if not torch.cuda.is_available():
            raise DependencyError("--device cuda: torch sees no CUDA device on this machine; use --device cpu")
    return name


def _check_backbone(context: click.Context, _: click.Parameter, name: str | None) -> str | None:
    """Refuse an unknown network before anything is read."""
    if name is not None and not _is_planned(context):
        from pose_models.backbone import check_backbone

        check_backbone(name)
    return name


def _check_weights(context: click.Context, _: click.Parameter, name: str | None) -> str | None:
    """Refuse a file that is not there before anything is read."""
    if name not in (None, "", "hub") and not Path(name).is_file() and not _is_planned(context):
        raise DataError(f"cannot read weights {name}: no such file; give a .safetensors file, or hub for those of timm")
    return name


def _part(_: click.Context, __: click.Parameter, text: str | None) -> tuple[int, int] | None:
    """Read I/N."""
    if text is None:
        return None
    index, slash, count = text.partition("/")
    if not (slash and index.isdecimal() and count.isdecimal()):
        raise click.BadParameter(f"{text!r} is not a part; write I/N, such as 0/2 and 1/2 for the two halves")
    return int(index), int(count)


def _labels(context: click.Context, _: click.Parameter, text: str | None) -> str | None:
    """Refuse anything that is neither a number nor a percentage."""
    if text is not None and not _is_planned(context):
        from pose_models.data.label_budget import parse_labels

        try:
            parse_labels(text)
        except ConfigError as error:
            raise click.BadParameter(str(error)) from error
    return text


device_option = option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    callback=_check_device,
    help="Device that torch computes on; auto takes a GPU if there is one.",
)
threads_option = option(
    "--threads", type=COUNT, default=1, show_default=True, help="Number of threads that torch uses on the CPU."
)
mirror_option = option(
    "--mirror/--no-mirror", default=False, show_default=True, help="Estimate the pose from the mirrored image as well."
)
distance_option = option(
    "--distance",
    type=click.FloatRange(1, min_open=True),
    default_text="the mean of the training images",
    help="Distance from camera to object in box diagonals, for images without an annotated one.",
)
cads_option = option(
    "--cads",
    type=FOLDER,
    default_text="that of the run which the shards belong to",
    help="Folder with the CAD models of each category: CATEGORY/*.npz, .off, .obj, .ply or .glb.",
)
adapt_config_option = option(
    "--config",
    "config_file",
    type=FILE,
    help="Start from the adapt.toml of an earlier run; options that are given replace its values.",
)
vertices_option = option(
    "--vertices",
    type=click.IntRange(50),
    default_text="500 with --weights, else 300",
    help="Number of vertices of the neural mesh, approximately.",
)
backbone_option = partial(
    option,
    "--backbone",
    metavar="NAME",
    callback=_check_backbone,
    default_text="resnet18",
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


def max_stride_option(default: str) -> Decorator:
    """Return the option that says how deep the backbone is used."""
    return option(
        "--max-stride",
        type=click.Choice(["8", "16", "32"]),
        callback=lambda context, parameter, value: None if value is None else int(value),
        default_text=default,
        help="Stride in pixels of the coarsest feature map of the backbone that is used; later layers are left out.",
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


def model_option(purpose: str) -> Decorator:
    """Return the option that names the folder of a trained model."""
    return option("--model", "model_folder", required=True, type=FOLDER, help=f"{purpose}: the --out of a training.")


def out_option(content: str) -> Decorator:
    """Return the option that names the folder to write."""
    return option("--out", required=True, type=FOLDER, help=f"Folder to write {content} to.")


def image_options(flag: str, purpose: str, split: str, *, other_seed: bool = True) -> Decorator:
    """Return the options that choose images and change them on purpose.

    flag: names the dataset, and --data does too; purpose: of the images, for the help; split: the default one;
    other_seed: the command has a --seed for something else, so that it cannot be the old name of --image-seed.
    """
    old_names = [] if flag == "--data" else ["--data"]
    old_seed = [] if other_seed else ["--seed"]
    return grouped(
        option(
            flag,
            *old_names,
            "address",
            old_names=old_names,
            required=True,
            metavar="KIND:PATH",
            help=f"{purpose}; the kinds are listed below.",
        ),
        option(
            "--split",
            metavar="NAME",
            default=split,
            show_default=True,
            help="Split of the dataset to use; shards have none.",
        ),
        option(
            "--part",
            metavar="I/N",
            callback=_part,
            help="Divide the images by their keys into N parts, and use part I, counted from 0.",
        ),
        option(
            "--category",
            "categories",
            metavar="NAME",
            multiple=True,
            default_text="all in the data",
            help="Category to use, such as car; may be repeated.",
        ),
        option("--limit", type=COUNT, help="Use only this number of images of each category, the first ones."),
        option(
            "--corrupt",
            type=Choice([*CORRUPTIONS, "all"]),
            metavar="NAME",
            multiple=True,
            help=f"Corrupt the images as ImageNet-C does; may be repeated. One of: {', '.join(CORRUPTIONS)}, all.",
        ),
        option(
            "--severity", type=click.IntRange(1, 5), default=3, show_default=True, help="Severity of the corruptions."
        ),
        option(
            "--occlude",
            type=Choice(OCCLUSION_LEVELS),
            multiple=True,
            help="Hide 20-40 % (L1), 40-60 % (L2) or 60-80 % (L3) of the object by occluders; may be repeated.",
        ),
        option(
            "--occluders",
            type=FOLDER,
            default_text="drawn shapes",
            help="Folder of cut-out pictures (RGBA PNG) that are pasted as occluders.",
        ),
        option("--stacked", is_flag=True, help="Corrupt the occluded images, instead of either change on its own."),
        option(
            "--crop",
            type=Choice(CROPS),
            help="Table of crops: cut each image by its annotated distance and principal point as that code does.",
        ),
        option(
            "--image-seed",
            *old_seed,
            "image_seed",
            old_names=old_seed,
            type=SEED,
            default=0,
            show_default=True,
            help="Seed of the corruptions and the occluders.",
        ),
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
        metavar="FILE|hub",
        callback=_check_weights,
        default_text="random weights",
        help="Pretrained weights of the backbone: a .safetensors file, or hub for those of timm.",
    ),
    freeze_option(),
    backbone_option(),
    option("--backgrounds", type=FOLDER, help="Folder of pictures; one is pasted behind the object at every step."),
    option("--steps", type=COUNT, default_text="1200 with --weights, else 600", help="Number of training steps."),
    option(
        "--batch",
        type=click.IntRange(2),
        default_text="12",
        help="Number of images in a batch, over all processes together.",
    ),
    option(
        "--image-size",
        type=click.IntRange(32),
        default_text="256 with --weights, else 128",
        help="Long side of the network's input in pixels.",
    ),
    option(
        "--lr",
        type=POSITIVE,
        default_text="3e-4 with --weights, else 2e-3",
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
        default_text="strong with --weights, else mild",
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
        type=click.FloatRange(1, min_open=True),
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
