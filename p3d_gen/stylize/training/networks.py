"""The stylizer's parts, as diffusers and transformers know them, and their folder in the layout of diffusers."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import (
    AutoencoderTiny,
    ControlNetModel,
    DDIMScheduler,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from tokenizers import AddedToken
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from p3d_gen.stylize.training.recipe import Recipe

# Noise that is complete at the last step (zero terminal signal-to-noise ratio): else a picture's mean colour leaks
# through it in training, and the prompt's colour is not learnt. The denoiser predicts the picture itself: edges and
# prompt tell most of it, while a small network takes long to learn to pass noise on exactly, as other predictions need.
_SCHEDULE = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "rescale_betas_zero_snr": True,
    "prediction_type": "sample",
    "timestep_spacing": "trailing",
    "clip_sample": False,
    "steps_offset": 1,
}
_TEXT_HEAD_WIDTH = 32


@dataclass(frozen=True)
class Networks:
    """All parts of a stylizer. text and tokenizer turn prompts into (B, tokens, text_width)."""

    vae: AutoencoderTiny
    unet: UNet2DConditionModel
    controlnet: ControlNetModel
    text: CLIPTextModel
    tokenizer: CLIPTokenizer
    scheduler: DDIMScheduler

    def denoiser(self) -> torch.nn.ModuleDict:
        """The parts that are trained together."""
        return torch.nn.ModuleDict({"unet": self.unet, "controlnet": self.controlnet, "text": self.text})


def words_of(texts: Iterable[str]) -> list[str]:
    """The distinct words of some texts, sorted."""
    return sorted({word for text in texts for word in re.findall(r"[a-z]+", text.lower())})


def make_tokenizer(words: Iterable[str], tokens: int) -> CLIPTokenizer:
    """A tokenizer that knows some words whole and spells all others."""
    letters = [chr(c) for c in range(33, 127)]
    vocabulary = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    with tempfile.TemporaryDirectory() as folder:
        vocab, merges = Path(folder, "vocab.json"), Path(folder, "merges.txt")
        vocab.write_text(json.dumps({token: i for i, token in enumerate(vocabulary)}))
        merges.write_text("#version: 0.2\n")
        tokenizer = CLIPTokenizer(str(vocab), str(merges), model_max_length=tokens)
    tokenizer.add_tokens([AddedToken(word, single_word=True, lstrip=True, rstrip=True) for word in words])
    return tokenizer


def _text_encoder(recipe: Recipe, tokenizer: CLIPTokenizer) -> CLIPTextModel:
    size = recipe.network
    encoder = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=size.text_width,
            intermediate_size=2 * size.text_width,
            num_hidden_layers=size.text_layers,
            num_attention_heads=size.text_width // _TEXT_HEAD_WIDTH,
            max_position_embeddings=size.text_tokens,
            projection_dim=size.text_width,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    # words are told apart from the start: from CLIP's small embeddings, the colours long stay merged
    torch.nn.init.normal_(encoder.get_input_embeddings().weight)
    return encoder


def build(recipe: Recipe, words: Iterable[str]) -> Networks:
    """Untrained networks of a recipe's size; their weights depend on the recipe's seed alone."""
    torch.manual_seed(recipe.seed)
    size, code = recipe.network, recipe.autoencoder
    tokenizer = make_tokenizer(words, size.text_tokens)
    vae = AutoencoderTiny(
        encoder_block_out_channels=(code.channels,) * len(code.encoder_blocks),
        decoder_block_out_channels=(code.channels,) * len(code.encoder_blocks),
        num_encoder_blocks=code.encoder_blocks,
        num_decoder_blocks=code.decoder_blocks,
        latent_channels=code.latent_channels,
    )
    down = ["DownBlock2D"] * (len(size.channels) - 2) + ["CrossAttnDownBlock2D"] * 2
    shape = {
        "sample_size": recipe.phases[-1].size // code.factor,
        "in_channels": code.latent_channels,
        "out_channels": code.latent_channels,
        "block_out_channels": size.channels,
        "layers_per_block": 1,
        "down_block_types": down,
        "up_block_types": [block.replace("Down", "Up") for block in reversed(down)],
        "cross_attention_dim": size.text_width,
        "attention_head_dim": size.head_width,
        "norm_num_groups": size.groups,
    }
    controlnet = ControlNetModel.from_unet(
        UNet2DConditionModel(**shape), conditioning_embedding_out_channels=size.control_channels
    )
    for parameter in controlnet.parameters():  # zero convolutions spare a trained denoiser; here they would only delay
        if parameter.ndim == 4 and not parameter.any():
            torch.nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5)
    # the prompt also reaches every layer beside the time step: a colour is the same everywhere, and cross-attention
    # of the coarse levels alone takes long to tell similar ones apart
    unet = UNet2DConditionModel(
        **shape, addition_embed_type="text", addition_embed_type_num_heads=size.text_width // _TEXT_HEAD_WIDTH
    )
    return Networks(vae, unet, controlnet, _text_encoder(recipe, tokenizer), tokenizer, DDIMScheduler(**_SCHEDULE))


def save(networks: Networks, folder: Path, licence: str) -> None:
    """Write FOLDER/base and FOLDER/controlnet in half precision, with their licence."""
    for module in (networks.vae, networks.text, networks.unet, networks.controlnet):
        torch.nn.Module.to(module, torch.float16)  # diffusers' own `to` warns of what it has none of
    pipeline = StableDiffusionPipeline(
        vae=networks.vae,
        text_encoder=networks.text,
        tokenizer=networks.tokenizer,
        unet=networks.unet,
        scheduler=networks.scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(folder / "base")
    networks.controlnet.save_pretrained(folder / "controlnet")
    for part in ("base", "controlnet"):
        (folder / part / "README.md").write_text(
            f"---\nlicense: {licence}\nlibrary_name: diffusers\n---\nMade by `p3dgen train-stylizer`.\n"
        )
