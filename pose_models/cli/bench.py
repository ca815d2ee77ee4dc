"""`pose-models bench`: benchmarks. Each prints tables and, as its last line, one line of JSON with all its figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from p3d_gen.core.errors import DataError
from pose_models.cli.common import Group, chosen_images
from pose_models.cli.options import FOLDER, device_option, image_options


@click.group(cls=Group)
def bench() -> None:
    """Measure speed, in ratios within one run."""


@bench.command()
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True, help="Of the CPU.")
@click.option(
    "--seconds", type=click.FloatRange(0), default=0.5, show_default=True, help="The least for each measurement."
)
def raster(device: str, threads: int, seconds: float) -> None:
    """The rasteriser: poses a second by batch, map and channels, against PyTorch3D and the slow reference.

    The first case is the one that ratios are of: 64 poses, a map of 64 x 64 x 128, forward and backward.
    `auto` measures on the CPU, and on the GPU too where there is one, with its figures under "cuda".

    \b
    Example:
      pose-models bench raster --device cpu
    """
    import torch

    from p3d_gen.bench import conclude
    from pose_models.bench.raster import CASES, figures
    from pose_models.cli.common import run_device

    torch.set_num_threads(threads)
    both = device == "auto" and torch.cuda.is_available()
    first = figures(run_device("cpu" if both else device), CASES, seconds)
    conclude(first | ({"cuda": figures(run_device("cuda"), CASES, seconds)} if both else {}))


@bench.command()
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True, help="Of the CPU.")
@click.option("--images", type=click.IntRange(1), default=4, show_default=True, help="Of each problem.")
@click.option("--model", type=FOLDER, help="Measure on a trained model's features; with --data.")
@click.option("--data", help="Folder with CATEGORY-*.tar, or a glob of tar files, that the model has not seen.")
def solve(device: str, threads: int, images: int, model: Path | None, data: str | None) -> None:
    """The solver: images a second and accuracy of the default and of the released schedule.

    `auto` measures on the CPU, and on the GPU too where there is one.

    \b
    Example:
      pose-models bench solve --model runs/nmm-car --data runs/heldout/shards
    """
    import torch

    from p3d_gen.bench import conclude
    from pose_models.bench.solve import figures, of_model, synthetic
    from pose_models.cli.common import run_device
    from pose_models.solve import PRESETS

    if (model is None) != (data is None):
        raise click.UsageError("--model and --data go together")
    torch.set_num_threads(threads)
    names = ["cpu", "cuda"] if device == "auto" and torch.cuda.is_available() else [device]
    results = {}
    for where in map(run_device, names):
        if model is not None and data is not None:
            problems = [of_model(model, data, images, where)]
        else:
            problems = [
                synthetic(images, noise, boxes=boxes, device=where) for noise in (0, 3) for boxes in (False, True)
            ]
        results[where.type] = figures(problems, PRESETS, where, 0.0)
    first = next(iter(results.values()))
    conclude({"solve_over_released": first["solve_over_released"], **results})


@bench.command()
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True, help="Of the CPU.")
@click.option("--backbone", default="resnet18", show_default=True, help="Any timm network.")
@click.option("--batch", type=click.IntRange(2), default=12, show_default=True)
@click.option("--image-size", type=click.IntRange(32), default=256, show_default=True)
@click.option("--freeze", type=click.Choice(["none", "norm", "stem", "body"]), default="stem", show_default=True)
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True, help="That load images.")
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True)
def train(
    device: str, threads: int, backbone: str, batch: int, image_size: int, freeze: str, workers: int, rounds: int
) -> None:
    """Training: images a second against the bare backbone forward and backward, and against loading alone.

    \b
    Example:
      pose-models bench train --backbone resnet50 --batch 24
    """
    import torch

    from p3d_gen.bench import conclude
    from pose_models.bench.train import figures
    from pose_models.cli.common import run_device
    from pose_models.config import TrainConfig

    torch.set_num_threads(threads)
    where = run_device(device)
    fields = {"categories": ("car",), "backbone": backbone, "batch": batch, "image_size": image_size, "freeze": freeze}
    conclude(figures(TrainConfig.model_validate(fields | {"steps": 10_000}), where, rounds, workers))


@bench.command()
@click.option("--shards", type=FOLDER, required=True, help="A folder of packed shards.")
@click.option("--rounds", type=click.IntRange(1), default=9, show_default=True)
def read(shards: Path, rounds: int) -> None:
    """Reading: seconds per sample against opening the tar and decoding alone.

    \b
    Example:
      pose-models bench read --shards runs/quickstart/shards
    """
    from p3d_gen.bench import conclude
    from pose_models.bench.read import figures

    tars = sorted(shards.glob("*.tar"))
    if not tars:
        raise DataError(f"{shards} holds no shards: run `p3dgen pack` first")
    conclude(figures(tars, rounds))


@bench.command()
@click.option("--model", type=FOLDER, required=True, help="The --out of a training; only read.")
@image_options("--target", "train")
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True, help="Of the CPU.")
@device_option
def adapt(model: Path, threads: int, device: str, **options: Any) -> None:
    """Adaptation: epochs of 3DUDA, and CC3D's labels, against an epoch of training on the same images.

    \b
    Example:
      pose-models bench adapt --model runs/nmm-car --target cars3d:$P3D_DATA/cars3d --limit 240
    """
    import torch

    from p3d_gen.bench import conclude
    from pose_models.bench.adapt import figures
    from pose_models.cli.common import run_device

    torch.set_num_threads(threads)
    conclude(figures(model, chosen_images(options), run_device(device)))
