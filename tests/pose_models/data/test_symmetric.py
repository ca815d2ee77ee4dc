"""Pictures are mirrored only of shapes whose left and right are alike."""

import numpy as np
import pytest

from p3d_gen.core.errors import ConfigError
from p3d_gen.core.geometry import rot_z
from pose_models.config import MILD, LoopConfig
from pose_models.data.sample import PoseSample
from pose_models.data.symmetric import check_mirror, is_left_right_symmetric, unmirrored
from pose_models.data.views import Views
from tests.helpers.mugs import mug


def centred(mesh, turn_deg=0.0):
    vertices = mesh.vertices @ rot_z(np.radians(turn_deg)).T
    return vertices - (vertices.min(0) + vertices.max(0)) / 2


@pytest.mark.parametrize("seed", range(4))
def test_a_handle_at_one_side_is_seen_and_one_at_the_front_is_not_in_the_way(seed):
    assert not is_left_right_symmetric(centred(mug(seed)))
    assert is_left_right_symmetric(centred(mug(seed), 90))
    assert is_left_right_symmetric(centred(mug(seed), -90))
    assert is_left_right_symmetric(centred(mug(seed, handle=False)))


def test_scale_and_noise_of_a_scan_do_not_matter():
    points = centred(mug(0), 90)
    noisy = points + np.random.default_rng([0, 1]).normal(0, 0.005, points.shape)
    assert is_left_right_symmetric(noisy)
    assert is_left_right_symmetric(noisy * 1000)
    assert not is_left_right_symmetric(centred(mug(0)) / 1000)


def test_one_shape_is_enough_and_built_in_categories_are_as_in_the_papers():
    sided, even = centred(mug(0)), centred(mug(0, handle=False))
    cads = {"cup": [even, even], "mug": [even, sided], "car": [sided], "unknown": []}
    assert unmirrored(cads) == ("mug", "unknown")


def sample(category):
    """A picture that is black on the left and white on the right."""
    image = np.zeros((32, 32, 3), np.uint8)
    image[:, 16:] = 255
    pose = np.eye(4)
    pose[2, 3] = 5.0
    K = np.array([[50.0, 0, 16], [0, 50, 16], [0, 0, 1]])
    return PoseSample(
        key=category, category=category, image=image, mask=None, cam_T_obj=pose, K=K, box_xyxy=(4.0, 4.0, 28.0, 28.0)
    )


def mirrored_count(category, caplog):
    still = dict.fromkeys(
        ("shift", "roll_std_deg", "background", "tight", "colour", "hue", "grey", "blur", "jpeg"), 0.0
    )
    augment = MILD.model_copy(update={"zoom": 1.0, **still})
    config = LoopConfig(categories=("cup", "mug"), steps=20, batch=2, image_size=32, augment=augment)
    with caplog.at_level("INFO"):
        views = Views([sample(category)], (), (32, 32), config, None, ("mug",))
    assert [record.message for record in caplog.records] == [
        "pictures of mug are not mirrored: left and right of its shapes differ"
    ]
    return sum(bool(views[i].image[16, 8].mean() > views[i].image[16, 24].mean()) for i in range(40))


def test_training_pictures_of_a_sided_category_stay_as_they_are(caplog):
    assert mirrored_count("mug", caplog) == 0


def test_training_pictures_of_other_categories_are_mirrored(caplog):
    assert 10 < mirrored_count("cup", caplog) < 30


def test_the_mirrored_picture_is_not_to_be_searched():
    check_mirror(True, ())
    check_mirror(False, ("mug",))
    with pytest.raises(ConfigError, match=r"--mirror: left and right of the shapes of 'mug' differ.*; leave it out"):
        check_mirror(True, ("mug",))
