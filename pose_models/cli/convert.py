"""`pose-models convert`."""

from __future__ import annotations

from pathlib import Path

import click

from pose_models.cli.common import Group, progress_bar
from pose_models.cli.options import FILE, FOLDER


@click.group(cls=Group)
def convert() -> None:
    """Bring public data sets into the form that train and evaluate read."""


@convert.command()
@click.option("--images", required=True, type=FOLDER, help="cars_train of Stanford Cars: 00001.jpg and so on.")
@click.option("--devkit", required=True, type=FILE, help="cars_train_annos.mat; cars_meta.mat must lie beside it.")
@click.option("--annotations", required=True, type=FILE, help="train_anno_v2.pkl of finegrained-pose.")
@click.option("--out", required=True, type=FOLDER, help="The folder to write: images/ and annotations.json.")
def cars3d(images: Path, devkit: Path, annotations: Path, out: Path) -> None:
    """Real photographs of cars with their rotation, from Stanford Cars and finegrained-pose.

    Images 1 to 3000 are the split `train`, 3001 to 4000 `val`; the others belong to neither.

    Example: pose-models convert cars3d --images cars_train --devkit devkit/cars_train_annos.mat
    --annotations train_anno_v2.pkl --out cars3d
    """
    from rich.console import Console

    from pose_models.data.convert_cars3d import convert_cars3d

    with progress_bar(Console(stderr=True)) as progress:
        task = progress.add_task("convert", total=None, note="")
        count = convert_cars3d(images, devkit, annotations, out, lambda: progress.advance(task))
    click.echo(f"{out}: {count} images; evaluate on cars3d:{out}")
