"""Losses of many poses of a batch of images against one neural mesh, from the images' similarity volumes.

Interpolation commutes with the dot product, so the products of all feature cells with all vertex features are
computed once, S = F C^T, and the score of a pose is three look-ups in S for each cell that it covers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from pose_models import geometry
from pose_models.backbone import STRIDE
from pose_models.mesh import visible
from pose_models.nmm import NeuralMesh
from pose_models.rasterise import Hits, rasterise, similarity_scores

_LEAST_FIT = 0.05
_CHUNK = 1 << 21
"""Vertices, or cells, of all poses that are scored at once: bounds the memory."""


@dataclass(frozen=True, kw_only=True)
class Linearised:
    """The loss (Q,) of poses, its gradient (Q, n) and the Gauss-Newton approximation (Q, n, n) of its Hessian.

    grain (Q,): by how much one more covered cell lowers the loss, on average.
    """

    loss: Tensor
    grain: Tensor
    gradient: Tensor
    hessian: Tensor


class Scorer:
    """Reconstruction losses of poses of B images; each pose says by an index which image it is a hypothesis for."""

    def __init__(self, mesh: NeuralMesh, clutter: Tensor, features: Tensor) -> None:
        """Compute the similarity volumes of feature maps (B, D, h, w); clutter (D,) is the rival of every vertex."""
        self.mesh = mesh.mesh
        self.vertex_features = mesh.vertex_features
        self.features = features
        self.hw = (features.shape[2], features.shape[3])
        self.cells = features.shape[2] * features.shape[3]
        rows = features.flatten(2).mT
        self.similarity = rows @ mesh.vertex_features.T
        self.clutter = rows @ clutter
        corners = mesh.vertex_features[self.mesh.faces]
        self.gram = (corners @ corners.mT).flatten(1)
        self.areas = _vertex_areas(self.mesh.vertices, self.mesh.faces)

    def losses(self, images: Tensor, cam_T_obj: Tensor, K: Tensor) -> Tensor:
        """Return losses (Q,) as in NeMo of poses (Q, 4, 4) under K (Q, 3, 3), canvas pixels, of images (Q,) int64."""
        step = max(1, _CHUNK // self.cells)
        parts = [self._losses(*part) for part in zip(*(x.split(step) for x in (images, cam_T_obj, K)), strict=True)]
        return torch.cat(parts)

    def _losses(self, images: Tensor, cam_T_obj: Tensor, K: Tensor) -> Tensor:
        hits, score = self._hits(images, cam_T_obj, K)
        return self._loss(hits, score - self._clutter_at(hits, images), len(images))

    def _hits(self, images: Tensor, cam_T_obj: Tensor, K: Tensor) -> tuple[Hits, Tensor]:
        points = geometry.transform(cam_T_obj, self.mesh.vertices)
        hits = rasterise(points, self.mesh.faces, in_cells(K), self.hw, cull=True)
        return hits, similarity_scores(hits, self.mesh.faces, self.similarity, images)

    def _clutter_at(self, hits: Hits, images: Tensor) -> Tensor:
        return self.clutter.flatten().index_select(0, images.index_select(0, hits.pose) * self.cells + hits.pixel)

    def _loss(self, hits: Hits, gain: Tensor, poses: int) -> Tensor:
        """Return `losses.reconstruction` of the rendered maps: cells without mesh show clutter and add nothing."""
        return 1 - gain.new_zeros(poses).index_add(0, hits.pose, gain.clamp(min=0)) / self.cells

    def vertex_losses(self, cam_T_obj: Tensor, K: Tensor) -> Tensor:
        """Estimate the losses (B, P) of poses (B, P, 4, 4) under K (B, P, 3, 3) without rasterising.

        The sum over the cells that a convex mesh covers becomes one over its visible vertices: each is compared with
        the cell that it falls into, and counts as many cells as its share of the surface covers there.
        """
        step = max(1, _CHUNK // max(1, K.shape[1] * len(self.mesh.vertices)))
        images = torch.arange(len(K), device=K.device).split(step)
        return torch.cat([self._vertex_losses(part, cam_T_obj[part], K[part]) for part in images])

    def _vertex_losses(self, images: Tensor, cam_T_obj: Tensor, K: Tensor) -> Tensor:
        vertices = self.mesh.vertices
        seen = visible(self.mesh, geometry.camera_centre(cam_T_obj))
        points = geometry.transform(cam_T_obj, vertices)
        k = in_cells(K)[..., None, :, :]
        depth = points[..., 2]
        inverse = torch.where(depth > 0, 1 / depth, 0.0)
        column = points[..., 0] * inverse * k[..., 0, 0] + k[..., 0, 2]
        row = points[..., 1] * inverse * k[..., 1, 1] + k[..., 1, 2]
        seen &= (inverse > 0) & (column >= 0) & (column < self.hw[1]) & (row >= 0) & (row < self.hw[0])
        chosen = seen.flatten().nonzero().squeeze(1)
        pose = chosen // len(vertices)
        vertex = chosen - pose * len(vertices)
        column, row, inverse = (x.flatten().index_select(0, chosen) for x in (column, row, inverse))
        cell = row.long() * self.hw[1] + column.long() + images[pose // K.shape[1]] * self.cells
        gain = self.similarity.flatten().index_select(0, cell * len(vertices) + vertex)
        gain = (gain - self.clutter.flatten().index_select(0, cell)).clamp(min=0)
        # A patch of area a at p with normal n covers f_x f_y a |n . p| / z^3 of the image.
        facing = self._facing(cam_T_obj).flatten().index_select(0, chosen)
        focal = (k[..., 0, 0] * k[..., 1, 1]).flatten().index_select(0, pose)
        covered = focal * facing * inverse**3
        total = gain.new_zeros(K.shape[0] * K.shape[1]).index_add(0, pose, covered * gain)
        return 1 - total.view(K.shape[:2]) / self.cells

    def _facing(self, cam_T_obj: Tensor) -> Tensor:
        """Return |n . p| times the area (..., V) of each vertex."""
        offsets = (self.mesh.normals * self.mesh.vertices).sum(-1)
        return (geometry.camera_centre(cam_T_obj) @ self.mesh.normals.mT - offsets).abs() * self.areas

    def object_similarity(self, images: Tensor, cam_T_obj: Tensor, K: Tensor) -> tuple[Tensor, Tensor]:
        """Return f . C (H,) at the cells that poses (Q, 4, 4) cover, and the index of the pose (H,) of each."""
        hits, score = self._hits(images, cam_T_obj, K)
        return score, hits.pose

    def linearised(
        self, images: Tensor, cam_T_obj: Tensor, K: Tensor, motion: Callable[[Hits, Tensor], Tensor]
    ) -> Linearised:
        """Return loss and derivatives of poses (Q, 4, 4) with n parameters: `motion` gives, for hits and their pixels
        (H, 2) in cells, how the mesh's points there move in the image, (H, n, 2), cells for a unit of each parameter.

        The mesh passes a cell backwards: at a fixed cell its barycentrics change by -db/dpixel times that motion. Where
        features fit, f = C, the curvature of -f.C is that of |f - C|^2 / 2: J^T J with J = dC/dparameters, which takes
        only the products of the three vertex features of each face. Where f = a C and something that matches no vertex,
        it is a J^T J, and a is the mean of f.C.
        """
        points = geometry.transform(cam_T_obj, self.mesh.vertices)
        hits = rasterise(points, self.mesh.faces, in_cells(K), self.hw, cull=True)
        score = similarity_scores(hits, self.mesh.faces, self.similarity, images)
        gain = score - self._clutter_at(hits, images)
        loss = self._loss(hits, gain, len(images))
        # Where clutter fits better, the maximum does not see the mesh.
        shown = Hits(**{name: value[gain > 0] for name, value in vars(hits).items()})
        pixels = torch.stack([shown.pixel % self.hw[1] + 0.5, shown.pixel // self.hw[1] + 0.5], dim=1).to(K)
        slopes = barycentric_slopes(shown, points, self.mesh.faces, in_cells(K), pixels)
        moves = -motion(shown, pixels)
        change = moves @ slopes.mT
        corners = self._corner_similarity(shown, images)
        gradient = -(change @ corners[..., None]).squeeze(-1)
        hessian = change @ self.gram.index_select(0, shown.face).unflatten(1, (3, 3)) @ change.mT
        poses, n = len(images), moves.shape[1]
        count = torch.bincount(shown.pose, minlength=poses).clamp(min=1)
        fit = loss.new_zeros(poses).index_add(0, shown.pose, score[gain > 0]) / count
        total = hessian.new_zeros(poses, n, n).index_add(0, shown.pose, hessian)
        return Linearised(
            loss=loss,
            grain=(1 - loss) / count,
            gradient=gradient.new_zeros(poses, n).index_add(0, shown.pose, gradient) / self.cells,
            hessian=total * fit.clamp(min=_LEAST_FIT)[:, None, None] / self.cells,
        )

    def _corner_similarity(self, hits: Hits, images: Tensor) -> Tensor:
        """Return f . C (H, 3) of each hit's cell with the three vertices of its face."""
        cell = images.index_select(0, hits.pose) * self.cells + hits.pixel
        corners = self.mesh.faces.index_select(0, hits.face) + (cell * len(self.mesh.vertices))[:, None]
        return self.similarity.flatten().index_select(0, corners.flatten()).view(-1, 3)


def in_cells(K: Tensor) -> Tensor:
    """Return cameras (..., 3, 3) in pixels of the feature map, of those in canvas pixels."""
    return K * K.new_tensor([[1 / STRIDE], [1 / STRIDE], [1.0]])


def barycentric_slopes(hits: Hits, points_cam: Tensor, faces: Tensor, K: Tensor, pixels: Tensor) -> Tensor:
    """Return the derivatives (H, 3, 2) of the barycentrics of hits with the pixel (H, 2) that looks at the same face.

    points_cam (P, V, 3): the mesh in cam axes; K (P, 3, 3) in pixels of the map.
    """
    corners = (faces.index_select(0, hits.face) + (hits.pose * points_cam.shape[1])[:, None]).flatten()
    homogeneous = (points_cam @ K.mT).flatten(0, 1).index_select(0, corners).view(-1, 3, 3)
    z = homogeneous[..., 2]
    offset = homogeneous[..., :2] - pixels[:, None] * z[..., None]
    # Weight k is (offset b) x (offset c) of the two other corners; moving the pixel moves an offset by -z.
    (o_b, o_c), (z_b, z_c) = ([x.roll(-shift, 1) for shift in (1, 2)] for x in (offset, z[..., None]))
    weights = o_b[..., 0] * o_c[..., 1] - o_b[..., 1] * o_c[..., 0]
    turned = o_b * z_c - o_c * z_b
    slopes = torch.stack([turned[..., 1], -turned[..., 0]], dim=-1)
    total = weights.sum(1)[:, None, None]
    return (slopes - hits.barycentrics[..., None] * slopes.sum(1, keepdim=True)) / total


def _vertex_areas(vertices: Tensor, faces: Tensor) -> Tensor:
    """Return the share (V,) of the surface that each vertex stands for: a third of each of its faces."""
    a, b, c = vertices[faces].unbind(1)
    areas = torch.linalg.vector_norm(torch.linalg.cross(b - a, c - a), dim=1) / 6
    return vertices.new_zeros(len(vertices)).index_add(0, faces.flatten(), areas.repeat_interleave(3))
