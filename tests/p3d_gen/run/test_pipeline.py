"""What is the same for every stage: finished shards, retries, failures, progress. The stage is an argument."""

import functools
import json
import logging
import multiprocessing
import os
import threading
import time
from contextlib import contextmanager

import pytest

from p3d_gen.core.errors import BusyError, RunError
from p3d_gen.run import pipeline
from p3d_gen.run.ledgers import Failure, claimed, read_ledger, upstream_ledger
from p3d_gen.run.local import run_shards
from p3d_gen.run.pipeline import Effort, Silent, StageSetup
from p3d_gen.run.shards import read_shard
from p3d_gen.run.stage import make_shard, tick
from p3d_gen.run.store import open_run
from tests.helpers.records import edit_record, unseal


def _samples(refused, run, shard, failures):
    category, indices = run.members_of(shard)
    for index in indices:
        key = f"{category}-{index:06d}"
        if key in refused:
            failures.append(Failure(key=key, reason="refused"))
        else:
            yield key, {"json": json.dumps({"pid": os.getpid()}).encode()}
        tick()


def number(run_dir, shard, refused=()):
    """A stage whose samples say which process made them."""
    return make_shard(open_run(run_dir), "render", shard, (), functools.partial(_samples, refused))


def in_folder(run_dir, shard, folder, refused):
    """The same stage under another name."""
    return make_shard(open_run(run_dir), folder, shard, (), functools.partial(_samples, refused))


def setup(refused=(), **others):
    make = functools.partial(number, refused=refused)
    return StageSetup(**{"name": "number", "folder": "render", "make": make, "workers": lambda: 1} | others)


class Recorder(Silent):
    def __init__(self):
        self.told = []

    @contextmanager
    def stage(self, name, shards, samples):
        self.told.append((name, shards, samples))
        yield self

    def on_sample(self):
        self.told.append("sample")

    def on_ledger(self, ledger):
        self.told.append(ledger.shard)


def test_finished_shards_are_not_made_again(run):
    first = pipeline.run_stage(run, setup(), Effort(shards="1"), Silent())
    assert (first.shards, first.new_shards, first.samples) == (1, 1, 1)
    recorder = Recorder()
    whole = pipeline.run_stage(run, setup(), Effort(), recorder)
    assert (whole.shards, whole.new_shards, whole.samples, whole.failures) == (4, 3, 6, ())
    assert whole.folder == run.root / "render"
    assert str(whole) == "number: 6 samples in 4 shards, 0 failed"
    assert recorder.told[0] == ("number", 4, 6)
    assert recorder.told.count("sample") == 6
    assert recorder.told[1:3] == ["sample", "car-00001"]  # which was finished before


def test_nothing_is_started_if_nothing_is_left(run):
    def workers():
        raise AssertionError("asked for the number of workers")

    assert pipeline.unchanged_results(run, [setup()], Effort()) == ()
    pipeline.run_stage(run, setup(), Effort(), Silent())
    recorder = Recorder()
    result = pipeline.run_stage(run, setup(workers=workers), Effort(), recorder)
    assert (result.new_shards, result.samples, recorder.told) == (0, 6, [])
    assert pipeline.unchanged_results(run, [setup()], Effort()) == (result,)


def test_a_shard_made_from_something_else_is_made_again(run):
    pipeline.run_stage(run, setup(), Effort(), Silent())
    other = setup(made_from={"seed": 7})
    assert pipeline.finished_ledgers(run, other, run.all_shards()) == {}
    downstream = setup(folder="stylize", upstream=("render",))
    assert pipeline.finished_ledgers(run, downstream, run.all_shards()) == {}


def test_failures_are_counted_and_forgotten(run):
    refused = ("car-000001", "chair-000002")
    effort = Effort(allow_failures=1)
    result = pipeline.run_stage(run, setup(refused), effort, Silent())
    assert [failure.key for failure in result.failures] == list(refused)
    with pytest.raises(RunError, match=r"2 samples failed, 1 are allowed .* The first is car-000001: refused"):
        pipeline.check_failures([result], effort)
    pipeline.check_failures([result], Effort(allow_failures=2))
    pipeline.begin(run, ["render"], Effort(retry_failed=True, shards="0"))
    assert read_ledger(run, "render", "car-00000") is None
    again = pipeline.run_stage(run, setup(), Effort(), Silent())
    assert ([failure.key for failure in again.failures], again.new_shards) == (["chair-000002"], 1)


def _flip(tar):
    content = tar.read_bytes()
    tar.write_bytes(content[:700] + bytes([content[700] ^ 255]) + content[701:])


def _quietly(tar):
    """As a bad disk does it: no time tells."""
    times = tar.stat()
    _flip(tar)
    os.utime(tar, ns=(times.st_atime_ns, times.st_mtime_ns))


def _cut(tar):
    times = tar.stat()
    tar.write_bytes(tar.read_bytes()[:-512])
    os.utime(tar, ns=(times.st_atime_ns, times.st_mtime_ns))


def _count(tar):
    edit_record(tar.with_suffix(".json"), count=1)


@pytest.mark.parametrize("size", ["recorded", "not recorded"])
@pytest.mark.parametrize(("damage", "check"), [(_flip, False), (_quietly, True), (_cut, False), (_count, False)])
def test_a_damaged_shard_is_named_and_made_again(run, damage, check, size, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("p3d_gen"), "propagate", True)
    first = pipeline.run_stage(run, setup(), Effort(), Silent())
    tar = run.tar("render", "car-00000")
    whole, ledger = tar.read_bytes(), tar.with_suffix(".json")
    if size == "not recorded":  # as version 0.1.0 left it
        unseal(ledger, without=("size",))
    damage(tar)
    effort = Effort(check=check)
    with caplog.at_level(logging.WARNING):
        again = pipeline.run_stage(run, setup(), effort, Silent())
    assert again.new_shards == 1
    assert f"{tar} is not what its ledger says; it is made again" in caplog.messages
    assert tar.read_bytes() == whole
    assert again.samples == first.samples
    assert pipeline.run_stage(run, setup(), Effort(check=True), Silent()).new_shards == 0


def test_a_directory_in_the_place_of_a_shard_is_named(run):
    pipeline.run_stage(run, setup(), Effort(), Silent())
    tar = run.tar("render", "car-00000")
    tar.unlink()
    tar.mkdir()
    with pytest.raises(RunError, match=r"car-00000\.tar cannot be written: Is a directory"):
        pipeline.run_stage(run, setup(), Effort(), Silent())
    tar.rmdir()
    assert pipeline.run_stage(run, setup(), Effort(), Silent()).samples == 6


def test_a_shard_that_was_only_copied_is_not_made_again(run):
    pipeline.run_stage(run, setup(), Effort(), Silent())
    tar = run.tar("render", "car-00000")
    os.utime(tar)
    ledger = tar.with_suffix(".json")
    assert tar.stat().st_mtime_ns > ledger.stat().st_mtime_ns
    assert pipeline.run_stage(run, setup(), Effort(), Silent()).new_shards == 0
    assert tar.stat().st_mtime_ns <= ledger.stat().st_mtime_ns  # it is read once


def test_a_packed_shard_without_samples_is_a_ledger_alone(run):
    """Readers of tars stop at an empty one."""
    all_fail = [f"{category}-{index:06d}" for category in ("car", "chair") for index in range(3)]
    for folder, there in (("render", True), ("shards", False), ("shards-other", False)):
        stage = setup(folder=folder, make=functools.partial(in_folder, folder=folder, refused=all_fail))
        result = pipeline.run_stage(run, stage, Effort(), Silent())
        assert (result.samples, len(result.failures)) == (0, 6)
        assert [run.tar(folder, shard).exists() for shard in run.all_shards()] == [there] * 4
        assert pipeline.run_stage(run, stage, Effort(check=True), Silent()).new_shards == 0
        assert {upstream_ledger(run, folder, shard).count for shard in run.all_shards()} == {0}


def test_wrong_numbers_are_refused_before_anything_is_made(run):
    with pytest.raises(RunError, match="--shards 9"):
        pipeline.begin(run, ["render"], Effort(shards="9"))


def test_workers_are_processes_of_their_own(run):
    pipeline.run_stage(run, setup(), Effort(workers=2), Silent())
    samples = [members for shard in run.all_shards() for _, members in read_shard(run.tar("render", shard))]
    made_by = {json.loads(members["json"])["pid"] for members in samples}
    assert os.getpid() not in made_by
    assert len(made_by) <= 2


def slowly(run_dir, shard, log):
    """A stage that writes down which shards it makes."""

    def samples(run, shard, failures):
        time.sleep(0.3)
        with log.open("a") as file:
            file.write(f"{shard} {os.getpid()}\n")
        yield from _samples((), run, shard, failures)

    return make_shard(open_run(run_dir), "render", shard, (), samples)


@pytest.mark.parametrize("workers", [1, 2])
def test_of_two_equal_runs_each_makes_what_the_other_does_not(run, tmp_path, workers):
    log = tmp_path / "log"
    stage = setup(make=functools.partial(slowly, log=log), workers=int)
    both = [
        multiprocessing.get_context("spawn").Process(
            target=pipeline.run_stage, args=(run, stage, Effort(workers=workers), Silent())
        )
        for _ in range(2)
    ]
    for process in both:
        process.start()
    for process in both:
        process.join()
    assert [process.exitcode for process in both] == [0, 0]
    made = [line.split() for line in log.read_text().splitlines()]
    assert sorted(shard for shard, _ in made) == run.all_shards()
    assert len(pipeline.finished_ledgers(run, stage, run.all_shards())) == 4
    assert not list(run.root.rglob(".*"))


def test_a_shard_whose_maker_is_killed_is_made_here(run):
    """The others are made first."""
    with claimed(run, "render", "car-00000"), pytest.raises(BusyError):
        number(str(run.root), "car-00000")
    release = threading.Event()

    def hold():
        with claimed(run, "render", "car-00000"):
            release.wait(60)

    holder = threading.Thread(target=hold)
    holder.start()
    while not list(run.root.rglob(".*")):
        time.sleep(0.01)
    order = []
    for ledger in run_shards(number, str(run.root), run.all_shards(), 1, lambda: None):
        order.append(ledger.shard)
        if len(order) == 3:
            release.set()
    holder.join()
    assert order == [*run.all_shards()[1:], "car-00000"]


def test_without_a_view_notes_are_logged(caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("p3d_gen"), "propagate", True)  # which the command line takes away
    with caplog.at_level(logging.INFO, "p3d_gen"):
        Silent().on_news("a shard was lost")
    assert "a shard was lost" in caplog.messages
