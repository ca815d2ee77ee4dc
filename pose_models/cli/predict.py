"""`pose-models predict`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from pose_models.cli.options import FILE, FOLDER, device_option, distance_option, mirror_option, model_option, option

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
@option(
    "--diagonal-m",
    type=click.FloatRange(0, min_open=True),
    default_text="that of the category's definition, if it has one",
    help="Diagonal of the object's box in metres; distance and translation are then given in metres too.",
)
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
    diagonal_m: float | None,
    out: Path,
    cad: Path | None,
    device: Literal["auto", "cpu", "cuda"],
) -> None:
    """Find the pose of the object in photographs.

    For each image OUT/NAME.json holds the pose in the image's pixels, the angles in degrees, the loss, the confidence
    and the other hypotheses; if the object's size is known, translation_m and distance_m in metres too. OUT/NAME.png
    shows the pose: the box with a yellow front, x red, y green, z blue. Files of these names that are not answers of
    this command are never overwritten.

    \b
    Example:
      pose-models predict car.jpg --model runs/nmm-car --box 40 60 410 290
    """
    import numpy as np

    from p3d_gen.core.codecs import encode_png
    from p3d_gen.run.files import sealed_json, write_bytes
    from p3d_gen.run.meshes import read_mesh
    from pose_models.model import load

    _check_names(images, box)
    _check_answers(images, cad, out)
    model, shape = load(model_folder, device), None if cad is None else read_mesh(cad)
    for first in range(0, len(images), _AT_ONCE):
        chunk = images[first : first + _AT_ONCE]
        poses = model.predict_many(
            chunk,
            [box] * len(chunk),
            category=category,
            mirror=mirror,
            distance=distance,
            diagonal_m=diagonal_m,
        )
        for path, pose in zip(chunk, poses, strict=True):
            write_bytes(out / f"{path.stem}.json", sealed_json({"image": str(path), **pose.as_dict()}))
            write_bytes(out / f"{path.stem}.png", encode_png(np.asarray(pose.draw(shape))))
            click.echo(f"{path}: {pose}")


def _check_answers(images: tuple[Path, ...], cad: Path | None, out: Path) -> None:
    """Refuse to write over a photograph, or over a file that is not the answer for an image of the same name."""
    from p3d_gen.core.outputs import check_outputs

    answers = [(out / f"{path.stem}.json", out / f"{path.stem}.png") for path in images]
    inputs = [*images, *([] if cad is None else [cad])]
    check_outputs([path for answer in answers for path in answer], inputs, is_own=True)
    for answer in answers:
        check_outputs(answer, [], is_own=_is_answer(answer[0]))


def _is_answer(path: Path) -> bool:
    """Return if a file is the JSON of this command, which is written before the picture."""
    from p3d_gen.run.files import read_json

    try:
        content = read_json(path)
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and {"image", "category", "hypotheses", "cam_T_obj"} <= content.keys()


def _check_names(images: tuple[Path, ...], box: tuple[float, ...] | None) -> None:
    if box is not None and len(images) > 1:
        raise click.UsageError("--box is the box of one image: give one image at a time")
    stems = [path.stem for path in images]
    if twice := next((stem for stem in stems if stems.count(stem) > 1), None):
        raise click.UsageError(f"two images are called {twice!r}, and so would their answers: give one at a time")
