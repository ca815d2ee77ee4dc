"""`pose-models bench`: benchmarks. Each prints tables and, as its last line, one line of JSON with all its figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from p3d_gen.core.commandline import Group
from p3d_gen.core.errors import DataError
from pose_models.cli.common import chosen_images
from pose_models.cli.image_options import IMAGE_KINDS, image_options
from pose_models.cli.options import COUNT, FOLDER, SHARDS, device_option, option, threads_option
from pose_models.cli.training_options import BACKBONE, backbone_option, freeze_option


@click.group(cls=Group)
def bench() -> None:
    """Measure the speed of training, solving and reading."""


@bench.command()
@device_option
@threads_option
@option(
    "--seconds", type=click.FloatRange(0), default=0.5, show_default=True, help="Least duration of each measurement."
)
def raster(device: str, threads: int, seconds: float) -> None:
    """Measure the rasteriser: poses per second, compared with PyTorch3D and the slow reference.

    The ratios are those of the first case: 64 poses, a map of 64 x 64 x 128, forward and backward. --device auto
    measures on the CPU and, if there is one, on the GPU, whose figures stand under "cuda".

    \b
    Example:
      pose-models bench raster --device cpu
    """
    import torch

    from p3d_gen.bench import conclude
    from pose_models.bench.raster import CASES, figures
    from pose_models.loading import torch_device

    torch.set_num_threads(threads)
    both = device == "auto" and torch.cuda.is_available()
    first = figures(torch_device("cpu" if both else device), CASES, seconds)
    conclude(first | ({"cuda": figures(torch_device("cuda"), CASES, seconds)} if both else {}))


@bench.command()
@device_option
@threads_option
@option("--images", type=COUNT, default=4, show_default=True, help="Number of images in each problem.")
@option("--model", type=FOLDER, help="Folder of a trained model whose features to measure on, with --data.")
@option("--data", help=f"Shards that the model has not seen: {SHARDS}.")
@option(
    "--part",
    type=click.Choice(["presets", "cameras"]),
    default="presets",
    show_default=True,
    help="Comparison to make: of the two schedules, or of what is known and solved of near cameras.",
)
def solve(device: str, threads: int, images: int, model: Path | None, data: str | None, part: str) -> None:
    """Measure the solver: images per second and accuracy of the default and of the released schedule.

    --device auto measures on the CPU and, if there is one, on the GPU. --part cameras measures errors at distances of
    0.8 to 4 box diagonals, on perfect features and one device.

    \b
    Examples:
      pose-models bench solve --model runs/nmm-car --data runs/heldout/shards
      pose-models bench solve --part cameras --images 48
    """
    import torch

    from p3d_gen.bench import conclude
    from pose_models.bench import cameras
    from pose_models.bench.solve import figures, of_model, synthetic
    from pose_models.loading import torch_device
    from pose_models.solve import PRESETS

    if (model is None) != (data is None):
        raise click.UsageError("--model and --data go together")
    if part == "cameras" and model is not None:
        raise click.UsageError("--part cameras makes its own images: leave --model and --data out")
    torch.set_num_threads(threads)
    if part == "cameras":
        conclude(cameras.figures(images, torch_device(device)))
        return
    names = ["cpu", "cuda"] if device == "auto" and torch.cuda.is_available() else [device]
    results = {}
    for where in map(torch_device, names):
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
@device_option
@threads_option
@backbone_option(default=BACKBONE)
@option("--batch", type=click.IntRange(2), default=12, show_default=True, help="Number of images in a batch.")
@option(
    "--image-size",
    type=click.IntRange(32),
    default=256,
    show_default=True,
    help="Long side of the network's input in pixels.",
)
@freeze_option(default="stem")
@option("--workers", type=COUNT, default=1, show_default=True, help="Number of data-loading processes.")
@option("--rounds", type=COUNT, default=5, show_default=True, help="Number of measurements of which the best counts.")
def train(
    device: str, threads: int, backbone: str, batch: int, image_size: int, freeze: str, workers: int, rounds: int
) -> None:
    """Measure training: images per second, compared with the bare backbone and with loading alone.

    \b
    Example:
      pose-models bench train --backbone resnet50 --batch 24
    """
    import torch

    from p3d_gen.bench import conclude
    from pose_models.bench.train import figures
    from pose_models.config import TrainConfig
    from pose_models.loading import torch_device

    torch.set_num_threads(threads)
    where = torch_device(device)
    fields = {"categories": ("car",), "backbone": backbone, "weights": "none", "batch": batch}
    fields |= {"image_size": image_size, "freeze": freeze, "steps": 10_000}
    conclude(figures(TrainConfig.model_validate(fields), where, rounds, workers))


@bench.command()
@option("--shards", type=FOLDER, required=True, help="Folder with packed shards.")
@option("--rounds", type=COUNT, default=9, show_default=True, help="Number of measurements of which the best counts.")
def read(shards: Path, rounds: int) -> None:
    """Measure reading: seconds per sample, compared with opening the tar and decoding alone.

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


@bench.command(epilog=IMAGE_KINDS)
@option("--model", type=FOLDER, required=True, help="Folder of a trained model.")
@option("--images", "count", type=COUNT, default=100, show_default=True, help="Number of images given at once.")
@image_options("--data", "Images to predict", "train")
@threads_option
@device_option
def predict(model: Path, count: int, threads: int, device: str, **options: Any) -> None:
    """Measure prediction: images per second, with the network and the solver apart.

    \b
    Example:
      pose-models bench predict --model runs/nmm-car --data cars3d:$P3D_DATA/cars3d
    """
    import torch

    from p3d_gen.bench import conclude
    from pose_models.bench.predict import figures
    from pose_models.loading import torch_device

    torch.set_num_threads(threads)
    conclude(figures(model, chosen_images(options), count, torch_device(device), 0.0))


@bench.command(epilog=IMAGE_KINDS)
@option("--model", type=FOLDER, required=True, help="Folder of a trained model, which is not changed.")
@image_options("--target", "Images to adapt to", "train", other_seed=False)
@threads_option
@device_option
def adapt(model: Path, threads: int, device: str, **options: Any) -> None:
    """Measure adaptation: 3DUDA and the labelling of CC3D, compared with training on the same images.

    \b
    Example:
      pose-models bench adapt --model runs/nmm-car --target cars3d:$P3D_DATA/cars3d --limit 240
    """
    import torch

    from p3d_gen.bench import conclude
    from pose_models.bench.adapt import figures
    from pose_models.loading import torch_device

    torch.set_num_threads(threads)
    conclude(figures(model, chosen_images(options), torch_device(device)))
