"""The command `pose-models`. Everything heavy is imported inside a command."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

import click

if TYPE_CHECKING:
    import torch
    from rich.console import Console
    from rich.progress import Progress

    from pose_models.config import Precision, TrainConfig
    from pose_models.evaluate import Evaluation


@dataclass(frozen=True, kw_only=True)
class _Defaults:
    steps: int
    image_size: int
    lr: float
    vertices: int
    augment: str


PRETRAINED = _Defaults(steps=1200, image_size=256, lr=3e-4, vertices=500, augment="strong")
SCRATCH = _Defaults(steps=600, image_size=128, lr=2e-3, vertices=300, augment="mild")
HEAD_LR = 1e-3
_FOLDER = click.Path(path_type=Path, file_okay=False)
_FILE = click.Path(path_type=Path, dir_okay=False)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="p3dgen")
def main() -> None:
    """Train and evaluate category-level pose models on the shards that p3dgen makes."""


@main.command()
@click.option("--shards", required=True, help="Folder with CATEGORY-*.tar (RUN/shards), or a glob of tar files.")
@click.option("--category", required=True, help="The one category to train, e.g. car.")
@click.option("--out", required=True, type=_FOLDER, help="Run folder to write: config, log, model.")
@click.option("--cads", type=_FOLDER, help="Folder with CATEGORY/*.npz|off|obj|ply|glb.  [default: SHARDS/../cad]")
@click.option("--weights", type=_FILE, help="Backbone weights (.safetensors, timm names).  [default: random weights]")
@click.option("--backbone", default="resnet18", show_default=True, help="Any timm features_only network.")
@click.option("--backgrounds", type=_FOLDER, help="Pictures pasted behind the object, new at every step.")
@click.option("--steps", type=click.IntRange(1), help="[default: 1200 with --weights, else 600]")
@click.option("--batch", type=click.IntRange(2), default=12, show_default=True, help="Images a step.")
@click.option(
    "--image-size", type=click.IntRange(32), help="Long side in pixels.  [default: 256 with --weights, else 128]"
)
@click.option("--lr", type=click.FloatRange(0, min_open=True), help="[default: 3e-4 with --weights, else 2e-3]")
@click.option(
    "--vertices", type=click.IntRange(50), help="Aim of the cuboid's grid.  [default: 500 with --weights, else 300]"
)
@click.option(
    "--augment",
    type=click.Choice(["strong", "mild"]),
    help="Strong aims at photographs, mild at renders.  [default: strong with --weights, else mild]",
)
@click.option(
    "--bank-update",
    type=click.Choice(["visible", "batch"]),
    default="visible",
    show_default=True,
    help="Divide the vertex update by the images that see the vertex, or by the batch (as released).",
)
@click.option("--mirror/--no-mirror", default=True, show_default=True, help="Mirror half of the pictures, with label.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option(
    "--precision",
    type=click.Choice(["auto", "fp32", "bf16"]),
    default="auto",
    show_default=True,
    help="auto: bf16 where the processor has matrix units for it.",
)
@click.option("--overwrite", is_flag=True, help="Train again into a run folder that already has a model.")
def train(
    shards: str,
    category: str,
    out: Path,
    cads: Path | None,
    weights: Path | None,
    backbone: str,
    backgrounds: Path | None,
    steps: int | None,
    batch: int,
    image_size: int | None,
    lr: float | None,
    vertices: int | None,
    augment: str | None,
    bank_update: str,
    mirror: bool,
    seed: int,
    device: str,
    precision: str,
    overwrite: bool,
) -> None:
    """Train one category's neural mesh model.

    Example: pose-models train --shards runs/quickstart/shards --category car --out runs/nmm-car
    """
    from p3d_gen.errors import P3DError
    from pose_models.config import TrainConfig
    from pose_models.data.augment import MILD, STRONG
    from pose_models.nmm import MODEL_FILE

    if (out / MODEL_FILE).exists() and not overwrite:
        raise click.ClickException(f"{out} already holds a model: choose another --out, or give --overwrite")
    if weights is not None and not weights.is_file():
        raise click.ClickException(f"--weights {weights}: no such file")
    defaults = SCRATCH if weights is None else PRETRAINED
    run_device = _device(device)
    try:
        config = TrainConfig(
            category=category,
            weights=None if weights is None else str(weights),
            backbone=backbone,
            vertices=vertices or defaults.vertices,
            bank_update=cast(Literal["visible", "batch"], bank_update),
            seed=seed,
            precision=_precision(precision, run_device),
            augment=replace(STRONG if (augment or defaults.augment) == "strong" else MILD, mirror=mirror),
            steps=steps or defaults.steps,
            batch=batch,
            image_size=image_size or defaults.image_size,
            lr=lr or defaults.lr,
            head_lr=max(lr or defaults.lr, HEAD_LR),
        )
        _run_training(config, shards, cads, out, backgrounds, run_device)
    except (P3DError, ValueError, OSError, RuntimeError) as error:
        raise click.ClickException(str(error)) from error


def _run_training(
    config: TrainConfig, shards: str, cads: Path | None, out: Path, backgrounds: Path | None, device: torch.device
) -> None:
    from rich.console import Console

    from pose_models.data.augment import Backgrounds
    from pose_models.data.cads import cad_vertices
    from pose_models.data.shards import read_shard, shard_paths
    from pose_models.train import Step
    from pose_models.train import train as train_model

    console = Console()
    paths = shard_paths(shards, config.category)
    samples = [sample for path in paths for sample in read_shard(path)]
    cad_folder = cads or paths[0].parent.parent / "cad"
    models = cad_vertices(cad_folder, config.category)
    start = config.weights or "random weights (no --weights given)"
    console.print(
        f"{config.category}: {len(samples)} images in {len(paths)} shards, {len(models)} CADs; "
        f"{config.backbone} from {start}; {device}, {config.precision}",
        highlight=False,
        soft_wrap=True,
    )
    with _progress(console) as progress:
        task = progress.add_task("train", total=config.steps, note="")

        def on_step(step: Step) -> None:
            progress.update(task, advance=1, note=f"loss {step.loss:.3f}")

        train_model(
            config,
            samples,
            models,
            out,
            backgrounds=None if backgrounds is None else Backgrounds(backgrounds),
            device=device,
            on_step=on_step,
        )
    console.print(f"model written to {out}", highlight=False, soft_wrap=True)


@main.command()
@click.option("--model", "model_folder", required=True, type=_FOLDER, help="The --out of pose-models train.")
@click.option("--shards", help="Folder with CATEGORY-*.tar, or a glob of tar files.")
@click.option("--cars3d", type=_FOLDER, help="The cars3d folder: real photographs with their rotation.")
@click.option("--split", type=click.Choice(["train", "val"]), default="val", show_default=True, help="Of cars3d.")
@click.option("--limit", type=click.IntRange(1), help="Only the first images.")
@click.option("--json", "json_file", type=_FILE, help="Write the table and each image's error there.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
def evaluate(
    model_folder: Path,
    shards: str | None,
    cars3d: Path | None,
    split: str,
    limit: int | None,
    json_file: Path | None,
    device: str,
) -> None:
    """Acc pi/6, Acc pi/18 and median error of a model, beside chance.

    On shards the stored principal point and distance are used, as in the papers, and only the rotation is solved.
    On cars3d only the image's box is used: every hypothesis takes its position and scale from it.

    Example: pose-models evaluate --model runs/nmm-car --cars3d $P3D_DATA/cars3d --limit 200
    """
    from p3d_gen.errors import P3DError
    from p3d_gen.files import write_json

    if (shards is None) == (cars3d is None):
        raise click.UsageError("give either --shards or --cars3d")
    try:
        result = _run_evaluation(model_folder, shards, cars3d, split, limit, _device(device))
        if json_file is not None:
            source = {"model": str(model_folder), "source": shards or f"{cars3d} {split}"}
            write_json(json_file, source | result.as_dict())
    except (P3DError, ValueError, OSError, RuntimeError) as error:
        raise click.ClickException(str(error)) from error


def _run_evaluation(
    model_folder: Path, shards: str | None, cars3d: Path | None, split: str, limit: int | None, device: torch.device
) -> Evaluation:
    from itertools import islice

    from rich.console import Console

    from pose_models.data.cars3d import cars3d_samples
    from pose_models.data.shards import decode, read_shard, shard_paths
    from pose_models.evaluate import evaluate as evaluate_model
    from pose_models.nmm import load_model
    from pose_models.solve import SolveConfig

    console = Console()
    model = load_model(model_folder, device)
    category = model.spec.category
    if cars3d is not None:
        if category != "car":
            raise ValueError(f"{model_folder} is a model of {category!r}; cars3d shows cars")
        samples, source = cars3d_samples(cars3d, cast(Literal["train", "val"], split)), f"cars3d {split}"
    else:
        encoded = (sample for path in shard_paths(str(shards), category) for sample in read_shard(path))
        samples, source = (decode(sample) for sample in encoded), f"{shards}"
    images = list(islice(samples, limit))
    wrong = next((s for s in images if s.category != category), None)
    if wrong is not None:
        raise ValueError(f"sample {wrong.key} is a {wrong.category!r}, the model in {model_folder} a {category!r}")
    with _progress(console) as progress:
        task = progress.add_task("evaluate", total=len(images), note="")
        result: Evaluation = evaluate_model(model, images, SolveConfig(), lambda: progress.advance(task))
    _print_tables(console, result, f"{category}, {source}")
    known = "stored principal point and distance" if cars3d is None else "position and scale taken from the image's box"
    console.print(f"{known}; only the rotation is solved", highlight=False, soft_wrap=True)
    return result


def _print_tables(console: Console, result: Evaluation, title: str) -> None:
    from rich.table import Table

    table = Table(title=title)
    for heading in ("", "Acc pi/6", "Acc pi/18", "median error", "n"):
        table.add_column(heading, justify="left" if not heading else "right")
    for name, row in result.rows.items():
        cells = f"{100 * row.acc_pi_6:.1f}", f"{100 * row.acc_pi_18:.1f}", f"{row.median_deg:.1f} deg", f"{row.n}"
        table.add_row(name, *cells)
    console.print(table)
    kinds = {name: share for name, share in result.confusion.items() if name != "none"}
    shares = ", ".join(f"{name} {100 * share:.1f} %" for name, share in kinds.items())
    worst = max(kinds, key=lambda name: kinds[name])
    verdict = f"dominated by: {worst}" if kinds[worst] > 0 else "no error of pi/6 or more"
    console.print(f"errors of pi/6 and more, share of images: {shares}; {verdict}", highlight=False, soft_wrap=True)


def _progress(console: Console) -> Progress:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    return Progress(*columns, TextColumn("{task.fields[note]}"), console=console)


def _device(name: str) -> torch.device:
    import torch

    if name == "cuda" and not torch.cuda.is_available():
        raise click.ClickException("--device cuda: torch sees no CUDA device here; use --device cpu")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def _precision(name: str, device: torch.device) -> Precision:
    import torch

    if name != "auto":
        return cast("Precision", name)
    fast = device.type == "cuda" or torch.cpu._is_amx_tile_supported()
    return "bf16" if fast else "fp32"
