"""What a stylization is: pipeline, prompts, control pictures, and the label survival that is asked of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from p3d_gen.core.categories import Category
from p3d_gen.spec.sections import Section, Unit, load_section, ordered

Threshold = Annotated[int, Field(ge=1, le=1000)]
Thresholds = tuple[Threshold, Threshold]
SD15, SD15_CANNY = "stable-diffusion-v1-5/stable-diffusion-v1-5", "lllyasviel/control_v11p_sd15_canny"


class Canny(Section):
    """How edges are found on a render.

    thresholds: of the gradient, low then high; `per_category` overrides them. auto: by the median rule instead,
    (1 - sigma) and (1 + sigma) times the median of the object's grey values.
    ground: `world` finds edges on the render before Blender's grey world, as the released recipe does; `object` keeps
    those within the silhouette only, its contour included.
    backend: `opencv`, or `controlnet_aux` for that package's own detector: the same edges.
    """

    thresholds: Thresholds = (150, 200)
    per_category: dict[Category, Thresholds] = Field(default_factory=dict)
    auto: bool = False
    sigma: Annotated[float, Field(gt=0, lt=1)] = 0.33
    ground: Literal["world", "object"] = "world"
    backend: Literal["opencv", "controlnet_aux"] = "opencv"

    @model_validator(mode="after")
    def _check(self) -> Canny:
        for thresholds in (self.thresholds, *self.per_category.values()):
            ordered("thresholds", *thresholds)
        return self


class Control(Section):
    """One control picture and the ControlNet that reads it.

    image: `canny`; the renderer's own `depth` or `normals`, exact where an annotator would estimate; or `annotator`, a
    processor of `controlnet_aux` by its name, such as `lineart_realistic`, with its weights from the hub, or from a
    folder as in `lineart_realistic@/absolute/folder`.
    weights: a hub id (`owner/name`, or `owner/name@revision`), a folder, or `embedded`; "" for a base that reads the
    control picture itself.
    scale: strength of the control. interval: the share of the denoising steps in which it acts.
    """

    image: Literal["canny", "depth", "normals", "annotator"] = "canny"
    annotator: str = ""
    weights: str = SD15_CANNY
    scale: Annotated[float, Field(ge=0, le=10)] = 1.0
    interval: tuple[Unit, Unit] = (0.0, 1.0)

    @model_validator(mode="after")
    def _check(self) -> Control:
        if not self.interval[0] < self.interval[1]:
            raise ValueError(f"interval {list(self.interval)} holds no step: the first number must be the smaller one")
        if (self.image == "annotator") != bool(self.annotator):
            raise ValueError("image 'annotator' needs the annotator's name; the other images take none")
        return self


class Lora(Section):
    """A low-rank adaptation of the pipeline: a hub id, a file on the hub (`owner/name/file.safetensors`), a folder or a
    file of weights, and its scale."""

    weights: str
    scale: float = 1.0


class Speed(Section):
    """How the pipeline computes. These change the last bits of a picture, so they belong to a stylization.

    dtype: `auto` is float16 on a GPU and float32 on the CPU. vae: a tiny autoencoder instead of the pipeline's own, for
    example `madebyollin/taesd`. attention: a backend of diffusers, such as `native` or `flash`; "" is its default.
    """

    dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    channels_last: bool = False
    compile: bool = False
    vae: str = ""
    attention: str = ""


class Stylize(Section):
    """A stylization of a render run.

    stylizer: `none` passes the render through (the paper's "- style transfer" row); `controlnet` runs the diffusers
    ControlNet pipeline of `base`: a hub id (`owner/name`, or `owner/name@revision`), a folder, or `embedded`, the small
    one of the project's own, which needs no download.
    form: `text` starts from noise; `image` from the render, of which `strength` is replaced.
    scheduler, steps, guidance_scale, eta: DDIM, 30, 9 and 0 are the released recipe; lcm and tcd need their LoRA and
    few steps. negative_prompt: what the picture should not show.
    prompt: a template; {colour}, {category} and {word} are filled in, {word} with one of the category's `words`.
    prompt_file: a text file of prompts, one per line, templates as well; each sample draws one of them.
    control: the pictures that guide it. resolution: the shorter side that the pipeline works at; sides become
    multiples of 64. batch: samples per call.
    pose_model: a folder with a trained pose model, which then judges every picture too.
    min_survival, max_residual_deg: samples whose label survival is lower, or whose pose the model sees further from the
    label, are made again with a new seed, `retries` times at most, and then left out with their reason.
    """

    stylizer: Literal["none", "controlnet"] = "none"
    base: str = SD15
    form: Literal["text", "image"] = "text"
    strength: Annotated[float, Field(gt=0, le=1)] = 0.8
    scheduler: Literal["ddim", "unipc", "lcm", "tcd"] = "ddim"
    steps: Annotated[int, Field(ge=1, le=1000)] = 30
    guidance_scale: Annotated[float, Field(ge=0)] = 9.0
    eta: Unit = 0.0
    lora: tuple[Lora, ...] = ()
    textual_inversion: tuple[str, ...] = ()
    speed: Speed = Speed()
    prompt: str = "{colour} {category}"
    prompt_file: str = ""
    words: dict[Category, Annotated[tuple[str, ...], Field(min_length=1)]] = Field(default_factory=dict)
    colours: Annotated[tuple[str, ...], Field(min_length=1)] = (
        "gray",
        "red",
        "blue",
        "green",
        "brown",
        "purple",
        "cyan",
        "yellow",
        "white",
        "black",
        "silver",
        "orange",
    )
    negative_prompt: str = "lowres, bad anatomy, cropped, worst quality, low quality"
    control: Annotated[tuple[Control, ...], Field(min_length=1)] = (Control(),)
    canny: Canny = Canny()
    resolution: Annotated[int, Field(ge=64, le=4096, multiple_of=64)] = 512
    batch: Annotated[int, Field(ge=1, le=1024)] = 4
    pose_model: str = ""
    min_survival: Unit = 0.0
    max_residual_deg: Annotated[float, Field(gt=0, le=180)] = 180.0
    retries: Annotated[int, Field(ge=0, le=100)] = 2

    @model_validator(mode="after")
    def _check(self) -> Stylize:
        try:
            self.prompt.format(colour="", category="", word="")
        except (KeyError, IndexError, ValueError, AttributeError) as error:
            raise ValueError(
                f"prompt {self.prompt!r}: {error}; valid fields: {{colour}}, {{category}}, {{word}}"
            ) from None
        if self.max_residual_deg < 180 and not self.pose_model:
            raise ValueError(f"max_residual_deg = {self.max_residual_deg} needs a pose_model to judge by")
        if self.form == "image" and int(self.steps * self.strength) == 0:
            raise ValueError(f"strength {self.strength} of {self.steps} steps is none: raise one of them")
        return self


def load_settings(path: Path) -> Stylize:
    """Read the stylization of a TOML file whose keys are those of a manifest's section `stylize`. Raise ConfigError."""
    return load_section(Stylize, path, "stylization")
