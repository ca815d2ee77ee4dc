"""Viewpoints as bins: round trip, mirror, and what the two decodes cost where every label is right."""

import math

import pytest
import torch

from pose_models.baselines.bins import bins_of, mirrored_bins, viewpoints_of
from pose_models.geometry import rotation_cam_obj, rotation_error_rad


def drawn_viewpoints(count, seed=0):
    """Azimuth uniform, elevation N(5, 8) degrees as P3D-Diffusion draws it for cars, theta N(0, 5)."""
    generator = torch.Generator().manual_seed(seed)
    normal = torch.randn(count, 2, generator=generator, dtype=torch.float64)
    azimuth = torch.rand(count, 1, generator=generator, dtype=torch.float64) * 2 * math.pi
    rest = torch.deg2rad(normal * torch.tensor([8.0, 5.0]) + torch.tensor([5.0, 0.0]))
    return torch.cat([azimuth, rest], dim=1)


def any_viewpoints(count, seed=1):
    """Azimuth and theta anywhere, elevation from pole to pole."""
    generator = torch.Generator().manual_seed(seed)
    turns = torch.rand(count, 3, generator=generator, dtype=torch.float64) - 0.5
    return turns * torch.tensor([2.0, 1.0, 2.0]) * math.pi + torch.tensor([math.pi, 0.0, 0.0])


@pytest.mark.parametrize("bins", [4, 21, 24, 41])
def test_the_centre_of_a_bin_lies_in_it_and_at_most_half_a_bin_from_what_is_in_it(bins):
    every = torch.cartesian_prod(*[torch.arange(bins)] * 3)[:: max(1, bins**3 // 5000)]
    assert torch.equal(bins_of(viewpoints_of(every, bins, "centre"), bins), every)
    views = any_viewpoints(5000)
    off = viewpoints_of(bins_of(views, bins), bins, "centre") - views
    assert off.abs().max() <= math.pi / bins * (1 + 1e-9)


@pytest.mark.parametrize("turns", [-2, -1, 1, 3])
def test_whole_turns_change_no_bin(turns):
    views = any_viewpoints(2000)
    assert torch.equal(bins_of(views + 2 * math.pi * turns, 41), bins_of(views, 41))


@pytest.mark.parametrize("bins", [21, 24, 41])
def test_the_mirror_of_a_bin_holds_the_mirrored_viewpoints(bins):
    views = any_viewpoints(2000)
    mirror = views * torch.tensor([-1.0, 1.0, -1.0])
    scores = torch.nn.functional.one_hot(bins_of(views, bins), bins)
    assert torch.equal(mirrored_bins(scores).argmax(-1), bins_of(mirror, bins))
    assert torch.equal(mirrored_bins(mirrored_bins(scores)), scores)


def test_extremes_have_a_bin():
    angles = torch.tensor([[0.0, -math.pi / 2, -math.pi], [2 * math.pi, math.pi / 2, math.pi]], dtype=torch.float64)
    assert bins_of(angles, 41).tolist() == [[0, 10, 40], [0, 30, 40]]
    assert bins_of(torch.zeros(3), 41).tolist() == [0, 20, 20]


@pytest.mark.parametrize(("bins", "degrees"), [(41, 4.390), (21, 8.571)])
def test_the_released_decode_is_half_a_bin_low_in_elevation_and_theta(bins, degrees):
    found = bins_of(any_viewpoints(100), bins)
    off = viewpoints_of(found, bins, "centre") - viewpoints_of(found, bins, "edge")
    assert torch.rad2deg(off) == pytest.approx(torch.tensor([0.0, degrees, degrees]).expand(100, 3).numpy(), abs=1e-3)


@pytest.mark.parametrize(
    ("bins", "decode", "median_deg", "acc_pi_18"),
    [(41, "edge", 7.4, 0.88), (41, "centre", 4.3, 1.0), (21, "edge", 14.3, 0.19), (21, "centre", 8.0, 0.81)],
)
def test_what_a_network_that_is_always_right_would_reach(bins, decode, median_deg, acc_pi_18):
    views = drawn_viewpoints(100_000)
    decoded = viewpoints_of(bins_of(views, bins), bins, decode)
    error = rotation_error_rad(rotation_cam_obj(decoded), rotation_cam_obj(views))
    assert math.degrees(error.median()) == pytest.approx(median_deg, abs=0.1)
    assert float((error < math.pi / 18).double().mean()) == pytest.approx(acc_pi_18, abs=0.01)
