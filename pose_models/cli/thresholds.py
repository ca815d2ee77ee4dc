"""`pose-models thresholds`."""

from __future__ import annotations

from pathlib import Path

import click

from pose_models.cli.common import run_device
from pose_models.cli.options import FOLDER, device_option


@click.command()
@click.option("--model", "model_folder", required=True, type=FOLDER, help="The --out of pose-models train.")
@click.option("--shards", multiple=True, required=True, help="Folder with CATEGORY-*.tar, or a glob; may be repeated.")
@click.option("--level", "levels", type=click.FloatRange(0, 1, min_open=True, max_open=True), multiple=True,
              help="Share of the features below the threshold; may be repeated.  [default: 0.05, 0.1]")  # fmt: skip
@click.option("--images", type=click.IntRange(1), default=500, show_default=True, help="At most, of each category.")
@device_option
def thresholds(
    model_folder: Path, shards: tuple[str, ...], levels: tuple[float, ...], images: int, device: str
) -> None:
    """Keep with a model how similar its source's features are to their vertices.

    `pose-models train` does that by itself; `pose-models adapt 3duda --delta source` needs it. This writes
    source_similarity.safetensors into the model's folder.

    \b
    Example:
      pose-models thresholds --model runs/nmm-car --shards runs/quickstart/shards
    """
    from pose_models.data.shards import ShardSamples, shard_paths
    from pose_models.loading import model_folders
    from pose_models.nmm import load_model
    from pose_models.training.source_similarity import LEVELS, SIMILARITY_FILE, write_source_similarity

    for folder in model_folders(model_folder):
        model = load_model(folder, run_device(device))
        paths = {path for given in shards for name in model.spec.categories for path in shard_paths(given, name)}
        write_source_similarity(model, ShardSamples(sorted(paths)), folder, levels or LEVELS, images)
        click.echo(f"{folder / SIMILARITY_FILE} written")
