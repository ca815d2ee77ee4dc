"""What is written is never what is read, by any of its names, and never somebody else's."""

import logging

import click
import pytest
from click.testing import CliRunner

from p3d_gen.core.commandline import Group
from p3d_gen.core.errors import RunError
from p3d_gen.core.outputs import check_outputs


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.png"
    path.write_bytes(b"mine")
    return path


@pytest.mark.parametrize("is_own", [True, False])
def test_an_input_is_found_under_all_its_names(photo, tmp_path, is_own):
    (tmp_path / "folder").mkdir()
    (tmp_path / "link.png").symlink_to(photo)
    (tmp_path / "hard.png").hardlink_to(photo)
    names = [photo, tmp_path / "folder" / ".." / "photo.png", tmp_path / "link.png", tmp_path / "hard.png"]
    for output in names:
        for read in names:
            with pytest.raises(RunError, match=r"would overwrite .*png, which this command reads: choose another"):
                check_outputs([tmp_path / "new.png", output], [tmp_path / "none.png", read], is_own=is_own)


def test_files_of_others_are_left(photo, tmp_path):
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    check_outputs([tmp_path / "new"], [photo], is_own=False)
    check_outputs([photo, tmp_path / "dangling"], [tmp_path / "other"], is_own=True)
    for path in (photo, tmp_path / "dangling"):
        with pytest.raises(RunError, match=rf"{path.name} exists and was not made by this command"):
            check_outputs([tmp_path / "new", path], [], is_own=False)


@click.group(cls=Group)
def commands():
    """Commands."""


@commands.command()
@click.argument("manifest")
@click.option("--data")
@click.option("--json-file")
def write(manifest, data, json_file):
    logging.getLogger("p3d_gen").info("begun")
    click.echo("written")


def test_every_command_looks_at_the_files_that_it_is_told_to_write(photo, tmp_path):
    def call(*words):
        return CliRunner().invoke(commands, [str(word) for word in words])

    for words in (["x", "--json-file", photo], ["x", "--log-file", tmp_path / "log"], [photo, "--json-file", "new"]):
        assert call("write", *words).output.splitlines()[-1] == "written"
    for words in (
        [photo, "--json-file", photo],
        ["x", "--data", f"csv:{photo}", "--json-file", photo],
        [photo, "--log-file", photo],
    ):
        result = call("write", *words)
        assert result.exit_code == 1
        assert "photo.png would be overwritten" in result.output
        assert photo.read_bytes() == b"mine"
