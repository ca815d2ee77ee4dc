"""Users' folders: hidden names are passed over, links to folders are followed, and no folder is walked without end."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from p3d_gen.core.errors import DataError
from p3d_gen.core.folders import files_below

SUFFIXES = (".jpg", ".png")


def plant(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def names_below(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in files_below(folder, SUFFIXES)]


def test_each_visible_file_of_a_suffix_is_listed_once_in_order(tmp_path):
    plant(tmp_path, "b.jpg", "a/c.PNG", "a/b/c.png", "notes.txt", "a.jpgx")
    assert names_below(tmp_path) == ["a/b/c.png", "a/c.PNG", "b.jpg"]


def test_hidden_names_are_passed_over_below_the_folder_only(tmp_path):
    folder = plant(tmp_path / ".hidden", "a.jpg", "._a.jpg", ".thumbnails/a.jpg", "b/.ipynb_checkpoints/c/a.jpg")
    assert names_below(folder) == ["a.jpg"]


def test_links_are_followed_but_not_in_circles(tmp_path):
    plant(tmp_path / "disk", "far.jpg", "deep/far.jpg")
    folder = plant(tmp_path / "source", "near.jpg")
    (folder / "link").symlink_to("../disk")
    (folder / "disk.jpg").symlink_to("../disk/far.jpg")
    (folder / "self").symlink_to(".")
    (tmp_path / "disk" / "deep" / "back").symlink_to(folder)
    (folder / "gone.jpg").symlink_to("nowhere")
    assert names_below(folder) == ["disk.jpg", "link/deep/far.jpg", "link/far.jpg", "near.jpg"]


def test_only_plain_files_count(tmp_path):
    plant(tmp_path, "a.jpg", "folder.jpg/b.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    assert names_below(tmp_path) == ["a.jpg", "folder.jpg/b.jpg"]


@pytest.mark.parametrize("name", ["source", "source/closed"])
def test_a_folder_that_cannot_be_read_is_named(tmp_path, name):
    plant(tmp_path / "source" / "closed", "a.jpg")
    (tmp_path / name).chmod(0)
    try:
        if os.access(tmp_path / name, os.R_OK):  # for the superuser nothing is closed: the folder is not there then
            with pytest.raises(DataError, match="gone cannot be read"):
                files_below(tmp_path / "gone", SUFFIXES)
        else:
            with pytest.raises(DataError, match=f"{name} cannot be read"):
                files_below(tmp_path / "source", SUFFIXES)
    finally:
        (tmp_path / name).chmod(0o755)
