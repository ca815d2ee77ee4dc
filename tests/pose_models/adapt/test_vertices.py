"""Selective vertex adaptation as laws on made-up features: what is taken, how the bank follows; hypotheses."""

import math
from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from pose_models.adapt.config import UdaConfig
from pose_models.adapt.uda_poses import apart
from pose_models.adapt.vertices import Pending, accepted
from pose_models.bench.solve import random_poses, smooth_mesh
from pose_models.geometry import rotation_error_rad
from pose_models.look import Seen

CONFIG = UdaConfig(epochs=3, bank_images=8, batch=8, lr=1e-3)


def changed(**fields):
    return UdaConfig.model_validate(CONFIG.model_dump() | fields)


# What is taken, and how the bank follows.


@pytest.fixture
def mesh():
    return smooth_mesh(150, 32, torch.Generator().manual_seed(0))


def looks(mesh, features, visible):
    """What as many poses as `features` (P, R, D) has show."""
    pixels = torch.zeros(*visible.shape, 2)
    return Seen(rows=torch.arange(len(features)), mesh=mesh, pixels=pixels, features=features, visible=visible)


def made_up(mesh, poses=5, closeness=1.0, seed=1):
    """Looks whose features lie around their vertices' features, half of the vertices visible in each pose."""
    generator = torch.Generator().manual_seed(seed)
    count, channels = mesh.vertex_features.shape
    noise = F.normalize(torch.randn(poses, count, channels, generator=generator), dim=2)
    features = F.normalize(closeness * mesh.vertex_features + noise, dim=2)
    visible = torch.rand(poses, count, generator=generator) < 0.5
    return looks(mesh, features, visible)


def every(mesh, delta):
    return torch.full_like(mesh.vertex_features[:, 0], delta)


def moved(mesh, seen, taken, momentum):
    pending = Pending(mesh)
    pending.add(seen, taken, len(taken))
    pending.move(mesh, momentum)
    return pending


def test_a_delta_above_all_cosines_leaves_the_bank_as_it_is(mesh):
    seen, before = made_up(mesh), mesh.vertex_features.clone()
    taken = accepted(seen, every(mesh, float(seen.cosine().max())), CONFIG)
    assert not taken.any()
    moved(mesh, seen, taken, 0.0)
    assert torch.equal(mesh.vertex_features, before)


def test_without_threshold_and_memory_the_bank_is_the_normalised_mean(mesh):
    seen = made_up(mesh)
    taken = accepted(seen, every(mesh, -1.0), CONFIG)
    assert torch.equal(taken, seen.visible)
    before = mesh.vertex_features.clone()
    moved(mesh, seen, taken, 0.0)
    for r in range(len(before)):
        own = seen.features[seen.visible[:, r], r]
        expected = F.normalize(own.mean(0), dim=0) if len(own) else before[r]
        torch.testing.assert_close(mesh.vertex_features[r], expected)


def test_equation_4_by_hand(mesh):
    """C = e1, one feature e2, alpha .96: (.999133, .041631)."""
    mesh.vertex_features = F.one_hot(torch.zeros(150, dtype=torch.int64), 32).float()
    feature = F.one_hot(torch.ones(1, 150, dtype=torch.int64), 32).float()
    seen = looks(mesh, feature, torch.ones(1, 150, dtype=torch.bool))
    pending = moved(mesh, seen, torch.arange(150)[None] < 100, 0.96)
    expected = torch.tensor([0.999133, 0.041631])
    torch.testing.assert_close(mesh.vertex_features[:100, :2], expected.expand(100, 2), atol=1e-6, rtol=0)
    assert torch.equal(mesh.vertex_features[100:, 0], torch.ones(50))  # no accepted feature, not touched
    assert all(int(buffer.count_nonzero()) == 0 for buffer in pending.buffers())


def test_of_a_wrong_pose_only_the_vertices_that_look_like_themselves_move(mesh):
    """A globally wrong pose with one correct face: there the bank comes nearer to the target's features."""
    face = (mesh.mesh.normals == mesh.mesh.normals[0]).all(1)
    drift = F.normalize(torch.randn(32, generator=torch.Generator().manual_seed(3)), dim=0)
    target = F.normalize(mesh.vertex_features + 0.5 * drift, dim=1)
    features = torch.where(face[:, None], target, target.roll(40, 0))[None]
    cosine = (features * mesh.vertex_features).sum(-1)
    delta = float(cosine[0, face].min()) - 1e-3
    seen = looks(mesh, features, torch.ones(1, len(target), dtype=torch.bool))
    taken = accepted(seen, every(mesh, delta), CONFIG)
    assert torch.equal(taken[0] & face, face)
    before = mesh.vertex_features.clone()
    moved(mesh, seen, taken, 0.5)
    still = ~taken[0]
    assert still.sum() > 50
    assert torch.equal(mesh.vertex_features[still], before[still])
    nearer = (mesh.vertex_features * target).sum(1) - (before * target).sum(1)
    assert (nearer[face] > 0.01).all()


def test_one_partition_takes_all_vertices_of_a_pose_or_none(mesh):
    seen = made_up(mesh, poses=40, closeness=6.0)
    delta = every(mesh, float(seen.cosine()[0, seen.visible[0]].min()) - 1e-6)
    taken = accepted(seen, delta, changed(selective=False))
    whole = [bool((seen.cosine()[p] > delta)[seen.visible[p]].all()) for p in range(40)]
    assert taken.any(1).tolist() == whole
    assert 0 < sum(whole) < 40
    for p in range(40):
        assert torch.equal(taken[p], seen.visible[p] if whole[p] else torch.zeros_like(taken[p]))


def test_a_pose_with_too_few_similar_vertices_gives_none(mesh):
    seen = made_up(mesh)
    similar = seen.visible & (seen.cosine() > 0.72)
    share = (similar.sum(1) / seen.visible.sum(1)).tolist()
    assert min(share) < max(share)
    least = (min(share) + max(share)) / 2
    taken = accepted(seen, every(mesh, 0.72), changed(minimum_similar=least))
    for p in range(len(share)):
        assert torch.equal(taken[p], similar[p] & (share[p] >= least))
    never = accepted(seen, every(mesh, torch.nan), CONFIG)
    assert not never.any()


@pytest.mark.parametrize(("images", "covered", "ready"), [(7, 0.79, False), (7, 0.8, True), (8, 0.0, True)])
def test_the_bank_waits_for_images_or_coverage(mesh, images, covered, ready):
    """Coverage is of the vertices that were visible, here the first 100."""
    seen = replace(made_up(mesh, poses=1), visible=(torch.arange(len(mesh.vertex_features)) < 100)[None])
    pending = Pending(mesh)
    pending.add(seen, (torch.arange(len(mesh.vertex_features)) < round(100 * covered))[None], images)
    assert pending.coverage() == pytest.approx(covered)
    assert pending.ready(changed(bank_images=8, coverage=0.8)) == ready


# Hypotheses.


def test_hypotheses_lie_apart_and_rise():
    generator = torch.Generator().manual_seed(0)
    poses = random_poses(6 * 40, generator).view(6, 40, 4, 4)
    losses = torch.rand(6, 40, generator=generator)
    kept, _, kept_losses = apart(poses, poses[..., :3, :3], losses, 5, math.radians(30))
    assert kept.shape == (6, 5, 4, 4)
    assert (kept_losses.diff(dim=1) >= 0).all()
    assert torch.equal(kept_losses[:, 0], losses.min(1).values)
    angles = rotation_error_rad(kept[:, :, None, :3, :3], kept[:, None, :, :3, :3]).rad2deg()
    assert (angles + 180 * torch.eye(5) >= 30 - 1e-3).all()
    for i in range(6):  # what is left out is near to a better one, or worse than all that are kept
        for q in range(40):
            better = kept_losses[i] < losses[i, q]
            near = rotation_error_rad(kept[i, :, :3, :3], poses[i, q, :3, :3]).rad2deg() < 30
            assert losses[i, q] in kept_losses[i] or bool((better & near).any()) or bool(better.all())


def test_where_starts_meet_fewer_hypotheses_are_left():
    poses = random_poses(2, torch.Generator().manual_seed(0))[:, None].expand(2, 3, 4, 4)
    losses = torch.tensor([[0.3, 0.1, 0.2], [0.5, 0.6, 0.4]])
    _, _, kept = apart(poses, poses[..., :3, :3], losses, 4, math.radians(30))
    assert kept.tolist() == [[pytest.approx(0.1), *[math.inf] * 3], [pytest.approx(0.4), *[math.inf] * 3]]
