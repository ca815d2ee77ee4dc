"""Images a second and accuracy of the solver's presets, on the same feature maps.

Without a model the scene is the car cuboid of P3D-Diffusion (1,078 vertices, 128 channels, a map of 32 x 84 cells as of
NeMo's cars) in random views. Its vertex features vary smoothly over the surface; an image's features are the rendered
ones where the car is and mostly noise elsewhere, noise is added everywhere, and the pose is known.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from p3d_gen.bench import show
from pose_models import geometry
from pose_models.backbone import STRIDE
from pose_models.bench import device_name, seconds
from pose_models.bench.raster import CAR_EXTENT, DISTANCE
from pose_models.data.augment import collate, place
from pose_models.data.shards import ShardSamples, shard_paths
from pose_models.nmm import MeshSpec, NeuralMesh, initial_features, load_model
from pose_models.rasterise import rasterise, render_features
from pose_models.solve import CameraRule, SolveConfig, box_camera, camera_rule, known_camera, solve
from pose_models.solve.scoring import in_cells

MAP_HW = (32, 84)
CHANNELS = 128
FOCAL_PX = 2800.0
CLUTTER_SHARE = 0.5


@dataclass(frozen=True, kw_only=True)
class Problem:
    """The arguments of `solve` for B images, and the true rotations R_true (B, 3, 3)."""

    name: str
    mesh: NeuralMesh
    clutter: Tensor
    features: Tensor
    camera: CameraRule
    R_true: Tensor


def smooth_mesh(vertices: int, channels: int, generator: torch.Generator) -> NeuralMesh:
    """Make the car cuboid with smooth random vertex features; its one CAD is the cuboid itself."""
    upper = tuple(side / 2 for side in CAR_EXTENT)
    lower = tuple(-side for side in upper)
    spec = MeshSpec(
        category="car",
        vertices=vertices,
        box_lower=lower,
        box_upper=upper,
        cads=1,
        distance=DISTANCE,
        elevations_rad=(math.radians(-10), math.radians(40)),
        thetas_rad=(math.radians(-10), math.radians(10)),
        mode_rotation=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0),
    )
    corners = torch.cartesian_prod(*(torch.tensor(ends) for ends in zip(lower, upper, strict=True)))
    mesh = NeuralMesh(spec, corners[None])
    mesh.vertex_features = initial_features(mesh.mesh.vertices, channels, generator, "smooth")
    return mesh


def random_poses(count: int, generator: torch.Generator) -> Tensor:
    """Draw poses (count, 4, 4) on the optical axis: all azimuths, elevations of -10 to 40, in-plane turns of -10 to 10
    degrees."""
    low, span = torch.tensor([0.0, -10.0, -10.0]), torch.tensor([360.0, 50.0, 20.0])
    R = geometry.rotation_cam_obj((low + span * torch.rand(count, 3, generator=generator)).deg2rad())
    return geometry.pose(R, torch.tensor([0.0, 0.0, DISTANCE]).expand(count, 3))


def rendered(
    mesh: NeuralMesh, cam_T_obj: Tensor, K: Tensor, hw: tuple[int, int], noise: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Render feature maps (B, D, h, w) of poses (B, 4, 4) under K (B, 3, 3), canvas pixels; returns them and the
    clutter's feature (D,).

    `noise` is the length of what is added to each unit feature before it is normalised again.
    """
    channels = mesh.vertex_features.shape[1]
    points = geometry.transform(cam_T_obj, mesh.mesh.vertices)
    hits = rasterise(points, mesh.mesh.faces, in_cells(K), hw, cull=True)
    maps = render_features(hits, mesh.mesh.faces, mesh.vertex_features, len(K), hw)
    clutter = F.normalize(torch.randn(channels, generator=generator), dim=0)
    around, added = (torch.randn(maps.shape, generator=generator) / math.sqrt(channels) for _ in range(2))
    around = F.normalize(CLUTTER_SHARE * clutter[:, None, None] + around, dim=1)
    covered = maps.norm(dim=1, keepdim=True) > 0
    clean = torch.where(covered, F.normalize(maps, dim=1), around)
    return F.normalize(clean + noise * added, dim=1).contiguous(), clutter


def synthetic(images: int, noise: float, *, boxes: bool, device: torch.device, seed: int = 0) -> Problem:
    """Make images with a known answer; their cameras are annotated, or only their boxes known."""
    generator = torch.Generator().manual_seed(seed)
    mesh = smooth_mesh(1000, CHANNELS, generator)
    poses = random_poses(images, generator)
    K = torch.tensor([[FOCAL_PX, 0, MAP_HW[1] * STRIDE / 2], [0, FOCAL_PX, MAP_HW[0] * STRIDE / 2], [0, 0, 1]])
    K = K.expand(images, 3, 3)
    features, clutter = rendered(mesh, poses, K, MAP_HW, noise, generator)
    rule = known_camera(poses[:, :3, 3].to(device), K.to(device))
    if boxes:
        pixels = geometry.project(geometry.transform(poses, mesh.outlines[0]), K)
        box = torch.cat([pixels.amin(1), pixels.amax(1)], dim=1)
        rule = box_camera(box.to(device), mesh.outlines.to(device), DISTANCE)
    return Problem(
        name=f"noise {noise:g}, {'box' if boxes else 'camera'} known",
        mesh=mesh.to(device),
        clutter=clutter.to(device),
        features=features.to(device),
        camera=rule,
        R_true=poses[:, :3, :3].to(device),
    )


@torch.no_grad()
def of_model(folder: Path, shards: str, images: int, device: torch.device) -> Problem:
    """Read images of shards as a trained model sees them: their principal point and distance are used.

    The first category of the model that the shards hold; ValueError if they hold none.
    """
    model = load_model(folder, device)
    category = model.spec.categories[0]
    samples = ShardSamples(shard_paths(shards, category))
    step = max(1, len(samples) // images)
    chosen = [samples[i] for i in range(0, len(samples), step)][:images]
    batch = collate([place(sample, model.spec.canvas_hw, model.spec.box_fill) for sample in chosen]).to(device)
    mesh = model.neural_mesh(category)
    parts = [model.net(part.contiguous(memory_format=torch.channels_last)) for part in batch.image.split(8)]
    return Problem(
        name=f"{folder}, {len(chosen)} images of {shards}",
        mesh=mesh,
        clutter=model.clutter_mean(),
        features=torch.cat(parts),
        camera=camera_rule(mesh, batch.cam_T_obj, batch.K, batch.box_xyxy),
        R_true=batch.cam_T_obj[:, :3, :3],
    )


def measured(problem: Problem, config: SolveConfig, device: torch.device, at_least_s: float) -> dict[str, float]:
    """Measure images a second, errors in degrees and the mean loss of a configuration."""
    given = problem.mesh, problem.clutter, problem.features, problem.camera
    answers = []
    taken = seconds(lambda: answers.append(solve(*given, config)), device, at_least_s)
    solved = answers[-1]
    error = geometry.rotation_error_rad(solved.R_cam_obj, problem.R_true).rad2deg()
    return {
        "images_per_s": len(problem.features) / taken,
        "acc_pi_6": float((error < 30).float().mean()),
        "acc_pi_18": float((error < 10).float().mean()),
        "median_deg": float(error.median()),
        "loss": float(solved.loss.mean()),
    }


def figures(
    problems: list[Problem], presets: Mapping[str, SolveConfig], device: torch.device, at_least_s: float
) -> dict[str, Any]:
    """Print a table for each problem; returns all figures, and how many times as many images a second as the released
    schedule the default solves, over all problems together."""
    results: dict[str, dict[str, dict[str, float]]] = {}
    for problem in problems:
        by_preset = {name: measured(problem, config, device, at_least_s) for name, config in presets.items()}
        header = ("preset", "images/s", "Acc pi/6", "Acc pi/18", "median, degrees", "loss")
        rows = [(name, *row.values()) for name, row in by_preset.items()]
        show(f"solve: {problem.name}; {device_name(device)}", header, rows)
        results[problem.name] = by_preset
    times = {name: sum(1 / by_preset[name]["images_per_s"] for by_preset in results.values()) for name in presets}
    ratio = times["released"] / times["default"]
    return {"solve_over_released": ratio, "device": device_name(device), "problems": results}
