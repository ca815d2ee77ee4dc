"""The backend on PyTorch3D's `rasterize_meshes`: a yardstick, and a second opinion on every pixel."""

from __future__ import annotations

import importlib
from typing import Any

import torch
from torch import Tensor

from p3d_gen.core.errors import DependencyError
from pose_models.rasterise.hits import homogeneous

_CLIP = 1e-4


def faces_seen(points_cam: Tensor, faces: Tensor, K: Tensor, hw: tuple[int, int], *, cull: bool) -> Tensor:
    """Rasterise in single precision; a `Backend`.

    Faces that cross the near plane are cut at a depth of 1e-4: at smaller ones nothing of them is seen. DependencyError
    if PyTorch3D is not installed.
    """
    rasterize_meshes, Meshes = library()
    poses, count = len(points_cam), len(faces)
    if poses * count == 0:
        return torch.full((poses, *hw), -1, dtype=torch.int64, device=points_cam.device)
    vertices = screen_points(points_cam, K, hw).float()
    seen = rasterize_meshes(
        Meshes(vertices, faces.expand(poses, -1, 3)),
        hw,
        faces_per_pixel=1,
        # Else its coarse pass on GPUs drops the faces beyond a fixed number for each tile.
        max_faces_per_bin=max(count, 10_000),
        perspective_correct=True,
        cull_backfaces=cull,
        z_clip_value=_CLIP if bool((vertices[..., 2] < _CLIP).any()) else None,
    )[0].squeeze(-1)
    first = torch.arange(poses, device=seen.device)[:, None, None] * count
    return torch.where(seen < 0, -1, seen - first)


def screen_points(points_cam: Tensor, K: Tensor, hw: tuple[int, int]) -> Tensor:
    """Return PyTorch3D's screen coordinates (P, V, 3) of points (P, V, 3) in cam axes.

    x is to the left, y up, the shorter side of the image goes from -1 to 1, and z is as in cam axes.
    """
    u, v, z = homogeneous(points_cam, K)
    half = min(hw) / 2
    return torch.stack([(hw[1] / 2 - u / z) / half, (hw[0] / 2 - v / z) / half, z], dim=-1)


def library() -> tuple[Any, Any]:
    """Import PyTorch3D's `rasterize_meshes` and `Meshes`; DependencyError if that fails."""
    try:
        rasterizer = importlib.import_module("pytorch3d.renderer.mesh.rasterize_meshes")
        structures = importlib.import_module("pytorch3d.structures")
    except ImportError as error:
        raise DependencyError(
            "the rasteriser backend 'pytorch3d' needs PyTorch3D, built against the installed torch "
            f"{torch.__version__} ({error}): pip install --no-build-isolation 'p3dgen[pytorch3d]', or use the "
            "backend 'zbuffer'"
        ) from error
    return rasterizer.rasterize_meshes, structures.Meshes
