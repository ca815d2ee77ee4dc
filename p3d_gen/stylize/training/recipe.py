"""The recipe of a stylizer, a TOML file: its training data, its size, and the length of its training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from p3d_gen.spec.sections import Positive, Section, Unit, check_template, load_section, ordered

Count = Annotated[int, Field(ge=1)]
Size = Annotated[int, Field(ge=64, le=1024, multiple_of=64)]
Blocks = Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=2)]
Fill = Annotated[float, Field(ge=0.1, le=1)]
Level = Annotated[int, Field(ge=0, le=255)]


class Autoencoder(Section):
    """The autoencoder (`AutoencoderTiny` of diffusers), which turns pictures into latents. It is trained first, alone.

    channels: number of channels of every level. latent_channels: number of channels of the latents.
    encoder_blocks, decoder_blocks: number of blocks of each level; each level halves the size.
    size, crop: it is trained on pieces of `crop` x `crop` pixels around the object, from pictures of `size` x `size`.
    batch, steps, learning_rate: pieces per step, number of steps, and largest learning rate.
    """

    channels: Annotated[int, Field(ge=8, multiple_of=8)] = 32
    latent_channels: Count = 8
    encoder_blocks: Blocks = (0, 0, 1)
    decoder_blocks: Blocks = (2, 2, 0)
    size: Size = 192
    crop: Size = 64
    batch: Count = 16
    steps: Count = 1500
    learning_rate: Positive = 2e-3

    @model_validator(mode="after")
    def _check(self) -> Autoencoder:
        ordered("crop and size", self.crop, self.size)
        if len(self.encoder_blocks) != len(self.decoder_blocks):
            raise ValueError("encoder_blocks and decoder_blocks must name the same number of levels")
        return self

    @property
    def factor(self) -> int:
        """Return the ratio of a picture's side to its latents' side."""
        return int(2 ** (len(self.encoder_blocks) - 1))


class Network(Section):
    """The denoiser, its ControlNet and the text encoder.

    channels: numbers of channels of the denoiser's levels; the last two levels attend to the prompt.
    head_width: width of an attention head. groups: number of groups of the normalization.
    control_channels: numbers of channels of the layers that read the control picture, one for each level of the
    autoencoder.
    text_width, text_layers, text_tokens: width, number of layers and longest prompt of the text encoder.
    """

    channels: Annotated[tuple[Count, ...], Field(min_length=2)] = (48, 96, 128, 160)
    head_width: Count = 32
    groups: Count = 16
    control_channels: Annotated[tuple[Count, ...], Field(min_length=2)] = (8, 16, 32)
    text_width: Annotated[int, Field(ge=32, multiple_of=32)] = 96
    text_layers: Count = 2
    text_tokens: Annotated[int, Field(ge=8, le=77)] = 16


class Phase(Section):
    """A part of the training. size: side of the pictures. steps: number of steps. batch: pictures per step."""

    size: Size = 128
    steps: Count = 3000
    batch: Count = 16


class Recipe(Section):
    """Everything that decides the weights of a stylizer. Paths are relative to the recipe.

    seed: seed of all random draws.
    prior, target: paths of two manifests that differ in surfaces and lights only, so that a sample has the same pose in
    both. The renders of the first give the edges, those of the second the pictures.
    templates: templates of the prompts; {colour} is the colour of the paint, {category} the category.
    unprompted: share of the samples that are shown without their prompt, for classifier-free guidance.
    canny_low, canny_high: ranges of the random thresholds of the edges.
    fill: range of the random share of a picture's side that the object's longer side fills.
    learning_rate: largest learning rate. warmup: number of steps in which it rises.
    ema: decay of the averaged weights, which are the ones that are saved.
    checkpoint: number of steps between two checkpoints.
    licence: SPDX id that is written to the model card.
    autoencoder, network, phases: see their sections; the phases follow each other.
    """

    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    prior: str
    target: str
    templates: Annotated[tuple[str, ...], Field(min_length=1)] = (
        "{colour} {category}",
        "a {colour} {category}",
        "a photo of a {colour} {category}",
    )
    unprompted: Unit = 0.1
    canny_low: tuple[Level, Level] = (60, 160)
    canny_high: tuple[Level, Level] = (160, 240)
    fill: tuple[Fill, Fill] = (0.6, 1.0)
    learning_rate: Positive = 5e-4
    warmup: Count = 100
    ema: Annotated[float, Field(gt=0, lt=1)] = 0.998
    checkpoint: Count = 200
    licence: str = "cc0-1.0"
    autoencoder: Autoencoder = Autoencoder()
    network: Network = Network()
    phases: Annotated[tuple[Phase, ...], Field(min_length=1)] = (Phase(), Phase(size=192, steps=500, batch=8))

    @model_validator(mode="after")
    def _check(self) -> Recipe:
        levels = len(self.autoencoder.encoder_blocks)
        if len(self.network.control_channels) != levels:
            raise ValueError(
                f"network.control_channels must name as many layers as the autoencoder has levels: {levels}"
            )
        ordered("fill", *self.fill)
        ordered("canny_low", *self.canny_low)
        ordered("canny_high", *self.canny_high)
        ordered("canny_low and canny_high", self.canny_low[1], self.canny_high[0])
        for template in self.templates:
            check_template(template, "colour", "category")
        return self


def load_recipe(path: Path) -> Recipe:
    """Read the recipe of a TOML file. Raise ConfigError with the file, the key, the value and the nearest valid key."""
    return load_section(Recipe, path, "recipe")
