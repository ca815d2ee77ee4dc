"""`p3dgen bench kills` counts what kills lose, double and leave behind, and finds none of it in our commands."""

import json
import multiprocessing
import random
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from p3d_gen.bench import kills as bench
from p3d_gen.bench.interruptible import SIGNALS, Interruptible, _dataset, interruptibles
from p3d_gen.bench.traces import Traces
from p3d_gen.cli import main
from p3d_gen.run.scratch import RAM_DISK
from tests.helpers.dataset_runs import make_assets, packed_run

PARTS = 12
# A command that makes parts, one after the other, and resumes; with one fault or none.
PROGRAM = """
import os, subprocess, sys, tempfile, time
from pathlib import Path
out, fault, parts = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
out.mkdir(exist_ok=True)
if fault == "process":
    subprocess.Popen(["sleep", "600"], start_new_session=True)
if fault == "temporary file":
    tempfile.mkdtemp()
if fault == "shared memory":
    test = Path(os.environ["TMPDIR"]).parents[1].name
    Path(f"/dev/shm/torch_{os.getpid()}_{test}").touch()  # a name that tells all others that it is not theirs
for number in range(parts):
    part = out / str(number)
    if part.exists() and fault != "made again":
        continue
    partial = out / (".partial" if fault == "partial file" and not number else f".{number}.partial")
    partial.write_text(str(os.getpid()) if fault == "another" else "")
    time.sleep(0.02)
    if partial.name != ".partial":
        partial.replace(part)
    else:
        part.touch()
"""


def fragile(fault):
    def finished(out):
        return {path.name: path.stat().st_mtime_ns for path in out.glob("[0-9]*")}

    return Interruptible(
        name="fragile",
        command=lambda out: [sys.executable, "-c", PROGRAM, str(out), fault, str(PARTS)],
        share=1.0,
        finished=finished,
        samples=lambda out: sorted(finished(out)),
        files=lambda out: sorted(out.iterdir()),
    )


def tally_of(work, folder, kills, seed=0):
    (folder / "beside").mkdir(parents=True)
    traces = Traces(folder / "beside")
    with bench._interruptible():
        trial = bench.Trial(work, folder, traces, random.Random(seed))
        trial.kill(kills)
    assert not traces.there()
    return trial.tally


@pytest.fixture(autouse=True)
def clean(tmp_path):
    yield
    for path in RAM_DISK.glob(f"torch_*_{tmp_path.name}"):
        path.unlink()


@pytest.mark.parametrize(
    ("fault", "kind", "words"),
    [
        ("process", "left_behind", "process "),
        ("temporary file", "left_behind", "/tmp/"),
        ("shared memory", "left_behind", "/dev/shm/torch_"),
        ("partial file", "left_behind", ".partial"),
        ("made again", "lost", "was finished, and is gone or made again"),
        ("another", "lost", "is another one"),
    ],
)
def test_each_fault_is_counted_as_what_it_is(tmp_path, monkeypatch, fault, kind, words):
    monkeypatch.setattr(bench, "_SETTLE_S", 0.3)
    tally = tally_of(fragile(fault), tmp_path, 5)
    assert tally.kills.total() == 5
    faults = list(tally.faults())
    assert {name for name, _ in faults} == {kind}
    assert not [each for _, each in faults if words not in each]
    assert not list(bench.Tally().faults())


def test_what_is_doubled_is_counted(tmp_path):
    sound = fragile("")
    doubling = replace(sound, samples=lambda out: sound.samples(out) + (["0"] if out.parent.name != "fragile" else []))
    tally = tally_of(doubling, tmp_path, 1)
    assert {(kind, fault.partition(": ")[2]) for kind, fault in tally.faults()} == {
        ("doubled", "0 is there once too often")
    }


def test_what_others_have_open_is_not_counted(tmp_path):
    """A semaphore is in the memory of its process, under another name than its own."""
    traces = Traces(tmp_path)
    semaphore = multiprocessing.get_context("spawn").Semaphore()
    assert any(path not in traces._before for path in RAM_DISK.glob("sem.mp-*"))
    own = {path for path in RAM_DISK.glob("sem.mp-*") if str(path.stat().st_ino) in Path("/proc/self/maps").read_text()}
    assert own
    assert not {f"file {path}" for path in own} & traces.there().keys()
    del semaphore


def test_a_sound_command_has_no_fault(tmp_path):
    tally = tally_of(fragile(""), tmp_path, 6)
    assert tally.kills.total() == 6
    assert set(tally.kills) <= set(SIGNALS)
    assert list(tally.faults()) == []


def test_a_dataset_survives_kills(tmp_path):
    make_assets(tmp_path)
    run = packed_run(tmp_path / "run")
    tally = tally_of(_dataset(run.root), tmp_path / "bench", 5)
    assert tally.kills.total() == 5
    assert list(tally.faults()) == []


def test_kills_are_shared_out_and_what_is_needed_is_made(tmp_path):
    works = interruptibles(tmp_path)
    shared = {work.name: kills for work, kills in bench._shared_out(works, 200, ())}
    assert shared == {"run": 90, "ray": 30, "dataset": 30, "train": 30, "adapt": 20}
    assert [(work.name, kills) for work, kills in bench._shared_out(works, 7, ("adapt",))] == [
        ("run", 0),
        ("train", 0),
        ("adapt", 7),
    ]


@pytest.mark.blender
@pytest.mark.slow
def test_nothing_is_lost_doubled_or_left_behind():
    result = CliRunner().invoke(main, ["bench", "kills", "--kills", "20", "--seed", "1"])
    assert result.exit_code == 0, result.output
    figures = json.loads(result.stdout.splitlines()[-1])
    assert figures == {"kills": 20, "lost": 0, "doubled": 0, "left_behind": 0, "seed": 1}, result.stdout
