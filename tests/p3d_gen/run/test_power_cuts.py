"""Wherever a run is stopped, by a kill or a power cut, the same command ends in the same bytes: each step that it does
to its files is written down, and it resumes from the state after each."""

import functools
import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from p3d_gen.run import pipeline
from p3d_gen.run.disk import sync_folder
from p3d_gen.run.files import write_bytes
from p3d_gen.run.ledgers import read_ledger
from p3d_gen.run.pipeline import Effort, Silent, StageSetup
from p3d_gen.run.stage import make_shard
from p3d_gen.run.store import create_run
from tests.helpers import disk_log
from tests.helpers.assets import edit
from tests.helpers.commands import BIN, STAGES, shard_hashes

UPSTREAM = {"render": (), "stylize": ("render",), "shards": ("render", "stylize")}
HOOK = """import importlib.util
loaded = importlib.util.spec_from_file_location("disk_log", {file!r})
disk_log = importlib.util.module_from_spec(loaded)
loaded.loader.exec_module(disk_log)
disk_log.record({root!r}, {log!r})
"""
PREFIXES = 30


def ready_made(run, stage, run_dir, shard):
    """A stage whose samples are there at once."""

    def samples(run, shard, failures):
        category, indices = run.members_of(shard)
        for index in indices:
            yield f"{category}-{index:06d}", {"json": b"{}", f"{stage}.bin": bytes([index]) * 3000}

    return make_shard(run, stage, shard, UPSTREAM[stage], samples)


def work(root, manifest_path):
    """A run of three stages and a picture, as the commands make it."""
    run = create_run(root / "run", manifest_path)
    for stage in STAGES:
        make = functools.partial(ready_made, run, stage)
        setup = StageSetup(name=stage, folder=stage, make=make, workers=int, upstream=UPSTREAM[stage])
        pipeline.run_stage(run, setup, Effort(workers=1), Silent())
    if not (run.root / "contact_sheet.jpg").exists():
        write_bytes(run.root / "contact_sheet.jpg", b"a picture")
    return run


def small(manifest_path):
    edit(manifest_path, ('"car", "chair"', '"car"'))
    return manifest_path


def made(run):
    """All that a run holds; of ledgers, what is not a time."""
    ledgers = [read_ledger(run, stage, shard) for stage in STAGES for shard in run.all_shards()]
    files = {name: content for name, content in disk_log.tree(run.root).items() if not name.endswith("-00000.json")}
    return [(ledger.count, ledger.sha256, ledger.inputs) for ledger in ledgers], {
        name: content for name, content in files.items() if not name.endswith("-00001.json")
    }


def test_a_run_resumes_from_wherever_it_was_stopped(tmp_path, manifest_path):
    manifest_path, disk, again = small(manifest_path), tmp_path / "disk", tmp_path / "again"
    disk.mkdir()
    stop = disk_log.record(disk, tmp_path / "log")
    try:
        whole = work(disk, manifest_path)
    finally:
        stop()
    steps, last = list(disk_log.steps(tmp_path / "log")), disk_log.Disk()
    for step in steps:
        last.do(step)
    assert last.after_a_kill() == disk_log.tree(disk)  # nothing was written past the log
    assert last.after_a_power_cut() == disk_log.tree(disk)  # what is finished lasts
    tried = []
    for name, files in disk_log.states(tmp_path / "log"):
        if files in tried:
            continue
        tried.append(files)
        disk_log.lay_down(files, again)
        assert made(work(again, manifest_path)) == made(whole), name
        shutil.rmtree(again)
    assert len(tried) > len(steps) / 2 > 30


def test_a_name_does_not_last_before_its_folder_is_synced(tmp_path):
    """The log tells so, or the test above would prove nothing."""
    disk = tmp_path / "disk"
    disk.mkdir()
    stop = disk_log.record(disk, tmp_path / "log")
    (disk / "folder").mkdir()
    descriptor = os.open(disk / "folder" / "a", os.O_RDWR | os.O_CREAT)
    os.write(descriptor, b"1234")
    os.fsync(descriptor)
    os.close(descriptor)
    sync_folder(disk / "folder")
    sync_folder(disk)
    stop()
    states = dict(disk_log.states(tmp_path / "log"))
    folder = {"folder": disk_log.FOLDER}
    assert states["killed within 3"] == folder | {"folder/a": b"12"}
    assert states["killed after 3"] == folder | {"folder/a": b"1234"}
    assert states["cut after 4"] == {}
    assert states["cut after 5"] == folder | {"folder/a": b"1234"}


@pytest.mark.blender
@pytest.mark.slow
def test_a_real_run_resumes_from_thirty_places(tmp_path, manifest_path):
    """Its processes are those of a user: the command, its workers and its Blenders, which prepare the models."""
    disk, hook, log = tmp_path / "disk", tmp_path / "hook", tmp_path / "log"
    disk.mkdir()
    hook.mkdir()
    content = HOOK.format(file=disk_log.__file__, root=str(disk), log=str(log))
    (hook / "sitecustomize.py").write_text(content)
    code = str(Path(__file__).parents[3])
    recorded = {**os.environ, "PYTHONPATH": os.pathsep.join([str(hook), code])}

    def generate(root, **environment):
        command = [BIN, "run", manifest_path, "--out", root / "run", "--workers", "1", "--render-device", "cpu"]
        done = subprocess.run(command, capture_output=True, text=True, **environment)
        assert done.returncode == 0, done.stderr

    def kept(root):
        assert not list(root.rglob(".*"))
        return (
            shard_hashes(root / "run"),
            disk_log.tree(root / "run" / "cad"),
            (root / "run" / "contact_sheet.jpg").read_bytes(),
        )

    generate(disk, env=recorded)
    last = disk_log.Disk()
    for step in disk_log.steps(log):
        last.do(step)
    assert last.after_a_kill() == last.after_a_power_cut() == disk_log.tree(disk)
    stops = list(disk_log.states(log))
    for number, (name, files) in enumerate(random.Random(1).sample(stops, PREFIXES)):
        again = tmp_path / f"again{number}"
        disk_log.lay_down(files, again)
        generate(again)
        assert kept(again) == kept(disk), name
        shutil.rmtree(again)
