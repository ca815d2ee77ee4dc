"""The public interface of pose_models: load a model, predict, evaluate, train, adapt.

`pose_models` re-exports everything in `__all__`. The command line calls these functions too. Progress bars go to
stderr, messages to the logger `pose_models`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from p3d_gen.core.errors import ConfigError, did_you_mean
from pose_models import evaluation
from pose_models.adapt.config import Cc3dConfig, UdaConfig
from pose_models.adaptation import AccuracyWatch, adapt_3duda, adapt_cc3d
from pose_models.data.datasets import Dataset, open_dataset
from pose_models.data.images import Images
from pose_models.data.sample import PoseSample
from pose_models.estimator import EstimateConfig
from pose_models.evaluation import Evaluated
from pose_models.learning import finetune, train, train_baseline
from pose_models.metrics.summary import BUILTIN_SYMMETRIES, MODEL, Summary, summary
from pose_models.model import PoseModel, as_images, load
from pose_models.pose import Hypothesis, Pose
from pose_models.prediction import Prediction
from pose_models.progress import progress_bar
from pose_models.report.cases import Case, evaluated_cases, worst_and_typical
from pose_models.report.tables import Table
from pose_models.report.write import CASES, summary_tables, write_report
from pose_models.solve import PRESETS
from pose_models.soundness import Soundness, check

__all__ = [
    "AccuracyWatch",
    "Cc3dConfig",
    "Dataset",
    "Evaluation",
    "Hypothesis",
    "Images",
    "Pose",
    "PoseModel",
    "Soundness",
    "UdaConfig",
    "adapt_3duda",
    "adapt_cc3d",
    "check",
    "evaluate",
    "finetune",
    "load",
    "open_dataset",
    "train",
    "train_baseline",
]

_PRINTED = ("acc_pi_6", "acc_pi_18", "median_deg", "n")


@dataclass(frozen=True, kw_only=True, eq=False)
class Evaluation:
    """The predictions of a model on labelled images, and all figures made from them; a notebook shows the table.

    title: of tables; model: its folder; data: name of the images; evaluated: each image with its pose; summary: all
    figures; reread: reads the images again, for the pictures of a report.
    """

    title: str
    model: Path
    data: str
    evaluated: Sequence[Evaluated]
    summary: Summary
    reread: Callable[[], Iterator[PoseSample]]

    @property
    def predictions(self) -> list[Prediction]:
        """The prediction of each image, in the order of the data."""
        return [each.prediction for each in self.evaluated]

    @property
    def metrics(self) -> dict[str, float]:
        """Shares acc_pi_6 and acc_pi_18 in 0..1, median_deg in degrees, and the number of images n."""
        row = self.summary.rows[MODEL].as_dict()
        return {name: row[name] for name in _PRINTED}

    def __repr__(self) -> str:
        """Return the table."""
        return str(self.table())

    def _repr_markdown_(self) -> str:
        return self.table()._repr_markdown_()

    @cached_property
    def tables(self) -> dict[str, Table]:
        """Every table by name: "overview", "category", "subset" if the images have parts, and the papers' tables."""
        return summary_tables(self.summary, self.title)

    def table(self) -> Table:
        """Return accuracies, median error and number of images, with bootstrap intervals, next to chance."""
        return self.tables["overview"]

    def as_dict(self) -> dict[str, Any]:
        """Return all figures, for JSON."""
        return {"model": str(self.model), "data": self.data, **self.summary.as_dict()}

    def write(self, folder: str | Path) -> list[Path]:
        """Write predictions, figures, tables and pictures into a folder; return the paths."""
        return write_report(Path(folder), self.predictions, self.summary, self.title, case_of=self._shown())

    def _shown(self) -> Callable[[Prediction], Case]:
        """Return the pictures of the worst and the typical images, read again."""
        indices = {i for part in worst_and_typical(self.summary.errors_rad, CASES) for i in part}
        cases = evaluated_cases(self.reread(), [self.evaluated[i] for i in sorted(indices)])
        return lambda prediction: cases[prediction.subset, prediction.key]


def evaluate(
    model: PoseModel | str | Path,
    images: Dataset | Images | str,
    *,
    solver: str = "default",
    mirror: bool = False,
    distance: float | None = None,
    decode: Literal["centre", "edge"] = "centre",
    infer_category: bool = False,
    progress: bool = True,
) -> Evaluation:
    """Find the pose of every image with a model and compare it with the labelled one.

    images: a dataset of `open_dataset`, `Images` to choose, corrupt or occlude some, or the address of a val split.
    solver: "default", or "released" for the schedule of the papers' code. mirror, distance: as of `PoseModel.predict`;
    images with an annotated distance keep it. decode: of Res-General's bins, see `baselines.bins`. infer_category: take
    the category whose mesh explains the image best instead of the labelled one.
    ConfigError or DataError for an unknown solver, a category that the model does not know, or no image.
    """
    if solver not in PRESETS:
        raise ConfigError(f"solver {solver!r} is not known{did_you_mean(solver, PRESETS)}")
    if not isinstance(model, PoseModel):
        model = load(model)
    config = EstimateConfig(
        solve=PRESETS[solver], mirror=mirror, distance=distance, decode=decode, infer=infer_category
    )
    name, read = _reader(images)
    estimators = model.estimators(config)
    with progress_bar(progress) as bar:
        task = bar.add_task("evaluate", total=None, note="")
        evaluated = evaluation.evaluate(estimators, read(), lambda: bar.advance(task), infer=infer_category)
        bar.update(task, total=len(evaluated))
    modes = {name: R.numpy() for each in estimators for name, R in each.mode_rotations.items()}
    symmetries = {name: symmetry for each in estimators for name, symmetry in each.symmetries.items()}
    return Evaluation(
        title=f"{model.folder.name} on {name}",
        model=model.folder,
        data=name,
        evaluated=evaluated,
        summary=summary(
            [each.prediction for each in evaluated],
            mode_rotations=modes,
            symmetries=BUILTIN_SYMMETRIES | symmetries,
        ),
        reread=read,
    )


def _reader(images: Dataset | Images | str) -> tuple[str, Callable[[], Iterator[PoseSample]]]:
    """Return the name of images, and what reads them from the start."""
    if isinstance(images, Dataset):
        dataset = images
        return dataset.name, lambda: (sample for name in dataset.categories for sample in dataset.read(name))
    chosen = as_images(images, "val")
    return chosen.name(), chosen.read
