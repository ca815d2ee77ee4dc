"""Whatever is killed, and however often: the same command ends in the same bytes, with every sample once."""

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from p3d_gen.run.ledgers import read_ledger
from p3d_gen.run.shards import read_shard
from p3d_gen.run.store import open_run
from p3d_gen.spec.sampling import sample_key
from tests.helpers.assets import edit
from tests.helpers.commands import STAGES

P3DGEN = Path(sys.executable).parent / "p3dgen"
KILLS = 20


def command(manifest, out):
    return [P3DGEN, "run", manifest, "--out", out, "--workers", "2"]


def hashes(root):
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.glob("*/*.tar"))
    }


def family(process):
    """A process and all that it has started: workers of the pool, and their Blenders."""
    parent = psutil.Process(process.pid)
    return [parent, *parent.children(recursive=True)]


def kill_one(process, when):
    """Kill the command itself, a worker or a Blender, and the command after it."""
    members = family(process)
    for victim in {members[0] if when.random() < 0.5 else when.choice(members), members[0]}:
        if victim.is_running():
            os.kill(victim.pid, signal.SIGKILL)
    process.wait()


def keys_of(run, stage):
    return [key for shard in run.all_shards() for key, _ in read_shard(run.tar(stage, shard), only="json")]


@pytest.mark.blender
@pytest.mark.slow
def test_twenty_sigkills_lose_no_sample_and_double_none(tmp_path, manifest_path):
    """At random times from the preparation of the models on, and at last to the end."""
    edit(manifest_path, ("samples_per_category = 3", "samples_per_category = 6"))
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    start = time.monotonic()
    subprocess.run(command(manifest_path, whole), check=True, capture_output=True)
    duration = time.monotonic() - start
    when, kills = random.Random(1), 0
    for _ in range(5 * KILLS):  # some end before they are killed
        process = subprocess.Popen(command(manifest_path, killed), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(when.uniform(0.1, 0.7) * duration)
        if process.poll() is None:
            kill_one(process, when)
            kills += 1
        if kills == KILLS:
            break
        if len(hashes(killed)) == len(hashes(whole)):  # it is as good as finished: some of it is lost again
            for tar in list(killed.glob("*/*.tar"))[:: when.randint(1, 3)]:
                tar.unlink()
    assert kills == KILLS
    last = subprocess.run(command(manifest_path, killed), capture_output=True, text=True)
    assert last.returncode == 0, last.stderr
    assert hashes(killed) == hashes(whole)
    run = open_run(killed)
    expected = [sample_key(category, index) for category in ("car", "chair") for index in range(6)]
    for stage in STAGES:
        assert sum(read_ledger(run, stage, shard).count for shard in run.all_shards()) == len(expected)
    assert keys_of(run, "render") == keys_of(run, "shards") == expected
    assert not list(killed.rglob(".*"))
