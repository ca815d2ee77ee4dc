"""Corruptions: equal to those of the package, the same for the same key, and named where they cannot be had."""

import importlib
import sys
import types
import warnings
from pathlib import Path

import numpy as np
import pytest

from p3d_gen.core.errors import ConfigError, DataError, DependencyError
from pose_models.data import corruptions
from pose_models.data.corrupt import CORRUPTIONS, corrupt, corrupted
from pose_models.data.sample import PoseSample

NEEDS_ICE = importlib.util.find_spec("imagecorruptions") is None
WITHOUT_ICE = [name for name in CORRUPTIONS if name != "frost" or not NEEDS_ICE]


@pytest.fixture(scope="module")
def image():
    """A picture of smooth and of flat parts, with black, white and grey ones."""
    rng = np.random.default_rng([0, 1])
    coarse = np.kron(rng.integers(0, 256, (9, 12, 3)), np.ones((8, 8, 1))).astype(np.uint8)
    coarse[:9, :9] = 0
    coarse[20:30, 20:30] = 77
    coarse[:9, 20:30] = 255
    return coarse


@pytest.fixture(scope="module")
def package():
    """The package, made to import and run here: without pkg_resources, and beside current scikit-image."""
    if NEEDS_ICE:
        pytest.skip("imagecorruptions is not installed (uv pip install --no-deps imagecorruptions)")
    filters = pytest.importorskip("skimage.filters", reason="imagecorruptions needs scikit-image")
    stub = types.ModuleType("pkg_resources")
    stub.resource_filename = lambda name, rest: str(Path(sys.modules[name].__file__).parent / rest)
    present = sys.modules.get("pkg_resources")
    sys.modules["pkg_resources"] = stub
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            found = importlib.import_module("imagecorruptions")
    finally:
        sys.modules.pop("pkg_resources")
        if present is not None:
            sys.modules["pkg_resources"] = present

    def gaussian(x, sigma, multichannel=False, **others):
        return filters.gaussian(x, sigma, channel_axis=-1 if multichannel else None, **others)

    found.corruptions.gaussian = gaussian
    return found


@pytest.fixture
def draws():
    """numpy's global generator, which the package draws from; left as it was found."""
    generator = np.random.mtrand._rand
    state = generator.get_state()
    yield generator
    generator.set_state(state)


@pytest.mark.parametrize("name", [name for name in CORRUPTIONS if name != "impulse_noise"])
def test_they_equal_the_package(image, package, draws, name):
    for severity in range(1, 6):
        draws.seed(severity)
        expected = package.corrupt(image, severity=severity, corruption_name=name)
        found = corrupt(image, name, severity, np.random.RandomState(severity))
        assert found.dtype == np.uint8
        difference = np.abs(found.astype(int) - expected)
        if name in ("brightness", "saturate"):
            assert difference.max() <= 1
            assert (difference > 0).mean() < 0.05
        else:
            assert difference.max() == 0


def test_the_names_are_the_packages(package):
    assert package.get_corruption_names("common") + package.get_corruption_names("validation") == list(CORRUPTIONS)


@pytest.mark.parametrize(("severity", "amount"), [(1, 0.03), (2, 0.06), (3, 0.09), (4, 0.17), (5, 0.27)])
def test_impulse_noise_hits_its_share_with_black_and_white(severity, amount):
    grey = np.full((200, 200, 3), 100, np.uint8)
    found = corrupt(grey, "impulse_noise", severity, np.random.RandomState(0))
    assert (found != 100).mean() == pytest.approx(amount, abs=0.004)
    assert (found == 255).mean() == pytest.approx(amount / 2, abs=0.003)
    assert set(np.unique(found)) == {0, 100, 255}


def sample_of(image, key="a"):
    return PoseSample(
        key=key, category="car", image=image, mask=None, cam_T_obj=np.eye(4), K=np.eye(3), box_xyxy=(0, 0, 9, 9)
    )


@pytest.mark.parametrize("name", WITHOUT_ICE)
def test_the_same_key_gives_the_same_picture_and_no_global_draw(image, draws, name):
    state = draws.get_state()[1].copy()
    first, again = (corrupted(sample_of(image), name, 3, 0) for _ in range(2))
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(draws.get_state()[1], state)
    assert first.image.shape == image.shape
    assert (first.image != image).any()
    assert first.subset == name
    np.testing.assert_array_equal(first.cam_T_obj, np.eye(4))


def test_other_keys_seeds_and_severities_give_other_pictures(image):
    pictures = [
        corrupted(sample_of(image, key), "gaussian_noise", severity, seed).image.tobytes()
        for key in "ab"
        for severity in (1, 2)
        for seed in (0, 1)
    ]
    assert len(set(pictures)) == 8


@pytest.mark.parametrize("name", ["gaussian_noise", "defocus_blur", "contrast", "jpeg_compression", "fog"])
def test_higher_severities_are_further_from_the_picture(image, name):
    errors = [
        np.abs(corrupt(image, name, severity, np.random.RandomState(1)).astype(float) - image).mean()
        for severity in range(1, 6)
    ]
    assert errors == sorted(errors)


@pytest.mark.parametrize("hw", [(32, 32), (33, 100), (120, 32)])
@pytest.mark.parametrize("name", WITHOUT_ICE)
def test_small_and_narrow_pictures_keep_their_size(name, hw):
    image = np.random.default_rng([1, 1]).integers(0, 256, (*hw, 3), dtype=np.uint8)
    for severity in (1, 5):
        assert corrupt(image, name, severity, np.random.RandomState(0)).shape == (*hw, 3)


def test_errors_name_value_and_remedy(image, monkeypatch):
    rng = np.random.RandomState(0)
    with pytest.raises(ConfigError, match="unknown corruption 'frots'; did you mean 'frost'"):
        corrupted(sample_of(image), "frots", 1, 0)
    with pytest.raises(ConfigError, match="severity 6"):
        corrupt(image, "fog", 6, rng)
    with pytest.raises(DataError, match=r"\(31, 40\) pixels; enlarge it to 32"):
        corrupt(image[:31, :40], "fog", 1, rng)
    monkeypatch.setattr(corruptions.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DependencyError, match="--no-deps imagecorruptions"):
        corrupt(image, "frost", 1, rng)
