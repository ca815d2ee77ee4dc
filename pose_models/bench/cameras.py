"""Errors of the solver for objects near the camera, by what is known of the camera and by what is solved.

The scene is the car cuboid in random views at given distances, with perfect features, as in `pose_models.bench.solve`;
its box fills most of the canvas, as in the images of trained models. The mean training distance is that of renders.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from p3d_gen.bench import show
from pose_models import geometry
from pose_models.backbone import STRIDE
from pose_models.bench.raster import DISTANCE
from pose_models.bench.solve import random_poses, rendered, smooth_mesh
from pose_models.nmm import NeuralMesh
from pose_models.solve import Solutions, SolveConfig, camera_rule, solve

DISTANCES = (0.8, 1.0, 1.13, 1.5, 2.0, 3.0, 4.0)
MAP_HW = (32, 32)
FILL = 0.9
_TWO, _ONE = SolveConfig(), SolveConfig(focals="one")
_FREE = SolveConfig(focals="one", free=("distance",))


@dataclass(frozen=True, kw_only=True)
class Method:
    """A way to find the camera. knows_lens: whether K is given; at_truth: whether the distance is."""

    config: SolveConfig
    knows_lens: bool = False
    at_truth: bool = False


METHODS = {
    "two focals, mean distance": Method(config=_TWO),
    "one focal, mean distance": Method(config=_ONE),
    "one focal, free distance": Method(config=_FREE),
    "two focals, true distance": Method(config=_TWO, at_truth=True),
    "one focal, true distance": Method(config=_ONE, at_truth=True),
    "known focal": Method(config=_TWO, knows_lens=True),
}


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Images with true poses (B, 4, 4), on the optical axis, and K (B, 3, 3); their feature maps and boxes (B, 4)."""

    mesh: NeuralMesh
    clutter: Tensor
    features: Tensor
    cam_T_obj: Tensor
    K: Tensor
    box_xyxy: Tensor

    def to(self, device: torch.device) -> Scene:
        """Return the scene on a device."""
        return Scene(**{name: value.to(device) for name, value in vars(self).items()})


def near_scene(images: int, distance: float, *, vertices: int = 500, channels: int = 32, seed: int = 0) -> Scene:
    """Make images of the car at a distance in box diagonals, in the same random views at every distance."""
    generator = torch.Generator().manual_seed(seed)
    mesh = smooth_mesh(vertices, channels, generator)
    poses = random_poses(images, generator)
    poses[:, 2, 3] = distance
    rays = geometry.project(geometry.transform(poses, mesh.outlines[0]), torch.eye(3))
    low, high = rays.amin(1), rays.amax(1)
    canvas = torch.tensor([MAP_HW[1], MAP_HW[0]]) * float(STRIDE)
    focal = FILL * (canvas / (high - low)).amin(1)
    K = torch.diag_embed(torch.stack([focal, focal, torch.ones(images)], dim=1))
    K[:, :2, 2] = canvas / 2 - focal[:, None] * (low + high) / 2
    features, clutter = rendered(mesh, poses, K, MAP_HW, 0.0, generator)
    box = torch.cat([low, high], dim=1) * focal[:, None] + K[:, :2, 2].repeat(1, 2)
    return Scene(mesh=mesh, clutter=clutter, features=features, cam_T_obj=poses, K=K, box_xyxy=box)


def solved(scene: Scene, method: Method) -> Solutions:
    """Solve a scene's images with what a method knows of their cameras."""
    nothing = torch.full_like(scene.cam_T_obj, torch.nan)
    K = scene.K if method.knows_lens else torch.full_like(scene.K, torch.nan)
    distance = float(scene.cam_T_obj[0, 2, 3]) if method.at_truth else DISTANCE
    rule = camera_rule(scene.mesh, nothing, K, scene.box_xyxy, distance, method.config.focals)
    solutions: Solutions = solve(scene.mesh, scene.clutter, scene.features, rule, method.config)
    return solutions


def errors(solutions: Solutions, scene: Scene) -> dict[str, float]:
    """Measure rotation errors in degrees, their bias about the camera's x axis, and the error of the translation.

    The bias is the median of the turns about x from the truth to the answer, of errors below 90 degrees. It is negative
    where the object's upper side is turned away from the camera, as by an elevation that is too low.
    """
    truth = scene.cam_T_obj
    turn = solutions.R_cam_obj @ truth[:, :3, :3].mT
    error = geometry.rotation_error_rad(solutions.R_cam_obj, truth[:, :3, :3])
    sine_x = (turn[:, 2, 1] - turn[:, 1, 2]) / 2
    about_x = sine_x * error / error.sin().clamp(min=1e-6)
    missed = (solutions.cam_T_obj[:, :3, 3] - truth[:, :3, 3]).norm(dim=1)
    return {
        "bias_x_deg": float(about_x[error < torch.pi / 2].rad2deg().median()),
        "median_deg": float(error.rad2deg().median()),
        "above_10_deg": float((error.rad2deg() > 10).float().mean()),
        "translation": float(missed.median()),
    }


def figures(
    images: int,
    device: torch.device,
    distances: Sequence[float] = DISTANCES,
    methods: Mapping[str, Method] = METHODS,
) -> dict[str, dict[str, dict[str, float]]]:
    """Print a table for each distance; return all figures by distance and method."""
    header = ("camera", "bias about x, degrees", "median, degrees", "above 10 degrees", "translation, diagonals")
    results: dict[str, dict[str, dict[str, float]]] = {}
    for distance in distances:
        scene = near_scene(images, distance).to(device)
        results[f"{distance:g}"] = {name: errors(solved(scene, method), scene) for name, method in methods.items()}
        rows = [(name, *row.values()) for name, row in results[f"{distance:g}"].items()]
        show(f"solve: {images} images at {distance:g} box diagonals, mean distance {DISTANCE:g}", header, rows)
    return results
