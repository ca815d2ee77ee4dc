"""Res-General, one network for all categories that classifies the viewpoint, and its files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.nn import functional as F

from p3d_gen.core.errors import ConfigError, DataError, did_you_mean
from p3d_gen.run.files import write_bytes, write_json
from pose_models.backbone import MEAN, STD, create_body
from pose_models.baselines.config import Heads
from pose_models.categories import KnownCategories, known_fields, spec_fields
from pose_models.ledger import MODEL_FILE, check_files
from pose_models.nmm import WEIGHTS_FILE

KIND = "res-general"
SCHEMA = 1


@dataclass(frozen=True, kw_only=True)
class BaselineSpec(KnownCategories):
    """The architecture of a model; see `config.BaselineConfig`.

    categories: those it was trained on, in the order of the heads. mode_rotations: for each of them R_cam_obj, the most
    frequent training rotation, its 9 numbers row by row. canvas_hw: input size in pixels; box_fill: share of the canvas
    that an object's box fills. mean, std, weights: see `backbone.BackboneSpec`.
    """

    backbone: str
    max_stride: int
    bins: int
    heads: Heads
    categories: tuple[str, ...]
    mode_rotations: tuple[tuple[float, ...], ...]
    canvas_hw: tuple[int, ...]
    box_fill: float
    mean: tuple[float, ...] = MEAN
    std: tuple[float, ...] = STD
    weights: str = ""


def _body(name: str, max_stride: int) -> tuple[nn.Module, int]:
    """Make timm's network up to its last map of at most `max_stride`, and 0; or a whole ViT and its patches' side."""
    probe = create_body(name)
    strides = probe.feature_info.reduction()
    usable = [i for i, stride in enumerate(strides) if stride <= max_stride]
    if not usable:
        raise ConfigError(f"backbone {name!r} has no feature map of stride {max_stride} or less, but of {strides}")
    if len(set(strides)) == 1:
        return probe, strides[0]
    # From stride 4 on, as in `backbone.FeatureNet`, so that its stem can be found.
    first = min(next(i for i, stride in enumerate(strides) if stride >= 4), usable[-1])
    return create_body(name, out_indices=tuple(range(first, usable[-1] + 1))), 0


class ResGeneral(nn.Module):
    """Scores (logits) of the viewpoint's bins: a timm network, its last map averaged, and one linear layer.

    "Res50-General" of the NeMo and P3D-Diffusion papers is ResNet-50 with one head ("general"), which is not given the
    category. StarMap's code has an output block for each category too ("category"), chosen by the label.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, spec: BaselineSpec) -> None:
        """Make it with random weights. ConfigError if timm does not have the network, or no map is fine enough."""
        super().__init__()
        self.spec = spec
        self.body, self.patch = _body(spec.backbone, spec.max_stride)
        self._heads = 1 if spec.heads == "general" else len(spec.categories)
        self.head = nn.Linear(self.body.feature_info.channels()[-1], self._heads * 3 * spec.bins)
        self.register_buffer("mean", torch.tensor(spec.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(spec.std).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Return scores (B, heads, 3, bins) of images (B, 3, H, W) in 0..1."""
        x = (images - self.mean) / self.std
        if self.patch:
            size = [max(1, round(side / self.patch)) * self.patch for side in x.shape[-2:]]
            x = x if size == list(x.shape[-2:]) else F.interpolate(x, size=size, mode="bilinear", antialias=True)
        pooled = self.body(x)[-1].mean((-2, -1))
        return self.head(pooled).unflatten(1, (self._heads, 3, self.spec.bins))

    def chosen(self, scores: Tensor, categories: Sequence[str]) -> Tensor:
        """Return the scores (B, 3, bins) of the head of each image's category, from (B, heads, 3, bins).

        DataError if the model was not trained on a category, whatever its heads.
        """
        known = self.spec.categories
        if unknown := next((name for name in categories if name not in known), None):
            raise DataError(f"the model was not trained on {unknown!r}{did_you_mean(unknown, known)}")
        rows = torch.tensor([known.index(name) if self._heads > 1 else 0 for name in categories], device=scores.device)
        return scores[torch.arange(len(scores), device=scores.device), rows]


def save_baseline(model: ResGeneral, folder: Path) -> None:
    """Write weights (safetensors), then the spec (JSON) that marks the model as complete."""
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    write_bytes(folder / WEIGHTS_FILE, save(state))
    write_json(folder / MODEL_FILE, {"schema": SCHEMA, "kind": KIND, **spec_fields(model.spec)})


def model_kind(folder: Path) -> str:
    """Return the kind of the model in a run folder: "res-general", or "neural-mesh", whose file names no kind.

    DataError if there is no model, or its JSON cannot be read.
    """
    path = folder / MODEL_FILE
    if not path.is_file():
        raise DataError(f"{folder} holds no {MODEL_FILE}: not the --out of a finished training")
    check_files(folder, MODEL_FILE)
    try:
        return str(json.loads(path.read_text()).get("kind", "neural-mesh"))
    except (OSError, ValueError, AttributeError) as error:
        raise DataError(f"cannot read {path}: {error}; it is damaged: train again") from error


def load_baseline(folder: Path, device: torch.device) -> ResGeneral:
    """Load the model of a run folder, in evaluation mode.

    DataError, naming the file, if it is another kind of model or cannot be read.
    """
    path = folder / MODEL_FILE
    if (kind := model_kind(folder)) != KIND:
        raise DataError(f"{path} is a model of kind {kind!r}, not {KIND!r}: give the --out of a baseline's training")
    check_files(folder, WEIGHTS_FILE)
    try:
        fields: dict[str, Any] = json.loads(path.read_text())
        if (schema := fields.pop("schema", None)) != SCHEMA:
            raise DataError(
                f"{path} has schema {schema}, this version of p3dgen reads {SCHEMA}: use the version it was made by"
            )
        del fields["kind"]
        numbers = {name: tuple(fields[name]) for name in ("canvas_hw", "mean", "std") if name in fields}
        fields |= {"categories": tuple(fields["categories"])} | numbers | known_fields(path, fields)
        fields["mode_rotations"] = tuple(tuple(numbers) for numbers in fields["mode_rotations"])
        spec = BaselineSpec(**fields)
        model = ResGeneral(spec)
        model.load_state_dict(load_file(folder / WEIGHTS_FILE))
    except DataError:
        raise
    except (OSError, KeyError, ValueError, TypeError, AttributeError, RuntimeError, SafetensorError) as error:
        raise DataError(f"cannot read the model in {folder}: {error}; it is damaged or incomplete") from error
    placed: ResGeneral = model.to(device, memory_format=torch.channels_last).eval()
    return placed
