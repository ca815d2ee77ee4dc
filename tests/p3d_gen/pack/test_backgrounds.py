"""Backgrounds from photographs of any kind: upright, at their own level, and named if they cannot be used."""

import numpy as np
import pytest
from PIL import Image

from p3d_gen.core.errors import AssetError
from p3d_gen.core.types import Window
from p3d_gen.pack.backgrounds import background

WHOLE = Window(scale=1.0, u=0.5, v=0.5, flip=False)


def test_a_photograph_stands_upright(tmp_path):
    upright = np.zeros((64, 64, 3), np.uint8)
    upright[:32], upright[32:] = (60, 120, 230), (40, 150, 40)
    mark = Image.Exif()
    mark[274] = 6
    Image.fromarray(np.rot90(upright)).save(tmp_path / "a.png", exif=mark)
    np.testing.assert_array_equal(background(tmp_path / "a.png", (64, 64), WHOLE), upright)


def test_16_bits_keep_their_grey(tmp_path):
    Image.fromarray(np.full((32, 32), 64 * 257, np.uint16)).save(tmp_path / "a.png")
    assert (background(tmp_path / "a.png", (16, 16), WHOLE) == 64).all()


def test_a_picture_cut_short_is_an_asset_error(tmp_path):
    path = tmp_path / "a.jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(AssetError, match=r"a.jpg is not a readable picture: .*; replace it or remove it"):
        background(path, (16, 16), WHOLE)
