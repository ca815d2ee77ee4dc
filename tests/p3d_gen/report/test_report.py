"""The report says what the labels say, on a page that needs nothing else."""

import re

import numpy as np
import pytest
from click.testing import CliRunner

from p3d_gen.cli import main
from p3d_gen.core.categories import BUILTIN
from p3d_gen.core.codecs import encode_jpeg, encode_png
from p3d_gen.core.errors import DataError, RunError
from p3d_gen.report import write_report
from p3d_gen.report.collect import STYLIZED_LABELS
from p3d_gen.report.coverage import evenness
from p3d_gen.report.svg import direction_map, edges_of, every, histogram, use_bars
from p3d_gen.run.files import compact_json
from p3d_gen.run.ledgers import Failure, seal, stage_inputs
from p3d_gen.run.shards import read_labels
from p3d_gen.run.store import create_run, open_run
from p3d_gen.spec.manifest import parse_manifest
from p3d_gen.spec.sampling import spec
from p3d_gen.spec.viewpoints import draw_viewpoint
from tests.helpers.assets import save_picture
from tests.helpers.pages import Page

SAMPLES = 40
HOSTILE = "<img src=x onerror=alert(1)>&amp;\"'"


def labels_of(run, category, index):
    sample = spec(run.manifest, run.inventory, category, index)
    view = sample.viewpoint
    half = 10.0 + index
    return {
        "key": sample.key,
        "category": category,
        "index": index,
        "cad_id": sample.cad_id,
        "azimuth_rad": view.azimuth_rad,
        "elevation_rad": view.elevation_rad,
        "theta_rad": view.theta_rad,
        "distance": view.distance,
        "bbox_xyxy": [48 - half / 2, 30.0, 48 + half / 2, 35.0],
        "visible_share": 1.0 - index / 100,
        "mask_iou": 1.0 - index / 10000,
        "texture_id": sample.texture_id,
        "hdri_id": "",
        "background_id": sample.background_id,
        "colour": sample.colour,
        **{name: (index + shift) / 50 for shift, name in enumerate(STYLIZED_LABELS)},
    }


MASK = np.zeros((4, 6), np.uint8)
MASK[1:3, 2:5] = 255
SCENE = np.where(MASK[..., None] > 0, (200, 40, 40), (90, 90, 90)).astype(np.uint8)
PICTURES = {
    "render": {"render.png": encode_png(np.dstack([SCENE, MASK])), "mask.png": encode_png(MASK)},
    "stylize": {"stylized.png": encode_png(SCENE)},
    "shards": {"jpg": encode_jpeg(SCENE, 95)},
}


def members_of(stage, labels):
    """A sample as the stage would have made it, but for most of its labels."""
    scores = {name: labels[name] for name in STYLIZED_LABELS}
    if stage == "stylize":
        return PICTURES[stage] | {"stylize.json": compact_json(scores | {"colour": labels["colour"]})}
    shown = labels if stage == "shards" else {name: value for name, value in labels.items() if name not in scores}
    return PICTURES[stage] | {"json": compact_json(shown)}


def seal_stage(run, stage, shards, missing=(), failures=()):
    """Seal shards of tiny pictures; returns category -> the labels that they hold."""
    kept = {}
    for shard in shards:
        category, indices = run.members_of(shard)
        samples = [labels_of(run, category, index) for index in indices]
        samples = [labels for labels in samples if labels["key"] not in missing]
        kept.setdefault(category, []).extend(samples)
        members = [(labels["key"], members_of(stage, labels)) for labels in samples]
        gone = [failure for failure in failures if failure.key.startswith(category)]
        seal(run, stage, shard, stage_inputs(run, stage), members, gone if shard.endswith("00000") else [])
    return kept


@pytest.fixture
def run(tmp_path, assets, manifest_path):
    save_picture(assets / "textures" / "banded" / f"{HOSTILE}.jpg", 5)
    text = manifest_path.read_text().replace("samples_per_category = 3", f"samples_per_category = {SAMPLES}")
    manifest_path.write_text(text.replace("shard_size = 2", "shard_size = 25"))
    return create_run(tmp_path / "run", manifest_path)


def page_of(run):
    path = write_report(run, count=0)  # the gallery has tests of its own
    assert path == run.root / "report.html"
    return Page(path.read_text())


@pytest.fixture
def whole(run):
    """A run all of whose stages are done but for two failed samples, its labels, and its report."""
    failures = [Failure(key=f"car-00000{i}", reason=f"because {HOSTILE}") for i in (1, 2)]
    missing = {failure.key for failure in failures}
    seal_stage(run, "render", run.all_shards(), missing, failures)
    seal_stage(run, "stylize", run.all_shards(), missing)
    labels = seal_stage(run, "shards", run.all_shards(), missing)
    return run, labels, page_of(run)


def test_counts_and_failures(whole):
    _, _, page = whole
    assert page.tables["Samples of finished shards"][1:] == [
        ["car", "40", "38", "38", "38", "2", "0", "0"],
        ["chair", "40", "40", "40", "40", "0", "0", "0"],
        ["all", "80", "78", "78", "78", "2", "0", "0"],
    ]
    assert page.tables["Reasons of failures"][1:] == [[f"because {HOSTILE}", "render", "2", "car-000001"]]
    assert "78 packed samples: car, chair." in page.text


def column(labels, name):
    return np.array([each[name] for each in labels])


def test_numbers_are_those_of_the_labels(whole):
    _, labels, page = whole
    angles = {row[0]: row[1:] for row in page.tables["Mean ± standard deviation, degrees"]}
    ranges = {row[0]: row[1:] for row in page.tables["Least / median / most"]}
    masks = {row[0]: row[1:] for row in page.tables["Mask IoU"]}
    for category, samples in labels.items():
        elevation = np.degrees(column(samples, "elevation_rad"))
        mean, std = (float(number) for number in angles[category][0].split(" ± "))
        assert (mean, std) == (pytest.approx(elevation.mean(), abs=0.051), pytest.approx(elevation.std(), abs=0.051))
        distance = column(samples, "distance")
        shown = [float(number) for number in ranges[category][0].split(" / ")]
        assert shown == pytest.approx([distance.min(), np.median(distance), distance.max()], rel=1e-3)
        assert ranges[category][1] == ("10 / 30.5 / 49" if category == "car" else "10 / 29.5 / 49")
        assert ranges[category][2].startswith("0.61 / ")
        assert masks[category][0] == "0.9961"
        assert masks[category][2] == f"{np.median(column(samples, 'mask_iou')):.4f}"


def test_every_camera_is_a_dot_where_it_stands(whole):
    _, labels, page = whole
    for category, samples in labels.items():
        dots = page.charts[f"{category}: camera directions"]["dots"][0]
        x, y = np.array(re.findall(r"M([\d.]+) ([\d.]+)h0", dots), dtype=float).T
        left, right, top, bottom = 36, 346, 8, 166
        azimuth = column(samples, "azimuth_rad")
        np.testing.assert_allclose((x - left) / (right - left), (azimuth / (2 * np.pi) + 0.5) % 1, atol=3e-4)
        np.testing.assert_allclose(
            1 - 2 * (y - top) / (bottom - top), np.sin(column(samples, "elevation_rad")), atol=1e-3
        )


def test_uses_of_assets(whole):
    run, labels, page = whole
    rows = {row[0]: row[1:] for row in page.tables["Uses of one asset"]}
    assert set(rows) == {"kind", "CAD models: car", "CAD models: chair", "textures", "backgrounds", "colours"}
    used = [each["texture_id"] for samples in labels.values() for each in samples]
    counts = sorted(used.count(texture.id) for texture in run.inventory.textures)
    assert rows["textures"][:3] == ["3", "0", f"{counts[0]} / {counts[1]} / {counts[2]}"]
    assert used.count(rows["textures"][3]) == counts[-1]
    assert used.count(rows["textures"][4]) == counts[0]
    assert rows["CAD models: car"][0] == "2"


def test_the_manifest_is_there(whole):
    _, _, page = whole
    changed = dict(page.tables["Keys with other values than the defaults"][1:])
    assert changed["camera.distance"] == "[5.0, 6.0]"
    assert changed["samples_per_category"] == "40"
    assert "render.denoise" not in changed
    assert dict(page.tables["All keys"][1:])["render.denoise"] == "true"


def test_the_page_needs_nothing_else_and_nothing_in_it_is_code(whole):
    run, _, page = whole
    text = (run.root / "report.html").read_text()
    assert "://" not in text
    assert "@import" not in text
    assert "url(" not in text
    assert not {"img", "script", "link", "iframe", "object"} & set(page.tags)
    assert not {name for name, _ in page.attributes} & {"src", "onerror", "onload"}
    assert all(value.startswith("#") for name, value in page.attributes if name == "href")
    assert f"because {HOSTILE}" in page.text
    assert HOSTILE not in text


def test_hostile_asset_names_are_text(whole):
    _, _, page = whole
    assert any(HOSTILE in cell for row in page.tables["Uses of one asset"] for cell in row)


def test_the_page_is_the_same_every_time(whole):
    run, _, _ = whole
    first = (run.root / "report.html").read_bytes()
    assert write_report(open_run(run.root), count=0).read_bytes() == first


def test_a_run_that_is_only_rendered_in_part(run):
    seal_stage(run, "render", ["car-00000"])
    page = page_of(run)
    assert "25 rendered samples: car." in page.text
    assert "The run is not finished: 0 of 4 shards are packed." in page.text
    assert page.tables["Samples of finished shards"][-1] == ["all", "80", "25", "0", "0", "0", "0", "0"]
    assert "Reasons of failures" not in page.tables
    assert "chair: camera directions" not in page.charts


def test_an_empty_run(run):
    with pytest.raises(RunError, match="no finished sample to report on: run `p3dgen render` first"):
        write_report(run)
    seal(run, "render", "car-00000", "", [], [Failure(key="car-000000", reason="why")])
    result = CliRunner().invoke(main, ["report", str(run.root)])
    assert result.exit_code == 1
    assert "no finished sample" in result.output
    assert not (run.root / "report.html").exists()


def test_the_command(run):
    seal_stage(run, "render", ["car-00000"])
    result = CliRunner().invoke(main, ["report", str(run.root), "--samples", "0"])
    assert result.exit_code == 0, result.output
    assert result.output.strip() == str(run.root / "report.html")


def test_damaged_labels(run):
    seal(run, "render", "car-00000", "", [("car-000000", {"json": b"{"})], [])
    with pytest.raises(DataError, match=r"car-00000\.tar holds no labels of car-000000"):
        list(read_labels(run.tar("render", "car-00000")))


def bar_heights(svg):
    return [float(height) for height in re.findall(r"v-([\d.]+)h", svg)]


def test_bars_are_as_high_as_their_counts():
    values = np.repeat([1.0, 3.0, 4.0, 9.5], [1, 4, 2, 8])
    heights = bar_heights(histogram("h", values, np.arange(0, 11.0)))
    assert heights == pytest.approx([84 / 8, 84 / 2, 84 / 4, 84], abs=0.06)
    assert bar_heights(use_bars("u", [2, 0, 4])) == [84, 42]


@pytest.mark.parametrize(
    ("values", "unit", "edges"),
    [
        ([0.1, 359.9], "°", np.arange(25) * 15),
        ([-14.0, 14.9], "°", np.arange(-6, 7) * 2.5),
        ([0.0, 180.0], "°", np.arange(25) * 7.5),
        ([5.0, 5.0], "", [3.75, 4.25, 4.75, 5.25, 5.75, 6.25]),
        ([0.0, 1.0], "", np.arange(21) * 0.05),
    ],
)
def test_edges_hold_all_values_between_round_numbers(values, unit, edges):
    np.testing.assert_allclose(edges_of(np.array(values), unit), edges)
    assert np.histogram(values, edges_of(np.array(values), unit))[0].sum() == len(values)


def test_large_maps_show_a_part():
    angles = np.linspace(-1, 1, 14_000)
    assert every(14_000) == 3
    assert str(direction_map("m", angles, angles)).count("h0") == 4667


def manifest(**viewpoint):
    data = {"categories": ["car"], "samples_per_category": 1, "viewpoint": viewpoint}
    return parse_manifest(data, "m.toml")


def test_evenness_of_known_directions():
    azimuth, sine = np.meshgrid((np.arange(20) + 0.5) * np.pi / 10, (np.arange(10) + 0.5) / 5 - 1)
    azimuth, elevation = np.tile(azimuth.ravel(), 10), np.tile(np.arcsin(sine.ravel()), 10)
    even = evenness(manifest(distribution="so3"), BUILTIN["car"], azimuth, elevation)
    assert (even.cells, even.hit, even.fullest, even.emptiest) == (200, 200, pytest.approx(1), pytest.approx(1))
    half = elevation > 0
    upper = evenness(
        manifest(distribution="so3"), BUILTIN["car"], np.tile(azimuth[half], 2), np.tile(elevation[half], 2)
    )
    assert (upper.cells, upper.hit, upper.fullest, upper.emptiest) == (200, 100, pytest.approx(2), 0)
    cars = evenness(manifest(), BUILTIN["car"], azimuth, elevation)
    assert cars.emptiest < 1
    listed = evenness(manifest(distribution="empirical", source="v.csv"), BUILTIN["car"], azimuth, elevation)
    assert listed.hit == 200
    assert np.isnan(listed.fullest)


def test_the_expectation_of_cars_fits_their_draws(run):
    views = [draw_viewpoint(run.manifest, (), BUILTIN["car"], index) for index in range(6000)]
    azimuth, elevation = np.array([(view.azimuth_rad, view.elevation_rad) for view in views]).T
    even = evenness(run.manifest, BUILTIN["car"], azimuth, elevation)
    assert even.hit < even.cells / 2
    assert 0.3 < even.emptiest < 1 < even.fullest < 2.5
