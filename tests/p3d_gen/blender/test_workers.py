"""Supervised Blender processes: recycled, timed out, and outlived by the run, whatever a sample does to them."""

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import replace

import numpy as np
import pytest

from p3d_gen.blender.client import BlenderError, BlenderWorker
from p3d_gen.blender.protocol import CountGpusRequest, PrepareRequest
from p3d_gen.core.errors import RunError
from p3d_gen.render.prepare import ensure_models
from p3d_gen.render.stage import Supervision, count_gpus, render_shard
from p3d_gen.run.cad_model import load_cad, save_cad
from p3d_gen.run.files import file_sha256, write_json
from p3d_gen.run.scratch import RAM_DISK
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
    with BlenderWorker(device="CPU") as worker:
        assert worker.memory_bytes == 0
        first = pids(worker, 2)[1]
        assert worker.memory_bytes > 16 * 2**20
        worker._memory_bytes = 16 * 2**20
        worker._recycle()
        assert worker.memory_bytes == 0
        worker._memory_bytes = 2**40
        assert pids(worker, 1) != [first]
    assert worker.memory_bytes == 0


def preparation(folder, subdivisions):
    """Take a model that grows by a subdivision when it is prepared."""
    bpy = (
        "import bpy; bpy.ops.wm.read_factory_settings(use_empty=True); bpy.ops.mesh.primitive_cube_add();"
        "modifier = bpy.context.object.modifiers.new('m', 'SUBSURF');"
        f"modifier.levels = modifier.render_levels = {subdivisions};"
        f"bpy.ops.wm.save_as_mainfile(filepath={str(folder / f'{subdivisions}.blend')!r})"
    )
    subprocess.run([sys.executable, "-c", bpy], check=True, stdout=subprocess.DEVNULL)
    source, target = str(folder / f"{subdivisions}.blend"), folder / f"{subdivisions}.npz"
    return PrepareRequest(source=source, target=target, up="auto", front="auto")


def test_a_request_that_takes_too_much_memory_is_ended(tmp_path):
    """The limit holds within a request, which a process without a past has tried; the next one has a fresh process."""
    large, small = preparation(tmp_path, 9), preparation(tmp_path, 1)
    with BlenderWorker(device="CPU", memory_mb=512) as worker:
        (first,) = pids(worker, 1)
        with pytest.raises(BlenderError, match="more than the 512 MB of --memory-mb"):
            worker.ask(large)
        assert worker.memory_bytes == 0
        assert not large.target.exists()
        worker.ask(small)
        assert small.target.exists()
        assert worker._process.pid != first


def test_the_clock_starts_with_the_request():
    """Blender itself takes longer to start than this request may take."""
    with BlenderWorker(timeout_s=0.5, device="CPU") as worker:
        start = time.monotonic()
        worker.ask(CountGpusRequest())
        assert time.monotonic() - start > 0.5


def test_a_closed_worker_starts_no_process():
    with BlenderWorker(device="CPU") as worker:
        pass
    with pytest.raises(BlenderError, match="closed"):
        worker.ask(CountGpusRequest())


def test_nothing_is_left_in_the_folder_of_temporary_files(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    with BlenderWorker(recycle_after=1, device="CPU") as worker:
        pids(worker, 2)
        assert worker.scratch.parent == tmp_path
        assert list(worker.scratch.glob("blender_*"))  # Blender's own
    assert not list(tmp_path.iterdir())


def test_a_file_lies_where_there_is_room_for_it(caplog):
    with BlenderWorker() as worker:
        ram = worker.passing_file("a.exr", 1000)
        assert (ram.parent.parent, ram.name) == (RAM_DISK, "a.exr")
        assert worker.passing_file("b.exr", 1000).parent == ram.parent
        assert not caplog.messages
        for _ in range(2):
            assert worker.passing_file("a.exr", 2**50) == worker.scratch / "a.exr"
    (said,) = caplog.messages
    assert said.startswith(f"{RAM_DISK} has ")
    assert f"they pass through {worker.scratch.parent} instead" in said
    assert not ram.parent.exists()


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
    models = json.loads(run.models_file.read_text())
    models["car"]["m0"]["sha256"] = file_sha256(path)
    del models["checksum"]
    write_json(run.models_file, models)
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
