"""What the libraries that users have read of a dataset: splits, pictures, and 16 bits that stay 16 bits."""

import io
import json
from urllib.parse import urljoin

import numpy as np
import pytest
import webdataset as wds
import yaml

from p3d_gen.core.codecs import decode_image, decode_npz, encode_nocs, encode_normals, encode_npz, encode_png
from p3d_gen.dataset.build import make_dataset
from p3d_gen.dataset.card import dataset_card
from p3d_gen.dataset.depth import decode_depth16, encode_depth16
from p3d_gen.dataset.source_runs import open_sources
from p3d_gen.dataset.splits import Recipe
from p3d_gen.run.files import compact_json
from p3d_gen.run.shards import write_shard
from pose_models.data.datasets import open_dataset
from tests.helpers.dataset_runs import LEAKY_READER, labels_of, make_assets, packed_run, run_samples, samples_of

SPLITS = ("train", "val", "test")
HW = (48, 64)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    make_assets(root, cads=6)
    return packed_run(root / "a")


@pytest.fixture(scope="module")
def folder(run, tmp_path_factory):
    out = tmp_path_factory.mktemp("datasets") / "cars"
    make_dataset(out, open_sources([str(run.root)]), Recipe(shares=dict.fromkeys(SPLITS, 1.0), shard_samples=3))
    return out


@pytest.fixture
def offline(monkeypatch):
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def written(folder, split):
    return samples_of(sorted((folder / split).glob("*.tar")))


@LEAKY_READER
def test_load_dataset_reads_the_folder_with_its_splits(folder, tmp_path, offline):
    from datasets import load_dataset

    loaded = load_dataset(str(folder), cache_dir=str(tmp_path))
    assert list(loaded) == list(SPLITS)
    for split, rows in loaded.items():
        expected = written(folder, split)
        assert [row["__key__"] for row in rows] == list(expected)
        for row in rows:
            members = expected[row["__key__"]]
            assert row["json"] == labels_of(members)
            np.testing.assert_array_equal(np.array(row["jpg"]), decode_image(members["jpg"]))
            np.testing.assert_array_equal(row["depth.npz"]["depth"], decode_npz(members["depth.npz"])["depth"])


@LEAKY_READER
def test_load_dataset_reads_one_category_of_one_split(folder, tmp_path, offline):
    from datasets import load_dataset

    rows = load_dataset(str(folder), "chair", split="val", cache_dir=str(tmp_path))
    assert [row["__key__"] for row in rows] == [key for key in written(folder, "val") if key.startswith("chair")]


def test_names_that_yaml_takes_for_values_are_names_in_the_card(folder):
    text = (folder / "dataset.json").read_text().replace('"chair"', '"null"').replace('"val"', '"no"')
    configs = yaml.safe_load(dataset_card(json.loads(text)).split("---\n")[1])["configs"]
    assert [config["config_name"] for config in configs] == ["default", "car", "null"]
    assert {file["split"] for config in configs for file in config["data_files"]} == {"no", *SPLITS} - {"val"}


def test_the_card_holds_what_the_hub_asks_for(folder):
    _, front, text = (folder / "README.md").read_text().split("---\n", 2)
    card = yaml.safe_load(front)
    assert card["pretty_name"] == "cars"
    assert [config["config_name"] for config in card["configs"]] == ["default", "car", "chair"]
    assert card["size_categories"] == ["n<1K"]
    assert "# cars" in text
    from huggingface_hub import DatasetCard

    assert DatasetCard.load(folder / "README.md").data.to_dict()["configs"] == card["configs"]


@LEAKY_READER
def test_webdataset_reads_a_split(folder):
    urls = [str(path) for path in sorted((folder / "train").glob("*.tar"))]
    seen = list(wds.WebDataset(urls, shardshuffle=False).decode("rgb8"))
    expected = written(folder, "train")
    assert [sample["__key__"] for sample in seen] == list(expected)
    for sample in seen:
        members = expected[sample["__key__"]]
        assert sample["json"] == labels_of(members)
        np.testing.assert_array_equal(sample["jpg"], decode_image(members["jpg"]))


def test_the_index_is_that_of_wids(folder):
    """By the rules of wids: version 1, shards with addresses relative to the index, and their counts."""
    for split in SPLITS:
        path = folder / split / "index.json"
        index = json.loads(path.read_text())
        assert (index["__kind__"], index["wids_version"], index["name"]) == ("wids-shard-index-v1", 1, f"cars-{split}")
        keys = []
        for shard in index["shardlist"]:
            tar = path.parent / urljoin(str(path), shard["url"])
            assert tar.stat().st_size == shard["filesize"]
            samples = samples_of([tar])
            assert len(samples) == shard["nsamples"] <= 3
            keys += samples
        assert keys == list(written(folder, split))


def test_pose_models_reads_a_split_and_its_models(folder):
    from pose_models.data.cads import cad_vertices

    for split in SPLITS:
        expected = written(folder, split)
        dataset = open_dataset(f"shards:{folder / split}", split="")
        found = [sample for category in dataset.categories for sample in dataset.read(category)]
        assert [sample.key for sample in found] == list(expected)
        for sample in found:
            labels = labels_of(expected[sample.key])
            np.testing.assert_array_equal(sample.cam_T_obj, labels["cam_T_obj"])
            assert labels["cad_id"] in cad_vertices(folder / "cad", sample.category)


def sixteen_bits():
    """Arrays that use all their bits, as members of a sample, and what is to be read again."""
    rng = np.random.default_rng([0, 1])
    mask = np.ones(HW, bool)
    depth = rng.uniform(4.5, 5.5, HW).astype(np.float32)
    normals = rng.standard_normal((*HW, 3)).astype(np.float32)
    nocs = rng.random((*HW, 3)).astype(np.float32)
    png, step = encode_depth16(depth)
    members = {
        "png": encode_png(rng.integers(0, 256, (*HW, 3), dtype=np.uint8)),
        "depth.npz": encode_npz(depth=depth),
        "depth.png16": png,
        "normals.npz": encode_normals(normals, mask),
        "nocs.npz": encode_nocs(nocs, mask),
        "json": compact_json({"key": "s", "depth16_step": step}),
    }
    arrays = {name: decode_npz(members[name]) for name in ("depth.npz", "normals.npz", "nocs.npz")}
    return members, arrays, np.rint(depth / step).astype(np.uint16)


@LEAKY_READER
def test_sixteen_bits_survive_webdataset(tmp_path):
    members, arrays, depth = sixteen_bits()
    write_shard(tmp_path / "s.tar", [("s", members)])
    read = wds.WebDataset(str(tmp_path / "s.tar"), shardshuffle=False)
    (sample,) = read.decode(wds.handle_extension("depth.png16", decode_depth16), "rgb8")
    assert len(np.unique(depth)) > 256
    np.testing.assert_array_equal(sample["depth.png16"], depth)
    for name, wanted in arrays.items():
        for key, array in wanted.items():
            assert sample[name][key].dtype == array.dtype
            np.testing.assert_array_equal(sample[name][key], array)
    (plain,) = wds.WebDataset(str(tmp_path / "s.tar"), shardshuffle=False).decode("rgb8")
    assert plain["depth.png16"] == members["depth.png16"]  # no decoder cuts what it does not know


@LEAKY_READER
def test_sixteen_bits_survive_datasets(tmp_path, offline):
    from datasets import load_dataset

    members, arrays, depth = sixteen_bits()
    write_shard(tmp_path / "s.tar", [("s", members)])
    (row,) = load_dataset("webdataset", data_files=str(tmp_path / "s.tar"), split="train", cache_dir=str(tmp_path))
    np.testing.assert_array_equal(decode_depth16(row["depth.png16"]), depth)
    for name, wanted in arrays.items():
        for key, array in wanted.items():
            np.testing.assert_array_equal(np.array(row[name][key], dtype=array.dtype), array)


def test_a_16_bit_png_is_what_others_read(tmp_path):
    from PIL import Image

    depth = np.linspace(0, 7, HW[0] * HW[1], dtype=np.float32).reshape(HW)
    png, step = encode_depth16(depth)
    with Image.open(io.BytesIO(png)) as picture:
        assert picture.mode == "I;16"
        np.testing.assert_array_equal(np.array(picture), decode_depth16(png))
    assert np.log2(step) == int(np.log2(step))
    np.testing.assert_allclose(decode_depth16(png) * step, depth, atol=step / 2)
    assert 2**15 < decode_depth16(png).max() < 2**16
    with pytest.raises(ValueError, match="not a 16-bit grey PNG"):
        decode_depth16(encode_png(np.zeros(HW, np.uint8)))


def test_depth_in_16_bits_takes_the_place_of_depth(run, tmp_path):
    make_dataset(tmp_path / "d", open_sources([str(run.root)]), Recipe(shares={"whole": 1.0}, depth16=True))
    original = run_samples(run)
    for key, members in written(tmp_path / "d", "whole").items():
        assert set(members) == set(original[key]) - {"depth.npz"} | {"depth.png16"}
        step = labels_of(members)["depth16_step"]
        depth = decode_npz(original[key]["depth.npz"])["depth"]
        np.testing.assert_allclose(decode_depth16(members["depth.png16"]) * step, depth, atol=step / 2)
        assert labels_of(members) == labels_of(original[key]) | {"depth16_step": step}
        assert step < 1.3e-4
