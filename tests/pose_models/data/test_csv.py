"""Any folder with a table of labels: what is written is read, and what is broken is named by line."""

import cv2
import numpy as np
import pytest

from p3d_gen.core import geometry as g
from pose_models.data.datasets import open_dataset

FULL = (
    "image,category,azimuth_deg,elevation_deg,theta_deg,distance,principal_x,principal_y,focal_px,"
    "x1,y1,x2,y2,mask,subset,split"
)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "pictures").mkdir()
    for name in ("a.png", "b.v2.png"):
        cv2.imwrite(str(tmp_path / "pictures" / name), np.full((36, 52, 3), [10, 20, 30], np.uint8))
    mask = np.zeros((36, 52), np.uint8)
    mask[5:20, 7:30] = 255
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    return tmp_path


def write(folder, *lines):
    path = folder / "labels.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_every_column_is_read(folder):
    path = write(
        folder,
        "\ufeff" + FULL,
        "pictures/a.png,car,30,20,10,5,26,18,3000,7,5,30,20,mask.png,rain,val",
        "",
        "pictures/a.png,bus,200,0,0,,,,,,,,,,,val",
        "pictures/b.v2.png,car,1,2,3,,,,,,,,,,,train",
    )
    dataset = open_dataset(str(path), split="val")
    assert dataset.categories == ("bus", "car")
    (car,) = dataset.read("car")
    assert (car.key, car.category, car.subset) == ("pictures_a_png-2", "car", "rain")
    np.testing.assert_array_equal(car.image[0, 0], [30, 20, 10])
    found = g.viewpoint_of(car.cam_T_obj)
    np.testing.assert_allclose(np.degrees([found.azimuth_rad, found.elevation_rad, found.theta_rad]), [30, 20, 10])
    np.testing.assert_array_equal(car.cam_T_obj[:3, 3], [0, 0, 5])
    np.testing.assert_array_equal(car.K, [[3000, 0, 26], [0, 3000, 18], [0, 0, 1]])
    assert car.box_xyxy == (7, 5, 30, 20)
    assert car.mask.sum() == 255 * 15 * 23
    (bus,) = dataset.read("bus")
    assert np.isnan(bus.cam_T_obj[:3, 3]).all()
    assert np.isnan(bus.K).all()
    assert (bus.mask, bus.box_xyxy, bus.subset) == (None, (0, 0, 52, 36), "")
    assert [s.key for s in open_dataset(str(path), split="train").read("car")] == ["pictures_b_v2_png-5"]


def test_five_columns_are_enough_in_any_order(folder):
    path = write(folder, "theta_deg,image,elevation_deg,category,azimuth_deg", "-10,pictures/a.png,5,car,350")
    (sample,) = open_dataset(f"csv:{path}", split="val").read("car")
    found = g.viewpoint_of(sample.cam_T_obj)
    np.testing.assert_allclose(np.degrees([found.azimuth_rad, found.elevation_rad, found.theta_rad]), [350, 5, -10])


HEAD = "image,category,azimuth_deg,elevation_deg,theta_deg"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "line 1: the columns image, category, azimuth_deg, elevation_deg, theta_deg are missing"),
        (["image,category"], "line 1: the columns azimuth_deg, elevation_deg, theta_deg are missing"),
        ([HEAD + ",distanse"], "line 1: unknown column 'distanse'; did you mean 'distance'"),
        ([HEAD + ",image"], "line 1: the column 'image' is there twice"),
        ([HEAD], "has no rows"),
        ([HEAD, "pictures/a.png,car,1,2"], "line 2: 4 cells, the header has 5"),
        ([HEAD, "pictures/a.png,car,1,2,"], "line 2: theta_deg may not be empty"),
        ([HEAD, "pictures/a.png,car,one,2,3"], "line 2: azimuth_deg is 'one'"),
        ([HEAD, "pictures/a.png,car,1,nan,3"], "line 2: elevation_deg is 'nan'"),
        ([HEAD, "pictures/a.png,car,1,2,3", "pictures/c.png,car,1,2,3"], r"line 3: .*c.png: no such file"),
        ([HEAD + ",x1,y1,x2,y2", "pictures/a.png,car,1,2,3,1,2,3,"], "line 2: give all of x1, y1, x2, y2, or none"),
        ([HEAD + ",x1,y1,x2,y2", "pictures/a.png,car,1,2,3,9,2,3,4"], "line 2: the box .* is empty or lies off"),
        (
            [HEAD + ",x1,y1,x2,y2", "pictures/a.png,car,1,2,3,-9,2,-1,9"],
            "line 2: .* lies off .*a.png, .* 52 x 36",
        ),
        ([HEAD + ",x1,y1,x2,y2", "pictures/a.png,car,1,2,3,52,2,99,9"], "line 2: .* lies off pictures/a.png"),
        ([HEAD + ",focal_px", "pictures/a.png,car,1,2,3,3000"], "give all of distance, principal_x, principal_y"),
        (
            [HEAD + ",distance,principal_x,principal_y,focal_px", "pictures/a.png,car,1,2,3,-1,9,9,3000"],
            "line 2: distance -1.0 .* must be positive",
        ),
        ([HEAD + ",mask", "pictures/a.png,car,1,2,3,none.png"], r"line 2: .*none.png: no such file"),
        ([HEAD + ",subset", 'pictures/a.png,car,1,2,3,"a\nb"'], "line 3: subset holds a line break"),
        ([HEAD + ",subset", "pictures/a.png,car,1,2,3,\x1b[2Jx"], "line 2: subset holds .* control character"),
        ([HEAD + ",split", "pictures/a.png,car,1,2,3,vall"], "no row of split 'val'; did you mean 'vall'"),
        ([HEAD, '"pictures/a.png,car,1,2,3'], "must be a CSV file"),
    ],
)
def test_what_is_broken_is_named_by_line(folder, lines, message):
    path = write(folder, *lines)
    with pytest.raises(ValueError, match=rf"(?s)labels.csv.*{message}"):
        list(open_dataset(str(path), split="val").read("car"))


def test_a_mask_must_fit_its_picture(folder):
    cv2.imwrite(str(folder / "mask.png"), np.zeros((5, 5), np.uint8))
    path = write(folder, HEAD + ",mask", "pictures/a.png,car,1,2,3,mask.png")
    with pytest.raises(ValueError, match=r"line 2: .*mask.png has \(5, 5\) pixels, its image \(36, 52\)"):
        list(open_dataset(str(path), split="val").read("car"))


def test_a_missing_or_binary_table_is_named(folder):
    with pytest.raises(ValueError, match=r"cannot read .*nothing.csv"):
        open_dataset(str(folder / "nothing.csv"), split="val")
    (folder / "labels.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="must be a CSV file in UTF-8"):
        open_dataset(str(folder / "labels.csv"), split="val")
