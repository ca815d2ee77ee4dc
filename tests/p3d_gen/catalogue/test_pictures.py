"""Encoding, compositing, backgrounds, environment maps, edges: everything that makes pixels without Blender."""

import cv2
import numpy as np
import OpenEXR
import pytest

from p3d_gen.core.codecs import (
    decode_image,
    decode_nocs,
    decode_normals,
    decode_npz,
    encode_jpeg,
    encode_nocs,
    encode_normals,
    encode_npz,
    encode_png,
    mask_bytes,
)
from p3d_gen.core.colour import srgb_bytes
from p3d_gen.core.composite import composite
from p3d_gen.core.environment import read_environment, tone_map, view_environment
from p3d_gen.core.errors import AssetError
from p3d_gen.core.types import Window
from p3d_gen.pack.backgrounds import background
from p3d_gen.spec.taken import blender_environments
from p3d_gen.stylize.edges import canny, control_hw

RNG = np.random.default_rng([0, 1])
WHOLE = Window(u=0.0, v=0.0, scale=1.0, flip=False)


def noise(*shape):
    return RNG.integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize("shape", [(20, 30), (20, 30, 3), (20, 30, 4)])
def test_png_is_lossless_and_timeless(shape):
    pixels = noise(*shape)
    assert encode_png(pixels) == encode_png(pixels.copy())
    np.testing.assert_array_equal(decode_image(encode_png(pixels)), pixels)


def test_jpeg_is_close():
    smooth = cv2.resize(noise(6, 8, 3), (80, 60), interpolation=cv2.INTER_CUBIC)
    assert np.abs(decode_image(encode_jpeg(smooth, 95)).astype(int) - smooth).mean() < 2


def test_npz_round_trip_keeps_type_and_bytes():
    depth = RNG.random((5, 7)).astype(np.float32)
    assert encode_npz(depth=depth) == encode_npz(depth=depth.copy())
    back = decode_npz(encode_npz(depth=depth))["depth"]
    assert back.dtype == np.float32
    np.testing.assert_array_equal(back, depth)


def test_normals_and_coordinates_round_trip():
    rng = np.random.default_rng([0, 2])
    mask = rng.random((6, 7)) < 0.6
    normals = rng.normal(size=(6, 7, 3)).astype(np.float32)
    stored = decode_normals(encode_normals(normals * 3, mask))
    unit = normals / np.linalg.norm(normals, axis=-1, keepdims=True)
    np.testing.assert_allclose(stored[mask], unit[mask], atol=2e-5)
    assert (stored[~mask] == 0).all()
    nocs = rng.random((6, 7, 3)).astype(np.float32)
    stored = decode_nocs(encode_nocs(nocs, mask))
    np.testing.assert_allclose(stored[mask], nocs[mask], atol=1e-5)
    assert (stored[~mask] == 0).all()
    assert decode_nocs(encode_nocs(np.full((1, 1, 3), 1.2, np.float32), np.ones((1, 1), bool))).max() == 1


def test_mask_bytes():
    assert mask_bytes(np.array([[True, False]])).tolist() == [[255, 0]]


def test_composite_is_exact_in_and_outside_the_mask():
    fore, back = noise(40, 50, 3), noise(40, 50, 3)
    inside = RNG.random((40, 50)) < 0.5
    result = composite(fore, mask_bytes(inside), back)
    np.testing.assert_array_equal(result[inside], fore[inside])
    np.testing.assert_array_equal(result[~inside], back[~inside])


def test_composite_is_between_the_two_at_an_edge():
    result = composite(
        np.full((1, 1, 3), 200, np.uint8), np.full((1, 1), 51, np.uint8), np.full((1, 1, 3), 100, np.uint8)
    )
    assert result.tolist() == [[[120, 120, 120]]]


def test_srgb():
    assert srgb_bytes(np.array([-1.0, 0.0, 0.0031308, 0.5, 1.0, 9.0])).tolist() == [0, 0, 10, 188, 255, 255]


def test_tone_map_puts_the_median_at_mid_grey():
    linear = RNG.random((50, 50, 3)).astype(np.float32) * 40
    assert np.median(tone_map(linear)) == pytest.approx(118, abs=4)


@pytest.mark.parametrize("suffix", [".exr", ".hdr"])
def test_environment_files(tmp_path, suffix):
    pixels = RNG.random((16, 32, 3)).astype(np.float32) * 4
    path = tmp_path / f"e{suffix}"
    if suffix == ".exr":
        OpenEXR.File({}, {"RGB": pixels}).write(str(path))
    else:
        cv2.imwrite(str(path), pixels[..., ::-1])
    np.testing.assert_allclose(read_environment(path), pixels, rtol=0.02, atol=0.03)


@pytest.mark.parametrize("name", ["broken.exr", "broken.hdr"])
def test_broken_environment(tmp_path, name):
    (tmp_path / name).write_bytes(b"no picture")
    with pytest.raises(AssetError, match=name):
        read_environment(tmp_path / name)


def test_view_of_an_environment():
    """A map whose colour is its direction: the middle of the view is where the camera looks."""
    height, width = 180, 360
    latitude = np.pi / 2 - (np.arange(height) + 0.5) / height * np.pi
    longitude = (np.arange(width) + 0.5) / width * 2 * np.pi - np.pi
    lon, lat = np.meshgrid(longitude, latitude)
    directions = np.stack([np.cos(lat) * np.sin(lon), np.cos(lat) * np.cos(lon), np.sin(lat)], axis=-1).astype(
        np.float32
    )
    yaw, pitch = 2.0, 0.2
    seen = view_environment(directions, (41, 61), yaw, pitch, 1.0)
    expected = [np.cos(pitch) * np.sin(yaw), np.cos(pitch) * np.cos(yaw), np.sin(pitch)]
    np.testing.assert_allclose(seen[20, 30], expected, atol=0.01)
    assert seen[0, 30, 2] > seen[40, 30, 2]  # up is up
    edge = seen[20, 60] / np.linalg.norm(seen[20, 60])
    assert np.arccos(edge @ seen[20, 30]) == pytest.approx(0.5, abs=0.02)  # half the field of view


@pytest.mark.parametrize("window", [WHOLE, Window(u=0.999, v=0.999, scale=0.6, flip=True)])
def test_background_of_a_picture(tmp_path, window):
    picture = noise(60, 80, 3)
    path = tmp_path / f"{window.scale}.png"
    path.write_bytes(encode_png(picture))
    seen = background(path, (30, 50), window)
    assert seen.shape == (30, 50, 3)
    if window == WHOLE:
        np.testing.assert_array_equal(seen, cv2.resize(picture[:48, :80], (50, 30), interpolation=cv2.INTER_AREA))
    else:
        crop = cv2.resize(picture[60 - 29 :, 80 - 48 :], (50, 30), interpolation=cv2.INTER_LINEAR)
        np.testing.assert_array_equal(seen, crop[:, ::-1])


def test_background_from_blenders_environments():
    seen = background(blender_environments() / "forest.exr", (60, 80), Window(u=0.3, v=0.5, scale=1.0, flip=False))
    assert seen.shape == (60, 80, 3)
    assert seen.std() > 10


def test_broken_background(tmp_path):
    (tmp_path / "b.jpg").write_bytes(b"no picture")
    with pytest.raises(AssetError, match=r"b\.jpg is not a readable picture"):
        background(tmp_path / "b.jpg", (30, 50), WHOLE)


@pytest.mark.parametrize(
    ("image_hw", "size"), [((352, 520), (512, 768)), ((640, 800), (512, 640)), ((256, 672), (512, 1344))]
)
def test_control_size(image_hw, size):
    assert control_hw(image_hw, 512) == size


@pytest.mark.parametrize(("hw", "resolution"), [((100, 140), 256), ((300, 200), 128), ((128, 128), 128)])
def test_both_canny_backends_agree_to_the_bit(hw, resolution):
    picture = cv2.resize(noise(10, 12, 3), hw[::-1], interpolation=cv2.INTER_NEAREST)
    ours = canny(picture, (100, 200), resolution)
    assert ours.shape == control_hw(hw, resolution)
    assert set(np.unique(ours)) == {0, 255}
    np.testing.assert_array_equal(canny(picture, (100, 200), resolution, "controlnet_aux"), ours)
