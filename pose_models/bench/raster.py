"""Poses a second of the rasteriser: dense feature maps and scores, against PyTorch3D and the slow reference.

The scene is the car cuboid of P3D-Diffusion (1,078 vertices) in random views, its unit diagonal as long as the map is
wide. "Backward" is the vector-Jacobian product of the whole result with a fixed cotangent, for the poses and, of dense
maps, for the vertex features too: no loss is timed along.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from p3d_gen.bench import show
from p3d_gen.core.errors import DependencyError
from pose_models import geometry
from pose_models.bench import device_name, seconds
from pose_models.mesh import Mesh, cuboid
from pose_models.rasterise import Hits, rasterise, render_features, similarity_scores
from pose_models.rasterise.pytorch3d import library, screen_points

CAR_EXTENT = (0.4139, 0.9040, 0.3645)
DISTANCE = 5.0
_SLOW_POSES = 8
"""Enough poses for a yardstick whose time is proportional to their number."""


@dataclass(frozen=True, kw_only=True)
class RasterCase:
    """Poses in a batch, side of the square map in cells, channels of a feature."""

    poses: int = 64
    side: int = 64
    channels: int = 128


AIM = RasterCase()
CASES = (
    AIM,
    *(replace(AIM, poses=poses) for poses in (1, 8, 256)),
    *(replace(AIM, side=side) for side in (32, 96)),
    *(replace(AIM, channels=channels) for channels in (32, 256)),
)


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A case's tensors. cam_T_obj (P, 4, 4); K (P, 3, 3); vertex_features (V, D); similarity (1, side^2, V)."""

    case: RasterCase
    mesh: Mesh
    cam_T_obj: Tensor
    K: Tensor
    vertex_features: Tensor
    similarity: Tensor

    @property
    def hw(self) -> tuple[int, int]:
        """Return the size of the map."""
        return self.case.side, self.case.side

    @property
    def device(self) -> torch.device:
        """Return the device of all tensors."""
        return self.K.device


def scene(case: RasterCase, device: torch.device) -> Scene:
    """Make the car seen from all azimuths, elevations of -10 to 30 and in-plane turns of -10 to 10 degrees."""
    half = np.array(CAR_EXTENT) / 2
    mesh = cuboid(-half, half)
    drawn = torch.Generator().manual_seed(0)
    low, span = torch.tensor([0.0, -10.0, -10.0]), torch.tensor([360.0, 40.0, 20.0])
    R = geometry.rotation_cam_obj((low + span * torch.rand(case.poses, 3, generator=drawn)).deg2rad())
    focal, centre = case.side * DISTANCE, case.side / 2
    K = torch.tensor([[focal, 0.0, centre], [0.0, focal, centre], [0.0, 0.0, 1.0]])
    features, cells = (
        torch.nn.functional.normalize(torch.randn(count, case.channels, generator=drawn), dim=1)
        for count in (len(mesh.vertices), case.side**2)
    )
    return Scene(
        case=case,
        mesh=Mesh(vertices=mesh.vertices.to(device), faces=mesh.faces.to(device), normals=mesh.normals.to(device)),
        cam_T_obj=geometry.pose(R, torch.tensor([0.0, 0.0, DISTANCE]).expand(case.poses, 3)).to(device),
        K=K.expand(case.poses, 3, 3).to(device),
        vertex_features=features.to(device),
        similarity=(cells @ features.T)[None].to(device),
    )


def dense(of: Scene, backend: str = "zbuffer") -> tuple[Tensor, list[Tensor]]:
    """Render feature maps; returns them and the leaves of their graph, the poses and the vertex features."""
    poses, features = (x.detach().requires_grad_() for x in (of.cam_T_obj, of.vertex_features))
    hits = _hits(of, poses, backend)
    return render_features(hits, of.mesh.faces, features, of.case.poses, of.hw), [poses, features]


def scoring(of: Scene) -> tuple[Tensor, list[Tensor]]:
    """Score all hits for poses of one image; returns the scores and the leaf of their graph, the poses."""
    poses = of.cam_T_obj.detach().requires_grad_()
    image = torch.zeros(of.case.poses, dtype=torch.int64, device=of.device)
    return similarity_scores(_hits(of, poses, "zbuffer"), of.mesh.faces, of.similarity, image), [poses]


def _hits(of: Scene, poses: Tensor, backend: str) -> Hits:
    points = geometry.transform(poses, of.mesh.vertices)
    return rasterise(points, of.mesh.faces, of.K, of.hw, cull=True, backend=backend)


def pytorch3d_dense(of: Scene) -> tuple[Tensor, list[Tensor]]:
    """Render as `dense`, the way code on PyTorch3D does it: its rasteriser, its barycentrics, its interpolation."""
    rasterize_meshes, Meshes = library()
    interpolate = importlib.import_module("pytorch3d.ops").interpolate_face_attributes
    poses, features = (x.detach().requires_grad_() for x in (of.cam_T_obj, of.vertex_features))
    vertices = screen_points(geometry.transform(poses, of.mesh.vertices), of.K, of.hw)
    face, _, weights, _ = rasterize_meshes(
        Meshes(vertices, of.mesh.faces.expand(of.case.poses, -1, 3)),
        of.hw,
        faces_per_pixel=1,
        perspective_correct=True,
        cull_backfaces=True,
    )
    rendered = interpolate(face, weights, features[of.mesh.faces].repeat(of.case.poses, 1, 1))
    return rendered.squeeze(3).permute(0, 3, 1, 2), [poses, features]


def rates(of: Scene, method: Callable[[Scene], tuple[Tensor, list[Tensor]]], at_least_s: float) -> tuple[float, float]:
    """Measure the poses a second of a method, forward, and forward and backward."""
    result, _ = method(of)
    cotangent = torch.randn_like(result)
    del result

    def forward_and_backward() -> None:
        output, leaves = method(of)
        torch.autograd.grad(output, leaves, cotangent)

    def forward() -> None:
        with torch.no_grad():
            method(of)

    taken = [seconds(work, of.device, at_least_s) for work in (forward, forward_and_backward)]
    return of.case.poses / taken[0], of.case.poses / taken[1]


def figures(device: torch.device, cases: Sequence[RasterCase], at_least_s: float) -> dict[str, Any]:
    """Measure all cases on one device, and the first against the yardsticks; prints them as tables."""
    measured = [_case_figures(case, device, at_least_s) for case in cases]
    columns = [f"{kind}{part}_poses_per_s" for kind in ("dense", "scoring") for part in ("_forward", "")]
    header = ("poses", "map", "channels", "dense fwd", "dense fwd+bwd", "scoring fwd", "scoring fwd+bwd")
    show(
        f"poses/s on {device_name(device)}",
        header,
        [(f["poses"], f["side"], f["channels"], *(f[column] for column in columns)) for f in measured],
    )
    return {
        "device": device_name(device),
        "torch": torch.__version__,
        "dense_poses_per_s": measured[0]["dense_poses_per_s"],
        "scoring_poses_per_s": measured[0]["scoring_poses_per_s"],
        **_against(measured[0], _yardsticks(cases[0], device, at_least_s)),
        "cases": measured,
    }


def _case_figures(case: RasterCase, device: torch.device, at_least_s: float) -> dict[str, Any]:
    of = scene(case, device)
    row: dict[str, Any] = {"poses": case.poses, "side": case.side, "channels": case.channels}
    for name, method in (("dense", dense), ("scoring", scoring)):
        row[f"{name}_forward_poses_per_s"], row[f"{name}_poses_per_s"] = rates(of, method, at_least_s)
    return row


def _yardsticks(case: RasterCase, device: torch.device, at_least_s: float) -> dict[str, float | None]:
    """Measure the poses a second, forward and backward, of the dense map by PyTorch3D and by the slow reference."""
    reference = scene(replace(case, poses=1), device)
    rate_of: dict[str, float | None] = {
        "reference": rates(reference, lambda of: dense(of, "reference"), 0.0)[1],
        "pytorch3d": None,
    }
    try:
        # On the CPU its time is proportional to the poses.
        poses = case.poses if device.type == "cuda" else min(case.poses, _SLOW_POSES)
        rate_of["pytorch3d"] = rates(scene(replace(case, poses=poses), device), pytorch3d_dense, at_least_s)[1]
    except DependencyError as error:
        print(f"not measured against PyTorch3D: {error}")
    return rate_of


def _against(aim: dict[str, Any], yardsticks: dict[str, float | None]) -> dict[str, float | None]:
    """Compute the ratios to the yardsticks.

    Without a similarity volume a score costs a dense map: scoring is held against that.
    """
    ratios: dict[str, float | None] = {}
    for name, rate in yardsticks.items():
        ratios[f"{name}_poses_per_s"] = rate
        for kind in ("dense", "scoring"):
            ratios[f"{kind}_over_{name}"] = None if rate is None else aim[f"{kind}_poses_per_s"] / rate
    show(
        "forward and backward against dense maps by others",
        ("yardstick", "poses/s", "dense", "scoring"),
        [
            (name, *("not installed" if x is None else x for x in (ratios[f"{name}_poses_per_s"], *over)))
            for name in yardsticks
            for over in [(ratios[f"dense_over_{name}"], ratios[f"scoring_over_{name}"])]
        ],
    )
    return ratios
