from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from blender_assets.shapes import CATEGORIES, build
from blender_assets.shapes.mesh import Shape
from blender_assets.shapes.ply import is_parametric_ply, ply_bytes, shape_of_ply

KEYPOINTS = {"seat_upper_left": np.array([0.1, -1 / 3, 1e-9]), "leg_lower_left": np.array([-0.25, 0.0, 0.5])}


@pytest.fixture(scope="module")
def chair() -> Shape:
    return replace(build("chair", 7), keypoints=KEYPOINTS, symmetry_order=2)


@pytest.fixture(scope="module")
def data(chair: Shape) -> bytes:
    return ply_bytes(chair)


def test_round_trip(chair: Shape, data: bytes) -> None:
    back = shape_of_ply(data)
    np.testing.assert_array_equal(back.vertices, chair.vertices.astype(np.float32))
    np.testing.assert_array_equal(back.faces, chair.faces)
    np.testing.assert_array_equal(back.face_part, chair.face_part)
    assert back.face_part.dtype == np.int16
    assert back.part_names == chair.part_names
    assert list(back.keypoints) == list(KEYPOINTS)
    for name, point in KEYPOINTS.items():
        np.testing.assert_array_equal(back.keypoints[name], point)
    assert back.symmetry_order == 2


@pytest.mark.parametrize("category", CATEGORIES)
def test_every_category_survives(category: str) -> None:
    mesh = build(category, 3)
    back = shape_of_ply(ply_bytes(mesh))
    np.testing.assert_allclose(back.vertices, mesh.vertices, atol=1e-6)
    np.testing.assert_array_equal(back.faces, mesh.faces)
    assert (back.part_names, back.symmetry_order) == (mesh.part_names, mesh.symmetry_order)
    assert set(back.keypoints) == set(mesh.keypoints)


def test_header_names_parts_keypoints_and_symmetry(chair: Shape, data: bytes) -> None:
    lines = data.partition(b"end_header\n")[0].decode("ascii").splitlines()
    assert lines[:2] == ["ply", "format binary_little_endian 1.0"]
    assert "comment p3dgen parametric shape, CC0-1.0" in lines
    assert [f"comment part {i} {name}" for i, name in enumerate(chair.part_names)] == [
        line for line in lines if line.startswith("comment part ")
    ]
    assert "comment keypoint leg_lower_left -0.25 0.0 0.5" in lines
    assert "comment symmetry_order 2" in lines
    assert lines[-1] == "property int part"


def test_ply_is_read_by_other_software(chair: Shape, data: bytes, tmp_path: Path) -> None:
    trimesh = pytest.importorskip("trimesh")
    path = tmp_path / "chair.ply"
    path.write_bytes(data)
    loaded = trimesh.load(path, process=False)
    np.testing.assert_allclose(loaded.vertices, chair.vertices, atol=1e-6)
    np.testing.assert_array_equal(loaded.faces, chair.faces)


def test_our_own_are_told_from_others_by_their_first_bytes(data: bytes) -> None:
    assert is_parametric_ply(data)
    assert is_parametric_ply(data[:100])
    assert not is_parametric_ply(b"")
    assert not is_parametric_ply(b"ply\nformat binary_little_endian 1.0\ncomment made by somebody else\n")


@pytest.mark.parametrize("foreign", [b"", b"ply\nend_header\n", b"solid\n"])
def test_foreign_ply_is_refused(foreign: bytes) -> None:
    with pytest.raises(ValueError, match="not a PLY written by"):
        shape_of_ply(foreign)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"property int part", b"property short part"),
        (b"comment symmetry_order 2\n", b""),
        (b"comment symmetry_order 2", b"comment symmetry_order two"),
        (b"comment part 1 ", b"comment part 2 "),
        (b"comment part 0 ", b"comment piece 0 "),
        (b"element vertex ", b"element vertex -"),
        (b"leg_lower_left -0.25 0.0", b"leg_lower_left -0.25"),
        (b"end_header", b"comment x\nend_header"),
    ],
)
def test_altered_header_is_refused(data: bytes, old: bytes, new: bytes) -> None:
    assert data.count(old) == 1
    with pytest.raises(ValueError, match="not a PLY written by"):
        shape_of_ply(data.replace(old, new))


def test_altered_body_is_refused(chair: Shape, data: bytes) -> None:
    outside = chair.faces + len(chair.vertices)
    unnamed = chair.face_part + len(chair.part_names)
    for altered in (
        data[:-1],
        data + b"\0",
        ply_bytes(replace(chair, faces=outside)),
        ply_bytes(replace(chair, face_part=unnamed)),
    ):
        with pytest.raises(ValueError, match="not a PLY written by"):
            shape_of_ply(altered)


@pytest.mark.parametrize("name", ["", "two words", "new\nline", "flügel"])
def test_name_that_a_header_cannot_hold_is_refused(chair: Shape, name: str) -> None:
    with pytest.raises(ValueError, match="one word of ASCII"):
        ply_bytes(replace(chair, keypoints={name: np.zeros(3)}))
