"""Options that choose images, and change them on purpose."""

from __future__ import annotations

import click

from pose_models.cli.options import COUNT, FOLDER, SEED, Choice, Decorator, grouped, option

# Valid names, kept here because their modules load torch and cv2; a test compares them with these modules.
CROPS = ("nemo", "nemo-2021", "p3d-diffusion", "objectnet3d")
OCCLUSION_LEVELS = ("L1", "L2", "L3")
CORRUPTIONS = (
    *("gaussian_noise", "shot_noise", "impulse_noise", "defocus_blur", "glass_blur", "motion_blur", "zoom_blur"),
    *("snow", "frost", "fog", "brightness", "contrast", "elastic_transform", "pixelate", "jpeg_compression"),
    *("speckle_noise", "gaussian_blur", "spatter", "saturate"),
)
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


def _part(_: click.Context, __: click.Parameter, text: str | None) -> tuple[int, int] | None:
    """Read I/N."""
    if text is None:
        return None
    index, slash, count = text.partition("/")
    if not (slash and index.isdecimal() and count.isdecimal()):
        raise click.BadParameter(f"{text!r} is not a part; write I/N, such as 0/2 and 1/2 for the two halves")
    return int(index), int(count)


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
