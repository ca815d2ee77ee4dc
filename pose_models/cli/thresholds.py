"""`pose-models thresholds`."""

from __future__ import annotations

from pathlib import Path

import click

from pose_models.cli.options import COUNT, SHARDS, device_option, model_option, option


@click.command()
@model_option("Folder of the neural mesh model, which the thresholds are added to")
@option(
    "--shards",
    multiple=True,
    required=True,
    help=f"Renders of the training: {SHARDS}; may be repeated.",
)
@option(
    "--level",
    "levels",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    multiple=True,
    default_text="0.05, 0.1",
    help="Share of the features that lie below the threshold; may be repeated.",
)
@option(
    "--images", type=COUNT, default=500, show_default=True, help="Largest number of images of each category to measure."
)
@device_option
def thresholds(
    model_folder: Path, shards: tuple[str, ...], levels: tuple[float, ...], images: int, device: str
) -> None:
    """Measure how similar the features of the training images are to their vertices, and store it with the model.

    `pose-models adapt 3duda --delta source` reads these thresholds, and `pose-models train` measures them by itself.
    This command writes source_similarity.safetensors into the folder of the model.

    \b
    Example:
      pose-models thresholds --model runs/nmm-car --shards runs/quickstart/shards
    """
    from pose_models.data.shards import ShardSamples, shard_paths
    from pose_models.ledger import forget, read_ledger, record
    from pose_models.loading import model_folders, torch_device
    from pose_models.nmm import load_model
    from pose_models.training.source_similarity import LEVELS, SIMILARITY_FILE, write_source_similarity

    for folder in model_folders(model_folder):
        model = load_model(folder, torch_device(device))
        paths = {path for given in shards for name in model.spec.categories for path in shard_paths(given, name)}
        forget(folder, SIMILARITY_FILE)
        write_source_similarity(model, ShardSamples(sorted(paths)), folder, levels or LEVELS, images)
        if read_ledger(folder) is not None:
            record(folder, (SIMILARITY_FILE,))
        click.echo(f"{folder / SIMILARITY_FILE} written")
