"""Image to unit feature map: a timm network, its layers merged at stride 8."""

from __future__ import annotations

from pathlib import Path

import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

STRIDE = 8
_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)


class FeatureNet(nn.Module):
    """Unit features (B, D, H/8, W/8) of images (B, 3, H, W) in 0..1, H and W multiples of 16.

    The network's maps of stride 8 and coarser are brought to one width by 1x1 convolutions, resized to stride 8,
    summed, mixed by a 3x3 convolution and projected to `channels`; each cell is L2-normalised.
    """

    def __init__(self, name: str, *, max_stride: int = 16, channels: int = 128, width: int = 256) -> None:
        """Random weights for timm's network `name`, cut at `max_stride`; ValueError where it has no stride-8 map."""
        super().__init__()
        probe = timm.create_model(name, features_only=True)
        strides = probe.feature_info.reduction()
        levels = [i for i, stride in enumerate(strides) if STRIDE <= stride <= max_stride]
        if not levels or strides[levels[0]] != STRIDE:
            raise ValueError(f"backbone {name!r} has no feature map of stride {STRIDE}; its strides are {strides}")
        # From stride 4 on: the shared weights file keeps that map too, and timm drops what lies beyond the last.
        first = next(i for i, stride in enumerate(strides) if stride >= 4)
        self.body = timm.create_model(name, features_only=True, out_indices=tuple(range(first, levels[-1] + 1)))
        self.skip = levels[0] - first
        counts = self.body.feature_info.channels()[self.skip :]
        self.lateral = nn.ModuleList([nn.Conv2d(count, width, 1, bias=False) for count in counts])
        self.merge = nn.Sequential(
            nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
        )
        self.project = nn.Conv2d(width, channels, 1)
        self.register_buffer("mean", torch.tensor(_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(_STD).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Unit features (B, D, H/8, W/8), float32, of images (B, 3, H, W) in 0..1."""
        maps = self.body((images - self.mean) / self.std)[self.skip :]
        merged = self.lateral[0](maps[0])
        for layer, coarse in zip(self.lateral[1:], maps[1:], strict=True):
            merged = merged + F.interpolate(layer(coarse), size=merged.shape[-2:], mode="bilinear")
        return F.normalize(self.project(F.relu(self.merge(merged))).float(), dim=1)


def load_weights(net: FeatureNet, path: Path) -> None:
    """Fill the network's body from a safetensors file: the state dict of a timm `features_only` model.

    ValueError naming the file where it is no such file, or holds other tensors than the body.
    """
    try:
        state = load_file(path)
    except (OSError, SafetensorError) as error:
        raise ValueError(f"cannot read weights {path}: {error}; give a .safetensors state dict") from error
    own = net.body.state_dict()
    missing = sorted(k for k in own.keys() - state.keys() if not k.endswith("num_batches_tracked"))
    wrong = sorted(k for k in own.keys() & state.keys() if own[k].shape != state[k].shape)
    if missing or wrong:
        raise ValueError(
            f"weights {path} do not fit this backbone: {len(missing)} tensors missing {missing[:3]}, "
            f"{len(wrong)} of another shape {wrong[:3]}; choose the --backbone they belong to"
        )
    net.body.load_state_dict({k: v for k, v in state.items() if k in own}, strict=False)
