"""`pose-models evaluate`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from pose_models.cli.common import FILE, FOLDER, device_option, progress_bar, run_device

if TYPE_CHECKING:
    from rich.console import Console

    from pose_models.data.sample import Sample
    from pose_models.estimate import EstimateConfig
    from pose_models.evaluate import Evaluated
    from pose_models.metrics.summary import Summary
    from pose_models.prediction import Prediction
    from pose_models.report.cases import Case

ALL = "all"


@dataclass(frozen=True, kw_only=True)
class _Images:
    """The images to evaluate on: of a dataset, the first `limit` of each category, changed as the options ask for."""

    address: str
    split: str
    categories: tuple[str, ...] | None
    limit: int | None
    corrupt: tuple[str, ...]
    severity: int
    occlude: tuple[str, ...]
    occluders: Path | None
    seed: int
    crop: str | None

    def name(self) -> str:
        """What a table's title says."""
        parts = [f"{self.address} {self.split}"]
        parts += [f"corrupted, severity {self.severity}"] if self.corrupt else []
        return ", ".join(parts + (["occluded"] if self.occlude else []))

    def plain(self) -> Iterator[Sample]:
        """The images as they are."""
        from pose_models.data.datasets import open_dataset

        dataset = open_dataset(self.address, split=self.split, categories=self.categories)
        for category in dataset.categories:
            samples = islice(dataset.read(category), self.limit)
            yield from samples if self.crop is None else map(_cropper(self.crop, category), samples)

    def read(self) -> Iterator[Sample]:
        """The images, each under every corruption and occlusion that is asked for; always the same."""
        from zlib import crc32

        import numpy as np

        from pose_models.data.corrupt import CORRUPTIONS, corrupted
        from pose_models.data.occlude import DrawnOccluders, FolderOccluders, occluded

        names = CORRUPTIONS if ALL in self.corrupt else self.corrupt
        occluders = FolderOccluders(self.occluders) if self.occluders else DrawnOccluders()
        for sample in self.plain():
            if not names and not self.occlude:
                yield sample
            for name in names:
                yield corrupted(sample, name, self.severity, self.seed)
            for level in self.occlude:
                rng = np.random.default_rng([self.seed, crc32(level.encode()), crc32(sample.key.encode())])
                yield occluded(sample, level, occluders, rng)


def _cropper(table: str, category: str) -> Callable[[Sample], Sample]:
    from pose_models.data.crop import crop_annotated, crop_rule

    rule = crop_rule(table, category)
    return lambda sample: crop_annotated(sample, rule.out_hw, rule.distance)


@click.command()
@click.option("--model", "model_folder", required=True, type=FOLDER, help="The --out of a training command.")
@click.option("--data", "address", required=True, help="KIND:PATH, a folder of shards, or a CSV file; see below.")
@click.option("--split", default="val", show_default=True, help="Of the dataset; shards have none.")
@click.option("--category", "categories", multiple=True, help="May be repeated.  [default: all that the data hold]")
@click.option("--limit", type=click.IntRange(1), help="Only the first images of each category.")
@click.option("--corrupt", multiple=True, help="An ImageNet-C corruption, or 'all'; may be repeated.")
@click.option("--severity", type=click.IntRange(1, 5), default=3, show_default=True, help="Of the corruptions.")
@click.option("--occlude", multiple=True, help="Paste occluders at level L1, L2 or L3; may be repeated.")
@click.option("--occluders", type=FOLDER, help="Cut-out pictures (RGBA PNG) to paste.  [default: drawn shapes]")
@click.option("--crop", help="Crop by annotated distance and principal point as a table says: nemo, p3d-diffusion, ...")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of corruptions and occluders.")
@click.option("--solver", default="default", show_default=True, help="'released' is the schedule of the papers' code.")
@click.option("--mirror/--no-mirror", default=False, show_default=True, help="Solve the mirrored image as well.")
@click.option("--distance", type=click.FloatRange(1, min_open=True), help="Box diagonals, where it is not annotated.")
@click.option("--decode", type=click.Choice(["centre", "edge"]), default="centre", show_default=True, help="Of bins.")
@click.option("--infer-category", is_flag=True, help="Take the category whose mesh explains the features best.")
@click.option("--out", type=FOLDER, help="Write predictions, figures, tables and pictures into this folder.")
@click.option("--json", "json_file", type=FILE, help="Write all figures there.")
@device_option
def evaluate(
    model_folder: Path,
    address: str,
    split: str,
    categories: tuple[str, ...],
    limit: int | None,
    corrupt: tuple[str, ...],
    severity: int,
    occlude: tuple[str, ...],
    occluders: Path | None,
    crop: str | None,
    seed: int,
    solver: str,
    mirror: bool,
    distance: float | None,
    decode: Literal["centre", "edge"],
    infer_category: bool,
    out: Path | None,
    json_file: Path | None,
    device: str,
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
    images = _Images(
        address=address,
        split=split,
        categories=categories or None,
        limit=limit,
        corrupt=corrupt,
        severity=severity,
        occlude=occlude,
        occluders=occluders,
        seed=seed,
        crop=crop,
    )
    from p3d_gen.errors import did_you_mean
    from pose_models.estimate import EstimateConfig
    from pose_models.solve import PRESETS

    if solver not in PRESETS:
        raise ValueError(f"--solver {solver!r} is none of {', '.join(PRESETS)}{did_you_mean(solver, PRESETS)}")
    how = EstimateConfig(solve=PRESETS[solver], mirror=mirror, distance=distance, decode=decode, infer=infer_category)
    _evaluate(model_folder, images, how, out, json_file, device)


def _evaluate(
    model_folder: Path, images: _Images, how: EstimateConfig, out: Path | None, json_file: Path | None, device: str
) -> None:
    from rich.console import Console

    from p3d_gen.files import write_json
    from pose_models.estimate import load_estimators
    from pose_models.evaluate import evaluate as evaluate_all
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


def _shown(images: _Images, evaluated: Sequence[Evaluated], result: Summary) -> Callable[[Prediction], Case]:
    """The pictures of the worst and the typical images, read again."""
    from pose_models.evaluate import cases
    from pose_models.report.cases import worst_and_typical
    from pose_models.report.write import CASES

    chosen = {i for part in worst_and_typical(result.errors_rad, CASES) for i in part}
    found = cases(images.read(), [evaluated[i] for i in sorted(chosen)])
    return lambda prediction: found[prediction.subset, prediction.key]
