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
from p3d_gen.run.local import run_shards
from p3d_gen.run.pipeline import Effort, Silent, StageSetup
from p3d_gen.run.shards import read_shard
from p3d_gen.run.stage import make_shard, tick
from p3d_gen.run.store import Failure, claimed, open_run, read_ledger


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
