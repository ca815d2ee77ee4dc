"""Packed shards: exact composites, a fixed schema, and both readers that users have."""

import json

import numpy as np
import pytest
import webdataset as wds

from p3d_gen.core.codecs import decode_image
from p3d_gen.core.composite import composite
from p3d_gen.pack.backgrounds import background
from p3d_gen.pack.stage import pack_shard
from p3d_gen.report.sheet import draw_labels, write_contact_sheet
from p3d_gen.run.local import run_shards
from p3d_gen.run.shards import read_shard
from p3d_gen.run.store import create_run
from p3d_gen.spec.sampling import spec
from p3d_gen.stylize.stage import stylize_shard
from tests.helpers.fake_runs import fake_renders

HW = (64, 96)
# both libraries leave the closing of their files to the garbage collector
LEAKY_READER = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")


def packed_run(tmp_path, manifest_path, more="", name="run", workers=1):
    manifest_path.write_text(manifest_path.read_text() + more)
    run = create_run(tmp_path / name, manifest_path)
    fake_renders(run)
    for stage in (stylize_shard, pack_shard):
        ledgers = list(run_shards(stage, str(run.root), run.all_shards(), workers, int))
    assert sum(ledger.count for ledger in ledgers) == 6
    return run


def samples_of(run):
    return {k: m for shard in run.all_shards() for k, m in read_shard(run.tar("shards", shard))}


@pytest.mark.parametrize("edge", ["soft", "hard"])
def test_pixels_are_the_stylised_object_on_the_samples_background(tmp_path, manifest_path, edge):
    manifest_path.write_text(
        manifest_path.read_text().replace("[background]", f'[background]\nedge = "{edge}"')
        + '[output]\nimage_format = "png"\nmembers = ["mask", "stylized"]\n'
    )
    run = packed_run(tmp_path, manifest_path)
    paths = {asset.id: asset.path for asset in run.inventory.backgrounds}
    for members in samples_of(run).values():
        labels = json.loads(members["json"])
        sample = spec(run.manifest, run.inventory, labels["category"], labels["index"])
        mask = decode_image(members["mask.png"])
        scene = background(paths[sample.background_id], HW, sample.background_window)
        image = decode_image(members["png"])
        np.testing.assert_array_equal(image[mask == 0], scene[mask == 0])
        np.testing.assert_array_equal(image, composite(decode_image(members["stylized.png"]), mask, scene, linear=True))


def test_a_hard_edge_keeps_occluders(tmp_path, manifest_path):
    """What stands in front of the object belongs to the picture, though not to the mask."""
    manifest_path.write_text(
        manifest_path.read_text().replace("[background]", '[background]\nedge = "hard"')
        + '[occlusion]\nlevel = "L1"\n[output]\nimage_format = "png"\nmembers = ["mask", "occluders", "stylized"]\n'
    )
    run = packed_run(tmp_path, manifest_path)
    for members in samples_of(run).values():
        occluders = decode_image(members["occluders.png"])
        assert (occluders > 0).any()
        np.testing.assert_array_equal(
            decode_image(members["png"])[occluders > 0], decode_image(members["stylized.png"])[occluders > 0]
        )


def test_every_sample_has_the_same_members_and_keys(tmp_path, manifest_path):
    more = '[output]\nmembers = ["mask", "depth", "render", "edges", "stylized"]\n'
    samples = samples_of(packed_run(tmp_path, manifest_path, more))
    assert len(samples) == 6
    assert len({tuple(members) for members in samples.values()}) == 1
    types = {tuple((k, type(v)) for k, v in json.loads(m["json"]).items()) for m in samples.values()}
    assert len(types) == 1
    assert set(next(iter(samples.values()))) == {
        "jpg", "mask.png", "depth.npz", "render.png", "edges.png", "stylized.jpg", "json",
    }  # fmt: skip


def test_bytes_do_not_depend_on_workers(tmp_path, manifest_path):
    one = packed_run(tmp_path, manifest_path)
    two = packed_run(tmp_path, manifest_path, name="two", workers=2)
    for shard in one.all_shards():
        assert one.tar("shards", shard).read_bytes() == two.tar("shards", shard).read_bytes()


@LEAKY_READER
def test_webdataset_reads_them(tmp_path, manifest_path):
    run = packed_run(tmp_path, manifest_path)
    urls = [str(run.tar("shards", shard)) for shard in run.all_shards()]
    seen = {s["__key__"]: s for s in wds.WebDataset(urls, shardshuffle=False).decode("rgb8")}
    expected = samples_of(run)
    assert set(seen) == set(expected)
    for key, sample in seen.items():
        np.testing.assert_array_equal(sample["jpg"], decode_image(expected[key]["jpg"]))
        assert sample["depth.npz"]["depth"].shape == HW
        assert sample["json"]["key"] == key


@LEAKY_READER
def test_hugging_face_datasets_reads_them(tmp_path, manifest_path, monkeypatch):
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    from datasets import load_dataset

    run = packed_run(tmp_path, manifest_path)
    rows = load_dataset(
        "webdataset", data_files=str(run.root / "shards" / "*.tar"), split="train", cache_dir=str(tmp_path / "cache")
    )
    assert len(rows) == 6
    assert {row["__key__"] for row in rows} == set(samples_of(run))
    assert rows[0]["jpg"].size == HW[::-1]
    assert rows[0]["mask.png"].size == HW[::-1]
    assert rows[0]["json"]["category"] == "car"


def test_a_broken_background_fails_its_samples_only(tmp_path, assets, manifest_path):
    for name in ("b0.jpg", "b1.jpg"):
        (assets / "backgrounds" / name).write_bytes(b"no picture")
    run = create_run(tmp_path / "run", manifest_path)
    fake_renders(run)
    ledgers = []
    for stage in (stylize_shard, pack_shard):
        ledgers = list(run_shards(stage, str(run.root), run.all_shards(), 1, int))
    failures = [failure for ledger in ledgers for failure in ledger.failures]
    assert sum(ledger.count for ledger in ledgers) + len(failures) == 6
    assert failures
    assert all("jpg is not a readable picture" in failure.reason for failure in failures)


POSED = {
    "cam_T_obj": [[1, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, 5], [0, 0, 0, 1]],
    "focal_px": 500.0,
    "principal_px": [48.0, 32.0],
    "image_hw": [64, 96],
    "object_extent_xyz": [0.4, 0.8, 0.3],
}


def test_drawn_labels_lie_where_the_labels_say():
    """Frontal view: x right, z up, the front face (yellow) nearest, its corner at f x / z."""
    drawn = draw_labels(np.zeros((64, 96, 3), np.uint8), POSED)
    x = round(48 + 500 * 0.2 / 4.6)
    column = drawn[32 - 14, x - 2 : x + 3].astype(int)
    assert (column[:, 0] - column[:, 2]).max() > 100
    right = drawn[32, 48 + 20 : 48 + 26].astype(int)
    assert (right[:, 0] - right[:, 2]).max() > 80  # the x axis is red
    above = drawn[32 - 20 : 32 - 16, 48].astype(int)
    assert (above[:, 2] - above[:, 0]).max() > 80  # the z axis is blue


def test_contact_sheet_has_a_row_for_each_sample(tmp_path, manifest_path):
    run = packed_run(tmp_path, manifest_path)
    for members in samples_of(run).values():
        assert json.loads(members["json"])["stylizer"] == "none"
    sheet = decode_image(write_contact_sheet(run, per_category=2).read_bytes())
    assert sheet.shape == (4 * 222, 4 * 300, 3)
    assert sheet.std() > 20
