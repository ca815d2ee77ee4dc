"""`pose-models train`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

import click

from pose_models.cli.common import FILE, FOLDER, progress_bar, run_device, run_precision

if TYPE_CHECKING:
    import torch

    from pose_models.config import TrainConfig


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


@click.command()
@click.option("--shards", required=True, help="Folder with CATEGORY-*.tar (RUN/shards), or a glob of tar files.")
@click.option("--category", required=True, help="The one category to train, e.g. car.")
@click.option("--out", required=True, type=FOLDER, help="Run folder to write: config, log, model.")
@click.option("--cads", type=FOLDER, help="Folder with CATEGORY/*.npz|off|obj|ply|glb.  [default: SHARDS/../cad]")
@click.option("--weights", type=FILE, help="Backbone weights (.safetensors, timm names).  [default: random weights]")
@click.option("--backbone", default="resnet18", show_default=True, help="Any timm features_only network.")
@click.option("--backgrounds", type=FOLDER, help="Pictures pasted behind the object, new at every step.")
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
    where = run_device(device)
    try:
        config = TrainConfig(
            category=category,
            weights=None if weights is None else str(weights),
            backbone=backbone,
            vertices=vertices or defaults.vertices,
            bank_update=cast(Literal["visible", "batch"], bank_update),
            seed=seed,
            precision=run_precision(precision, where),
            augment=replace(STRONG if (augment or defaults.augment) == "strong" else MILD, mirror=mirror),
            steps=steps or defaults.steps,
            batch=batch,
            image_size=image_size or defaults.image_size,
            lr=lr or defaults.lr,
            head_lr=max(lr or defaults.lr, HEAD_LR),
        )
        _run_training(config, shards, cads, out, backgrounds, where)
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
    with progress_bar(console) as progress:
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
