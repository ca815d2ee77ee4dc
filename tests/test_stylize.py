"""The stylize stage with a real diffusers pipeline of random weights."""

import json

import numpy as np
import pytest

from p3d_gen.engines import run_shards
from p3d_gen.errors import DependencyError, ManifestError, RunError
from p3d_gen.files import read_shard, write_shard
from p3d_gen.images import decode_image, encode_npz, encode_png, mask_bytes
from p3d_gen.manifest import Stylize
from p3d_gen.sampling import spec
from p3d_gen.store import create_run, seal, stage_inputs
from p3d_gen.stylize.diffusion import ControlNetStylizer, weights_source
from p3d_gen.stylize.edges import control_hw
from p3d_gen.stylize.stage import stylize_shard

HW = (64, 96)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    from tiny_diffusion import save_tiny_pipeline

    return save_tiny_pipeline(tmp_path_factory.mktemp("weights"))


def settings(tiny, **changes):
    base, controlnet = tiny
    return Stylize(stylizer="controlnet", base=str(base), controlnet=str(controlnet), resolution=64, steps=2, **changes)


@pytest.fixture(scope="module")
def stylizer(tiny, tmp_path_factory):
    return ControlNetStylizer(settings(tiny), tmp_path_factory.mktemp("base"))


def edge_map(seed):
    return np.where(np.random.default_rng([seed, 1]).random((64, 128)) < 0.1, 255, 0).astype(np.uint8)


def fake_renders(run):
    """Sealed render shards without Blender: a disc of noise and the labels that the later stages read."""
    y, x = np.indices(HW)
    whole = (x - 48) ** 2 + (y - 32) ** 2 < 400
    occluders = whole & (x > 60) if run.manifest.occlusion.level != "none" else np.zeros_like(whole)
    mask = whole & ~occluders
    for shard in run.all_shards():
        category, indices = run.members_of(shard)
        samples = []
        for index in indices:
            sample = spec(run.manifest, run.inventory, category, index)
            rgb = np.random.default_rng([index, 1]).integers(0, 256, (*HW, 3), dtype=np.uint8)
            labels = {
                "key": sample.key,
                "category": category,
                "index": index,
                "prompt": sample.prompt,
                "stylize_seed": sample.stylize_seed,
            }
            members = {
                "render.png": encode_png(np.dstack([rgb, mask_bytes(whole)])),
                "mask.png": encode_png(mask_bytes(mask)),
                "depth.npz": encode_npz(depth=mask.astype(np.float32)),
                "json": json.dumps(labels).encode(),
            }
            if occluders.any():
                members["occluders.png"] = encode_png(mask_bytes(occluders))
            samples.append((sample.key, members))
        seal(run, "render", shard, stage_inputs(run, "render"), samples, [])


def stylized(run, workers=1):
    ledgers = list(run_shards(stylize_shard, str(run.root), run.all_shards(), workers, int))
    samples = {k: m for shard in run.all_shards() for k, m in read_shard(run.tar("stylize", shard))}
    return ledgers, samples


def test_none_passes_the_render_through(run):
    fake_renders(run)
    ledgers, samples = stylized(run)
    assert [ledger.count for ledger in ledgers] == [2, 1, 2, 1]
    for shard in run.all_shards():
        for key, members in read_shard(run.tar("render", shard)):
            np.testing.assert_array_equal(
                decode_image(samples[key]["stylized.png"]), decode_image(members["render.png"])[..., :3]
            )
            edges = decode_image(samples[key]["edges.png"])
            assert edges.shape == control_hw(HW, run.manifest.stylize.resolution)
            assert edges.any()
            assert json.loads(samples[key]["stylize.json"])["stylizer"] == "none"


def test_controlnet_stage(tmp_path, manifest_path, tiny):
    base, controlnet = tiny
    text = manifest_path.read_text().replace("resolution = 128", "resolution = 64\nsteps = 2\nbatch = 2")
    manifest_path.write_text(f'{text}stylizer = "controlnet"\nbase = "{base}"\ncontrolnet = "{controlnet}"\n')
    run = create_run(tmp_path / "run", manifest_path)
    fake_renders(run)
    first, samples = stylized(run)
    assert sum(ledger.count for ledger in first) == 6
    assert all(decode_image(m["stylized.png"]).shape == (*HW, 3) for m in samples.values())
    assert json.loads(samples["car-000000"]["stylize.json"])["stylizer_controlnet"] == str(controlnet)
    other = create_run(tmp_path / "other", manifest_path)
    fake_renders(other)
    second, _ = stylized(other, workers=2)
    assert {x.shard: x.sha256 for x in first} == {x.shard: x.sha256 for x in second}


def test_edges_prompt_and_seed_each_matter(stylizer):
    edges = edge_map(1)
    same, again = (stylizer([edges], ["red car"], [7], HW)[0] for _ in range(2))
    np.testing.assert_array_equal(same, again)
    for other in (
        stylizer([edge_map(2)], ["red car"], [7], HW)[0],
        stylizer([edges], ["blue chair"], [7], HW)[0],
        stylizer([edges], ["red car"], [8], HW)[0],
    ):
        assert (other != same).any()


def test_a_sample_hardly_depends_on_its_batch(stylizer):
    edges, prompts, seeds = [edge_map(i) for i in range(3)], ["red car", "blue car", "red chair"], [1, 2, 3]
    together = stylizer(edges, prompts, seeds, HW)
    for i in range(3):
        alone = stylizer([edges[i]], [prompts[i]], [seeds[i]], HW)[0]
        assert np.abs(together[i].astype(int) - alone).max() <= 1


def test_a_flat_picture_is_a_failure(run, monkeypatch):
    fake_renders(run)
    shard = "car-00000"
    samples = [
        (key, members | {"render.png": encode_png(np.zeros((*HW, 4), np.uint8))})
        for key, members in read_shard(run.tar("render", shard))
    ]
    seal(run, "render", shard, stage_inputs(run, "render"), samples, [])
    ledger = stylize_shard(str(run.root), shard)
    assert ledger.count == 0
    assert {failure.reason for failure in ledger.failures} == {"the stylised picture is one flat colour"}


def test_missing_upstream_and_a_changed_shard(run):
    with pytest.raises(RunError, match=r"run `p3dgen render` first"):
        stylize_shard(str(run.root), "car-00000")
    fake_renders(run)
    first = stylize_shard(str(run.root), "car-00000")
    write_shard(run.tar("render", "car-00000"), [])
    with pytest.raises(RunError, match="not what its ledger says"):
        stylize_shard(str(run.root), "car-00000")
    seal(run, "render", "car-00000", stage_inputs(run, "render"), [], [])
    assert stylize_shard(str(run.root), "car-00000").inputs != first.inputs  # made again from the new render


@pytest.mark.filterwarnings("ignore:The `local_dir_use_symlinks` argument:UserWarning")  # diffusers passes it on
@pytest.mark.parametrize("which", ["base", "controlnet"])
def test_missing_weights_on_the_hub(tiny, tmp_path, monkeypatch, which):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    there = settings(tiny).model_copy(update={which: "nobody/has-this"})
    with pytest.raises(DependencyError, match=rf"stylize\.{which} = 'nobody/has-this'.*hf download nobody/has-this"):
        ControlNetStylizer(there, tmp_path)


def test_a_folder_that_holds_no_weights(tiny, tmp_path):
    (tmp_path / "empty").mkdir()
    there = settings(tiny).model_copy(update={"controlnet": "./empty"})
    with pytest.raises(DependencyError, match=r"stylize\.controlnet = .*empty"):
        ControlNetStylizer(there, tmp_path)


def test_hub_ids_and_folders(tmp_path):
    (tmp_path / "weights").mkdir()
    assert weights_source("org/name-v1.5", tmp_path, "k") == "org/name-v1.5"
    assert weights_source("./weights", tmp_path, "k") == str(tmp_path / "weights")
    with pytest.raises(ManifestError, match="no folder"):
        weights_source("./gone", tmp_path, "k")
