"""Feature maps and scores of hits: two ways to one number, and their gradients."""

import pytest
import torch

from pose_models.rasterise import face_map, rasterise, render_features, similarity_scores
from tests.helpers.raster_shapes import HW, box, scene, sphere, torus

D = 5


def unit_features(*shape, seed=0):
    values = torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return torch.nn.functional.normalize(values, dim=-1)


def test_feature_map_interpolates_the_corners_and_is_0_elsewhere():
    points, faces, cameras = scene(torus, 3.5, 1)
    features = unit_features(points.shape[1], D)
    hits = rasterise(points, faces, cameras, HW, cull=True)
    rendered = render_features(hits, faces, features, 2, HW)
    assert rendered.shape == (2, D, *HW)
    expected = torch.zeros(2, HW[0] * HW[1], D, dtype=torch.float64)
    expected[hits.pose, hits.pixel] = (features[faces[hits.face]] * hits.barycentrics[..., None]).sum(1)
    torch.testing.assert_close(rendered.flatten(2).mT, expected)
    assert (rendered.abs().sum(1)[face_map(hits, 2, HW) < 0] == 0).all()


def test_rendering_the_vertices_themselves_gives_the_points_on_the_rays():
    """With coordinates for features the map's third channel is the depth: for one pose, in cam axes."""
    points, faces, cameras = scene(torus, 3.5, 2, count=1)
    hits = rasterise(points, faces, cameras, HW, cull=True)
    depth = render_features(hits, faces, points[0], 1, HW)[0, 2].flatten()[hits.pixel]
    torch.testing.assert_close(depth, hits.depth)


def test_scores_equal_the_product_of_the_rendered_map_with_the_image():
    """Five poses of three images in one call: interpolation commutes with the product."""
    points, faces, cameras = scene(box, 3.5, 3, count=5)
    features, images = unit_features(points.shape[1], D), unit_features(3, HW[0] * HW[1], D, seed=1)
    of_pose = torch.tensor([2, 0, 0, 1, 2])
    hits = rasterise(points, faces, cameras, HW, cull=True)
    scores = similarity_scores(hits, faces, images @ features.T, of_pose)
    rendered = render_features(hits, faces, features, 5, HW).flatten(2).mT
    expected = (rendered * images[of_pose]).sum(-1)[hits.pose, hits.pixel]
    torch.testing.assert_close(scores, expected)


def test_gradients_equal_finite_differences():
    """In the points through the barycentrics, in the vertex features, and in the similarity."""
    points, faces, _ = scene(lambda: sphere(0), 3.5, 4, count=2)
    hw = (3, 4)
    cameras = torch.tensor([[15.0, 0, 2.1], [0, 14.0, 1.6], [0, 0, 1]], dtype=torch.float64).expand(2, 3, 3)
    assert len(rasterise(points, faces, cameras, hw, cull=True).face) > 10
    features, images = unit_features(points.shape[1], 2), unit_features(2, hw[0] * hw[1], 2, seed=1)

    def rendered(p, f):
        return render_features(rasterise(p, faces, cameras, hw, cull=True), faces, f, 2, hw)

    def scores(p, s):
        return similarity_scores(rasterise(p, faces, cameras, hw, cull=True), faces, s, torch.tensor([1, 0]))

    points = points.requires_grad_()
    assert torch.autograd.gradcheck(rendered, (points, features.requires_grad_()), eps=1e-7, fast_mode=True)
    similarity = (images @ features.detach().T).requires_grad_()
    assert torch.autograd.gradcheck(scores, (points, similarity), eps=1e-7, fast_mode=True)


@pytest.mark.parametrize("poses", [0, 2])
def test_no_hits_give_an_empty_map_no_scores_and_gradients_of_0(poses):
    points, faces, cameras = scene(box, -3.5, 5)
    points = points[:poses].requires_grad_()
    features = unit_features(points.shape[1], D).requires_grad_()
    hits = rasterise(points, faces, cameras[:poses], HW, cull=True)
    rendered = render_features(hits, faces, features, poses, HW)
    assert rendered.shape == (poses, D, *HW)
    assert (rendered == 0).all()
    similarity = unit_features(1, HW[0] * HW[1], D) @ features.T
    scores = similarity_scores(hits, faces, similarity, torch.zeros(poses, dtype=torch.int64))
    assert scores.shape == (0,)
    for gradient in torch.autograd.grad(rendered.sum() + scores.sum(), (points, features)):
        assert (gradient == 0).all()


def test_features_of_half_precision_are_looked_up_as_they_are():
    points, faces, cameras = scene(box, 3.5, 6)
    hits = rasterise(points.float(), faces, cameras.float(), HW, cull=True)
    similarity = (unit_features(1, HW[0] * HW[1], D) @ unit_features(points.shape[1], D, seed=1).T).float()
    of_pose = torch.zeros(2, dtype=torch.int64)
    halved = similarity_scores(hits, faces, similarity.bfloat16(), of_pose)
    torch.testing.assert_close(halved, similarity_scores(hits, faces, similarity, of_pose), atol=4e-3, rtol=0)
