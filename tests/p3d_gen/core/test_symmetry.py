"""Symmetries are groups of turns: closed, with identity and inverses, the same however they are written."""

import json
import tomllib

import numpy as np
import pytest

from p3d_gen.core.errors import ConfigError, P3DError
from p3d_gen.core.geometry import random_rotation, rot_z
from p3d_gen.core.symmetry import Symmetry, Turn, rotation_about

RNG = np.random.default_rng(3)
THIRD = [[1, 1, 1, 3]]
FINITE = {
    "none": ([], 1),
    "fan": (["z:5"], 5),
    "box": (["x:2", "y:2", "z:2"], 4),
    "table": (["z:4", "x:2"], 8),
    "cube": (["x:4", "y:4"], 24),
    "tetrahedron": (["z:2", *THIRD], 12),
    "leaning": (["1,1,0:3"], 3),
    "icosahedron": (["z:2", *THIRD, [0, 1, (1 + 5**0.5) / 2, 5]], 60),
    "gear": (["z:360", "x:2"], 720),
}
CYLINDER, BALL, CONE = (Symmetry.parse(text) for text in (["z:0", "x:2"], ["z:0", "x:0"], ["z:0"]))


def inside(element, elements):
    return np.abs(elements - element).max(axis=(1, 2)).min() < 1e-6


def same_group(a, b):
    """Two symmetries of the same elements, by the elements alone."""
    if a.is_sphere or b.is_sphere or a.continuous_axis or b.continuous_axis:
        axes = [np.abs(each.continuous_axis or (0, 0, 0)) for each in (a, b)]
        return a.is_sphere == b.is_sphere and np.allclose(*axes) and len(a.group) == len(b.group)
    return len(a.group) == len(b.group) and all(inside(element, b.group) for element in a.group)


@pytest.mark.parametrize("name", FINITE)
def test_a_finite_group_is_closed_under_product_and_inverse(name):
    turns, size = FINITE[name]
    symmetry = Symmetry.parse(turns)
    group = symmetry.group
    assert group.shape == (size, 3, 3)
    assert np.array_equal(group[0], np.eye(3))
    assert np.abs(group @ group.transpose(0, 2, 1) - np.eye(3)).max() < 1e-12
    assert np.linalg.det(group) == pytest.approx(1, abs=1e-12)
    distances = np.abs(group[:, None] - group[None]).max(axis=(2, 3))
    assert (distances + np.eye(size) > 1e-6).all()
    few = group if size <= 60 else group[RNG.choice(size, 40, replace=False)]
    for element in few:
        assert inside(element.T, group)
        assert all(inside(element @ other, group) for other in few)
    assert (symmetry.continuous_axis, symmetry.is_sphere, symmetry.is_none) == (None, False, size == 1)


def test_every_turn_asked_for_is_in_the_group():
    for turns, _ in FINITE.values():
        symmetry = Symmetry.parse(turns)
        assert all(inside(turn.rotation(), symmetry.group) for turn in symmetry.turns)


def test_a_box_has_the_four_turns_that_change_signs_of_two_axes():
    expected = [np.diag(signs) for signs in ([1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1])]
    group = Symmetry.parse(["x:2", "y:2"]).group
    assert len(group) == 4
    assert all(inside(element, group) for element in expected)


def test_a_cylinder_has_any_turn_about_z_and_a_half_turn_across_it():
    assert CYLINDER.continuous_axis == (0.0, 0.0, 1.0)
    assert not CYLINDER.is_sphere
    assert len(CYLINDER.group) == 2
    assert CYLINDER.group[1][2, 2] == pytest.approx(-1)
    assert len(CONE.group) == 1
    assert CONE.continuous_axis == (0.0, 0.0, 1.0)
    assert not CONE.is_none


def test_a_continuous_axis_takes_in_turns_about_itself():
    assert Symmetry.parse(["z:0", "z:6", "-z:0"]).canonical() == CONE
    assert Symmetry.parse(["z:0", "z:3", "1,1,0:2", "1,-2,0:2"]).canonical() == CYLINDER


@pytest.mark.parametrize("turns", [["z:0", "x:0"], ["z:0", "x:4"], ["z:0", "1,0,1:2"], ["0,1,1:0", "x:3"]])
def test_a_continuous_axis_and_a_turn_that_moves_it_is_a_sphere(turns):
    symmetry = Symmetry.parse(turns)
    assert symmetry.is_sphere
    assert symmetry.continuous_axis is None
    assert len(symmetry.group) == 1
    assert symmetry.canonical() == BALL
    assert not symmetry.is_none


@pytest.mark.parametrize("name", FINITE)
def test_the_canonical_form_is_the_same_group_however_it_was_written(name):
    turns, size = FINITE[name]
    symmetry = Symmetry.parse(turns)
    canonical = symmetry.canonical()
    assert same_group(symmetry, canonical)
    assert canonical.canonical() == canonical
    if 1 < size <= 60:
        shuffled = [turn for turn in _all_turns(symmetry) if RNG.random() < 0.5] + list(symmetry.turns)[::-1]
        assert Symmetry(tuple(shuffled)).canonical() == canonical


def _all_turns(symmetry):
    """The turns of a group, with the axis of each, found by its skew part or by the square of a half turn."""
    for element in symmetry.group[1:]:
        axis = np.linalg.svd(element - np.eye(3))[2][-1]
        angle = np.arccos(np.clip((np.trace(element) - 1) / 2, -1, 1))
        order = round(2 * np.pi / angle)
        if abs(angle - 2 * np.pi / order) < 1e-6:
            yield Turn(tuple(-axis), order)


def test_canonical_forms_are_short():
    texts = {name: Symmetry.parse(turns).canonical().texts() for name, (turns, _) in FINITE.items()}
    assert texts["box"] == ["z:2", "y:2"]
    assert texts["cube"] == ["z:4", "y:4"]
    assert texts["table"] == ["z:4", "y:2"]
    assert texts["none"] == []
    assert CYLINDER.texts() == ["z:0", "x:2"]


def test_a_shape_that_is_turned_takes_its_symmetry_along():
    for turns in (["z:4", "x:2"], ["z:0", "x:2"], ["z:0"], THIRD):
        symmetry, R = Symmetry.parse(turns), random_rotation(RNG)
        turned = symmetry.turned(R)
        if symmetry.continuous_axis is None:
            assert all(inside(R @ element @ R.T, turned.group) for element in symmetry.group)
        else:
            assert np.abs(np.dot(turned.continuous_axis, R[:, 2])) == pytest.approx(1)
        assert len(turned.group) == len(symmetry.group)
    assert BALL.turned(random_rotation(RNG)).is_sphere


@pytest.mark.parametrize(("order", "turns"), [(1, []), (2, ["z:2"]), (4, ["z:4"]), (0, ["z:0"])])
def test_older_labels_have_turns_about_z_only(order, turns):
    symmetry = Symmetry.of_order(order)
    assert symmetry == Symmetry.parse(turns)
    assert symmetry.z_order == order
    assert Symmetry.of_labels({"symmetry_order": order}) == symmetry
    assert Symmetry.of_labels({"symmetry_order": 7, "symmetries": symmetry.rows()}) == symmetry


def test_more_turns_than_anybody_sees_are_any_angle():
    assert Symmetry.of_order(5000) == CONE


def test_the_order_about_z_is_that_of_the_whole_group():
    orders = {"fan": 5, "box": 2, "cube": 4, "tetrahedron": 2, "leaning": 1, "none": 1, "gear": 360}
    assert {name: Symmetry.parse(FINITE[name][0]).z_order for name in orders} == orders
    assert [Symmetry.parse(turns).z_order for turns in (["x:0"], ["x:0", "z:2"], ["z:0"], ["z:0", "x:0"])] == [
        1,
        2,
        0,
        0,
    ]


def test_turns_are_read_from_toml_and_written_back():
    text = 'symmetry = ["z:4", " -X : 2", "0 1 1:2", "1, 1, 1:3", [0, 0, 2.5, 4]]'
    turns = Symmetry.parse(tomllib.loads(text)["symmetry"]).turns
    half, third = 0.5**0.5, 3**-0.5
    expected = [(0, 0, 1), (-1, 0, 0), (0, half, half), (third, third, third), (0, 0, 1)]
    assert [turn.order for turn in turns] == [4, 2, 2, 3, 4]
    assert np.array([turn.axis for turn in turns]) == pytest.approx(np.array(expected))
    assert Symmetry.parse("y:2").turns == (Turn((0, 1, 0), 2),)
    assert Symmetry.parse("none") == Symmetry.parse([]) == Symmetry.NONE
    for name in FINITE:
        symmetry = Symmetry.parse(FINITE[name][0])
        assert same_group(Symmetry.parse(symmetry.texts()), symmetry)


@pytest.mark.parametrize("name", FINITE)
def test_labels_hold_the_group_as_numbers_of_one_type(name):
    symmetry = Symmetry.parse(FINITE[name][0])
    rows = json.loads(json.dumps(symmetry.rows()))
    assert rows
    assert all(len(row) == 4 and all(type(each) is float for each in row) for row in rows)
    assert same_group(Symmetry.of_labels({"symmetries": rows}), symmetry)


@pytest.mark.parametrize("bad", ["w:2", "z", "z:-1", "z:1.5", "z:361", "1,1:2", "0,0,0:2", "nan,0,1:2", ":2", "zz:2"])
def test_a_turn_that_cannot_be_read_says_what_to_give(bad):
    with pytest.raises(ConfigError, match=r"symmetry.*give") as failure:
        Symmetry.parse([bad])
    assert isinstance(failure.value, P3DError)
    assert isinstance(failure.value, ValueError)


@pytest.mark.parametrize(
    "bad", [[3], [[0, 0, 1]], [[0, 0, 1, 2.5]], [[0, 0, True, 2]], 4, {"z": 2}, None, [[0, 0, 1, -2]]]
)
def test_a_value_of_another_kind_says_what_to_give(bad):
    with pytest.raises(ConfigError, match=r"symmetry.*give"):
        Symmetry.parse(bad)


def test_turns_that_no_shape_has_are_refused():
    with pytest.raises(ConfigError, match=r"z:7, x:3: no finite shape has all of these turns; correct an axis"):
        Symmetry.parse(["z:7", "x:3"])


@pytest.mark.parametrize("name", FINITE)
def test_bop_has_every_turn_but_the_identity(name):
    symmetry = Symmetry.parse(FINITE[name][0])
    info = json.loads(json.dumps(symmetry.bop()))
    assert "symmetries_continuous" not in info
    poses = np.array(info.get("symmetries_discrete", np.zeros((0, 16)))).reshape(-1, 4, 4)
    assert len(poses) == len(symmetry.group) - 1
    assert all(inside(pose[:3, :3], symmetry.group[1:]) for pose in poses)
    assert np.abs(poses[:, :3, 3]).max(initial=0) == 0
    assert (poses[:, 3] == [0, 0, 0, 1]).all()
    assert Symmetry.of_bop(info) == symmetry.canonical()


@pytest.mark.parametrize("symmetry", [CONE, CYLINDER, BALL, Symmetry.parse(["1,1,0:0"])])
def test_bop_has_axes_for_turns_by_any_angle(symmetry):
    info = json.loads(json.dumps(symmetry.bop()))
    assert all(entry["offset"] == [0, 0, 0] for entry in info["symmetries_continuous"])
    assert Symmetry.of_bop(info) == symmetry.canonical()


def test_bop_of_a_cylinder_is_what_the_toolkit_multiplies():
    """The toolkit combines each discrete turn with each turn about the axis: that is the whole group."""
    info = CYLINDER.bop()
    assert info["symmetries_continuous"] == [{"axis": [0, 0, 1], "offset": [0, 0, 0]}]
    [flip] = np.array(info["symmetries_discrete"]).reshape(-1, 4, 4)[:, :3, :3]
    for angle in RNG.uniform(0, 2 * np.pi, 20):
        half_turn = rotation_about((np.cos(angle), np.sin(angle), 0.0), np.pi)
        steps = [rot_z(turn) @ flip for turn in np.linspace(0, 2 * np.pi, 3601)]
        assert np.abs(np.stack(steps) - half_turn).max(axis=(1, 2)).min() < 2e-3


def test_a_turn_about_an_axis_keeps_it_and_goes_counter_clockwise():
    for _ in range(20):
        axis = RNG.standard_normal(3)
        axis /= np.linalg.norm(axis)
        R = rotation_about(axis, 0.7)
        across = np.cross(axis, RNG.standard_normal(3))
        assert pytest.approx(axis) == R @ axis
        assert np.cross(across, R @ across) @ axis == pytest.approx(np.sin(0.7) * across @ across)
