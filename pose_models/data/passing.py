"""The passage of batches from the processes that load them: through shared memory, or through pipes if it is full."""

from __future__ import annotations

import functools
import logging
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import get_worker_info

from p3d_gen.run.scratch import RAM_DISK, free_bytes
from pose_models.data.augment import collate
from pose_models.data.sample import Batch, PoseSample

_logger = logging.getLogger(__name__)


@functools.cache
def _tell_once() -> None:
    _logger.warning(
        "%s has %.1f MB free, too little for the batches of the loading processes: they pass through pipes instead, "
        "which may be slower; docker run --shm-size gives more",
        RAM_DISK,
        free_bytes(RAM_DISK) / 2**20,
    )


def _received(values: dict[str, Any]) -> Batch:
    _tell_once()
    return Batch(**{name: torch.from_numpy(v) if isinstance(v, np.ndarray) else v for name, v in values.items()})


class _PipedBatch(Batch):
    """A batch that is pickled with its numbers. The tensors of others are pickled as places in shared memory."""

    def __reduce__(self) -> tuple[Any, ...]:
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return _received, ({name: v.numpy() if isinstance(v, Tensor) else v for name, v in values.items()},)


def collate_to_pass(samples: Sequence[PoseSample]) -> Batch:
    """Stack samples to a batch that can be passed to another process.

    torch itself moves tensors to shared memory in a thread of its own. If that fails, the batch is lost and its
    receiver waits forever. Therefore they are moved here, where the failure can be seen.
    """
    batch = collate(samples)
    if get_worker_info() is None:
        return batch
    values = {field.name: getattr(batch, field.name) for field in fields(batch)}
    try:
        for value in values.values():
            if isinstance(value, Tensor):
                value.share_memory_()
    except RuntimeError:  # torch's error if shared memory is full
        return _PipedBatch(**values)
    return batch
