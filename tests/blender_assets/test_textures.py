import numpy as np
import pytest

from blender_assets.textures import ATTRIBUTES, texture

PX = 48
NAMES = """
banded blotchy braided bubbly bumpy chequered cobwebbed cracked crosshatched crystalline dotted fibrous flecked freckled
frilly gauzy grid grooved honeycombed interlaced knitted lacelike lined marbled matted meshed paisley perforated pitted
pleated polka-dotted porous potholed scaly smeared spiralled sprinkled stained stratified striped studded swirly veined
waffled woven wrinkled zigzagged
"""


@pytest.fixture(scope="module")
def bank() -> dict[tuple[str, int], np.ndarray]:
    return {(name, seed): texture(name, seed, PX) for name in ATTRIBUTES for seed in (0, 1, 2)}


def difference(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a.astype(float) - b.astype(float)).mean())


def test_the_attributes_are_those_of_dtd() -> None:
    assert list(ATTRIBUTES) == NAMES.split()
    assert len(ATTRIBUTES) == 47


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_shape_type_and_contrast(bank: dict[tuple[str, int], np.ndarray], name: str) -> None:
    for seed in (0, 1, 2):
        image = bank[name, seed]
        assert image.shape == (PX, PX, 3)
        assert image.dtype == np.uint8
        grey = image.astype(float).mean(axis=2)
        assert grey.std() > 10
        assert np.ptp(np.percentile(grey, [2, 98])) > 40


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_same_arguments_same_image(bank: dict[tuple[str, int], np.ndarray], name: str) -> None:
    np.testing.assert_array_equal(texture(name, 1, PX), bank[name, 1])


def test_all_images_of_the_bank_differ(bank: dict[tuple[str, int], np.ndarray]) -> None:
    images = list(bank.values())
    assert min(difference(a, b) for i, a in enumerate(images) for b in images[:i]) > 8


def test_colours_of_the_bank_are_spread_over_the_hues(bank: dict[tuple[str, int], np.ndarray]) -> None:
    means = np.array([image.reshape(-1, 3).mean(axis=0) for image in bank.values()])
    assert (means.std(axis=0) > 20).all()
    assert set(means.argmax(axis=1)) == {0, 1, 2}


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_size_changes_the_sharpness_only(name: str) -> None:
    small, large = texture(name, 3, 64), texture(name, 3, 128)
    halved = large.astype(float).reshape(64, 2, 64, 2, 3).mean(axis=(1, 3))
    assert difference(small, halved) < 10


def test_unknown_attribute_is_named() -> None:
    with pytest.raises(ValueError, match=r"'furry'.*banded"):
        texture("furry", 0, 8)
