"""Readers of PASCAL3D+ and its relatives, on folders of the published layouts."""

import numpy as np
import pytest
from PIL import Image

from p3d_gen.core import geometry as g
from p3d_gen.core.types import Camera
from pose_models.data.datasets import open_dataset
from pose_models.data.pascal3d import read_objects
from tests.helpers.annotation_files import an_object, write_annotation, write_list, write_picture

# The worked case of the convention: azimuth 30, elevation 20, theta 10 degrees.
R_CV = np.array([[0.882564, 0.440970, -0.163176], [0.018028, -0.378522, -0.925417], [-0.469846, 0.813798, -0.342020]])


@pytest.fixture
def release(tmp_path):
    """PASCAL3D+ with seven cars, of which two count: car_a and car_b."""
    objects = {
        "n1_a": [an_object(), an_object("bus")],
        "n1_bus": [an_object("bus"), an_object()],
        "n1_far": [an_object(distance=0.0)],
        "n1_coarse": [an_object(azimuth=None)],
        "n1_boxless": [an_object(box=())],
        "n1_viewless": [an_object() | {"viewpoint": np.zeros((0, 0))}],
        "n1_b": [an_object(distance=7.5, px=20.0)],
    }
    for name, found in objects.items():
        write_annotation(tmp_path / "Annotations" / "car_imagenet" / f"{name}.mat", *found)
        write_picture(tmp_path / "Images" / "car_imagenet" / f"{name}.JPEG")
    write_list(tmp_path / "Image_sets" / "car_imagenet_val.txt", *objects)
    write_list(tmp_path / "Image_sets" / "bus_imagenet_val.txt")
    write_list(tmp_path / "Image_sets" / "car_imagenet_train.txt", "n1_a")
    return tmp_path


def test_pascal3d_reads_first_objects_of_the_category(release):
    dataset = open_dataset(f"pascal3d:{release}", split="val")
    assert dataset.categories == ("bus", "car")
    assert [s.key for s in dataset.read("car")] == ["car-n1_a", "car-n1_b"]
    assert list(dataset.read("bus")) == []
    train = open_dataset(f"pascal3d:{release}", split="train")
    assert [s.key for s in train.read("car")] == ["car-n1_a"]


def test_fine_angles_distance_and_principal_point_become_pose_and_camera(release):
    sample, second = open_dataset(f"pascal3d:{release}", split="val").read("car")
    np.testing.assert_allclose(sample.cam_T_obj[:3, :3], R_CV, atol=1e-6)
    np.testing.assert_array_equal(sample.cam_T_obj[:3, 3], [0, 0, 5])
    np.testing.assert_array_equal(sample.K, [[3000, 0, 26], [0, 3000, 18], [0, 0, 1]])
    assert sample.box_xyxy == (5, 6, 45, 30)
    assert (sample.category, sample.mask, sample.subset) == ("car", None, "")
    assert sample.image.shape == (36, 52, 3)
    assert second.cam_T_obj[2, 3] == 7.5
    assert second.K[0, 2] == 20


def test_the_worked_point_lands_on_its_pixel(tmp_path):
    path = tmp_path / "Annotations" / "car_imagenet" / "n.mat"
    write_annotation(path, an_object(px=336.0, py=128.0))
    write_picture(tmp_path / "Images" / "car_imagenet" / "n.JPEG")
    write_list(tmp_path / "Image_sets" / "car_imagenet_val.txt", "n")
    (sample,) = open_dataset(f"pascal3d:{tmp_path}", split="val").read("car")
    camera = Camera(focal_px=sample.K[0, 0], principal_px=tuple(sample.K[:2, 2]), image_hw=(256, 672))
    pixel = g.project(g.transform(sample.cam_T_obj, np.array([[0.1, -0.2, 0.15]])), camera)
    np.testing.assert_allclose(pixel, [[320.544752, 89.190670]], atol=1e-5)


def test_exif_turns_are_not_applied(release):
    path = release / "Images" / "car_imagenet" / "n1_a.JPEG"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.open(path).save(path, "JPEG", exif=exif)
    assert next(open_dataset(f"pascal3d:{release}", split="val").read("car")).image.shape == (36, 52, 3)


def test_broken_pascal3d_is_named(release):
    with pytest.raises(ValueError, match="no split 'vall'; did you mean 'val'"):
        open_dataset(f"pascal3d:{release}", split="vall")
    with pytest.raises(ValueError, match=r"holds no \*_imagenet_val.txt"):
        open_dataset(f"pascal3d:{release / 'Images'}", split="val")
    with pytest.raises(ValueError, match="no category 'cars'; did you mean 'car'"):
        open_dataset(f"pascal3d:{release}", split="val", categories=["cars"])
    dataset = open_dataset(f"pascal3d:{release}", split="val")
    (release / "Images" / "car_imagenet" / "n1_b.JPEG").write_bytes(b"no")
    with pytest.raises(ValueError, match=r"n1_b.JPEG is not a readable picture"):
        list(dataset.read("car"))
    (release / "Images" / "car_imagenet" / "n1_b.JPEG").unlink()
    with pytest.raises(ValueError, match=r"n1_b.JPEG: no such file"):
        list(dataset.read("car"))
    (release / "Annotations" / "car_imagenet" / "n1_a.mat").write_bytes(b"no")
    with pytest.raises(ValueError, match=r"cannot read annotation .*n1_a.mat"):
        list(dataset.read("car"))


def test_one_object_and_several_read_alike(tmp_path):
    write_annotation(tmp_path / "one.mat", an_object())
    write_annotation(tmp_path / "two.mat", an_object(), an_object("bus", theta=None))
    (one,) = read_objects(tmp_path / "one.mat")
    first, second = read_objects(tmp_path / "two.mat")
    assert one == first
    assert one.usable
    assert (second.category, second.usable) == ("bus", False)


@pytest.fixture
def objectnet(tmp_path):
    for name, found in {
        "a": an_object("toaster", viewport=2000.0),
        "b": an_object("bed"),
        "c": an_object("toaster", distance=-1.0),
    }.items():
        write_annotation(tmp_path / "Annotations" / f"{name}.mat", found)
        write_picture(tmp_path / "Images" / f"{name}.JPEG")
    write_list(tmp_path / "Image_sets" / "val.txt", "a", "b", "c")
    return tmp_path


def test_objectnet3d_sorts_images_by_their_first_object(objectnet):
    dataset = open_dataset(f"objectnet3d:{objectnet}", split="val")
    assert dataset.categories == ("bed", "toaster")
    (sample,) = dataset.read("toaster")
    assert (sample.key, sample.category, sample.K[0, 0]) == ("toaster-a", "toaster", 2000)
    named = open_dataset(f"objectnet3d:{objectnet}", split="val", categories=["bed"])
    assert [s.key for s in named.read("bed")] == ["bed-b"]
    with pytest.raises(ValueError, match="opened without category 'toaster'"):
        named.read("toaster")


def test_objectnet3d_errors_are_named(objectnet):
    wrong = open_dataset(f"objectnet3d:{objectnet}", split="val", categories=["toster"])
    with pytest.raises(ValueError, match="shows a 'toster' as its first object; did you mean 'toaster'"):
        list(wrong.read("toster"))
    with pytest.raises(ValueError, match=r"cannot read list .*train.txt"):
        open_dataset(f"objectnet3d:{objectnet}", split="train")


def test_occluded_pascal3d_reads_three_levels(tmp_path):
    for level in (1, 2, 3):
        place = f"carFGL{level}_BGL{level}"
        write_list(tmp_path / "OccludedPASCAL3D" / "lists" / f"{place}.txt", "n1_a.JPEG", "n1_b.JPEG")
        for name in ("n1_a", "n1_b"):
            write_picture(tmp_path / "OccludedPASCAL3D" / "images" / place / f"{name}.JPEG", 50 * level)
    annotations = tmp_path / "PASCAL3D+_release1.1" / "Annotations" / "car_imagenet"
    write_annotation(annotations / "n1_a.mat", an_object())
    write_annotation(annotations / "n1_b.mat", an_object("bus"))
    dataset = open_dataset(f"occluded-pascal3d:{tmp_path}", split="val")
    assert dataset.categories == ("car",)
    samples = list(dataset.read("car"))
    assert [(s.key, s.subset) for s in samples] == [(f"car-L{i}-n1_a", f"L{i}") for i in (1, 2, 3)]
    assert [int(s.image.mean().round()) for s in samples] == [50, 100, 150]
    with pytest.raises(ValueError, match="no split 'train'"):
        open_dataset(f"occluded-pascal3d:{tmp_path}", split="train")


@pytest.fixture
def ood(tmp_path):
    """The three releases; one image of each source, one that is like the training images, one occluded."""
    pascal, collected = tmp_path / "PASCAL3D+_release1.1", tmp_path / "OOD-CV-dataset"
    for source, suffix in (("imagenet", "JPEG"), ("pascal", "jpg")):
        for name in ("n1_2", "2008_1"):
            write_picture(pascal / "Images" / f"car_{source}" / f"{name}.{suffix}")
            write_annotation(pascal / "Annotations" / f"car_{source}" / f"{name}.mat", an_object("bus"), an_object())
    write_annotation(pascal / "Annotations" / "car_imagenet" / "n1_2.mat", an_object(), an_object(azimuth=90.0))
    write_picture(collected / "images" / "car" / "x_1.jpg")
    write_annotation(collected / "annotations" / "car" / "x_1.mat", an_object(), an_object(distance=0.0))
    phase = tmp_path / "phase-1-pose-npz" / "phase-1"
    for nuisance in ("shape", "pose", "texture", "context", "weather", "occlusion"):
        (phase / "nuisances" / nuisance / "annotations").mkdir(parents=True)
    for place in (
        "nuisances/weather/annotations/collection_car_x_1_0",
        "nuisances/weather/annotations/collection_car_x_1_1",
        "nuisances/shape/annotations/imagenet_car_n1_2_1",
        "nuisances/pose/annotations/pascal_car_2008_1_1",
        "nuisances/occlusion/annotations/imagenet_car_n1_2_0",
        "nuisances/shape/annotations/imagenet_bus_n1_2_0",
        "iid_test/annotations/imagenet_car_n1_2_0",
    ):
        (phase / f"{place}.npz").parent.mkdir(parents=True, exist_ok=True)
        np.savez(phase / f"{place}.npz")
    write_list(tmp_path / "phase-1-pose-npz" / "train" / "car.txt", "n1_2", "2008_1")
    return tmp_path


def test_ood_cv_carries_the_nuisance_and_leaves_iid_and_occlusion_out(ood):
    dataset = open_dataset(f"ood-cv:{ood}", split="val")
    assert len(dataset.categories) == 10
    assert not {"bottle", "tvmonitor"} & set(dataset.categories)
    found = {s.subset: s for s in dataset.read("car")}
    assert [s.key for s in dataset.read("car")] == [
        "shape-imagenet_car_n1_2_1",
        "pose-pascal_car_2008_1_1",
        "weather-collection_car_x_1_0",
    ]
    np.testing.assert_allclose(g.viewpoint_of(found["shape"].cam_T_obj).azimuth_rad, np.pi / 2)
    assert list(dataset.read("boat")) == []


def test_ood_cv_trains_on_first_objects(ood):
    dataset = open_dataset(f"ood-cv:{ood}", split="train")
    assert dataset.categories == ("car",)
    assert [(s.key, s.subset) for s in dataset.read("car")] == [("car-n1_2", "")]


def test_ood_cv_errors_are_named(ood):
    dataset = open_dataset(f"ood-cv:{ood}", split="val")
    lists = ood / "phase-1-pose-npz" / "phase-1" / "nuisances"
    np.savez(lists / "shape" / "annotations" / "imagenet_car_n1_2_7.npz")
    with pytest.raises(ValueError, match=r"n1_2_7.npz names object 7, .*n1_2.mat has 2"):
        list(dataset.read("car"))
    np.savez(lists / "shape" / "annotations" / "flickr_car_n1_2_0.npz")
    with pytest.raises(ValueError, match=r"flickr_car_n1_2_0.npz is not named"):
        list(dataset.read("car"))
    (ood / "phase-1-pose-npz").rename(ood / "elsewhere")
    with pytest.raises(ValueError, match=r"unpack phase-1-pose-npz.zip"):
        list(dataset.read("car"))
