"""CC3D: a model learns from its own most confident poses of unlabelled images, together with its synthetic images or
alone.

"Robust Category-Level 3D Pose Estimation from Diffusion-Enhanced Synthetic Data", section 3.3. The paper's equation 5
is L_con + L_rec + alpha L_domain; of it the code released with the paper runs the plain training loss on the
pseudo-labelled images alone, and so do pseudo-label baselines of any model.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from p3d_gen.core.errors import ConfigError
from p3d_gen.run.files import write_bytes
from pose_models.adapt.config import Cc3dConfig
from pose_models.adapt.pseudo_labels import (
    LABELS_FILE,
    PREFIX,
    PseudoLabel,
    PseudoLabelled,
    pseudo_labels,
    read_labels,
    trusted,
    write_labels,
)
from pose_models.adapt.source import (
    ADAPT_FILE,
    SOURCE_FILE,
    check_apart,
    estimate_config,
    load_source,
    source_config,
    write_source,
)
from pose_models.adapt.target import TARGET_FILE, Target, write_target
from pose_models.baselines.config import BaselineConfig
from pose_models.config import Precision, TrainConfig, save_config
from pose_models.data.augment import Backgrounds
from pose_models.data.sample import Batch, PoseSample
from pose_models.data.views import Views, loader
from pose_models.estimator import Estimator
from pose_models.ledger import LEDGER_FILE, MODEL_FILE, check_files, is_finished, record
from pose_models.look import Seen
from pose_models.nmm import WEIGHTS_FILE, NeuralMeshModel
from pose_models.training.history import HISTORY_FILE, History
from pose_models.training.loop import CONFIG_FILE, LoopOptions, Processes, Step, Trainee, fit
from pose_models.training.step import MeshTrainee, seen_in

ROUNDS = "rounds"
_BINS = 10


@dataclass(frozen=True, kw_only=True)
class ReplayedSamples:
    """The synthetic images that the paper's arm sees next to the target, the shards that they are from, and
    backgrounds for them."""

    shards: Sequence[Path] = ()
    renders: Sequence[PoseSample] = ()
    backgrounds: Backgrounds | None = None


@dataclass(frozen=True, kw_only=True)
class Observer:
    """Callbacks that follow an adaptation; none of them changes the result.

    on_image: after each image that was labelled; on_labels: round, pseudo-labels, the numbers of the trusted ones, and
    alpha where there is one; on_step: round and training step. watch: figures of the model as it is, put into the
    history; called for the source model, every `watch_every` steps, and at the end of each round.
    """

    on_image: Callable[[], None] = lambda: None
    on_labels: Callable[[int, Sequence[PseudoLabel], Sequence[int], float | None], None] = lambda *_: None
    on_step: Callable[[int, Step], None] = lambda *_: None
    watch: Callable[[Estimator], Mapping[str, float]] | None = None
    watch_every: int = 50


def domain_loss(sightings: Sequence[Seen], target: Tensor, everyone: Processes) -> Tensor:
    """Compute L_domain of equation 5 on `target` (B,) bool images.

    It is the mean of |f_r - C_r|^2 = 2 - 2 f_r . C_r over the vertices r that are visible in target images, of all
    processes; 0 if there are none. It moves only the features.
    """
    total = count = torch.zeros((), device=target.device)
    for seen in sightings:
        counted = seen.visible & target[seen.rows][:, None]
        distance = (seen.features - seen.mesh.vertex_features).square().sum(-1)
        total, count = total + distance[counted].sum(), count + counted.sum()
    # Gradients are averaged over the processes.
    return total * everyone.count / everyone.summed(count).clamp(min=1)


class Cc3dTrainee(MeshTrainee):
    """A neural mesh model that learns by equation 5; L_con + L_rec is its plain training loss, on all images."""

    def __init__(self, model: NeuralMeshModel, config: TrainConfig, alpha: float) -> None:
        """Train `model` as `config` says, with `alpha` before L_domain."""
        super().__init__(model, config)
        self._alpha = alpha

    def loss(self, output: Tensor, batch: Batch, step: int, everyone: Processes) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the plain loss, plus alpha L_domain on the images whose keys say that they are pseudo-labelled."""
        target = torch.tensor([key.startswith(PREFIX) for key in batch.key], device=output.device)
        # Before the vertex features move, as the other terms see them.
        domain = domain_loss(seen_in(self.module, output, batch)[0], target, everyone)
        plain, terms = super().loss(output, batch, step, everyone)
        return plain + self._alpha * domain, terms | {"domain": domain}


@torch.no_grad()
def balanced_alpha(model: NeuralMeshModel, config: TrainConfig, batch: Batch) -> float:
    """Return the alpha that brings L_domain to the size of L_con on a batch; the model is not changed.

    ValueError if the batch shows no vertex of a target image.
    """
    trainee = Cc3dTrainee(copy.deepcopy(model), config, 0.0)
    trainee.training()
    placed = batch.to(model.clutter.device)
    output = trainee.net(placed.image.contiguous(memory_format=torch.channels_last)).float()
    terms = trainee.loss(output, placed, 1, Processes())[1]
    if not terms["domain"] > 0:
        raise ConfigError(
            "the first batch shows no target image to balance alpha on: give --alpha or more --real-share"
        )
    return float(terms["contrastive"] / terms["domain"])


def round_config(
    source: TrainConfig | BaselineConfig, config: Cc3dConfig, number: int, precision: Precision
) -> TrainConfig | BaselineConfig:
    """Return the training configuration of a round: that of the source, with the changes that `config` asks for."""
    changes = {
        "steps": config.steps,
        "batch": config.batch,
        "lr": config.lr,
        "head_lr": config.head_lr,
        "seed": config.seed + number - 1,
        "real_share": config.real_share if config.arm == "paper" else 1.0,
        "ema": 0.0,
        "precision": precision,
    }
    return source.model_copy(update=changes)


def needs_renders(config: Cc3dConfig) -> bool:
    """Return whether source images are replayed."""
    return config.arm == "paper" and config.real_share < 1


def adapt(
    folder: Path,
    target: Target,
    config: Cc3dConfig,
    out: Path,
    options: LoopOptions,
    *,
    replay: ReplayedSamples = ReplayedSamples(),
    precision: Precision = "no",
    observer: Observer = Observer(),
) -> None:
    """Adapt the model in `folder` to target images, and write it to `out` as a training does, with its history; each
    round, with its pseudo-labels, in `out/rounds/NUMBER`.

    An interrupted run resumes, on the CPU bit for bit as if it had not been interrupted. ValueError if the model does
    not know a category, no label is trusted, the arm does not fit the model, source images that it needs are missing,
    or `out` holds a run from another model or of other images.
    """
    check_apart(folder, out)
    if config.arm == "paper" and not isinstance(source_config(folder), TrainConfig):
        raise ConfigError(f"{folder} has no vertices that L_domain could compare with: use the arm 'released'")
    check_files(out)
    save_config(config, out / ADAPT_FILE)
    write_source(out, folder, replay.shards)
    write_target(out, target)
    record(out, (ADAPT_FILE, SOURCE_FILE, TARGET_FILE))
    history = History(out)
    for number in range(1, config.rounds + 1):
        place = out / ROUNDS / str(number)
        check_files(place)
        if not is_finished(place):
            before = folder if number == 1 else place.with_name(str(number - 1))
            _Round(number, before, target, config, place, options).run(replay, precision, observer, history)
        record(out, (f"{ROUNDS}/{number}/{LEDGER_FILE}",), growing=(HISTORY_FILE,))
    names = CONFIG_FILE, WEIGHTS_FILE, MODEL_FILE  # the last one marks the model as complete
    for name in names:
        write_bytes(out / name, (place / name).read_bytes())
    record(out, (HISTORY_FILE, *names))


class _Round:
    """One round: labels from the model of the folder `before`, and its training on them, in the folder `place`."""

    def __init__(
        self, number: int, before: Path, target: Target, config: Cc3dConfig, place: Path, options: LoopOptions
    ) -> None:
        self._number, self._target, self._config, self._place, self._how = number, target, config, place, options
        self._out = place.parents[1]
        device = torch.device("cuda" if torch.cuda.is_available() and not options.cpu else "cpu")
        self._source = load_source(before, device)
        self._estimator = self._source.estimator(estimate_config(config.pose, config.confidence))

    def run(self, replay: ReplayedSamples, precision: Precision, observer: Observer, history: History) -> None:
        """Label, choose and train; write the round's model to its folder."""
        path = self._place / LABELS_FILE
        progress = path.with_suffix(".part")
        if fresh := not path.is_file():
            free = self._config.pose.free_distance
            labels = pseudo_labels(self._target, self._estimator, progress, observer.on_image, with_distance=free)
        else:
            labels = read_labels(path)
        wanted = self._config
        chosen = trusted(labels, top=wanted.top, threshold=wanted.threshold, views=wanted.views)
        images = PseudoLabelled(self._target, labels, chosen, self._source, self._config.pose.distance)
        training = round_config(self._source.config, self._config, self._number, precision)
        renders = replay.renders if needs_renders(self._config) else ()
        spec = self._source.model.spec
        views = Views(renders, images, spec.canvas_hw, training, replay.backgrounds, spec.unmirrored)
        trainee, alpha = self._trainee(views, training)
        observer.on_labels(self._number, labels, chosen, alpha)
        if fresh:
            figures = _watched(observer, self._estimator) if self._number == 1 else {}
            history.write(self._entry(0) | _label_figures(labels, chosen) | _alpha_figure(alpha) | figures)
            write_labels(path, labels, chosen)
            record(self._place, (LABELS_FILE,), gone=(progress.name,))
            record(self._out, (), growing=(HISTORY_FILE,))
            progress.unlink(missing_ok=True)

        def on_step(step: Step) -> None:
            entry = step.as_dict() | self._entry(step.step)
            if observer.watch and (step.step % observer.watch_every == 0 or step.step == training.steps):
                self._source.model.eval()
                entry |= _watched(observer, self._estimator)
                trainee.training()
            history.write(entry)
            if step.step % self._how.checkpoint_every == 0:
                record(self._out, (), growing=(HISTORY_FILE,))
            observer.on_step(self._number, step)

        fit(trainee, views, training, self._place, self._how, on_step)

    def _trainee(self, views: Views, training: TrainConfig | BaselineConfig) -> tuple[Trainee, float | None]:
        """Return the trainee, and alpha in the paper's arm."""
        trainee = self._source.trainee(training)
        if self._config.arm == "released":
            return trainee, None
        model = self._source.model
        assert isinstance(model, NeuralMeshModel)
        assert isinstance(training, TrainConfig)
        alpha = self._config.alpha
        if alpha is None:
            first = next(iter(loader(views, training, first=0, workers=0, rank=0, processes=1)))
            alpha = balanced_alpha(model, training, first)
        return Cc3dTrainee(model, training, alpha), alpha

    def _entry(self, step: int) -> dict[str, float]:
        return {"round": self._number, "step": (self._number - 1) * self._config.steps + step}


def _watched(observer: Observer, estimator: Estimator) -> dict[str, float]:
    return dict(observer.watch(estimator)) if observer.watch else {}


def _alpha_figure(alpha: float | None) -> dict[str, float]:
    return {} if alpha is None else {"alpha": alpha}


def _label_figures(labels: Sequence[PseudoLabel], chosen: Sequence[int]) -> dict[str, float]:
    """Summarize the labels for the history.

    Numbers of all and of the trusted labels, the least confidence among the trusted, the mean of all, and a histogram:
    the number in each tenth of 0..1, with those outside in the first and the last.
    """
    sure = np.array([label.confidence for label in labels])
    counts = np.bincount((sure.clip(0, 1) * _BINS).astype(int).clip(max=_BINS - 1), minlength=_BINS)
    return {
        "images": len(labels),
        "trusted": len(chosen),
        "confidence_least": float(sure[list(chosen)].min()),
        "confidence_mean": float(sure.mean()),
    } | {f"confidence_histogram_{bin_:02d}": int(count) for bin_, count in enumerate(counts)}
