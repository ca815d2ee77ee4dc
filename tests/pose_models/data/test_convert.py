"""cars3d from the public files: angles, crops, layout, and a pickle that can do no harm."""

import json
import math
import pickle

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from scipy.io import savemat

from p3d_gen.core import geometry as g
from p3d_gen.core.errors import DataError, RunError
from p3d_gen.core.types import Viewpoint
from pose_models.cli.convert import convert
from pose_models.data.convert_cars3d import convert_cars3d, read_boxes, read_poses
from pose_models.data.datasets import open_dataset
from tests.helpers.annotation_files import struct_array

RAW = {"00001.jpg": (0.55, 0.11, -0.075), "00002.jpg": (5.3, -0.02, 0.0), "03001.jpg": (2.0, 0.2, 0.1)}
BOXES = {"00001.jpg": (39, 16, 569, 275), "00002.jpg": (10, 20, 129, 83), "03001.jpg": (1, 1, 600, 400)}


def entry(azimuth, elevation, theta):
    return {
        "azimuth": azimuth,
        "elevation": elevation,
        "theta": theta,
        "distance": 1.2,
        "f": 346.4,
        "u": 27.0,
        "v": -28.0,
        "model_id": "8b72",
    }


@pytest.fixture
def public(tmp_path):
    """The public files: three cars, and one that only the devkit knows."""
    (tmp_path / "cars_train").mkdir()
    yellow = np.full((400, 600, 3), 60, np.uint8)
    yellow[16:275, 39:569] = [0, 200, 200]
    for name in RAW:
        cv2.imwrite(str(tmp_path / "cars_train" / name), yellow)
    (tmp_path / "train_anno_v2.pkl").write_bytes(pickle.dumps({n: entry(*raw) for n, raw in RAW.items()}, protocol=0))
    rows = [
        dict(zip(("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2"), map(float, box), strict=True))
        | {"class": float(1 + i % 2), "fname": name}
        for i, (name, box) in enumerate((BOXES | {"00009.jpg": (1, 1, 5, 5)}).items())
    ]
    savemat(tmp_path / "cars_train_annos.mat", {"annotations": struct_array(rows)})
    names = np.array([["Audi TTS Coupe 2012", "Acura TL Sedan 2012"]], dtype=object)
    savemat(tmp_path / "cars_meta.mat", {"class_names": names})
    return tmp_path


def run(public, out):
    return convert_cars3d(public / "cars_train", public / "cars_train_annos.mat", public / "train_anno_v2.pkl", out)


def test_the_angles_turn_into_pascal3d_rotations(public, tmp_path):
    assert run(public, tmp_path / "out") == 3
    labels = json.loads((tmp_path / "out" / "annotations.json").read_text())
    for name, (azimuth, elevation, theta) in RAW.items():
        truth = Viewpoint(azimuth_rad=math.pi / 2 - azimuth, elevation_rad=elevation, theta_rad=-theta, distance=1.0)
        R = np.array(labels[name]["R_cam_obj_opencv"])
        np.testing.assert_allclose(R, g.cam_T_obj(truth)[:3, :3], atol=1e-6)
        pose = np.eye(4)
        pose[:3, :3] = R
        back = g.viewpoint_of(pose)
        stated = [labels[name][f"{angle}_deg"] for angle in ("azimuth", "elevation", "theta")]
        np.testing.assert_allclose(
            np.degrees([back.azimuth_rad, back.elevation_rad, back.theta_rad]), stated, atol=1e-3
        )


def test_the_published_rotation_is_the_same_one(public, tmp_path):
    """finegrained-pose turns its models (front at +x, y up) by Rz(theta) Rx(e) Ry(a) to camera axes that point left, up
    and backwards; told in obj axes and OpenCV's, that is the rotation written."""
    raw_of_obj = np.array([[0, -1, 0], [0, 0, 1], [1, 0, 0]])
    run(public, tmp_path / "out")
    labels = json.loads((tmp_path / "out" / "annotations.json").read_text())
    for name, (a, e, t) in RAW.items():
        ca, sa, ce, se = math.cos(a), math.sin(a), math.cos(e), math.sin(e)
        Ry = np.array([[ca, 0, -sa], [0, 1, 0], [sa, 0, ca]])
        Rx = np.array([[1, 0, 0], [0, ce, -se], [0, se, ce]])
        R = -g.rot_z(t) @ Rx @ Ry @ raw_of_obj
        np.testing.assert_allclose(labels[name]["R_cam_obj_opencv"], R, atol=1e-6)


def test_pictures_are_cut_to_the_box_and_shrunk(public, tmp_path):
    run(public, tmp_path / "out")
    labels = json.loads((tmp_path / "out" / "annotations.json").read_text())
    assert labels["00001.jpg"]["crop_wh"] == [530, 259]
    assert labels["00001.jpg"]["image_hw"] == [125, 256]
    assert labels["00002.jpg"]["image_hw"] == [63, 119]
    assert labels["00001.jpg"]["cls_name"] == "Audi TTS Coupe 2012"
    assert labels["00002.jpg"]["cls_name"] == "Acura TL Sedan 2012"
    picture = cv2.imread(str(tmp_path / "out" / "images" / "00001.jpg"))
    assert picture.shape == (125, 256, 3)
    assert np.abs(picture[4:-4, 4:-4].astype(int) - [0, 200, 200]).max() < 8
    assert (picture[[0, -1]] @ [0, 0.5, 0.5] > 150).all()
    small = open_dataset(f"cars3d:{tmp_path / 'out'}", split="train")
    assert [s.key for s in small.read("car")] == ["cars3d-00001", "cars3d-00002"]


def test_the_layout_is_that_of_the_real_data(public, tmp_path, data_dir):
    run(public, tmp_path / "out")
    ours = json.loads((tmp_path / "out" / "annotations.json").read_text())["00001.jpg"]
    text = (data_dir / "cars3d" / "annotations.json").read_text()
    real = json.loads(text)["00001.jpg"]
    real.pop("distance", None)  # added to that folder from the annotations; the pose does not need it
    assert list(ours) == list(real)
    assert [type(v) for v in ours.values()] == [type(v) for v in real.values()]
    assert (real["crop_wh"], real["image_hw"]) == (ours["crop_wh"], ours["image_hw"])


def test_the_command_says_what_it_wrote(public, tmp_path):
    arguments = ["cars3d", "--images", public / "cars_train", "--devkit", public / "cars_train_annos.mat"]
    arguments += ["--annotations", public / "train_anno_v2.pkl", "--out", tmp_path / "out"]
    result = CliRunner().invoke(convert, [str(a) for a in arguments])
    assert result.exit_code == 0, result.output
    assert f"{tmp_path / 'out'}: 3 images" in result.output
    (public / "cars_train" / "00002.jpg").unlink()
    result = CliRunner().invoke(convert, [str(a) for a in arguments])
    assert result.exit_code == 1
    assert "00002.jpg" in result.output


def test_python_2_texts_and_numpy_numbers_are_read(tmp_path):
    path = tmp_path / "a.pkl"
    path.write_bytes(b"(dp0\nS'00001.jpg'\np1\n(dp2\nS'azimuth'\nF1.5\nsS'elevation'\nF0.25\nsS'theta'\nF-0.5\nss.")
    ((name, angles),) = read_poses(path).items()
    assert name == "00001.jpg"
    np.testing.assert_allclose(angles, [90 - math.degrees(1.5), math.degrees(0.25), math.degrees(0.5)])
    for protocol in range(5):
        path.write_bytes(pickle.dumps({"b.jpg": entry(np.float64(1.5), np.array(0.25), -0.5)}, protocol=protocol))
        np.testing.assert_allclose(read_poses(path)["b.jpg"], angles)


class Harm:
    """Pickles to a call that would write a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


def test_a_pickle_cannot_run_code(tmp_path):
    path, witness = tmp_path / "a.pkl", tmp_path / "witness"
    path.write_bytes(pickle.dumps({"00001.jpg": Harm(str(witness))}))
    with pytest.raises(ValueError, match=r"a.pkl: it asks for io.open, and only plain values"):
        read_poses(path)
    assert not witness.exists()


def test_other_layouts_are_named_by_what_they_hold(public):
    path = public / "train_anno_v2.pkl"
    path.write_bytes(pickle.dumps({"00001.jpg": {"a": 1.0, "e": 2.0}}))
    with pytest.raises(ValueError, match=r"00001.jpg needs azimuth, elevation, theta in radians; found: a, e"):
        read_poses(path)
    path.write_bytes(pickle.dumps([1, 2]))
    with pytest.raises(ValueError, match="holds a list, not a dictionary"):
        read_poses(path)
    path.write_bytes(pickle.dumps({"00001.jpg": entry(math.nan, 0.0, 0.0)}))
    with pytest.raises(ValueError, match="angle that is not finite"):
        read_poses(path)
    path.write_bytes(b"no pickle")
    with pytest.raises(ValueError, match=r"cannot read .*train_anno_v2.pkl"):
        read_poses(path)


def test_broken_public_files_are_named(public, tmp_path):
    path = public / "train_anno_v2.pkl"
    path.write_bytes(pickle.dumps({"08000.jpg": entry(0.0, 0.0, 0.0)}))
    with pytest.raises(ValueError, match="name no image in common"):
        run(public, tmp_path / "out")
    (public / "cars_meta.mat").unlink()
    with pytest.raises(ValueError, match=r"cars_meta.mat"):
        read_boxes(public / "cars_train_annos.mat")
    savemat(public / "cars_train_annos.mat", {"annotations": struct_array([{"fname": "a.jpg", "bbox_x1": 1.0}])})
    with pytest.raises(ValueError, match="has no bbox_x1, bbox_y1, bbox_x2, bbox_y2, fname"):
        read_boxes(public / "cars_train_annos.mat")
    (public / "cars_train_annos.mat").write_bytes(b"no")
    with pytest.raises(ValueError, match=r"cannot read .*cars_train_annos.mat"):
        read_boxes(public / "cars_train_annos.mat")


def test_an_empty_box_is_named(public, tmp_path):
    rows = [{"bbox_x1": 5.0, "bbox_y1": 5.0, "bbox_x2": 5.0, "bbox_y2": 9.0, "fname": "00001.jpg"}]
    savemat(public / "cars_train_annos.mat", {"annotations": struct_array(rows)})
    assert read_boxes(public / "cars_train_annos.mat")["00001.jpg"].class_name == ""
    with pytest.raises(ValueError, match=r"00001.jpg: its box \(5, 5, 5, 9\) is empty"):
        run(public, tmp_path / "out")


@pytest.mark.parametrize("name", ["/tmp/x.jpg", "../x.jpg", "a/b.jpg", "..", ".x.jpg", "a\\b.jpg", "a\nb.jpg"])
def test_names_that_lead_elsewhere_are_refused_before_anything_is_written(public, tmp_path, name):
    sides = {"bbox_x1": 1.0, "bbox_y1": 1.0, "bbox_x2": 9.0, "bbox_y2": 9.0}
    rows = [sides | {"fname": each} for each in (*RAW, name)]
    savemat(public / "cars_train_annos.mat", {"annotations": struct_array(rows)})
    (public / "train_anno_v2.pkl").write_bytes(pickle.dumps({row["fname"]: entry(1.0, 0.0, 0.0) for row in rows}))
    with pytest.raises(DataError, match="is not a plain file name"):
        run(public, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_pictures_that_are_read_or_of_others_are_not_overwritten(public, tmp_path):
    originals = public / "cars_train"
    before = (originals / "00001.jpg").read_bytes()
    (public / "images").symlink_to(originals)
    with pytest.raises(RunError, match=r"00001.jpg would overwrite .*00001.jpg, which this command reads"):
        run(public, public)
    (tmp_path / "out" / "images").mkdir(parents=True)
    (tmp_path / "out" / "images" / "00002.jpg").write_bytes(b"mine")
    with pytest.raises(RunError, match=r"00002.jpg exists and was not made by this command"):
        run(public, tmp_path / "out")
    (tmp_path / "out" / "images" / "00002.jpg").unlink()
    (originals / "00002.jpg").rename(public / "later.jpg")
    with pytest.raises(DataError, match=r"00002.jpg: no such file"):
        run(public, tmp_path / "out")
    (public / "later.jpg").rename(originals / "00002.jpg")
    assert run(public, tmp_path / "out") == run(public, tmp_path / "out") == 3
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["annotations.json", "images"]
    assert (originals / "00001.jpg").read_bytes() == before


@pytest.mark.parametrize("box", [(700, 10, 800, 60), (5, 5, 90000, 90000)])
def test_a_box_off_its_picture_is_named(public, tmp_path, box):
    sides = dict(zip(("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2"), map(float, box), strict=True))
    savemat(public / "cars_train_annos.mat", {"annotations": struct_array([sides | {"fname": "00001.jpg"}])})
    with pytest.raises(DataError, match=r"00001.jpg: its box .* lies off its 600 x 400 pixels"):
        run(public, tmp_path / "out")
