from functools import cache

import numpy as np
import pytest
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from blender_assets.shapes import BODY_TYPES, CATEGORIES, PARTS, Shape, build
from blender_assets.shapes.mesh import curve, lathe, loft, rounded_box, signed_volume, superellipse, tube, weld
from p3d_gen.core.categories import BUILTIN

EVERY = [(category, variant) for category in CATEGORIES for variant in (*range(BODY_TYPES), 13, 101)]

made = cache(build)


def face_normals(mesh: Shape) -> np.ndarray:
    a, b, c = mesh.vertices[mesh.faces].transpose(1, 0, 2)
    return np.cross(b - a, c - a)


def part_points(mesh: Shape, part: str) -> np.ndarray:
    faces = mesh.faces[mesh.face_part == mesh.part_names.index(part)]
    return mesh.vertices[np.unique(faces)]


def directed_edges(faces: np.ndarray) -> np.ndarray:
    return faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)


@pytest.mark.parametrize(("category", "variant"), EVERY)
def test_laws_of_every_mesh(category: str, variant: int) -> None:
    mesh = made(category, variant)
    low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    assert np.linalg.norm(high - low) == pytest.approx(1, abs=1e-9)
    np.testing.assert_allclose(low + high, 0, atol=1e-9)
    assert 2_000 <= len(mesh.faces) <= 18_000
    assert mesh.vertices.dtype == np.float64
    assert mesh.faces.dtype == np.int64
    assert mesh.face_part.dtype == np.int16
    assert set(np.unique(mesh.face_part)) == set(range(len(mesh.part_names)))
    assert set(mesh.part_names) <= set(PARTS)
    assert set(np.unique(mesh.faces)) == set(range(len(mesh.vertices)))
    assert np.linalg.norm(face_normals(mesh), axis=1).min() > 1e-9
    assert len(np.unique(np.sort(mesh.faces, axis=1), axis=0)) == len(mesh.faces)


@pytest.mark.parametrize(("category", "variant"), EVERY)
def test_every_piece_is_closed_and_wound_outwards(category: str, variant: int) -> None:
    mesh = made(category, variant)
    edges = directed_edges(mesh.faces)
    forward, count = np.unique(edges, axis=0, return_counts=True)
    assert count.max() == 1
    backward = np.unique(edges[:, ::-1], axis=0)
    np.testing.assert_array_equal(forward, backward)
    size = len(mesh.vertices)
    graph = coo_matrix((np.ones(len(edges)), edges.T), shape=(size, size))
    _, piece = connected_components(graph, directed=False)
    a, b, c = mesh.vertices[mesh.faces].transpose(1, 0, 2)
    volumes = np.bincount(piece[mesh.faces[:, 0]], np.einsum("ij,ij->i", a, np.cross(b, c)) / 6)
    assert volumes.min() > 0


# The drive train, brake discs, stand and exhaust of a two-wheeler are on one side, and its pedals half a turn apart:
# parts made of these only reach equally far to either side.
ONE_SIDED = {"bicycle": {"metal", "plastic"}, "motorbike": {"metal", "plastic"}}


@pytest.mark.parametrize(("category", "variant"), EVERY)
def test_mirror_symmetry_in_x(category: str, variant: int) -> None:
    mesh = made(category, variant)
    for part in mesh.part_names:
        points = part_points(mesh, part)
        if part in ONE_SIDED.get(category, ()):
            assert points[:, 0].min() == pytest.approx(-points[:, 0].max(), abs=0.01)
            continue
        distance, _ = cKDTree(points).query(points * [-1, 1, 1])
        assert distance.max() < 1e-6


def twin(name: str) -> str:
    """The keypoint on the other side."""
    if "left" in name:
        return name.replace("left", "right")
    return name.replace("right", "left")


ON_THE_AXIS = {"bottle": {"mouth", "body", "bottom"}}  # keypoints inside the shape by their definition


@pytest.mark.parametrize(("category", "variant"), EVERY)
def test_keypoints_are_the_category_s_and_lie_on_the_shape(category: str, variant: int) -> None:
    mesh = made(category, variant)
    assert set(mesh.keypoints) == set(BUILTIN[category].keypoints)
    points, _ = surface_points(mesh, 0.01)
    tree = cKDTree(np.concatenate([points, mesh.vertices]))
    for name, point in mesh.keypoints.items():
        if name in ON_THE_AXIS.get(category, ()):
            assert np.hypot(point[0], point[1]) < 1e-6, name
        else:
            assert tree.query(point)[0] < 0.03, name
        if "pedal" in name:
            assert mesh.keypoints[twin(name)][0] == pytest.approx(-point[0])
        else:
            np.testing.assert_allclose(mesh.keypoints[twin(name)], point * [-1, 1, 1], atol=1e-6, err_msg=name)
        if "left" in name.split("_"):
            assert point[0] > 0, name


def shift_by_turn(mesh: Shape, targets: list[cKDTree], order: float) -> float:
    """How far 1 / order of a turn about z carries a vertex from the targets of its own part, one tree for each part."""
    angle = 2 * np.pi / order
    rotation = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    parts = zip(mesh.part_names, targets, strict=True)
    return max(float(tree.query(part_points(mesh, name) @ rotation.T)[0].max()) for name, tree in parts)


@pytest.mark.parametrize(("category", "variant"), EVERY)
def test_symmetry_order_is_what_the_shape_has(category: str, variant: int) -> None:
    mesh = made(category, variant)
    order = mesh.symmetry_order
    assert order in {0: (0, 2, 4), 1: (1,), 2: (0, 2, 4)}[BUILTIN[category].symmetry.z_order]
    points, face = surface_points(mesh, 0.008)
    surface = [cKDTree(points[mesh.face_part[face] == number]) for number in range(len(mesh.part_names))]
    if order == 0:  # a polygon of many sides: the turned corners lie off the sides by their arrow height only
        assert max(shift_by_turn(mesh, surface, turn) for turn in (2, 3, 7.3, 31)) < 0.012
        return
    vertices = [cKDTree(part_points(mesh, name)) for name in mesh.part_names]
    assert shift_by_turn(mesh, vertices, order) < 1e-6
    assert min(shift_by_turn(mesh, surface, order * more) for more in (2, 3, 5)) > 0.018  # no more than it claims


def surface_points(mesh: Shape, spacing: float) -> tuple[np.ndarray, np.ndarray]:
    """Random points on the surface, about `spacing` apart, and the face of each."""
    rng = np.random.default_rng(7)
    area = np.linalg.norm(face_normals(mesh), axis=1) / 2
    face = np.repeat(np.arange(len(area)), 1 + rng.poisson(4 * area / spacing**2))
    share = rng.dirichlet((1, 1, 1), len(face))
    return np.einsum("nk,nkd->nd", share, mesh.vertices[mesh.faces[face]]), face


@pytest.mark.slow
@pytest.mark.parametrize(("category", "variant"), EVERY)
def test_no_piece_floats(category: str, variant: int) -> None:
    mesh = made(category, variant)
    points, face = surface_points(mesh, 0.004)
    near = cKDTree(points).query_pairs(0.005, output_type="ndarray")
    edges = np.concatenate([directed_edges(mesh.faces), mesh.faces[face[near], 0]])
    graph = coo_matrix((np.ones(len(edges)), edges.T), shape=(len(mesh.vertices),) * 2)
    assert connected_components(graph, directed=False)[0] == 1


@pytest.mark.parametrize("category", CATEGORIES)
def test_a_variant_is_reproducible_and_variants_differ(category: str) -> None:
    first = [made(category, variant) for variant in (*range(BODY_TYPES), BODY_TYPES)]
    again = [build(category, variant) for variant in range(BODY_TYPES)]
    for a, b in zip(first, again, strict=False):
        np.testing.assert_array_equal(a.vertices, b.vertices)
        np.testing.assert_array_equal(a.faces, b.faces)
        np.testing.assert_array_equal(a.face_part, b.face_part)
    for i, a in enumerate(first):
        for b in first[:i]:
            distance, _ = cKDTree(a.vertices).query(b.vertices)
            assert distance.max() > 0.01


@pytest.mark.parametrize("variant", [*range(BODY_TYPES), 9, 22])
def test_four_wheels_of_a_car_touch_the_ground(variant: int) -> None:
    mesh = made("car", variant)
    ground = mesh.vertices[:, 2].min()
    rubber = part_points(mesh, "rubber")
    touching = rubber[rubber[:, 2] < ground + 1e-3]
    corners = {(x > 0, y > 0) for x, y in touching[:, :2]}
    assert len(corners) == 4
    others = np.concatenate([part_points(mesh, name) for name in mesh.part_names if name != "rubber"])
    assert others[:, 2].min() > ground + 0.01


@pytest.mark.parametrize("variant", [*range(BODY_TYPES), 9, 22])
def test_front_of_a_car_is_at_minus_y(variant: int) -> None:
    mesh = made("car", variant)
    x, y, z = mesh.vertices.T
    height = (z - z.min()) / np.ptp(z)
    bonnet = y < y.min() + 0.12 * np.ptp(y)
    assert height[bonnet].max() < 0.78
    mirrors = np.abs(x) > 0.97 * x.max()
    assert y[mirrors].max() < -0.04
    normals = face_normals(mesh)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    centres = mesh.vertices[mesh.faces].mean(axis=1)
    upright_glass = (mesh.face_part == mesh.part_names.index("glass")) & (np.abs(centres[:, 0]) < 0.08)
    windscreen = centres[upright_glass & (normals[:, 1] < -0.25)]
    rear_window = centres[upright_glass & (normals[:, 1] > 0.2)]
    assert windscreen[:, 1].max() < rear_window[:, 1].min()
    assert windscreen[:, 1].min() - y.min() > 0.12
    assert part_points(mesh, "light")[:, 1].max() < -0.3
    assert part_points(mesh, "taillight")[:, 1].min() > 0.3


@pytest.mark.parametrize("variant", [*range(BODY_TYPES), 9, 22])
def test_nose_of_an_aeroplane_is_at_minus_y(variant: int) -> None:
    mesh = made("aeroplane", variant)
    x, y, z = mesh.vertices.T
    front, rear = y < y.min() + 0.12 * np.ptp(y), y > y.max() - 0.15 * np.ptp(y)
    fin_top, nose_top = z[rear].max(), z[front & (np.abs(x) < 1e-3)].min()
    assert fin_top > nose_top + 0.05
    assert part_points(mesh, "glass")[:, 1].min() < -0.03
    tips = np.abs(x) > 0.97 * x.max()
    tail_plane = rear & (np.abs(x) > 0.1)
    assert tail_plane.any()
    assert np.abs(x[tail_plane]).max() < np.abs(x[tips]).min()


@pytest.mark.parametrize("variant", [*range(BODY_TYPES), 9, 22])
def test_back_rest_of_a_chair_is_at_plus_y(variant: int) -> None:
    mesh = made("chair", variant)
    _, y, z = mesh.vertices.T
    height = (z - z.min()) / np.ptp(z)
    assert y[height > 0.85].min() > 0
    assert height[y < y.min() + 0.25 * np.ptp(y)].max() < 0.85
    assert (height < 0.01).any()


def test_unknown_category_and_negative_variant_are_named() -> None:
    with pytest.raises(ValueError, match=r"'rocket'.*aeroplane, bicycle"):
        build("rocket", 0)
    with pytest.raises(ValueError, match="'car' is -1"):
        build("car", -1)


def test_volume_of_primitives() -> None:
    square = [[(x, y, z) for x, y in ((1, 1), (-1, 1), (-1, -1), (1, -1))] for z in (0, 3)]
    prism = loft(square, "wood")
    assert signed_volume(prism.vertices, prism.faces) == pytest.approx(12)
    box = rounded_box((5, 6, 7), (2, 3, 4), 1e-6, "wood")
    assert signed_volume(box.vertices, box.faces) == pytest.approx(24, rel=1e-4)
    ball = lathe([(np.sin(a), -np.cos(a)) for a in np.linspace(0, np.pi, 60)[1:-1]], "wood", "y", 120)
    assert signed_volume(ball.vertices, ball.faces) == pytest.approx(4 / 3 * np.pi, rel=1e-2)
    angle = 2 * np.pi * np.arange(100) / 100
    ring = tube(np.stack([2 * np.cos(angle), 2 * np.sin(angle), 0 * angle], 1), 0.5, "metal", 64, closed=True)
    assert signed_volume(ring.vertices, ring.faces) == pytest.approx(2 * np.pi * 2 * np.pi * 0.25, rel=1e-2)


def test_weld_leaves_no_unused_or_doubled_vertex() -> None:
    box = rounded_box((0, 0, 0), (1, 1, 1), 0.1, "wood")
    assert len(weld(box).vertices) == len(box.vertices)
    assert set(np.unique(box.faces)) == set(range(len(box.vertices)))
    assert len(np.unique(np.round(box.vertices, 6), axis=0)) == len(box.vertices)


def test_curve_meets_its_knots_and_does_not_overshoot() -> None:
    knots = ((0.0, 1.0), (1.0, 2.0), (1.5, 2.0), (4.0, 0.0))
    x, y = np.array(knots).T
    np.testing.assert_allclose(curve(x, knots), y)
    values = curve(np.linspace(-1, 5, 601), knots)
    assert values.min() >= 0
    assert values.max() <= 2
    assert curve(9.0, knots) == 0


def test_superellipse_is_symmetric_in_both_axes() -> None:
    ring = superellipse(48, 0.4)
    for mirror in ([-1, 1], [1, -1]):
        distance, _ = cKDTree(ring).query(ring * mirror)
        assert distance.max() < 1e-12
