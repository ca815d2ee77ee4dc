"""Linear light, colour and blur matching, and contact shadows: pictures alone, without a run."""

import cv2
import numpy as np
import pytest

from p3d_gen.core.colour import srgb_bytes, srgb_light
from p3d_gen.core.composite import composite
from p3d_gen.core.geometry import cam_T_obj, project, transform
from p3d_gen.core.types import Camera, Viewpoint
from p3d_gen.pack.matching import MOST_BLUR_PX, blur_px, blur_to_match, blurred, match_colour
from p3d_gen.pack.shadow import ground_of, hidden_light, shaded
from tests.helpers.assets import wedge

RNG = np.random.default_rng([0, 1])
DISC = (np.hypot(*(np.indices((80, 100)) - [[[40]], [[50]]])) < 25).astype(np.uint8) * 255


def blotches(seed, hw=(80, 100), low=0, high=256):
    coarse = np.random.default_rng([seed, 1]).integers(low, high, (8, 10, 3), dtype=np.uint8)
    return cv2.resize(coarse, hw[::-1], interpolation=cv2.INTER_NEAREST)


def lab(colours):
    return cv2.cvtColor(colours.reshape(1, -1, 3).astype(np.float32) / 255, cv2.COLOR_RGB2LAB)[0]


def test_light_of_srgb_is_the_inverse():
    levels = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(srgb_bytes(srgb_light(levels)), levels)


def test_both_blends_are_exact_but_at_edges():
    fore, back = blotches(1), blotches(2)
    coverage = cv2.GaussianBlur(DISC, (0, 0), 2)
    srgb, linear = composite(fore, coverage, back), composite(fore, coverage, back, linear=True)
    for image in (srgb, linear):
        np.testing.assert_array_equal(image[coverage == 0], back[coverage == 0])
        np.testing.assert_array_equal(image[coverage == 255], fore[coverage == 255])
        assert (image >= np.minimum(fore, back)).all()
        assert (image <= np.maximum(fore, back)).all()
    assert (linear >= srgb - 1.0).all()  # light adds up to more than its sRGB values do
    assert (linear > srgb).any()


def test_half_of_white_light_is_not_half_of_its_value():
    white, black = np.full((1, 1, 3), 255, np.uint8), np.zeros((1, 1, 3), np.uint8)
    half = np.full((1, 1), 128, np.uint8)
    assert composite(white, half, black).tolist() == [[[128] * 3]]
    assert composite(white, half, black, linear=True).tolist() == [[[188] * 3]]


def test_colours_go_to_the_backgrounds():
    """In the whole by strength 1, by half of it half the way; what is not covered stays."""
    fore, back = blotches(1, low=90, high=160), blotches(2, low=100, high=180)
    inside = DISC > 0
    own, there = lab(fore[inside]).mean(axis=0), lab(back).mean(axis=0)
    for strength in (0.0, 0.5, 1.0):
        matched = match_colour(fore, DISC, back, strength)
        np.testing.assert_array_equal(matched[~inside], fore[~inside])
        np.testing.assert_allclose(lab(matched[inside]).mean(axis=0), own + strength * (there - own), atol=0.6)
    assert np.abs(match_colour(fore, DISC, back, 0.0).astype(int) - fore).max() <= 1
    spread = lab(match_colour(fore, DISC, back, 1.0)[inside]).std(axis=0)
    np.testing.assert_allclose(spread, lab(back).std(axis=0), rtol=0.1)


def test_an_object_before_a_plain_sky_keeps_half_its_contrast():
    fore, sky = blotches(1, low=90, high=160), np.full((80, 100, 3), (140, 170, 220), np.uint8)
    matched = lab(match_colour(fore, DISC, sky, 1.0)[DISC > 0])
    np.testing.assert_allclose(matched.std(axis=0), lab(fore[DISC > 0]).std(axis=0) / 2, rtol=0.1)


def test_an_object_that_is_hidden_altogether_is_left_alone():
    fore, nothing = blotches(1), np.zeros((80, 100), np.uint8)
    np.testing.assert_array_equal(match_colour(fore, nothing, blotches(2), 1.0), fore)
    assert blur_to_match(fore, nothing, blotches(2), 1.0) == 0


@pytest.mark.parametrize("sigma", [1.0, 1.5, 2.5])
def test_blur_is_told_from_edges(sigma):
    sharp = blotches(3, (240, 300))
    own = blur_px(sharp)
    assert 0.5 < own < 1.0  # the filters' own
    assert blur_px(cv2.GaussianBlur(sharp, (0, 0), sigma)) == pytest.approx(np.hypot(sigma, own), rel=0.12)


def test_a_picture_without_edges_tells_nothing():
    """Nor does a smooth sky tell of a lens out of focus."""
    for rise in (0, 2):
        sky = np.tile(rise * np.arange(100, dtype=np.uint8)[:, None], (80, 1, 3))
        assert blur_px(sky) == 0
        assert blur_to_match(blotches(1), DISC, sky, 1.0) == 0


def test_an_object_becomes_as_blurred_as_its_background_and_never_sharper():
    fore, sharp = blotches(1), blotches(2)
    soft = cv2.GaussianBlur(sharp, (0, 0), 1.5)
    sigma = blur_to_match(fore, DISC, soft, 1.0)
    assert sigma == pytest.approx(1.5, rel=0.15)
    assert blur_to_match(fore, DISC, soft, 0.5) == pytest.approx(sigma / 2)
    assert blur_to_match(cv2.GaussianBlur(fore, (0, 0), 2.5), cv2.GaussianBlur(DISC, (0, 0), 2.5), sharp, 1.0) == 0
    assert 2.5 < blur_to_match(fore, DISC, cv2.GaussianBlur(sharp, (0, 0), 4), 1.0) < MOST_BLUR_PX
    image = composite(*blurred(fore, DISC, sigma), soft)
    assert blur_px(image[20:60, 30:70]) == pytest.approx(blur_px(soft), rel=0.2)


def test_a_blur_spreads_the_object_and_not_what_is_beside_it():
    red = np.full((80, 100, 3), (200, 30, 30), np.uint8)
    colours, coverage = blurred(np.where(DISC[..., None] > 0, red, 0).astype(np.uint8), DISC, 2.0)
    assert coverage.sum(dtype=int) == pytest.approx(DISC.sum(dtype=int), rel=1e-2)
    assert np.abs(colours[coverage > 8].astype(int) - red[0, 0]).max() <= 1
    same = blurred(red, DISC, 0.0)
    assert same[0] is red
    assert same[1] is DISC


def plate(x, y, half, height):
    """A square at a height above the ground, which a vertex of no face tells of."""
    corners = [(x + i * half, y + j * half, height) for i, j in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
    return np.array([*corners, (x, y, 0.0)]), np.array([(0, 1, 2), (0, 2, 3)], np.int32)


def of_square(half, height):
    """The share of the sky that a square hides from the ground below its middle."""
    a = half / height
    return 4 / np.pi * a / np.hypot(1, a) * np.arctan(a / np.hypot(1, a))


def value_at(ground, x, y):
    cells = len(ground.hidden)
    column, row = ((at + ground.half) / (2 * ground.half) * cells - 0.5 for at in (x, y))
    return cv2.remap(ground.hidden, np.float32([[column]]), np.float32([[row]]), cv2.INTER_LINEAR)[0, 0]


@pytest.mark.parametrize(("half", "height"), [(0.2, 0.1), (0.3, 0.3), (0.25, 0.06)])
def test_a_square_hides_what_its_form_factor_says(half, height):
    ground = ground_of(*plate(0.0, 0.0, half, height - 0.02), softness=0.02)
    assert value_at(ground, 0, 0) == pytest.approx(of_square(half, height), rel=0.03)
    assert ground.hidden[[0, -1]].max() < 0.03
    assert value_at(ground, half, 0) < value_at(ground, 0, 0)


def test_a_shadow_lies_where_the_object_stands():
    ground = ground_of(*plate(0.2, -0.1, 0.1, 0.05), softness=0.02)
    row, column = np.unravel_index(ground.hidden.argmax(), ground.hidden.shape)
    at = (np.array([column, row]) + 0.5) / len(ground.hidden) * 2 * ground.half - ground.half
    np.testing.assert_allclose(at, [0.2, -0.1], atol=0.03)


def shot(elevation_rad):
    pose = cam_T_obj(Viewpoint(azimuth_rad=0.7, elevation_rad=elevation_rad, theta_rad=0.1, distance=4.0))
    return pose, Camera(focal_px=200.0, principal_px=(70.0, 45.0), image_hw=(96, 128))


def test_a_pixel_shows_the_ground_that_projects_to_it():
    body = wedge()
    ground = ground_of(np.asarray(body.vertices) * 0.6, np.asarray(body.faces, np.int32), softness=0.02)
    pose, camera = shot(0.4)
    seen = hidden_light(ground, pose, camera)
    points = np.column_stack([RNG.uniform(-0.5, 0.5, (200, 2)), np.full(200, ground.z)])
    pixels = np.floor(project(transform(pose, points), camera)) + 0.5
    plane = camera.K @ np.column_stack([pose[:3, 0], pose[:3, 1], pose[:3, 2] * ground.z + pose[:3, 3]])
    on_plane = np.linalg.solve(plane, np.column_stack([pixels, np.ones(200)]).T)
    at_centres = (on_plane[:2] / on_plane[2]).T
    assert np.abs(at_centres - points[:, :2]).max() < 0.06  # a pixel's size
    for (column, row), here in zip(pixels, at_centres, strict=True):
        assert seen[int(row), int(column)] == pytest.approx(value_at(ground, *here), abs=0.03)
    assert seen.max() > 0.7


def test_the_ground_is_not_seen_from_below():
    ground = ground_of(*plate(0.0, 0.0, 0.2, 0.1), softness=0.02)
    for elevation_rad in (-0.3, -0.01):
        assert not hidden_light(ground, *shot(elevation_rad)).any()


def test_a_shadow_fades_where_the_ground_is_seen_edge_on():
    ground = ground_of(*plate(0.0, 0.0, 0.2, 0.1), softness=0.02)
    darkest = [hidden_light(ground, *shot(np.radians(degrees))).max() for degrees in (1, 3, 20, 40)]
    assert 0 < darkest[0] < 0.4 * darkest[2]
    assert darkest[0] < darkest[1] < darkest[2]
    assert darkest[2] == pytest.approx(darkest[3], rel=0.05)


def test_a_shadow_takes_light_and_nothing_else():
    scene, hidden = blotches(1), np.zeros((80, 100), np.float32)
    hidden[20:40, 30:50] = 0.5
    dark = shaded(scene, hidden, 0.6)
    np.testing.assert_array_equal(dark[hidden == 0], scene[hidden == 0])
    np.testing.assert_allclose(srgb_light(dark)[hidden > 0], 0.7 * srgb_light(scene)[hidden > 0], atol=5e-3)
