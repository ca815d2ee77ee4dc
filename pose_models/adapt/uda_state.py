"""The state of 3DUDA between two images: hypotheses, pending features, and the counts of an epoch."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pose_models.adapt.config import UdaConfig
from pose_models.adapt.uda_poses import Candidates
from pose_models.adapt.vertices import Pending
from pose_models.adapt.vmf import log_likelihood
from pose_models.look import Seen
from pose_models.nmm import ByCategory, NeuralMeshModel

HISTOGRAM = tuple(f"confidence_histogram_{i:02d}" for i in range(10))


class State(nn.Module):
    """The part of an adaptation that a checkpoint keeps next to model and optimiser, all of it buffers.

    poses (N, H, 4, 4), K (N, H, 3, 3), losses (N, H): the hypotheses of the N target images on the model's canvas, by
    rising loss, infinity if there is none. pending: by category. acceptance, similarity of a category (E + 1, R): of
    each epoch from 0, the source model, and each vertex the share of the best hypotheses showing it that had it
    accepted, and the mean cosine; NaN if no image showed it, and for epochs to come.
    """

    poses: Tensor
    K: Tensor
    losses: Tensor

    def __init__(self, model: NeuralMeshModel, images: int, config: UdaConfig) -> None:
        """Start without hypotheses and records."""
        super().__init__()
        bank = model.clutter
        self.register_buffer("poses", bank.new_zeros(images, config.hypotheses, 4, 4))
        self.register_buffer("K", bank.new_zeros(images, config.hypotheses, 3, 3))
        self.register_buffer("losses", bank.new_full((images, config.hypotheses), torch.inf))
        self.pending = ByCategory({name: Pending(neural) for name, neural in model.meshes.items()})
        for name, neural in model.meshes.items():
            empty = bank.new_full((config.epochs + 1, len(neural.vertex_features)), torch.nan)
            self.register_buffer(f"acceptance_{name}", empty)
            self.register_buffer(f"similarity_{name}", empty.clone())

    def keep(self, rows: Tensor, candidates: Candidates) -> None:
        """Take over the hypotheses of the images `rows` (B,)."""
        self.poses[rows], self.K[rows], self.losses[rows] = candidates

    def record(self, epoch: int, name: str, acceptance: Tensor, similarity: Tensor) -> None:
        """Keep what an epoch found for the vertices of a category."""
        getattr(self, f"acceptance_{name}")[epoch] = acceptance
        getattr(self, f"similarity_{name}")[epoch] = similarity

    def recorded(self, epochs: int) -> dict[str, Tensor]:
        """Return CATEGORY/acceptance and CATEGORY/similarity (epochs, R) of the first `epochs` epochs."""
        return {
            f"{name}/{kind}": getattr(self, f"{kind}_{name}")[:epochs].cpu().clone()
            for name in self.pending
            for kind in ("acceptance", "similarity")
        }


class Tally:
    """The counts of one pass over the target images."""

    def __init__(self, model: NeuralMeshModel, config: UdaConfig) -> None:
        """Start from zero."""
        self._kappa, self._channels = config.kappa, model.clutter.shape[1]
        zeros = {name: torch.zeros_like(neural.vertex_features[:, 0]) for name, neural in model.meshes.items()}
        self._of_best = {name: (zero.clone(), zero.clone(), zero.clone()) for name, zero in zeros.items()}
        self._of_all = {name: (zero.clone(), zero.clone()) for name, zero in zeros.items()}
        self._confidence: list[Tensor] = []
        self.moves, self.passed = 0, 0

    def add(self, name: str, seen: Seen, taken: Tensor, best: Tensor) -> None:
        """Count what poses of a category show, what of it was taken (P, R), and which of them (P,) are the best of
        their images."""
        for total, part in zip(self._of_all[name], (seen.visible, taken), strict=True):
            total += part.sum(0)
        cosine = seen.cosine().where(seen.visible, 0.0)
        for total, part in zip(self._of_best[name], (seen.visible, taken, cosine), strict=True):
            total += part[best].sum(0)
        self._confidence.append(seen.fit()[best])

    def per_vertex(self) -> dict[str, tuple[Tensor, Tensor]]:
        """Return acceptance and similarity (R,) of each category's vertices, as `State` records them."""
        return {name: (taken / shown, cosine / shown) for name, (shown, taken, cosine) in self._of_best.items()}

    def figures(self) -> dict[str, float]:
        """Return all counts by name.

        accepted_share: of what all hypotheses show. coverage: of the vertices that they show. images_passed: images
        that passed the gate. confidence: mean and histogram over 0..1 of the images' mean cosine under their best
        hypothesis. log_likelihood: the mean ln p(f | C) of what these show.
        """
        shown, taken = (torch.cat(parts) for parts in zip(*self._of_all.values(), strict=True))
        seen, _, cosine = (torch.cat(parts).sum() for parts in zip(*self._of_best.values(), strict=True))
        confidence = torch.cat(self._confidence)
        counts = torch.histc(confidence.clamp(0, 1).cpu(), bins=len(HISTOGRAM), min=0, max=1)
        return {
            "accepted_share": float(taken.sum() / shown.sum().clamp(min=1)),
            "coverage": float((taken > 0).sum() / (shown > 0).sum().clamp(min=1)),
            "bank_moves": self.moves,
            "images_passed": self.passed,
            "confidence_mean": float(confidence.mean()),
            **{key: int(count) for key, count in zip(HISTOGRAM, counts, strict=True)},
            "log_likelihood": float(log_likelihood(cosine / seen.clamp(min=1), self._kappa, self._channels)),
        }
