"""Poses of images by render-and-compare with a neural mesh model."""

from __future__ import annotations

import torch
from torch import Tensor

from pose_models.data.sample import Batch
from pose_models.estimator import EstimateConfig, Estimates, Estimator
from pose_models.look import by_category
from pose_models.nmm import NeuralMeshModel
from pose_models.solve import batch_camera, candidates, infer_category, solve_views, views_of


class MeshEstimator(Estimator):
    """Render-and-compare with one neural mesh model, for all of its categories.

    With `mirror` the mirrored image is solved as well; the hypothesis with the lowest mean loss over both images wins.
    """

    def __init__(self, model: NeuralMeshModel, config: EstimateConfig) -> None:
        """Estimate with `model` on its device."""
        self.model, self._config = model, config
        self.canvas_hw, self.box_fill = model.spec.canvas_hw, model.spec.box_fill
        self.symmetries = {name: model.spec.symmetry(name) for name in model.spec.categories}
        self.mode_rotations = {
            mesh.category: torch.tensor(mesh.mode_rotation, dtype=torch.float64).view(3, 3)
            for mesh in model.spec.meshes
        }
        self.boxes = {mesh.category: torch.tensor([mesh.box_lower, mesh.box_upper]) for mesh in model.spec.meshes}

    @torch.no_grad()
    def estimate(self, batch: Batch) -> Estimates:
        """Return the poses of the images of a batch; DataError for a category that the model does not know."""
        batch = batch.to(self.model.clutter.device)
        model, config = self.model, self._config
        views = views_of(model, batch, mirror=config.mirror)
        if config.infer:
            best, solution, _ = infer_category(
                candidates(model, views), config.solve, config.distance, config.confidence
            )
            names = [model.spec.categories[i] for i in best.tolist()]
            return Estimates(
                cam_T_obj=solution.cam_T_obj,
                K=solution.K,
                loss=solution.loss,
                confidence=solution.confidence,
                category=names,
            )
        clutter, rows = model.clutter_mean(), by_category(batch)
        solved = [
            solve_views(
                model.neural_mesh(name),
                clutter,
                [v.take(part) for v in views],
                config.solve,
                config.distance,
                config.confidence,
            )
            for name, part in rows.items()
        ]
        order = torch.cat(list(rows.values())).argsort()

        def joined(field: str) -> Tensor:
            return torch.cat([getattr(part, field) for part in solved])[order]

        return Estimates(
            cam_T_obj=joined("cam_T_obj"),
            K=joined("K"),
            loss=joined("loss"),
            confidence=joined("confidence"),
            category=batch.category,
        )

    def camera(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the annotated translation and camera where they are known, else those that the box gives."""
        batch = batch.to(self.model.clutter.device)
        cameras = []
        for i, category in enumerate(batch.category):
            one = batch.take(torch.tensor([i]))
            mesh = self.model.neural_mesh(category)
            rule = batch_camera(mesh, one, self._config.distance, self._config.solve.focals)
            cameras.append(rule(one.cam_T_obj[:, None, :3, :3]))
        return torch.cat([pose[:, 0] for pose, _ in cameras]), torch.cat([K[:, 0] for _, K in cameras])
