"""Colours of paint, measured on pictures whose paint is known."""

import json

import numpy as np
import pytest

from p3d_gen.bench.colours import obeys, paint_of, painted_pixels
from p3d_gen.core.codecs import encode_png
from p3d_gen.spec.materials import colour_rgb
from p3d_gen.spec.stylize import Stylize

EVERYWHERE = np.ones((8, 8), bool)


def plain(colour):
    return np.full((8, 8, 3), colour_rgb(colour), np.uint8)


@pytest.mark.parametrize("colour", Stylize().colours)
def test_a_plain_picture_obeys_its_own_colour(colour):
    assert obeys(paint_of(plain(colour), EVERYWHERE), colour)


@pytest.mark.parametrize(
    ("seen", "meant"),
    [("red", "blue"), ("red", "gray"), ("gray", "red"), ("white", "black"), ("black", "white"), ("green", "yellow")],
)
def test_a_plain_picture_does_not_obey_another(seen, meant):
    assert not obeys(paint_of(plain(seen), EVERYWHERE), meant)


def test_shade_does_not_change_the_colour():
    assert obeys(paint_of((plain("red") * 0.4).astype(np.uint8), EVERYWHERE), "red")


def test_paint_is_what_is_painted():
    picture = plain("red")
    picture[:4] = colour_rgb("blue")
    below = np.zeros((8, 8), bool)
    below[4:] = True
    assert obeys(paint_of(picture, below), "red")
    with pytest.raises(ValueError, match="nothing is painted"):
        paint_of(picture, np.zeros((8, 8), bool))


def test_painted_pixels_are_those_of_parts_without_a_material_of_their_own():
    parts = np.array([[0, 1], [2, 3]], np.uint8)
    members = {
        "parts.png": encode_png(parts),
        "json": json.dumps({"category": "car", "part_names": ["glass", "paint", ""]}).encode(),
    }
    np.testing.assert_array_equal(painted_pixels(members), [[False, False], [True, True]])


def test_chairs_without_paint_show_the_colour_on_seat_and_frame():
    parts = np.array([[0, 1], [2, 3]], np.uint8)
    members = {
        "parts.png": encode_png(parts),
        "json": json.dumps({"category": "chair", "part_names": ["metal", "wood", "fabric"]}).encode(),
    }
    np.testing.assert_array_equal(painted_pixels(members), [[False, False], [True, True]])
