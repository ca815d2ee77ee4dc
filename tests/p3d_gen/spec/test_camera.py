"""Of size in the frame, lens and distance, two are drawn and the third follows; defaults are stated."""

from dataclasses import replace

import numpy as np
import pytest

from p3d_gen.core.categories import BUILTIN
from p3d_gen.core.errors import ConfigError, ManifestError
from p3d_gen.spec.camera import CameraSection
from p3d_gen.spec.manifest import Manifest, manifest_hash
from p3d_gen.spec.sampling import spec
from p3d_gen.spec.taken import take_definitions
from tests.helpers.assets import INVENTORY

K = [[700, 0, 330], [0, 700, 250], [0, 0, 1]]


def manifest(**camera):
    return Manifest(categories=("car",), samples_per_category=40, camera=camera)


@pytest.mark.parametrize(
    ("camera", "given"),
    [
        ({}, {"focal_px": 3000.0, "distance": (5.0, 5.0)}),
        ({"image_hw": [128, 256]}, {"focal_px": 600.0, "distance": (5.0, 5.0)}),
        ({"focal_px": 900}, {"focal_px": 900.0, "distance": (5.0, 5.0)}),
        ({"fill": [0.3, 0.5]}, {"fill": (0.3, 0.5), "distance": (5.0, 5.0)}),
        ({"distance": [1, 4]}, {"fill": (0.6, 0.9), "distance": (1.0, 4.0)}),
        ({"fov_deg": [20, 70]}, {"fill": (0.6, 0.9), "fov_deg": (20.0, 70.0)}),
        ({"K": K}, {"fill": (0.6, 0.9), "K": tuple(map(tuple, K))}),
        ({"fill": [0.4, 0.9], "fov_deg": [20, 70]}, {"fill": (0.4, 0.9), "fov_deg": (20.0, 70.0)}),
        ({"focal_px": 900, "fill": [0.4, 0.9]}, {"focal_px": 900.0, "fill": (0.4, 0.9)}),
        ({"fov_deg": [20, 70], "distance": [1, 2]}, {"fov_deg": (20.0, 70.0), "distance": (1.0, 2.0)}),
    ],
)
def test_what_is_left_out_follows(camera, given):
    section = CameraSection(**camera)
    made = section.model_dump()
    assert made.pop("image_hw") == section.image_hw
    assert made == given
    assert CameraSection(**section.model_dump()) == section


@pytest.mark.parametrize(
    ("camera", "own", "given"),
    [
        ({}, {"fill": [0.3, 0.4]}, {"fill": (0.3, 0.4), "distance": (5.0, 5.0)}),
        ({}, {"distance": [2, 3]}, {"fill": (0.6, 0.9), "distance": (2.0, 3.0)}),
        ({"fov_deg": [20, 70]}, {"distance": [2, 3]}, {"fov_deg": (20.0, 70.0), "distance": (2.0, 3.0)}),
        ({"K": K}, {"distance": [2, 3]}, {"K": tuple(map(tuple, K)), "distance": (2.0, 3.0)}),
        ({"focal_px": 900, "fill": [0.4, 0.9]}, {"fill": [0.3, 0.4]}, {"focal_px": 900.0, "fill": (0.3, 0.4)}),
        (
            {"focal_px": 900, "fill": [0.4, 0.9]},
            {"distance": [2, 3], "fov_deg": [20, 30]},
            {"distance": (2.0, 3.0), "fov_deg": (20.0, 30.0)},
        ),
    ],
)
def test_a_category_has_its_own_camera_and_the_others_keep_theirs(camera, own, given):
    made = Manifest(categories=("car", "bus"), samples_per_category=20, camera=camera, category={"car": own})
    definition = made.category["car"].applied(BUILTIN["car"])
    stored = Manifest(**made.model_dump(mode="json"))  # as a run records it
    for each in (made, stored):
        assert each.camera.of(definition) == CameraSection(**given)
        assert each.camera.of(BUILTIN["bus"]) == CameraSection(**camera)
    inventory = replace(
        INVENTORY,
        cads={"car": INVENTORY.cads["car"], "bus": INVENTORY.cads["car"]},
        definitions={"car": definition},
    )
    plain = Manifest(categories=("car", "bus"), samples_per_category=20, camera=camera)
    for index in range(20):
        drawn = spec(made, inventory, "car", index)
        if "distance" in given:
            low, high = given["distance"]
            assert low <= drawn.viewpoint.distance <= high
        if "fill" in given:
            low, high = given["fill"]
            assert low <= drawn.framing.fill <= high
        assert spec(made, inventory, "bus", index) == spec(plain, inventory, "bus", index)


@pytest.mark.parametrize(
    ("camera", "own", "message"),
    [
        ({"fill": [0.4, 0.9], "fov_deg": [20, 70]}, {"distance": [2, 3]}, "fill follows from fov_deg and distance"),
        ({"K": K}, {"fov_deg": [20, 30]}, "fov_deg and K both give the focal length"),
        ({}, {"distance": [0.4, 3]}, "distance 0.4 may lie within the object"),
        (
            {},
            {"distance": [2, 3], "fill": [0.4, 0.5], "fov_deg": [20, 30]},
            "fill follows from fov_deg and distance: remove",
        ),
    ],
)
def test_a_category_whose_ranges_do_not_fit_the_camera_is_an_error(camera, own, message):
    made = Manifest(categories=("car",), samples_per_category=2, camera=camera, category={"car": own})
    with pytest.raises(ConfigError, match=rf"of the category 'car' do not fit \[camera\]: {message}"):
        take_definitions(made, INVENTORY.cads)


@pytest.mark.parametrize(
    ("camera", "message"),
    [
        ({"fill": [0.4, 0.9], "fov_deg": [20, 70], "distance": [1, 2]}, "fill follows from fov_deg and distance"),
        ({"focal_px": 900, "fov_deg": [20, 70]}, "fov_deg and focal_px both give the focal length"),
        ({"fill": [0.9, 0.4]}, "fill runs from 0.9 to 0.4"),
        ({"fill": [0.5, 1.5]}, "camera.fill.1 = 1.5"),
        ({"fov_deg": [0, 70]}, "camera.fov_deg.0 = 0"),
        ({"distance": [0.5, 2]}, "distance 0.5 may lie within the object"),
        ({"offset": 2}, "camera.offset = 2"),
        ({"K": [[700, 0, 330], [0, 500, 250], [0, 0, 1]]}, "square pixels"),
        ({"K": [[700, 0, 9000], [0, 700, 250], [0, 0, 1]]}, "outside a frame"),
        ({"K": [700, 700]}, "three rows of three numbers"),
    ],
)
def test_a_camera_that_cannot_be_is_an_error(camera, message):
    with pytest.raises(ManifestError) as error:
        manifest(**camera)
    assert message in str(error.value)


def test_the_new_keys_leave_the_hash_of_other_manifests():
    assert "fill" not in manifest(focal_px=900, distance=[5, 6]).model_dump()["camera"]
    assert manifest_hash(manifest()) == manifest_hash(manifest(focal_px=3000, distance=[5, 5]))
    assert manifest_hash(manifest(offset=0.2)) != manifest_hash(manifest())


def test_the_draws_lie_in_their_ranges_and_do_not_change_others():
    made = manifest(image_hw=[480, 640], fill=[0.4, 0.9], fov_deg=[20, 70], offset=0.5)
    plain = manifest(image_hw=[480, 640])
    samples = [spec(made, INVENTORY, "car", index) for index in range(40)]
    fills = [sample.framing.fill for sample in samples]
    fovs = [np.degrees(2 * np.arctan(320 / sample.camera.focal_px)) for sample in samples]
    offsets = np.array([sample.framing.offset for sample in samples])
    assert 0.4 <= min(fills) < 0.5 < 0.8 < max(fills) <= 0.9
    assert 20 <= min(fovs) < 30 < 60 < max(fovs) <= 70
    assert 0.4 < np.abs(offsets).max() <= 0.5
    for index, sample in enumerate(samples):
        other = spec(plain, INVENTORY, "car", index)
        assert (sample.viewpoint.azimuth_rad, sample.texture_id) == (other.viewpoint.azimuth_rad, other.texture_id)
        assert (sample.viewpoint.distance, sample.framing.solved) == (0.0, "distance")


def test_a_real_camera_keeps_its_principal_point():
    sample = spec(manifest(image_hw=[480, 640], K=K), INVENTORY, "car", 0)
    np.testing.assert_array_equal(sample.camera.K, K)
