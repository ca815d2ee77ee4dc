"""The training loop of all models: resumable, on one or many devices."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

from p3d_gen.core.errors import ConfigError, RunError
from p3d_gen.run.disk import appended_file
from p3d_gen.run.files import write_bytes
from pose_models.config import LoopConfig, save_config
from pose_models.data.sample import Batch
from pose_models.data.views import Views, loader
from pose_models.ledger import CHECKPOINT_FILE, MODEL_FILE, check_files, record
from pose_models.nmm import WEIGHTS_FILE
from pose_models.training.checkpoint import load_checkpoint, save_checkpoint
from pose_models.training.identity import data_identity

if TYPE_CHECKING:
    from accelerate import Accelerator

LOG_FILE, CONFIG_FILE, CURVES = "train.jsonl", "config.toml", "tensorboard"


@dataclass(frozen=True, kw_only=True)
class Processes:
    """The processes that train together: their count, the rank of this one, and a tensor's sum and gathering."""

    rank: int = 0
    count: int = 1
    summed: Callable[[Tensor], Tensor] = lambda tensor: tensor
    gathered: Callable[[Tensor], Tensor] = lambda tensor: tensor


class Trainee(Protocol):
    """A model that the loop trains.

    module: everything that a checkpoint keeps; net: the part of it that learns by gradients, called with images
    (B, 3, H, W).
    """

    module: nn.Module
    net: nn.Module

    def optimiser(self) -> torch.optim.Optimizer:
        """Make the optimiser of the parameters that learn; each of its groups has its largest `lr`."""

    def training(self) -> None:
        """Put the module into training mode."""

    def loss(self, output: Tensor, batch: Batch, step: int, everyone: Processes) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss of the net's output for a batch, and its terms by name. `step` keys random numbers."""

    def save(self, folder: Path) -> None:
        """Write the trained model; the file that marks it as complete goes last."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """The figures of one training step: its number from 1, the loss, its terms, and the body's learning rate."""

    step: int
    loss: float
    terms: dict[str, float]
    lr: float

    def as_dict(self) -> dict[str, float]:
        """Return all numbers by name."""
        return {"step": self.step, "loss": self.loss, **self.terms, "lr": self.lr}


@dataclass(frozen=True, kw_only=True)
class LoopOptions:
    """Place and speed of a training; they do not change the result.

    cpu: do not use a GPU. workers: number of processes that load and augment images. checkpoint_every: steps.
    """

    cpu: bool = False
    workers: int = 0
    checkpoint_every: int = 200


def rate(step: int, config: LoopConfig) -> float:
    """Return the factor on the learning rates at a step from 0: a linear rise, then half a cosine down to 0."""
    rising = max(1, round(config.warmup * config.steps))
    if step < rising:
        return (step + 1) / rising
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, config.steps - rising)))


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines(keepends=True)
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read: {error}; put it back, or give --overwrite to start again") from error


class _Log:
    """train.jsonl and TensorBoard curves, continued after `step`; nothing in processes other than the first."""

    def __init__(self, out: Path, step: int, main: bool) -> None:
        self._main = main
        if not main:
            return
        from torch.utils.tensorboard import SummaryWriter

        path = out / LOG_FILE
        kept = _lines(path)[:step] if step else []
        write_bytes(path, "".join(kept).encode())
        self._file = appended_file(path)
        self._curves = SummaryWriter(str(out / CURVES), purge_step=step + 1)

    def write(self, step: Step) -> None:
        if not self._main:
            return
        numbers = step.as_dict()
        self._file.write((json.dumps(numbers) + "\n").encode())
        self._file.flush()
        for name in numbers.keys() - {"step"}:
            self._curves.add_scalar(name, numbers[name], step.step)

    def close(self) -> None:
        if self._main:
            self._file.close()
            self._curves.close()


class _Fit:
    """A trainee on its device with its optimiser and averaged weights, resumed from its last checkpoint."""

    def __init__(
        self, trainee: Trainee, config: LoopConfig, out: Path, accelerator: Accelerator, data: dict[str, Any]
    ) -> None:
        from timm.utils import ModelEmaV3

        self._trainee, self._config, self._out, self._accelerator = trainee, config, out, accelerator
        trainee.module.to(accelerator.device)
        self._optimiser = trainee.optimiser()
        self._largest = [group["lr"] for group in self._optimiser.param_groups]
        self._average = ModelEmaV3(trainee.net, decay=config.ema, use_warmup=True) if config.ema else None
        self._kept = {"module": trainee.module} | ({"average": self._average.module} if self._average else {})
        self._data = data
        self.done = load_checkpoint(out, self._kept, self._optimiser, data)
        self._net, self._wrapped = accelerator.prepare(trainee.net, self._optimiser)
        trainee.training()

    def step(self, batch: Batch, everyone: Processes) -> Step:
        """Make the next step."""
        for group, largest in zip(self._optimiser.param_groups, self._largest, strict=True):
            group["lr"] = largest * rate(self.done, self._config)
        self.done += 1
        placed = batch.to(self._accelerator.device)
        output = self._net(placed.image.contiguous(memory_format=torch.channels_last)).float()
        loss, terms = self._trainee.loss(output, placed, self.done, everyone)
        if not torch.isfinite(loss):
            raise ConfigError(
                f"the loss became {loss.item()} at step {self.done}: lower the learning rate (now {self._config.lr})"
            )
        self._wrapped.zero_grad(set_to_none=True)
        self._accelerator.backward(loss)
        self._wrapped.step()
        if self._average:
            self._average.update(self._trainee.net, step=self.done)
        numbers = {name: term.item() for name, term in terms.items()}
        return Step(step=self.done, loss=loss.item(), terms=numbers, lr=self._optimiser.param_groups[-1]["lr"])

    def checkpoint(self) -> None:
        """Write a checkpoint."""
        save_checkpoint(self._out, self.done, self._kept, self._optimiser, self._data, growing=(LOG_FILE,))

    def finish(self, more: Callable[[], Sequence[str]]) -> None:
        """Write the model, with the averaged weights if there are any, and remove the checkpoint.

        more: writes what else belongs to the model, and returns the names.
        """
        if self._average:
            self._trainee.net.load_state_dict(self._average.module.state_dict())
        self._trainee.module.eval()
        if self._accelerator.is_main_process:
            self._trainee.save(self._out)
            files = CONFIG_FILE, LOG_FILE, WEIGHTS_FILE, MODEL_FILE, *more()
            record(self._out, files, gone=(CHECKPOINT_FILE,))
            (self._out / CHECKPOINT_FILE).unlink(missing_ok=True)
        self._accelerator.wait_for_everyone()


def _accelerator(config: LoopConfig, options: LoopOptions) -> Accelerator:
    """Return the accelerator of a run, with the precision and device that it asks for."""
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    # Its state is one for the process, and refuses what differs from an earlier run in the same notebook.
    AcceleratorState._reset_state(reset_partial_state=not torch.distributed.is_initialized())
    return Accelerator(mixed_precision=config.precision, cpu=options.cpu)


def fit(
    trainee: Trainee,
    views: Views,
    config: LoopConfig,
    out: Path,
    options: LoopOptions,
    on_step: Callable[[Step], None],
    cads: Mapping[str, str] | None = None,
    more: Callable[[], Sequence[str]] = tuple,
) -> None:
    """Train, and write configuration, log, curves, checkpoints and the model to `out`.

    An interrupted run resumes from its last checkpoint, on the CPU with the same bits as an uninterrupted one. Every
    process of an `accelerate launch` calls this; `config.batch` is the batch of all of them. cads: the identity of the
    CAD models that the trainee is made from. more: called in one process when the model is written; it writes other
    files, and returns their names. ConfigError if the loss becomes non-finite, RunError if `out` was begun on other
    data, DataError if it is damaged.
    """
    out.mkdir(parents=True, exist_ok=True)
    accelerator = _accelerator(config, options)
    everyone = Processes(
        rank=accelerator.process_index,
        count=accelerator.num_processes,
        summed=lambda tensor: accelerator.reduce(tensor, "sum"),
        gathered=accelerator.gather,
    )
    main = accelerator.is_main_process
    if main:
        check_files(out)
        save_config(config, out / CONFIG_FILE)
        record(out, (CONFIG_FILE,))
    data = data_identity(*views.sources) | ({"cads": dict(cads)} if cads else {})
    fitting = _Fit(trainee, config, out, accelerator, data)
    batches = loader(
        views, config, first=fitting.done, workers=options.workers, rank=everyone.rank, processes=everyone.count
    )
    with closing(_Log(out, fitting.done, main)) as log:
        for batch in batches:
            step = fitting.step(batch, everyone)
            log.write(step)
            if main and step.step % options.checkpoint_every == 0 and step.step < config.steps:
                fitting.checkpoint()
            on_step(step)
    fitting.finish(more)
