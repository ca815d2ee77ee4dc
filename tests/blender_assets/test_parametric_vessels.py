"""Laws of buses, trains, boats and aeroplanes: where the front is, what stands on the ground, where keypoints lie."""

from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from blender_assets.shapes import BODY_TYPES, Shape, build

VARIANTS = [*range(BODY_TYPES), 9, 22]

made = cache(build)


def part_points(mesh: Shape, part: str) -> NDArray[np.float64]:
    faces = mesh.faces[mesh.face_part == mesh.part_names.index(part)]
    return np.asarray(mesh.vertices[np.unique(faces)])


def ends_of(mesh: Shape, part: str, share: float = 0.15) -> set[str]:
    """At which ends of the shape ("front", "rear") a part is found."""
    y = part_points(mesh, part)[:, 1]
    low, high = mesh.vertices[:, 1].min(), mesh.vertices[:, 1].max()
    margin = share * (high - low)
    return {name for name, there in (("front", y < low + margin), ("rear", y > high - margin)) if there.any()}


@pytest.mark.parametrize("variant", VARIANTS)
def test_wheels_of_a_bus_touch_the_ground(variant: int) -> None:
    mesh = made("bus", variant)
    ground = mesh.vertices[:, 2].min()
    rubber = part_points(mesh, "rubber")
    touching = rubber[rubber[:, 2] < ground + 1e-3]
    assert len({(x > 0, y > 0) for x, y in touching[:, :2]}) == 4
    assert min(part_points(mesh, name)[:, 2].min() for name in ("paint", "plastic")) > ground + 0.005
    for end in ("front", "back"):
        hub = mesh.keypoints[f"left_{end}_wheel"]
        around = rubber[np.abs(rubber[:, 1] - hub[1]) < 0.06]
        assert around[:, 2].min() == pytest.approx(ground, abs=1e-3)
        assert np.abs(hub[0] - around[:, 0].max()) < 0.01


@pytest.mark.parametrize("variant", VARIANTS)
def test_front_of_a_bus_is_at_minus_y(variant: int) -> None:
    mesh = made("bus", variant)
    assert "front" in ends_of(mesh, "light")
    assert "rear" in ends_of(mesh, "taillight", 0.05)
    mirrors = np.abs(mesh.vertices[:, 0]) > 0.99 * np.abs(mesh.vertices[:, 0]).max()
    assert mesh.vertices[mirrors, 1].max() < 0
    low, high = mesh.vertices[:, 1].min(), mesh.vertices[:, 1].max()
    for side in ("left", "right"):
        corner = mesh.keypoints[f"body_front_{side}_upper"]
        assert corner[2] > mesh.keypoints[f"body_front_{side}_lower"][2] + 0.15
        assert mesh.keypoints[f"body_front_{side}_lower"][1] < low + 0.06
        assert mesh.keypoints[f"body_back_{side}_lower"][1] > high - 0.04
        assert mesh.keypoints[f"{side}_front_wheel"][1] < mesh.keypoints[f"{side}_back_wheel"][1]


@pytest.mark.parametrize("variant", VARIANTS)
def test_train_has_the_proportions_of_pascal3d(variant: int) -> None:
    size = np.ptp(made("train", variant).vertices, axis=0)
    np.testing.assert_allclose(size, (0.16, 0.96, 0.23), atol=0.06)


@pytest.mark.parametrize("variant", VARIANTS)
def test_head_of_a_train_is_at_minus_y(variant: int) -> None:
    mesh = made("train", variant)
    assert "front" in ends_of(mesh, "light")
    assert ends_of(mesh, "taillight", 0.05) >= {"rear"}
    k = mesh.keypoints
    for level in ("top", "bottom"):
        places = [k[f"{name}_left_{level}"][1] for name in ("head", "mid1", "mid2", "tail")]
        assert places == sorted(places)
        np.testing.assert_allclose(places[1:3], (-1 / 6, 1 / 6), atol=0.09)
    assert k["head_top"][0] == pytest.approx(0, abs=1e-9)
    assert k["head_top"][2] > k["head_left_bottom"][2] + 0.08


@pytest.mark.parametrize("variant", VARIANTS)
def test_train_stands_on_its_wheels(variant: int) -> None:
    mesh = made("train", variant)
    lowest = mesh.vertices[mesh.vertices[:, 2] < mesh.vertices[:, 2].min() + 2e-3]
    assert {(x > 0, y > 0) for x, y in lowest[:, :2]} == {(a, b) for a in (False, True) for b in (False, True)}


@pytest.mark.parametrize("variant", VARIANTS)
def test_bow_of_a_boat_is_at_minus_y_and_pointed(variant: int) -> None:
    k = made("boat", variant).keypoints
    assert k["head"][1] < k["head_left"][1] < k["tail_left"][1]
    assert k["head"][1] <= k["head_down"][1] < k["head_left"][1]
    assert k["head_down"][2] < k["head"][2]
    assert k["tail"][2] < k["tail_left"][2]
    assert k["tail_left"][0] > 0.4 * k["head_left"][0] > 0
    for name in ("head", "head_down", "tail"):
        assert k[name][0] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("variant", VARIANTS)
def test_keypoints_of_an_aeroplane_are_its_extremes(variant: int) -> None:
    mesh = made("aeroplane", variant)
    x, y, z = mesh.vertices.T
    k = mesh.keypoints
    assert k["left_wing"][0] > 0.9 * x.max()
    assert 0 < k["left_elevator"][0] < k["left_wing"][0]
    assert k["left_elevator"][1] > k["left_wing"][1]
    assert k["noselanding"][1] < -0.1
    assert k["rudder_upper"][2] >= k["rudder_lower"][2] - 0.02
    assert min(k["rudder_upper"][1], k["tail"][1]) > 0.6 * y.max()
    assert z.min() <= k["noselanding"][2] < 0
