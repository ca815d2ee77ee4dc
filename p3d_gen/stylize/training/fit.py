"""The training itself: the autoencoder first, then denoiser, ControlNet and text encoder together. Resumable."""

from __future__ import annotations

import hashlib
import io
import json
import math
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from diffusers.training_utils import EMAModel
from numpy.typing import NDArray
from torch import Tensor

from p3d_gen.core.errors import RunError
from p3d_gen.run.files import write_bytes, write_json
from p3d_gen.stylize.training.networks import Networks, build, save, words_of
from p3d_gen.stylize.training.pairs import Example, Pair, example
from p3d_gen.stylize.training.recipe import Phase, Recipe

# The callback of every step: name of the part, number of the step, number of all steps, and loss.
OnStep = Callable[[str, int, int, float], None]
_SCALE_PICTURES = 64


@dataclass(frozen=True, kw_only=True)
class _Training:
    """The training of one module. phases: its sizes and lengths. loss(examples, generator): the loss of a batch."""

    name: str
    module: torch.nn.Module
    learning_rate: float
    phases: Sequence[Phase]
    loss: Callable[[Sequence[Example], torch.Generator], Tensor]

    @property
    def steps(self) -> int:
        """Return the number of steps of all phases together."""
        return sum(phase.steps for phase in self.phases)

    def phase(self, step: int) -> Phase:
        """Return the phase that a step belongs to."""
        for phase in self.phases:
            if step < phase.steps:
                return phase
            step -= phase.steps
        raise AssertionError("a step after the last")


def _rate(step: int, steps: int, warmup: int) -> float:
    """Return the factor on the learning rate: a linear warm-up, then a cosine down to a twentieth."""
    return min(1.0, (step + 1) / warmup) * (0.05 + 0.95 * (1 + math.cos(math.pi * step / steps)) / 2)


def _batches(training: _Training, recipe: Recipe, pairs: Sequence[Pair], first: int) -> Iterator[list[Example]]:
    """Yield the batches from a step on. Each depends on its number only; the next is made during the step."""

    def batch(step: int) -> list[Example]:
        rng = np.random.default_rng([recipe.seed, zlib.crc32(training.name.encode()), step])
        phase = training.phase(step)
        chosen = rng.integers(len(pairs), size=phase.batch)
        return [example(pairs[i], recipe, phase.size, rng) for i in chosen]

    with ThreadPoolExecutor(1) as pool:
        ahead = pool.submit(batch, first) if first < training.steps else None
        for step in range(first, training.steps):
            assert ahead is not None
            ready = ahead.result()
            ahead = pool.submit(batch, step + 1) if step + 1 < training.steps else None
            yield ready


def _fit(training: _Training, recipe: Recipe, pairs: Sequence[Pair], out: Path, device: str, on_step: OnStep) -> None:
    """Train a module to the end, from its last checkpoint if there is one. In the end it has the averaged weights."""
    module, path = training.module.to(device), out / f"{training.name}.checkpoint"
    optimiser = torch.optim.AdamW(module.parameters(), lr=training.learning_rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda n: _rate(n, training.steps, recipe.warmup))
    average = EMAModel(module.parameters(), decay=recipe.ema)
    parts = {"module": module, "optimiser": optimiser, "schedule": schedule, "average": average}
    first = 0
    if path.exists():
        kept = torch.load(path, map_location=device, weights_only=True)
        for name, part in parts.items():
            part.load_state_dict(kept[name])
        average.to(device)
        first = kept["step"]
    module.train()
    for step, examples in enumerate(_batches(training, recipe, pairs, first), first):
        with torch.autocast(device.partition(":")[0], torch.bfloat16, enabled=device != "cpu"):
            loss = training.loss(examples, torch.Generator().manual_seed(recipe.seed * 1_000_003 + step))
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        average.step(module.parameters())
        if not math.isfinite(value := float(loss.detach())):
            raise RunError(
                f"the loss of {training.name} is {value} at step {step + 1}: lower learning_rate in the recipe"
            )
        on_step(training.name, step + 1, training.steps, value)
        if (step + 1) % recipe.checkpoint == 0 or step + 1 == training.steps:
            content = io.BytesIO()  # torch's writer would hide the reason if the disk is full
            torch.save({name: part.state_dict() for name, part in parts.items()} | {"step": step + 1}, content)
            write_bytes(path, content.getvalue())
    average.copy_to(module.parameters())
    module.eval()


def _pixels(pictures: Sequence[NDArray[np.uint8]], device: str) -> Tensor:
    """Return bytes (B, H, W[, 3]) as floats (B, C, H, W) in [0, 1]."""
    stacked = torch.from_numpy(np.stack(pictures)).to(device)
    stacked = stacked[:, None] if stacked.ndim == 3 else stacked.permute(0, 3, 1, 2)
    return stacked.float().div_(255).contiguous(memory_format=torch.channels_last)


def _piece(picture: NDArray[np.uint8], alpha: NDArray[np.uint8], side: int, draw: float) -> NDArray[np.uint8]:
    """Return a square piece of a picture around one of the object's pixels, which `draw` in [0, 1) chooses."""
    rows, columns = np.nonzero(alpha)
    chosen = int(draw * len(rows))
    y, x = (rows[chosen], columns[chosen]) if len(rows) else (0, 0)
    top, left = (int(np.clip(at - side // 2, 0, length - side)) for at, length in zip((y, x), alpha.shape, strict=True))
    return picture[top : top + side, left : left + side]


def _autoencoder_loss(
    vae: Any, recipe: Recipe, device: str, examples: Sequence[Example], generator: torch.Generator
) -> Tensor:
    """Return the mean absolute difference of the colours and of their gradients."""
    draws = torch.rand(len(examples), generator=generator).tolist()
    side = recipe.autoencoder.crop
    pieces = [_piece(one.picture, one.alpha, side, draw) for one, draw in zip(examples, draws, strict=True)]
    picture = _pixels(pieces, device) * 2 - 1
    off = vae.decode(vae.encode(picture).latents).sample - picture
    across, down = off[..., :, 1:] - off[..., :, :-1], off[..., 1:, :] - off[..., :-1, :]
    return off.abs().mean() + across.abs().mean() + down.abs().mean()


def _set_scales(networks: Networks, recipe: Recipe, pairs: Sequence[Pair], device: str) -> None:
    """Give a standard deviation of 1 to the latents of objects, and to the features that the ControlNet reads.

    Otherwise the denoiser ignores the sparse edges for a long time.
    """
    rng = np.random.default_rng([recipe.seed, 1])
    size = recipe.phases[-1].size
    shown = [example(pairs[i], recipe, size, rng) for i in rng.integers(len(pairs), size=_SCALE_PICTURES)]
    there = F.max_pool2d(_pixels([one.alpha for one in shown], device), recipe.autoencoder.factor) > 0
    reader = networks.controlnet.controlnet_cond_embedding.to(device)
    with torch.no_grad():
        latents = networks.vae.encode(_pixels([one.picture for one in shown], device) * 2 - 1).latents
        read = reader(_pixels([one.edges for one in shown], device).expand(-1, 3, -1, -1))
        reader.conv_out.weight /= read[there.expand_as(read)].std()
    networks.vae.register_to_config(scaling_factor=1.0 / float(latents[there.expand_as(latents)].std()))


def _denoiser_loss(networks: Networks, device: str, examples: Sequence[Example], generator: torch.Generator) -> Tensor:
    """Return the mean squared error of the latents that are predicted from noisy ones."""
    with torch.no_grad():
        latents = networks.vae.encode(_pixels([one.picture for one in examples], device) * 2 - 1).latents
        latents = latents * networks.vae.config.scaling_factor
    edges = _pixels([one.edges for one in examples], device).expand(-1, 3, -1, -1)
    noise = torch.randn(latents.shape, generator=generator).to(device)
    # mostly noisy ones: there, only edges and prompt describe the picture
    drawn = torch.rand(len(examples), generator=generator).sqrt() * networks.scheduler.config.num_train_timesteps
    steps = drawn.long().to(device)
    noisy = networks.scheduler.add_noise(latents, noise, steps)
    tokens = networks.tokenizer(
        [one.prompt for one in examples], padding="max_length", truncation=True, return_tensors="pt"
    )
    prompt = networks.text(tokens.input_ids.to(device)).last_hidden_state
    down, middle = networks.controlnet(noisy, steps, prompt, controlnet_cond=edges, return_dict=False)
    predicted = networks.unet(
        noisy, steps, prompt, down_block_additional_residuals=down, mid_block_additional_residual=middle
    ).sample
    return F.mse_loss(predicted.float(), latents)


def pick_device(name: str) -> str:
    """Return the device of a name; `auto` is the first GPU, or the CPU. Raise RunError if the device does not exist."""
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name != "cpu" and not (name.startswith("cuda") and torch.cuda.is_available()):
        raise RunError(f"device {name!r}: torch sees no such device; use cpu or auto")
    return name


def _claim(recipe: Recipe, pairs: Sequence[Pair], out: Path) -> None:
    """Mark a folder as the one of this training. Raise RunError if it holds another training."""
    digest = hashlib.sha256()
    for pair in pairs:
        digest.update(pair.prior + pair.target)
    mark = {"recipe": recipe.model_dump(mode="json"), "pairs": len(pairs), "pairs_sha256": digest.hexdigest()}
    path = out / "training.json"
    if not path.exists():
        write_json(path, mark)
    elif (kept := json.loads(path.read_text())) != mark:
        changed = sorted(key for key in mark if kept.get(key) != mark[key])
        raise RunError(f"{out} holds another training ({', '.join(changed)} changed): choose another --out")


def _words(recipe: Recipe, pairs: Sequence[Pair]) -> list[str]:
    """Return the words of all prompts that the training can show."""
    shown = {template.format(colour="", category="") for template in recipe.templates}
    return words_of([*shown, *(pair.colour for pair in pairs), *(pair.category for pair in pairs)])


def train(recipe: Recipe, pairs: Sequence[Pair], out: Path, device: str, on_step: OnStep) -> Path:
    """Train a stylizer. Return its folder, OUT/model, with base/ and controlnet/ in the layout of diffusers.

    An interrupted training resumes from its last checkpoint. Raise RunError if OUT holds another training.
    """
    _claim(recipe, pairs, out)
    networks = build(recipe, _words(recipe, pairs))
    code = recipe.autoencoder
    autoencoder = _Training(
        name="autoencoder",
        module=networks.vae,
        learning_rate=code.learning_rate,
        phases=[Phase(size=code.size, steps=code.steps, batch=code.batch)],
        loss=lambda examples, generator: _autoencoder_loss(networks.vae, recipe, device, examples, generator),
    )
    _fit(autoencoder, recipe, pairs, out, device, on_step)
    networks.vae.requires_grad_(False)
    _set_scales(networks, recipe, pairs, device)
    denoiser = _Training(
        name="denoiser",
        module=networks.denoiser(),
        learning_rate=recipe.learning_rate,
        phases=recipe.phases,
        loss=lambda examples, generator: _denoiser_loss(networks, device, examples, generator),
    )
    _fit(denoiser, recipe, pairs, out, device, on_step)
    save(networks, out / "model", recipe.licence)
    return out / "model"
