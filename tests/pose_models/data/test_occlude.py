"""Occlusion: the wanted share is hidden, and mask, occluder and picture agree on where."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from pose_models.data.occlude import LEVELS, DrawnOccluders, FolderOccluders, occluded
from pose_models.data.sample import PoseSample


@pytest.fixture(scope="module")
def sample():
    mask = np.zeros((96, 128), np.uint8)
    cv2.ellipse(mask, (60, 50), (40, 22), 20, 0, 360, 255, -1)
    return PoseSample(
        key="a",
        category="car",
        image=np.full((96, 128, 3), 90, np.uint8),
        mask=mask,
        cam_T_obj=np.eye(4),
        K=np.eye(3),
        box_xyxy=(19.0, 24.0, 102.0, 77.0),
    )


def hidden_share(found, target):
    return ((found.occluder >= 128) & target).sum() / target.sum()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("level", LEVELS)
def test_the_share_of_the_mask_is_the_levels(sample, level, seed):
    found = occluded(sample, level, DrawnOccluders(), np.random.default_rng([seed, 1]))
    least, most = LEVELS[level]
    assert least <= hidden_share(found, sample.mask >= 128) <= most
    assert found.subset == level
    assert not (found.mask[found.occluder >= 128]).any()
    np.testing.assert_array_equal(found.mask[found.occluder == 0], sample.mask[found.occluder == 0])
    hidden = found.occluder > 0
    assert (found.image[hidden] != 90).any(axis=-1).mean() > 0.95
    far = cv2.dilate(found.occluder, np.ones((7, 7), np.uint8)) == 0
    assert (found.image[far] == 90).all()


@pytest.mark.parametrize("level", LEVELS)
def test_without_a_mask_the_box_counts(sample, level):
    boxed = replace(sample, mask=None)
    found = occluded(boxed, level, DrawnOccluders(), np.random.default_rng([0, 1]))
    inside = np.zeros((96, 128), bool)
    inside[24:77, 19:102] = True
    assert LEVELS[level][0] <= hidden_share(found, inside) <= LEVELS[level][1]
    assert found.mask is None
    assert found.box_xyxy == sample.box_xyxy


def test_equal_generators_give_equal_pictures(sample):
    def view(seed):
        return occluded(sample, "L2", DrawnOccluders(), np.random.default_rng([seed, 1])).image

    np.testing.assert_array_equal(view(0), view(0))
    assert (view(0) != view(1)).any()


def test_an_earlier_occluder_stays_one(sample):
    before = np.zeros((96, 128), np.uint8)
    before[:5] = 255
    found = occluded(replace(sample, occluder=before), "L1", DrawnOccluders(), np.random.default_rng([0, 1]))
    assert (found.occluder[:5] == 255).all()


def test_cut_out_pictures_come_from_a_folder(sample, tmp_path):
    picture = np.zeros((300, 500, 4), np.uint8)
    picture[50:250, 100:400] = [255, 0, 0, 255]  # blue, as OpenCV writes it
    cv2.imwrite(str(tmp_path / "a.png"), picture)
    occluders = FolderOccluders(tmp_path)
    cut = occluders.draw(np.random.default_rng([0, 1]))
    assert cut.shape == (200, 300, 4)
    found = occluded(sample, "L2", occluders, np.random.default_rng([0, 1]))
    assert tuple(np.median(found.image[found.occluder > 0], axis=0)) == (0, 0, 255)
    assert 0.4 <= hidden_share(found, sample.mask >= 128) <= 0.6


def test_errors_name_value_and_remedy(sample, tmp_path):
    rng = np.random.default_rng([0, 1])
    with pytest.raises(ValueError, match="unknown occlusion level 'L4'"):
        occluded(sample, "L4", DrawnOccluders(), rng)
    away = replace(sample, mask=None, box_xyxy=(200.0, 0.0, 300.0, 50.0))
    with pytest.raises(ValueError, match="sample a: its object has no pixel"):
        occluded(away, "L1", DrawnOccluders(), rng)
    with pytest.raises(ValueError, match="holds no PNG"):
        FolderOccluders(tmp_path)
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(ValueError, match=r"a.png is not a readable picture: it has no transparency"):
        FolderOccluders(tmp_path).draw(rng)
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((8, 8, 4), np.uint8))
    with pytest.raises(ValueError, match=r"a.png is transparent"):
        FolderOccluders(tmp_path).draw(rng)
    comb = np.zeros((256, 256, 4), np.uint8)
    comb[:, ::128] = 255
    cv2.imwrite(str(tmp_path / "a.png"), comb)
    with pytest.raises(ValueError, match="sample a: no occluder hides 60%"):
        occluded(sample, "L3", FolderOccluders(tmp_path), rng)
