"""`pose-models evaluate`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from p3d_gen.core.errors import ConfigError
from pose_models.cli.common import chosen_images, progress_bar, run_device
from pose_models.cli.options import FILE, FOLDER, device_option, distance_option, image_options, mirror_option

if TYPE_CHECKING:
    from rich.console import Console

    from pose_models.data.images import Images
    from pose_models.estimator import EstimateConfig
    from pose_models.evaluation import Evaluated
    from pose_models.metrics.summary import Summary
    from pose_models.prediction import Prediction
    from pose_models.report.cases import Case


@click.command()
@click.option("--model", "model_folder", required=True, type=FOLDER, help="The --out of a training command.")
@image_options("--data", "val")
@click.option("--solver", default="default", show_default=True, help="'released' is the schedule of the papers' code.")
@mirror_option
@distance_option
@click.option("--decode", type=click.Choice(["centre", "edge"]), default="centre", show_default=True, help="Of bins.")
@click.option("--infer-category", is_flag=True, help="Take the category whose mesh explains the features best.")
@click.option("--out", type=FOLDER, help="Write predictions, figures, tables and pictures into this folder.")
@click.option("--json", "json_file", type=FILE, help="Write all figures there.")
@device_option
def evaluate(
    model_folder: Path,
    solver: str,
    mirror: bool,
    distance: float | None,
    decode: Literal["centre", "edge"],
    infer_category: bool,
    out: Path | None,
    json_file: Path | None,
    device: str,
    **images: Any,
) -> None:
    """Acc pi/6, Acc pi/18 and median error of a model, with bootstrap intervals, beside chance.

    Data: shards:RUN/shards, cars3d:, pascal3d:, objectnet3d:, ood-cv:, occluded-pascal3d: with the folder of the
    published layout, or csv: with a table of labels. Where an image's principal point and distance are annotated they
    are used, as in the papers, and only the rotation is solved; elsewhere every hypothesis takes position and scale
    from the object's box.

    \b
    Examples:
      pose-models evaluate --model runs/nmm-car --data runs/quickstart-heldout/shards
      pose-models evaluate --model runs/nmm-car --data cars3d:$P3D_DATA/cars3d --corrupt snow --out runs/nmm-car/snow
    """
    from p3d_gen.core.errors import did_you_mean
    from pose_models.estimator import EstimateConfig
    from pose_models.solve import PRESETS

    if solver not in PRESETS:
        raise ConfigError(f"--solver {solver!r} is none of {', '.join(PRESETS)}{did_you_mean(solver, PRESETS)}")
    how = EstimateConfig(solve=PRESETS[solver], mirror=mirror, distance=distance, decode=decode, infer=infer_category)
    _evaluate(model_folder, chosen_images(images), how, out, json_file, device)


def _evaluate(
    model_folder: Path, images: Images, how: EstimateConfig, out: Path | None, json_file: Path | None, device: str
) -> None:
    from rich.console import Console

    from p3d_gen.run.files import write_json
    from pose_models.evaluation import evaluate as evaluate_all
    from pose_models.loading import load_estimators
    from pose_models.metrics.summary import summary
    from pose_models.report.write import write_report

    console = Console()
    estimators = load_estimators(model_folder, run_device(device), how)
    with progress_bar(console) as progress:
        task = progress.add_task("evaluate", total=None, note="")
        evaluated = evaluate_all(estimators, images.read(), lambda: progress.advance(task), infer=how.infer)
        progress.update(task, total=len(evaluated))
    predictions = [one.prediction for one in evaluated]
    modes = {name: R.numpy() for e in estimators for name, R in e.mode_rotations.items()}
    result = summary(predictions, mode_rotations=modes)
    title = f"{model_folder.name} on {images.name()}"
    _print_tables(console, result, title)
    if json_file is not None:
        write_json(json_file, {"model": str(model_folder), "data": images.name(), **result.as_dict()})
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
