"""`pose-models evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from p3d_gen.core.commandline import is_quiet, print_wide
from pose_models.cli.common import chosen_images
from pose_models.cli.image_options import IMAGE_KINDS, image_options
from pose_models.cli.options import (
    FILE,
    FOLDER,
    SOLVERS,
    Choice,
    device_option,
    distance_option,
    mirror_option,
    model_option,
    option,
)

if TYPE_CHECKING:
    from pose_models.api import Evaluation


_STDOUT = "-"


@click.command(epilog=IMAGE_KINDS)
@model_option("Folder of the model to evaluate")
@image_options("--data", "Images to evaluate on", "val", other_seed=False)
@option(
    "--solver",
    type=Choice(SOLVERS),
    default="default",
    show_default=True,
    help="Search for poses; released is the schedule of the papers' code.",
)
@mirror_option
@distance_option
@option(
    "--decode",
    type=click.Choice(["centre", "edge"]),
    default="centre",
    show_default=True,
    help="Angle that a class of Res-General stands for: the centre of its bin, or, as in the released code, the lower "
    "edge for elevation and in-plane angle.",
)
@option(
    "--infer-category",
    is_flag=True,
    help="Take the category whose mesh fits the image best, instead of the annotated one.",
)
@option("--out", type=FOLDER, help="Folder to write predictions, figures, tables and pictures to.")
@option(
    "--json", "json_target", is_flag=False, flag_value=_STDOUT, metavar="", help="Print all figures as JSON on stdout."
)
@option("--json-file", type=FILE, help="File to write all figures to as JSON.")
@device_option
def evaluate(
    model_folder: Path,
    solver: str,
    mirror: bool,
    distance: float | None,
    decode: Literal["centre", "edge"],
    infer_category: bool,
    out: Path | None,
    json_target: str | None,
    json_file: Path | None,
    device: Literal["auto", "cpu", "cuda"],
    **images: Any,
) -> None:
    """Measure the accuracy of a model: Acc pi/6, Acc pi/18 and median error, with bootstrap intervals and chance.

    If the principal point and the distance of an image are annotated, they are used as in the papers, and only the
    rotation is solved. Otherwise every hypothesis takes position and scale from the box of the object.

    \b
    Examples:
      pose-models evaluate --model runs/nmm-car --data runs/quickstart-heldout/shards
      pose-models evaluate --model runs/nmm-car --data cars3d:$P3D_DATA/cars3d --corrupt snow --out runs/nmm-car/snow
    """
    import json

    from p3d_gen.run.files import write_json
    from pose_models.api import evaluate as evaluate_model
    from pose_models.api import load
    from pose_models.report.write import check_folder

    if out is not None:
        check_folder(out)
    as_json = json_target == _STDOUT
    if json_target is not None and not as_json:  # --json FILE, as before there was --json-file
        json_file = Path(json_target)
    evaluation = evaluate_model(
        load(model_folder, device),
        chosen_images(images),
        solver=solver,
        mirror=mirror,
        distance=distance,
        decode=decode,
        infer_category=infer_category,
        progress=not is_quiet(),
    )
    if as_json:
        click.echo(json.dumps(evaluation.as_dict(), indent=2))
    else:
        _print_tables(evaluation)
    if out is not None:
        click.echo(f"{len(evaluation.write(out))} files written to {out}", err=as_json)
    if json_file is not None:
        write_json(json_file, evaluation.as_dict())


def _print_tables(evaluation: Evaluation) -> None:
    from pose_models.metrics.summary import MODEL
    from pose_models.report.tables import rich_table

    result = evaluation.summary
    print_wide(rich_table(evaluation.table()))
    parts = {"category": result.per_category, "facing": result.per_facing, "subset": result.per_subset}
    for name, groups in parts.items():
        if groups and len(groups[MODEL].groups) > 1:
            print_wide(rich_table(evaluation.tables[name]))
    kinds = {name: share for name, share in result.confusion.items() if name != "none"}
    shares = ", ".join(f"{name} {100 * share:.1f} %" for name, share in kinds.items())
    worst = max(kinds, key=lambda name: kinds[name])
    verdict = f"dominated by: {worst}" if kinds[worst] > 0 else "no error of pi/6 or more"
    click.echo(f"errors of pi/6 and more, share of images: {shares}; {verdict}")
