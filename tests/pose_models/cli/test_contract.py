"""The error contract: what a user can fix is one line, a bug keeps its traceback."""

import click
import pytest
from click.testing import CliRunner

from p3d_gen.core.commandline import Group
from pose_models.cli import main


def call(*words):
    return CliRunner().invoke(main, [str(word) for word in words])


def groups(command):
    if isinstance(command, click.Group):
        yield command
        for child in command.commands.values():
            yield from groups(child)


def test_every_group_keeps_the_contract():
    assert [group.name for group in groups(main) if not isinstance(group, Group)] == []


def convert(tmp_path):
    (tmp_path / "images").mkdir(exist_ok=True)
    for name in ("annos.mat", "poses.pkl"):
        (tmp_path / name).write_bytes(b"nothing")
    given = {"--images": "images", "--devkit": "annos.mat", "--annotations": "poses.pkl", "--out": "out"}
    return ("convert", "cars3d", *(word for flag, name in given.items() for word in (flag, tmp_path / name)))


def test_a_fault_of_the_data_is_one_line(tmp_path):
    result = call(*convert(tmp_path))
    assert result.exit_code == 1
    assert "Traceback" not in result.output
    assert result.output.splitlines()[-1].startswith(f"Error: cannot read {tmp_path / 'poses.pkl'}: ")
    assert "Traceback" in call(*convert(tmp_path), "--debug").output


@pytest.mark.parametrize("kind", [ValueError, OSError, RuntimeError, KeyError])
def test_a_bug_keeps_its_traceback(kind, tmp_path, monkeypatch):
    def broken(*given):
        raise kind("a bug of ours")

    monkeypatch.setattr("pose_models.data.convert_cars3d.convert_cars3d", broken)
    result = call(*convert(tmp_path))
    assert result.exit_code == 1
    assert "Traceback" in result.output
    assert "a bug of ours" in result.output
    assert "p3dgen doctor --json" in result.output


@pytest.mark.parametrize("words", [("-h",), ("--help",)])
def test_summaries_are_whole_sentences(words):
    for group in groups(main):
        for command in group.commands.values():
            assert not command.get_short_help_str(100_000).endswith("...")
    assert "..." not in call(*words).output.split("Commands:")[1]
