"""The configuration of a training: validated, and saved with the run as TOML. Light to import."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import tomli_w
from pydantic import AfterValidator, Field, model_validator

from p3d_gen.run.files import write_bytes
from p3d_gen.spec.sections import Positive, Section, Unit, load_section
from pose_models.ledger import MARK

Precision = Literal["no", "bf16", "fp16"]
# The default backbone, whose weights from ImageNet a package brings, and the names of weights that are no files.
BACKBONE, IMAGENET, HUB, RANDOM = "tf_efficientnet_lite0", "imagenet", "hub", "none"


class AugmentConfig(Section):
    """The variation of training pictures.

    zoom: largest factor either way. shift: largest offset, as a share of the canvas. roll_std_deg: standard deviation
    of the in-plane turn (released code: 5). The others are probabilities or strengths in 0..1: tight is the probability
    of padding everything outside the object's box, as a crop to the box would; occlusion is that of a patch of another
    picture in front of the object. The defaults, `STRONG`, aim at photographs; `MILD` at pictures like the training
    ones.
    """

    mirror: bool = True
    zoom: Annotated[float, Field(ge=1)] = 1.15
    shift: Unit = 0.05
    roll_std_deg: Annotated[float, Field(ge=0)] = 5.0
    background: Unit = 0.9
    tight: Unit = 0.5
    colour: Unit = 0.5
    hue: Unit = 0.15
    grey: Unit = 0.2
    blur: Unit = 0.3
    jpeg: Unit = 0.3
    low_resolution: Unit = 0.5
    noise: Unit = 0.2
    occlusion: Unit = 0.2

    def of_category(self, category: str, unmirrored: Collection[str]) -> AugmentConfig:
        """Return the variation of pictures of a category: not mirrored if it is one of `unmirrored`."""
        return self.model_copy(update={"mirror": False}) if self.mirror and category in unmirrored else self


STRONG = AugmentConfig()
MILD = AugmentConfig(
    tight=0.3, colour=0.3, hue=0.1, grey=0.1, blur=0.1, jpeg=0.1, low_resolution=0.0, noise=0.0, occlusion=0.0
)


def _kept(weights: str) -> str:
    return "" if weights == RANDOM else weights


class LoopConfig(Section):
    """The configuration that all trainings have in common.

    weights: those of the backbone's body: "imagenet" for those that come with the default backbone, "hub" for timm's, a
    safetensors file, or "none" for random ones, which is kept as "". freeze: fixed part of a pretrained body: "none",
    "norm" (its BatchNorm statistics), "stem" (these, and all weights up to stride 4), "body".
    image_size: long side of the canvas in pixels. box_fill: share of the canvas that an object's box fills.
    real_share: share of labelled photographs in each batch. real_distance: distance of the object in box diagonals, for
    photographs that are labelled with the rotation and the box alone.
    lr, head_lr: largest learning rates of the body and of everything after it. warmup: share of the steps in which
    they rise; afterwards they fall along half a cosine. ema: decay of the averaged weights that are saved, 0 for none.
    precision: number format of the network's layers, "no" for float32.
    """

    categories: Annotated[tuple[str, ...], Field(min_length=1)]
    backbone: str = BACKBONE
    weights: Annotated[str, AfterValidator(_kept)] = IMAGENET
    freeze: Literal["none", "norm", "stem", "body"] = "stem"
    image_size: Annotated[int, Field(ge=32)] = 256
    box_fill: Annotated[float, Field(gt=0, le=1)] = 0.9
    steps: Annotated[int, Field(ge=1)] = 1200
    batch: Annotated[int, Field(ge=2)] = 12
    real_share: Unit = 0.0
    real_distance: Annotated[float, Field(gt=0.5)] = 3.0
    lr: Positive = 3e-4
    head_lr: Positive = 1e-3
    weight_decay: Annotated[float, Field(ge=0)] = 1e-4
    warmup: Unit = 0.1
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.0
    precision: Precision = "no"
    seed: Annotated[int, Field(ge=0)] = 0
    augment: AugmentConfig = STRONG

    @model_validator(mode="after")
    def _check(self) -> LoopConfig:
        if len(set(self.categories)) < len(self.categories):
            raise ValueError(f"a category is named twice in {list(self.categories)}")
        return self


class TrainConfig(LoopConfig):
    """A neural mesh model and its training.

    max_stride, merge, width, channels: see `backbone.BackboneSpec`.
    vertices: approximate number of vertices of the cuboid. box_fraction: share of the pooled CAD vertices inside it
    (NeMo: .99, P3D-Diffusion: .9999). bank_init, bank_update, bank_momentum: see the vertex features in `nmm`.
    temperature, clutter_weight, clutter_term: see `losses`. neighbour_radius: vertices closer than this, in obj units,
    are not contrasted with each other. clutter_images: number of images whose clutter the bank holds.
    """

    max_stride: Literal[8, 16, 32] = 16
    merge: Literal["sum", "resnetext"] = "sum"
    width: Annotated[int, Field(ge=1)] = 128
    channels: Annotated[int, Field(ge=2)] = 128
    vertices: Annotated[int, Field(ge=50)] = 500
    box_fraction: Annotated[float, Field(gt=0, le=1)] = 0.9999
    bank_init: Literal["smooth", "uniform"] = "smooth"
    bank_update: Literal["visible", "batch"] = "visible"
    bank_momentum: Annotated[float, Field(ge=0, lt=1)] = 0.99
    temperature: Positive = 0.07
    clutter_weight: Positive = 0.005
    clutter_term: Annotated[float, Field(ge=0)] = 0.1
    neighbour_radius: Annotated[float, Field(ge=0)] = 0.1
    clutter_per_image: Annotated[int, Field(ge=1)] = 5
    clutter_images: Annotated[int, Field(ge=1)] = 128


Config = TypeVar("Config", bound=Section)


def save_config(config: Section, path: Path) -> None:
    """Write a configuration as TOML, atomically, without the fields that are None, which TOML does not have."""
    write_bytes(path, (MARK + tomli_w.dumps(config.model_dump(mode="json", exclude_none=True))).encode())


def load_config(kind: type[Config], path: Path) -> Config:
    """Read the configuration of a TOML file. Raise ConfigError with the file and every key that does not fit."""
    return load_section(kind, path, "configuration")
