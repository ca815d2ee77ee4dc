"""The wall before the target images, and pictures without labels."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest

from p3d_gen.core.errors import DataError
from pose_models.adapt.pseudo_labels import LABELS_FILE, read_labels
from pose_models.adapt.source import SOURCE_FILE, write_source
from pose_models.adapt.target import TARGET_FILE, Target, unlabelled, write_target
from pose_models.data.datasets import open_dataset
from pose_models.data.images import Images
from pose_models.nmm import WEIGHTS_FILE
from tests.helpers.boxes import write_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("target") / "run", train=6, test=2)


def samples(run):
    return list(Images(address=f"shards:{run}").read())


def test_no_rotation_and_no_mask_comes_through(run):
    for kept, sample in zip(Target(samples(run), 96), samples(run), strict=True):
        assert np.isnan(kept.cam_T_obj[:3, :3]).all()
        assert kept.mask is None
        assert kept.occluder is None
        np.testing.assert_array_equal(kept.cam_T_obj[:3, 3], sample.cam_T_obj[:3, 3])
        assert (kept.key, kept.category) == (sample.key, sample.category)


def test_target_is_the_same_whatever_the_labels(run):
    true = samples(run)
    other = [replace(s, cam_T_obj=np.eye(4) * 3, mask=None) for s in true]
    moved = [replace(s, cam_T_obj=np.block([[s.cam_T_obj[:3, :3].T, s.cam_T_obj[:3, 3:]], [0, 0, 0, 1]])) for s in true]
    for a, b in zip(Target(true, 96), Target(moved, 96), strict=True):
        np.testing.assert_array_equal(a.image, b.image)
        np.testing.assert_array_equal(a.cam_T_obj, b.cam_T_obj)
    assert Target(true, 96).record == Target(other, 96).record


def test_boxes_are_at_most_as_long_as_asked(run):
    for sample in Target(samples(run), 40):
        left, top, right, bottom = sample.box_xyxy
        assert max(right - left, bottom - top) <= 40.5


def test_the_record_names_every_image_and_tells_changed_pixels(run, tmp_path):
    target = Target(samples(run), 96)
    write_target(tmp_path, target)
    lines = [json.loads(line) for line in (tmp_path / TARGET_FILE).read_text().splitlines()]
    assert [line["key"] for line in lines] == [sample.key for sample in samples(run)]
    assert len({line["pixels_sha256"] for line in lines}) == 6
    write_target(tmp_path, target)  # the same images are no error
    first, *rest = samples(run)
    with pytest.raises(ValueError, match="lists other images"):
        write_target(tmp_path, Target([replace(first, image=first.image ^ 1), *rest], 96))


def test_nothing_to_adapt_to_is_an_error():
    with pytest.raises(ValueError, match="no target image"):
        Target([], 96)


def test_unlabelled_is_idempotent(run):
    once = unlabelled(samples(run)[0])
    np.testing.assert_array_equal(unlabelled(once).cam_T_obj, once.cam_T_obj)


def test_pictures_without_labels_are_read_in_order(tmp_path):
    for category, count in (("bus", 1), ("car", 3)):
        (tmp_path / category).mkdir()
        for i in range(count):
            picture = np.full((20, 30, 3), (10 * i, 0, 255), np.uint8)
            cv2.imwrite(str(tmp_path / category / f"photo{i}.png"), picture)
    (tmp_path / "empty").mkdir()
    (tmp_path / "car" / "notes.txt").write_text("not a picture")
    dataset = open_dataset(f"images:{tmp_path}", split="train")
    assert dataset.categories == ("bus", "car")
    cars = list(dataset.read("car"))
    assert [car.key for car in cars] == ["photo0", "photo1", "photo2"]
    assert cars[2].image[0, 0].tolist() == [255, 0, 20]
    assert cars[0].box_xyxy == (0.0, 0.0, 30.0, 20.0)
    assert len(Target(cars, 16)) == 3


def test_folders_without_pictures_and_broken_pictures_are_named(tmp_path):
    with pytest.raises(ValueError, match="holds no CATEGORY/picture"):
        open_dataset(f"images:{tmp_path}", split="train")
    (tmp_path / "car").mkdir()
    (tmp_path / "car" / "broken.jpg").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"broken.jpg is not a readable picture"):
        list(open_dataset(f"images:{tmp_path}", split="train").read("car"))


def test_damaged_records_are_named_with_a_remedy(tmp_path):
    source, out = tmp_path / "source", tmp_path / "out"
    source.mkdir()
    (source / WEIGHTS_FILE).write_bytes(b"weights")
    write_source(out, source)
    write_source(out, source)
    (out / SOURCE_FILE).write_text("{")
    with pytest.raises(DataError, match=r"source\.json cannot be read: .*; choose another --out"):
        write_source(out, source)
    labels = tmp_path / LABELS_FILE
    labels.write_text('{"key": "a"}\n')
    with pytest.raises(DataError, match=r"pseudo_labels\.jsonl line 1 is damaged: .*trusted.*; give --overwrite"):
        read_labels(labels)
