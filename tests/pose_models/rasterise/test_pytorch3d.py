"""The backend on PyTorch3D: its coordinates, its faces, and what is said where it is missing."""

import sys

import pytest
import torch

from p3d_gen.core.errors import DependencyError
from pose_models.rasterise import face_map, rasterise
from pose_models.rasterise.pytorch3d import screen_points
from tests.helpers.raster_shapes import HW, K, box, scene, sphere, torus


@pytest.fixture
def pytorch3d():
    """PyTorch3D with its compiled part."""
    return pytest.importorskip(
        "pytorch3d._C", reason="PyTorch3D is not installed: the extra [pytorch3d], built against the installed torch"
    )


@pytest.mark.parametrize("hw", [(14, 18), (18, 14)])
def test_screen_coordinates(hw):
    """x to the left, y up, +-1 at the ends of the shorter side; by hand from their definition of the screen."""
    camera = torch.tensor([[[60.0, 0, hw[1] / 2], [0, 60, hw[0] / 2], [0, 0, 1]]], dtype=torch.float64)
    left_top = torch.tensor([[-hw[1] / 2 / 60 * 2, -hw[0] / 2 / 60 * 2, 2.0]], dtype=torch.float64)[None]
    found = screen_points(left_top, camera, hw)[0, 0]
    torch.testing.assert_close(found, torch.tensor([hw[1] / 14, hw[0] / 14, 2.0], dtype=torch.float64))


def test_a_missing_library_is_named_with_the_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "pytorch3d", None)
    for name in [name for name in sys.modules if name.startswith("pytorch3d.")]:
        monkeypatch.delitem(sys.modules, name)
    points, faces, cameras = scene(box, 3.5, 1)
    with pytest.raises(DependencyError, match=r"p3dgen\[pytorch3d\]'.*backend 'zbuffer'"):
        rasterise(points, faces, cameras, HW, cull=True, backend="pytorch3d")


@pytest.mark.usefixtures("pytorch3d")
@pytest.mark.parametrize("cull", [False, True])
@pytest.mark.parametrize("hw", [HW, HW[::-1]])
@pytest.mark.parametrize(
    ("shape", "distance", "aside"),
    [(box, 3.5, 0.0), (torus, 3.5, 0.0), (sphere, 3.5, 0.0), (torus, 1.2, 0.3), (sphere, 0.2, 0.0)],
)
def test_the_zbuffer_sees_the_faces_that_pytorch3d_sees(shape, distance, aside, hw, cull):
    """Single precision against double: a pixel on an edge may go either way."""
    points, faces, cameras = scene(shape, distance, 2, count=8, aside=aside)
    theirs = rasterise(points.float(), faces, cameras.float(), hw, cull=cull, backend="pytorch3d")
    ours = rasterise(points, faces, cameras, hw, cull=cull)
    different = face_map(theirs, 8, hw) != face_map(ours, 8, hw)
    assert different.float().mean() < 1e-3


@pytest.mark.usefixtures("pytorch3d")
def test_their_barycentrics_are_ours():
    from pytorch3d.renderer.mesh.rasterize_meshes import rasterize_meshes
    from pytorch3d.structures import Meshes

    points, faces, cameras = scene(torus, 3.5, 3, count=2)
    hits = rasterise(points, faces, cameras, HW, cull=True, backend="pytorch3d")
    vertices = screen_points(points, cameras, HW).float()
    _, depth, weights, _ = rasterize_meshes(
        Meshes(vertices, faces.expand(2, -1, 3)), HW, faces_per_pixel=1, perspective_correct=True, cull_backfaces=True
    )
    at = hits.pose, hits.pixel
    torch.testing.assert_close(hits.barycentrics.float(), weights.flatten(1, 3)[at], atol=1e-4, rtol=0)
    torch.testing.assert_close(hits.depth.float(), depth.flatten(1)[at], atol=1e-5, rtol=0)


@pytest.mark.usefixtures("pytorch3d")
def test_nothing_to_see():
    points, faces, _ = scene(box, -3.5, 4)
    for some, of in ((points, faces), (points[:0], faces), (points, faces[:0])):
        hits = rasterise(some, of, K.expand(len(some), 3, 3), HW, cull=True, backend="pytorch3d")
        assert len(hits.face) == 0
