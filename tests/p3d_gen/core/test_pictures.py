"""The reader of pictures: 8-bit ones as every decoder reads them, others by their white, and none half read."""

import io
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from p3d_gen.core import pictures
from p3d_gen.core.errors import DataError
from p3d_gen.core.pictures import MOST_PIXELS, check_picture, decode_picture, read_cutout, read_picture, rgb_pixels

HEALTHY = {
    "jpg": {"quality": 80},
    "jpeg": {"quality": 95, "progressive": True, "subsampling": 0},
    "png": {},
    "webp": {"quality": 80},
    "bmp": {},
    "tiff": {},
}
TURNED = {  # what a viewer does for each value of the EXIF tag
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a),
}


@pytest.fixture
def pixels():
    rng = np.random.default_rng(3)
    return cv2.resize(rng.integers(0, 255, (7, 9, 3), np.uint8), (90, 61), interpolation=cv2.INTER_CUBIC)


def saved(path, pixels, **options):
    Image.fromarray(pixels).save(path, **options)
    return path


@pytest.mark.parametrize("suffix", HEALTHY)
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_healthy_8_bit_pictures_read_as_opencv_and_pillow_read_them(pixels, tmp_path, suffix, mode):
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(pixels).convert(mode).save(path, **HEALTHY[suffix])
    read = read_picture(path, upright=True)
    with Image.open(path) as picture:
        np.testing.assert_array_equal(read, np.array(picture.convert("RGB")))
    np.testing.assert_array_equal(read, cv2.imread(str(path), cv2.IMREAD_COLOR)[..., ::-1])
    np.testing.assert_array_equal(read, decode_picture(path.read_bytes(), "it", upright=True))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "1"])
def test_other_modes_lose_their_alpha_and_their_palette(pixels, tmp_path, mode):
    path = tmp_path / "a.png"
    Image.fromarray(pixels).convert(mode).save(path)
    np.testing.assert_array_equal(read_picture(path, upright=True), cv2.imread(str(path))[..., ::-1])


@pytest.mark.parametrize("orientation", TURNED)
@pytest.mark.parametrize("suffix", ["png", "tiff", "webp", "jpg"])
def test_photographs_are_turned_and_labelled_pictures_are_not(pixels, tmp_path, suffix, orientation):
    mark = Image.Exif()
    mark[274] = orientation
    path = saved(tmp_path / f"a.{suffix}", pixels, exif=mark, **({"lossless": True} if suffix == "webp" else {}))
    stored = read_picture(path, upright=False)
    if suffix != "jpg":
        np.testing.assert_array_equal(stored, pixels)
    np.testing.assert_array_equal(read_picture(path, upright=True), TURNED[orientation](stored))
    with Image.open(path) as picture:
        np.testing.assert_array_equal(rgb_pixels(picture, upright=True), TURNED[orientation](stored))


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_damaged_exif_data_turn_nothing(pixels, tmp_path):
    path = saved(tmp_path / "a.jpg", pixels, exif=b"Exif\x00\x00MM\x00\x2a\x00\xff\xff\xff\x00\x99")
    assert read_picture(path, upright=True).shape == pixels.shape


@pytest.mark.parametrize(
    ("array", "format_"),
    [
        (np.full((8, 9), 64 * 257, np.uint16), "PNG"),
        (np.full((8, 9), 64 * 257, np.uint16), "TIFF"),
        (np.full((8, 9), 64 * 257, ">u2"), "TIFF"),
        (np.full((8, 9), 64 * 257, np.uint16), "PPM"),
        (np.full((8, 9), 64 / 255, np.float32), "TIFF"),
    ],
)
def test_deeper_greys_keep_their_level(tmp_path, array, format_):
    path = saved(tmp_path / "a.png", array, format=format_)
    read = read_picture(path, upright=True)
    assert read.shape == (8, 9, 3)
    assert (read == 64).all()


def test_deeper_colours_keep_their_level(tmp_path):
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), np.full((8, 9, 3), [10 * 257, 20 * 257, 30 * 257], np.uint16))
    assert (read_picture(path, upright=True) == [30, 20, 10]).all()


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.full((8, 9), 200.0, np.float32), "between 0 and 1"),
        (np.full((8, 9), np.nan, np.float32), "between 0 and 1"),
        (np.full((8, 9), 70000, np.int32), "whose white is not known"),
    ],
)
def test_numbers_without_a_white_are_refused(tmp_path, array, reason):
    path = saved(tmp_path / "a.tiff", array)
    with pytest.raises(DataError, match=rf"a.tiff is not a readable picture: .*{reason}"):
        read_picture(path, upright=True)
    check_picture(path)


@pytest.mark.parametrize("suffix", HEALTHY)
@pytest.mark.parametrize("share", [0.05, 0.5, 0.95])
def test_no_picture_is_half_read(pixels, tmp_path, suffix, share):
    path = saved(tmp_path / f"a.{suffix}", pixels, **HEALTHY[suffix])
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    for read in (lambda: read_picture(path, upright=False), lambda: check_picture(path)):
        with pytest.raises(DataError, match=rf"a.{suffix} is not a readable picture: .*; replace it or remove it"):
            read()
    with pytest.raises(DataError, match="member x is not a readable picture"):
        decode_picture(path.read_bytes(), "member x", upright=False)


@pytest.mark.parametrize("content", [b"", b"no picture", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"])
def test_what_is_no_picture_is_named(tmp_path, content):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(DataError, match=r"a.png is not a readable picture: it is none of JPEG, PNG"):
        read_picture(tmp_path / "a.png", upright=True)


def test_only_regular_files_are_opened(pixels, tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    for name in ("pipe.png", "folder.png", "zero.png"):
        with pytest.raises(DataError, match=rf"{name} is not a readable picture: it is not a regular file"):
            read_picture(tmp_path / name, upright=True)
    with pytest.raises(DataError, match=r"none.png: no such file"):
        read_picture(tmp_path / "none.png", upright=True)
    (tmp_path / "link.png").symlink_to(saved(tmp_path / "a.png", pixels))
    np.testing.assert_array_equal(read_picture(tmp_path / "link.png", upright=True), pixels)


def test_large_pictures_are_read_and_larger_ones_named(tmp_path):
    large = tmp_path / "large.png"
    Image.new("1", (18000, 10001)).save(large)  # above the limit at which Pillow gives up
    assert read_picture(large, upright=True).shape == (10001, 18000, 3)
    header = io.BytesIO()
    Image.new("1", (8, 8)).save(header, "BMP")
    content = bytearray(header.getvalue())
    content[18:26] = (2**15).to_bytes(4, "little") * 2
    (tmp_path / "larger.bmp").write_bytes(content)
    with pytest.raises(DataError, match=rf"larger.bmp .* 32768 x 32768 pixels are more than {MOST_PIXELS}"):
        read_picture(tmp_path / "larger.bmp", upright=True)


def test_cut_outs_keep_their_alpha(pixels, tmp_path):
    alpha = np.arange(61 * 90, dtype=np.uint8).reshape(61, 90)
    rgba = np.dstack([pixels, alpha])
    np.testing.assert_array_equal(read_cutout(saved(tmp_path / "a.png", rgba)), rgba)
    with pytest.raises(DataError, match=r"b.png .* it has no transparency"):
        read_cutout(saved(tmp_path / "b.png", pixels))


def test_no_other_module_opens_pictures_of_users():
    """The rules hold only if nobody else opens files: members of shards are decoded from bytes."""
    known = {"p3d_gen/core/pictures.py", "p3d_gen/core/environment.py", "p3d_gen/bench/pack.py"}
    known |= {"pose_models/data/corruptions.py"}  # the pictures of ice that its package brings
    root = Path(pictures.__file__).parents[2]
    for package in ("p3d_gen", "pose_models"):
        for path in (root / package).rglob("*.py"):
            text = path.read_text()
            if "imread(" in text or "Image.open(" in text.replace("Image.open(BytesIO", "") or "Pictures.open(" in text:
                assert path.relative_to(root).as_posix() in known
