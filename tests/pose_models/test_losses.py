"""The losses and the bank against worked numbers."""

import math

import pytest
import torch

from pose_models.losses import clutter_similarity, contrastive, reconstruction
from pose_models.nmm import SMOOTH_LENGTH, initial_features, updated_vertex_features


@pytest.mark.parametrize(("own", "far", "expected"), [(0.9, 0.5, 0.00329336), (0.5, 0.9, 5.717579)])
def test_contrastive_number(own, far, expected):
    near = torch.eye(3, dtype=torch.bool)
    near[0, 2] = True
    similarities = torch.tensor([own, far, 0.95])
    feature = torch.eye(4, dtype=torch.float64)[:1]
    vertex_features = torch.zeros(3, 4, dtype=torch.float64)
    vertex_features[:, 0] = similarities
    clutter = torch.zeros(2, 4, dtype=torch.float64)
    clutter[:, 0] = torch.tensor([0.2, 0.1])
    loss = contrastive(
        feature, torch.tensor([0]), vertex_features, clutter, near, temperature=0.07, clutter_weight=0.005
    )
    assert loss.item() == pytest.approx(expected, rel=1e-4)


def test_reconstruction_number():
    loss = reconstruction(torch.tensor([0.8, 0.0, 0.1, 0.0]), torch.tensor([0.2, 0.3, 0.4, 0.1]))
    assert loss.item() == pytest.approx(0.85)


def test_clutter_similarity_is_the_mean_of_all_pairs():
    generator = torch.Generator().manual_seed(0)
    noise, bank = torch.randn(5, 8, generator=generator), torch.randn(7, 8, generator=generator)
    assert clutter_similarity(noise, bank).item() == pytest.approx((noise @ bank.T).mean().item(), abs=1e-6)
    assert clutter_similarity(noise[:0], bank).item() == 0


def test_other_categories_are_rivals_and_nothing_seen_costs_nothing():
    feature, bank, near = torch.eye(3)[:1], torch.eye(3)[:2], torch.eye(2, dtype=torch.bool)
    options = {"temperature": 0.07, "clutter_weight": 0.005}
    alone = contrastive(feature, torch.tensor([0]), bank, bank[:0], near, **options)
    beside = contrastive(feature, torch.tensor([0]), bank, bank[:0], near, **options, others=feature)
    assert beside.item() == pytest.approx(math.log(2 + math.exp(-1 / 0.07)), rel=1e-5)
    assert beside > alone
    assert contrastive(feature[:0], torch.tensor([0])[:0], bank, bank, near, **options) == 0


def update(bank, features, seen, momentum, form="visible"):
    weight = seen.float()
    total = torch.einsum("br,brd->rd", weight, features)
    return updated_vertex_features(bank, total, weight.sum(0), len(features), momentum=momentum, form=form)


@pytest.mark.parametrize("form", ["visible", "batch"])
def test_bank_update_seen_by_every_image(form):
    bank, feature = torch.eye(2)[:1], torch.eye(2)[1].view(1, 1, 2)
    seen = torch.ones(1, 1, dtype=torch.bool)
    moved = update(bank, feature, seen, 0.96, form)
    torch.testing.assert_close(moved, torch.tensor([[0.999133, 0.041631]]), atol=1e-6, rtol=0)


def test_bank_update_as_released_divides_by_the_batch():
    bank, features = torch.eye(2)[:1], torch.eye(2)[1].expand(24, 1, 2)
    seen = torch.zeros(24, 1, dtype=torch.bool)
    seen[3] = True
    turned = {
        form: math.degrees(math.atan2(*update(bank, features, seen, 0.96, form)[0].flip(0)))
        for form in ("visible", "batch")
    }
    assert turned["batch"] == pytest.approx(0.09947, abs=1e-5)
    assert turned["visible"] == pytest.approx(2.38594, abs=1e-4)


def test_bank_keeps_what_no_image_sees():
    bank = torch.nn.functional.normalize(torch.randn(3, 4, generator=torch.Generator().manual_seed(1)), dim=1)
    seen = torch.tensor([[True, False, True]])
    moved = update(bank, torch.ones(1, 3, 4) / 2, seen, 0.9)
    assert torch.equal(moved[1], bank[1])
    assert not torch.equal(moved[0], bank[0])
    torch.testing.assert_close(moved.norm(dim=1), torch.ones(3))


def test_smooth_start_is_alike_nearby_and_different_far_away():
    points = torch.tensor([[0.0, 0.0, 0.0], [0.05, 0.0, 0.0], [0.0, 0.15, 0.0], [0.3, 0.3, 0.0]])
    start = initial_features(points, 4096, torch.Generator().manual_seed(0), "smooth")
    expected = torch.exp(-torch.cdist(points, points).square() / (2 * SMOOTH_LENGTH**2))
    torch.testing.assert_close(start @ start.T, expected, atol=0.06, rtol=0)


def test_released_start_is_unit_and_without_structure():
    start = initial_features(torch.zeros(50, 3), 128, torch.Generator().manual_seed(0), "uniform")
    torch.testing.assert_close(start.norm(dim=1), torch.ones(50))
    assert (start @ start.T - torch.eye(50)).abs().max() < 0.4
