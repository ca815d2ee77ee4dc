"""Options that several commands have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

FOLDER = click.Path(path_type=Path, file_okay=False)
FILE = click.Path(path_type=Path, dir_okay=False)
COUNT, POSITIVE, SHARE = click.IntRange(1), click.FloatRange(0, min_open=True), click.FloatRange(0, 1)
Command = Callable[..., Any]
Decorator = Callable[[Command], Command]


def grouped(*options: Decorator) -> Decorator:
    """Options as one decorator, in the order in which the help lists them."""

    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


device_option = click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True, help="Where it runs."
)
mirror_option = click.option(
    "--mirror/--no-mirror", default=False, show_default=True, help="Solve the mirrored image as well."
)
distance_option = click.option(
    "--distance", type=click.FloatRange(1, min_open=True), help="Box diagonals, where not annotated."
)


def image_options(flag: str, split: str, seed_flag: str = "--seed") -> Decorator:
    """The options that name the images of a command: `flag` is that of the dataset, `split` the default one."""
    return grouped(
        click.option(flag, "address", required=True, help="KIND:PATH, a folder of shards, or a CSV file; see below."),
        click.option("--split", default=split, show_default=True, help="Of the dataset; shards have none."),
        click.option("--part", help="I/N: of N parts of the images, by their keys, the one of number I, from 0."),
        click.option("--category", "categories", multiple=True, help="May be repeated.  [default: all in the data]"),
        click.option("--limit", type=COUNT, help="Only the first images of each category."),
        click.option("--corrupt", multiple=True, help="An ImageNet-C corruption, or 'all'; may be repeated."),
        click.option("--severity", type=click.IntRange(1, 5), default=3, show_default=True, help="Of the corruptions."),
        click.option("--occlude", multiple=True, help="Paste occluders at level L1, L2 or L3; may be repeated."),
        click.option("--occluders", type=FOLDER, help="Cut-out pictures (RGBA PNG) to paste.  [default: drawn shapes]"),
        click.option("--stacked", is_flag=True, help="Corrupt the occluded images, not each of the two alone."),
        click.option(
            "--crop", help="By annotated distance and principal point as a table says: nemo, p3d-diffusion, ..."
        ),
        click.option(
            seed_flag,
            "image_seed",
            type=click.IntRange(0),
            default=0,
            show_default=True,
            help="Of corruptions and occluders.",
        ),
    )


def run_options(*precisions: str) -> Decorator:
    """How a run that writes `--out` goes: in one of these precisions, anew where `--overwrite` says so, and where."""
    return grouped(
        click.option(
            "--precision",
            type=click.Choice([*precisions, "auto"]),
            metavar=f"[{'|'.join(precisions)}]",
            callback=lambda context, option, value: None if value == "auto" else value,
            help="Number format of the network's layers.  [default: no, else that of --config]",
        ),
        click.option("--overwrite", is_flag=True, help="Begin again in a folder that holds a run."),
        device_option,
    )


def loop_options(checkpoint_every: int) -> Decorator:
    """How the training loop runs; nothing of it changes what is learnt but the precision."""
    return grouped(
        click.option("--workers", type=click.IntRange(0), default=0, show_default=True, help="That load images."),
        click.option("--checkpoint-every", type=COUNT, default=checkpoint_every, show_default=True, help="Steps."),
        run_options("no", "bf16", "fp16"),
    )


def watch_options(every: int, unit: str) -> Decorator:
    """The accuracy of an adaptation on its way, `every` so many of `unit`."""
    return grouped(
        click.option("--watch", is_flag=True, help="Follow the accuracy by the target's labels, otherwise unused."),
        click.option("--watch-every", type=COUNT, default=every, show_default=True, help=f"{unit}."),
        click.option("--watch-limit", type=COUNT, default=200, show_default=True, help="Images a category."),
    )


shard_training_options = grouped(
    click.option("--shards", multiple=True, help="Folder with CATEGORY-*.tar, or a glob; may be repeated."),
    click.option("--category", "categories", multiple=True, help="May be repeated.  [default: all in the shards]"),
    click.option("--config", "config_file", type=FILE, help="Start from a run's config.toml; options go before it."),
    click.option("--weights", help="Of the backbone: a .safetensors file or 'hub' (timm).  [default: random]"),
    click.option("--freeze", type=click.Choice(["none", "norm", "stem", "body"]), help="Of the body.  [default: stem]"),
    click.option("--backbone", help="Any timm network.  [default: resnet18]"),
    click.option("--backgrounds", type=FOLDER, help="Pictures pasted behind the object, new at every step."),
    click.option("--steps", type=COUNT, help="[default: 1200 with weights, else 600]"),
    click.option("--batch", type=click.IntRange(2), help="Images a step, over all processes.  [default: 12]"),
    click.option("--image-size", type=click.IntRange(32), help="Long side in pixels.  [default: 256, else 128]"),
    click.option("--lr", type=POSITIVE, help="Of the body.  [default: 3e-4, else 2e-3]"),
    click.option("--ema", type=click.FloatRange(0, 1, max_open=True), help="Decay of averaged weights; 0 for none."),
    click.option(
        "--augment",
        type=click.Choice(["strong", "mild"]),
        help="Strong aims at photographs, mild at renders.  [default: strong with weights, else mild]",
    ),
    click.option("--mirror/--no-mirror", default=None, help="Mirror half of the pictures, with their label."),
    click.option("--seed", type=click.IntRange(0)),
    loop_options(200),
)
"""Of every command that trains on renders."""
training_options = grouped(
    click.option("--out", required=True, type=FOLDER, help="Run folder to write: configuration, log, curves, model."),
    shard_training_options,
    click.option("--real", multiple=True, help="Labelled photographs, KIND:PATH, train split; may be repeated."),
    click.option("--real-share", type=SHARE, help="Of each batch.  [default: 0.5 beside shards]"),
    click.option(
        "--real-distance",
        type=click.FloatRange(1, min_open=True),
        help="Box diagonals to a photograph's object, where not annotated.  [default: 3]",
    ),
    click.option("--labels", help="N or P%: only so many photographs of each category, drawn by --label-seed."),
    click.option("--label-seed", type=click.IntRange(0), help="Smaller sets lie in larger ones.  [default: --seed]"),
)
"""Of those that train on photographs too, and write a run folder."""
learning_options = grouped(
    click.option("--steps", type=COUNT, help="Of training.  [default: 200]"),
    click.option("--batch", type=click.IntRange(2), help="Images a step.  [default: 12]"),
    click.option("--lr", type=POSITIVE, help="Of the body.  [default: 1e-4]"),
    click.option("--head-lr", type=POSITIVE, help="Of the rest.  [default: 1e-4]"),
)
"""How a trained model learns further."""
