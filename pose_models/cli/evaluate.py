"""`pose-models evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

import click

from pose_models.cli.common import FILE, FOLDER, progress_bar, run_device

if TYPE_CHECKING:
    import torch
    from rich.console import Console

    from pose_models.evaluate import Evaluation


@click.command()
@click.option("--model", "model_folder", required=True, type=FOLDER, help="The --out of pose-models train.")
@click.option("--shards", help="Folder with CATEGORY-*.tar, or a glob of tar files.")
@click.option("--cars3d", type=FOLDER, help="The cars3d folder: real photographs with their rotation.")
@click.option("--split", type=click.Choice(["train", "val"]), default="val", show_default=True, help="Of cars3d.")
@click.option("--limit", type=click.IntRange(1), help="Only the first images.")
@click.option("--json", "json_file", type=FILE, help="Write the table and each image's error there.")
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
        result = _run_evaluation(model_folder, shards, cars3d, split, limit, run_device(device))
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
    with progress_bar(console) as progress:
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
