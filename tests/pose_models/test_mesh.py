"""Cuboids against the released meshes' table, and exact visibility against a z-buffer."""

import numpy as np
import pytest
import torch

from p3d_gen.core import geometry as reference
from p3d_gen.core.cuboid import fit_box, grid_shape
from pose_models import geometry as g
from pose_models.mesh import cuboid, outline, visible
from pose_models.rasterise import rasterise

TABLE = {
    "aeroplane": ((0.7558, 0.7555, 0.2760), (18, 17, 7), 1102),
    "bicycle": ((0.3027, 0.9117, 0.5139), (8, 22, 13), 1132),
    # Printed as .7839, which falls just short of 16 samples: one more digit of the same rounding.
    "boat": ((0.3421, 0.9746, 0.78394), (7, 19, 16), 1098),
    "bottle": ((0.4016, 0.3538, 0.9471), (10, 9, 23), 1054),
    "bus": ((0.2633, 0.9791, 0.3410), (8, 27, 10), 1132),
    "car": ((0.4139, 0.9040, 0.3645), (11, 22, 9), 1078),
    "chair": ((0.5889, 0.5644, 0.8237), (12, 12, 17), 1104),
    "diningtable": ((0.9156, 0.6305, 0.4685), (18, 13, 10), 1088),
    "motorbike": ((0.3582, 0.8423, 0.4771), (9, 21, 12), 1098),
    "sofa": ((0.9725, 0.5817, 0.5753), (18, 11, 11), 1034),
    "train": ((0.1691, 0.9742, 0.2314), (6, 34, 8), 1048),
    "tvmonitor": ((0.8592, 0.5674, 0.6079), (17, 11, 12), 1046),
    "cube": ((1.0, 1.0, 1.0), (13, 13, 13), 1014),
    "2:1:1": ((2.0, 1.0, 1.0), (21, 11, 11), 1166),
}


def box(extent, vertices=1000):
    half = np.asarray(extent) / 2
    return cuboid(-half, half, vertices)


@pytest.mark.parametrize(("extent", "shape", "count"), TABLE.values(), ids=TABLE.keys())
def test_grids_of_the_table(extent, shape, count):
    assert grid_shape(extent, 1000) == shape
    mesh = box(extent)
    assert len(mesh.vertices) == count
    torch.testing.assert_close(mesh.vertices.amax(0) - mesh.vertices.amin(0), torch.tensor(extent))


def test_grids_come_in_the_released_order():
    mesh = box((0.4139, 0.9040, 0.3645))
    sides = [11 * 22, 11 * 22, 11 * 9, 11 * 9, 22 * 9, 22 * 9]
    signed_axes = [(2, -1), (2, 1), (1, -1), (1, 1), (0, -1), (0, 1)]
    for part, (axis, sign) in zip(mesh.normals.split(sides), signed_axes, strict=True):
        torch.testing.assert_close(part, (sign * torch.eye(3)[axis]).expand(len(part), 3))
    steps = mesh.vertices[1] - mesh.vertices[0]
    assert steps[0] > 0
    assert steps[1:].abs().max() == 0


def test_faces_look_outward_and_cover_the_box():
    mesh = box((0.4, 0.9, 0.3), 300)
    a, b, c = mesh.vertices[mesh.faces].unbind(1)
    cross = torch.linalg.cross(b - a, c - a)
    assert ((cross * mesh.normals[mesh.faces[:, 0]]).sum(-1) > 0).all()
    area = 2 * (0.4 * 0.9 + 0.4 * 0.3 + 0.9 * 0.3)
    assert cross.norm(dim=1).sum().item() / 2 == pytest.approx(area, rel=1e-5)


def test_box_fit_takes_the_shortest_interval():
    points = np.concatenate([np.linspace(0, 1, 99), [50.0]])[:, None] * [1.0, -1.0, 2.0]
    low, high = fit_box(points, 0.99)
    np.testing.assert_allclose(low, [0, -1, 0])
    np.testing.assert_allclose(high, [1, 0, 2])
    np.testing.assert_allclose(fit_box(points, 1.0)[1], [50, 0, 100])
    with pytest.raises(ValueError, match="0 points"):
        fit_box(np.empty((0, 3)), 0.9)


def test_outline_keeps_the_projected_box():
    rng = np.random.default_rng([0, 4])
    points = rng.normal(size=(3000, 3)) * [0.2, 0.45, 0.15]
    kept = outline(points)
    assert kept.shape == (256, 3)
    for _ in range(20):
        R = reference.random_rotation(rng)
        every, few = points @ R.T, kept @ R.T
        np.testing.assert_allclose(few.max(0), every.max(0), atol=0.03 * np.ptp(every))
        assert (few.max(0) <= every.max(0) + 1e-12).all()


def test_visibility_equals_a_z_buffer():
    """On a map fine enough that a vertex and its pixel differ little."""
    mesh = box((0.4139, 0.9040, 0.3645))
    views = torch.tensor([[20.0, 10, 0], [135, 35, 10], [250, -20, -15], [330, 5, 0]]).deg2rad()
    pose = g.pose(g.rotation_cam_obj(views), torch.tensor([0.0, 0.0, 6.0]).expand(4, 3))
    points = g.transform(pose, mesh.vertices)
    K = torch.tensor([[3000.0, 0, 300], [0, 3000, 300], [0, 0, 1]]).expand(4, 3, 3)
    hits = rasterise(points, mesh.faces, K, (600, 600), cull=False)
    depth = torch.full((4, 600 * 600), torch.inf)
    depth[hits.pose, hits.pixel] = hits.depth
    expected = visible(mesh, g.camera_centre(pose))
    cell = g.project(points, K).floor().long()
    nearest = torch.stack(
        [depth.gather(1, (cell[..., 1] + j) * 600 + cell[..., 0] + i) for i in (-1, 0, 1) for j in (-1, 0, 1)]
    )
    front = points[..., 2] <= nearest.nan_to_num(posinf=0).amax(0) + 2e-3
    # Vertices on the box's edges belong to two sides: a z-buffer cannot tell which of the two is seen.
    inner = (mesh.vertices.abs() >= mesh.vertices.abs().amax(0) - 1e-6).sum(-1) == 1
    assert (front == expected)[:, inner].double().mean() >= 0.995


def test_when_the_sides_of_the_car_come_into_sight():
    """The released cuboid, car at d = 6: the top from 1.73 degrees of elevation, the side from 2.01 of azimuth."""
    mesh = box((0.4139, 0.9040, 0.3645))

    def sees(azimuth, elevation, axis):
        view = torch.tensor([[azimuth, elevation, 0.0]]).deg2rad()
        pose = g.pose(g.rotation_cam_obj(view), torch.tensor([[0.0, 0.0, 6.0]]))
        return bool(visible(mesh, g.camera_centre(pose))[0, mesh.normals[:, axis] == 1].any())

    assert (sees(0, 1.70, 2), sees(0, 1.80, 2)) == (False, True)
    assert (sees(1.95, 0, 0), sees(2.05, 0, 0)) == (False, True)


def test_visible_agrees_with_the_reference_camera_centre():
    mesh = box((0.4, 0.9, 0.3), 200)
    R = reference.random_rotation(np.random.default_rng([0, 1]))
    pose = torch.eye(4, dtype=torch.float64)
    pose[:3, :3], pose[:3, 3] = torch.from_numpy(R), torch.tensor([0.1, -0.2, 5.0])
    centre = g.camera_centre(pose)
    toward = ((centre.float() - mesh.vertices) * mesh.normals).sum(-1)
    assert torch.equal(visible(mesh, centre.float()), toward > 0)
