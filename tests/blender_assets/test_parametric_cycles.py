"""What makes a two-wheeler, a car or a screen one: which end is the front, what stands on the ground, what is where."""

from functools import cache

import numpy as np
import pytest

from blender_assets.shapes import BODY_TYPES, Shape, build

VARIANTS = [*range(BODY_TYPES), 9, 22, 40]
CYCLES = ("bicycle", "motorbike")

made = cache(build)


def part_points(mesh: Shape, part: str) -> np.ndarray:
    return mesh.vertices[np.unique(mesh.faces[mesh.face_part == mesh.part_names.index(part)])]


def hub(mesh: Shape, end: str) -> np.ndarray:
    """Middle between the left and right hub of an end, front or back."""
    return (mesh.keypoints[f"left_{end}_wheel"] + mesh.keypoints[f"right_{end}_wheel"]) / 2


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("category", CYCLES)
def test_a_cycle_stands_on_two_wheels_in_its_middle_plane(category: str, variant: int) -> None:
    mesh = made(category, variant)
    rubber = part_points(mesh, "rubber")
    ground = mesh.vertices[:, 2].min()
    touching = rubber[rubber[:, 2] < ground + 2e-3]
    for end in ("front", "back"):
        axle = hub(mesh, end)
        assert np.abs(touching[:, 1] - axle[1]).min() < 0.02
        radius = axle[2] - ground
        around = rubber[np.hypot(rubber[:, 1] - axle[1], rubber[:, 2] - axle[2]) < 1.05 * radius]
        np.testing.assert_allclose(np.ptp(around[:, 1:], axis=0), 2 * radius, rtol=0.06)
    others = np.concatenate([part_points(mesh, name) for name in mesh.part_names if name != "rubber"])
    assert others[:, 2].min() > ground + 0.005


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("category", CYCLES)
def test_a_cycle_looks_to_minus_y(category: str, variant: int) -> None:
    mesh = made(category, variant)
    front, back = hub(mesh, "front"), hub(mesh, "back")
    assert front[1] < -0.15
    assert back[1] > 0.15
    head = mesh.keypoints["head_center"]
    assert front[1] < head[1] < (front[1] + back[1]) / 2 + 0.02
    seat = ("seat_front", "seat_back") if category == "bicycle" else ("front_seat", "back_seat")
    assert head[1] < mesh.keypoints[seat[0]][1] < mesh.keypoints[seat[1]][1]
    if "taillight" in mesh.part_names:
        assert part_points(mesh, "taillight")[:, 1].min() > mesh.keypoints[seat[0]][1]


@pytest.mark.parametrize("variant", VARIANTS)
def test_pedals_are_half_a_turn_apart_about_the_bottom_bracket(variant: int) -> None:
    mesh = made("bicycle", variant)
    left, right = mesh.keypoints["left_pedal_center"], mesh.keypoints["right_pedal_center"]
    middle = (left + right) / 2
    assert middle[0] == pytest.approx(0, abs=1e-9)
    crank = np.linalg.norm((left - middle)[1:])
    assert 0.07 < crank < 0.13
    assert hub(mesh, "front")[1] < middle[1] < hub(mesh, "back")[1]
    assert min(left[2], right[2]) > mesh.vertices[:, 2].min() + 0.02


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_chain_of_a_bicycle_is_on_its_right(variant: int) -> None:
    mesh = made("bicycle", variant)
    metal = part_points(mesh, "metal")
    middle = (mesh.keypoints["left_pedal_center"] + mesh.keypoints["right_pedal_center"]) / 2
    run = metal[(metal[:, 1] > middle[1] + 0.06) & (metal[:, 1] < middle[1] + 0.09)]
    run = run[np.abs(run[:, 2] - middle[2]) < 0.06]
    band = run[(np.abs(run[:, 0]) > 0.015) & (np.abs(run[:, 0]) < 0.03)]
    assert (band[:, 0] < 0).sum() > 2 * (band[:, 0] > 0).sum()


@pytest.mark.parametrize("variant", VARIANTS)
def test_lamp_and_grips_of_a_motorbike_are_ahead_and_beside(variant: int) -> None:
    mesh = made("motorbike", variant)
    lamp = mesh.keypoints["headlight_center"]
    head = mesh.keypoints["head_center"]
    assert lamp[1] < head[1] - 0.02
    assert mesh.keypoints["left_handle_center"][0] > 0.1
    assert abs(mesh.keypoints["left_handle_center"][2] - head[2]) < 0.15
    assert part_points(mesh, "light")[:, 1].min() < lamp[1] + 0.01


@pytest.mark.parametrize("variant", VARIANTS)
def test_keypoints_of_a_car_are_in_order(variant: int) -> None:
    mesh = made("car", variant)
    at = mesh.keypoints
    order = [at[name][1] for name in ("left_front_light", "upper_left_windshield", "upper_left_rearwindow")]
    assert order == sorted(order)
    assert at["left_back_trunk"][1] > at["upper_left_windshield"][1]
    assert at["upper_left_windshield"][2] > at["left_back_trunk"][2] > at["left_back_wheel"][2]
    reds = part_points(mesh, "taillight")
    assert np.linalg.norm(reds - at["left_back_trunk"], axis=1).min() < 0.12
    lamps = part_points(mesh, "light")
    assert np.linalg.norm(lamps - at["left_front_light"], axis=1).min() < 1e-6


@pytest.mark.parametrize("variant", VARIANTS)
def test_glass_of_a_screen_faces_the_front(variant: int) -> None:
    mesh = made("tvmonitor", variant)
    a, b, c = mesh.vertices[mesh.faces[mesh.face_part == mesh.part_names.index("glass")]].transpose(1, 0, 2)
    area = np.cross(b - a, c - a) / 2
    forward = -area[:, 1].clip(max=0).sum()
    wide, tall = np.ptp(part_points(mesh, "glass"), axis=0)[[0, 2]]
    assert forward == pytest.approx(wide * tall, rel=0.08)
    at = mesh.keypoints
    for corner in ("bottom_left", "top_left"):
        assert at[f"front_{corner}"][1] < at[f"back_{corner}"][1]
    assert at["front_top_left"][2] > part_points(mesh, "glass")[:, 2].max() > at["front_bottom_left"][2]
