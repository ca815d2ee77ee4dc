"""What the keypoints and parts of bottles, chairs, dining tables and sofas mean."""

from functools import cache

import numpy as np
import pytest

from blender_assets.shapes import BODY_TYPES, Shape, build
from blender_assets.shapes.bottle.parts import blown, foot, label
from blender_assets.shapes.diningtable.parts import planks, rectangle, slab
from blender_assets.shapes.mesh import Array, Solid, signed_volume
from blender_assets.shapes.sofa.cushions import tufted

VARIANTS = [*range(2 * BODY_TYPES), 55, 82, 101]

made = cache(build)


def height(mesh: Shape, name: str) -> float:
    """Height of a keypoint above the floor as a share of the shape's height."""
    z = mesh.vertices[:, 2]
    return float((mesh.keypoints[name][2] - z.min()) / np.ptp(z))


def area_of(mesh: Shape, part: str) -> float:
    if part not in mesh.part_names:
        return 0.0
    a, b, c = mesh.vertices[mesh.faces[mesh.face_part == mesh.part_names.index(part)]].transpose(1, 0, 2)
    return float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2)


def share_of(mesh: Shape, part: str) -> float:
    """Share of the surface that is made of a part."""
    return area_of(mesh, part) / sum(area_of(mesh, name) for name in mesh.part_names)


def standing_points(mesh: Shape) -> Array:
    z = mesh.vertices[:, 2]
    return mesh.vertices[z < z.min() + 0.004]


@pytest.mark.parametrize("category", ["chair", "diningtable", "sofa"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_furniture_stands_level(category: str, variant: int) -> None:
    x, y, _ = standing_points(made(category, variant)).T
    low, high = made(category, variant).vertices.min(axis=0), made(category, variant).vertices.max(axis=0)
    assert x.max() > 0.3 * high[0]
    assert y.max() > 0.25 * high[1]
    assert y.min() < 0.3 * low[1]


@pytest.mark.parametrize("variant", VARIANTS)
def test_keypoints_of_a_chair(variant: int) -> None:
    mesh = made("chair", variant)
    point = mesh.keypoints
    back, rear, front = point["back_upper_left"], point["seat_upper_left"], point["seat_lower_left"]
    assert height(mesh, "back_upper_left") > 0.85
    assert front[1] < rear[1] - 0.2
    assert abs(front[2] - rear[2]) < 0.09
    assert rear[1] < back[1]
    assert rear[2] < back[2] - 0.2
    for name in ("leg_upper_left", "leg_lower_left"):
        assert height(mesh, name) < 0.03
    assert point["leg_lower_left"][1] < point["leg_upper_left"][1] - 0.2


@pytest.mark.parametrize("variant", VARIANTS)
def test_keypoints_of_a_sofa(variant: int) -> None:
    mesh = made("sofa", variant)
    point = mesh.keypoints
    top, crease, edge = point["top_left_corner"], point["seat_top_left"], point["seat_bottom_left"]
    assert edge[1] < crease[1] - 0.15
    assert abs(edge[2] - crease[2]) < 0.04
    assert crease[2] < top[2] - 0.06
    assert height(mesh, "top_left_corner") > 0.8
    for name in ("front_bottom_left", "left_bottom_back"):
        assert height(mesh, name) < 0.01
    assert point["front_bottom_left"][1] < -0.1
    assert point["left_bottom_back"][1] > 0.1


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_sofa_is_wide_upholstered_and_its_back_at_plus_y(variant: int) -> None:
    mesh = made("sofa", variant)
    x, y, z = mesh.vertices.T
    assert np.ptp(x) > 1.5 * np.ptp(y)
    assert np.ptp(x) > 1.6 * np.ptp(z)
    assert share_of(mesh, "fabric") > 0.4
    middle = np.abs(x) < 0.35 * x.max()
    upper = z > z.min() + 0.85 * np.ptp(z)
    assert y[middle & upper].min() > 0
    front = middle & (y < y.min() + 0.3 * np.ptp(y))
    assert (z[front].max() - z.min()) / np.ptp(z) < 0.75


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_dining_table_is_a_top_on_legs(variant: int) -> None:
    mesh = made("diningtable", variant)
    x, y, z = mesh.vertices.T
    level = (z - z.min()) / np.ptp(z)
    high, low = level > 0.9, level < 0.6
    assert np.ptp(x) >= np.ptp(y) - 1e-9
    assert np.ptp(x[high]) == pytest.approx(np.ptp(x))
    assert np.ptp(y[high]) == pytest.approx(np.ptp(y))
    assert np.ptp(x[low]) < 0.97 * np.ptp(x)
    square_or_round = mesh.symmetry_order in (0, 4)
    assert square_or_round == (variant % BODY_TYPES in (1, 4))
    assert np.ptp(x) == pytest.approx(np.ptp(y), abs=1e-6) if square_or_round else np.ptp(x) > 1.15 * np.ptp(y)
    assert share_of(mesh, "wood") + share_of(mesh, "paint") + share_of(mesh, "glass") > 0.4


@pytest.mark.parametrize("variant", VARIANTS)
def test_keypoints_of_a_dining_table(variant: int) -> None:
    mesh = made("diningtable", variant)
    point, half = mesh.keypoints, mesh.vertices.max(axis=0)
    for name, direction in (("up", (0, 1)), ("down", (0, -1)), ("left", (1, 0)), ("right", (-1, 0))):
        np.testing.assert_allclose(point[f"top_{name}"][:2], half[:2] * direction, atol=0.01)
        assert height(mesh, f"top_{name}") > 0.98
    round_top = variant % BODY_TYPES in (1, 2)
    for place, sign in (("upper", 1), ("lower", -1)):
        corner, leg = point[f"top_{place}_left"], point[f"leg_{place}_left"]
        expected = half[:2] * [1, sign] * (0.75 if round_top else 0.98)
        np.testing.assert_allclose(corner[:2], expected, atol=0.05 if round_top else 0.02)
        assert sign * leg[1] > 0.03
        assert height(mesh, f"leg_{place}_left") < 0.01


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_bottle_narrows_above_its_shoulder(variant: int) -> None:
    mesh = made("bottle", variant)
    point = mesh.keypoints
    x, _, z = mesh.vertices.T
    assert np.ptp(z) > 1.6 * np.ptp(x)
    assert point["mouth"][2] == pytest.approx(z.max(), abs=1e-6)
    assert point["bottom"][2] == pytest.approx(z.min(), abs=1e-6)
    assert 0.3 < height(mesh, "body") < 0.8
    neck = z > z.min() + 0.9 * np.ptp(z)
    assert x[neck].max() < 0.72 * x.max()
    assert point["body_left"][0] == pytest.approx(x.max(), rel=0.06)
    assert point["body_left"][2] == point["body"][2]
    assert point["bottom_left"][0] > 0.7 * x.max()
    assert height(mesh, "bottom_left") < 0.06


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_bottle_shows_its_paint_all_round(variant: int) -> None:
    mesh = made("bottle", variant)
    assert share_of(mesh, "paint") > 0.12
    paint = mesh.vertices[np.unique(mesh.faces[mesh.face_part == mesh.part_names.index("paint")])]
    azimuth = np.sort(np.arctan2(paint[:, 1], paint[:, 0]))
    assert np.diff(azimuth).max() < 1.4
    assert mesh.symmetry_order in ((2, 4) if variant % BODY_TYPES == 4 else (0, 4))


def test_body_types_of_bottles_and_tables_come_in_every_symmetry() -> None:
    assert {made("bottle", v).symmetry_order for v in range(4, 60, BODY_TYPES)} == {2, 4}
    assert {made("bottle", v).symmetry_order for v in range(3, 60, BODY_TYPES)} == {0, 4}
    assert {made("diningtable", v).symmetry_order for v in range(1, 90, BODY_TYPES)} == {0, 4}


def volume(solid: Solid) -> float:
    return signed_volume(solid.vertices, solid.faces)


def test_volume_of_a_blown_body_and_its_label() -> None:
    section = (30.0, 30.0, 30.0)
    plain = blown([("glass", foot(section, 4, 0)), ("glass", [(30, 100), (0, 100)])])
    labelled = blown(
        [("glass", foot(section, 4, 0)), *label("glass", "paint", section, 20, 80), ("glass", [(30, 100), (0, 100)])]
    )
    cylinder = np.pi * 30**2 * 100
    assert volume(plain) == pytest.approx(cylinder, rel=0.01)
    assert volume(labelled) - volume(plain) == pytest.approx(np.pi * (30.5**2 - 30**2) * 60, rel=0.02)
    box = blown([("glass", foot((40.0, 25.0, 6.0), 2, 0)), ("glass", [(40, 25, 6, 50), (0, 0, 0, 50)])])
    assert volume(box) == pytest.approx(80 * 50 * 50, rel=0.02)


def test_a_slab_and_boards_have_the_size_that_was_asked_for() -> None:
    plate = slab(rectangle(0.8, 0.4, 0.01), 0.75, 0.03, "wood")
    np.testing.assert_allclose(plate.vertices.max(axis=0), (0.8, 0.4, 0.75), atol=1e-9)
    assert volume(plate) == pytest.approx(1.6 * 0.8 * 0.03, rel=0.01)
    boards = planks(0.8, 0.4, 0.75, 0.03, 5, 0.1)
    np.testing.assert_allclose(boards.vertices.max(axis=0), (0.8, 0.4, 0.75), atol=0.004)
    assert volume(boards) == pytest.approx(1.6 * 0.8 * 0.03, rel=0.03)


def test_a_tufted_pad_bulges_by_what_was_asked_for_towards_minus_y() -> None:
    pad = tufted(1.6, 0.4, 0.06, 0.04, 8, 2)
    assert pad.vertices[:, 1].max() == pytest.approx(0.03)
    assert -0.071 < pad.vertices[:, 1].min() < -0.06
    np.testing.assert_allclose(np.ptp(pad.vertices[:, [0, 2]], axis=0), (1.6, 0.4))
