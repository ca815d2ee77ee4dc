"""`pose-models convert`."""

from __future__ import annotations

from pathlib import Path

import click

from p3d_gen.core.commandline import Group, is_quiet
from pose_models.cli.options import FILE, FOLDER, option, out_option


@click.group(cls=Group)
def convert() -> None:
    """Convert public datasets into the layout that train and evaluate read."""


@convert.command()
@option("--images", required=True, type=FOLDER, help="Folder cars_train of Stanford Cars, with 00001.jpg and so on.")
@option("--devkit", required=True, type=FILE, help="File cars_train_annos.mat, with cars_meta.mat next to it.")
@option("--annotations", required=True, type=FILE, help="File train_anno_v2.pkl of finegrained-pose.")
@out_option("images/ and annotations.json")
def cars3d(images: Path, devkit: Path, annotations: Path, out: Path) -> None:
    """Convert Stanford Cars and the poses of finegrained-pose to photographs of cars with their rotation.

    Images 1 to 3000 are the split `train`, 3001 to 4000 `val`. The others belong to neither.

    \b
    Example:
      pose-models convert cars3d --images cars_train --devkit devkit/cars_train_annos.mat
        --annotations train_anno_v2.pkl --out cars3d
    """
    from pose_models.data.convert_cars3d import convert_cars3d
    from pose_models.progress import progress_bar

    with progress_bar(not is_quiet()) as progress:
        task = progress.add_task("convert", total=None, note="")
        count = convert_cars3d(images, devkit, annotations, out, lambda: progress.advance(task))
    click.echo(f"{out}: {count} images; evaluate on cars3d:{out}")
