"""Which face a pixel sees: the backends against each other, the analytic box, and laws that hold for any mesh."""

import pytest
import torch

from pose_models import geometry as g
from pose_models.rasterise import BACKENDS, face_map, rasterise, zbuffer
from tests.helpers.raster_shapes import HALF, HW, K, box, random_poses, scene, sphere, torus

DISTANT, INSIDE = 3.5, 0.2


def seen(points, faces, cameras, hw=HW, **options):
    options = {"cull": False} | options
    return face_map(rasterise(points, faces, cameras, hw, **options), len(points), hw)


@pytest.mark.parametrize("cull", [False, True])
@pytest.mark.parametrize(
    ("shape", "distance", "aside"),
    [
        (box, DISTANT, 0.0),
        (torus, DISTANT, 0.0),
        (sphere, DISTANT, 0.0),
        (torus, 1.2, 0.3),  # partly out of the image
        (sphere, INSIDE, 0.0),  # around the camera: faces cross the near plane and the image's border
        (box, 0.3, 0.15),  # the camera outside, beside a long face that ends behind it
        (torus, 0.0, 0.3),
    ],
)
def test_zbuffer_equals_the_slow_reference(shape, distance, aside, cull):
    points, faces, cameras = scene(shape, distance, 1, aside=aside)
    expected = rasterise(points, faces, cameras, HW, cull=cull, backend="reference")
    found = rasterise(points, faces, cameras, HW, cull=cull)
    assert torch.equal(face_map(found, 2, HW), face_map(expected, 2, HW))
    assert (len(found.face) > 0) == (not cull or distance != INSIDE)  # from within, all faces are seen from behind


def test_reference_finds_the_depth_of_a_plane():
    """Plane z = 2 + x / 2 seen along rays (x, y, 1) s: s = 2 / (1 - x / 2), by hand."""
    points = torch.tensor([[[-9.0, -9, -2.5], [9, -9, 6.5], [0, 18, 2]]], dtype=torch.float64)
    hits = rasterise(points, torch.tensor([[0, 2, 1]]), K[None], HW, cull=False, backend="reference")
    x = ((hits.pixel % HW[1]).double() + 0.5 - 9.2) / 60
    assert len(hits.face) == HW[0] * HW[1]
    torch.testing.assert_close(hits.depth, 2 / (1 - x / 2))


def test_equals_the_analytic_box():
    vertices, faces = box()
    poses = random_poses(30, 3.0, 3)
    hits = rasterise(g.transform(poses, vertices), faces, K.expand(30, 3, 3), HW, cull=True)
    enter, leave = ray_box(poses, HW)
    covered = face_map(hits, 30, HW).flatten(1) >= 0
    assert torch.equal(covered, enter < leave)
    torch.testing.assert_close(hits.depth, enter[covered], atol=1e-6, rtol=0)


def test_a_fine_mesh_has_no_holes_in_single_precision():
    """The faces are far smaller than a pixel; along the outline a pixel may go either way."""
    vertices, faces = box(4000)
    poses = random_poses(8, 3.0, 4)
    points = g.transform(poses, vertices).float()
    found = seen(points, faces, K.float().expand(8, 3, 3), cull=True).flatten(1) >= 0
    enter, leave = ray_box(poses, HW)
    clear = (leave - enter).abs() > 1e-3
    assert torch.equal(found[clear], (enter < leave)[clear])


def ray_box(poses, hw):
    """Depths (P, pixels) at which each pixel's ray enters and leaves the box; no hit where it enters after it left."""
    column, row = torch.meshgrid(torch.arange(hw[1]) + 0.5, torch.arange(hw[0]) + 0.5, indexing="xy")
    rays = torch.stack([(column - K[0, 2]) / K[0, 0], (row - K[1, 2]) / K[1, 1], torch.ones_like(row)], -1)
    directions = rays.reshape(-1, 3).double() @ poses[:, :3, :3]
    start = g.camera_centre(poses)[:, None]
    half = torch.tensor(HALF, dtype=torch.float64)
    ends = torch.stack([(-half - start) / directions, (half - start) / directions])
    return ends.amin(0).amax(-1), ends.amax(0).amin(-1)


@pytest.mark.parametrize("shape", [box, sphere, torus])
def test_culling_changes_nothing_for_a_closed_mesh_seen_from_outside(shape):
    every = scene(shape, DISTANT, 2, count=10)
    assert torch.equal(seen(*every, cull=True), seen(*every, cull=False))


@pytest.mark.parametrize("distance", [DISTANT, INSIDE])
def test_barycentrics_put_the_point_on_the_ray(distance):
    points, faces, cameras = scene(sphere, distance, 4, count=3)
    hits = rasterise(points, faces, cameras, HW, cull=False)
    met = (points[hits.pose[:, None], faces[hits.face]] * hits.barycentrics[..., None]).sum(1, keepdim=True)
    pixels = g.project(met, K)[:, 0]
    torch.testing.assert_close(pixels[:, 0], (hits.pixel % HW[1]) + 0.5, check_dtype=False)
    torch.testing.assert_close(pixels[:, 1], (hits.pixel // HW[1]) + 0.5, check_dtype=False)
    torch.testing.assert_close(met[:, 0, 2], hits.depth)
    torch.testing.assert_close(hits.barycentrics.sum(1), torch.ones_like(hits.depth))
    assert (hits.barycentrics >= 0).all()


def test_the_order_of_faces_and_poses_and_the_scale_do_not_matter():
    points, faces, cameras = scene(torus, DISTANT, 5, count=4)
    expected = seen(points, faces, cameras)
    order = torch.randperm(len(faces), generator=torch.Generator().manual_seed(0))
    permuted = seen(points, faces[order], cameras)
    assert torch.equal(torch.where(permuted < 0, -1, order[permuted]), expected)
    assert torch.equal(seen(points.flip(0), faces, cameras), expected.flip(0))
    assert torch.equal(seen(points * 8, faces, cameras), expected)


def test_the_nearer_of_two_faces_is_seen_and_of_equal_ones_the_first():
    square = torch.tensor([[-1.0, -1, 0], [1, -1, 0], [0, 1, 0]], dtype=torch.float64)
    near, far = square + torch.tensor([0, 0, 2.0]), square + torch.tensor([0, 0, 3.0])
    points = torch.cat([far, near, near])[None]
    centre = K[None] * torch.tensor([[0.1], [0.1], [1.0]]) + torch.tensor([[0, 0, 8.0], [0, 0, 6], [0, 0, 0]])
    faces = torch.arange(9).view(3, 3)
    assert set(seen(points, faces, centre).unique().tolist()) == {-1, 1}
    assert set(seen(points, faces.flip(0), centre).unique().tolist()) == {-1, 0}


def test_each_pixel_of_a_face_larger_than_the_image_sees_it():
    points = torch.tensor([[[-50.0, -50, 2], [50, -50, 2], [0, 50, 2]]])
    assert (seen(points, torch.tensor([[0, 1, 2]]), K.float()[None]) == 0).all()


def test_the_result_does_not_depend_on_how_many_candidates_are_handled_at_once(monkeypatch):
    every = scene(torus, DISTANT, 6)
    expected = seen(*every)
    for chunk in (1, 100):
        monkeypatch.setattr(zbuffer, "_CHUNK", {"cpu": chunk})
        assert torch.equal(seen(*every), expected)


@pytest.mark.parametrize("backend", ["zbuffer", "reference"])
def test_nothing_to_see(backend):
    points, faces, cameras = scene(box, 3.0, 7)
    behind = points * torch.tensor([1.0, 1.0, -1.0])
    aside = points + torch.tensor([50.0, 0, 0])
    for some, of in (
        (behind, faces),
        (aside, faces),
        (points[:0], faces),
        (points, faces[:0]),
        (points[:, :0], faces[:0]),
    ):
        assert (seen(some, of, cameras[: len(some)], backend=backend) == -1).all()


def test_points_that_are_not_numbers_are_not_seen():
    points, faces, cameras = scene(box, 3.0, 8)
    points[0] = torch.nan
    found = seen(points, faces, cameras)
    assert (found[0] == -1).all()
    assert (found[1] >= 0).any()


def test_single_precision_sees_the_same_faces():
    """But for pixels whose centre lies on an edge to 1e-5 of a face."""
    points, faces, cameras = scene(box, DISTANT, 9, count=40)
    single = seen(points.float(), faces, cameras.float())
    assert (single != seen(points, faces, cameras)).float().mean() < 2e-4


@pytest.mark.parametrize("distance", [DISTANT, INSIDE])
def test_gradients_equal_finite_differences(distance):
    points, faces, cameras = scene(lambda: sphere(0), distance, 10, count=2)
    to_map = torch.tensor([[0.3], [0.3], [1.0]], dtype=torch.float64)
    points, cameras = points.requires_grad_(), (cameras * to_map).requires_grad_()
    assert len(rasterise(points, faces, cameras, (4, 5), cull=False).face) > 10

    def outputs(p, k):
        hits = rasterise(p, faces, k, (4, 5), cull=False)
        return hits.barycentrics, hits.depth

    assert torch.autograd.gradcheck(outputs, (points, cameras), eps=1e-7, fast_mode=True)


def test_arguments_that_do_not_fit_are_refused():
    points, faces, cameras = scene(box, 3.0, 11)
    with pytest.raises(ValueError, match=r"float64 and K torch.float32"):
        seen(points, faces, cameras.float())
    with pytest.raises(ValueError, match="half precision"):
        seen(points.bfloat16(), faces, cameras.bfloat16())
    with pytest.raises(ValueError, match=r"K \(1, 3, 3\).*one camera for each pose"):
        seen(points, faces, cameras[:1])
    with pytest.raises(ValueError, match=r"must be \(F, 3\) int64"):
        seen(points, faces.int(), cameras)
    with pytest.raises(ValueError, match="at least one row"):
        seen(points, faces, cameras, (0, 4))
    with pytest.raises(ValueError, match="did you mean 'zbuffer'"):
        seen(points, faces, cameras, backend="zbufer")


@pytest.mark.gpu
@pytest.mark.parametrize("distance", [DISTANT, INSIDE])
def test_the_gpu_sees_the_same_as_the_cpu(distance):
    points, faces, cameras = scene(torus, distance, 12, count=5)
    expected = rasterise(points, faces, cameras, HW, cull=False)
    found = rasterise(points.cuda(), faces.cuda(), cameras.cuda(), HW, cull=False)
    assert torch.equal(found.face.cpu(), expected.face)
    torch.testing.assert_close(found.barycentrics.cpu(), expected.barycentrics)


def test_backends_are_known_by_name():
    assert set(BACKENDS) == {"zbuffer", "pytorch3d", "reference"}
