"""The losses of neural mesh models, as in NeMo and its successors."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

MASKED_LOGIT = -1e5


def contrastive(
    features: Tensor,
    labels: Tensor,
    vertex_features: Tensor,
    clutter: Tensor,
    near: Tensor,
    *,
    temperature: float,
    clutter_weight: float,
    others: Tensor | None = None,
) -> Tensor:
    """Return the mean cross-entropy of the visible vertices' features against all vertices and the clutter bank.

    features (N, D): unit image features at visible vertices; labels (N,): their vertex index r;
    vertex_features (V, D); clutter (M, D), M may be 0; near (V, V) bool: vertices too close to r to be distinguished,
    left out of its denominator (its own entry is ignored); others (O, D): vertex features of the other categories that
    share the backbone. Logits f.C_l / T and f.beta_n / T + ln(clutter_weight); 0 if N is 0.
    """
    if len(labels) == 0:
        return features.sum()
    rows = torch.arange(len(labels), device=labels.device)
    excluded = near[labels]
    excluded[rows, labels] = False
    logits = [(features @ vertex_features.T / temperature).masked_fill(excluded, MASKED_LOGIT)]
    if others is not None:
        logits.append(features @ others.T / temperature)
    logits.append(features @ clutter.T / temperature + math.log(clutter_weight))
    return F.cross_entropy(torch.cat(logits, dim=1).float(), labels)


def clutter_similarity(clutter_features: Tensor, vertex_features: Tensor) -> Tensor:
    """Return the mean of f.C_l over clutter features (M, D) and all vertices (V, D); 0 if there are none.

    It is NeMo's second term, weighted 0.1 there.
    """
    if len(clutter_features) == 0:
        return clutter_features.sum()
    return clutter_features.mean(0) @ vertex_features.mean(0)


def reconstruction(object_similarity: Tensor, clutter_similarity: Tensor) -> Tensor:
    """Return the inference loss (...) over cells (..., N): 1 - [mean max(obj, clu) - mean clu], as in NeMo.

    object_similarity: f.C at each cell, 0 if it shows no mesh; clutter_similarity: f.beta at each cell.
    """
    best = torch.maximum(object_similarity, clutter_similarity)
    return 1 - (best.mean(-1) - clutter_similarity.mean(-1))
