"""Diffusion pipelines with ControlNet in the real diffusers layout, with a few million random weights."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderTiny,
    ControlNetModel,
    ControlNetUnionModel,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    PNDMScheduler,
    SD3ControlNetModel,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from safetensors.torch import save_file
from transformers import (
    CLIPConfig,
    CLIPImageProcessor,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
)

CARD = "---\nlicense: {licence}\n---\n# Random weights\n"


def _tokenizer(folder: Path) -> CLIPTokenizer:
    """Letters, and letters that end a word, without merges: every prompt has its own tokens."""
    folder.mkdir(parents=True, exist_ok=True)
    letters = [chr(c) for c in range(33, 127)]
    vocabulary = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(vocabulary)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=77)


def _text_encoder(tokenizer: CLIPTokenizer, kind: type = CLIPTextModel) -> torch.nn.Module:
    return kind(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            projection_dim=32,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
    )


def _unet(**changes: object) -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=16,
        block_out_channels=(32, 64),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=8,
        norm_num_groups=8,
        **({"cross_attention_dim": 32} | changes),
    )


def _vae(**changes: object) -> AutoencoderKL:
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(8, 16, 16, 16),
        norm_num_groups=8,
        latent_channels=4,
        **changes,
    )


def _awaken(controlnet: torch.nn.Module) -> None:
    """Fill the zero convolutions of a fresh ControlNet, which would leave no control."""
    for name, parameter in controlnet.named_parameters():
        if not parameter.abs().sum():
            torch.nn.init.normal_(parameter, std=0.2 if "weight" in name else 0.02)


def _save(root: Path, base: object, controlnet: object) -> tuple[Path, Path]:
    base.save_pretrained(root / "base")  # type: ignore[attr-defined]
    controlnet.save_pretrained(root / "controlnet")  # type: ignore[attr-defined]
    (root / "base" / "README.md").write_text(CARD.format(licence="cc0-1.0"))
    (root / "controlnet" / "README.md").write_text(CARD.format(licence="openrail"))
    return root / "base", root / "controlnet"


def save_tiny_pipeline(root: Path, seed: int = 0) -> tuple[Path, Path]:
    """Write an SD 1.5 as `root`/base and its ControlNet as `root`/controlnet; returns both folders."""
    torch.manual_seed(seed)
    tokenizer = _tokenizer(root / "vocabulary")
    unet = _unet()
    controlnet = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=(8, 16, 16, 16))
    _awaken(controlnet)
    base = StableDiffusionPipeline(
        vae=_vae(),
        text_encoder=_text_encoder(tokenizer),
        tokenizer=tokenizer,
        unet=unet,
        scheduler=PNDMScheduler(skip_prk_steps=True, steps_offset=1),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    return _save(root, base, controlnet)


def add_safety_checker(base: Path, folder: Path) -> Path:
    """Write a base again with a safety checker of random weights that flags every picture."""
    torch.manual_seed(0)
    vision = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = CLIPConfig(
        text_config={**vision, "projection_dim": 16},
        vision_config={**vision, "image_size": 32, "patch_size": 16, "projection_dim": 16},
        projection_dim=16,
    )
    checker = StableDiffusionSafetyChecker(config)
    torch.nn.init.constant_(checker.concept_embeds_weights, -2.0)  # below every cosine
    pipeline = StableDiffusionPipeline.from_pretrained(
        base,
        safety_checker=checker,
        feature_extractor=CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}),
    )
    pipeline.save_pretrained(folder)
    return folder


def save_tiny_sdxl(root: Path) -> tuple[Path, Path]:
    """Write an SDXL, with its two text encoders, as `root`/base and its ControlNet as `root`/controlnet."""
    torch.manual_seed(0)
    tokenizer = _tokenizer(root / "vocabulary")
    unet = _unet(
        cross_attention_dim=64,
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=6 * 8 + 32,
    )
    controlnet = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=(8, 16, 16, 16))
    _awaken(controlnet)
    base = StableDiffusionXLPipeline(
        vae=_vae(),
        text_encoder=_text_encoder(tokenizer),
        text_encoder_2=_text_encoder(tokenizer, CLIPTextModelWithProjection),
        tokenizer=tokenizer,
        tokenizer_2=tokenizer,
        unet=unet,
        scheduler=EulerDiscreteScheduler(timestep_spacing="leading", prediction_type="v_prediction"),
        add_watermarker=False,
    )
    return _save(root, base, controlnet)


def save_tiny_union(xl_base: Path, folder: Path) -> Path:
    """Write a ControlNet of an SDXL that reads six kinds of pictures."""
    torch.manual_seed(0)
    unet = UNet2DConditionModel.from_pretrained(xl_base / "unet")
    kept = ("block_out_channels", "layers_per_block", "down_block_types", "attention_head_dim", "norm_num_groups")
    kept += ("cross_attention_dim", "use_linear_projection", "addition_embed_type", "addition_time_embed_dim")
    kept += ("projection_class_embeddings_input_dim",)
    shape = {name: unet.config[name] for name in kept}
    union = ControlNetUnionModel(
        **shape,
        conditioning_embedding_out_channels=(8, 16, 16, 16),
        num_trans_channel=32,
        num_trans_head=4,
        num_proj_channel=32,
    )
    _awaken(union)
    union.save_pretrained(folder)
    return folder


def save_tiny_sd3(root: Path) -> tuple[Path, Path]:
    """Write an SD 3, a flow-matching transformer without its third text encoder, and its ControlNet."""
    torch.manual_seed(0)
    tokenizer = _tokenizer(root / "vocabulary")
    shape = {
        "sample_size": 32,
        "patch_size": 1,
        "in_channels": 4,
        "num_layers": 1,
        "attention_head_dim": 8,
        "num_attention_heads": 4,
        "joint_attention_dim": 64,
        "caption_projection_dim": 32,
        "pooled_projection_dim": 64,
        "pos_embed_max_size": 64,
    }
    controlnet = SD3ControlNetModel(**shape)
    _awaken(controlnet)
    base = StableDiffusion3Pipeline(
        transformer=SD3Transformer2DModel(**shape, out_channels=4),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=_vae(use_quant_conv=False, use_post_quant_conv=False, shift_factor=0.06, scaling_factor=1.5),
        text_encoder=_text_encoder(tokenizer, CLIPTextModelWithProjection),
        tokenizer=tokenizer,
        text_encoder_2=_text_encoder(tokenizer, CLIPTextModelWithProjection),
        tokenizer_2=tokenizer,
        text_encoder_3=None,
        tokenizer_3=None,
    )
    return _save(root, base, controlnet)


def save_tiny_vae(folder: Path) -> Path:
    """Write a tiny autoencoder for 4 latent channels, 8 times smaller than the picture, as TAESD is."""
    torch.manual_seed(0)
    widths = {"encoder_block_out_channels": (8,) * 4, "decoder_block_out_channels": (8,) * 4}
    AutoencoderTiny(**widths, num_encoder_blocks=(1,) * 4, num_decoder_blocks=(1,) * 4).save_pretrained(folder)
    return folder


def save_lora(base: Path, folder: Path) -> Path:
    """Write a low-rank adaptation of a base's UNet, as training saves it; returns its file."""
    from peft import LoraConfig, get_peft_model_state_dict

    torch.manual_seed(0)
    unet = UNet2DConditionModel.from_pretrained(base / "unet")
    unet.add_adapter(LoraConfig(r=4, init_lora_weights="gaussian", target_modules=["to_k", "to_q", "to_v", "to_out.0"]))
    for name, parameter in unet.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.5)
    StableDiffusionPipeline.save_lora_weights(folder, unet_lora_layers=get_peft_model_state_dict(unet))
    return folder / "pytorch_lora_weights.safetensors"


def save_token(file: Path, **embeddings: int) -> Path:
    """Write random embeddings of learned tokens: name -> length."""
    generator = torch.Generator().manual_seed(0)
    save_file({name: torch.randn(1, length, generator=generator) for name, length in embeddings.items()}, file)
    return file
