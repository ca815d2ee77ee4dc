"""`pose-models evaluate`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from pose_models.cli.common import chosen_images, progress_bar, run_device
from pose_models.cli.options import (
    FILE,
    FOLDER,
    IMAGE_KINDS,
    SOLVERS,
    Choice,
    device_option,
    distance_option,
    image_options,
    mirror_option,
    model_option,
    option,
)

if TYPE_CHECKING:
    from rich.console import Console

    from pose_models.data.images import Images
    from pose_models.estimator import EstimateConfig
    from pose_models.evaluation import Evaluated
    from pose_models.metrics.summary import Summary
    from pose_models.prediction import Prediction
    from pose_models.report.cases import Case


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
    device: str,
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
    from pose_models.estimator import EstimateConfig
    from pose_models.solve import PRESETS

    as_json = json_target == _STDOUT
    if json_target is not None and not as_json:  # --json FILE, as before there was --json-file
        json_file = Path(json_target)
    how = EstimateConfig(solve=PRESETS[solver], mirror=mirror, distance=distance, decode=decode, infer=infer_category)
    _evaluate(model_folder, chosen_images(images), how, out, json_file, device, as_json=as_json)


def _evaluate(
    model_folder: Path,
    images: Images,
    how: EstimateConfig,
    out: Path | None,
    json_file: Path | None,
    device: str,
    *,
    as_json: bool,
) -> None:
    import json

    from rich.console import Console

    from p3d_gen.run.files import write_json
    from pose_models.evaluation import evaluate as evaluate_all
    from pose_models.loading import load_estimators
    from pose_models.metrics.summary import summary
    from pose_models.report.write import write_report

    console = Console(stderr=as_json)
    estimators = load_estimators(model_folder, run_device(device), how)
    with progress_bar(Console(stderr=True)) as progress:
        task = progress.add_task("evaluate", total=None, note="")
        evaluated = evaluate_all(estimators, images.read(), lambda: progress.advance(task), infer=how.infer)
        progress.update(task, total=len(evaluated))
    predictions = [one.prediction for one in evaluated]
    modes = {name: R.numpy() for e in estimators for name, R in e.mode_rotations.items()}
    result = summary(predictions, mode_rotations=modes)
    title = f"{model_folder.name} on {images.name()}"
    figures = {"model": str(model_folder), "data": images.name(), **result.as_dict()}
    if as_json:
        click.echo(json.dumps(figures, indent=2))
    else:
        _print_tables(console, result, title)
    if json_file is not None:
        write_json(json_file, figures)
    if out is not None:
        written = write_report(out, predictions, result, title, case_of=_shown(images, evaluated, result))
        console.print(f"{len(written)} files written to {out}", highlight=False, soft_wrap=True)


def _print_tables(console: Console, result: Summary, title: str) -> None:
    from pose_models.metrics.summary import MODEL
    from pose_models.report.tables import rich_table
    from pose_models.report.write import summary_tables

    tables = summary_tables(result, title)
    console.print(rich_table(tables["overview"]))
    for name, groups in (("category", result.per_category), ("subset", result.per_subset)):
        if groups and len(groups[MODEL].groups) > 1:
            console.print(rich_table(tables[name]))
    kinds = {name: share for name, share in result.confusion.items() if name != "none"}
    shares = ", ".join(f"{name} {100 * share:.1f} %" for name, share in kinds.items())
    worst = max(kinds, key=lambda name: kinds[name])
    verdict = f"dominated by: {worst}" if kinds[worst] > 0 else "no error of pi/6 or more"
    console.print(f"errors of pi/6 and more, share of images: {shares}; {verdict}", highlight=False, soft_wrap=True)


def _shown(images: Images, evaluated: Sequence[Evaluated], result: Summary) -> Callable[[Prediction], Case]:
    """The pictures of the worst and the typical images, read again."""
    from pose_models.report.cases import evaluated_cases, worst_and_typical
    from pose_models.report.write import CASES

    chosen = {i for part in worst_and_typical(result.errors_rad, CASES) for i in part}
    found = evaluated_cases(images.read(), [evaluated[i] for i in sorted(chosen)])
    return lambda prediction: found[prediction.subset, prediction.key]
