"""A diffusers ControlNet pipeline as a function from control pictures and prompts to pictures."""

from __future__ import annotations

import contextlib
import functools
import inspect
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from p3d_gen.core.errors import DependencyError, ManifestError, RunError
from p3d_gen.spec.stylize import Stylize
from p3d_gen.stylize.adapt import SDP_BACKENDS, resolved_dtype
from p3d_gen.stylize.pipeline import control_argument, load_pipeline, takes, union_modes

# The number of prompts whose embeddings are kept; one takes 0.2 MB (SD 1.5) to 0.7 MB (SDXL).
_PROMPTS_KEPT = 512
# A picture whose values differ by no more than this is empty.
_FLAT_LEVELS = 2


@dataclass(frozen=True, kw_only=True)
class PictureRequest:
    """The input of the stylizer for one sample.

    controls: the control pictures (h, w, 3), one for each of the settings' `control`; h and w are multiples of 64.
    init: the render on grey (h, w, 3), the start of the form `image`. seed: seed of the noise.
    """

    controls: tuple[NDArray[np.uint8], ...]
    init: NDArray[np.uint8]
    prompt: str
    negative_prompt: str
    seed: int


@dataclass(frozen=True, kw_only=True)
class Stylized:
    """A stylized picture (H, W, 3) and its fault.

    fault: "" for none; `not a number`; `flagged` by the safety checker, which blackens the picture; `black`; `flat`.
    """

    picture: NDArray[np.uint8]
    fault: str


def device_of(name: str) -> Any:
    """Return the torch device of `auto` (a GPU if there is one), `cpu` or `cuda:1`. Raise DependencyError for none."""
    try:
        import torch
    except ImportError as error:
        raise DependencyError(
            f"stylize.stylizer = 'controlnet' needs diffusers and torch ({error}): pip install 'p3dgen[stylize]'"
        ) from None
    there = torch.cuda.device_count()
    try:
        device = torch.device(("cuda" if there else "cpu") if name == "auto" else name)
    except RuntimeError:
        raise DependencyError(f"there is no device {name!r}; use auto, cpu, cuda or cuda:1") from None
    if device.type == "cuda" and (device.index or 0) >= there:
        raise DependencyError(f"device {name!r}: torch sees {there} GPUs here; use another device, or cpu")
    return device


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep progress bars and remarks of the libraries on intended settings out of the stage's own output."""
    from diffusers.utils import logging as of_diffusers
    from transformers.utils import logging as of_transformers

    before = [(log, log.get_verbosity()) for log in (of_diffusers, of_transformers)]
    for log, _ in before:
        log.disable_progress_bar()
        log.set_verbosity_error()
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The `local_dir_use_symlinks` argument")  # diffusers still passes it on
            warnings.filterwarnings("ignore", "Already found a `peft_config`")  # several adaptations are intended
            yield
    finally:
        for log, verbosity in before:
            log.set_verbosity(verbosity)


def out_of_memory(error: BaseException) -> bool:
    """Return True if an error says that the memory of a GPU or of the machine is full."""
    import torch

    full = ("can't allocate memory", "not enough memory", "CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED")
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or (
        isinstance(error, RuntimeError) and any(text in str(error) for text in full)
    )


def _too_much(settings: Stylize, device: Any, contents: str) -> RunError:
    """Return the error for contents, the weights or one picture, that do not fit into the memory of a device."""
    remedies = [f"a resolution below {settings.resolution}"] if "picture" in contents else []
    if resolved_dtype(settings.speed.dtype, device).itemsize > 2:
        remedies.append("stylize.speed.dtype = 'bfloat16'")
    if not settings.speed.vae:
        remedies.append("a tiny autoencoder as stylize.speed.vae")
    return RunError(f"memory of the {device} ran out with {contents}: try {', '.join([*remedies, 'fewer --workers'])}")


class DiffusionStylizer:
    """A loaded pipeline. Loading takes seconds and gigabytes, so one of these serves all shards of a process.

    provenance: record of models, settings and versions: strings, floats and ints under keys that do not depend on the
    settings. halvings: number of times that the memory was full and the batch was halved.
    """

    provenance: dict[str, Any]
    halvings: int

    def __init__(self, settings: Stylize, base_dir: Path, device: str = "auto") -> None:
        """Load the pipeline of the settings; relative paths start at `base_dir`. device: `auto`, `cpu` or `cuda:1`.

        Raise DependencyError for missing weights or packages, ManifestError for settings that contradict each other.
        """
        place = device_of(device)
        self._settings, self._device = settings, place
        with _quiet():
            try:
                self._pipeline, self.provenance = load_pipeline(settings, base_dir, place)
            except (MemoryError, RuntimeError) as error:
                if not out_of_memory(error):
                    raise
                raise _too_much(settings, place, "the weights") from error
        self._accepted = set(inspect.signature(self._pipeline.__call__).parameters)
        self._fixed = _fixed_arguments(settings, self._pipeline)
        self._embedding = functools.lru_cache(_PROMPTS_KEPT)(self._embed)
        self._most = settings.batch
        self.halvings = 0

    def __call__(self, requests: Sequence[PictureRequest], image_hw: tuple[int, int]) -> list[Stylized]:
        """Make pictures of `image_hw`, one for each request; all requests have the same working size.

        If the memory is full, the batch is halved for good. Raise RunError if one picture does not fit.
        """
        import torch

        torch.set_num_threads(1)  # of the calling thread: the number changes sums of floats, which must not vary
        done: list[Stylized] = []
        while len(done) < len(requests):
            part = requests[len(done) : len(done) + self._most]
            made = self._attempt(part, image_hw)
            if made is None:
                self._halve(len(part))
            else:
                done += made
        return done

    def _attempt(self, requests: Sequence[PictureRequest], image_hw: tuple[int, int]) -> list[Stylized] | None:
        """Make the pictures. Return None if the memory is full."""
        try:
            return self._stylize(requests, image_hw)
        except (MemoryError, RuntimeError) as error:
            if "scaled_dot_product_attention" in str(error) or "No available kernel" in str(error):
                raise DependencyError(
                    f"stylize.speed.attention = {self._settings.speed.attention!r} does not run these weights on the "
                    f"{self._device}: {error}; leave it out"
                ) from error
            if not out_of_memory(error):
                raise
        return None  # here the traceback, which holds the tensors, no longer exists

    def _halve(self, batch: int) -> None:
        import torch

        if batch == 1:
            raise _too_much(self._settings, self._device, f"one picture of resolution {self._settings.resolution}")
        self._most = batch // 2
        self.halvings += 1
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def _stylize(self, requests: Sequence[PictureRequest], image_hw: tuple[int, int]) -> list[Stylized]:
        import torch

        stacks = [
            np.stack([request.controls[i] for request in requests]).astype(np.float32) / 255
            for i in range(len(self._settings.control))
        ]
        height, width = stacks[0].shape[1:3]
        arguments = self._fixed | self._text(requests) | {"height": height, "width": width}
        one = len(stacks) == 1
        arguments[control_argument(type(self._pipeline))] = stacks[0] if one else stacks
        if self._settings.form == "image":
            arguments["image"] = np.stack([request.init for request in requests]).astype(np.float32) / 255
        # on the CPU whatever the device, so that the noise is the same everywhere
        arguments["generator"] = [torch.Generator("cpu").manual_seed(request.seed) for request in requests]
        with self._attention(), np.errstate(invalid="ignore"):  # pixels that are not a number are looked for below
            output = self._pipeline(**{name: arguments[name] for name in self._accepted & set(arguments)})
        flags = getattr(output, "nsfw_content_detected", None) or [False] * len(requests)
        return [_judged(x, flag, image_hw) for x, flag in zip(output.images, flags, strict=True)]

    def _text(self, requests: Sequence[PictureRequest]) -> dict[str, Any]:
        """Return the arguments for the prompts: embeddings, each made once and alone, so that no batch changes them.

        Pipelines with a transformer get the prompts themselves, because each family has its own arguments.
        """
        import torch

        prompts = [request.prompt for request in requests]
        negatives = [request.negative_prompt for request in requests]
        if not hasattr(self._pipeline, "unet"):
            return {"prompt": prompts, "negative_prompt": negatives}
        arguments = {}
        for start, texts in (("", prompts), ("negative_", negatives)):
            embeddings = [self._embedding(text) for text in texts]
            for name in embeddings[0]:
                arguments[start + name] = torch.cat([embedding[name] for embedding in embeddings])
        return arguments

    def _embed(self, text: str) -> dict[str, Any]:
        """Return a text's embedding (1, tokens, d), and for SDXL the pooled one (1, d)."""
        import torch

        pooled = takes(self._pipeline.__call__, "pooled_prompt_embeds")
        with torch.no_grad():
            made = self._pipeline.encode_prompt(
                text, device=self._device, num_images_per_prompt=1, do_classifier_free_guidance=False
            )
        return {"prompt_embeds": made[0]} | ({"pooled_prompt_embeds": made[2]} if pooled else {})

    def _attention(self) -> contextlib.AbstractContextManager[Any]:
        backend = SDP_BACKENDS.get(self._settings.speed.attention)
        if backend is None or not hasattr(self._pipeline, "unet"):
            return contextlib.nullcontext()
        from torch.nn.attention import SDPBackend, sdpa_kernel

        return sdpa_kernel(getattr(SDPBackend, backend))  # type: ignore[no-any-return]


def _fixed_arguments(settings: Stylize, pipeline: Any) -> dict[str, Any]:
    """Return the arguments that are the same for all samples. Raise ManifestError for settings it does not support."""
    call, controls = pipeline.__call__, settings.control
    name = type(pipeline).__name__
    if not takes(call, "negative_prompt") and settings.negative_prompt:
        raise ManifestError(f'stylize.negative_prompt: a {name} takes none; set it to ""')
    if not takes(call, "control_guidance_start") and any(control.interval != (0.0, 1.0) for control in controls):
        raise ManifestError(f"stylize.control.interval: a {name} has none; leave it out")
    scales = [float(control.scale) for control in controls]
    starts, ends = ([control.interval[i] for control in controls] for i in (0, 1))
    one = len(controls) == 1
    guidance = "guidance_scale"
    if takes(call, "true_cfg_scale") and not pipeline.transformer.config.guidance_embeds:
        guidance = "true_cfg_scale"  # the other one feeds an embedding that this model does not have
    modes = union_modes(pipeline, controls)
    return {
        "num_inference_steps": settings.steps,
        guidance: float(settings.guidance_scale),
        "eta": float(settings.eta),
        "strength": float(settings.strength),
        "controlnet_conditioning_scale": scales[0] if one else scales,
        "control_guidance_start": starts[0] if one else starts,
        "control_guidance_end": ends[0] if one else ends,
        "output_type": "np",
    } | ({} if modes is None else {"control_mode": modes[0] if one else modes})


def _judged(picture: NDArray[np.float32], flagged: bool, image_hw: tuple[int, int]) -> Stylized:
    """Return a float picture in [0, 1] as bytes of the wanted size, with its fault."""
    height, width = image_hw
    method = cv2.INTER_AREA if height < picture.shape[0] else cv2.INTER_LINEAR
    resized = cv2.resize(np.nan_to_num(picture), (width, height), interpolation=method)
    levels = np.asarray(np.rint(np.clip(resized, 0.0, 1.0) * 255), dtype=np.uint8)
    if not np.isfinite(picture).all():
        fault = "not a number"
    elif flagged:
        fault = "flagged"
    elif levels.max() <= _FLAT_LEVELS:
        fault = "black"
    else:
        fault = "flat" if np.ptp(levels, axis=(0, 1)).max() <= _FLAT_LEVELS else ""
    return Stylized(picture=levels, fault=fault)
