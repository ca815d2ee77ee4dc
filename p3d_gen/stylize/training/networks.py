"""The parts of the stylizer, as models of diffusers and transformers, and their folder in the layout of diffusers."""

from __future__ import annotations

import json
import re
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

from p3d_gen.run.disk import disk_errors
from p3d_gen.run.files import write_bytes
from p3d_gen.run.scratch import ScratchFolder
from p3d_gen.stylize.training.recipe import Recipe

# The noise is complete at the last step (zero terminal signal-to-noise ratio). Otherwise a picture's mean colour leaks
# through it in training, and the colour of the prompt is not learnt. The denoiser predicts the picture itself, because
# edges and prompt describe most of it. Other predictions need the exact noise, which a small network learns slowly.
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
    """All parts of a stylizer. text, tokenizer: turn prompts into embeddings (B, tokens, text_width)."""

    vae: AutoencoderTiny
    unet: UNet2DConditionModel
    controlnet: ControlNetModel
    text: CLIPTextModel
    tokenizer: CLIPTokenizer
    scheduler: DDIMScheduler

    def denoiser(self) -> torch.nn.ModuleDict:
        """Return the parts that are trained together."""
        return torch.nn.ModuleDict({"unet": self.unet, "controlnet": self.controlnet, "text": self.text})


def words_of(texts: Iterable[str]) -> list[str]:
    """Return the distinct words of texts, sorted."""
    return sorted({word for text in texts for word in re.findall(r"[a-z]+", text.lower())})


def make_tokenizer(words: Iterable[str], tokens: int) -> CLIPTokenizer:
    """Return a tokenizer that knows some words as a whole and spells all others."""
    letters = [chr(c) for c in range(33, 127)]
    vocabulary = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    with ScratchFolder() as folder:
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
    # large embeddings separate the words from the start; with CLIP's small ones, colours stay similar for a long time
    torch.nn.init.normal_(encoder.get_input_embeddings().weight)
    return encoder


def build(recipe: Recipe, words: Iterable[str]) -> Networks:
    """Return untrained networks of a recipe's size; their weights depend on the recipe's seed only."""
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
    # zero convolutions protect a trained denoiser; here they would only delay
    for parameter in controlnet.parameters():
        if parameter.ndim == 4 and not parameter.any():
            torch.nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5)
    # the prompt also enters every layer, together with the time step: a colour is the same everywhere, and
    # cross-attention of the coarse levels alone is slow to separate similar colours
    unet = UNet2DConditionModel(
        **shape, addition_embed_type="text", addition_embed_type_num_heads=size.text_width // _TEXT_HEAD_WIDTH
    )
    return Networks(vae, unet, controlnet, _text_encoder(recipe, tokenizer), tokenizer, DDIMScheduler(**_SCHEDULE))


def save(networks: Networks, folder: Path, licence: str) -> None:
    """Write FOLDER/base and FOLDER/controlnet in half precision, with their licence."""
    for module in (networks.vae, networks.text, networks.unet, networks.controlnet):
        torch.nn.Module.to(module, torch.float16)  # diffusers' own `to` warns without a reason
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
    with ScratchFolder() as scratch, disk_errors(folder, str(scratch)):
        pipeline.save_pretrained(scratch / "base")
        networks.controlnet.save_pretrained(scratch / "controlnet")
        for path in sorted(path for path in scratch.rglob("*") if path.is_file()):
            write_bytes(folder / path.relative_to(scratch), path.read_bytes())
    for part in ("base", "controlnet"):
        text = f"---\nlicense: {licence}\nlibrary_name: diffusers\n---\nMade by `p3dgen train-stylizer`.\n"
        write_bytes(folder / part / "README.md", text.encode())
