"""A sample made again is the same to the bit, and what differs is named."""

import json
import shutil

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from p3d_gen.cli import main
from p3d_gen.core.codecs import decode_image, encode_npz, encode_png
from p3d_gen.core.errors import RunError
from p3d_gen.pack.stage import pack_shard
from p3d_gen.render.stage import render_shard
from p3d_gen.run.ledgers import read_ledger, seal
from p3d_gen.run.local import run_shards
from p3d_gen.run.shards import read_shard
from p3d_gen.run.store import create_run, open_run
from p3d_gen.stylize.stage import stylize_shard
from p3d_gen.stylize.stylization import open_stylization
from p3d_gen.verify import Rerender, amount, verify_run
from p3d_gen.verify.replay import differences, find_sample, replay_samples
from p3d_gen.verify.shard import check_shard
from p3d_gen.verify.whole import chosen_keys
from tests.helpers.assets import save_picture

MANIFEST = """
categories = ["bottle"]
samples_per_category = 3
shard_size = 3
[cad]
variants = [0, 2]
[camera]
image_hw = [64, 96]
focal_px = 300
[render]
samples = 1
[texture]
source = "textures"
[background]
source = "backgrounds"
per_render = 2
[stylize]
stylizer = "controlnet"
base = "{base}"
control = [{{ image = "canny", weights = "{control}" }}]
resolution = 64
steps = 2
batch = 2
[output]
members = ["mask", "depth", "nocs"]
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory, sd):
    """A finished run of Blender and a tiny pipeline, in batches of 2 and 1, with two composites of each render."""
    folder = tmp_path_factory.mktemp("made")
    for i in range(3):
        save_picture(folder / "backgrounds" / f"b{i}.jpg", i, (90, 120))
        save_picture(folder / "textures" / f"t{i}.png", 3 + i)
    (folder / "manifest.toml").write_text(MANIFEST.format(base=sd[0], control=sd[1]))
    run = create_run(folder / "run", folder / "manifest.toml")
    for stage in (render_shard, stylize_shard, pack_shard):
        (ledger,) = run_shards(stage, str(run.root), run.all_shards(), 1, int)
        assert ledger.failures == ()
    return open_run(run.root)


@pytest.fixture
def run(made, tmp_path):
    """A copy of it."""
    return open_run(shutil.copytree(made.root, tmp_path / "run"))


def invoke(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.mark.blender
def test_all_samples_again(made, tmp_path):
    """Each in the batch that it was made in, the whole one and the last."""
    seen = []
    found = verify_run(made, on_sample=lambda: seen.append(1), again=Rerender(how_many=amount("100%"), device="cpu"))
    assert len(seen) == 3
    assert found.findings == ()
    assert found.samples == 6
    assert found.rerendered == ("bottle-000000", "bottle-000001", "bottle-000002")


@pytest.mark.blender
def test_which_are_made_again(run):
    """By the seed; none of a shard in which something else was found."""
    reports = [check_shard(str(run.root), "bottle-00000")]
    chosen = {chosen_keys(reports, "shards", Rerender(how_many=amount("2"), seed=seed))[0] for seed in range(8)}
    assert chosen == {"bottle-000000", "bottle-000001"}
    run.tar("shards", "bottle-00000").with_suffix(".json").unlink()
    assert chosen_keys([check_shard(str(run.root), "bottle-00000")], "shards", Rerender(how_many=int)) == []


@pytest.mark.blender
def test_the_command(made, tmp_path):
    result = invoke("replay", made.root, "bottle-000002-b1", "--out", tmp_path / "out", "--render-device", "cpu")
    assert result.exit_code == 0, result.output
    assert "bottle-000002: 18 members made again, all identical" in result.output
    for stage, keys in (("render", [""]), ("stylize", [""]), ("shards", ["-b0", "-b1"])):
        stored = dict(read_shard(made.tar(stage, "bottle-00000")))
        for key in (f"bottle-000002{end}" for end in keys):
            for member, content in stored[key].items():
                assert (tmp_path / "out" / stage / f"{key}.{member}").read_bytes() == content


@pytest.mark.blender
def test_what_differs_is_named(run, made):
    """Another texture of the same size, and a pixel that was changed under a new seal."""
    samples = dict(read_shard(run.tar("render", "bottle-00000")))
    picture = decode_image(samples["bottle-000001"]["render.png"]).copy()
    picture[0, 0] ^= 3
    samples["bottle-000001"]["render.png"] = encode_png(picture)
    seal(run, "render", "bottle-00000", read_ledger(run, "render", "bottle-00000").inputs, samples.items(), [])
    result = invoke("replay", run.root, "bottle-000001", "--render-device", "cpu")
    assert result.exit_code == 1
    assert "bottle-000001 differs from" in result.output
    assert "render: render.png differs in 1 of 6144 pixels, by 3 of 255 at most" in result.output
    assert "stylize:" not in result.output
    labels = json.loads(samples["bottle-000002"]["json"])
    texture = made.base_dir / "textures" / f"{labels['texture_id']}.png"
    kept = texture.read_bytes()
    try:
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(texture)
        texture.write_bytes(texture.read_bytes().ljust(len(kept), b"\0"))
        (found,) = replay_samples(run, open_stylization(run), ["bottle-000002"], device="cpu")
    finally:
        texture.write_bytes(kept)
    told = "\n".join(found.differences)
    assert "render: render.png differs in" in told
    assert "shards bottle-000002-b1: jpg differs in" in told
    assert "depth" not in told
    assert found.build == ""


@pytest.mark.blender
def test_what_is_not_there(made):
    for key in ("car-000000", "bottle-000003", "bottle-1", "bottle", "", "bottle-00000x", "bottle-000001-b9x"):
        with pytest.raises(RunError, match="has no sample"):
            find_sample(made, key)
    assert find_sample(made, "bottle-000001-b1") == ("bottle-00000", "bottle", 1)


def test_differences():
    zero = encode_png(np.zeros((4, 5, 3), np.uint8))
    one = np.zeros((4, 5, 3), np.uint8)
    one[1, 2] = (7, 0, 1)
    stored = {
        "png": zero,
        "depth.npz": encode_npz(depth=np.zeros(3)),
        "json": b'{"a":1,"b":2.0}',
        "gone": b"",
        "same": b"x",
    }
    made = {
        "png": encode_png(one),
        "depth.npz": encode_npz(depth=np.array([0, 0.5, -1])),
        "json": b'{"a":1,"b":3.0}',
        "same": b"x",
        "new": b"",
    }
    assert list(differences(stored, stored)) == []
    assert list(differences(stored, made)) == [
        "png differs in 1 of 20 pixels, by 7 of 255 at most",
        "depth.npz differs: depth by 1 at most",
        "json differs: b is 2.0 in the run, 3.0 now",
        "gone is there in the run only",
        "new is there now only",
    ]
    assert "png" not in " ".join(differences(stored, made, rounding=0.2))
    assert list(differences({"png": zero}, {"png": encode_png(one[:2])})) == [
        "png is (4, 5, 3) in the run, (2, 5, 3) now"
    ]
