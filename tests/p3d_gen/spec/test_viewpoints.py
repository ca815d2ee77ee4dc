"""Viewpoints: distributions, even coverage, and files of viewpoints with all that can be wrong with them."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from scipy import stats

from p3d_gen.core.categories import definition_of
from p3d_gen.core.errors import AssetError, ManifestError, RunError
from p3d_gen.core.geometry import cam_T_obj, camera_centre, rotation_error_rad
from p3d_gen.core.types import Viewpoint
from p3d_gen.run.store import create_run, open_run
from p3d_gen.spec.manifest import load_manifest, parse_manifest, resolve_file
from p3d_gen.spec.taken import take_inventory
from p3d_gen.spec.viewpoint_files import read_viewpoints
from p3d_gen.spec.viewpoints import draw_viewpoint

N = 6000
LISTED = tuple(
    Viewpoint(azimuth_rad=a, elevation_rad=e, theta_rad=t, distance=1.0)
    for a, e, t in ((0.2, 0.1, -0.4), (2.0, -0.7, 0.0), (3.5, 1.2, 3.0), (5.9, 0.4, 0.1), (4.0, 0.0, -2.0))
)
EMPIRICAL = {"distribution": "empirical", "source": "listed.csv"}
COVERAGES = ("random", "stratified")


def manifest(seed=0, samples=10, **viewpoint):
    data = {"seed": seed, "categories": ["car", "chair"], "samples_per_category": samples, "viewpoint": viewpoint}
    return parse_manifest(data, "m.toml")


def draw(n=N, category="car", first=0, listed=LISTED, **changes):
    made = manifest(**changes)
    return [draw_viewpoint(made, listed, definition_of(category, {}), index) for index in range(first, first + n)]


def angles(views):
    return np.array([(v.azimuth_rad, v.elevation_rad, v.theta_rad) for v in views])


def rotation(view):
    return cam_T_obj(view)[:3, :3]


@pytest.mark.parametrize("coverage", COVERAGES)
def test_so3_is_haar(coverage):
    views = draw(distribution="so3", coverage=coverage)
    R = np.array([rotation(v) for v in views])
    angle = np.arccos(np.clip((np.trace(R, axis1=1, axis2=2) - 1) / 2, -1, 1))
    edges = np.linspace(0, np.pi, 13)
    expected = N * np.diff((edges - np.sin(edges)) / np.pi)
    assert stats.chisquare(np.histogram(angle, edges)[0], expected).pvalue > 0.01
    share = 0.0075117
    assert np.mean(angle < np.radians(30)) == pytest.approx(share, abs=4 * np.sqrt(share / N))
    axis = np.stack([R[:, 2, 1] - R[:, 1, 2], R[:, 0, 2] - R[:, 2, 0], R[:, 1, 0] - R[:, 0, 1]], axis=1)
    axis /= np.linalg.norm(axis, axis=1, keepdims=True)
    cells = np.histogram2d(np.arctan2(axis[:, 1], axis[:, 0]), axis[:, 2], (8, 6), ((-np.pi, np.pi), (-1, 1)))[0]
    assert stats.chisquare(cells.ravel()).pvalue > 0.01
    assert -np.pi < angles(views)[:, 2].min()
    assert angles(views)[:, 2].max() <= np.pi


@pytest.mark.parametrize("coverage", COVERAGES)
def test_pascal3d_cars(coverage):
    azimuth, elevation, theta = angles(draw(coverage=coverage)).T
    elevation, theta = np.degrees(elevation), np.degrees(theta)
    assert elevation.min() >= -15
    assert elevation.max() <= 50
    assert elevation.mean() == pytest.approx(5.141, abs=4 * 7.82 / np.sqrt(N))
    assert elevation.std() == pytest.approx(7.820, abs=0.3)
    assert np.mean(elevation < 0) == pytest.approx(0.2614, abs=0.023)
    assert stats.chisquare(np.histogram(azimuth, 36, (0, 2 * np.pi))[0]).pvalue > 0.01
    assert theta.mean() == pytest.approx(0, abs=4 * 5 / np.sqrt(N))
    assert np.abs(theta).max() <= 15


def test_random_pascal3d_draws_are_pinned():
    """Runs made before there was a choice of coverage keep their viewpoints."""
    view = draw(1)[0]
    assert (view.azimuth_rad, view.elevation_rad, view.theta_rad) == (
        1.617321755651814,
        0.10989145681681364,
        0.04597287302022072,
    )


def unevenness(views, bins):
    """How far the cells that share the rotations equally are from their equal share of samples, root mean square."""
    azimuth, elevation, theta = angles(views).T
    u = np.stack([azimuth / (2 * np.pi), (np.sin(elevation) + 1) / 2, (np.pi - theta) / (2 * np.pi)], axis=1)
    counts = np.histogramdd(u[:, : len(bins)], bins, [(0, 1)] * len(bins))[0]
    return counts.std()


@pytest.mark.parametrize("bins", [(12,), (24, 12), (6, 4, 6)])
@pytest.mark.parametrize(("first", "n"), [(0, 500), (0, 2000), (777, 500), (1234, 2000), (5_000_000, 2000)])
def test_stratified_is_more_even_over_any_run_of_indices(bins, first, n):
    even, random = (draw(n, first=first, distribution="so3", coverage=c) for c in ("stratified", "random"))
    assert unevenness(even, bins) <= 0.7 * unevenness(random, bins)


def test_stratified_cameras_fill_the_sphere():
    """10 a cell: no cell of camera directions is empty or twice as full; random draws do both."""
    azimuth, elevation, _ = angles(draw(2880, distribution="so3", coverage="stratified")).T
    counts = np.histogram2d(azimuth, np.sin(elevation), (24, 12), ((0, 2 * np.pi), (-1, 1)))[0]
    assert counts.min() >= 7
    assert counts.max() <= 13


def test_stratified_has_the_same_marginals():
    for number in range(3):
        even, random = (angles(draw(2000, coverage=c))[:, number] for c in ("stratified", "random"))
        assert stats.ks_2samp(even, random).pvalue > 0.01


@pytest.mark.parametrize("changes", [{}, {"distribution": "so3"}, EMPIRICAL])
@pytest.mark.parametrize("coverage", COVERAGES)
def test_a_viewpoint_depends_on_seed_category_and_index_alone(changes, coverage):
    base = draw(20, coverage=coverage, **changes)
    assert draw(20, coverage=coverage, samples=99, **changes) == base
    assert draw(5, first=7, coverage=coverage, **changes) == base[7:12]
    for other in (draw(20, coverage=coverage, seed=1, **changes), draw(20, "chair", coverage=coverage, **changes)):
        assert not any(np.allclose(a, b) for a, b in zip(angles(other), angles(base), strict=True))


def test_distance_has_its_own_stream():
    assert len({tuple(v.distance for v in draw(9, **c)) for c in ({}, {"distribution": "so3"}, EMPIRICAL)}) == 1


@pytest.mark.parametrize("coverage", COVERAGES)
def test_empirical_without_jitter_gives_the_listed_rotations(coverage):
    views = draw(200, coverage=coverage, jitter_deg=0, **EMPIRICAL)
    assert {replace(view, distance=1.0) for view in views} == set(LISTED)
    assert {view.distance for view in views} == {5.0}


def test_empirical_jitter_is_a_normal_angle_about_any_axis():
    views = draw(2000, jitter_deg=4, **EMPIRICAL)
    errors = np.degrees([min(rotation_error_rad(rotation(v), rotation(k)) for k in LISTED) for v in views])
    assert stats.kstest(errors, "halfnorm", (0, 4)).pvalue > 0.01
    one = draw(2000, jitter_deg=4, listed=LISTED[:1], **EMPIRICAL)
    turns = np.array([rotation(v) @ rotation(LISTED[0]).T for v in one])
    axis = np.stack([turns[:, 2, 1], turns[:, 0, 2], turns[:, 1, 0]], axis=1)
    axis -= np.stack([turns[:, 1, 2], turns[:, 2, 0], turns[:, 0, 1]], axis=1)
    axis /= np.linalg.norm(axis, axis=1, keepdims=True)
    for component in axis.T:
        assert stats.kstest(component, "uniform", (-1, 2)).pvalue > 0.01


def listed_number(view):
    return int(np.argmin([rotation_error_rad(rotation(view), rotation(k)) for k in LISTED]))


def test_empirical_uses_the_list_evenly():
    random = [listed_number(v) for v in draw(2000, **EMPIRICAL)]
    assert stats.chisquare(np.bincount(random)).pvalue > 0.01
    cyclic = [listed_number(v) for v in draw(103, coverage="stratified", **EMPIRICAL)]
    assert np.ptp(np.bincount(cyclic)) <= 1
    cycles = {tuple(cyclic[i : i + 5]) for i in range(0, 100, 5)}
    assert {tuple(sorted(cycle)) for cycle in cycles} == {(0, 1, 2, 3, 4)}
    assert len(cycles) > 10


def written(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


ROWS = [{"azimuth_deg": 324.7, "elevation_deg": 2.7, "theta_deg": -1.8}, {"azimuth_deg": -30, "elevation_deg": -90}]
EXPECTED = np.radians([[324.7, 2.7, -1.8], [330, -90, 0]])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("v.json", ROWS),
        ("v.json", {"a.jpg": ROWS[0] | {"image_hw": [1, 2]}, "b.jpg": ROWS[1]}),
        ("v.csv", "azimuth_deg,elevation_deg,theta_deg\n324.7,2.7,-1.8\n-30,-90,\n"),
        (
            "V.CSV",
            "\ufefffile,theta_deg, elevation_deg, azimuth_deg,distance\na,-1.8,2.7,324.7,9\n\nb, 360,-90,690,9\n",
        ),
    ],
)
def test_every_form_of_file(tmp_path, name, content):
    views = read_viewpoints(written(tmp_path / name, content), ["car", "chair"])
    np.testing.assert_allclose(angles(views["car"]), EXPECTED, rtol=0, atol=1e-14)
    assert views["car"] == views["chair"]
    assert {view.distance for view in views["car"]} == {1.0}


def test_categories_of_rows(tmp_path):
    text = "category,azimuth_deg,elevation_deg\ncar,10,0\nchair,20,0\n,30,0\nbus,40,0\n"
    views = read_viewpoints(written(tmp_path / "v.csv", text), ["car", "chair"])
    assert {c: np.degrees(angles(v))[:, 0].round().tolist() for c, v in views.items()} == {
        "car": [10, 30],
        "chair": [20, 30],
    }


HEADER = "azimuth_deg,elevation_deg\n"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("v.csv", HEADER + "1,2\n3,95\n", r"v\.csv, line 3: elevation_deg = 95\.0 lies outside \[-90, 90\]"),
        ("v.csv", HEADER + "1,nan\n", r"line 2: elevation_deg = 'nan' is not a finite number; correct it or remove"),
        ("v.csv", HEADER + "inf,2\n", "azimuth_deg = 'inf' is not a finite number"),
        ("v.csv", HEADER + "1\n", "line 2: elevation_deg = None is not a finite number"),
        ("v.csv", "azimuth_deg,elevation,theta_deg\n1,2,3\n", r"has no column 'elevation_deg'; name the columns"),
        ("v.csv", "", "has no column 'azimuth_deg'"),
        ("v.csv", HEADER, "holds no viewpoint: add rows"),
        ("v.csv", "category," + HEADER + "cars,1,2\n", r"no viewpoint of the category 'car'; did you mean 'cars'\?"),
        ("v.csv", b"\xff\xfe\x00", r"cannot be read as \.csv"),
        ("v.json", [], "holds no viewpoint"),
        ("v.json", "{", "is not JSON"),
        ("v.json", "3", "not a list or a mapping"),
        ("v.json", [[1, 2]], r"entry 0: \[1, 2\] is not an object"),
        ("v.json", {"a": {"azimuth_deg": 1, "elevation_dag": 2}}, r"key 'a': .*did you mean 'elevation_dag'\?"),
        ("v.json", [{"azimuth_deg": True, "elevation_deg": 2}], "azimuth_deg = True is not a finite number"),
        ("v.json", '[{"azimuth_deg": 1, "elevation_deg": NaN}]', "elevation_deg = nan is not a finite number"),
        ("v.txt", "", r"read from \.csv and \.json files, not from '\.txt'"),
    ],
)
def test_errors_name_file_row_value_and_remedy(tmp_path, name, content, said):
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        written(path, content)
    with pytest.raises(AssetError, match=said) as caught:
        read_viewpoints(path, ["car"])
    assert name in str(caught.value)


def test_where_the_file_is(tmp_path, monkeypatch):
    written(tmp_path / "v.csv", HEADER)
    monkeypatch.setenv("P3D_TEST_ROOT", str(tmp_path))
    assert resolve_file("v.csv", tmp_path, "k") == tmp_path / "v.csv"
    assert resolve_file("${P3D_TEST_ROOT}/v.csv", tmp_path / "x", "k") == tmp_path / "v.csv"
    with pytest.raises(ManifestError, match=r"k = 'gone\.csv': there is no file .*gone\.csv"):
        resolve_file("gone.csv", tmp_path, "k")
    with pytest.raises(ManifestError, match="P3D_UNSET, which is not set"):
        resolve_file("${P3D_UNSET}/x", tmp_path, "k")


@pytest.mark.parametrize("viewpoint", [{"distribution": "empirical"}, {"source": "v.csv"}])
def test_empirical_and_source_go_together(viewpoint):
    with pytest.raises(ManifestError, match="'empirical' needs a source"):
        manifest(**viewpoint)


def test_the_list_is_part_of_what_a_run_was_made_from(tmp_path, manifest_path):
    written(tmp_path / "v.csv", HEADER + "10,20\n40,50\n")
    section = '[viewpoint]\ndistribution = "empirical"\nsource = "v.csv"\n'
    manifest_path.write_text(manifest_path.read_text() + section)
    run = create_run(tmp_path / "run", manifest_path)
    assert [asdict(v)["azimuth_rad"] for v in run.inventory.viewpoints["chair"]] == list(np.radians([10, 40]))
    written(tmp_path / "v.csv", "azimuth_deg,elevation_deg,note\n10,20,x\n40,50,y\n")
    assert open_run(run.root).inventory == run.inventory
    written(tmp_path / "v.csv", HEADER + "10,20\n40,51\n")
    with pytest.raises(RunError, match=r"sources of .*viewpoint: .*car 2"):
        open_run(run.root)
    (tmp_path / "v.csv").unlink()
    with pytest.raises(ManifestError, match=r"viewpoint\.source = 'v\.csv': there is no file"):
        take_inventory(load_manifest(manifest_path), tmp_path)


def test_a_camera_stands_where_its_row_says(tmp_path):
    path = written(tmp_path / "v.csv", HEADER + "90,30\n")
    centre = camera_centre(read_viewpoints(path, ["car"])["car"][0])
    np.testing.assert_allclose(centre, [np.sqrt(3) / 2, 0, 0.5], atol=1e-12)
