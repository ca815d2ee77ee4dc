"""Sampling: distributions, independence, and that a sample depends on nothing but its own numbers."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from p3d_gen.assets.sources import Asset, Inventory
from p3d_gen.geometry import cam_T_obj, camera_centre, rotation_error_rad
from p3d_gen.manifest import parse_manifest
from p3d_gen.sampling import sample_key, spec

N = 3000


def assets(prefix, count):
    return tuple(Asset(id=f"{prefix}{i}", path=Path(f"{prefix}{i}")) for i in range(count))


INVENTORY = Inventory(
    cads={"car": assets("car", 4), "chair": assets("chair", 4)},
    textures=assets("t", 5),
    hdris=assets("h", 3),
    backgrounds=assets("b", 5),
)


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


def test_car_viewpoints(cars):
    elevation = np.degrees([c.viewpoint.elevation_rad for c in cars])
    assert elevation.min() >= -15
    assert elevation.max() <= 50
    assert elevation.mean() == pytest.approx(5.141, abs=4 * 7.82 / np.sqrt(N))
    assert elevation.std() == pytest.approx(7.820, abs=0.4)
    assert np.mean(elevation < 0) == pytest.approx(0.2614, abs=0.035)
    azimuth = [c.viewpoint.azimuth_rad for c in cars]
    assert stats.kstest(azimuth, "uniform", (0, 2 * np.pi)).pvalue > 0.01


def test_so3_is_uniform():
    views = draw(viewpoint={"distribution": "so3"})
    errors = [rotation_error_rad(cam_T_obj(c.viewpoint)[:3, :3], np.eye(3)) for c in views]
    assert stats.kstest(errors, lambda t: (t - np.sin(t)) / np.pi).pvalue > 0.01
    centres = np.array([camera_centre(c.viewpoint) / c.viewpoint.distance for c in views])
    assert stats.kstest(centres[:, 2], "uniform", (-1, 2)).pvalue > 0.01


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


def test_prompt():
    sample = draw(1, stylize={"prompt": "a photo of a {colour} {category}", "colours": ["red"]})[0]
    assert sample.prompt == "a photo of a red car"
