"""The pictures of an evaluation: what is drawn where."""

import json
import math

import cv2
import numpy as np
import pytest
import torch

from p3d_gen.core import geometry as g
from p3d_gen.core.types import Camera
from pose_models.metrics import risk_coverage, summary
from pose_models.prediction import read_predictions
from pose_models.report.cases import Case, caption, case_sheet, worst_and_typical
from pose_models.report.curves import risk_coverage_figure
from pose_models.report.draw import draw_pose, enlarged, fitted, rendered, text_width
from pose_models.report.sphere import sphere_figure, sphere_map
from pose_models.report.write import write_report
from tests.helpers.predictions import made_predictions, predicted, rotation, unsolved

torch.set_num_threads(1)
EXTENT = np.array([0.42, 0.78, 0.46])
BOX = np.stack([-EXTENT / 2, EXTENT / 2])
K = np.array([[480.0, 0.0, 66.0], [0.0, 480.0, 47.0], [0.0, 0.0, 1.0]])


def pose(R, distance=5.0):
    T = np.eye(4)
    T[:3, :3], T[2, 3] = R, distance
    return T


def case(image_hw=(96, 128), **fields):
    known = {
        "image": np.full((*image_hw, 3), 90, np.uint8),
        "cam_T_obj_true": pose(rotation(30, 20)),
        "K_true": K,
        "cam_T_obj_predicted": pose(rotation(210, 20)),
        "K_predicted": K,
        "box": BOX,
        "caption": "car-000001   error 179.0°",
    }
    return Case(**(known | fields))


def changed(drawn, image):
    return np.argwhere((drawn != image).any(axis=2))[:, ::-1] + 0.5


def test_the_box_is_drawn_where_it_is_projected_to():
    image, T = np.full((96, 128, 3), 90, np.uint8), pose(rotation(30, 20))
    drawn = draw_pose(image, K, T, BOX)
    camera = Camera(focal_px=480.0, principal_px=(66.0, 47.0), image_hw=(96, 128))
    corners = g.project(g.transform(T, g.box_corners(EXTENT)), camera)
    marks = changed(drawn, image)
    for corner in corners:
        assert np.linalg.norm(marks - corner, axis=1).min() < 1.0
    assert (image == 90).all()


def test_two_focal_lengths_and_a_box_off_the_origin():
    stretched = np.diag([1.0, 1.3, 1.0]) @ K
    shifted = BOX + np.array([0.05, -0.1, 0.02])
    T, image = pose(rotation(100, -15)), np.full((120, 128, 3), 90, np.uint8)
    drawn = draw_pose(image, stretched, T, shifted)
    corners = g.transform(T, np.array([[x, y, z] for x in shifted[:, 0] for y in shifted[:, 1] for z in shifted[:, 2]]))
    pixels = (corners @ stretched.T)[:, :2] / corners[:, 2:]
    marks = changed(drawn, image)
    for pixel in pixels:
        assert np.linalg.norm(marks - pixel, axis=1).min() < 1.0


def test_boxes_behind_the_camera_are_not_drawn():
    assert draw_pose(np.zeros((20, 20, 3), np.uint8), K, pose(rotation(0), 0.4), BOX) is None
    assert draw_pose(np.zeros((20, 20, 3), np.uint8), K, pose(rotation(0), -5.0), BOX) is None
    with pytest.raises(ValueError, match="translation"):
        draw_pose(np.zeros((20, 20, 3), np.uint8), K, np.full((4, 4), np.nan), BOX)


def test_enlarged_pictures_keep_their_points():
    image = np.zeros((50, 80, 3), np.uint8)
    image[20:24, 60:64] = 255
    large, K_large = enlarged(image, K, 2.6)
    assert large.shape == (130, 208, 3)
    middle = np.argwhere(large[..., 0] > 127)[:, ::-1].mean(axis=0) + 0.5
    ray = np.linalg.inv(K) @ [62.0, 22.0, 1.0]
    np.testing.assert_allclose((K_large @ ray)[:2], middle, atol=0.6)


def test_long_text_loses_its_middle():
    text = "cars3d-000123   error 171.3°   confidence 0.42" * 4
    short = fitted(text, 14, 200)
    assert text_width(short, 14) <= 200
    assert short.startswith("cars3d")
    assert short.endswith("0.42")
    assert fitted("short", 14, 200) == "short"


def test_worst_and_typical():
    errors = [0.1, 3.0, 0.2, math.nan, 0.3, 0.25]
    worst, typical = worst_and_typical(errors, 3)
    assert worst == [3, 1, 4]
    # the median is 0.275
    assert typical == [2, 5, 4]
    assert worst_and_typical([0.5], 4) == ([0], [0])


def test_captions():
    flip = predicted("a", rotation(0), rotation(180), subset="fog", confidence=0.456, category_predicted="bus")
    assert caption(flip, math.pi) == "fog/a   error 180.0°   confidence 0.46   taken for bus"
    assert caption(unsolved("b"), math.pi) == "b   no pose found   confidence 0.50"


def test_sheet_holds_every_case_in_its_place():
    sheet = case_sheet({"worst": [case(), case(), case()], "typical": [case(), case()]})
    assert sheet.dtype == np.uint8
    # 230 of image, 20 of legend and 22 of caption, 16 apart; three rows in two sections
    assert sheet.shape == (2 * 40 + 3 * (230 + 20 + 22 + 16), 2 * (2 * 307 + 4 + 16) + 16, 3)
    single = case_sheet({"worst": [case()]}, columns=1)
    np.testing.assert_array_equal(
        single[40:, : single.shape[1] - 16], sheet[40 : single.shape[0], : single.shape[1] - 16]
    )


def test_angles_are_written_whole_under_narrow_images():
    sheet = case_sheet({"worst": [case(image_hw=(128, 48))]}, columns=1)
    panel_width = (sheet.shape[1] - 2 * 16 - 4) / 2  # less the margins and the gap
    assert text_width("predicted: azimuth 359°, elevation -89°, in-plane -179°", 12) <= panel_width - 4


def test_sheet_of_unlike_images_and_poses_that_cannot_be_drawn():
    odd = [
        case((200, 60)),
        case((60, 400)),
        case(cam_T_obj_predicted=np.full((4, 4), np.nan)),
        case(cam_T_obj_predicted=pose(rotation(0), 0.1)),
    ]
    sheet = case_sheet({"all": odd, "none": []})
    assert sheet.shape[1] == 2 * (2 * 420 + 4 + 16) + 16
    with pytest.raises(ValueError, match="no case"):
        case_sheet({"none": []})
    with pytest.raises(ValueError, match="true pose is not finite"):
        case_sheet({"all": [case(cam_T_obj_true=np.full((4, 4), np.nan))]})


def test_sphere_map_counts_every_image_in_its_cell():
    views = [(0, 5), (7, 5), (14.9, 9.9), (15.1, 5), (180, -3), (359, 25), (90, 90)]
    images = [predicted(str(i), rotation(a, e), rotation(0)) for i, (a, e) in enumerate(views)]
    cells = sphere_map(images, np.radians([1, 3, 170, 4, 5, 6, math.nan]))
    assert cells.count.sum() == 7
    assert (cells.elevation_edges[0], cells.elevation_edges[-1]) == (-10, 100)
    assert cells.count.shape == (11, 24)

    def cell(azimuth, elevation):
        row = np.searchsorted(cells.elevation_edges, elevation, "right") - 1
        column = np.searchsorted(cells.azimuth_edges, azimuth, "right") - 1
        return cells.count[row, column], cells.median_deg[row, column]

    assert cell(7, 5) == (3, pytest.approx(3))
    assert cell(20, 5) == (1, pytest.approx(4))
    assert cell(-180, -3) == (1, pytest.approx(5))
    assert cell(-1, 25) == (1, pytest.approx(6))
    np.testing.assert_array_equal(np.isnan(cells.median_deg), cells.count == 0)
    with pytest.raises(ValueError, match="no image"):
        sphere_map([], [])


def test_sphere_map_of_one_image_and_the_poles():
    for elevation in (-90, -10, 0, 10, 90):
        cells = sphere_map([predicted("a", rotation(40, elevation), rotation(0))], [0.1])
        assert cells.count.sum() == 1
        assert rendered(sphere_figure(cells, "one")).shape[2] == 3


def test_sphere_figure_shows_the_colours_of_the_classes():
    images = [predicted(str(a), rotation(a, 5), rotation(0)) for a in (7, 22, 187)]
    figure = sphere_figure(sphere_map(images, np.radians([3, 25, 170])), "three")
    picture = rendered(figure)
    to_pixels = figure.axes[0].transData.transform

    def cell(azimuth):
        (left, low), (right, high) = to_pixels([(azimuth, 0), (azimuth + 15, 10)]).round().astype(int)
        return picture[picture.shape[0] - high + 2 : picture.shape[0] - low - 2, left + 2 : right - 2]

    for azimuth, colour in ((0, (69, 117, 180)), (15, (255, 255, 191)), (-180, (215, 48, 39))):
        assert (cell(azimuth) == colour).all(axis=2).mean() > 0.6
    assert (cell(60) == 238).all()


def test_curve_is_drawn_where_its_risks_are():
    errors = torch.tensor([0.1, 0.1, 1.0, 0.1], dtype=torch.float64)
    curve = risk_coverage(errors, torch.tensor([4.0, 3.0, 2.0, 1.0]))
    figure = risk_coverage_figure({"made": curve}, "title")
    picture = rendered(figure)
    (axes,) = figure.axes
    points = axes.transData.transform(np.column_stack([curve.coverage, curve.risk]))
    blue = np.argwhere((picture == (0, 114, 178)).all(axis=2))[:, ::-1] + 0.5
    for x, y in points:
        assert np.linalg.norm(blue - (x, picture.shape[0] - y), axis=1).min() < 2


def test_curves_are_one_to_five():
    curve = risk_coverage(torch.tensor([0.1, 1.0]), torch.tensor([1.0, 0.0]))
    assert len(risk_coverage_figure({str(i): curve for i in range(5)}, "t").axes[0].lines) == 5
    for count in (0, 6):
        with pytest.raises(ValueError, match="give 1 to 5"):
            risk_coverage_figure({str(i): curve for i in range(count)}, "t")


def test_curve_without_any_error():
    curve = risk_coverage(torch.tensor([0.1, 0.1]), torch.tensor([1.0, 0.0]))
    picture = rendered(risk_coverage_figure({"made": curve}, "t"))
    assert picture.dtype == np.uint8
    assert picture.shape[2] == 3
    np.testing.assert_array_equal(picture, rendered(risk_coverage_figure({"made": curve}, "t")))


def test_report_folder(tmp_path):
    images = [*made_predictions(40, subsets=("snow", "fog")), unsolved(subset="fog", key="lost")]
    found = summary(images, resamples=20)
    asked = []

    def case_of(prediction):
        asked.append(prediction.key)
        known = {"cam_T_obj_true": pose(prediction.R_true), "cam_T_obj_predicted": pose(prediction.R_predicted)}
        return case(**known, caption=caption(prediction, 0.0))

    paths = write_report(tmp_path / "report", images, found, "made", case_of=case_of)
    assert all(path.stat().st_size > 0 for path in paths)
    assert sorted(path.name for path in paths if path.suffix == ".png") == [
        "cases.png",
        "risk_coverage.png",
        "sphere.png",
    ]
    assert len(read_predictions(tmp_path / "report" / "predictions.jsonl")) == 41
    assert json.loads((tmp_path / "report" / "summary.json").read_text()) == {
        **found.as_dict(),
        "checksums": "checksums.json",
    }
    assert "subset_median.csv" in {path.name for path in paths}
    assert len(asked) == 16
    assert asked[0] == "lost"
    assert cv2.imread(str(tmp_path / "report" / "cases.png")) is not None
    without = write_report(tmp_path / "short", images, found, "made")
    assert "cases.png" not in {path.name for path in without}
