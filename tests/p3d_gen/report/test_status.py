"""What `p3dgen status` says of a run, and that looking does not disturb it."""

import json
import os
import shutil
import threading
import time
from io import StringIO

import pytest
from click.testing import CliRunner
from rich.console import Console

from p3d_gen.cli import main
from p3d_gen.cli.status import duration, table
from p3d_gen.core.errors import RunError
from p3d_gen.pack.stage import pack_shard
from p3d_gen.report.status import Watch
from p3d_gen.run.files import atomic_file
from p3d_gen.run.ledgers import Failure, seal
from p3d_gen.run.remote import place
from p3d_gen.run.shards import write_shard
from p3d_gen.run.store import create_run
from p3d_gen.spec.stylize import Stylize
from p3d_gen.stylize.stage import stylize_shard
from p3d_gen.stylize.stylization import create_stylization
from tests.helpers.fake_runs import fake_renders
from tests.helpers.records import edit_record


def told(run, *options):
    result = CliRunner().invoke(main, ["status", str(run.root), *options])
    assert result.exit_code == 0, result.output
    return result.output


def stage(run, name):
    return next(each for each in Watch(run.root).look().stages if each.stage == name)


LATER = 1000.0  # seconds: what has just been finished stays so, however long a test takes


def seal_empty(run, name, shard, *, count=2, seconds=10.0, ended=None, failures=()):
    """A finished shard of empty samples that took so long and was finished then, or just now."""
    members = [(f"{shard}-{i}", {"json": b"{}"}) for i in range(count)]
    seal(run, name, shard, "", members, list(failures))
    path = run.tar(name, shard).with_suffix(".json")
    edit_record(path, seconds=seconds)
    ended = time.time() + LATER if ended is None else ended
    os.utime(path, (ended, ended))


def test_a_run_from_beginning_to_end(run):
    assert "models: not prepared yet" in told(run)
    assert {each.state for each in Watch(run.root).look().stages} == {"waiting"}
    fake_renders(run)
    assert "render: done, 4 of 4 shards, 6 of 6 samples, 0 failed" in told(run)
    first, *others = run.all_shards()
    stylize_shard(str(run.root), first)
    pack_shard(str(run.root), first)
    assert "1 of 4 shards, 2 of 6 samples, 0 failed" in told(run).splitlines()[2]
    for shard in others:
        stylize_shard(str(run.root), shard)
        pack_shard(str(run.root), shard)
    status = Watch(run.root).look()
    assert status.done
    assert {news.samples for news in status.news} == {1, 2}
    assert status.news[0].shard == run.all_shards()[-1]
    lines = told(run).splitlines()
    assert [line.split(",")[0] for line in lines[:3]] == ["render: done", "stylize: done", "pack: done"]


def test_it_reads_nothing_but_the_run_folder(run, assets):
    seal_empty(run, "render", "car-00000")
    shutil.rmtree(assets)
    assert "render: running, 1 of 4 shards, 2 of 6 samples" in told(run)


def test_named_stylizations_are_stages_of_their_own(run):
    create_stylization(run, "few", (Stylize(resolution=128), run.base_dir))
    seal_empty(run, "stylize-few", "car-00000")
    output = told(run)
    assert "stylize-few: running, 1 of 4 shards" in output
    assert "pack-few: waiting, 0 of 4 shards" in output


def test_failures_are_counted_by_their_reason(run):
    failures = [Failure(key=f"car-00000{i}", reason=reason) for i, reason in enumerate(("dark", "dark", "flat"))]
    seal_empty(run, "render", "car-00000", count=0, failures=failures[:2])
    seal_empty(run, "render", "car-00001", count=0, failures=failures[2:])
    assert stage(run, "render").failures == {"dark": 2, "flat": 1}
    output = told(run)
    assert "render: running, 2 of 4 shards, 0 of 6 samples, 3 failed" in output
    assert "failed in render, 2 times: dark\nfailed in render, 1 times: flat\n" in output


def test_the_rate_is_that_of_the_work_without_its_pauses(run):
    now = time.time()
    seal_empty(run, "render", "car-00000", seconds=10, ended=now - 4000)
    seal_empty(run, "render", "car-00001", seconds=10, ended=now - 100)
    seal_empty(run, "render", "chair-00000", seconds=15, ended=now - 95)
    found = stage(run, "render")
    assert found.rate == pytest.approx(4 / 15)
    assert (found.state, found.seconds_left) == ("stopped", None)
    seal_empty(run, "render", "chair-00000", seconds=LATER + 95, ended=now + LATER)
    found = stage(run, "render")
    assert found.rate == pytest.approx(4 / (LATER + 110))
    assert found.state == "running"
    assert found.seconds_left == pytest.approx(0, abs=1e-6)


def test_the_time_that_is_left(run):
    seal_empty(run, "render", "car-00000", seconds=10)
    assert stage(run, "render").seconds_left == pytest.approx(4 / 0.2)
    assert "0.2 samples/s, 20 s left" in told(run)
    assert [duration(s) for s in (12, 89, 200, 7500)] == ["12 s", "89 s", "3 min", "2 h 05 min"]


def test_what_is_being_written(run):
    """The samples so far are those whose headers are in the file, wherever it ends."""
    whole = run.root / "whole.tar"
    write_shard(whole, [(f"car-{i:06d}", {"jpg": bytes(3000), "json": b"{}"}) for i in range(2)])
    content = whole.read_bytes()
    tar = run.tar("render", "car-00001")
    for end, samples in ((0, 0), (100, 0), (2000, 1), (5700, 2), (len(content), 2)):
        with atomic_file(tar) as file:
            file.write(content[:end])
            file.flush()
            (writing,) = stage(run, "render").writing
            assert (writing.shard, writing.samples, writing.size_bytes) == ("car-00001", samples, end)
            assert stage(run, "render").state == "running"
            assert f"writing car-00001 ({samples} samples" in told(run)
        tar.unlink()


def test_what_a_killed_run_left_is_not_being_written(run):
    seal_empty(run, "render", "car-00000", ended=time.time() - 100)
    partial = run.tar("render", "car-00001").with_name(".car-00001.tar.partial")
    partial.write_bytes(bytes(2000))
    found = stage(run, "render")
    assert (found.writing, found.state, found.samples) == ((), "stopped", 2)


def test_looking_never_stops_a_writer(run):
    """While shards appear and change as fast as they can, every look is whole and every shard is written."""
    shards, failed = run.all_shards(), []

    def write():
        try:
            for i in range(30):
                seal_whole(run, shards[i % len(shards)])
        except RunError as error:
            failed.append(error)

    writer, watch, looks = threading.Thread(target=write), Watch(run.root), []
    writer.start()
    while writer.is_alive():
        looks.append(watch.look().stages[0].shards_done)
    writer.join()
    assert failed == []
    assert looks == sorted(looks)
    assert watch.look().stages[0].shards_done == 4


def seal_whole(run, shard):
    seal(run, "render", shard, "", [(f"{shard}-0", {"json": b"{}"})], [])


def test_a_ledger_that_changed_is_read_again(run):
    watch = Watch(run.root)
    seal_empty(run, "render", "car-00000", count=1, ended=1000)
    assert watch.look().stages[0].samples == 1
    seal_empty(run, "render", "car-00000", count=2, ended=2000)
    assert watch.look().stages[0].samples == 2
    run.tar("render", "car-00000").with_suffix(".json").unlink()
    assert watch.look().stages[0].samples == 0


def test_a_run_under_a_url(manifest_path):
    run = create_run(place("memory://status/run"), manifest_path)
    watch = Watch("memory://status/run")
    assert {each.state for each in watch.look().stages} == {"waiting"}
    for shard in run.all_shards():
        assert watch.look().stages[0].state != "done"
        seal(run, "render", shard, "", [(f"{shard}-0", {"json": b"{}"})], [])
    assert [each.state for each in watch.look().stages] == ["done", "waiting", "waiting"]
    assert "render: done, 4 of 4 shards, 4 of 6 samples" in told(run)
    run.tar("render", "car-00000").with_suffix(".json").unlink()
    assert watch.look().stages[0].shards_done == 3


def test_json(run):
    seal_empty(run, "render", "car-00000", seconds=10)
    data = json.loads(told(run, "--json"))
    render = data["stages"][0]
    assert (render["stage"], render["state"], render["shards_done"], render["samples"]) == ("render", "running", 1, 2)
    assert data["news"][0]["shard"] == "car-00000"
    assert data["models_prepared"] is False
    result = CliRunner().invoke(main, ["status", str(run.root), "--json", "--watch"])
    assert result.exit_code == 2


def test_watching_tells_what_has_changed_until_the_end(run, monkeypatch):
    fake_renders(run)
    steps = iter([(make, shard) for make in (stylize_shard, pack_shard) for shard in run.all_shards()])

    def work(seconds):
        assert seconds == 3
        make, shard = next(steps)
        make(str(run.root), shard)

    monkeypatch.setattr(time, "sleep", work)
    lines = told(run, "--watch", "--every", "3").splitlines()
    assert next(steps, None) is None
    renders = [line for line in lines if " render: " in line]
    assert len(renders) == 1
    packs = [line.split(" ", 1)[1].split(" samples")[0] for line in lines if " pack: " in line]
    assert packs[0] == "pack: waiting, 0 of 4 shards, 0 of 6"
    assert packs[-1] == "pack: done, 4 of 4 shards, 6 of 6"


def test_the_table_of_a_terminal_says_the_same(run):
    seal_empty(run, "render", "car-00000", seconds=10)
    console = Console(width=120, file=StringIO())
    console.print(table(Watch(run.root).look()))
    text = console.file.getvalue()
    assert str(run.root) in text
    row = next(line for line in text.splitlines() if "render" in line)
    assert [cell.strip() for cell in row.split("│")[1:8]] == ["render", "running", "1/4", "2/6", "0", "0.2", "20 s"]


def test_help_has_an_example():
    assert "Example:\n    p3dgen status" in CliRunner().invoke(main, ["status", "--help"]).output


def test_clear_errors(run, tmp_path):
    result = CliRunner().invoke(main, ["status", str(tmp_path)])
    assert result.exit_code == 1
    assert "holds no run.json" in result.output
    seal_empty(run, "render", "car-00000")
    run.tar("render", "car-00000").with_suffix(".json").write_text("{")
    result = CliRunner().invoke(main, ["status", str(run.root)])
    assert result.exit_code == 1
    assert "is not a ledger" in result.output
    assert "Traceback" not in result.output
