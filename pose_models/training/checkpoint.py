"""The state of an unfinished training: one safetensors file, complete or absent."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from p3d_gen.core.errors import RunError
from p3d_gen.run.record import difference
from pose_models.ledger import CHECKPOINT_FILE, SURROUNDINGS, record, surrounding_faults, surroundings
from pose_models.tensor_file import tensor_fault, write_tensors

_AGAIN = "give --overwrite to start again"


def _optimiser_tensors(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    return {
        f"optimiser.{index}.{name}": value
        for index, state in optimiser.state_dict()["state"].items()
        for name, value in state.items()
    }


def save_checkpoint(
    folder: Path,
    step: int,
    modules: dict[str, nn.Module],
    optimiser: torch.optim.Optimizer,
    data: dict[str, Any] | None = None,
    growing: Sequence[str] = (),
) -> None:
    """Write modules and optimiser after `step` steps, atomically, and enter it into the folder's ledger.

    data: the identity of what it is trained on. growing: files of the folder that a resumed run continues.
    """
    tensors = {f"{name}.{key}": value for name, module in modules.items() for key, value in module.state_dict().items()}
    tensors |= _optimiser_tensors(optimiser)
    state = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    about = {"step": str(step), SURROUNDINGS: surroundings(folder, growing)} | (
        {} if data is None else {"data": json.dumps(data)}
    )
    write_tensors(folder / CHECKPOINT_FILE, save(state, metadata=about))
    record(folder, (), growing=growing, present=(CHECKPOINT_FILE,))


def _check_data(path: Path, recorded: str, data: dict[str, Any]) -> None:
    """Raise RunError if a checkpoint was trained on other data."""
    began_with = json.loads(recorded)
    if began_with != data:
        raise RunError(
            f"{path} was trained on other data ({difference(began_with, data)}): give the same data again, choose "
            "another --out, or give --overwrite"
        )


def load_checkpoint(
    folder: Path,
    modules: dict[str, nn.Module],
    optimiser: torch.optim.Optimizer,
    data: dict[str, Any] | None = None,
) -> int:
    """Restore modules and optimiser; return the number of finished steps, 0 if there is no checkpoint.

    data: as JSON the identity of what it is trained on now. RunError, naming the file, if it cannot be read, belongs to
    another model, or was trained on other data. Version 0.1.0 recorded no data: such a checkpoint is resumed on any.
    """
    path = folder / CHECKPOINT_FILE
    if not path.is_file():
        return 0
    if fault := tensor_fault(path):
        raise RunError(f"{path} {fault}; put back a copy of it, or {_AGAIN}")
    if around := surrounding_faults(folder):
        raise RunError(f"{around[0].path} {around[0].fault}; put back a copy of it, or {_AGAIN}")
    try:
        with safe_open(path, framework="pt") as file:
            about = file.metadata()
            step = int(about["step"])
            if data is not None and "data" in about:
                _check_data(path, about["data"], data)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  not a mapping
        for name, module in modules.items():
            prefix = f"{name}."
            module.load_state_dict({k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)})
    except (OSError, KeyError, ValueError, TypeError, RuntimeError, SafetensorError) as error:
        raise RunError(f"cannot resume from {path}: {error}; {_AGAIN}") from error
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("optimiser."):
            _, index, key = name.split(".")
            state.setdefault(int(index), {})[key] = value
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
    return step
