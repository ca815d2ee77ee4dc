"""The settings of a stylization: pipeline, prompts, control pictures, and the label survival that is required."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from p3d_gen.spec.sections import Category, Section, Unit, check_template, load_section, ordered

Threshold = Annotated[int, Field(ge=1, le=1000)]
Thresholds = tuple[Threshold, Threshold]
PROMPT_FIELDS = ("colour", "category", "word")
SD15, SD15_CANNY = "stable-diffusion-v1-5/stable-diffusion-v1-5", "lllyasviel/control_v11p_sd15_canny"


class Canny(Section):
    """The Canny edge detector for renders.

    thresholds: the low and the high threshold of the gradient.
    per_category: thresholds by category, in place of `thresholds`.
    auto: true to set the thresholds by the median rule: (1 - sigma) and (1 + sigma) times the median of the object's
    grey values.
    sigma: the relative distance of the thresholds from the median, for `auto`.
    ground: `world` detects edges on the render in front of Blender's grey world, as the released recipe does. `object`
    keeps only the edges within the silhouette, with its contour.
    backend: `opencv`, or `controlnet_aux` for the detector of that package; both give the same edges.
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

    image: the kind of control picture. `canny` is an edge map; `depth` and `normals` are exact ones of the renderer;
    `annotator` is the output of a processor of `controlnet_aux`.
    annotator: the name of the processor, such as `lineart_realistic`. Its weights come from the hub, or from a folder
    if it is written as `lineart_realistic@/absolute/folder`.
    weights: the ControlNet: a hub id (`owner/name`, or `owner/name@revision`), the path of a folder, or `embedded` for
    the small one that comes with the package. "" is for a base that reads the control picture itself.
    scale: strength of the control.
    interval: first and last share of the denoising steps in which the control acts; [0, 1] is all of them.
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
    """A low-rank adaptation of the pipeline.

    weights: a hub id (`owner/name`), a file on the hub (`owner/name/file.safetensors`), or the path of a folder
    or file.
    scale: strength of the adaptation.
    """

    weights: str
    scale: float = 1.0


class Speed(Section):
    """Settings for speed. They change the last bits of a picture, so they belong to a stylization.

    dtype: number format of the weights; `auto` is float16 on a GPU and float32 on the CPU.
    channels_last: true to store tensors with their channels last, which some devices compute faster.
    compile: true to compile the networks with torch.compile.
    vae: a tiny autoencoder in place of the pipeline's own, for example `madebyollin/taesd`; "" for the pipeline's own.
    attention: the attention backend of diffusers, such as `native` or `flash`; "" for its default.
    """

    dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    channels_last: bool = False
    compile: bool = False
    vae: str = ""
    attention: str = ""


class Stylize(Section):
    """A stylization of a run's renders: realistic pictures with the same pose.

    stylizer: `none` passes the render through (the paper's "- style transfer" row). `controlnet` runs a ControlNet
    pipeline of diffusers.
    base: the diffusion model: a hub id (`owner/name`, or `owner/name@revision`), the path of a folder, or `embedded`
    for the small one that comes with the package and needs no download.
    form: `text` starts from noise. `image` starts from the render.
    strength: the share of the render that is replaced, for the form `image`.
    scheduler: the sampler of the diffusion. `ddim` is the released recipe's; `lcm` and `tcd` need their own `lora` and
    few steps.
    steps: number of denoising steps; the released recipe has 30.
    guidance_scale: strength of the classifier-free guidance by the prompt; the released recipe has 9.
    eta: amount of noise that the schedulers ddim and tcd add at each step; the released recipe has 0.
    lora: low-rank adaptations of the pipeline.
    textual_inversion: learned tokens: hub ids, or paths of folders or files.
    speed: settings for speed.
    prompt: the template of the prompt. {colour}, {category} and {word} are replaced; {word} is one of the category's
    `words`.
    prompt_file: the path of a text file of templates, one per line, in place of `prompt`; each sample draws one.
    words: the words by category from which {word} is drawn.
    colours: the colours from which {colour} is drawn; realistic paint has the same colour.
    negative_prompt: text about content that the picture should not show.
    control: the control pictures that guide the pipeline.
    canny: the edge detector of the control picture `canny`.
    resolution: shorter side in pixels at which the pipeline works; both sides become multiples of 64.
    batch: number of samples in one call of the pipeline.
    pose_model: the path of a folder with a trained pose model that judges every picture; "" for none.
    min_survival: lowest label survival of a picture, from 0 to 1.
    max_residual_deg: largest pose residual of a picture, in degrees; it needs a `pose_model`.
    retries: number of new attempts, each with another seed, for a picture that fails one of these limits. After them
    the sample is left out, and the reason is recorded.
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

    def names_of_categories(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Return the categories that its tables have keys of, by the names of these tables in a manifest."""
        return (
            ("stylize.words", tuple(self.words)),
            ("stylize.canny.per_category", tuple(self.canny.per_category)),
        )

    @model_validator(mode="after")
    def _check(self) -> Stylize:
        check_template(self.prompt, *PROMPT_FIELDS)
        if self.max_residual_deg < 180 and not self.pose_model:
            raise ValueError(f"max_residual_deg = {self.max_residual_deg} needs a pose_model to judge by")
        if self.form == "image" and int(self.steps * self.strength) == 0:
            raise ValueError(f"strength {self.strength} of {self.steps} steps is none: raise one of them")
        return self


def load_settings(path: Path) -> Stylize:
    """Read the stylization of a TOML file whose keys are those of a manifest's section `stylize`. Raise ConfigError."""
    return load_section(Stylize, path, "stylization")
