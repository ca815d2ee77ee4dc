"""What is done to a CAD model's surface before it is stored, without Blender."""

from dataclasses import replace

import numpy as np
import pytest
import trimesh

from p3d_gen.blender.cleaning import MERGE_DISTANCE, normalised, plain
from tests.helpers.assets import wedge

IDENTITY = np.eye(3)
TRIANGLE = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]])


def cleaned(vertices, faces):
    return normalised(plain(np.array(vertices, float), np.array(faces, int)), IDENTITY)


def test_the_box_is_centred_and_its_diagonal_is_one():
    rng = np.random.default_rng([3, 1])
    for _ in range(5):
        surface = cleaned(rng.normal(size=(30, 3)) * rng.uniform(0.01, 100) + 50, rng.integers(0, 30, (40, 3)))
        np.testing.assert_allclose(surface.vertices.min(axis=0), -surface.vertices.max(axis=0), atol=1e-12)
        assert np.linalg.norm(np.ptp(surface.vertices, axis=0)) == pytest.approx(1.0)


def test_cleaning_twice_changes_nothing():
    mesh = wedge()
    once = cleaned(mesh.vertices, mesh.faces)
    twice = normalised(once, IDENTITY)
    np.testing.assert_array_equal(once.faces, twice.faces)
    np.testing.assert_allclose(once.vertices, twice.vertices, atol=1e-12)


def test_a_soup_of_triangles_becomes_one_surface():
    mesh = wedge()
    soup = mesh.triangles.reshape(-1, 3) + np.random.default_rng([1, 1]).uniform(-1e-8, 1e-8, (3 * len(mesh.faces), 3))
    surface = cleaned(soup, np.arange(len(soup)).reshape(-1, 3))
    assert len(surface.vertices) == len(mesh.vertices)
    assert trimesh.Trimesh(surface.vertices, surface.faces, process=False).is_watertight


def test_vertices_on_both_sides_of_a_grid_line_are_merged():
    shift = MERGE_DISTANCE * 0.6  # of the unit diagonal: to the other side, whatever the offset
    vertices = [*TRIANGLE, *(TRIANGLE + np.array([shift, 0, 0])), [0, 0, 1]]
    surface = cleaned(vertices, [[0, 1, 2], [4, 3, 6], [5, 4, 6], [3, 5, 6]])
    assert len(surface.vertices) == 4


def test_what_a_face_carries_stays_with_it():
    """Doubled faces in either winding and degenerate ones go; the first of the doubles keeps its part and corners."""
    uv = np.arange(30, dtype=np.float32).reshape(5, 3, 2)
    vertices = np.array([*TRIANGLE, [0, 0, 1], [9, 9, 9], [2, 0, 0]])
    faces = np.array([[0, 1, 5], [0, 1, 2], [2, 1, 0], [0, 3, 1], [3, 3, 1]])
    surface = replace(
        plain(vertices, faces), uv=uv, face_part=np.array([0, 3, 1, 2, 0]), part_names=("a", "b", "c", "d")
    )
    clean = normalised(surface, IDENTITY)
    assert clean.part_names == ("c", "d")
    np.testing.assert_array_equal(clean.face_part, [1, 0])
    np.testing.assert_array_equal(clean.uv, uv[[1, 3]])
    assert len(clean.vertices) == 4  # the corner far outside was of no face
    np.testing.assert_allclose(clean.vertices[clean.faces[0]] * np.sqrt(3), TRIANGLE - 0.5)


def test_keypoints_go_along():
    mesh = wedge()
    turn = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    surface = replace(plain(mesh.vertices * 7 + 3, mesh.faces), keypoints={"tail": mesh.vertices[5] * 7 + 3})
    clean = normalised(surface, turn)
    assert np.linalg.norm(clean.vertices - clean.keypoints["tail"], axis=1).min() < 1e-12


@pytest.mark.parametrize(
    ("vertices", "faces", "said"),
    [
        (TRIANGLE, np.empty((0, 3)), "no faces"),
        (TRIANGLE, [[0, 1, 3]], "uses vertex 3, but there are only 3 vertices"),
        (TRIANGLE * np.nan, [[0, 1, 2]], "not finite"),
        (TRIANGLE * 0, [[0, 1, 2]], "coincide"),
        (TRIANGLE[[0, 1, 1]], [[0, 1, 2]], "degenerate"),
        ([[0, 0, 0], [1, 1, 1], [3, 3, 3]], [[0, 1, 2]], "degenerate"),
    ],
)
def test_hopeless_surfaces(vertices, faces, said):
    with pytest.raises(ValueError, match=said):
        cleaned(vertices, faces)


def test_too_many_parts():
    faces = np.arange(3 * 256).reshape(-1, 3)
    vertices = np.random.default_rng([2, 1]).uniform(size=(3 * 256, 3))
    surface = replace(plain(vertices, faces), face_part=np.arange(256), part_names=tuple(map(str, range(256))))
    with pytest.raises(ValueError, match="256 materials, 255 are allowed"):
        normalised(surface, IDENTITY)


def test_a_vertex_given_very_often():
    """It does not take memory that grows with the square of its count."""
    fans = np.tile(TRIANGLE, (40_000, 1))
    assert len(cleaned([*fans, [0, 0, 1]], [*np.arange(len(fans)).reshape(-1, 3), [0, 1, len(fans)]]).faces) == 2
