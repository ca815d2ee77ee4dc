"""The augmented views that a training run sees: which sample at which step, a pure function of the configuration."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Sequence
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, Sampler

from p3d_gen.core.errors import ConfigError
from pose_models.config import LoopConfig
from pose_models.data.augment import Backgrounds, augmented
from pose_models.data.passing import collate_to_pass
from pose_models.data.sample import Batch, PoseSample

_log = logging.getLogger(__name__)
_ORDER, _AUGMENT = 1, 2


class Views(Dataset[PoseSample]):
    """View number step * batch + slot of a run, whatever the process, its predecessors, or where the run was stopped.

    Of each batch, `real_share` comes from `real`, the rest from `renders`. Every sample of a source is seen once per
    epoch of that source, in an order drawn for each epoch; all random numbers of a view come from its own generator.
    """

    def __init__(
        self,
        renders: Sequence[PoseSample],
        real: Sequence[PoseSample],
        canvas_hw: tuple[int, ...],
        config: LoopConfig,
        backgrounds: Backgrounds | None,
        unmirrored: Collection[str] = (),
    ) -> None:
        """Mix two sources of samples; those of the `unmirrored` categories are not mirrored.

        ValueError if a source that is asked for holds nothing.
        """
        self._sources = (renders, real)
        self._shares = (1 - config.real_share, config.real_share)
        for name, source, share in zip(("rendered", "real"), self._sources, self._shares, strict=True):
            if share > 0 and not len(source):
                raise ConfigError(f"real_share = {config.real_share} needs {name} images, but none are given")
        self._canvas_hw, self._config, self._backgrounds = canvas_hw, config, backgrounds
        self._unmirrored = frozenset(unmirrored)
        if unmirrored and config.augment.mirror:
            _log.info("pictures of %s are not mirrored: left and right of its shapes differ", ", ".join(unmirrored))

    @property
    def sources(self) -> tuple[Sequence[PoseSample], Sequence[PoseSample], Backgrounds | None]:
        """Renders, photographs and backgrounds; empty sequences for those that are never shown."""
        renders, real = (source if share > 0 else () for source, share in zip(self._sources, self._shares, strict=True))
        return renders, real, self._backgrounds

    def __len__(self) -> int:
        """Return the number of views of the whole run."""
        return self._config.steps * self._config.batch

    def which(self, number: int) -> tuple[int, int]:
        """Return the source (0 renders, 1 real) of a view, and its sample."""
        batch = self._config.batch
        step, slot = divmod(number, batch)
        # Real images that all steps before this one have shown, and all to its end: shares come out exact over time.
        shown, then = (int(n * batch * self._shares[1] + 1e-9) for n in (step, step + 1))
        real = slot < then - shown
        drawn = shown + slot if real else number - then
        source = int(real)
        epoch, position = divmod(drawn, len(self._sources[source]))
        return source, int(_order(self._config.seed, source, epoch, len(self._sources[source]))[position])

    def __getitem__(self, number: int) -> PoseSample:
        """Return the augmented view of a number."""
        source, index = self.which(number)
        step, slot = divmod(number, self._config.batch)
        rng = np.random.default_rng([self._config.seed, _AUGMENT, step, slot])
        config, sample = self._config, self._sources[source][index]
        augment = config.augment.of_category(sample.category, self._unmirrored)
        return augmented(sample, self._canvas_hw, config.box_fill, augment, self._backgrounds, rng)


@lru_cache(maxsize=4)
def _order(seed: int, source: int, epoch: int, count: int) -> NDArray[np.int64]:
    return np.random.default_rng([seed, _ORDER, source, epoch]).permutation(count)


class _Steps(Sampler[list[int]]):
    """The views of each step from `first` on that belong to process `rank` of `processes`."""

    def __init__(self, first: int, config: LoopConfig, rank: int, processes: int) -> None:
        if config.batch % processes:
            raise ConfigError(f"batch {config.batch} does not divide among {processes} processes: choose a multiple")
        self._first, self._steps, self._batch = first, config.steps, config.batch
        share = config.batch // processes
        self._slots = range(rank * share, (rank + 1) * share)

    def __len__(self) -> int:
        return self._steps - self._first

    def __iter__(self) -> Iterator[list[int]]:
        for step in range(self._first, self._steps):
            yield [step * self._batch + slot for slot in self._slots]


def _one_thread(worker: int) -> None:
    cv2.setNumThreads(0)  # threads of a library may hang in forked workers, and the workers are the parallelism


def loader(
    views: Views, config: LoopConfig, *, first: int, workers: int, rank: int, processes: int
) -> DataLoader[Batch]:
    """Load the batches of this process from step `first` (counted from 0) on, the same for any number of `workers`."""
    return DataLoader(
        views,
        batch_sampler=_Steps(first, config, rank, processes),
        num_workers=workers,
        collate_fn=collate_to_pass,
        worker_init_fn=_one_thread,
        persistent_workers=False,
        pin_memory=False,
    )
