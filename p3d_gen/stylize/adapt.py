"""Changes to a loaded pipeline: learned tokens, low-rank adaptations, and settings for speed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from p3d_gen.core.errors import DependencyError, ManifestError
from p3d_gen.spec.stylize import Speed, Stylize
from p3d_gen.stylize.weights import Weights, loaded, weights_file

# The backends of torch's attention: from diffusers' name to the one in torch.nn.attention.SDPBackend.
SDP_BACKENDS = {
    "_native_cudnn": "CUDNN_ATTENTION",
    "_native_efficient": "EFFICIENT_ATTENTION",
    "_native_flash": "FLASH_ATTENTION",
    "_native_math": "MATH",
}


def resolved_dtype(name: str, device: Any) -> Any:
    """Return torch's dtype of a setting. Raise ManifestError for float16 on the CPU."""
    import torch

    if name == "auto":
        name = "float32" if device.type == "cpu" else "float16"
    if name == "float16" and device.type == "cpu":
        raise ManifestError(
            "stylize.speed.dtype = 'float16': on the CPU it is a hundred times slower than 'bfloat16'; use that, "
            "'float32' or 'auto'"
        )
    return getattr(torch, name)


def adapt(pipeline: Any, settings: Stylize, weights: dict[str, list[Weights]]) -> None:
    """Put learned tokens into the text encoders, and low-rank adaptations into the weights.

    Raise DependencyError if one of them does not fit the pipeline.
    """
    for tokens in weights["textual_inversion"]:
        file = weights_file(tokens)
        loaded(tokens, lambda file=file: _add_tokens(pipeline, file))  # type: ignore[misc]
    names = [f"lora{i}" for i in range(len(settings.lora))]
    for lora, name in zip(weights["lora"], names, strict=True):
        file = weights_file(lora)
        loaded(
            lora,
            lambda file=file, name=name: pipeline.load_lora_weights(  # type: ignore[misc]
                str(file.parent), weight_name=file.name, adapter_name=name
            ),
        )
    if names:
        # fused, they cost nothing per step
        pipeline.set_adapters(names, adapter_weights=[lora.scale for lora in settings.lora])
        pipeline.fuse_lora(adapter_names=names)
        pipeline.unload_lora_weights()


def _add_tokens(pipeline: Any, file: Path) -> None:
    """Add the learned tokens of a file.

    Files for SDXL hold one embedding per text encoder, clip_l and clip_g, and the token is the file's name. Other files
    name their token.
    """
    from safetensors.torch import load_file

    state = load_file(file) if file.suffix == ".safetensors" else {}
    if not {"clip_l", "clip_g"} <= set(state):
        pipeline.load_textual_inversion(str(file.parent), weight_name=file.name)
        return
    for key, suffix in (("clip_l", ""), ("clip_g", "_2")):
        pipeline.load_textual_inversion(
            state[key],
            token=file.stem,
            text_encoder=getattr(pipeline, f"text_encoder{suffix}"),
            tokenizer=getattr(pipeline, f"tokenizer{suffix}"),
        )


def denoisers(pipeline: Any) -> list[Any]:
    """Return the networks that run at every step."""
    control = getattr(pipeline, "controlnet", None)
    denoiser = getattr(pipeline, "unet", None) or pipeline.transformer
    return [denoiser] + ([] if control is None else list(getattr(control, "nets", [control])))


def speed_up(pipeline: Any, speed: Speed) -> None:
    """Set memory format, attention and compilation.

    Raise ManifestError or DependencyError if the attention backend is not available.
    """
    import torch

    if hasattr(pipeline, "unet") and speed.attention not in ("", "native", *SDP_BACKENDS):
        # its attention calls torch's own, without regard to the dispatcher of diffusers
        raise ManifestError(
            f"stylize.speed.attention = {speed.attention!r}: a {type(pipeline).__name__} has native, "
            f"{', '.join(SDP_BACKENDS)}"
        )
    for network in denoisers(pipeline):
        if speed.channels_last:
            network.to(memory_format=torch.channels_last)
        if speed.attention and not hasattr(pipeline, "unet"):
            try:
                network.set_attention_backend(speed.attention)
            except (ValueError, RuntimeError, ImportError) as error:
                raise DependencyError(f"stylize.speed.attention = {speed.attention!r}: {error}") from None
        if speed.compile:
            network.compile()
    if speed.channels_last and hasattr(pipeline, "vae"):
        pipeline.vae.to(memory_format=torch.channels_last)
