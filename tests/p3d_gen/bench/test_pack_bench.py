"""`p3dgen bench pack`: its floor makes what the stage makes, and its figures are there."""

import json
import tarfile

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from p3d_gen.bench import pack as bench
from p3d_gen.cli import main
from p3d_gen.core.codecs import decode_image
from p3d_gen.core.composite import composite
from p3d_gen.pack.stage import pack_shard
from p3d_gen.run.shards import read_shard

SMALL = {"image_hw": [64, 64], "focal_px": 325.0}


def test_the_bare_composite_is_that_of_the_stage():
    rng = np.random.default_rng([0, 1])
    front, back = rng.integers(0, 256, (2, 40, 60, 3), dtype=np.uint8)
    alpha = rng.choice(np.array([0, 40, 128, 255], np.uint8), (40, 60))
    made = bench._floor_composite(front, alpha, back)
    assert np.abs(made.astype(int) - composite(front, alpha, back, linear=True)).max() <= 1


@pytest.mark.blender
@pytest.mark.slow
def test_floor_and_stage_hold_the_same_members_and_the_figures_are_printed(tmp_path):
    with bench.inputs(2, 4, images=2, camera=SMALL) as run:
        shard = run.all_shards()[0]
        pack_shard(str(run.root), shard)
        out, backgrounds = tmp_path / "floor.tar", [str(asset.path) for asset in run.inventory.backgrounds]
        assert bench.floor(run.tar("render", shard), run.tar("stylize", shard), backgrounds, out) == 4
        packed = dict(read_shard(run.tar("shards", shard)))
        with tarfile.open(out) as tar:
            bare = {info.name: tar.extractfile(info).read() for info in tar}
        assert set(bare) == {f"{key}.{member}" for key, members in packed.items() for member in members}
        for key, members in packed.items():
            assert bare[f"{key}.mask.png"] == members["mask.png"]
            mask = decode_image(members["mask.png"]) > 0
            inside = cv2.erode(mask.astype(np.uint8), np.ones((3, 3))) > 0
            pictures = [decode_image(each).astype(int) for each in (members["jpg"], bare[f"{key}.jpg"])]
            assert np.abs(pictures[0] - pictures[1])[inside].mean() < 4  # the object is the same, its ground is not
        figures = bench.pack_over_floor(run, 1) | bench.workers(run, 1) | bench.reading(run)
    assert set(figures) >= {"pack_over_floor", "workers2_over_1", "read_over_floor"}
    assert all(value > 0 for value in json.loads(json.dumps(figures)).values())


def test_help_has_an_example():
    result = CliRunner().invoke(main, ["bench", "pack", "--help"])
    assert result.exit_code == 0
    assert "Example:\n    p3dgen bench pack" in result.output
