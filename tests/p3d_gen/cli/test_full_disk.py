"""A disk that fills up anywhere in a file: every command says so in one line, and goes on once there is space."""

import shutil

import pytest
from click.testing import CliRunner

from p3d_gen.cli import main
from p3d_gen.run.local import run_shards
from p3d_gen.stylize.stage import stylize_shard
from tests.helpers.fake_runs import fake_renders

COMMANDS = {
    "pack": ["pack", "--workers", "1"],
    "sheet": ["sheet"],
    "report": ["report"],
    "verify": ["verify", "--workers", "1"],
    "licenses": ["licenses"],
    "provenance": ["provenance"],
    "export": ["export", "coco"],
}
SIZES = (0, 1, 600, 5_000, 30_000)


def invoke(command, run_folder, out):
    name, *arguments = COMMANDS[command]
    if name == "export":
        return CliRunner().invoke(main, [name, *arguments, str(run_folder), "--out", str(out)])
    return CliRunner().invoke(main, [name, str(run_folder), *arguments])


def test_every_command_names_the_file_that_it_cannot_write(run, tmp_path, monkeypatch):
    resource = pytest.importorskip("resource")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    fake_renders(run)
    list(run_shards(stylize_shard, str(run.root), run.all_shards(), 1, int))
    refused = 0
    for command in COMMANDS:
        for size in SIZES:
            here = tmp_path / f"{command}-{size}"
            shutil.copytree(run.root, here)
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
            try:
                result = invoke(command, here, here / "export")
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            assert "Traceback" not in result.output, (command, size)
            if "cannot be written" in result.output:
                refused += 1
                assert result.exit_code == 1
                assert str(here) in result.output
                assert "free some space" in result.output
            assert not list(here.rglob(".*")), (command, size)
            assert invoke(command, here, here / "export").exit_code == 0
        assert invoke(command, run.root, tmp_path / "export").exit_code == 0  # the next one needs what it makes
    assert refused > 2 * len(COMMANDS)
