"""Parts of a run: shards by their numbers, made by several processes at once, and what a stage says of itself."""

import os
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from p3d_gen.cli import main
from p3d_gen.core.errors import RunError
from p3d_gen.run.ledgers import Failure, Ledger, read_ledger
from p3d_gen.run.live import StageView
from p3d_gen.run.local import available_cores, one_core, run_shards
from p3d_gen.run.selection import chosen_shards
from p3d_gen.run.store import create_run
from p3d_gen.stylize.stage import stylize_shard
from tests.helpers.commands import BIN, shard_hashes
from tests.helpers.fake_runs import fake_renders

SHARDS = ["car-00000", "car-00001", "chair-00000", "chair-00001"]


def invoke(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.mark.parametrize(
    ("numbers", "chosen"),
    [
        ("", SHARDS),
        ("0", SHARDS[:1]),
        ("1-2", SHARDS[1:3]),
        ("3,0", [SHARDS[0], SHARDS[3]]),
        ("0-1, 1-2", SHARDS[:3]),
        ("2-99", SHARDS[2:]),
    ],
)
def test_shards_by_their_numbers(run, numbers, chosen):
    assert chosen_shards(run, numbers) == chosen


@pytest.mark.parametrize("numbers", ["x", "2-1", "1-", "-1", "1,,2", "4", "0,4-9"])
def test_numbers_that_name_no_shard(run, numbers):
    with pytest.raises(RunError, match=rf"--shards {numbers}: "):
        chosen_shards(run, numbers)


def test_parts_make_the_whole(tmp_path, manifest_path):
    parts, whole = (create_run(tmp_path / name, manifest_path) for name in ("parts", "whole"))
    for run in (parts, whole):
        fake_renders(run)
        list(run_shards(stylize_shard, str(run.root), run.all_shards(), 1, int))
    assert invoke("pack", whole.root, "--workers", 1).exit_code == 0
    part = invoke("pack", parts.root, "--shards", "0,2-3", "--workers", 1)
    assert "pack: 5 samples in 3 shards, 0 failed" in part.output
    assert "contact sheet" not in part.output
    assert [shard for shard in SHARDS if read_ledger(parts, "shards", shard)] == [SHARDS[0], *SHARDS[2:]]
    assert invoke("pack", parts.root, "--shards", "1-9", "--workers", 1).exit_code == 0
    assert shard_hashes(parts.root) == shard_hashes(whole.root)


def test_the_example_for_slurm(run):
    fake_renders(run)
    list(run_shards(stylize_shard, str(run.root), run.all_shards(), 1, int))
    environment = {"PATH": f"{BIN.parent}:/usr/bin:/bin", "SLURM_ARRAY_TASK_ID": "1", "RUN": str(run.root)}
    script = Path(__file__).parents[3] / "docs" / "slurm.sbatch"
    task = subprocess.run(["bash", script, "pack"], env=environment, capture_output=True, text=True)
    assert task.returncode == 0, task.stderr
    assert [shard for shard in SHARDS if read_ledger(run, "shards", shard)] == ["car-00001"]
    wrong = subprocess.run(["bash", script, "pick"], env=environment, capture_output=True, text=True)
    assert (wrong.returncode, "stage pick is none of render" in wrong.stderr) == (2, True)


@pytest.mark.blender
def test_array_tasks_that_start_at_once(tmp_path, manifest_path):
    """None of them disturbs another's begin of the folder, preparation of the models, or cuboid."""
    command = [BIN, "render", manifest_path, "--out", tmp_path / "run", "--device", "cpu", "--workers", "1"]
    tasks = [
        subprocess.Popen([*command, "--shards", shards], stderr=subprocess.PIPE, text=True) for shards in ("0-1", "2-3")
    ]
    for task in tasks:
        _, said = task.communicate()
        assert task.returncode == 0, said
    assert len(shard_hashes(tmp_path / "run")) == 4
    assert not list((tmp_path / "run").rglob(".*"))


def ledger(shard, failures=()):
    return Ledger(stage="pack", shard=shard, count=2, sha256="", inputs="", failures=failures, seconds=1.0)


def test_one_core_is_given_back():
    cores = available_cores()
    with one_core():
        assert available_cores() == cores[:1]
    assert available_cores() == cores


def test_macos_pins_nothing(monkeypatch):
    for name in ("sched_getaffinity", "sched_setaffinity"):
        monkeypatch.delattr(os, name)
    with one_core():
        assert available_cores() == list(range(os.cpu_count()))


def followed(view):
    """Tell a view of a stage's first half, with one failure and a piece of news."""
    for _ in range(3):
        view.on_sample()
    view.on_ledger(ledger("car-00000", (Failure(key="car-000001", reason="why"),)))
    view.on_news("car-00001 was lost and is made again")
    return view


def test_plain_lines_where_there_is_no_terminal(capsys, monkeypatch):
    monkeypatch.setattr("p3d_gen.run.live._LINE_EVERY_S", 0.0)
    view = followed(StageView("pack", 2, 6))
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith("pack: 0/2 shards, 1/6 samples, 0 failed")
    assert said[-2].startswith("pack: 1/2 shards, 3/6 samples, 1 failed")
    assert said[-1] == "car-00001 was lost and is made again"
    assert view.line().startswith("pack: 1/2 shards")


def test_a_table_on_a_terminal():
    view = followed(StageView("pack", 2, 6))
    console = Console(width=110, force_terminal=True, color_system=None)
    with console.capture() as captured:
        console.print(view.progress.make_tasks_table(view.progress.tasks))
    head, row = captured.get().splitlines()
    assert head.split() == ["stage", "shards", "samples", "failed", "samples/s", "time", "left"]
    assert row.split()[0] == "pack"
    assert row.split()[2:5] == ["1/2", "3/6", "1"]
