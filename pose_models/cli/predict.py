"""`pose-models predict`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pose_models.cli.common import run_device
from pose_models.cli.options import (
    FILE,
    FOLDER,
    device_option,
    distance_option,
    mirror_option,
    model_option,
    option,
)

if TYPE_CHECKING:
    from pose_models.predict import Answer

_AT_ONCE = 8


@click.command()
@click.argument("images", nargs=-1, required=True, type=FILE, metavar="IMAGE...")
@model_option("Folder of the model")
@option(
    "--box",
    nargs=4,
    type=float,
    metavar="X1 Y1 X2 Y2",
    default_text="the whole image",
    help="Box of the object in pixels: left, top, right and bottom.",
)
@option("--category", metavar="NAME", default_text="the one that fits best", help="Category of the object.")
@mirror_option
@distance_option
@option("--out", type=FOLDER, default=Path("predictions"), show_default=True, help="Folder to write the answers to.")
@option("--cad", type=FILE, help="CAD model whose outline is drawn: .npz of a run, .off, .obj, .ply or .glb.")
@device_option
def predict(
    images: tuple[Path, ...],
    model_folder: Path,
    box: tuple[float, ...] | None,
    category: str | None,
    mirror: bool,
    distance: float | None,
    out: Path,
    cad: Path | None,
    device: str,
) -> None:
    """Find the pose of the object in photographs.

    For each image OUT/NAME.json holds the pose in the image's pixels, the angles in degrees, the loss, the confidence
    and the other hypotheses. OUT/NAME.png shows the pose: the box with a yellow front, x red, y green, z blue.

    \b
    Example:
      pose-models predict car.jpg --model runs/nmm-car --box 40 60 410 290
    """
    from p3d_gen.core.codecs import encode_png
    from p3d_gen.run.files import write_bytes, write_json
    from p3d_gen.run.meshes import read_mesh
    from pose_models.estimator import EstimateConfig
    from pose_models.loading import model_folders
    from pose_models.nmm import load_model
    from pose_models.predict import overlay, predict, read_picture

    _check_names(images, box)
    where = run_device(device)
    shape = None if cad is None else read_mesh(cad)
    models = [load_model(path, where) for path in model_folders(model_folder)]
    how = EstimateConfig(mirror=mirror, distance=distance)
    for first in range(0, len(images), _AT_ONCE):
        chunk = images[first : first + _AT_ONCE]
        pictures = [read_picture(path) for path in chunk]
        answers = predict(models, pictures, [box] * len(chunk), category, how)
        for path, picture, answer in zip(chunk, pictures, answers, strict=True):
            write_json(out / f"{path.stem}.json", {"image": str(path), **answer.as_dict()})
            write_bytes(out / f"{path.stem}.png", encode_png(overlay(picture, answer, shape)))
            click.echo(f"{path}: {_line(answer)}")


def _check_names(images: tuple[Path, ...], box: tuple[float, ...] | None) -> None:
    if box is not None and len(images) > 1:
        raise click.UsageError("--box is the box of one image: give one image at a time")
    stems = [path.stem for path in images]
    if twice := next((stem for stem in stems if stems.count(stem) > 1), None):
        raise click.UsageError(f"two images are called {twice!r}, and so would their answers: give one at a time")


def _line(answer: Answer) -> str:
    best = answer.hypotheses[0].as_dict()
    angles = ", ".join(f"{name} {best[f'{name}_deg']:.1f}" for name in ("azimuth", "elevation", "theta"))
    return f"{answer.category}, {angles} degrees, loss {best['loss']:.3f}, confidence {best['confidence']:.3f}"
