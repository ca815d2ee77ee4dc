"""Sampling: distributions, independence, and that a sample depends on nothing but its own numbers."""

import colorsys
from dataclasses import asdict

import numpy as np
import pytest
from scipy import stats

from blender_assets.shapes import PARTS
from p3d_gen.core.categories import BUILTIN
from p3d_gen.core.geometry import camera_centre
from p3d_gen.spec.manifest import parse_manifest
from p3d_gen.spec.materials import colour_rgb, is_colour, realistic
from p3d_gen.spec.sampling import sample_key, spec
from tests.helpers.assets import INVENTORY

N = 3000


def manifest(**changes):
    return parse_manifest({"categories": ["car", "chair"], "samples_per_category": 10, **changes}, "m.toml")


def draw(n=N, category="car", **changes):
    made = manifest(**changes)
    return [spec(made, INVENTORY, category, i) for i in range(n)]


@pytest.fixture(scope="module")
def cars():
    return draw()


def test_same_numbers_every_time_and_in_any_order(cars):
    backwards = {i: spec(manifest(), INVENTORY, "car", i) for i in reversed(range(20))}
    assert [asdict(backwards[i]) for i in range(20)] == [asdict(c) for c in cars[:20]]


def test_seed_zero_is_a_seed():
    assert draw(3, seed=0) == draw(3)
    assert draw(3, seed=1) != draw(3)


def test_one_property_does_not_disturb_another():
    """Another camera distance or light leaves CAD, rotation, texture, background and colour as they were."""
    for a, b in zip(draw(30), draw(30, camera={"distance": [7, 9]}, light={"kind": "hdri"}), strict=True):
        assert a.viewpoint.distance != b.viewpoint.distance
        assert (a.cad_id, a.texture_id, a.background_id, a.colour) == (
            b.cad_id,
            b.texture_id,
            b.background_id,
            b.colour,
        )
        assert a.viewpoint.azimuth_rad == b.viewpoint.azimuth_rad


def test_background_and_colour_tell_nothing_about_category_or_pose(cars):
    chairs = draw(category="chair")
    for name in ("background_id", "colour", "texture_id"):
        values = sorted({getattr(c, name) for c in cars})
        counts = [[sum(getattr(c, name) == v for c in group) for v in values] for group in (cars, chairs)]
        assert stats.chi2_contingency(counts).pvalue > 0.01
        quadrant = np.array([int(c.viewpoint.azimuth_rad // (np.pi / 2)) for c in cars])
        which = np.array([values.index(getattr(c, name)) for c in cars])
        table = np.histogram2d(quadrant, which, bins=(4, len(values)))[0]
        assert stats.chi2_contingency(table).pvalue > 0.01


def test_keys_are_unique_and_hold_no_dot(cars):
    assert len({sample_key("car", index) for index in range(7000)}) == 7000
    assert len({c.key for c in cars}) == N
    assert sample_key("car", 7) == "car-000007"
    assert not any("." in c.key for c in cars)


def test_light_is_lamps_or_an_environment(cars):
    lamps = cars[0].lamps
    assert cars[0].environment is None
    assert len(lamps) == 3
    away = np.array([lamp.position for lamp in lamps]) - camera_centre(cars[0].viewpoint)
    assert (np.abs(away) <= 3).all()
    lit = draw(5, light={"kind": "hdri"})
    assert all(c.lamps == () and c.environment is not None for c in lit)


def test_sun():
    suns = [c.sun for c in draw(400, light={"kind": "sun", "sun_elevation_deg": [20, 40], "strength": [0.5, 2]})]
    elevation = np.degrees([sun.elevation_rad for sun in suns])
    assert 20 <= elevation.min() < 22 < 38 < elevation.max() <= 40
    assert stats.kstest([sun.azimuth_rad / (2 * np.pi) for sun in suns], "uniform").pvalue > 0.01
    strength = np.array([(sun.irradiance, sun.sky_radiance) for sun in suns])
    assert strength.max(axis=0) / strength.min(axis=0) == pytest.approx([4, 4], rel=0.1)
    assert all(c.lamps == () and c.environment is None for c in draw(3, light={"kind": "sun"}))


def test_stretch_is_independent_on_each_axis():
    assert {c.stretch_xyz for c in draw(5)} == {(1.0, 1.0, 1.0)}
    factors = np.array([c.stretch_xyz for c in draw(500, cad={"stretch": 0.05})])
    assert 0.95 <= factors.min() < 0.952 < 1.048 < factors.max() <= 1.05
    assert np.abs(np.corrcoef(factors.T) - np.eye(3)).max() < 0.15


def test_materials_of_each_kind_of_texture():
    for kind in ("dtd", "naive"):
        (material,) = draw(1, texture={"kind": kind, "roughness": [0.3, 0.4], "metallic": [0.1, 0.2]})[0].materials
        assert material.part == ""
        assert 0.3 <= material.roughness <= 0.4
        assert 0.1 <= material.metallic <= 0.2
    assert draw(1, texture={"kind": "native"})[0].materials == ()
    drawn = draw(50, texture={"kind": "realistic"}, stylize={"colours": ["red", "#00ff00"]})
    for sample in drawn:
        by_part = {material.part: material for material in sample.materials}
        assert set(by_part) == {"", *PARTS} - {"paint"}
        assert np.argmax(by_part[""].base_rgb) == ("red", "#00ff00").index(sample.colour)
        assert by_part["rubber"].base_rgb < (0.1, 0.1, 0.1)
        assert by_part["metal"].metallic > 0.8 > 0.1 > by_part["wood"].metallic
        for material in sample.materials:
            assert all(0 <= value <= 1 for value in (*material.base_rgb, material.roughness, material.metallic))
    assert len({sample.materials for sample in drawn}) == 50


@pytest.mark.parametrize(
    ("category", "coloured"), [("car", {""}), ("sofa", {"", "fabric", "wood"}), ("bottle", {"", "glass"})]
)
def test_the_colour_goes_to_what_shapes_consist_of(category, coloured):
    for seed in range(20):
        by_part = {
            each.part: each.base_rgb for each in realistic(np.random.default_rng(seed), "blue", BUILTIN[category])
        }
        for part, (r, g, b) in by_part.items():
            assert (b > 4 * max(r, g)) == (part in coloured)


@pytest.mark.parametrize(("name", "degrees"), [("orange", 25), ("brown", 25), ("purple", 273), ("cyan", 180)])
def test_colour_names_mean_what_people_mean(name, degrees):
    hue, _, _ = colorsys.rgb_to_hsv(*(channel / 255 for channel in colour_rgb(name)))
    assert abs(360 * hue - degrees) < 3


def test_colours_of_paint():
    assert is_colour("silver")
    assert is_colour("#102030")
    assert not is_colour("reddish")
