"""Image to unit feature map: any timm network, its layers merged at stride 8."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

import timm
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from p3d_gen.core.errors import ConfigError
from pose_models.config import BACKBONE

STRIDE = 8
# Mean and standard deviation of ImageNet, which networks of random weights and all models of version 0.1.0 are given.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

Merge = Literal["sum", "resnetext"]


@dataclass(frozen=True, kw_only=True)
class BackboneSpec:
    """A feature net.

    name: any timm network that gives feature maps, convolutional or a ViT. max_stride: stride of the coarsest map that
    is used. merge: "sum" or "resnetext", see `FeatureNet`. width: channels of the sum. channels: those of the output.
    mean, std: of the network's input, (R, G, B) in 0..1, see `input_statistics`. weights: what the body started from,
    as in `config.LoopConfig`; "" if that was not recorded.
    """

    name: str = BACKBONE
    max_stride: int = 16
    merge: Merge = "sum"
    width: int = 128
    channels: int = 128
    mean: tuple[float, ...] = MEAN
    std: tuple[float, ...] = STD
    weights: str = ""


class _Sum(nn.Module):
    """1x1 convolutions to one width, bilinear resizing to the finest map, the sum, and a 3x3 convolution."""

    def __init__(self, counts: Sequence[int], width: int, channels: int) -> None:
        super().__init__()
        self.lateral = nn.ModuleList([nn.Conv2d(count, width, 1, bias=False) for count in counts])
        self.merge = nn.Sequential(
            nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
        )
        self.project = nn.Conv2d(width, channels, 1)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        merged = self.lateral[0](maps[0])
        for layer, coarse in zip(self.lateral[1:], maps[1:], strict=True):
            merged = merged + F.interpolate(layer(coarse), size=merged.shape[-2:], mode="bilinear")
        return self.project(F.relu(self.merge(merged)))


def _double_conv(count: int, middle: int, out: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for a, b in ((count, middle), (middle, out)):
        layers += [nn.Conv2d(a, b, 3, padding=1), nn.BatchNorm2d(b), nn.ReLU()]
    return nn.Sequential(*layers)


class _ResNetExt(nn.Module):
    """The papers' head: from the coarsest map on, two 3x3 convolutions, upsampling, and the next finer map added."""

    def __init__(self, counts: Sequence[int], channels: int) -> None:
        super().__init__()
        stages, width = [], 0
        for count in reversed(counts):
            stages.append(_double_conv(width + count, (width + count) // 2, count // 2))
            width = count // 2
        self.stages = nn.ModuleList(stages)
        self.project = nn.Conv2d(width, channels, 1, bias=False)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        x = self.stages[0](maps[-1])
        for stage, finer in zip(self.stages[1:], reversed(maps[:-1]), strict=True):
            x = F.interpolate(x, size=finer.shape[-2:], mode="bilinear", align_corners=True)
            x = stage(torch.cat([finer, x], dim=1))
        return self.project(x)


class FeatureNet(nn.Module):
    """Unit features (B, D, H/8, W/8) of images (B, 3, H, W) in 0..1, H and W multiples of 16.

    `body` is the timm network, `head` merges its maps, and each cell is L2-normalised. A convolutional network gives
    its maps of stride 8 up to `max_stride`. A ViT gives the tokens of its last three blocks; its picture is resized so
    that a token stands for 16 x 16 pixels (or 8 x 8 for smaller patches), and the sum is formed at stride 8.
    merge "sum": 1x1 convolutions to one width, their sum, and one 3x3 convolution. merge "resnetext": the head of the
    papers; with ResNet-50 and max_stride 32 it is their network.
    """

    def __init__(self, spec: BackboneSpec) -> None:
        """Make the network with random weights. ConfigError if timm does not have it, or it lacks the maps."""
        super().__init__()
        probe = create_body(spec.name)
        strides = probe.feature_info.reduction()
        self.skip, self.patch = 0, 0
        if len(set(strides)) == 1:
            if spec.merge == "resnetext":
                raise ConfigError(f"backbone {spec.name!r} has tokens of one stride, {strides[0]}: use the merge 'sum'")
            self.patch = strides[0]
            self.body = probe
            counts = probe.feature_info.channels()
        else:
            levels = [i for i, stride in enumerate(strides) if STRIDE <= stride <= spec.max_stride]
            if not levels or strides[levels[0]] != STRIDE:
                raise ConfigError(
                    f"backbone {spec.name!r} has no feature map of stride {STRIDE}, but of {strides}: choose another, "
                    "such as 'resnet18'"
                )
            # From stride 4 on: weights files of whole bodies fit, and timm drops what lies beyond the last map.
            first = next(i for i, stride in enumerate(strides) if stride >= 4)
            self.body = create_body(spec.name, out_indices=tuple(range(first, levels[-1] + 1)))
            self.skip = levels[0] - first
            counts = self.body.feature_info.channels()[self.skip :]
        if spec.merge == "sum":
            self.head = _Sum(counts, spec.width, spec.channels)
        else:
            self.head = _ResNetExt(counts, spec.channels)
        self.register_buffer("mean", torch.tensor(spec.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(spec.std).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Return unit features (B, D, H/8, W/8), float32, of images (B, 3, H, W) in 0..1."""
        height, width = images.shape[-2:]
        x = (images - self.mean) / self.std
        if self.patch:
            cell = STRIDE if self.patch <= STRIDE else 2 * STRIDE
            size = height // cell * self.patch, width // cell * self.patch
            x = x if size == (height, width) else F.interpolate(x, size=size, mode="bilinear", antialias=True)
        maps = self.body(x)[self.skip :]
        if self.patch > STRIDE:
            fine = height // STRIDE, width // STRIDE
            maps = [F.interpolate(m, size=fine, mode="bilinear") for m in maps]
        return F.normalize(self.head(maps).float(), dim=1)


def stem(net: FeatureNet) -> list[nn.Module]:
    """Return the first modules of the body: all up to its map of stride 4, or a ViT's patch embedding."""
    if net.patch:
        return [net.body.model.patch_embed]
    levels = zip(net.body.feature_info.reduction(), net.body.feature_info.module_name(), strict=True)
    last = next(name for stride, name in levels if stride >= 4)
    names = dict(net.body.named_children())
    return _up_to(net.body, [last.replace(".", "_")] if last.replace(".", "_") in names else last.split("."))


def _up_to(module: nn.Module, path: Sequence[str]) -> list[nn.Module]:
    """Return the children of a module, in their order, up to the one that `path` leads to."""
    before: list[nn.Module] = []
    for name, child in module.named_children():
        if name == path[0]:
            return [*before, *(_up_to(child, path[1:]) if len(path) > 1 else [child])]
        before.append(child)
    raise ConfigError(f"this backbone has no module {'.'.join(path)}: its stem is unknown; use freeze 'norm' or 'body'")


def check_backbone(name: str) -> None:
    """Check that timm has a network of this name. ConfigError with the nearest names if it has none."""
    if ":" in name or timm.is_model(name):  # local-dir: and hf-hub: name a folder or a repository
        return
    near = difflib.get_close_matches(name, timm.list_models(), n=3)
    remedy = f"did you mean {' or '.join(map(repr, near))}?" if near else "timm.list_models() lists all of them"
    raise ConfigError(f"timm has no network {name!r}; {remedy}")


def input_statistics(name: str, weights: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and std (R, G, B), in 0..1, of the input that the weights of timm's network `name` were trained on.

    weights: see `config.LoopConfig`; random ones are given the input of ImageNet.
    """
    if weights == "":
        return MEAN, STD
    config = timm.data.resolve_model_data_config(create_body(name))
    return tuple(config["mean"]), tuple(config["std"])


def create_body(name: str, out_indices: tuple[int, ...] | None = None) -> nn.Module:
    """Make timm's network `name` so that it gives its feature maps, for pictures of any size, and nothing beyond."""
    check_backbone(name)
    options = {"out_indices": out_indices} if out_indices else {}
    try:
        with suppress(TypeError):  # only ViTs are built for one size and know the option
            return timm.create_model(name, features_only=True, dynamic_img_size=True, **options)
        return _trimmed(timm.create_model(name, features_only=True, **options))
    except Exception as error:  # timm and the hub raise whatever they do
        raise ConfigError(f"timm gives no feature maps of {name!r}: {error}; choose another --backbone") from error


def _trimmed(body: nn.Module) -> nn.Module:
    """Drop the stages beyond the last map, which timm keeps, and computes, in EfficientNets and MobileNets."""
    last = re.fullmatch(r"blocks\.(\d+)", body.feature_info.module_name()[-1])
    if last and hasattr(body, "blocks"):
        body.blocks = body.blocks[: int(last[1]) + 1]
        body.register_load_state_dict_pre_hook(_forget_trimmed)
    return body


def _forget_trimmed(body: nn.Module, state: dict[str, Tensor], prefix: str, *_: object) -> None:
    """Leave out the stages that models of version 0.1.0 have beyond the last map."""
    for name in [name for name in state if name.startswith(f"{prefix}blocks.")]:
        if int(name.removeprefix(f"{prefix}blocks.").split(".")[0]) >= len(body.blocks):
            del state[name]
