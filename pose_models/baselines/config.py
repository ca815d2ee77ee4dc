"""The configuration of a classification baseline's training. Light to import."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from pose_models.config import LoopConfig

Heads = Literal["general", "category"]


class BaselineConfig(LoopConfig):
    """Res-General and its training.

    The papers use ResNet-50 with weights from ImageNet, every parameter learned (`freeze` none), 256 x 256 pixels,
    41 bins, one head, SGD at 0.01 (`lr` and `head_lr`), and 90 epochs of batches of 32.
    bins: number of classes of each angle. heads: "general", one for all categories; "category", one for each.
    max_stride: stride of the backbone's coarsest map, which is pooled; 32 is the whole network. optimiser: "sgd" has
    momentum 0.9.
    """

    bins: Annotated[int, Field(ge=4)] = 41
    heads: Heads = "general"
    max_stride: Literal[8, 16, 32] = 32
    optimiser: Literal["adamw", "sgd"] = "adamw"
