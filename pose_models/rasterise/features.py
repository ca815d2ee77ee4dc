"""Vertex features at the pixels that see a mesh: as dense maps, or as scores looked up in a similarity volume."""

from __future__ import annotations

import torch
from torch import Tensor

from pose_models.rasterise.hits import Hits


def render_features(hits: Hits, faces: Tensor, vertex_features: Tensor, poses: int, hw: tuple[int, int]) -> Tensor:
    """Render feature maps (poses, D, h, w), in channels-last memory, of `vertex_features` (V, D) interpolated over the
    faces (F, 3).

    They are 0 where no mesh is seen. Differentiable in the vertex features and in the barycentrics.

    Features are not normalised again after interpolation.
    """
    slots = poses * hw[0] * hw[1]
    filled = torch.zeros(slots, dtype=torch.int64, device=faces.device)
    filled[hits.pose * (hw[0] * hw[1]) + hits.pixel] = 3
    rendered = torch.nn.functional.embedding_bag(
        faces.index_select(0, hits.face).flatten(),
        vertex_features,
        filled.cumsum(0) - filled,
        mode="sum",
        per_sample_weights=hits.barycentrics.flatten().to(vertex_features.dtype),
    )
    return rendered.view(poses, *hw, vertex_features.shape[1]).permute(0, 3, 1, 2)


def similarity_scores(hits: Hits, faces: Tensor, similarity: Tensor, image_of_pose: Tensor) -> Tensor:
    """Compute scores (H,): the product of each hit's interpolated vertex feature with the image's feature at its pixel.

    similarity (B, cells, V): products of the features of the cells, row by row, of B images with all vertex features;
    image_of_pose (P,) int64: the image that each pose is a hypothesis for. Interpolation commutes with the product, so
    the score is three look-ups, and equals that of `render_features` exactly. Differentiable in the similarity and in
    the barycentrics.
    """
    _, cells, vertices = similarity.shape
    cell = image_of_pose.index_select(0, hits.pose) * cells + hits.pixel
    corners = faces.T.index_select(1, hits.face) + cell * vertices
    looked_up = similarity.reshape(-1).index_select(0, corners.flatten()).view(3, -1)
    return (looked_up * hits.barycentrics.T).sum(0)
