"""Supervised Blender processes: recycled, timed out, and outlived by the run, whatever a sample does to them."""

import json
from dataclasses import replace

import numpy as np
import pytest

from p3d_gen.blender.client import BlenderWorker
from p3d_gen.blender.protocol import CountGpusRequest
from p3d_gen.core.errors import RunError
from p3d_gen.render.prepare import ensure_models
from p3d_gen.render.stage import Supervision, count_gpus, render_shard
from p3d_gen.run.cad_model import load_cad, save_cad
from p3d_gen.run.shards import read_shard
from p3d_gen.run.store import create_run

pytestmark = pytest.mark.blender


def pids(worker, requests):
    processes = []
    for _ in range(requests):
        worker.ask(CountGpusRequest())
        processes.append(worker._process.pid)
    return processes


def test_a_process_is_recycled_after_so_many_requests():
    with BlenderWorker(recycle_after=2, device="CPU") as worker:
        a, b, c, d, e = pids(worker, 5)
    assert a == b != c == d != e


def test_a_process_is_recycled_above_a_memory_limit():
    with BlenderWorker(memory_mb=16, device="CPU") as worker:
        assert worker.memory_bytes == 0
        assert len(set(pids(worker, 2))) == 2
        assert worker.memory_bytes > 16 * 2**20
    assert worker.memory_bytes == 0


def test_a_device_that_is_not_there_is_an_error():
    assert count_gpus(Supervision(device="CPU")) == 0
    with pytest.raises(RunError, match="no METAL device here"):
        count_gpus(Supervision(device="METAL"))


def test_recycling_does_not_change_a_byte(tmp_path, manifest_path):
    digests = []
    for name, recycle_after in (("often", 1), ("never", 1000)):
        run = create_run(tmp_path / name, manifest_path)
        digests.append(render_shard(str(run.root), "car-00000", Supervision(recycle_after=recycle_after)).sha256)
    assert digests[0] == digests[1]


def test_a_poison_sample_is_tried_twice_and_its_last_words_are_kept(run):
    """A mesh whose faces point outside it ends Blender by a segmentation fault."""
    ensure_models(run.root)
    path = run.cad_file("car", "m0")
    poison = load_cad(path)
    save_cad(path, replace(poison, faces=np.full_like(poison.faces, 2**30)))
    ledgers = [render_shard(str(run.root), shard) for shard in run.shards("car")]
    failures = {failure.key: failure.reason for ledger in ledgers for failure in ledger.failures}
    made = {
        key: json.loads(members["json"])["cad_id"]
        for ledger in ledgers
        for key, members in read_shard(run.tar("render", ledger.shard))
    }
    assert len(failures) + len(made) == 3
    assert failures
    assert set(made.values()) <= {"m1"}
    assert all("Blender ended with status -" in reason for reason in failures.values())


def test_a_sample_that_takes_too_long_is_given_up(tmp_path, manifest_path):
    manifest_path.write_text(manifest_path.read_text().replace("samples = 1", "samples = 4096\ndenoise = false"))
    run = create_run(tmp_path / "slow", manifest_path)
    ensure_models(run.root)
    ledger = render_shard(str(run.root), "car-00001", Supervision(timeout_s=2.0))
    assert ledger.count == 0
    assert [failure.key for failure in ledger.failures] == ["car-000002"]
    assert "gave no answer in 2 s" in ledger.failures[0].reason
