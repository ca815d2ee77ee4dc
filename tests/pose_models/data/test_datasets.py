"""One address for every source: kinds, splits, categories, and what is read lazily."""

import json
import shutil

import numpy as np
import pytest

from p3d_gen.core.geometry import rotation_error_rad
from pose_models.data.cars3d import cars3d_samples
from pose_models.data.datasets import KINDS, open_dataset
from pose_models.data.images import Images
from pose_models.data.shards import read_shard
from pose_models.data.viewpoint import pose_of
from tests.helpers.boxes import write_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("run"), train=3, test=1)


def test_shards_open_as_folder_run_glob_and_without_a_kind(run):
    folder = run / "shards"
    expected = [s.key for s in read_shard(folder / "box-00000.tar")]
    kinds = f"shards:{folder}", f"shards:{run}", f"shards:{folder}/box-*.tar"
    for address in (*kinds, str(folder), str(run), f"{folder}/*.tar"):
        dataset = open_dataset(address, split="val")
        assert dataset.categories == ("box",)
        assert [s.key for s in dataset.read("box")] == expected


def test_reading_is_lazy_and_repeatable(run, tmp_path):
    shutil.copytree(run / "shards", tmp_path / "shards")
    (tmp_path / "shards" / "broken-00000.tar").write_bytes(b"no")
    dataset = open_dataset(f"shards:{tmp_path / 'shards'}", split="val")
    assert dataset.categories == ("box", "broken")
    samples = dataset.read("box")
    first = next(samples)
    np.testing.assert_array_equal(next(dataset.read("box")).image, first.image)
    with pytest.raises(ValueError, match=r"broken-00000.tar"):
        list(dataset.read("broken"))


def test_names_tell_the_split_of_what_has_one(run):
    assert open_dataset(str(run), split="val").name == f"shards:{run}"
    assert Images(address=str(run), split="val", part=(0, 2)).name() == f"{run}, part 0/2"
    assert Images(address="cars3d:cars", split="val").name() == "cars3d:cars val"


def test_a_shard_must_hold_the_category_of_its_name(run, tmp_path):
    shutil.copy(run / "shards" / "box-00000.tar", tmp_path / "car-00000.tar")
    with pytest.raises(ValueError, match=r"box-000000 in shard .*car-00000.tar is a 'box'"):
        list(open_dataset(str(tmp_path), split="val").read("car"))


def test_unknown_kinds_categories_and_paths_are_named(run, tmp_path):
    with pytest.raises(ValueError, match="unknown kind of dataset 'pascal'; did you mean 'pascal3d'"):
        open_dataset("pascal:x", split="val")
    with pytest.raises(ValueError, match="has no path behind shards:"):
        open_dataset("shards:", split="val")
    with pytest.raises(ValueError, match="does not tell its kind: write KIND:PATH with one of shards, cars3d"):
        open_dataset(str(tmp_path), split="val")
    with pytest.raises(ValueError, match=r"holds no CATEGORY-NNNNN.tar"):
        open_dataset(f"shards:{tmp_path}", split="val")
    with pytest.raises(ValueError, match="has no category 'bx'; did you mean 'box'"):
        open_dataset(f"shards:{run}", split="val", categories=["bx"])
    with pytest.raises(ValueError, match="no split 'test'"):
        open_dataset("cars3d:x", split="test")
    datasets = {"shards", "cars3d", "pascal3d", "objectnet3d", "ood-cv", "occluded-pascal3d", "csv", "images"}
    assert set(KINDS) == datasets


def test_real_cars_open_by_address(data_dir):
    dataset = open_dataset(f"cars3d:{data_dir / 'cars3d'}", split="val", categories=["car"])
    assert dataset.categories == ("car",)
    samples = [sample for sample, _ in zip(dataset.read("car"), range(5), strict=False)]
    assert [s.key for s in samples] == [f"cars3d-{i:05d}" for i in range(3001, 3006)]
    for sample, reference in zip(samples, cars3d_samples(data_dir / "cars3d", "val", 5), strict=True):
        np.testing.assert_array_equal(sample.image, reference.image)
        assert max(sample.image.shape) <= 256


def test_stated_angles_and_matrices_of_real_cars_agree(data_dir):
    labels = json.loads((data_dir / "cars3d" / "annotations.json").read_text())
    for name in sorted(labels)[::40]:
        entry = labels[name]
        pose = pose_of(entry["azimuth_deg"], entry["elevation_deg"], entry["theta_deg"])
        assert np.isnan(pose[:3, 3]).all()
        assert rotation_error_rad(pose[:3, :3], np.array(entry["R_cam_obj_opencv"])) < 5e-5
