"""The state of an unfinished training: one safetensors file, complete or absent."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from p3d_gen.core.errors import RunError
from p3d_gen.run.files import write_bytes

CHECKPOINT_FILE = "checkpoint.safetensors"


def _optimiser_tensors(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    return {
        f"optimiser.{index}.{name}": value
        for index, state in optimiser.state_dict()["state"].items()
        for name, value in state.items()
    }


def save_checkpoint(folder: Path, step: int, modules: dict[str, nn.Module], optimiser: torch.optim.Optimizer) -> None:
    """Write modules and optimiser after `step` steps, atomically."""
    tensors = {f"{name}.{key}": value for name, module in modules.items() for key, value in module.state_dict().items()}
    tensors |= _optimiser_tensors(optimiser)
    state = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    write_bytes(folder / CHECKPOINT_FILE, save(state, metadata={"step": str(step)}))


def load_checkpoint(folder: Path, modules: dict[str, nn.Module], optimiser: torch.optim.Optimizer) -> int:
    """Restore modules and optimiser; return the number of finished steps, 0 if there is no checkpoint.

    RunError, naming the file, if it cannot be read or belongs to another model.
    """
    path = folder / CHECKPOINT_FILE
    if not path.is_file():
        return 0
    try:
        with safe_open(path, framework="pt") as file:
            step = int(file.metadata()["step"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  not a mapping
        for name, module in modules.items():
            prefix = f"{name}."
            module.load_state_dict({k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)})
    except (OSError, KeyError, ValueError, TypeError, RuntimeError, SafetensorError) as error:
        raise RunError(f"cannot resume from {path}: {error}; remove it to start again") from error
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("optimiser."):
            _, index, key = name.split(".")
            state.setdefault(int(index), {})[key] = value
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
    return step
