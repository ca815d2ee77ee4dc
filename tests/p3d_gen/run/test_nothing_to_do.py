"""A finished run says so soon, and starts no process for it."""

import functools
import os
import re
import subprocess

import pytest

from p3d_gen.render.prepare import ensure_models
from p3d_gen.run import pipeline
from p3d_gen.run.files import write_bytes
from p3d_gen.run.pipeline import Effort, Silent, StageSetup
from p3d_gen.run.stage import make_shard
from p3d_gen.run.store import create_run, open_run
from p3d_gen.stylize.stylization import open_stylization
from tests.helpers.commands import BIN, STAGES

UPSTREAM = {"render": (), "stylize": ("render",), "shards": ("render", "stylize")}


def ready_made(run, stage, made_from, run_dir, shard):
    def samples(run, shard, failures):
        category, indices = run.members_of(shard)
        yield from ((f"{category}-{index:06d}", {"json": b"{}"}) for index in indices)

    return make_shard(run, stage, shard, UPSTREAM[stage], samples, made_from=made_from)


@pytest.mark.blender
@pytest.mark.slow
def test_ten_thousand_finished_samples_take_two_seconds(tmp_path, manifest_path):
    """Seconds of processor time, which other work on the machine does not change, of the command and its children."""
    text = re.sub(r"samples_per_category = \d+", "samples_per_category = 5000", manifest_path.read_text())
    manifest_path.write_text(re.sub(r"shard_size = \d+", "shard_size = 100", text))
    ensure_models(create_run(tmp_path / "run", manifest_path).root)
    run = open_run(tmp_path / "run")
    for stage in STAGES:
        made_from = open_stylization(run).made_from(run) if stage == "stylize" else None
        make = functools.partial(ready_made, run, stage, made_from)
        setup = StageSetup(
            name=stage, folder=stage, make=make, workers=int, upstream=UPSTREAM[stage], made_from=made_from
        )
        pipeline.run_stage(run, setup, Effort(workers=1), Silent())
    write_bytes(run.root / "contact_sheet.jpg", b"a picture")
    took = []
    for _ in range(3):
        before = os.times()
        command = [BIN, "run", manifest_path, "--out", run.root]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert "nothing to do" in said
        assert "10000 samples in 100 shards" in said
        after = os.times()
        took.append(after.children_user - before.children_user + after.children_system - before.children_system)
    assert min(took) < 2.0, took
