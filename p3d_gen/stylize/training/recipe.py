"""The recipe of a stylizer: what it learns from, how large it is, and how long it is trained. A TOML file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from p3d_gen.spec.sections import Positive, Section, Unit, load_section, ordered

Count = Annotated[int, Field(ge=1)]
Size = Annotated[int, Field(ge=64, le=1024, multiple_of=64)]
Blocks = Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=2)]
Fill = Annotated[float, Field(ge=0.1, le=1)]
Level = Annotated[int, Field(ge=0, le=255)]


class Autoencoder(Section):
    """The autoencoder (`AutoencoderTiny` of diffusers): pictures to latents, halved in size from level to level.

    encoder_blocks, decoder_blocks: of each level. It is trained first, alone, on pieces of `crop` x `crop` pixels that
    are cut out of pictures of `size` x `size` where the object is.
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
        """A picture's side over its latents'."""
        return int(2 ** (len(self.encoder_blocks) - 1))


class Network(Section):
    """The denoiser, its ControlNet and the text encoder.

    channels: of the denoiser's levels; the last two attend to the prompt. control_channels: of the layers that read the
    control picture, one for each level of the autoencoder.
    """

    channels: Annotated[tuple[Count, ...], Field(min_length=2)] = (48, 96, 128, 160)
    head_width: Count = 32
    groups: Count = 16
    control_channels: Annotated[tuple[Count, ...], Field(min_length=2)] = (8, 16, 32)
    text_width: Annotated[int, Field(ge=32, multiple_of=32)] = 96
    text_layers: Count = 2
    text_tokens: Annotated[int, Field(ge=8, le=77)] = 16


class Phase(Section):
    """A stretch of the training: pictures of size x size, `batch` of them in each of `steps`."""

    size: Size = 128
    steps: Count = 3000
    batch: Count = 16


class Recipe(Section):
    """All that decides a stylizer's weights. Paths are relative to the recipe.

    prior, target: manifests that differ in their surfaces and lights only, so that the same sample has the same pose in
    both; the first gives the edges, the second the pictures.
    templates: of the prompts; {colour} is the paint's and {category} the object's. unprompted: share of the samples
    that are shown without their prompt, for classifier-free guidance.
    canny_low, canny_high: ranges that the edges' thresholds are drawn from. fill: range of the share of a picture's
    side that the object's longer side takes.
    ema: decay of the averaged weights, which are those that are kept. checkpoint: steps between two of them.
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
            try:
                template.format(colour="", category="")
            except (KeyError, IndexError, ValueError, AttributeError) as error:
                raise ValueError(f"template {template!r}: {error}; valid fields: {{colour}}, {{category}}") from None
        return self


def load_recipe(path: Path) -> Recipe:
    """Read the recipe of a TOML file. Raise ConfigError with the file, the key, the value and the nearest valid key."""
    return load_section(Recipe, path, "recipe")
