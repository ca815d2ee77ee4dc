"""Von Mises-Fisher likelihoods in logs, and what one kappa for all vertices cancels."""

import math

import pytest
import torch
from scipy.integrate import quad
from torch.nn import functional as F

from pose_models.adapt.vmf import log_bessel_i, log_likelihood, log_normaliser
from pose_models.losses import contrastive

KAPPA = 1 / 0.07


@pytest.mark.parametrize("channels", [3, 5, 8])
@pytest.mark.parametrize("kappa", [0.1, 3.0, 40.0])
def test_the_density_integrates_to_one(channels, kappa):
    """Over the sphere: the area of the slice at cosine t goes as (1 - t^2)^((d - 3) / 2)."""
    slice_area = 2 * math.pi ** ((channels - 1) / 2) / math.gamma((channels - 1) / 2)
    scale = log_normaliser(kappa, channels)
    total, _ = quad(
        lambda t: slice_area * (1 - t * t) ** ((channels - 3) / 2) * math.exp(scale + kappa * t), -1, 1, epsabs=1e-11
    )
    assert total == pytest.approx(1, abs=1e-8)


@pytest.mark.parametrize(
    ("kappa", "expected"),
    [(1, 127.0496), (10, 126.6640), (14.2857, 126.2611), (20, 125.5092), (50, 117.9069), (100, 95.0615)],
)
def test_128_dimensions(kappa, expected):
    assert log_normaliser(kappa, 128) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("kappa", [1e-3, 0.5, 7.0, 300.0])
def test_in_three_dimensions_z_is_kappa_over_4_pi_sinh_kappa(kappa):
    sinh = kappa + math.log1p(-math.exp(-2 * kappa)) - math.log(2)
    assert log_normaliser(kappa, 3) == pytest.approx(math.log(kappa) - math.log(4 * math.pi) - sinh, abs=1e-9)


@pytest.mark.parametrize("order", [255, 1023])
def test_where_the_bessel_function_vanishes_its_expansion_goes_on(order):
    """Across the underflow the ratio of neighbouring orders still follows their recurrence."""
    for x in (1e-6, 1.0, order / 100):
        below, here, above = (log_bessel_i(order + step, x) for step in (-1, 0, 1))
        assert math.exp(below - here) - math.exp(above - here) == pytest.approx(2 * order / x, rel=1e-7)
    small = 1e-6  # I_v(x) ~ (x / 2)^v / v!
    assert log_bessel_i(order, small) == pytest.approx(order * math.log(small / 2) - math.lgamma(order + 1), abs=1e-6)


def test_a_threshold_on_the_likelihood_is_one_on_the_cosine():
    cosine = torch.linspace(-1, 1, 41)
    likelihood = log_likelihood(cosine, KAPPA, 128)
    assert (likelihood.diff() > 0).all()
    assert torch.equal(likelihood > log_likelihood(torch.tensor(0.801), KAPPA, 128), cosine > 0.801)
    assert float(log_likelihood(torch.tensor(0.8), KAPPA, 128)) == pytest.approx(126.2611 + 0.8 / 0.07, abs=1e-3)


def test_the_backbone_loss_does_not_see_a_shared_normaliser():
    """Equation 5 with likelihoods is the training loss at temperature 1 / kappa."""
    generator = torch.Generator().manual_seed(0)
    features, bank = (F.normalize(torch.randn(n, 128, generator=generator), dim=1) for n in (6, 20))
    labels = torch.arange(6)
    with_likelihoods = F.cross_entropy(log_likelihood((features @ bank.T).double(), KAPPA, 128), labels)
    plain = contrastive(features, labels, bank, bank[:0], torch.eye(20) > 0, temperature=1 / KAPPA, clutter_weight=1.0)
    assert float(plain) == pytest.approx(float(with_likelihoods), abs=1e-5)
