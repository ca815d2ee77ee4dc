"""The z-buffer against a slow per-pixel reference, the analytic box, and its own gradients."""

import numpy as np
import pytest
import torch

from pose_models import geometry as g
from pose_models.mesh import cuboid
from pose_models.rasterise import face_map, rasterise

HW = (14, 18)
K = torch.tensor([[60.0, 0, 9.2], [0, 60.0, 6.9], [0, 0, 1]], dtype=torch.float64)


def slow_reference(points, faces, K, hw):
    """Face index and depth of each pixel of one pose by Moeller-Trumbore in numpy; -1 and inf where none."""
    out, depth = np.full(hw, -1), np.full(hw, np.inf)
    for row in range(hw[0]):
        for column in range(hw[1]):
            ray = np.array([(column + 0.5 - K[0, 2]) / K[0, 0], (row + 0.5 - K[1, 2]) / K[1, 1], 1.0])
            for index, (a, b, c) in enumerate(points[faces]):
                e1, e2 = b - a, c - a
                p = np.cross(ray, e2)
                det = e1 @ p
                if abs(det) < 1e-14:
                    continue
                u, q = -a @ p / det, np.cross(-a, e1)
                v, z = ray @ q / det, e2 @ q / det
                if u >= 0 and v >= 0 and u + v <= 1 and 1e-6 < z < depth[row, column]:
                    out[row, column], depth[row, column] = index, z
    return out, depth


def random_poses(count, distance, seed):
    R = g.random_rotations(count, torch.Generator().manual_seed(seed))
    return g.pose(R, torch.tensor([0.0, 0.0, distance], dtype=torch.float64).expand(count, 3))


def sphere(rows=7, columns=9):
    theta, phi = np.meshgrid(
        np.linspace(0.1, np.pi - 0.1, rows), np.arange(columns) * 2 * np.pi / columns, indexing="ij"
    )
    points = 0.5 * np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)], -1).reshape(
        -1, 3
    )
    return torch.from_numpy(points), grid_faces(rows, columns, wrap_rows=False)


def torus(rows=8, columns=10):
    u, v = np.meshgrid(np.arange(rows) * 2 * np.pi / rows, np.arange(columns) * 2 * np.pi / columns, indexing="ij")
    r = 0.35 + 0.15 * np.cos(u)
    points = np.stack([r * np.cos(v), r * np.sin(v), 0.15 * np.sin(u)], -1).reshape(-1, 3)
    return torch.from_numpy(points), grid_faces(rows, columns, wrap_rows=True)


def grid_faces(rows, columns, *, wrap_rows):
    faces = []
    for i in range(rows if wrap_rows else rows - 1):
        for j in range(columns):
            a, b = i * columns + j, i * columns + (j + 1) % columns
            c, d = (i + 1) % rows * columns + (j + 1) % columns, (i + 1) % rows * columns + j
            faces += [[a, b, c], [a, c, d]]
    return torch.tensor(faces)


def box_mesh():
    mesh = cuboid(np.array([-0.2, -0.45, -0.18]), np.array([0.2, 0.45, 0.18]), 60)
    return mesh.vertices.double(), mesh.faces


@pytest.mark.parametrize(("shape", "distance"), [(box_mesh, 3.0), (sphere, 4.0), (torus, 4.0), (sphere, 0.2)])
def test_equals_the_slow_reference(shape, distance):
    """The last case stands inside the sphere: triangles cross the near plane and the image's border."""
    vertices, faces = shape()
    points = g.transform(random_poses(2, distance, 1), vertices)
    hits = rasterise(points, faces, K.expand(2, 3, 3), HW, cull=False)
    found = face_map(hits, 2, HW).numpy()
    for i in range(2):
        expected, depth = slow_reference(points[i].numpy(), faces.numpy(), K.numpy(), HW)
        assert (expected >= 0).any()
        np.testing.assert_array_equal(found[i], expected)
        rows = hits.pose == i
        np.testing.assert_allclose(hits.depth[rows], depth.ravel()[hits.pixel[rows]], rtol=1e-9)


def test_culling_changes_nothing_for_a_closed_mesh_seen_from_outside():
    vertices, faces = box_mesh()
    points = g.transform(random_poses(20, 3.0, 2), vertices)
    every, front = (rasterise(points, faces, K.expand(20, 3, 3), HW, cull=cull) for cull in (False, True))
    assert torch.equal(face_map(every, 20, HW), face_map(front, 20, HW))


def test_equals_the_analytic_box():
    vertices, faces = box_mesh()
    poses = random_poses(30, 3.0, 3)
    hits = rasterise(g.transform(poses, vertices), faces, K.expand(30, 3, 3), HW, cull=True)
    column, row = torch.meshgrid(torch.arange(HW[1]) + 0.5, torch.arange(HW[0]) + 0.5, indexing="xy")
    rays = torch.stack([(column - 9.2) / 60, (row - 6.9) / 60, torch.ones_like(row)], -1).reshape(-1, 3).double()
    directions = rays @ poses[:, :3, :3]
    start = g.camera_centre(poses)[:, None]
    half = torch.tensor([0.2, 0.45, 0.18], dtype=torch.float64)
    ends = torch.stack([(-half - start) / directions, (half - start) / directions])
    enter, leave = ends.amin(0).amax(-1), ends.amax(0).amin(-1)
    covered = face_map(hits, 30, HW).flatten(1) >= 0
    assert torch.equal(covered, enter < leave)
    torch.testing.assert_close(hits.depth, enter[covered], atol=1e-6, rtol=0)


def test_barycentrics_put_the_point_on_the_ray():
    vertices, faces = torus()
    points = g.transform(random_poses(3, 3.0, 4), vertices)
    hits = rasterise(points, faces, K.expand(3, 3, 3), HW, cull=False)
    met = (points[hits.pose[:, None], faces[hits.face]] * hits.barycentrics[..., None]).sum(1, keepdim=True)
    pixels = g.project(met, K)[:, 0]
    torch.testing.assert_close(pixels[:, 0], (hits.pixel % HW[1]) + 0.5, check_dtype=False)
    torch.testing.assert_close(pixels[:, 1], (hits.pixel // HW[1]) + 0.5, check_dtype=False)
    torch.testing.assert_close(met[:, 0, 2], hits.depth)


def test_gradients_equal_finite_differences():
    vertices, faces = box_mesh()
    points = g.transform(random_poses(1, 3.0, 5), vertices).requires_grad_()

    def outputs(p):
        hits = rasterise(p, faces, K[None], (5, 6), cull=True)
        return hits.barycentrics, hits.depth

    assert torch.autograd.gradcheck(outputs, (points,), eps=1e-7)


def test_nothing_to_see():
    vertices, faces = box_mesh()
    behind = g.transform(random_poses(2, -3.0, 6), vertices)
    aside = g.transform(random_poses(2, 3.0, 6), vertices) + torch.tensor([50.0, 0, 0], dtype=torch.float64)
    for points in (behind, aside, behind[:0]):
        hits = rasterise(points, faces, K.expand(len(points), 3, 3), HW, cull=False)
        assert len(hits.face) == 0
        assert (face_map(hits, len(points), HW) == -1).all()
