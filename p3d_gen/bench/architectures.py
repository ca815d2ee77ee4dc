"""Stable Diffusion 1.5 with ControlNet 1.1, and a small architecture of the same shape.

Both have random weights, because speed does not depend on the values of the weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from p3d_gen.spec.stylize import Control, Speed, Stylize


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """Sizes of a latent diffusion model.

    name: name in the tables. side_px: side of the pictures that it is measured at.
    channels, vae_channels: channels of the levels of its denoiser and of its autoencoder.
    heads: attention heads of the denoiser. text: width, feed-forward width, layers and heads of the text encoder.
    hint: channels of the layers that read the control picture. norm_groups: groups of the normalization.
    """

    name: str
    side_px: int
    channels: tuple[int, int, int, int]
    vae_channels: tuple[int, int, int, int]
    heads: int
    text: tuple[int, int, int, int]
    hint: tuple[int, int, int, int]
    norm_groups: int


SD15 = Architecture(
    name="Stable Diffusion 1.5 + ControlNet 1.1",
    side_px=512,
    channels=(320, 640, 1280, 1280),
    vae_channels=(128, 256, 512, 512),
    heads=8,
    text=(768, 3072, 12, 12),
    hint=(16, 32, 96, 256),
    norm_groups=32,
)
# A tenth of the channels and half the side.
SMALL = Architecture(
    name="a small architecture of the same shape",
    side_px=256,
    channels=(32, 64, 128, 128),
    vae_channels=(16, 32, 32, 32),
    heads=2,
    text=(64, 256, 2, 2),
    hint=(8, 16, 16, 32),
    norm_groups=16,
)
# The scheduler that SD 1.5 comes with.
_SCHEDULE: dict[str, Any] = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "skip_prk_steps": True,
    "set_alpha_to_one": False,
    "steps_offset": 1,
}


def _denoiser(size: Architecture) -> Any:
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(
        sample_size=size.side_px // 8,
        block_out_channels=size.channels,
        layers_per_block=2,
        down_block_types=(*("CrossAttnDownBlock2D",) * 3, "DownBlock2D"),
        up_block_types=("UpBlock2D", *("CrossAttnUpBlock2D",) * 3),
        cross_attention_dim=size.text[0],
        attention_head_dim=size.heads,
        norm_num_groups=size.norm_groups,
    )


def _autoencoder(size: Architecture) -> Any:
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=size.vae_channels,
        layers_per_block=2,
        latent_channels=4,
        norm_num_groups=size.norm_groups,
        sample_size=size.side_px,
    )


def _text_encoder(size: Architecture) -> Any:
    from transformers import CLIPTextConfig, CLIPTextModel

    width, inner, layers, heads = size.text
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=49408,
            hidden_size=width,
            intermediate_size=inner,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            projection_dim=width,
            hidden_act="quick_gelu",
        )
    )


def save_random(size: Architecture, folder: Path, device: str) -> None:
    """Write `folder`/base and `folder`/controlnet in the layout of diffusers, in half precision as they are published.

    device: the device on which the weights are drawn.
    """
    import diffusers.utils.logging
    import torch
    import transformers.utils.logging
    from diffusers import ControlNetModel, PNDMScheduler, StableDiffusionPipeline

    from p3d_gen.stylize.training.networks import make_tokenizer

    logs: tuple[Any, ...] = (diffusers.utils.logging, transformers.utils.logging)
    for log in logs:
        log.disable_progress_bar()
    torch.manual_seed(0)
    with torch.device(device):
        unet, vae, text = _denoiser(size), _autoencoder(size), _text_encoder(size)
        controlnet = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=size.hint)
    for module in (unet, vae, text, controlnet):
        torch.nn.Module.to(module, torch.float16)  # diffusers' own `to` warns without a reason
    base = StableDiffusionPipeline(
        vae=vae,
        text_encoder=text,
        tokenizer=make_tokenizer([], 77),
        unet=unet,
        scheduler=PNDMScheduler(**_SCHEDULE),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    base.save_pretrained(folder / "base")
    controlnet.save_pretrained(folder / "controlnet")


def settings_of(size: Architecture, folder: Path, speed: Speed, **changes: Any) -> Stylize:
    """Return a stylization with the weights of `save_random`: the released recipe, except for `changes`."""
    return Stylize(
        stylizer="controlnet",
        base=str(folder / "base"),
        control=(Control(weights=str(folder / "controlnet")),),
        resolution=size.side_px,
        speed=speed,
        **changes,
    )
